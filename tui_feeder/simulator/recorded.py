"""A market of real candles, read from a folder of monthly archive zips.

Recordings of different times are brought together: the symbols whose data ends latest set the era, the others
are shown whole days later so that all end on the same day. Nothing is invented: where the data ends, time
ends.
"""

from __future__ import annotations

import math
import re
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tui_feeder.simulator.clock import rfc3339
from tui_feeder.simulator.listing import LEAVING, quarterly, settling
from tui_feeder.simulator.market import (
    CLOSE,
    COLUMNS,
    DAY,
    HIGH,
    HOUR,
    LOW,
    MINUTE,
    OPEN,
    QUOTE,
    QUOTES,
    TAKER,
    TAKER_QUOTE,
    TRADES,
    VOLUME,
    Instrument,
    Ints,
    Minutes,
    chosen,
    no_minutes,
    units,
)

_NAME = re.compile(r"(?P<symbol>.+)-1m-(?P<month>\d{4}-(?:0[1-9]|1[0-2]))\.zip")
#: Where the columns of a candle matrix stand in a line, and which numbers are prices, base and quote volumes.
_FIELDS = {OPEN: 1, HIGH: 2, LOW: 3, CLOSE: 4, VOLUME: 5, QUOTE: 7, TRADES: 8, TAKER: 9, TAKER_QUOTE: 10}
_PRICES, _BASES, _QUOTES = (1, 2, 3, 4), (5, 9), (7, 10)
_WIDTH = 12
#: Times at or above this are in microseconds.
_MICROSECONDS = 100_000_000_000_000
#: One line in so many is looked at for decimals and steps.
_SAMPLE = 25
#: Numbers of smallest units below this come out right by way of floats; no sum may reach the other: sums are
#: made in 64 bits, with one to spare.
_EXACT, _COUNTED = 2.0**50, 2.0**62
#: Months kept: parsed ones of 3.5 MB each, and those split into lines, of 6 MB each.
_MOST_MONTHS, _MOST_TEXTS = 32, 12
#: The clock starts so long before the end of the data.
_BEFORE_END = 7 * DAY - 12 * HOUR


@dataclass(frozen=True)
class _File:
    """A monthly zip and what was seen in it."""

    path: Path
    symbol: str
    month: str
    first: int  # open time of the first and of the last row, ms, as recorded
    last: int
    decimals: tuple[int, int, int]  # of prices, base volumes, quote volumes
    tick: int  # greatest common steps of the sampled prices and volumes, in units of ``decimals``
    step: int
    most: tuple[float, float, float]  # the highest price, and what a UTC day sums up to of both volumes


@dataclass(frozen=True)
class _Recording:
    """All months of a symbol, and how much later (ms) than recorded they are shown."""

    instrument: Instrument
    files: Sequence[_File]
    shift: int


@dataclass(frozen=True)
class _Text:
    """The lines of a month, and their open times as recorded, ms."""

    lines: Sequence[bytes]
    times: Ints


T = TypeVar("T")


