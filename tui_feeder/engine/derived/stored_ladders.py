"""Ladders in the store: of whole UTC days and of live minutes; and the profiles that rest on them."""

from __future__ import annotations

import bisect
import threading
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.analytics.orderflow.ladder import Ladder, LadderBuilder, joined, of_day
from tui_feeder.engine.analytics.orderflow.live_minutes import KnownIds
from tui_feeder.engine.analytics.orderflow.packing import (
    PART_MINUTES,
    DaySums,
    LadderBlockError,
    day_sums,
    joined_day_sums,
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
from tui_feeder.engine.derived.day_ranges import DayRanges, ranges_before
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
#: What the note of a live minute's ladder is named, before the symbol, a blank, its day, a blank, and its
#: number in the day. Once the day's ladders are there the minutes are part of them.
_MINUTE = "minute ladder "
#: So many live minutes are read one by one, more with all of their day.
_FEW_MINUTES = 64
#: Bytes at the beginning of a block, a checksum among them, that no other block has.
_HEAD = 32
#: Days whose sums are kept while minutes are added to them.
_FOLLOWED_DAYS = 8
#: What the note of the messages that are to be made again for other ladders is named, before the symbol.
CHANGES = "ladder changes "


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


def ladder_days(store: Store, symbol: str) -> list[int]:
    """Lists the days that have ladders, of the archive or live.

    Args:
        store: the store.
        symbol: whose.

    Returns:
        Their midnights (ms), ascending.
    """
    live = {_of_name(name)[0] for name in store.notes(f"{_MINUTE}{symbol} ")}
    return sorted(live | origins(store, symbol).keys())


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
    for name in store.notes(f"{_MINUTE}{symbol} "):
        if (day := _of_name(name)[0]) < keep_from or day == ladder.day:
            store.put_note(f"{_MINUTE}{symbol} {name}", None)
    listed[ladder.day] = origin
    store.put_note(f"{_LADDER}{symbol} {ladder.day}", pack(ladder))
    return store.put_note(_LISTED + symbol, msgspec.msgpack.encode(listed))


def read_ladder(store: Store, symbol: str, day: int) -> Ladder | None:
    """Reads the ladders of a day, of the archive or live; damaged ones are reported and left out.

    Args:
        store: the store.
        symbol: whose.
        day: midnight, ms.

    Returns:
        The ladders; None where there are none.
    """
    name = f"{_LADDER}{symbol} {day}"
    block = store.note(name)
    blocks = _live_blocks(store, symbol, day) if block is None else {name: block}
    return _joined(store, blocks)


def _live_ladder(store: Store, symbol: str, day: int, parts: Sequence[Ints]) -> Ladder | None:
    """The live ladders of the minutes of some parts of a day; of other minutes there may be some too."""
    names = {_minute_name(symbol, time) for times in parts for time in times.tolist()}
    if len(names) <= _FEW_MINUTES:
        found = {name: block for name in sorted(names) if (block := store.note(name)) is not None}
    else:
        blocks = _live_blocks(store, symbol, day)
        found = {name: block for name, block in blocks.items() if name in names}
    return _joined(store, found)


def _live_blocks(store: Store, symbol: str, day: int) -> dict[str, bytes]:
    """The live ladders of a day, by the names of their notes."""
    prefix = f"{_MINUTE}{symbol} {day} "
    return {prefix + rest: block for rest, block in store.notes(prefix).items()}


def _joined(store: Store, blocks: Mapping[str, bytes]) -> Ladder | None:
    found = [_unpacked(store, *item) for item in blocks.items()]
    sound = [ladder for ladder in found if ladder is not None]
    return joined(sound) if sound else None


def read_minute(store: Store, symbol: str, minute: int) -> Ladder | None:
    """Reads the ladder of a live minute, which is not part of its day's ladders yet.

    Args:
        store: the store.
        symbol: whose.
        minute: open time, ms.

    Returns:
        The ladder; None where there is none.
    """
    name = _minute_name(symbol, minute)
    block = store.note(name)
    return None if block is None else _unpacked(store, name, block)


def put_minute(store: Store, symbol: str, minute: int, ladder: Ladder) -> Future[None]:
    """Stores the ladder of a live minute.

    Args:
        store: the store.
        symbol: whose.
        minute: open time, ms.
        ladder: of that minute alone.

    Returns:
        Done when committed.
    """
    return store.put_note(_minute_name(symbol, minute), pack(ladder))


def known_ids(store: Store, symbol: str, now: int, longest: int, back: int) -> list[KnownIds]:
    """Finds which trades the stored live ladders of a symbol have, so that the others can be asked for.

    Args:
        store: the store.
        symbol: whose.
        now: exchange ms.
        longest: what may be asked for at once, ms: where the newest ladder is older, nothing before it is.
        back: how long (ms) before the end of the newest ladder trades that are missing are asked for.

    Returns:
        The ids of each minute in that time that is exact, or of which no id is missing, and before them the
        last one that is not asked for again; none where there is no ladder that can be read.
    """
    blocks = store.notes(f"{_MINUTE}{symbol} ")
    if not blocks:
        return []
    names = sorted(blocks, key=_of_name)
    end = _time_of_name(names[-1]) + MINUTE_MS
    since = end - back if now - end <= longest else end
    begin = bisect.bisect_left(names, since, key=_time_of_name)
    kept = [
        (_time_of_name(name), _unpacked(store, name, blocks[name])) for name in names[max(0, begin - 1) :]
    ]
    sound = [(minute, ladder.minutes[-1]) for minute, ladder in kept if ladder is not None]
    exact = {
        minute
        for minute, ladder in kept
        if minute >= since and is_exact(store.read(symbol, minute, minute + MINUTE_MS), ladder)
    }
    found: list[KnownIds] = []
    for (minute, sums), after in zip(sound, [*(sums for _, sums in sound[1:]), None], strict=True):
        first, last = int(sums["first_id"]), int(sums["last_id"])
        whole = after is not None and not sums["missing"] and int(after["first_id"]) == last + 1
        if minute < since:
            found.append(KnownIds(last, last, minute))
        elif whole or minute in exact:
            found.append(KnownIds(first, last, minute))
        elif not found:
            found.append(KnownIds(first - 1, first - 1, minute - MINUTE_MS))
    return found


def ladder_stamp(store: Store, symbol: str, day: int) -> int:
    """Computes a checksum (CRC-32) of a day's ladders.

    Args:
        store: the store.
        symbol: whose.
        day: midnight, ms.

    Returns:
        The checksum; 0 where there are none.
    """
    block = store.note(f"{_LADDER}{symbol} {day}")
    blocks = list(_live_blocks(store, symbol, day).values()) if block is None else [block]
    check = 0
    for part in blocks:
        check = zlib.crc32(part, check)
    return check


def is_exact(candles: Rows, ladder: Ladder | None) -> bool:
    """Finds whether a minute's trades are all there.

    Args:
        candles: shape (1,), dtype ROW; none: it is not known.
        ladder: of the minute; None where there are no trades.

    Returns:
        True if they add up to the candle.
    """
    if ladder is None or not len(candles):
        return False
    return bool(_known_minute(candles, ladder).known[0] == Known.EXACT)


def known_share(candles: Rows, ladder: Ladder | None) -> float:
    """Computes how much of a minute's volume is in its ladder.

    Args:
        candles: shape (1,), dtype ROW; none: nothing is known of it.
        ladder: of the minute; None where there are no trades.

    Returns:
        0 to 1.
    """
    if ladder is None or not len(candles):
        return 0.0
    return float(_known_minute(candles, ladder).shares[0])


def _known_minute(candles: Rows, ladder: Ladder) -> Reconciled:
    return reconcile(candles, minute_sums(ladder.minutes, ladder.day, ladder.quantity_places))


def _of_name(name: str) -> tuple[int, int]:
    """Day (ms) and number of the minute that a note is of."""
    *_, day, minute = name.split()
    return int(day), int(minute)


def _time_of_name(name: str) -> int:
    """Open time (ms) of the minute that a note is of."""
    day, number = _of_name(name)
    return day + number * MINUTE_MS


def _minute_name(symbol: str, minute: int) -> str:
    day = of_day(minute)
    return f"{_MINUTE}{symbol} {day} {(minute - day) // MINUTE_MS:04d}"


def _unpacked(store: Store, name: str, block: bytes) -> Ladder | None:
    try:
        return unpack(block)
    except LadderBlockError as error:
        store.report_unusable(name, str(error))
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


@dataclass(frozen=True, slots=True)
class MinuteLevels:
    """What was bought and sold at each price of some minutes of a day, and how each of them is known.

    Columns of minutes have the shape (m,), those of levels (n,).
    """

    times: Ints  # open times, ms
    known: NDArray[np.uint8]  # of Known
    shares: NDArray[np.float64]  # of the candle's volume that is in the levels
    unproved: NDArray[np.bool_]  # ids of trades are missing
    begins: Ints  # shape (m + 1,): place of the first level of each minute
    prices: NDArray[np.float64]  # quote asset, ascending within a minute
    bought: NDArray[np.float64]  # base asset
    sold: NDArray[np.float64]  # base asset
    trades: Ints
    ladders: bool  # the day has any

    def rows(self) -> NDArray[Any]:
        """Gives each level with what is known of its minute, dtype :data:`LEVEL`."""
        at = np.repeat(np.arange(len(self.times)), np.diff(self.begins))
        made = np.empty(len(at), dtype=LEVEL)
        made["open_time"], made["price"], made["trades"] = self.times[at], self.prices, self.trades
        made["bought"], made["sold"] = self.bought, self.sold
        made["known"] = np.array([known.name.lower() for known in Known], dtype=object)[self.known[at]]
        made["share"], made["unproved"] = self.shares[at], self.unproved[at]
        return made


def read_levels(store: Store, symbol: str, day: int, start: int, end: int) -> MinuteLevels:
    """Reads what was bought and sold at each price of the minutes of a day that have a candle.

    Args:
        store: the store.
        symbol: whose.
        day: midnight, ms.
        start: open time of the first minute, ms.
        end: exclusive, ms.

    Returns:
        The minutes; one without a ladder has no levels.

    Raises:
        BlockError: stored candles are damaged.
    """
    stored = read_ladder(store, symbol, day)
    ladder = LadderBuilder(day).ladder() if stored is None else stored
    candles, known = known_minutes(store, symbol, ladder)
    kept = slice(*np.searchsorted(candles["open_time"], (start, end)).tolist())
    times = np.ascontiguousarray(candles["open_time"][kept])
    numbers, levels = (times - day) // MINUTE_MS, ladder.levels
    lows, highs = (np.searchsorted(levels["minute"], numbers, side=side) for side in ("left", "right"))
    begins = np.concatenate(([0], np.cumsum(highs - lows)))
    # Between minutes that have a candle there may be levels of others.
    at = np.arange(begins[-1]) + np.repeat(lows - begins[:-1], highs - lows)
    levels, prices = levels[at], ladder.prices()[at]
    bought, sold = (ladder.quantities(levels[name]) for name in ("bought", "sold"))
    return MinuteLevels(
        times, known.known[kept], known.shares[kept], known.unproved[kept], begins, prices, bought, sold,
        levels["trades"].astype(np.int64), stored is not None,
    )  # fmt: skip


def ladders_state(store: Store, symbol: str) -> object:
    """Gives what changes whenever other ladders of a symbol are stored, but for those of new minutes.

    Args:
        store: the store.
        symbol: whose.

    Returns:
        To be compared with another one.
    """
    return store.note(_LISTED + symbol), store.note(CHANGES + symbol)


class UnpackedPart:
    """The part of an archive day that was unpacked last, as it is often asked for again. For any thread."""

    def __init__(self) -> None:
        self._kept: tuple[object, int, Ladder] | None = None  # of which block, first minute, ladders

    def ladder(self, block: bytes, first: int, end: int) -> Ladder:
        """Unpacks minutes of a day.

        Args:
            block: of the day.
            first: minute of the day.
            end: exclusive.

        Returns:
            Ladders, of other minutes of the day too where they are of one part.

        Raises:
            LadderBlockError: the block is damaged.
        """
        begin = first // PART_MINUTES * PART_MINUTES
        if end > begin + PART_MINUTES:
            return unpack(block, first, end)
        key = block[:_HEAD], len(block)  # a checksum is among the first bytes
        kept = self._kept
        if kept is None or kept[:2] != (key, begin):
            kept = self._kept = key, begin, unpack(block, begin, begin + PART_MINUTES)
        return kept[2]


def stored_sums(
    store: Store, symbol: str, parts: Sequence[Rows], unpacked: UnpackedPart | None = None
) -> list[list[DaySums]]:
    """Adds up what the ladders of minutes have. Each day is read once.

    Args:
        store: the store.
        symbol: whose.
        parts: stored candles, dtype ROW, each in order, and each later than those before it.
        unpacked: where minutes of the same day are asked for again and again.

    Returns:
        Of each part the sums of each of its days that has ladders, ascending.
    """
    sums: list[list[DaySums]] = [[] for _ in parts]
    for day, those in _parts_by_day(parts).items():
        name, asked = f"{_LADDER}{symbol} {day}", list(those.values())
        block = store.note(name)
        if block is None:
            ladder = _live_ladder(store, symbol, day, asked)
            if ladder is None:
                continue
            found = [sums_of(ladder, times) for times in asked]
        else:
            try:
                found = _sums_of_day(block, asked, unpacked or UnpackedPart())
            except LadderBlockError as error:
                store.report_unusable(name, str(error))
                continue
        for place, part in zip(those, found, strict=True):
            sums[place].append(part)
    return sums


class FollowedSums:
    """Sums of the ladders of days that are asked for again with more minutes: only the new ones are read.

    For any thread.

    Args:
        store: where the ladders are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, int], tuple[object, Ints, list[DaySums]]] = {}
        self._lock = threading.Lock()  # of what is known; never held while the store is read

    def of(self, symbol: str, candles: Rows) -> list[DaySums]:
        """Adds up what the ladders of the minutes of a day have.

        Args:
            symbol: whose.
            candles: stored candles of one UTC day, dtype ROW, in order.

        Returns:
            The sums; nothing where there are no ladders.
        """
        times = np.ascontiguousarray(candles["open_time"])
        if not len(times):
            return []
        key, state = (symbol, of_day(int(times[0]))), ladders_state(self._store, symbol)
        with self._lock:
            known = self._known.get(key)
        rest, sums = candles, []
        if known is not None and known[0] == state and np.array_equal(known[1], times[: len(known[1])]):
            rest, sums = candles[len(known[1]) :], known[2]
        new = stored_sums(self._store, symbol, [rest])[0] if len(rest) else []
        sums = [joined_day_sums(sums[0], new[0])] if sums and new else sums or new
        with self._lock:
            self._known.pop(key, None)
            self._known[key] = state, times, sums
            while len(self._known) > _FOLLOWED_DAYS:
                del self._known[next(iter(self._known))]
        return sums


def stored_volumes(
    store: Store, symbol: str, parts: Sequence[Rows], unpacked: UnpackedPart | None = None
) -> list[MinuteVolume]:
    """Gives the volume of minutes, each with the best that is stored: its ladder, else its candle.

    Args:
        store: the store.
        symbol: whose.
        parts: see :func:`stored_sums`.
        unpacked: see there.

    Returns:
        The volume of each part.
    """
    sums = stored_sums(store, symbol, parts, unpacked)
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


def _sums_of_day(block: bytes, parts: list[Ints], unpacked: UnpackedPart) -> list[DaySums]:
    """What the ladders of a day come to in the minutes of each part."""
    if len(parts) == 1 and len(parts[0]) > MINUTES_PER_DAY // 2:  # of a whole day nothing needs unpacking
        sums = day_sums(block)
        if np.isin(sums.minutes.times, parts[0]).all():
            return [sums]
    day = int(parts[0][0]) - int(parts[0][0]) % DAY_MS
    first, last = ((int(at) - day) // MINUTE_MS for at in (parts[0][0], parts[-1][-1]))
    ladder = unpacked.ladder(block, first, last + 1)
    return [sums_of(ladder, times) for times in parts]


def stored_traded_profile(
    store: Store,
    symbol: str,
    settings: ProfileSettings,
    day: int,
    end: int | None = None,
    ranges: DayRanges | None = None,
    followed: FollowedSums | None = None,
) -> TradedProfile | None:
    """Computes the profile of a day from its ladders, as far as there are any, and its candles.

    Args:
        store: the store.
        symbol: whose.
        settings: what shapes the profile.
        day: midnight, ms.
        end: exclusive, ms: minutes from there on do not count; None for the whole day.
        ranges: of the same store, where several days are asked for.
        followed: of the same store, where a day is asked for again and again.

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
    sums = stored_sums(store, symbol, [candles])[0] if followed is None else followed.of(symbol, candles)
    return traded_profile(candles, MinuteVolume(candles, sums), settings, before)
