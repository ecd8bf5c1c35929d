"""The CSV inside a kline archive as rows. Pure.

Old files have no header, new ones a short or a long one; futures times are ms, but a microsecond
file must not become candles of the year 50,000.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.candle import MINUTE_MS, ROW, Rows

_SLICE = 16 * 1024  # bytes decoded in one go: holds the interpreter for about 0.1 ms
_MICROSECONDS = 1e14
_CLOSE_TIME = 6
_FIELDS = {
    "open_time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5,
    "quote_volume": 7, "trades": 8, "taker_buy_volume": 9, "taker_buy_quote_volume": 10,
}  # fmt: skip
_COLUMNS = 12
_numbers = msgspec.json.Decoder(list[float | None])


class CsvError(ValueError):
    """The text is not a kline CSV."""


def parse(text: bytes, interval_ms: int = MINUTE_MS) -> Rows:
    """Every row of the file in its order, unchecked for the invariants of prices, as dtype ROW.

    Args:
        text: the whole file.
        interval_ms: length of its candles.

    Raises:
        CsvError: a line has not twelve numbers, a time or a count makes no sense, or a candle does
            not close an interval after it opens.
    """
    if b"\r" in text:
        text = text.replace(b"\r", b"")
    start = 0
    if text[:1].isalpha():
        start = text.find(b"\n") + 1 or len(text)
        if text.count(b",", 0, start) != _COLUMNS - 1:
            raise CsvError("it begins with neither a candle nor a header")
    slices = []
    while start < len(text):
        stop = text.find(b"\n", start + _SLICE) + 1 or len(text)
        lines = text[start:stop].strip(b"\n")
        try:
            if lines:
                slices.append(_table(lines))
        except (msgspec.DecodeError, ValueError) as error:
            raise CsvError(f"not a kline CSV between bytes {start} and {stop}: {error}") from error
        start = stop
    if not slices:
        return np.empty(0, dtype=ROW)
    table = np.concatenate(slices)
    times, ends = _milliseconds(table[:, 0]), _milliseconds(table[:, _CLOSE_TIME])
    if not ((times > 0) & (times < _MICROSECONDS) & (times % 1 == 0)).all():
        raise CsvError("an open time is not a time")
    if not (ends == times + (interval_ms - 1)).all():
        at = int(np.flatnonzero(ends != times + (interval_ms - 1))[0])
        raise CsvError(f"the candle of {int(times[at])} does not close {interval_ms} ms after it opens")
    trades = table[:, _FIELDS["trades"]]
    if not ((trades % 1 == 0) & (np.abs(trades) < 1 << 53)).all():
        raise CsvError("a count of trades is not a whole number")
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
        or len(numbers) != (_COLUMNS + 1) * breaks + _COLUMNS
    ):
        raise ValueError(f"a line has not {_COLUMNS} columns")
    del numbers[_COLUMNS :: _COLUMNS + 1]
    return np.array(numbers, dtype=np.float64).reshape(-1, _COLUMNS)


def _milliseconds(times: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(times >= _MICROSECONDS, np.floor(times / 1000), times)


def in_order(rows: Rows) -> Rows:
    """The rows sorted by time; of rows of the same minute the last one in the file."""
    times = rows["open_time"]
    if len(rows) < 2 or (np.diff(times) > 0).all():
        return rows
    ordered = rows[np.argsort(times, kind="stable")]
    last = np.append(np.diff(ordered["open_time"]) > 0, True)
    kept: Rows = ordered[last]
    return kept
