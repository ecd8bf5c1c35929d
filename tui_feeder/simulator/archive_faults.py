"""Archive files as they should not be: rows, CSV and zip reshaped, one function a fault.

A file is reshaped from its right form, so the same faults always give the same bytes, and a ``.CHECKSUM``
asked for on its own fits the zip.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from tui_feeder.simulator.fault_kinds import Value
from tui_feeder.simulator.faults import Fault, Faults
from tui_feeder.simulator.market import DAY, MINUTE
from tui_feeder.simulator.packing import pack

_LONG_HEADER = (
    b"open_time,open,high,low,close,volume,close_time,quote_asset_volume,number_of_trades,"
    b"taker_buy_base_asset_volume,taker_buy_quote_asset_volume,ignore"
)
#: Place of the time in a row of trades.
_TRADE_TIME = 5
_WEB_PAGE = b"<html><head><title>Service unavailable</title></head><body>Try again later.</body></html>\n"
_MEBIBYTE = 1 << 20


class Reshaping(NamedTuple):
    """A fault's name and parameters, as a key of what was made with it."""

    name: str
    parameters: tuple[tuple[str, Value], ...]


class Csv:
    """The text of an archive file: its header or None, its rows, the span it is of, where times stand."""

    def __init__(self, text: bytes, *, monthly: bool, trades: bool = False) -> None:
        lines = text.splitlines()
        has_header = bool(lines) and not lines[0][:1].isdigit()
        self.header: bytes | None = lines[0] if has_header else None
        self.rows = lines[1:] if has_header else lines
        self.monthly = monthly
        self.line_end = b"\n"
        self.time_fields = (_TRADE_TIME,) if trades else (0, 6)

    def text(self) -> bytes:
        """The file again."""
        lines = self.rows if self.header is None else [self.header, *self.rows]
        return self.line_end.join([*lines, b""])

    def time(self, row: bytes) -> int:
        """Reads when a row's candle begins, or its trade was.

        Args:
            row: a line of the file.

        Returns:
            The time, ms.
        """
        return int(row.split(b",", self.time_fields[0] + 1)[self.time_fields[0]])


def _zero_rows(csv: Csv, given: Mapping[str, Value]) -> None:
    first = int(given["minute"])
    after = first + int(given["minutes"])
    for place, row in enumerate(csv.rows):
        moment = csv.time(row)
        if not first <= moment % DAY // MINUTE < after:
            continue
        if csv.monthly and not _on_day(moment, int(given["day"])):
            continue
        fields = row.split(b",")
        close = csv.rows[place - 1].split(b",")[4] if place else fields[1]
        fields[1:6] = [close, close, close, close, b"0"]
        fields[7:] = [b"0"] * len(fields[7:])
        csv.rows[place] = b",".join(fields)


def _on_day(moment: int, day_of_month: int) -> bool:
    return datetime.fromtimestamp(moment / 1000, UTC).day == day_of_month


