"""A day of minutes as one compact block of bytes, and back, bit for bit.

Exchange numbers are decimals of few digits. A column is kept as whole numbers of its smallest
decimal unit when dividing them by that power of ten gives back every float exactly, else as raw
float64. Prices become differences (open from the previous close, high and low from the body),
and every column takes only as many bytes a value as its largest one needs. Measured on real
months: see ``python -m benchmarks.history``.

Block, little-endian::

    u8 version | u16 rows | u16 first minute of day | u8 flags | [180-byte bitmap of minutes]
    | sources: 1 byte, or one a row | per column: u8 kind | u8 width | rows * width bytes

``kind`` is the power of ten, or 255 for raw float64.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.candle import DAY_MS, MINUTE_MS, MINUTES_PER_DAY, ROW, Rows

VERSION = 1
_HEAD = struct.Struct("<BHHB")
_HOLES = 1
_MIXED_SOURCES = 2
_RAW = 255
_MAX_EXPONENT = 10
_EXACT = 1 << 53
_TENS = [10.0**k for k in range(_MAX_EXPONENT + 1)]
_VOLUMES = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")

Ints = NDArray[np.int64]
Sources = NDArray[np.uint8]


class BlockError(ValueError):
    """The bytes are not a block this version can read."""


def _as_units(values: NDArray[np.float64]) -> tuple[int, Ints] | None:
    """``(k, n)`` with ``n / 10**k == values`` exactly and the smallest such k, or None."""
    flat = values.ravel()
    probe = flat[:: max(1, len(flat) // 16)]
    for k in range(_MAX_EXPONENT + 1):
        ten = _TENS[k]
        if not np.array_equal(np.rint(probe * ten) / ten, probe):
            continue
        units = np.rint(flat * ten)
        if np.abs(units).max() < _EXACT and np.array_equal(units / ten, flat):
            # -0.0 would come back as 0.0: such a column stays raw.
            if np.signbit(flat[units == 0]).any():
                return None
            return k, units.astype(np.int64).reshape(values.shape)
    return None


def _pack(kind: int, signed: Ints) -> bytes:
    """A column of whole numbers in the least bytes a value, zigzag so that signs cost one bit."""
    zigzag = (signed << 1) ^ (signed >> 63)
    top = int(zigzag.max())
    width = (top.bit_length() + 7) // 8
    planes = np.ascontiguousarray(zigzag).view(np.uint8).reshape(-1, 8)[:, :width]
    return bytes((kind, width)) + planes.tobytes()


def _pack_raw(values: NDArray[np.float64]) -> bytes:
    return bytes((_RAW, 8)) + np.ascontiguousarray(values).tobytes()


def encode(rows: Rows, sources: Sources) -> bytes:
    """``rows`` (dtype ROW, one UTC day, sorted, unique, not empty) and a source a row, as a block.

    Raises:
        ValueError: the rows are empty, not of one day, not sorted, or not one source a row.
    """
    times = rows["open_time"]
    if not len(rows) or len(rows) != len(sources):
        raise ValueError("a block needs at least one row and one source a row")
    day = int(times[0]) // DAY_MS
    minutes = (times - day * DAY_MS) // MINUTE_MS
    if int(times[-1]) // DAY_MS != day or (len(rows) > 1 and np.diff(minutes).min() < 1):
        raise ValueError("the rows of a block must be of one day, sorted, without duplicates")
    first, count = int(minutes[0]), len(rows)
    flags = 0
    if int(minutes[-1]) - first + 1 != count:
        flags |= _HOLES
    if sources.min() != sources.max():
        flags |= _MIXED_SOURCES
    out = [_HEAD.pack(VERSION, count, first, flags)]
    if flags & _HOLES:
        bitmap = np.zeros(MINUTES_PER_DAY, dtype=np.uint8)
        bitmap[minutes] = 1
        out.append(np.packbits(bitmap).tobytes())
    out.append(sources.astype(np.uint8).tobytes() if flags & _MIXED_SOURCES else bytes((int(sources[0]),)))

    prices = np.stack([rows["open"], rows["high"], rows["low"], rows["close"]])
    units = _as_units(prices)
    if units is None:
        out.extend(_pack_raw(column) for column in prices)
    else:
        k, (o, h, low, c) = units
        step = o.copy()
        step[1:] -= c[:-1]
        out.append(_pack(k, step))
        out.append(_pack(k, h - np.maximum(o, c)))
        out.append(_pack(k, np.minimum(o, c) - low))
        out.append(_pack(k, c - o))
    for name in _VOLUMES:
        column = np.ascontiguousarray(rows[name])
        counted = _as_units(column)
        out.append(_pack_raw(column) if counted is None else _pack(*counted))
    out.append(_pack(0, rows["trades"]))
    return b"".join(out)


def decode(day: int, block: bytes | memoryview) -> tuple[Rows, Sources]:
    """The rows and sources of the block of UTC day ``day`` (ms of its midnight).

    Raises:
        BlockError: the bytes are cut short, or of another version.
    """
    view = memoryview(block)
    try:
        version, count, first, flags = _HEAD.unpack_from(view)
        if version != VERSION:
            raise BlockError(f"block version {version}, this program reads {VERSION}")
        at = _HEAD.size
        rows = np.empty(count, dtype=ROW)
        if flags & _HOLES:
            bitmap = np.unpackbits(np.frombuffer(view, np.uint8, MINUTES_PER_DAY // 8, at))
            rows["open_time"] = day + np.flatnonzero(bitmap) * MINUTE_MS
            at += MINUTES_PER_DAY // 8
        else:
            rows["open_time"] = day + np.arange(first, first + count, dtype=np.int64) * MINUTE_MS
        if flags & _MIXED_SOURCES:
            sources = np.frombuffer(view, np.uint8, count, at).copy()
            at += count
        else:
            sources = np.full(count, view[at], dtype=np.uint8)
            at += 1
        columns: list[tuple[int, Any]] = []
        for _ in range(9):
            kind, width = view[at], view[at + 1]
            at += 2
            if kind == _RAW:
                columns.append((kind, np.frombuffer(view, "<f8", count, at)))
            else:
                planes = np.zeros((count, 8), dtype=np.uint8)
                planes[:, :width] = np.frombuffer(view, np.uint8, count * width, at).reshape(count, width)
                zigzag = planes.view(np.int64)[:, 0]
                columns.append((kind, (zigzag >> 1) ^ -(zigzag & 1)))
            at += count * width
    except (struct.error, ValueError, IndexError) as error:
        if isinstance(error, BlockError):
            raise
        raise BlockError(f"a block of {len(view)} bytes is cut short or damaged: {error}") from error
    (kind, o), (_, h), (_, low), (_, c) = columns[:4]
    if kind == _RAW:
        rows["open"], rows["high"], rows["low"], rows["close"] = o, h, low, c
    else:
        ten = _TENS[kind]
        closes = np.cumsum(o + c)  # every open is the close before it plus its step
        opens = closes - c
        rows["open"] = opens / ten
        rows["close"] = closes / ten
        rows["high"] = (np.maximum(opens, closes) + h) / ten
        rows["low"] = (np.minimum(opens, closes) - low) / ten
    for name, (kind, column) in zip((*_VOLUMES, "trades"), columns[4:], strict=True):
        rows[name] = column if kind == _RAW or name == "trades" else column / _TENS[kind]
    return rows, sources
