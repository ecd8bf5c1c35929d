"""A day of minutes as one compact block of bytes, and back, bit for bit.

Exchange numbers are decimals of few digits. A column is kept as whole numbers of its smallest
decimal unit when dividing them by that power of ten gives back every float exactly, else as raw
float64. Prices become differences (open from the previous close, high and low from the body),
and every column takes only as many bytes a value as its largest one needs. Measured on real
months: see ``python -m benchmarks.history``.

Block, little-endian::

    u8 version | u16 rows | u16 first minute of day | u8 flags | u32 crc32 of what follows
    | [180-byte bitmap of minutes] | sources: 1 byte, or one a row
    | per column: u8 kind | u8 width | rows * width bytes

``kind`` is the power of ten, or 255 for raw float64. LMDB keeps no checksums of its own: with the
crc32 a bit that rotted on disk is an error, never a price.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, MINUTES_PER_DAY, ROW, Rows, Source
from tui_feeder.errors import StorageError

VERSION = 1
_HEAD = struct.Struct("<BHHBI")
_HOLES = 1
_MIXED_SOURCES = 2
_RAW = 255
_BITMAP = MINUTES_PER_DAY // 8
_MAX_EXPONENT = 10
_EXACT = 1 << 53
_TENS = [10.0**k for k in range(_MAX_EXPONENT + 1)]
_VOLUMES = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
_COLUMNS = 4 + len(_VOLUMES) + 1

Ints = NDArray[np.int64]
Column = NDArray[np.int64] | NDArray[np.float64]
Sources = NDArray[np.uint8]


class BlockError(StorageError, ValueError):
    """The bytes are not a block this version can read."""


def _as_units(values: NDArray[np.float64]) -> tuple[int, Ints] | None:
    """``(k, n)`` with ``n / 10**k == values`` exactly and the smallest such k, or None."""
    flat = values.ravel()
    probe = flat[:: max(1, len(flat) // 16)]
    with np.errstate(all="ignore"):  # infinities and huge floats fail the comparison, as they should
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
    zigzag = ((signed << 1) ^ (signed >> 63)).view(np.uint64)
    width = (int(zigzag.max()).bit_length() + 7) // 8
    planes = np.ascontiguousarray(zigzag).view(np.uint8).reshape(-1, 8)[:, :width]
    return bytes((kind, width)) + planes.tobytes()


def _pack_raw(values: NDArray[np.float64]) -> bytes:
    return bytes((_RAW, 8)) + np.ascontiguousarray(values).tobytes()


def encode(rows: Rows, sources: Sources) -> bytes:
    """Encodes a day of minutes as a compact block.

    Args:
        rows: shape (n,), dtype ROW, of one UTC day, sorted, unique, not empty.
        sources: shape (n,), uint8, see ``Source``.

    Returns:
        The block.

    Raises:
        ValueError: the rows are empty, not of one day, not whole minutes, not sorted, or not one
            source (1 or more) a row.
    """
    times = rows["open_time"]
    if not len(rows) or len(rows) != len(sources) or not sources.min():
        raise ValueError("a block needs at least one row and one source a row")
    day = int(times[0]) // DAY_MS
    minutes, odd = np.divmod(times - day * DAY_MS, MINUTE_MS)
    if int(times[-1]) // DAY_MS != day or (len(rows) > 1 and np.diff(minutes).min() < 1) or odd.any():
        raise ValueError("the rows of a block must be minutes of one day, sorted, without duplicates")
    first, count = int(minutes[0]), len(rows)
    flags = 0
    if int(minutes[-1]) - first + 1 != count:
        flags |= _HOLES
    if sources.min() != sources.max():
        flags |= _MIXED_SOURCES
    out: list[bytes] = []
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
    body = b"".join(out)
    return _HEAD.pack(VERSION, count, first, flags, zlib.crc32(body)) + body


def decode(day: int, block: bytes | memoryview) -> tuple[Rows, Sources]:
    """Decodes a block, bit for bit what was encoded.

    Args:
        day: its UTC day, ms of midnight.
        block: what :func:`encode` returned.

    Returns:
        Rows and their sources.

    Raises:
        BlockError: the bytes are cut short, damaged, or of another version.
    """
    check(block)
    view = memoryview(block)
    _, count, first, flags, _ = _HEAD.unpack_from(view)
    body = view[_HEAD.size :]
    try:
        minutes, sources, columns = _unpack(body, count, first, flags)
    except (ValueError, IndexError) as error:
        raise BlockError(f"a block of {len(view)} bytes makes no sense: {error}") from error
    rows = np.empty(count, dtype=ROW)
    rows["open_time"] = day + minutes * MINUTE_MS
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
    for name, (kind, column) in zip(_VOLUMES, columns[4:-1], strict=True):
        rows[name] = column if kind == _RAW else column / _TENS[kind]
    rows["trades"] = columns[-1][1]
    return rows, sources


def check(block: bytes | memoryview) -> None:
    """Checks that a block is what was written, without decoding it.

    Args:
        block: what :func:`encode` returned.

    Raises:
        BlockError: the bytes are cut short, damaged, or of another version.
    """
    view = memoryview(block)
    if len(view) < _HEAD.size:
        raise BlockError(f"a block of {len(view)} bytes is cut short")
    version, *_, crc = _HEAD.unpack_from(view)
    if version != VERSION:
        raise BlockError(f"block version {version}, this program reads {VERSION}")
    if zlib.crc32(view[_HEAD.size :]) != crc:
        raise BlockError(f"a block of {len(view)} bytes is damaged: its crc32 differs")


def block_matches(block: bytes, rows: Rows) -> bool:
    """Checks whether a damaged block contained exactly the given rows, by the checksum it was written with.

    Args:
        block: the damaged block.
        rows: shape (n,), dtype ROW.

    Returns:
        True if they are the same; False also if that cannot be decided, as the checksum or the sources are
        damaged.
    """
    if len(block) <= _HEAD.size or not len(rows):
        return False
    _, count, _, flags, crc = _HEAD.unpack_from(block)
    if count != len(rows):
        return False
    if flags & _MIXED_SOURCES:
        at = _HEAD.size + (_BITMAP if flags & _HOLES else 0)
        sources = np.frombuffer(block[at : at + count], np.uint8)
        tried = [sources] if len(sources) == count and sources.min() else []
    else:
        tried = [np.full(count, source, dtype=np.uint8) for source in Source]
    return any(zlib.crc32(encode(rows, sources)[_HEAD.size :]) == crc for sources in tried)


def _unpack(
    body: memoryview, count: int, first: int, flags: int
) -> tuple[Ints, Sources, list[tuple[int, Column]]]:
    """Minutes of the day, sources, and ``(kind, values)`` of each column; ValueError when they lie."""
    if not 1 <= count <= MINUTES_PER_DAY - first or flags & ~(_HOLES | _MIXED_SOURCES):
        raise ValueError(f"{count} rows from minute {first} on, flags {flags}")
    at = 0
    if flags & _HOLES:
        minutes = np.flatnonzero(np.unpackbits(np.frombuffer(body, np.uint8, _BITMAP, at))).astype(np.int64)
        at += _BITMAP
        if len(minutes) != count or int(minutes[0]) != first:
            raise ValueError(f"{len(minutes)} minutes marked for {count} rows")
    else:
        minutes = np.arange(first, first + count, dtype=np.int64)
    if flags & _MIXED_SOURCES:
        sources = np.frombuffer(body, np.uint8, count, at).copy()
        at += count
    else:
        sources = np.full(count, body[at], dtype=np.uint8)
        at += 1
    if not sources.min():
        raise ValueError("a row has no source")
    columns: list[tuple[int, Column]] = []
    for _ in range(_COLUMNS):
        kind, width = body[at], body[at + 1]
        at += 2
        if width > 8 or (kind > _MAX_EXPONENT and (kind, width) != (_RAW, 8)):
            raise ValueError(f"a column of kind {kind}, {width} bytes wide")
        if kind == _RAW:
            columns.append((kind, np.frombuffer(body, "<f8", count, at)))
        else:
            planes = np.zeros((count, 8), dtype=np.uint8)
            packed = np.frombuffer(body, np.uint8, count * width, at) if width else planes[:, :0]
            planes[:, :width] = packed.reshape(count, width)
            zigzag = planes.view(np.uint64)[:, 0]
            columns.append(
                (kind, (zigzag >> np.uint64(1)).view(np.int64) ^ -(zigzag & np.uint64(1)).view(np.int64))
            )
        at += count * width
    if at != len(body):
        raise ValueError(f"{len(body) - at} bytes too many")
    if len({kind for kind, _ in columns[:4]}) != 1 or columns[-1][0] != 0:
        raise ValueError("its columns are not of kinds that belong together")
    return minutes, sources, columns
