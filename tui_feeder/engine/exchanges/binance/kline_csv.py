"""The CSV inside a kline archive as rows. Pure.

Old files have no header, new ones a short or a long one; futures times are ms, but a microsecond
file must not become candles of the year 50,000.

A slice's numbers are decoded as one JSON array. Of a month (40,320 lines) simdjson takes 8 ms of a
processor, as it makes no object of a number, and msgspec 22, which reads the lines that are odd, and
everything where there is no wheel of simdjson. Before it NumPy on the digits themselves was tried (1.06
times as long as msgspec), orjson (0.94 times), and a parser in C of our own (0.4 times).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Rows
from tui_feeder.engine.exchanges.base import RefusedLine
from tui_feeder.errors import ExchangeFailure

_HAS_SIMDJSON = find_spec("simdjson") is not None
if _HAS_SIMDJSON:
    import simdjson

#: Bytes decoded in one go: about half a millisecond. A thread that waits for the interpreter is given it when
#: nobody has let go of it for the switch interval; NumPy lets go of it for some microseconds at each large
#: array, too short to be taken, but the wait begins anew: with slices of 0.1 ms other threads waited for the
#: whole of a file, up to 40 ms.
_SLICE = 256 * 1024
_MICROSECONDS = 1e14
_CLOSE_TIME = 6
_FIELDS = {
    "open_time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5,
    "quote_volume": 7, "trades": 8, "taker_buy_volume": 9, "taker_buy_quote_volume": 10,
}  # fmt: skip
_COLUMNS = 12
#: A file is refused whole when more than one line in so many is no candle.
_BAD_SHARE = 10
#: So many bad lines are no accident: the rest of the file is not looked at.
_BAD_AT_ONCE = 10_000
_numbers = msgspec.json.Decoder(list[float | None])
#: Stands for a newline among numbers: the largest double, which is in no candle.
_BREAK = -1.7976931348623157e308
_BREAK_TEXT = f",{_BREAK!r},".encode()


class CsvError(ExchangeFailure, ValueError):
    """The text is not a kline CSV."""


class Parsed(NamedTuple):
    """The candles of a file in its order, unchecked for the invariants of prices, and its other lines."""

    rows: Rows
    refused: tuple[RefusedLine, ...]


def parse(text: bytes, interval_ms: int = MINUTE_MS, *, may_end_early: bool = False) -> Parsed:
    """Parses every row of a file in its order; lines that are no candles are set aside.

    A line is no candle when it has not twelve numbers, when a time or a count makes no sense, or when it
    does not close an interval after it opens, or before that where this may be.

    Args:
        text: the whole file.
        interval_ms: length of its candles.
        may_end_early: whether a candle may end before its interval is over, as before an outage.

    Returns:
        Rows of dtype ROW, and the lines set aside.

    Raises:
        CsvError: more than one line in ten is no candle.
    """
    if b"\r" in text:
        text = text.replace(b"\r", b"")
    start = 0
    if text[:1].isalpha():
        start = text.find(b"\n") + 1 or len(text)
        if text.count(b",", 0, start) != _COLUMNS - 1:
            raise CsvError("it begins with neither a candle nor a header")
    lengths = range(2 if may_end_early else interval_ms, interval_ms + 1)
    read = _regular_table if _HAS_SIMDJSON else _table
    try:
        tables = [read(lines) for lines in _slices(text, start)]
        if not tables:
            return Parsed(np.empty(0, dtype=ROW), ())
        return Parsed(_rows(np.concatenate(tables), lengths), ())
    except (msgspec.DecodeError, ValueError):
        return _line_by_line(text, start, lengths)


def _slices(text: bytes, start: int) -> Iterator[bytes]:
    """The lines from ``start`` on, some at a time."""
    while start < len(text):
        stop = text.find(b"\n", start + _SLICE) + 1 or len(text)
        if lines := text[start:stop].strip(b"\n"):
            yield lines
        start = stop


def _line_by_line(text: bytes, start: int, lengths: range) -> Parsed:
    """What :func:`parse` gives, for a file some lines of which are no candles."""
    found: list[Rows] = []
    refused: list[RefusedLine] = []
    for lines in _slices(text, start):
        try:
            found.append(_rows(_table(lines), lengths))
        except (msgspec.DecodeError, ValueError):
            for line in lines.split(b"\n"):
                _add_line(line, lengths, found, refused)
            if len(refused) > _BAD_AT_ONCE:
                break
    if len(refused) > min(_BAD_AT_ONCE, (sum(map(len, found)) + len(refused)) // _BAD_SHARE):
        raise CsvError(
            f"not a kline CSV, {len(refused)} lines are no candles; the first: {refused[0].reason}"
        )
    return Parsed(np.concatenate(found), tuple(refused))


def _add_line(line: bytes, lengths: range, found: list[Rows], refused: list[RefusedLine]) -> None:
    """One line, to the candles or to what is refused."""
    try:
        found.append(_rows(_table(line), lengths))
    except (msgspec.DecodeError, ValueError) as error:
        text = line.partition(b",")[0]
        stated = int(text) if text.isdigit() and len(text) < 17 else 0
        stated = stated // 1000 if stated >= _MICROSECONDS else stated
        if not stated and found:
            stated = int(found[-1]["open_time"][-1]) + lengths[-1]
        refused.append(RefusedLine(stated, line, str(error)))


def _rows(table: NDArray[np.float64], lengths: range) -> Rows:
    """Lines of twelve numbers as rows; ValueError if one of them is no candle."""
    times, ends = _milliseconds(table[:, 0]), _milliseconds(table[:, _CLOSE_TIME])
    if not ((times > 0) & (times < _MICROSECONDS) & (times % 1 == 0)).all():
        raise ValueError("its open time is not a time")
    took = ends - times + 1
    if not ((took >= lengths[0]) & (took <= lengths[-1])).all():
        raise ValueError(f"it does not close {lengths[-1]} ms after it opens")
    trades = table[:, _FIELDS["trades"]]
    if not ((trades % 1 == 0) & (np.abs(trades) < 1 << 53)).all():
        raise ValueError("its count of trades is not a whole number")
    rows = np.empty(len(table), dtype=ROW)
    for name, column in _FIELDS.items():
        rows[name] = times if name == "open_time" else table[:, column]
    return rows


def _table(lines: bytes) -> NDArray[np.float64]:
    """Lines of exactly twelve numbers as an array of shape (lines, 12).

    A null stands for each newline, so that a short line can't borrow from the one after it.
    """
    breaks = lines.count(b"\n")
    numbers = _numbers.decode(b"[" + lines.replace(b"\n", b",null,") + b"]")
    if (
        numbers[_COLUMNS :: _COLUMNS + 1].count(None) != breaks
        or numbers.count(None) != breaks  # else a null would be a price that is no number
        or len(numbers) != (_COLUMNS + 1) * breaks + _COLUMNS
    ):
        raise ValueError(f"it has not {_COLUMNS} columns")
    del numbers[_COLUMNS :: _COLUMNS + 1]
    return np.array(numbers, dtype=np.float64).reshape(-1, _COLUMNS)


def _regular_table(lines: bytes) -> NDArray[np.float64]:
    """What :func:`_table` gives, where each line has twelve numbers below 2^64; ValueError elsewhere."""
    if b"[" in lines:
        raise ValueError("it has lists")  # which would be read as the numbers in them
    try:
        found = simdjson.Parser().parse(b"[%b%b]" % (lines.replace(b"\n", _BREAK_TEXT), _BREAK_TEXT[:-1]))
        if not isinstance(found, simdjson.Array):
            raise ValueError("it has objects")
        numbers = np.frombuffer(found.as_buffer(of_type="d"), dtype=np.float64)
    except (TypeError, RuntimeError) as error:  # no number, or a whole one that is too large
        raise ValueError(str(error)) from error
    table = numbers.reshape(-1, _COLUMNS + 1)
    if (table[:, _COLUMNS] != _BREAK).any() or (table[:, :_COLUMNS] == _BREAK).any():
        raise ValueError(f"it has not {_COLUMNS} columns")
    return table[:, :_COLUMNS]


def _milliseconds(times: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(times >= _MICROSECONDS, np.floor(times / 1000), times)


def in_order(rows: Rows) -> Rows:
    """Sorts rows by time; of rows of the same minute the last one in the file stays.

    Args:
        rows: shape (n,), dtype ROW, in the order of the file.

    Returns:
        Rows with strictly ascending times.
    """
    times = rows["open_time"]
    if len(rows) < 2 or (np.diff(times) > 0).all():
        return rows
    ordered = rows[np.argsort(times, kind="stable")]
    last = np.append(np.diff(ordered["open_time"]) > 0, True)
    kept: Rows = ordered[last]
    return kept
