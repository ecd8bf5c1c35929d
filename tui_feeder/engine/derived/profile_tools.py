"""Profile tools over stored minutes, as screens and the API ask for them; newest answers are kept."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar, cast

import numpy as np

from tui_feeder.config import Config
from tui_feeder.engine.analytics.orderflow.ladder import of_day
from tui_feeder.engine.analytics.orderflow.packing import DaySums, joined_day_sums
from tui_feeder.engine.analytics.orderflow.traded_profile import traded_profile
from tui_feeder.engine.analytics.profile.increments import DAYS_BEFORE, DayRange, ranges_of
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools.anchored import anchored_vwap
from tui_feeder.engine.analytics.profile.tools.developing import DevelopingLevels
from tui_feeder.engine.analytics.profile.tools.footprint import footprint
from tui_feeder.engine.analytics.profile.tools.naked import NakedLevel, touched_levels
from tui_feeder.engine.analytics.profile.tools.nodes import Nodes, nodes
from tui_feeder.engine.analytics.profile.tools.range_profile import RangeProfile, range_profile
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, SECOND_MS, Rows
from tui_feeder.engine.derived.day_ranges import ranges_before
from tui_feeder.engine.derived.inputs import settings_of
from tui_feeder.engine.derived.stored_ladders import UnpackedPart, ladders_state, stored_sums, stored_volumes
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import (
    LONGEST_RANGE,
    AnchoredLine,
    FootprintBar,
    FootprintView,
    LevelLines,
    NakedPoc,
    RangeView,
    Spans,
    unmade_footprint,
)

T = TypeVar("T")

_KEPT = 64
#: Bars of footprints whose volume is kept: those in sight are asked for again every minute.
_KEPT_BARS = 64
#: Minutes that are counted at once where an answer is given after a while with what there is.
_PIECE_MS = 15 * MINUTE_MS
#: Pieces of a bar at most (of a longer one they have more minutes), and pieces that are kept.
_BAR_PIECES, _KEPT_PIECES = 96, 256
#: Days whose levels are followed.
_KEPT_DAYS = 8
#: Of a profile with more rows no nodes are looked for.
_MOST_NODE_ROWS = 50_000


class _Patience:
    """How long an answer may take; None: as long as it takes."""

    def __init__(self, seconds: float | None) -> None:
        self.limited = seconds is not None
        self._until = time.monotonic() + (seconds or 0.0)
        self._begun = False

    def over(self) -> bool:
        """Whether no other part of the work is to be begun; the first one always is."""
        begun, self._begun = self._begun, True
        return begun and self.limited and time.monotonic() >= self._until


class ProfileTools:
    """Computes them from stored minutes, each with its ladder where that is stored. For any thread.

    In every method ``closed`` is the exclusive end of the newest minute that counts, ms.

    Args:
        store: where the minutes are.
        config: whose settings shape the profiles.
        as_messages: count trades of those symbols alone of which profiles in messages do.
    """

    def __init__(self, store: Store, config: Config, *, as_messages: bool = False) -> None:
        self._store = store
        self._config = config
        self._as_messages = as_messages
        self._followed: dict[tuple[str, int, int], tuple[object, DevelopingLevels]] = {}
        self._bars: dict[tuple[str, int, int], tuple[object, MinuteVolume]] = {}
        self._pieces: dict[tuple[str, int, int], tuple[object, list[DaySums]]] = {}
        self._unpacked = UnpackedPart()
        self._kept: dict[tuple[object, ...], tuple[object, object]] = {}
        self._lock = threading.Lock()  # of what is kept; never held while the store is read

    def range_profile(self, symbol: str, spans: Spans, closed: int) -> RangeView | None:
        """Computes the profile of any minutes.

        Args:
            symbol: a stored symbol.
            spans: start and end (exclusive) of each, ms, in order.
            closed: see the class.

        Returns:
            The profile; None without trades, or where the spans are too long.

        Raises:
            StoreError: the store is closed.
        """
        settings = self._settings(symbol)
        cut = tuple((start, min(end, closed)) for start, end in spans if start < min(end, closed))
        if settings is None or not cut or sum(end - start for start, end in cut) > LONGEST_RANGE:
            return None

        def made() -> RangeView | None:
            rows = np.concatenate([self._store.read(symbol, start, end) for start, end in cut])
            found = range_profile(self._volumes(symbol, [rows], settings)[0], settings)
            return None if found is None else _view(symbol, spans, rows, found)

        return self._known(("range", symbol, spans), symbol, (cut[0][0], cut[-1][1]), settings, made)

    def footprint(
        self, symbol: str, timeframe: int, count: int, levels: int, end: int, patience: float | None = None
    ) -> FootprintView | None:
        """Computes what was bought and sold at each price of bars.

        Args:
            symbol: a stored symbol.
            timeframe: seconds.
            count: bars at most; the last one may be in progress.
            levels: rows that all of them together may take.
            end: exclusive end of the minutes that count, ms.
            patience: seconds after which the newest bars that there are by then are given; None: all.

        Returns:
            The bars; None where nothing was traded.

        Raises:
            StoreError: the store is closed.
        """
        settings, frame = self._settings(symbol), timeframe * SECOND_MS
        start = -(-end // frame) * frame - count * frame
        if settings is None or end - start > LONGEST_RANGE:
            return None

        until = _Patience(patience)

        def made() -> FootprintView | None:
            rows = self._store.read(symbol, start, end)
            times = range(start, end, frame)
            edges = np.searchsorted(rows["open_time"], [*times, end])
            bars = [rows[low:high] for low, high in pairwise(edges.tolist())]
            volumes = self._bar_volumes(symbol, frame, dict(zip(times, bars, strict=True)), settings, until)
            whole = len(volumes) == len(bars)
            found = footprint(list(volumes.items()), settings, levels)
            if found is None:
                return None if whole else unmade_footprint(symbol)
            shown = (
                FootprintBar(b.time, b.first, tuple(b.bought.tolist()), tuple(b.sold.tolist()), *b[4:])
                for b in found.bars
            )
            return FootprintView(symbol, found.increment, tuple(shown), whole)

        key = ("footprint", symbol, timeframe, count, levels)
        return self._known(key, symbol, (start, end), settings, made, lambda view: view is None or view.whole)

    def day_levels(self, symbol: str, days: int, closed: int, today: int | None = None) -> list[NakedLevel]:
        """Computes the points of control of the last days that are over, and when they were touched.

        Args:
            symbol: a stored symbol.
            days: how many to look back.
            closed: see the class.
            today: midnight (ms) of the day that is not over; None for that of the newest minute.

        Returns:
            By day, ascending.

        Raises:
            StoreError: the store is closed.
        """
        settings = self._settings(symbol)
        if settings is None:
            return []
        if today is None:
            today = (closed - MINUTE_MS) // DAY_MS * DAY_MS
        end = today
        first = today - days * DAY_MS

        def made() -> list[NakedLevel]:
            ranges: list[DayRange] = []
            levels: dict[int, NakedLevel] = {}
            for day in range(first - DAYS_BEFORE * DAY_MS, end, DAY_MS):
                rows = self._store.read(symbol, day, day + DAY_MS)
                if not len(rows):
                    continue
                naked = [(level.day, level.price) for level in levels.values() if level.touched_at is None]
                levels |= {level.day: level for level in touched_levels(naked, rows)}
                if day >= first:
                    before = [r for r in ranges if day - DAYS_BEFORE * DAY_MS <= r.day < day]
                    volume = self._volumes(symbol, [rows], settings)[0]
                    profile = traded_profile(rows, volume, settings, before)
                    if profile is not None:
                        levels[day] = NakedLevel(day, profile.poc, None)
                ranges += ranges_of(rows)
            return list(levels.values())

        span = (first - DAYS_BEFORE * DAY_MS, end)
        past = self._known(("days", symbol, days), symbol, span, settings, made)
        naked = [(level.day, level.price) for level in past if level.touched_at is None]
        rows = self._store.read(symbol, today, closed)
        now = {level.day: level for level in touched_levels(naked, rows)}
        return [now.get(level.day, level) for level in past]

    def naked_pocs(self, symbol: str, closed: int) -> tuple[NakedPoc, ...]:
        """Lists the naked points of control of the days whose profiles are kept.

        Args:
            symbol: a stored symbol.
            closed: see the class.

        Returns:
            By day, ascending.

        Raises:
            StoreError: the store is closed.
        """
        days = self._config.volume_profile.for_symbol(symbol).historical_days
        levels = self.day_levels(symbol, days, closed)
        return tuple(NakedPoc(level.day, level.price) for level in levels if level.touched_at is None)

    def developing(
        self, symbol: str, day: int, every: int, closed: int, patience: float | None = None
    ) -> LevelLines | None:
        """Follows the profile of a UTC day.

        Args:
            symbol: a stored symbol.
            day: midnight, ms.
            every: minutes from one point to the next.
            closed: see the class.
            patience: seconds after which the levels up to where they were followed by then are given; None:
                all.

        Returns:
            The lines; None if there is no profile.

        Raises:
            StoreError: the store is closed.
        """
        settings, end = self._settings(symbol), min(closed, day + DAY_MS)
        if settings is None or end <= day:
            return None

        until = _Patience(patience)

        def made() -> LevelLines | None:
            levels, whole = self._developed(symbol, day, every, end, settings, until)
            if levels is None:
                return None
            times, *columns = levels.lines()
            poc, vah, val, vwap = (tuple(column.tolist()) for column in columns)
            return LevelLines(tuple(times.tolist()), poc, vah, val, vwap, whole)

        span = (day - DAYS_BEFORE * DAY_MS, end)
        key = ("developing", symbol, day, every)
        return self._known(key, symbol, span, settings, made, lambda lines: lines is None or lines.whole)

    def _developed(
        self, symbol: str, day: int, every: int, end: int, settings: ProfileSettings, until: _Patience
    ) -> tuple[DevelopingLevels | None, bool]:
        """The levels of a day up to a moment, and whether up to its end.

        Where they were followed before, later minutes are added.
        """
        key, store = (symbol, day, every), self._store
        before = store.present(symbol).clip(day - DAYS_BEFORE * DAY_MS, day).minutes
        state = (settings, store.edition(symbol), ladders_state(self._store, symbol), before)
        with self._lock:  # taken out of what is kept: nobody else adds to it meanwhile
            known, levels = self._followed.pop(key, (None, None))
        rows = store.read(symbol, day, end)
        if not len(rows):
            return None, True
        rest = levels.rest(rows) if levels is not None and known == state else None
        if levels is None or rest is None:
            levels, rest = DevelopingLevels(settings, ranges_before(store, symbol, day), every), rows
        guessed = self._of_candles(settings) or settings.calculation_mode == "TPO"
        pieces = _pieces(rest, _PIECE_MS) if until.limited else [rest]
        done = 0
        for piece in pieces:
            if until.over():
                break
            parts = levels.parts(piece)
            sums = [[]] * len(parts) if guessed else stored_sums(store, symbol, parts, self._unpacked)
            for part, day_sums in zip(parts, sums, strict=True):
                levels.add(part, *day_sums)
            done += 1
        with self._lock:
            self._followed[key] = state, levels
            while len(self._followed) > _KEPT_DAYS:
                del self._followed[next(iter(self._followed))]
        return levels, done == len(pieces)

    def anchored(self, symbol: str, anchor: int, timeframe: int, end: int) -> AnchoredLine:
        """Computes the VWAP from an anchor on.

        Args:
            symbol: a stored symbol.
            anchor: where it begins, ms.
            timeframe: of the bars at whose ends there are values, seconds.
            end: exclusive end of the minutes that count, ms.

        Returns:
            The line; empty without minutes.

        Raises:
            StoreError: the store is closed.
        """
        start, frame = max(anchor, end - LONGEST_RANGE), timeframe * SECOND_MS

        def made() -> AnchoredLine:
            rows = self._store.read(symbol, start, end)
            found = anchored_vwap(rows)
            bars = rows["open_time"] // frame
            last = np.flatnonzero(np.append(bars[1:] != bars[:-1], True)) if len(rows) else np.empty(0, int)
            times = (bars[last] + 1) * frame
            columns = (times, found.vwap[last], found.deviation[last])
            return AnchoredLine(*(tuple(column.tolist()) for column in columns))

        key = ("anchored", symbol, start, timeframe)
        return self._known(key, symbol, (start, end), None, made)

    def _of_candles(self, settings: ProfileSettings) -> bool:
        return self._as_messages and settings.source != "trades"

    def _volumes(self, symbol: str, parts: Sequence[Rows], settings: ProfileSettings) -> list[MinuteVolume]:
        """What was traded in each part, one later than the other."""
        if self._of_candles(settings):
            return [MinuteVolume(rows) for rows in parts]
        return stored_volumes(self._store, symbol, parts, self._unpacked)

    def _bar_volumes(
        self,
        symbol: str,
        frame: int,
        bars: Mapping[int, Rows],
        settings: ProfileSettings,
        until: _Patience,
    ) -> dict[int, MinuteVolume]:
        """The volume of bars by their open time; of those that are kept only new minutes are read.

        When patience is over the oldest are left out; the newest come first.
        """
        ladders, found = ladders_state(self._store, symbol), {}
        states = {at: (ladders, zlib.crc32(rows.tobytes())) for at, rows in bars.items()}
        with self._lock:
            for at, state in states.items():
                known = self._bars.get((symbol, frame, at))
                if known is not None and known[0] == state:
                    found[at] = known[1]
        new = [at for at in bars if at not in found]
        if not until.limited:
            made = self._volumes(symbol, [bars[at] for at in new], settings)
            found |= dict(zip(new, made, strict=True))
        else:
            for at in reversed(new):
                sums = self._piecewise(symbol, frame, bars[at], settings, ladders, until)
                if sums is None:
                    break
                found[at] = MinuteVolume(bars[at], sums)
        with self._lock:
            for at in found:
                self._bars.pop((symbol, frame, at), None)
                self._bars[symbol, frame, at] = states[at], found[at]
            while len(self._bars) > _KEPT_BARS:
                del self._bars[next(iter(self._bars))]
        return {at: found[at] for at in bars if at in found}

    def _piecewise(
        self,
        symbol: str,
        frame: int,
        rows: Rows,
        settings: ProfileSettings,
        ladders: object,
        until: _Patience,
    ) -> list[DaySums] | None:
        """Sums of the ladders of a bar, a piece at a time; None where patience was over."""
        if self._of_candles(settings) or not len(rows):
            return []
        length = max(_PIECE_MS, frame // _BAR_PIECES)
        sums: list[DaySums] = []
        for piece in _pieces(rows, length):
            key = symbol, frame, int(piece["open_time"][0]) // length * length
            state = ladders, zlib.crc32(piece.tobytes())
            with self._lock:
                known = self._pieces.get(key)
            if known is None or known[0] != state:
                if until.over():
                    return None
                known = state, stored_sums(self._store, symbol, [piece], self._unpacked)[0]
            with self._lock:
                self._pieces.pop(key, None)
                self._pieces[key] = known
                while len(self._pieces) > _KEPT_PIECES:
                    del self._pieces[next(iter(self._pieces))]
            for part in known[1]:
                same = bool(sums) and of_day(int(sums[-1].minutes.times[0])) == of_day(
                    int(part.minutes.times[0])
                )
                sums[-1:] = [joined_day_sums(sums[-1], part)] if same else [*sums[-1:], part]
        return sums

    def _settings(self, symbol: str) -> ProfileSettings | None:
        return settings_of(self._store, self._config, symbol).profile

    def _known(
        self,
        key: tuple[object, ...],
        symbol: str,
        span: tuple[int, int],
        settings: ProfileSettings | None,
        made: Callable[[], T],
        whole: Callable[[T], bool] = lambda _: True,
    ) -> T:
        """What was made before of the same minutes, or is made now, and kept if it is whole."""
        # Before the minutes are read: what changes meanwhile is another state of them.
        edition, present = self._store.edition(symbol), self._store.present(symbol)
        state = (span, settings, edition, ladders_state(self._store, symbol), present.clip(*span).minutes)
        with self._lock:
            known = self._kept.get(key)
        if known is not None and known[0] == state:
            return cast("T", known[1])
        found = made()
        if not whole(found):
            return found
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = (state, found)
            if len(self._kept) > _KEPT:
                self._kept.pop(next(iter(self._kept)))
        return found


def _pieces(rows: Rows, length: int) -> list[Rows]:
    """Divides minutes at whole multiples of a length (ms)."""
    cuts = np.flatnonzero(np.diff(rows["open_time"] // length)) + 1
    return [rows[low:high] for low, high in pairwise([0, *cuts.tolist(), len(rows)]) if low < high]


def _view(symbol: str, spans: Spans, rows: Rows, found: RangeProfile) -> RangeView:
    at = nodes(found.weights) if len(found.weights) <= _MOST_NODE_ROWS else Nodes((), ())
    prices = found.prices
    return RangeView(
        symbol=symbol,
        day=spans[0][0],
        end=spans[-1][1],
        increment=found.increment,
        low_index=found.low_index,
        weights=tuple(found.weights.tolist()),
        bought=None if found.bought is None else tuple(found.bought.tolist()),
        exact_share=found.exact_share,
        known_share=found.known_share,
        poc=found.poc,
        vah=found.vah,
        val=found.val,
        vwap=found.vwap,
        total_volume=found.total_volume,
        candles=found.minutes,
        last_minute=int(rows["open_time"][-1]),
        high_nodes=tuple(prices[np.array(at.high, np.int64)].tolist()),
        low_nodes=tuple(prices[np.array(at.low, np.int64)].tolist()),
    )
