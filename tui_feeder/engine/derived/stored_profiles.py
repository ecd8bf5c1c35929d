"""Volume profiles of past days as the store keeps them: built from stored candles, read back in bulk.

Each is kept with a stamp of the candles and the settings it was made of. A day whose stamp no longer
fits, because a candle was repaired or a setting changed, counts as missing and is built again.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import msgspec
import numpy as np

from tui_feeder.engine.analytics.orderflow.traded_profile import traded_profile
from tui_feeder.engine.analytics.profile.day_profile import DayProfile, ProfileFigures, profile_of
from tui_feeder.engine.analytics.profile.increments import DAYS_BEFORE, DayRange, ranges_of, typical_range
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows
from tui_feeder.engine.derived.day_ranges import DayRanges, ranges_before
from tui_feeder.engine.derived.stored_ladders import ladder_stamp, stored_volumes
from tui_feeder.engine.storage.store import Store

_AT_ONCE = 10  # days in one write
_STAMP = 4  # bytes

MISSING, TODAY, WHOLE = "missing_days_only", "today_only", "reprocess_whole_history"


class _StoredProfile(msgspec.Struct, array_like=True):
    """A profile; ``rows``: int64 steps between those with weight, then their float64 weights, compressed."""

    figures: ProfileFigures
    low: int
    size: int
    rows: bytes


@dataclass(frozen=True, slots=True)
class Built:
    """What a rebuild of a symbol's days came to, in days."""

    built: int = 0
    kept: int = 0  # were there and fit their candles
    empty: int = 0  # without a candle


def stamp_of(
    rows: Rows, settings: ProfileSettings, before: Iterable[DayRange] = (), ladders: int = 0
) -> bytes:
    """Computes a checksum (CRC-32) of everything that shapes a day's profile.

    Args:
        rows: shape (n,), dtype ROW, the day's minutes.
        settings: profile settings.
        before: ranges of the days before.
        ladders: stamp of the day's ladders, 0 where none count.

    Returns:
        Big-endian bytes; equal stamps mean equal profiles.
    """
    shaping = repr(dataclasses.replace(settings, update_frequency="EveryCandle", batch_size=1))
    if settings.price_increment_mode == "Auto":
        shaping += f" {typical_range(before)}"
    if ladders:
        shaping += f" {ladders}"
    return zlib.crc32(shaping.encode(), zlib.crc32(rows.tobytes())).to_bytes(_STAMP, "big")


def settings_stamp(settings: ProfileSettings, minutes_before: int, ladders: int = 0) -> int:
    """Computes a checksum (CRC-32) of what shapes a day's profile besides its candles.

    Args:
        settings: the settings.
        minutes_before: how many minutes are stored of the days its increment may rest on.
        ladders: stamp of the day's ladders, 0 where none count.

    Returns:
        The checksum.
    """
    shaping = dataclasses.replace(settings, update_frequency="EveryCandle", batch_size=1)
    return zlib.crc32(f"{shaping!r} {minutes_before}{f' {ladders}' if ladders else ''}".encode())


def ladders_of(store: Store, symbol: str, settings: ProfileSettings, day: int) -> int:
    """Computes the stamp of the ladders that a day's profile is made of.

    Args:
        store: the store.
        symbol: its symbol.
        settings: the settings.
        day: midnight, ms.

    Returns:
        The stamp; 0 where there are none, or none count.
    """
    return ladder_stamp(store, symbol, day) if settings.source == "trades" else 0


def profile_of_day(
    store: Store,
    symbol: str,
    settings: ProfileSettings,
    day: int,
    rows: Rows,
    before: Iterable[DayRange] = (),
) -> DayProfile | None:
    """Makes the profile of a day of its candles, and of its ladders where these count.

    Args:
        store: where the ladders are.
        symbol: its symbol.
        settings: what shapes it.
        day: midnight, ms.
        rows: shape (n,), dtype ROW, minutes of the day.
        before: ranges of the days before.

    Returns:
        The profile; None where nothing was traded.
    """
    if settings.source != "trades":
        return profile_of(rows, settings, before)
    (volume,) = stored_volumes(store, symbol, [rows])
    return traded_profile(rows, volume, settings, before)


def day_profile(
    store: Store,
    symbol: str,
    settings: ProfileSettings,
    day: int,
    end: int | None = None,
    ranges: DayRanges | None = None,
) -> DayProfile | None:
    """The profile of a UTC day from its stored minutes: what its messages have, with the rows.

    Args:
        store: where the minutes are.
        symbol: whose.
        settings: what shapes the profile.
        day: midnight, ms.
        end: exclusive, ms: minutes from there on do not count; None for the whole day.
        ranges: of the same store, where several days are asked for.

    Returns:
        None where nothing was traded.

    Raises:
        BlockError: stored candles are damaged.
        StoreError: the store is closed.
    """
    rows = store.read(symbol, day, day + DAY_MS if end is None else end)
    before: tuple[DayRange, ...] = ()
    if settings.price_increment_mode == "Auto" and len(rows):
        before = ranges_before(store, symbol, day) if ranges is None else ranges.before(symbol, day)
    return profile_of_day(store, symbol, settings, day, rows, before)


