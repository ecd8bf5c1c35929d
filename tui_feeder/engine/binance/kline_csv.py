"""The CSV inside a kline archive as rows. Pure.

Old files have no header, new ones a short or a long one; futures times are ms, but a microsecond
file must not become candles of the year 50,000.
"""

from __future__ import annotations

import msgspec
import numpy as np

from tui_feeder.engine.candle import ROW, Rows

_COLUMNS = 12
_SLICE = 16 * 1024  # bytes decoded in one go: holds the interpreter for about 0.1 ms
_MICROSECONDS = 1e14
_FIELDS = {
    "open_time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5,
    "quote_volume": 7, "trades": 8, "taker_buy_volume": 9, "taker_buy_quote_volume": 10,
}  # fmt: skip
_floats = msgspec.json.Decoder(list[float])


class CsvError(ValueError):
    """The text is not a kline CSV."""


def parse(text: bytes) -> Rows:
    """Every row of the file in its order, unchecked for invariants, as dtype ROW.

    Raises:
        CsvError: a line has not twelve numbers, or a time makes no sense.
    """
    if b"\r" in text:
        text = text.replace(b"\r", b"")
    start = 0
    if text[:1].isalpha():
        start = text.find(b"\n") + 1 or len(text)
    slices = []
    while start < len(text):
        stop = text.find(b"\n", start + _SLICE) + 1 or len(text)
        lines = text[start:stop].strip(b"\n")
        start = stop
        if not lines:
            continue
        try:
            numbers = np.array(_floats.decode(b"[" + lines.replace(b"\n", b",") + b"]"))
            slices.append(numbers.reshape(-1, _COLUMNS))
        except (msgspec.DecodeError, ValueError) as error:
            raise CsvError(f"not a kline CSV near byte {stop - len(lines)}: {error}") from error
        if len(slices[-1]) != lines.count(b"\n") + 1:
            raise CsvError(f"a line near byte {stop - len(lines)} has not {_COLUMNS} columns")
    if not slices:
        return np.empty(0, dtype=ROW)
    table = np.concatenate(slices)
    times = table[:, 0].copy()
    times[times >= _MICROSECONDS] = np.floor(times[times >= _MICROSECONDS] / 1000)
    if not (np.isfinite(times).all() and (times > 0).all() and (times < _MICROSECONDS).all()):
        raise CsvError("an open time is not a time")
    rows = np.empty(len(table), dtype=ROW)
    for name, column in _FIELDS.items():
        rows[name] = times if name == "open_time" else table[:, column]
    return rows


def in_order(rows: Rows) -> Rows:
    """The rows sorted by time; of rows of the same minute the last one in the file."""
    times = rows["open_time"]
    if len(rows) < 2 or (np.diff(times) > 0).all():
        return rows
    ordered = rows[np.argsort(times, kind="stable")]
    last = np.append(np.diff(ordered["open_time"]) > 0, True)
    kept: Rows = ordered[last]
    return kept
