"""A day's ladders as one block of bytes, and back, exactly.

Within a minute prices rise, so each is kept as the ticks from the one before. Of every number its length in
binary digits is kept apart, compressed (zstd), and its digits as they are. Of a day of many levels the sums
by price and by minute are kept too: a profile of the day needs nothing else. Of few levels they are added up.
Many levels are packed in parts of four hours, so that some minutes are read without all others. Of very few,
as a live minute has, whole numbers of the fewest bytes are compressed: that is read in a tenth of the time.

Block: magic | u32 crc32 of what follows | msgpack of :class:`_Packed`. Version 1, which is read, has the sums
always, its levels in one part, and the lengths of all columns compressed as one.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.analytics.orderflow.ladder import LEVEL, MINUTE, Ladder
from tui_feeder.engine.analytics.orderflow.reconcile import MinuteSums, joined_sums, minute_sums
from tui_feeder.engine.core.candle import MINUTE_MS, MINUTES_PER_DAY
from tui_feeder.engine.core.trades import Ints
from tui_feeder.errors import StorageError

_MAGICS = (b"ladder 1\0", b"ladder 2\0")
#: Levels from which on sums are kept: sooner read, and next to nothing beside so many.
_MANY = 1 << 16
#: Minutes of a part, which is unpacked by itself.
PART_MINUTES = 240
#: Levels below which numbers are kept whole.
_VERY_FEW = 1 << 12
#: Of the compression of many levels, and of few, where slow costs nothing.
_LEVEL_ZSTD, _LEVEL_OF_FEW = 1, 19
_SUMS = ("bought", "sold", "trades")
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
    level_columns: tuple[bytes, ...] | bytes  # of each part; in version 1 there is one


@dataclass(frozen=True, slots=True)
class DaySums:
    """What was bought and sold over a day, or in some of its minutes, by price and by minute."""

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
    ]  # fmt: skip
    totals: list[Ints] = []
    many = len(levels) >= _MANY
    compression = _LEVEL_ZSTD if many else _LEVEL_OF_FEW
    packed_columns = _whole if len(levels) < _VERY_FEW else partial(_columns, compression=compression)
    if many:
        columns += [minutes[name] for name in _SUMS]
        prices, *sums = _by_price(ladder)
        totals = [np.diff(prices, prepend=0), *sums]
    parts = []
    for part in _parts_of(minutes["minute"], per_minute, many):
        those = levels[part.levels]
        # Of most levels one side is empty: those sides need no bytes beside a bit.
        both = (those["bought"] > 0) * 1 + (those["sold"] > 0) * 2
        sides = [those[name][those[name] > 0] for name in ("bought", "sold")]
        parts.append(packed_columns([steps[part.levels], both, *sides, those["trades"] - 1]))
    packed = _Packed(
        ladder.day, ladder.price_places, ladder.tick, ladder.quantity_places,
        (ladder.duplicates, ladder.zeros, ladder.outside), len(levels), len(minutes),
        len(totals[0]) if totals else 0, packed_columns(totals), packed_columns(columns),
        tuple(parts),
    )  # fmt: skip
    body = msgspec.msgpack.encode(packed)
    return _MAGICS[-1] + zlib.crc32(body).to_bytes(4, "little") + body


class _Part(NamedTuple):
    """Levels that are packed together, and their minutes."""

    minutes: slice
    levels: slice


def _parts_of(minutes: Ints, per_minute: Ints, many: bool) -> list[_Part]:
    """The parts of a day's levels: of many levels several, else one."""
    parts = minutes // (PART_MINUTES if many else MINUTES_PER_DAY)
    cuts = [*np.flatnonzero(np.diff(parts, prepend=-1)).tolist(), len(minutes)]
    ends = np.concatenate(([0], np.cumsum(per_minute)))
    return [_Part(slice(a, b), slice(int(ends[a]), int(ends[b]))) for a, b in pairwise(cuts)]


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