def encode(profile: DayProfile | None) -> bytes:
    """Encodes a profile for the store.

    Args:
        profile: the profile; None for a day without trades.

    Returns:
        Bytes; empty for a day without trades.
    """
    if profile is None:
        return b""
    places = np.flatnonzero(profile.weights)
    rows = zlib.compress(np.diff(places, prepend=0).tobytes() + profile.weights[places].tobytes(), 1)
    figures = ProfileFigures(*(getattr(profile, name) for name in ProfileFigures.__struct_fields__))
    return msgspec.msgpack.encode(_StoredProfile(figures, profile.low_index, len(profile.weights), rows))


def decode(block: bytes) -> DayProfile | None:
    """Decodes a stored profile.

    Args:
        block: what :func:`encode` returned.

    Returns:
        The profile; None for a day without trades.
    """
    if not block:
        return None
    kept = msgspec.msgpack.decode(block, type=_StoredProfile)
    raw = zlib.decompress(kept.rows)
    half = len(raw) // 2
    weights = np.zeros(kept.size)
    weights[np.cumsum(np.frombuffer(raw[:half], dtype=np.int64))] = np.frombuffer(raw[half:])
    weights.flags.writeable = False
    figures = {name: getattr(kept.figures, name) for name in ProfileFigures.__struct_fields__}
    return DayProfile(**figures, low_index=kept.low, weights=weights)


def read_profiles(store: Store, symbol: str, start: int, end: int) -> list[DayProfile]:
    """Reads the stored profiles of whole UTC days, as they were built.

    Args:
        store: the store.
        symbol: its symbol.
        start: ms, inclusive.
        end: ms, exclusive.

    Returns:
        Profiles, ascending; days that are not stored or without trades are absent. Their ``candles`` and
        ``last_minute`` state which minutes they contain.
    """
    first = -(-start // DAY_MS) * DAY_MS
    found = (decode(block[_STAMP:]) for _, block in store.profiles(symbol, first, end // DAY_MS * DAY_MS))
    return [profile for profile in found if profile is not None]


def days_wanted(mode: str, newest: int, historical_days: int) -> list[int]:
    """Lists the days a reprocessing mode covers.

    Args:
        mode: a value of ``volume_profile.reprocessing.mode``.
        newest: beginning of the newest day, ms.
        historical_days: days before it.

    Returns:
        Beginnings of days, ms, ascending.
    """
    back = 0 if mode == TODAY else historical_days
    return list(range(newest - back * DAY_MS, newest + DAY_MS, DAY_MS))


def newest_day(store: Store, symbol: str) -> int | None:
    """Finds the UTC day of the last stored minute.

    Args:
        store: the store.
        symbol: its symbol.

    Returns:
        Beginning of the day, ms; None without minutes.
    """
    present = store.present(symbol)
    return (present.end - MINUTE_MS) // DAY_MS * DAY_MS if present else None


def build_days(
    store: Store, symbol: str, settings: ProfileSettings, days: Sequence[int], *, again: bool
) -> Built:
    """Builds profiles like :func:`begin_days` and blocks until all are committed.

    Args:
        store: the store.
        symbol: its symbol.
        settings: profile settings.
        days: beginnings of days, ms.
        again: build also what is stored and up to date.

    Returns:
        What was built.
    """
    built, commits = begin_days(store, symbol, settings, days, again=again)
    for commit in commits:
        commit.result()
    return built


def begin_days(
    store: Store, symbol: str, settings: ProfileSettings, days: Sequence[int], *, again: bool
) -> tuple[Built, list[Future[None]]]:
    """Build the profiles of ``days`` (ascending) and hand them to the store.

    Args:
        store: open for writing.
        symbol: whose.
        settings: what shapes them.
        days: midnights in ms.
        again: also those that are stored and fit their candles.

    Returns:
        What it came to, and the commits under way.

    Raises:
        StoreError: the store is closed or read-only.
    """
    if not days:
        return Built(), []
    known = {day: block[:_STAMP] for day, block in store.profiles(symbol, days[0], days[-1] + DAY_MS)}
    built = kept = empty = 0
    before: tuple[DayRange, ...] = ()
    reached = -1  # ``before`` knows the days up to this one
    commits = []
    for at in range(0, len(days), _AT_ONCE):
        blocks: dict[int, bytes] = {}
        for day in days[at : at + _AT_ONCE]:
            rows = store.read(symbol, day, day + DAY_MS)
            if reached != day:
                before = ranges_before(store, symbol, day)
            reached = day + DAY_MS
            if not len(rows):
                empty += 1
                continue
            earlier = tuple(day_range for day_range in before if day_range.day >= day - DAYS_BEFORE * DAY_MS)
            before = earlier + ranges_of(rows)
            stamp = stamp_of(rows, settings, earlier, ladders_of(store, symbol, settings, day))
            if known.get(day) == stamp and not again:
                kept += 1
                continue
            made = profile_of_day(store, symbol, settings, day, rows, earlier)
            blocks[day] = stamp + encode(made)
        if blocks:
            commits.append(store.put_profiles(symbol, blocks))
            built += len(blocks)
    return Built(built, kept, empty), commits
