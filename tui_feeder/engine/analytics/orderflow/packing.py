"""A day's ladders as one block of bytes, and back, exactly.

Within a minute prices rise, so each is kept as the ticks from the one before. Of every number its length in
binary digits is kept apart, compressed (zstd), and its digits as they are. The sums over the day by price
stand in front: a profile of the day needs nothing else.

Block: magic | u32 crc32 of what follows | msgpack of :class:`_Packed`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.analytics.orderflow.ladder import LEVEL, MINUTE, Ladder
from tui_feeder.engine.analytics.orderflow.reconcile import MinuteSums, minute_sums
from tui_feeder.engine.core.trades import Ints
from tui_feeder.errors import StorageError

_MAGIC = b"ladder 1\0"
_LEVEL_ZSTD = 3
#: Bytes of a block: a busy day of a busy symbol has a few MB.
_MOST_PACKED = 64 << 20
#: Sums by price are made in an array over all prices of the day, up to so many.
_MOST_PLACES = 1 << 22


class LadderBlockError(StorageError, ValueError):
    """The bytes are no ladders of this version."""


class _Packed(msgspec.Struct, array_like=True):
    day: int
    price_places: int
    tick: int
    quantity_places: int
    left_out: tuple[int, int, int]
    levels: int
    minutes: int
    sums: int  # prices in ``totals``
    totals: bytes  # by price of the day the steps from the one before, bought, sold
    minute_columns: bytes
    level_columns: bytes


@dataclass(frozen=True, slots=True)
class DaySums:
    """What was bought and sold over a day, by price and by minute."""

    prices: NDArray[np.float64]  # quote asset, ascending
    volumes: Ints  # at each price, in units of the last decimal place of quantities
    bought: Ints  # of these what takers bought
    unit: float  # units in one of the base asset
    minutes: MinuteSums


def pack(ladder: Ladder) -> bytes:
    """Packs ladders.

    Args:
        ladder: of a day.

    Returns:
        The block.
    """
    levels, minutes = ladder.levels, ladder.minutes
    per_minute = np.diff(np.searchsorted(levels["minute"], np.append(minutes["minute"], 1 << 20)))
    steps = np.diff(levels["price"], prepend=0)
    begins = np.cumsum(per_minute) - per_minute
    if len(levels):
        steps[begins] = 0
    low = levels["price"][begins] if len(levels) else np.zeros(0, dtype=np.int64)
    columns = [
        minutes["minute"], per_minute, _signed(np.diff(low, prepend=0)),
        _signed(minutes["first_id"] - np.append(0, minutes["last_id"])[:-1]),
        _signed(minutes["last_id"] - minutes["first_id"]),
        _signed(minutes["open"] - low), _signed(minutes["close"] - low), minutes["missing"],
        minutes["bought"], minutes["sold"], minutes["trades"],
    ]  # fmt: skip
    prices, *sums = _by_price(ladder)
    # Of most levels one side is empty: those sides need no bytes beside a bit.
    both = (levels["bought"] > 0) * 1 + (levels["sold"] > 0) * 2
    sides = [levels[name][levels[name] > 0] for name in ("bought", "sold")]
    packed = _Packed(
        ladder.day, ladder.price_places, ladder.tick, ladder.quantity_places,
        (ladder.duplicates, ladder.zeros, ladder.outside), len(levels), len(minutes), len(prices),
        _columns([np.diff(prices, prepend=0), *sums]),
        _columns(columns),
        _columns([steps, both, *sides, levels["trades"] - 1]),
    )  # fmt: skip
    body = msgspec.msgpack.encode(packed)
    return _MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def _by_price(ladder: Ladder) -> tuple[Ints, Ints, Ints]:
    """The prices of the day, ascending, and what was bought and sold at each."""
    levels = ladder.levels
    if not len(levels):
        none = np.zeros(0, dtype=np.int64)
        return none, none, none
    low = int(levels["price"].min())
    size = int(levels["price"].max()) - low + 1
    if size <= _MOST_PLACES and int(levels["bought"].sum() + levels["sold"].sum()) < 1 << 53:
        place = levels["price"] - low
        bought, sold = (np.bincount(place, levels[name], size) for name in ("bought", "sold"))
        used = np.flatnonzero(bought + sold)
        return used + low, bought[used].astype(np.int64), sold[used].astype(np.int64)
    order = np.argsort(levels["price"], kind="stable")
    prices = levels["price"][order]
    begins = np.flatnonzero(np.diff(prices, prepend=-1))
    bought, sold = (np.add.reduceat(levels[name][order], begins) for name in ("bought", "sold"))
    return prices[begins], bought, sold


def unpack(block: bytes) -> Ladder:
    """Unpacks ladders.

    Args:
        block: what :func:`pack` returned.

    Returns:
        The same ladders.

    Raises:
        LadderBlockError: the block is damaged, or of another version.
    """
    packed = _opened(block)
    try:
        minutes, low, per_minute = _minutes_of(packed)
        levels = np.zeros(packed.levels, dtype=LEVEL)
        levels["minute"] = np.repeat(minutes["minute"], per_minute)
        columns = _of_columns(packed.level_columns, [packed.levels, packed.levels, -1, -1, packed.levels])
        ticks = np.cumsum(columns[0])
        begins = np.cumsum(per_minute) - per_minute
        levels["price"] = ticks + np.repeat(low - ticks[begins], per_minute)
        levels["bought"][(columns[1] & 1) > 0] = columns[2]
        levels["sold"][(columns[1] & 2) > 0] = columns[3]
        levels["trades"] = columns[4] + 1
    except (ValueError, IndexError) as error:
        raise LadderBlockError(f"ladders cannot be read: {error}") from None
    return Ladder(
        packed.day, packed.price_places, packed.tick, packed.quantity_places, levels, minutes,
        *packed.left_out,
    )  # fmt: skip


def _minutes_of(packed: _Packed) -> tuple[NDArray[np.void], Ints, Ints]:
    """The minutes, dtype MINUTE, and of each its lowest price in ticks and how many levels it has."""
    columns = _of_columns(packed.minute_columns, [packed.minutes] * 11)
    minutes = np.zeros(packed.minutes, dtype=MINUTE)
    minutes["minute"], minutes["missing"] = columns[0], columns[7]
    low = np.cumsum(_unsigned(columns[2]))
    # Ids go from the last one of a minute to the first one of the next, then to its last.
    ids = np.cumsum(np.column_stack((_unsigned(columns[3]), _unsigned(columns[4]))).ravel())
    minutes["first_id"], minutes["last_id"] = ids[0::2], ids[1::2]
    minutes["open"], minutes["close"] = low + _unsigned(columns[5]), low + _unsigned(columns[6])
    for name, values in zip(("bought", "sold", "trades"), columns[8:], strict=True):
        minutes[name] = values
    return minutes, low, columns[1]


def day_sums(block: bytes) -> DaySums:
    """Reads what was traded over the day by price and by minute, without the prices of each minute.

    Args:
        block: what :func:`pack` returned.

    Returns:
        The sums.

    Raises:
        LadderBlockError: the block is damaged, or of another version.
    """
    packed = _opened(block)
    try:
        steps, bought, sold = _of_columns(packed.totals, [packed.sums] * 3)
        minutes, _, _ = _minutes_of(packed)
    except (ValueError, IndexError) as error:
        raise LadderBlockError(f"ladders cannot be read: {error}") from None
    prices = np.cumsum(steps) * packed.tick / float(10**packed.price_places)
    sums = minute_sums(minutes, packed.day, packed.quantity_places)
    return DaySums(prices, bought + sold, bought, float(10**packed.quantity_places), sums)


def _opened(block: bytes) -> _Packed:
    start = len(_MAGIC)
    if block[:start] != _MAGIC:
        raise LadderBlockError("they are no ladders of this version")
    if len(block) > _MOST_PACKED or zlib.crc32(block[start + 4 :]) != int.from_bytes(
        block[start : start + 4], "little"
    ):
        raise LadderBlockError("the checksum of ladders differs")
    try:
        return msgspec.msgpack.decode(block[start + 4 :], type=_Packed)
    except msgspec.DecodeError as error:
        raise LadderBlockError(f"ladders cannot be read: {error}") from None


def _signed(values: Ints) -> Ints:
    """Numbers of either sign as numbers >= 0, small ones small."""
    return (values << 1) ^ (values >> 63)


def _unsigned(values: Ints) -> Ints:
    return (values >> 1) ^ -(values & 1)


def _lengths(values: Ints) -> NDArray[np.uint8]:
    """Binary digits of numbers >= 0."""
    made = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    # A float of more than 53 digits may be rounded up to the next power of two.
    return (made - (values < (1 << np.maximum(made - 1, 0))) * (values > 0)).astype(np.uint8)


def _edges(length: NDArray[np.uint8]) -> list[int]:
    """Where the values of each length begin once they are sorted by it, and the end of the last."""
    return [0, *np.cumsum(np.bincount(length)).tolist()]


def _columns(columns: list[Ints]) -> bytes:
    """Columns of numbers >= 0: how many binary digits each value has, then the digits after the first.

    Lengths are few and compress; digits of quantities are noise, which is stored as it is, a bit each.
    """
    lengths, digits = [], []
    for values in columns:
        length = _lengths(values)
        lengths.append(len(values).to_bytes(4, "little") + length.tobytes())
        ordered, edges = values[np.argsort(length, kind="stable")], _edges(length)
        for size in range(2, len(edges) - 1):
            those = ordered[edges[size] : edges[size + 1]]
            if len(those):
                digits += [np.packbits((those >> bit & 1).astype(np.bool_)) for bit in range(size - 1)]
    import cramjam

    packed = bytes(cramjam.zstd.compress(b"".join(lengths), level=_LEVEL_ZSTD))
    return len(packed).to_bytes(4, "little") + packed + b"".join(part.tobytes() for part in digits)


def _of_columns(packed: bytes, wanted: list[int]) -> list[Ints]:
    """The columns; -1 in the place of a number of values stands for any.

    Raises:
        LadderBlockError: they are others.
    """
    import cramjam

    at = 4 + int.from_bytes(packed[:4], "little")
    try:
        lengths = bytes(cramjam.zstd.decompress(packed[4:at]))
    except cramjam.DecompressionError as error:
        raise LadderBlockError(f"ladders cannot be inflated: {error}") from None
    made, place = [], 0
    for count in wanted:
        found = int.from_bytes(lengths[place : place + 4], "little")
        place += 4
        if count not in (-1, found) or place + found > len(lengths):
            raise LadderBlockError("ladders have columns of another length")
        length = np.frombuffer(lengths, dtype=np.uint8, count=found, offset=place)
        place += found
        if found and length.max() > 63:
            raise LadderBlockError("ladders have numbers of more than 63 digits")
        ordered, edges = np.zeros(found, dtype=np.int64), _edges(length)
        for size in range(1, len(edges) - 1):
            those = ordered[edges[size] : edges[size + 1]]
            those += 1 << (size - 1)
            if not len(those):
                continue
            count = -(-len(those) // 8)
            for bit in range(size - 1):
                plane = np.frombuffer(packed, dtype=np.uint8, count=count, offset=at)
                at += count
                those |= np.unpackbits(plane, count=len(those)).astype(np.int64) << bit
        values = np.empty(found, dtype=np.int64)
        values[np.argsort(length, kind="stable")] = ordered
        made.append(values)
    return made