def sums_of(ladder: Ladder, times: Ints) -> DaySums:
    """Adds up what was traded in some minutes of a day by price and by minute.

    Args:
        ladder: of the day.
        times: open times (ms) of the minutes that count, ascending; those without a trade are no matter.

    Returns:
        The sums.
    """
    wanted = (times - ladder.day) // MINUTE_MS
    levels, minutes = ladder.levels, ladder.minutes
    low, high = (int(wanted[0]), int(wanted[-1]) + 1) if len(wanted) else (0, 0)
    levels, minutes = _between(levels, low, high), _between(minutes, low, high)
    there = np.isin(minutes["minute"], wanted)
    if not there.all():
        levels, minutes = levels[np.isin(levels["minute"], wanted)], minutes[there]
    part = replace(ladder, levels=levels, minutes=minutes)
    prices, bought, sold = _by_price(part)
    return _day_sums(prices, bought, sold, part, minutes)


def _between(rows: NDArray[np.void], first: int, end: int) -> NDArray[np.void]:
    """Those of rows in order whose ``minute`` is in a range. NumPy's search would copy the whole column."""
    minutes = rows["minute"]
    return rows[bisect_left(minutes, first) : bisect_left(minutes, end)]


def _day_sums(
    prices: Ints, bought: Ints, sold: Ints, of: Ladder | _Packed, minutes: NDArray[np.void]
) -> DaySums:
    unit = float(10**of.quantity_places)
    sums = minute_sums(minutes, of.day, of.quantity_places)
    return DaySums(prices * of.tick / float(10**of.price_places), bought + sold, bought, unit, sums)


def joined_day_sums(*parts: DaySums) -> DaySums:
    """Adds up what was traded in some minutes of a day.

    Args:
        parts: at least one, each of later minutes than those before it.

    Returns:
        The sums of all.
    """
    if len(parts) == 1:
        return parts[0]
    unit = max(part.unit for part in parts)
    factors = [round(unit / part.unit) for part in parts]
    prices = np.concatenate([part.prices for part in parts])
    volumes, bought = (
        np.concatenate([getattr(part, name) * factor for part, factor in zip(parts, factors, strict=True)])
        for name in ("volumes", "bought")
    )
    order = np.argsort(prices, kind="stable")
    prices = prices[order]
    begins = np.flatnonzero(np.diff(prices, prepend=-1.0))
    if len(begins):
        prices = prices[begins]
        volumes, bought = (np.add.reduceat(of[order], begins) for of in (volumes, bought))
    return DaySums(prices, volumes, bought, unit, joined_sums([part.minutes for part in parts]))


def unpack(block: bytes, first: int = 0, end: int = MINUTES_PER_DAY) -> Ladder:
    """Unpacks ladders.

    Args:
        block: what :func:`pack` returned.
        first: minute of the day before which none is wanted.
        end: minute of the day from which on none is wanted.

    Returns:
        The same ladders; of a part of the day those of its minutes.

    Raises:
        LadderBlockError: the block is damaged, or of another version.
    """
    version, packed = _opened(block)
    try:
        minutes, low, per_minute = _minutes_of(packed, version)
        many = version > 1 and packed.levels >= _MANY
        parts, blocks = _parts_of(minutes["minute"], per_minute, many), packed.level_columns
        blocks = (blocks,) * len(parts) if isinstance(blocks, bytes) else blocks
        found = [
            _levels_of(
                packed,
                part_block,
                minutes[part.minutes],
                low[part.minutes],
                per_minute[part.minutes],
                version,
            )
            for part, part_block in zip(parts, blocks, strict=True)
            if minutes["minute"][part.minutes][0] < end and minutes["minute"][part.minutes][-1] >= first
        ]
        levels = np.concatenate(found) if found else np.zeros(0, dtype=LEVEL)
        if not found or (first, end) != (0, MINUTES_PER_DAY):
            minutes = _between(minutes, first, end)
            levels = _between(levels, first, end)
        if not _keeps_sums(packed, version):
            begins = np.searchsorted(levels["minute"], minutes["minute"])
            for name in _SUMS:
                minutes[name] = np.add.reduceat(levels[name], begins) if len(begins) else 0
    except (ValueError, IndexError) as error:
        raise LadderBlockError(f"ladders cannot be read: {error}") from None
    return Ladder(
        packed.day, packed.price_places, packed.tick, packed.quantity_places, levels, minutes,
        *packed.left_out,
    )  # fmt: skip


