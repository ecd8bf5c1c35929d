"""Matrices of integers to decimal text, a whole file at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tui_feeder.simulator.contracts import as_printed
from tui_feeder.simulator.market import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    QUOTE,
    TAKER,
    TAKER_QUOTE,
    TRADES,
    VOLUME,
    Instrument,
    Ints,
    Minutes,
    decimal,
)

_ZERO = ord("0")
#: From so many rows on it is quicker to make all digits of a column at once.
_MANY = 48


def table(
    columns: Sequence[Ints], decimals: Sequence[int], marks: Sequence[bytes], *, bare_zero: bool
) -> bytes:
    """Formats rows of decimals as text: mark 0, column 0, mark 1, column 1, ... last mark, for each row.

    Args:
        columns: arrays of one length, of numbers >= 0 in smallest units.
        decimals: digits after the point, per column.
        marks: the text before each column, and one more after the last.
        bare_zero: print a zero as ``0``, as archive files do, instead of ``0.000``.

    Returns:
        ASCII text of all rows.
    """
    rows = len(columns[0])
    if rows < _MANY or any(column.dtype == object for column in columns):
        return _few(columns, decimals, marks, bare_zero=bare_zero)
    parts: list[NDArray[np.uint8]] = []
    keeps: list[NDArray[np.bool_]] = []
    for column, places, mark in zip(columns, decimals, marks, strict=False):
        _literal(parts, keeps, mark, rows)
        _number(parts, keeps, column, places, bare_zero)
    _literal(parts, keeps, marks[-1], rows)
    text = np.stack(parts, axis=1)
    return text[np.stack(keeps, axis=1)].tobytes()


def _few(
    columns: Sequence[Ints], decimals: Sequence[int], marks: Sequence[bytes], *, bare_zero: bool
) -> bytes:
    """What :func:`table` gives, number by number."""
    texts = [
        [b"0" if bare_zero and not value else decimal(value, places).encode() for value in column.tolist()]
        for column, places in zip(columns, decimals, strict=True)
    ]
    pairs = (
        (mark, text)
        for row in zip(*texts, strict=True)
        for mark, text in zip(marks, (*row, b""), strict=True)
    )
    return b"".join(part for pair in pairs for part in pair)


def _literal(parts: list[NDArray[np.uint8]], keeps: list[NDArray[np.bool_]], mark: bytes, rows: int) -> None:
    always = np.broadcast_to(np.True_, rows)
    for byte in mark:
        parts.append(np.broadcast_to(np.uint8(byte), rows))
        keeps.append(always)


def _number(
    parts: list[NDArray[np.uint8]], keeps: list[NDArray[np.bool_]], column: Ints, places: int, bare_zero: bool
) -> None:
    width = max(len(str(int(column.max()))), places + 1)
    always = np.broadcast_to(np.True_, len(column))
    fraction = column != 0 if bare_zero else always
    digits: list[NDArray[np.uint8]] = []
    rest = column
    for _ in range(width):
        quotient = rest // 10
        digits.append((rest - quotient * 10 + _ZERO).astype(np.uint8))
        rest = quotient
    for power in range(width - 1, -1, -1):
        if power == places - 1:
            parts.append(np.broadcast_to(np.uint8(ord(".")), len(column)))
            keeps.append(fraction)
        parts.append(digits[power])
        if power > places:
            keeps.append(column >= 10**power)
        else:
            keeps.append(always if power == places else fraction)


#: Order of the columns in a REST row and in an archive line, between open and close time and after.
_BEFORE_CLOSE_TIME = (OPEN, HIGH, LOW, CLOSE, VOLUME)
_AFTER_CLOSE_TIME = (QUOTE, TRADES, TAKER, TAKER_QUOTE)
_REST_MARKS = (b"[", b',"', b'","', b'","', b'","', b'","', b'",', b',"', b'",', b',"', b'","', b'","0"],')
_ARCHIVE_MARKS = (b"", *(b",",) * 10, b",0\n")


def _columns(block: Minutes, instrument: Instrument, interval: int) -> tuple[list[Ints], list[int]]:
    values, price, quantity, quote = as_printed(block.values, instrument)
    columns = [
        block.times,
        *(values[:, c] for c in _BEFORE_CLOSE_TIME),
        block.times + (interval - 1),
        *(values[:, c] for c in _AFTER_CLOSE_TIME),
    ]
    return columns, [0, price, price, price, price, quantity, 0, quote, 0, quantity, quote]


def rest_rows(block: Minutes, instrument: Instrument, interval: int) -> bytes:
    """Formats the body of a klines response: a JSON list of rows of decimal strings.

    Args:
        block: the candles.
        instrument: the symbol's decimals.
        interval: length of a candle, ms.

    Returns:
        The JSON body.
    """
    columns, decimals = _columns(block, instrument, interval)
    return b"[" + table(columns, decimals, _REST_MARKS, bare_zero=False)[:-1] + b"]"


def archive_rows(block: Minutes, instrument: Instrument, interval: int) -> bytes:
    """Formats lines of an archive file as the real files have them: fixed decimals, a zero as ``0``.

    Args:
        block: the candles.
        instrument: the symbol's decimals.
        interval: length of a candle, ms.

    Returns:
        CSV lines without a header.
    """
    columns, decimals = _columns(block, instrument, interval)
    return table(columns, decimals, _ARCHIVE_MARKS, bare_zero=True)