def _missing_rows(csv: Csv, given: Mapping[str, Value]) -> None:
    if csv.monthly:
        day = int(given["day"])
        csv.rows = [row for row in csv.rows if not _on_day(csv.time(row), day)]
        return
    first = int(given["minute"])
    after = first + int(given["minutes"])
    csv.rows = [row for row in csv.rows if not first <= csv.time(row) % DAY // MINUTE < after]


def _duplicate_rows(csv: Csv, given: Mapping[str, Value]) -> None:
    again = csv.rows[::97]
    csv.rows = [row for i, r in enumerate(csv.rows) for row in ([r, r] if i % 101 == 0 else [r])] + again


def _unsorted_rows(csv: Csv, given: Mapping[str, Value]) -> None:
    random.Random(len(csv.rows)).shuffle(csv.rows)


def _microseconds(csv: Csv, given: Mapping[str, Value]) -> None:
    for place, row in enumerate(csv.rows):
        fields = row.split(b",")
        for field, end in zip(csv.time_fields, (b"000", b"999"), strict=False):
            fields[field] += end
        csv.rows[place] = b",".join(fields)


def _long_header(csv: Csv, given: Mapping[str, Value]) -> None:
    csv.header = _LONG_HEADER


def _no_header(csv: Csv, given: Mapping[str, Value]) -> None:
    csv.header = None


def _crlf(csv: Csv, given: Mapping[str, Value]) -> None:
    csv.line_end = b"\r\n"


#: What is done to the text, in this order.
_TEXT: Mapping[str, Callable[[Csv, Mapping[str, Value]], None]] = {
    "zero-rows": _zero_rows,
    "missing-rows": _missing_rows,
    "duplicate-rows": _duplicate_rows,
    "unsorted-rows": _unsorted_rows,
    "csv-microseconds": _microseconds,
    "csv-long-header": _long_header,
    "csv-no-header": _no_header,
    "csv-crlf": _crlf,
}
#: What makes no sense for trades: their rows have no candles to be zero, and no longer header is known.
_OF_CANDLES = ("zero-rows", "csv-long-header")
_ZIP = ("two-members", "zip-path", "zip-bomb", "corrupt-zip")
#: Faults in the bytes of a zip.
RESHAPED = (*_TEXT, *_ZIP)


def reshapings(
    faults: Faults, symbol: str, path: str, *, count: bool, trades: bool = False
) -> tuple[Reshaping, ...]:
    """Lists what the active faults do to the bytes of a file.

    Args:
        faults: the active faults.
        symbol: the symbol the file belongs to.
        path: path of the file below the archive's root.
        count: whether to count each one as a strike.
        trades: whether it is a file of trades and not of candles.

    Returns:
        The changes, in the order in which they are applied.
    """
    ask: Callable[[str, str, str], Fault | None] = faults.strike if count else faults.find
    return tuple(
        Reshaping(name, tuple(fault.parameters.items()))
        for name in RESHAPED
        if not (trades and name in _OF_CANDLES) and (fault := ask(name, symbol, path)) is not None
    )


def reshape(
    body: bytes, stem: str, wanted: tuple[Reshaping, ...], *, monthly: bool, trades: bool = False
) -> bytes:
    """Applies faults to a valid zip.

    Args:
        body: the valid zip.
        stem: name of the file without its extension.
        wanted: the changes to apply.
        monthly: whether the file covers a month rather than a day.
        trades: whether it is a file of trades and not of candles.

    Returns:
        The bytes to serve.
    """
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        text = packed.read(packed.namelist()[0])
    csv = Csv(text, monthly=monthly, trades=trades)
    how = {name: dict(parameters) for name, parameters in wanted}
    for name, given in how.items():
        if name in _TEXT:
            _TEXT[name](csv, given)
    text = csv.text()
    name = f"{stem}.csv"
    if "zip-path" in how:
        name = f"{how['zip-path']['prefix']}{name}"
    bomb = how.get("zip-bomb")
    size = 0 if bomb is None else int(float(bomb["mebibytes"]) * _MEBIBYTE)
    members = [(name, text.ljust(size, b"0"))]
    if "two-members" in how:
        members.append((f"{stem}-2.csv", text))
    made = pack(*members)
    if bomb is not None and bomb["lying"]:
        made = _understated(made, len(text))
    if "corrupt-zip" in how:
        made = _corrupt(made, str(how["corrupt-zip"]["how"]))
    return made


def _understated(body: bytes, size: int) -> bytes:
    """A zip whose one member claims to unpack to ``size`` bytes."""
    changed = bytearray(body)
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        local = packed.infolist()[0].header_offset
        central = packed.start_dir
    struct.pack_into("<L", changed, local + 22, size)
    struct.pack_into("<L", changed, central + 24, size)
    return bytes(changed)


def _corrupt(body: bytes, how: str) -> bytes:
    if how == "html":
        return _WEB_PAGE
    if how == "end":
        return body[: len(body) * 2 // 3]
    changed = bytearray(body)
    middle = len(changed) // 2
    for place in range(middle, min(middle + 16, len(changed))):
        changed[place] ^= 0x5A
    return bytes(changed)


def wrong_checksum(right: bytes, how: str) -> bytes:
    """Makes a ``.CHECKSUM`` file that does not match its zip.

    Args:
        right: the correct file.
        how: "empty", "html" (a web page instead), or anything else for a digest with other digits.

    Returns:
        The bytes to serve.
    """
    if how == "empty":
        return b""
    if how == "html":
        return _WEB_PAGE
    digest, gap, name = right.partition(b" ")
    return bytes(digest.translate(bytes.maketrans(b"0123456789abcdef", b"123456789abcdef0"))) + gap + name