def _levels_of(
    packed: _Packed, block: bytes, minutes: NDArray[np.void], low: Ints, per_minute: Ints, version: int
) -> NDArray[np.void]:
    """The levels of the minutes of a part, dtype LEVEL."""
    count = int(per_minute.sum())
    levels = np.zeros(count, dtype=LEVEL)
    levels["minute"] = np.repeat(minutes["minute"], per_minute)
    columns = _read(packed, block, [count, count, -1, -1, count], version)
    ticks = np.cumsum(columns[0])
    begins = np.cumsum(per_minute) - per_minute
    levels["price"] = ticks + np.repeat(low - ticks[begins], per_minute)
    levels["bought"][(columns[1] & 1) > 0] = columns[2]
    levels["sold"][(columns[1] & 2) > 0] = columns[3]
    levels["trades"] = columns[4] + 1
    return levels


def _read(packed: _Packed, block: bytes, wanted: list[int], version: int) -> list[Ints]:
    """Columns of a block; see :func:`_of_columns`."""
    if version > 1 and packed.levels < _VERY_FEW:
        return _of_whole(block, wanted)
    return _of_columns(block, wanted, version)


def _keeps_sums(packed: _Packed, version: int) -> bool:
    return version == 1 or packed.levels >= _MANY


def _minutes_of(packed: _Packed, version: int) -> tuple[NDArray[np.void], Ints, Ints]:
    """The minutes, dtype MINUTE, and of each its lowest price in ticks and how many levels it has.

    Their sums are zero where they are not kept.
    """
    count = 8 + len(_SUMS) * _keeps_sums(packed, version)
    columns = _read(packed, packed.minute_columns, [packed.minutes] * count, version)
    minutes = np.zeros(packed.minutes, dtype=MINUTE)
    minutes["minute"], minutes["missing"] = columns[0], columns[7]
    low = np.cumsum(_unsigned(columns[2]))
    # Ids go from the last one of a minute to the first one of the next, then to its last.
    ids = np.cumsum(np.column_stack((_unsigned(columns[3]), _unsigned(columns[4]))).ravel())
    minutes["first_id"], minutes["last_id"] = ids[0::2], ids[1::2]
    minutes["open"], minutes["close"] = low + _unsigned(columns[5]), low + _unsigned(columns[6])
    for name, values in zip(_SUMS, columns[8:], strict=False):
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
    version, packed = _opened(block)
    if not _keeps_sums(packed, version):
        ladder = unpack(block)
        return sums_of(ladder, ladder.minutes["minute"] * MINUTE_MS + ladder.day)
    try:
        steps, bought, sold = _of_columns(packed.totals, [packed.sums] * 3, version)
        minutes, _, _ = _minutes_of(packed, version)
    except (ValueError, IndexError) as error:
        raise LadderBlockError(f"ladders cannot be read: {error}") from None
    return _day_sums(np.cumsum(steps), bought, sold, packed, minutes)


def _opened(block: bytes) -> tuple[int, _Packed]:
    """The version of a block, from 1, and what it has."""
    start = len(_MAGICS[0])
    if block[:start] not in _MAGICS:
        raise LadderBlockError("they are no ladders of this version")
    if len(block) > _MOST_PACKED or zlib.crc32(block[start + 4 :]) != int.from_bytes(
        block[start : start + 4], "little"
    ):
        raise LadderBlockError("the checksum of ladders differs")
    try:
        packed = msgspec.msgpack.decode(block[start + 4 :], type=_Packed)
    except msgspec.DecodeError as error:
        raise LadderBlockError(f"ladders cannot be read: {error}") from None
    return _MAGICS.index(block[:start]) + 1, packed


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