class _Recent(Generic[T]):
    """What was made of the files that were used last; any thread may ask."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Path, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path, make: Callable[[Path], T]) -> T:
        """What is kept of a file, or else is made of it now."""
        with self._lock:
            if (known := self._kept.get(path)) is not None:
                self._kept.move_to_end(path)
                return known
            made = self._kept[path] = make(path)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return made


class RecordedMarket:
    """See the module; made by :func:`recorded_market`."""

    def __init__(
        self, recordings: Mapping[str, _Recording], listed_only: Sequence[Instrument], start: int, end: int
    ) -> None:
        self.instruments: Mapping[str, Instrument] = {
            **{symbol: recording.instrument for symbol, recording in recordings.items()},
            **{instrument.symbol: instrument for instrument in listed_only},
        }
        self.symbols = tuple(recordings)
        self.start: int | None = start
        self.end: int | None = end
        self._recordings = recordings
        self._months = _Recent[Minutes](_MOST_MONTHS)
        self._texts = _Recent[_Text](_MOST_TEXTS)

    @property
    def notes(self) -> Sequence[str]:
        """Which recordings are shown at another time, and where time ends."""
        shifted = [
            f"{symbol}: recorded {rfc3339(r.files[0].first)[:10]}..{rfc3339(r.files[-1].last)[:10]}, "
            f"shown {r.shift // DAY} days later"
            for symbol, r in self._recordings.items()
            if r.shift
        ]
        assert self.end is not None
        return (*shifted, f"the recorded data ends at {rfc3339(self.end)}; exchange time stops there")

    def minutes(self, symbol: str, start: int, end: int) -> Minutes:
        """Reads recorded candles, at the times they are shown at.

        Args:
            symbol: any name.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            The candles in order; none for a symbol that is not recorded.
        """
        recording = self._recordings.get(symbol)
        if recording is None:
            return no_minutes()
        shift = recording.shift
        parts = []
        for file in _overlapping(recording, start, end):
            month = self._months.get(file.path, partial(_parse, instrument=recording.instrument))
            left, right = np.searchsorted(month.times, (start - shift, end - shift))
            parts.append(Minutes(month.times[left:right] + shift, month.values[left:right]))
        if not parts:
            return no_minutes()
        if len(parts) == 1:
            return parts[0]
        return Minutes(np.concatenate([p.times for p in parts]), np.concatenate([p.values for p in parts]))

    def archive_lines(self, symbol: str, start: int, end: int) -> bytes:
        """Reads the recorded lines; numbers stay as they are, times move with the shift.

        Args:
            symbol: any name.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            CSV lines without a header.
        """
        recording = self._recordings.get(symbol)
        if recording is None:
            return b""
        shift = recording.shift
        chosen: list[bytes] = []
        for file in _overlapping(recording, start, end):
            text = self._texts.get(file.path, _text)
            inside = (text.times >= start - shift) & (text.times < end - shift)
            chosen += [_later(text.lines[at], shift) for at in np.flatnonzero(inside).tolist()]
        return b"\n".join([*chosen, b""])

    def archive_month(self, symbol: str, month: str) -> tuple[bytes, bytes | None] | None:
        """Reads the recorded zip of a month.

        Args:
            symbol: any name.
            month: the month, "YYYY-MM".

        Returns:
            The zip and its checksum file if any; None if the recording is shifted or lacks the month.
        """
        recording = self._recordings.get(symbol)
        if recording is None or recording.shift:
            return None
        for file in recording.files:
            if file.month == month:
                checksum = file.path.with_name(file.path.name + ".CHECKSUM")
                return file.path.read_bytes(), checksum.read_bytes() if checksum.exists() else None
        return None


def _overlapping(recording: _Recording, start: int, end: int) -> list[_File]:
    shift = recording.shift
    return [f for f in recording.files if f.first + shift < end and start <= f.last + shift]


def _read(path: Path) -> bytes:
    """The text in a zip.

    Raises:
        ValueError: if it cannot be read, naming the file.
    """
    try:
        with zipfile.ZipFile(path) as source:
            names = [name for name in source.namelist() if name.endswith(".csv")]
            if len(names) != 1:
                raise ValueError(f"it holds {len(names)} CSV files, not one")
            return source.read(names[0])
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): delete it, or download it again from data.binance.vision"
        ) from error


def _lines(text: bytes) -> list[bytes]:
    lines = text.split()
    return lines[1:] if lines and not lines[0][:1].isdigit() else lines


def _text(path: Path) -> _Text:
    lines = _lines(_read(path))
    return _Text(lines, np.array([_ms(int(line.partition(b",")[0])) for line in lines], np.int64))


def _later(line: bytes, shift: int) -> bytes:
    """A line with its times ``shift`` ms later, in its own unit."""
    if not shift:
        return line
    fields = line.split(b",", _WIDTH - 1)
    for at in (0, 6):
        time = int(fields[at])
        fields[at] = b"%d" % (time + shift * (1000 if time >= _MICROSECONDS else 1))
    return b",".join(fields)


def _ms(moment: int) -> int:
    return moment // 1000 if moment >= _MICROSECONDS else moment


def _look(path: Path, symbol: str, month: str) -> _File:
    """Reads a file once for its range, decimals and steps."""
    lines = _lines(_read(path))
    try:
        if not lines:
            raise ValueError("it holds no candles")
        sample = [line.decode().split(",") for line in [*lines[::_SAMPLE], lines[-1]]]
        decimals = [
            max(units(fields[c])[1] for fields in sample for c in group)
            for group in (_PRICES, _BASES, _QUOTES)
        ]
        steps = [
            math.gcd(*(_whole(fields[c], places) for fields in sample for c in group))
            for group, places in ((_PRICES, decimals[0]), (_BASES, decimals[1]))
        ]
        times = [int(line.partition(b",")[0]) for line in lines]
        first, last = _ms(min(times)), _ms(max(times))
        numbers = _numbers(lines)
        days = np.array([_ms(time) // DAY for time in times]) - first // DAY
        most = [
            max(float(numbers[:, field].max()) for field in _PRICES),
            *(
                max(float(np.bincount(days, weights=numbers[:, field]).max()) for field in group)
                for group in (_BASES, _QUOTES)
            ),
        ]
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} does not hold candles of a minute ({error}): remove it") from error
    return _File(
        path,
        symbol,
        month,
        first,
        last,
        (decimals[0], decimals[1], decimals[2]),
        steps[0],
        max(steps[1], 1),
        (most[0], most[1], most[2]),
    )


def _numbers(lines: Sequence[bytes]) -> NDArray[np.float64]:
    """All lines as a matrix.

    Raises:
        ValueError: they differ in length, or hold what is no number.
    """
    return np.fromstring(b",".join(lines), sep=",").reshape(len(lines), -1)


def _whole(text: str, places: int) -> int:
    number, decimals = units(text)
    return number * int(10 ** (places - decimals))


def _parse(path: Path, instrument: Instrument) -> Minutes:
    """A month as integers of the instrument's units, in order, without duplicates."""
    lines = _lines(_read(path))
    try:
        numbers = _numbers(lines)
    except ValueError as error:
        raise ValueError(f"{path} has lines of differing length: remove it") from error
    times: Ints = numbers[:, 0].astype(np.int64)
    times = np.where(times >= _MICROSECONDS, times // 1000, times)
    values = np.empty((len(times), COLUMNS), np.int64)
    places = {
        **dict.fromkeys(_PRICES, instrument.price_decimals),
        **dict.fromkeys(_BASES, instrument.quantity_decimals),
        **dict.fromkeys(_QUOTES, instrument.quote_decimals),
    }
    for column, field in _FIELDS.items():
        scale = places.get(field, 0)
        scaled = np.rint(numbers[:, field] * 10.0**scale)
        if scaled.max() < _EXACT:
            values[:, column] = scaled
        else:
            texts = [line.split(b",", field + 1)[field].decode() for line in lines]
            values[:, column] = [int(Decimal(text).scaleb(scale).to_integral_value()) for text in texts]
    kept, index = np.unique(times, return_index=True)
    return Minutes(kept, values[index])


def _scan(folder: Path, symbols: Sequence[str] | None) -> dict[str, list[_File]]:
    """The files of the symbols wanted, months in order."""
    if not folder.is_dir():
        raise ValueError(
            f"there is no folder {folder}: name one that holds monthly zips such as BTCUSDT-1m-2026-02.zip"
        )
    named = sorted((m["symbol"], m["month"], p) for p in folder.iterdir() if (m := _NAME.fullmatch(p.name)))
    if not named:
        raise ValueError(
            f"{folder} holds no file named like BTCUSDT-1m-2026-02.zip: put monthly 1m zips from "
            "data.binance.vision there"
        )
    there = list(dict.fromkeys(symbol for symbol, _, _ in named))
    wanted = chosen(symbols, there)
    absent = [symbol for symbol in wanted if symbol not in there]
    if absent or not wanted:
        raise ValueError(
            f"{folder} has no candles of {', '.join(absent) or 'no symbol'}: "
            f"choose among {', '.join(there)}, or add its monthly zips"
        )
    return {
        symbol: [_look(path, symbol, month) for name, month, path in named if name == symbol]
        for symbol in wanted
    }


def _instrument(symbol: str, files: Sequence[_File], shift: int) -> Instrument:
    price, base, quote = (max(f.decimals[i] for f in files) for i in range(3))
    for i, (what, places) in enumerate((("prices", price), ("volumes", base), ("quote volumes", quote))):
        largest = max(files, key=lambda file: file.most[i])
        if largest.most[i] * 10.0**places >= _COUNTED:
            raise ValueError(
                f"{largest.path} has {what} up to {largest.most[i]:,.0f}{' a day' if i else ''}, "
                f"too large to be counted with the {places} decimals that the files of {symbol} have: "
                "remove it, or write them with fewer"
            )
    tick = math.gcd(*(f.tick * 10 ** (price - f.decimals[0]) for f in files))
    step = math.gcd(*(f.step * 10 ** (base - f.decimals[1]) for f in files))
    money = next((q for q in QUOTES if symbol.endswith(q)), "")
    return Instrument(
        symbol,
        symbol.removesuffix(money),
        money,
        price,
        base,
        quote,
        tick,
        step,
        onboard=files[0].first + shift,
    )


def recorded_market(folder: Path, symbols: Sequence[str] | None = None) -> RecordedMarket:
    """A market of the real candles in ``folder``: ``SYMBOL-1m-YYYY-MM.zip``, with or without ``.CHECKSUM``.

    Args:
        folder: where the zips lie.
        symbols: which of them to list, patterns too; None or ``ALL`` for all.

    Returns:
        The market; files are parsed when they are first read.

    Raises:
        ValueError: if the folder is not there or holds no such files, a symbol is not among them, or a zip
            cannot be read; the message contains the remedy.
    """
    found = _scan(folder, symbols)
    last_day = max(files[-1].last // DAY for files in found.values())
    recordings: dict[str, _Recording] = {}
    for symbol, files in found.items():
        shift = (last_day - files[-1].last // DAY) * DAY
        recordings[symbol] = _Recording(_instrument(symbol, files, shift), files, shift)

    ends = [r.files[-1].last + r.shift + MINUTE for r in recordings.values()]
    begin = max(r.instrument.onboard for r in recordings.values())
    common_end = min(ends)
    start = common_end - _BEFORE_END
    if common_end - begin < 7 * DAY:
        start = begin + (common_end - begin) * 3 // 4
        start -= start % MINUTE
    as_of: date = datetime.fromtimestamp(start / 1000, UTC).date()
    like = next(iter(recordings.values())).instrument
    listed_only = [quarterly(like, as_of)]
    if LEAVING not in recordings:
        listed_only.append(settling(like, as_of))
    return RecordedMarket(recordings, listed_only, start, max(ends))
