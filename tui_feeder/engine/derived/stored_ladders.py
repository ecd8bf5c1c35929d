"""Ladders of whole UTC days in the store: writing, reading, and the profiles that rest on them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.analytics.orderflow.ladder import Ladder
from tui_feeder.engine.analytics.orderflow.packing import (
    DaySums,
    LadderBlockError,
    day_sums,
    pack,
    sums_of,
    unpack,
)
from tui_feeder.engine.analytics.orderflow.reconcile import Known, Reconciled, minute_sums, reconcile
from tui_feeder.engine.analytics.orderflow.traded_profile import TradedProfile, traded_profile
from tui_feeder.engine.analytics.profile.increments import DayRange
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, MINUTES_PER_DAY, Rows
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.core.trades import Ints
from tui_feeder.engine.derived.stored_profiles import DayRanges, ranges_before
from tui_feeder.engine.storage.store import Store

#: One price of one minute: what takers bought and sold there (base asset), how many trades that were, and how
#: the minute is known: ``exact`` or ``partial``, the share of its volume that is there, ids that are missing.
LEVEL = np.dtype(
    [("open_time", "<i8"), ("price", "<f8"), ("bought", "<f8"), ("sold", "<f8"), ("trades", "<i8"),
     ("known", "O"), ("share", "<f8"), ("unproved", "?")]
)  # fmt: skip
#: What the note of a day's ladders is named, before the symbol, a blank, and the day's midnight (ms).
_LADDER = "ladder "
#: What the note is named that lists them, before the symbol.
_LISTED = "ladders "


class LadderOrigin(msgspec.Struct, frozen=True):
    """Where the ladders of a day came from."""

    path: str  # of the archive file
    sha256: str
    checked: bool  # its checksum agreed
    trades: int  # aggregated trades counted
    refused: int = 0  # lines of the file that held none


def origins(store: Store, symbol: str) -> dict[int, LadderOrigin]:
    """Lists the days that have ladders.

    Args:
        store: the store.
        symbol: whose.

    Returns:
        Where each is from, by midnight (ms), ascending.
    """
    kept = store.note(_LISTED + symbol)
    if kept is None:
        return {}
    try:
        return dict(sorted(msgspec.msgpack.decode(kept, type=dict[int, LadderOrigin]).items()))
    except UNREADABLE as error:
        store.report_unusable(_LISTED + symbol, str(error))
        return {}


def put_ladder(
    store: Store, symbol: str, ladder: Ladder, origin: LadderOrigin, keep_from: int
) -> Future[None]:
    """Stores the ladders of a day, and drops those of days that are kept no longer.

    Args:
        store: the store.
        symbol: whose.
        ladder: of a day.
        origin: where it is from.
        keep_from: midnight (ms) of the first day that is kept.

    Returns:
        Done when all is committed.
    """
    listed = origins(store, symbol)
    for day in [day for day in listed if day < keep_from]:
        del listed[day]
        store.put_note(f"{_LADDER}{symbol} {day}", None)
    listed[ladder.day] = origin
    store.put_note(f"{_LADDER}{symbol} {ladder.day}", pack(ladder))
    return store.put_note(_LISTED + symbol, msgspec.msgpack.encode(listed))


def read_ladder(store: Store, symbol: str, day: int) -> Ladder | None:
    """Reads the ladders of a day; damaged ones are reported and count as none.

    Args:
        store: the store.
        symbol: whose.
        day: midnight, ms.

    Returns:
        The ladders; None where there are none.
    """
    block = _block(store, symbol, day)
    try:
        return None if block is None else unpack(block)
    except LadderBlockError as error:
        store.report_unusable(f"{_LADDER}{symbol} {day}", str(error))
        return None


def known_minutes(store: Store, symbol: str, ladder: Ladder) -> tuple[Rows, Reconciled]:
    """Holds the ladders of a day against its stored candles.

    Args:
        store: the store.
        symbol: whose.
        ladder: of a day.

    Returns:
        The candles, and how each minute is known.
    """
    candles = store.read(symbol, ladder.day, ladder.day + DAY_MS)
    sums = minute_sums(ladder.minutes, ladder.day, ladder.quantity_places)
    return candles, reconcile(candles, sums)


def read_levels(store: Store, symbol: str, day: int, start: int, end: int) -> NDArray[Any]:
    """Reads what was bought and sold at each price of the minutes of a day that have a ladder and a candle.

    Args:
        store: the store.
        symbol: whose.
        day: midnight, ms.
        start: open time of the first minute, ms.
        end: exclusive, ms.

    Returns:
        Dtype :data:`LEVEL`, by minute, then by price; empty without ladders of the day.

    Raises:
        BlockError: stored candles are damaged.
    """
    ladder = read_ladder(store, symbol, day)
    if ladder is None:
        return np.empty(0, dtype=LEVEL)
    candles, known = known_minutes(store, symbol, ladder)
    times = ladder.levels["minute"].astype(np.int64) * MINUTE_MS + day
    kept = (times >= start) & (times < end) & np.isin(times, candles["open_time"])
    levels, times = ladder.levels[kept], times[kept]
    at = np.searchsorted(candles["open_time"], times)
    made = np.empty(len(levels), dtype=LEVEL)
    made["open_time"], made["price"], made["trades"] = times, ladder.prices()[kept], levels["trades"]
    for name in ("bought", "sold"):
        made[name] = ladder.quantities(levels[name])
    made["known"] = np.array([known.name.lower() for known in Known], dtype=object)[known.known[at]]
    made["share"], made["unproved"] = known.shares[at], known.unproved[at]
    return made


def ladders_state(store: Store, symbol: str) -> object:
    """Gives what changes whenever other ladders of a symbol are stored.

    Args:
        store: the store.
        symbol: whose.

    Returns:
        To be compared with another one.
    """
    return store.note(_LISTED + symbol)


def stored_sums(store: Store, symbol: str, parts: Sequence[Rows]) -> list[list[DaySums]]:
    """Adds up what the ladders of minutes have. Each day is read once.

    Args:
        store: the store.
        symbol: whose.
        parts: stored candles, dtype ROW, each in order, and each later than those before it.

    Returns:
        Of each part the sums of each of its days that has ladders, ascending.
    """
    sums: list[list[DaySums]] = [[] for _ in parts]
    for day, those in _parts_by_day(parts).items():
        block = _block(store, symbol, day)
        if block is None:
            continue
        try:
            found = _sums_of_day(block, list(those.values()))
        except LadderBlockError as error:
            store.report_unusable(f"{_LADDER}{symbol} {day}", str(error))
            continue
        for place, part in zip(those, found, strict=True):
            sums[place].append(part)
    return sums


def stored_volumes(store: Store, symbol: str, parts: Sequence[Rows]) -> list[MinuteVolume]:
    """Gives the volume of minutes, each with the best that is stored: its ladder, else its candle.

    Args:
        store: the store.
        symbol: whose.
        parts: see :func:`stored_sums`.

    Returns:
        The volume of each part.
    """
    sums = stored_sums(store, symbol, parts)
    return [MinuteVolume(rows, part) for rows, part in zip(parts, sums, strict=True)]


def _parts_by_day(parts: Sequence[Rows]) -> dict[int, dict[int, Ints]]:
    """By UTC day the open times of the minutes of each part that has any of it."""
    found: dict[int, dict[int, Ints]] = {}
    for place, rows in enumerate(parts):
        times = np.ascontiguousarray(rows["open_time"])
        days = times // DAY_MS
        for start, end in pairwise([*np.flatnonzero(np.diff(days, prepend=-1)).tolist(), len(times)]):
            found.setdefault(int(days[start]) * DAY_MS, {})[place] = times[start:end]
    return found


def _sums_of_day(block: bytes, parts: list[Ints]) -> list[DaySums]:
    """What the ladders of a day come to in the minutes of each part."""
    if len(parts) == 1 and len(parts[0]) > MINUTES_PER_DAY // 2:  # of a whole day nothing needs unpacking
        sums = day_sums(block)
        if np.isin(sums.minutes.times, parts[0]).all():
            return [sums]
    day = int(parts[0][0]) - int(parts[0][0]) % DAY_MS
    first, last = ((int(at) - day) // MINUTE_MS for at in (parts[0][0], parts[-1][-1]))
    ladder = unpack(block, first, last + 1)
    return [sums_of(ladder, times) for times in parts]


def stored_traded_profile(
    store: Store,
    symbol: str,
    settings: ProfileSettings,
    day: int,
    end: int | None = None,
    ranges: DayRanges | None = None,
) -> TradedProfile | None:
    """Computes the profile of a day from its ladders, as far as there are any, and its candles.

    Args:
        store: the store.
        symbol: whose.
        settings: what shapes the profile.
        day: midnight, ms.
        end: exclusive, ms: minutes from there on do not count; None for the whole day.
        ranges: of the same store, where several days are asked for.

    Returns:
        The profile; None where nothing was traded.

    Raises:
        BlockError: stored candles are damaged.
        StoreError: the store is closed.
    """
    candles = store.read(symbol, day, day + DAY_MS if end is None else end)
    if not len(candles):
        return None
    before: tuple[DayRange, ...] = ()
    if settings.price_increment_mode == "Auto":
        before = ranges_before(store, symbol, day) if ranges is None else ranges.before(symbol, day)
    (volume,) = stored_volumes(store, symbol, [candles])
    return traded_profile(candles, volume, settings, before)


def _block(store: Store, symbol: str, day: int) -> bytes | None:
    return store.note(f"{_LADDER}{symbol} {day}")