def _columns(columns: list[Ints], compression: int) -> bytes:
    """Columns of numbers >= 0: how many binary digits each value has, then the digits after the first.

    Lengths are few and compress, each column by itself; digits of quantities are noise, which is stored as it
    is, a bit each.
    """
    import cramjam

    lengths, digits = [], []
    for values in columns:
        length = _lengths(values)
        packed = bytes(cramjam.zstd.compress(length.tobytes(), level=compression))
        lengths.append(len(values).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
        ordered, edges = values[np.argsort(length, kind="stable")], _edges(length)
        for size in range(2, len(edges) - 1):
            those = ordered[edges[size] : edges[size + 1]]
            if len(those):
                digits += [np.packbits((those >> bit & 1).astype(np.bool_)) for bit in range(size - 1)]
    packed = b"".join(lengths)
    return len(packed).to_bytes(4, "little") + packed + b"".join(part.tobytes() for part in digits)


def _lengths_of(packed: bytes, count: int, version: int) -> list[NDArray[np.uint8]]:
    """How many binary digits each value of each column has.

    Raises:
        LadderBlockError: they cannot be inflated, or are not as many as they state.
    """
    import cramjam

    try:
        whole = bytes(cramjam.zstd.decompress(packed)) if version == 1 else packed
        found, place = [], 0
        for _ in range(count):
            size = int.from_bytes(whole[place : place + 4], "little")
            place += 4
            if version == 1:
                lengths = whole[place : place + size]
                place += size
            else:
                end = place + 4 + int.from_bytes(whole[place : place + 4], "little")
                lengths = bytes(cramjam.zstd.decompress(whole[place + 4 : end]))
                place = end
            if len(lengths) != size:
                raise LadderBlockError("ladders have columns of another length")
            found.append(np.frombuffer(lengths, dtype=np.uint8))
    except cramjam.DecompressionError as error:
        raise LadderBlockError(f"ladders cannot be inflated: {error}") from None
    return found


def _whole(columns: list[Ints]) -> bytes:
    """Columns of numbers >= 0, each in the fewest bytes that hold all of its values."""
    import cramjam

    sizes = [next(n for n in (1, 2, 4, 8) if int(v.max(initial=0)) < 1 << 8 * n) for v in columns]
    head = b"".join(bytes([n]) + len(v).to_bytes(4, "little") for n, v in zip(sizes, columns, strict=True))
    body = b"".join(v.astype(f"<u{n}").tobytes() for n, v in zip(sizes, columns, strict=True))
    return bytes(cramjam.zstd.compress(head + body, level=_LEVEL_ZSTD))


def _of_whole(packed: bytes, wanted: list[int]) -> list[Ints]:
    """The columns of :func:`_whole`, as :func:`_of_columns` gives them."""
    import cramjam

    try:
        raw = bytes(cramjam.zstd.decompress(packed))
    except cramjam.DecompressionError as error:
        raise LadderBlockError(f"ladders cannot be inflated: {error}") from None
    made, place = [], 5 * len(wanted)
    for at, count in enumerate(wanted):
        size, found = raw[5 * at], int.from_bytes(raw[5 * at + 1 : 5 * at + 5], "little")
        if count not in (-1, found) or size not in (1, 2, 4, 8):
            raise LadderBlockError("ladders have columns of another length")
        made.append(np.frombuffer(raw, f"<u{size}", found, place).astype(np.int64))
        place += size * found
    return made


def _of_columns(packed: bytes, wanted: list[int], version: int) -> list[Ints]:
    """The columns; -1 in the place of a number of values stands for any.

    Raises:
        LadderBlockError: they are others.
    """
    at = 4 + int.from_bytes(packed[:4], "little")
    made = []
    for count, length in zip(wanted, _lengths_of(packed[4:at], len(wanted), version), strict=True):
        found = len(length)
        if count not in (-1, found):
            raise LadderBlockError("ladders have columns of another length")
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
