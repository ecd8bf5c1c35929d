"""Bars, profiles and sources of stored minutes as a screen asks for them: nothing after a given minute."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tui_feeder.config import Config
from tui_feeder.day_evidence import DayView, MinuteView
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, SECOND_MS, Rows, Source
from tui_feeder.engine.derived.chart_window import Windows
from tui_feeder.engine.derived.profile_tools import ProfileTools
from tui_feeder.engine.derived.profile_views import ProfileViews
from tui_feeder.engine.derived.settings import analysed
from tui_feeder.engine.derived.stored_ladders import ladders_state
from tui_feeder.engine.storage.day_evidence import days_of, minute_of, noted_minutes_of
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.engine.storage.store import Store
from tui_feeder.late_answers import Answering, LateAnswers
from tui_feeder.monitor import (
    AnchoredLine,
    FootprintView,
    LevelLines,
    NakedPoc,
    ProfileView,
    RangeView,
    Spans,
    unmade_footprint,
)

log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: Of an answer that comes in parts the next one is made in so long, s.
_STEP_SECONDS = 0.015
_KEPT = 48  # answers of those that take long
#: Who asks several things in so long waits for all of them together as long as for one, s.
_TURN_SECONDS = 0.05
#: The source of single minutes is read for ranges up to this length, ms.
SOURCED_MS = 2 * DAY_MS
NO_ROWS: Rows = np.empty(0, dtype=ROW)
NO_LINE = AnchoredLine((), (), ())
_SOURCE_NAMES = {
    Source.ARCHIVE_UNCHECKED: "archive without checksum",
    Source.STREAM: "stream",
    Source.REST: "REST",
    Source.ARCHIVE_DAY: "daily archive",
    Source.ARCHIVE_MONTH: "monthly archive",
}


class StoredReads:
    """Reads for the screens; may be used from any thread.

    In every method ``closed`` is the exclusive end of the newest minute that may be seen, ms. Once the store
    is closed there is nothing to see.

    Args:
        store: where the candles are.
        config: whose analysis settings count.
        end: ms, up to which may be read ahead, although it is not shown yet; None for ``closed``.
    """

    def __init__(self, store: Store, config: Config, end: int | None = None) -> None:
        self._store = store
        self._end = end
        self._periods = analysed(config)[1]
        self._windows = Windows(store, self._periods)
        self._profiles = ProfileViews(store, config)
        self._tools = ProfileTools(store, config)
        #: Those that came after whoever asked went on.
        self.answers = LateAnswers(_KEPT)
        self._worker = ThreadPoolExecutor(1, "late answers")
        self._waited = (0.0, 0.0)  # when whoever asks began to wait, and how long since, seconds

    def bars(
        self, symbol: str, timeframe: int, count: int, end: int | None, closed: int
    ) -> tuple[Rows, tuple[NDArray[np.float64], ...]]:
        """Completed bars and the EMAs aligned with them; see :class:`tui_feeder.monitor.Monitor`.

        Args:
            symbol: a stored symbol.
            timeframe: seconds.
            count: bars, at most.
            end: exclusive, ms; None for the newest.
            closed: see the class.

        Returns:
            Rows of dtype ROW, and one array per EMA, NaN where not yet defined.
        """
        frame = timeframe * SECOND_MS
        until = closed // frame * frame
        last = until if end is None else min(end // frame * frame, until)
        readable = until if self._end is None else self._end // frame * frame
        try:
            return self._windows.bars(symbol, timeframe, count, last, readable)
        except StoreError:
            return self.no_bars()

    def no_bars(self) -> tuple[Rows, tuple[NDArray[np.float64], ...]]:
        """What :meth:`bars` gives where there are none."""
        return NO_ROWS, tuple(np.empty(0) for _ in self._periods)

    def open_bar(self, symbol: str, timeframe: int, closed: int) -> Rows:
        """Aggregates the minutes since the last completed bar.

        Args:
            symbol: a stored symbol.
            timeframe: seconds.
            closed: see the class.

        Returns:
            One row of dtype ROW, or none.
        """
        frame = timeframe * SECOND_MS
        try:
            return self._windows.open_bar(symbol, timeframe, closed // frame * frame, closed)
        except StoreError:
            return NO_ROWS

    def _answer(
        self,
        key: tuple[object, ...],
        symbol: str,
        closed: int,
        patience: float | None,
        make: Callable[[float | None], _T],
        none: _T,
        unmade: _T | None = None,
    ) -> _T:
        """What ``make`` gives; with patience by then, else what there was before, at first ``unmade``.

        It is given seconds after which it may give a part, which is not ``whole``, and is called again then.
        """

        def made(limit: float | None) -> _T:
            try:
                return make(limit)
            except StoreError:
                return none

        if patience is None:
            return made(None)

        def begin(answering: Answering[_T]) -> None:
            def step() -> None:
                try:
                    value = made(_STEP_SECONDS)
                except Exception:
                    log.exception("what a screen asked for could not be made: %s", key)
                    answering.keep()
                    return
                whole = getattr(value, "whole", True)
                answering.give(value, whole)
                if not whole and answering.wanted():
                    submit()

            def submit() -> None:
                with contextlib.suppress(RuntimeError):  # the program ends
                    self._worker.submit(step)

            submit()

        try:
            stored = self._store.edition(symbol), self._store.present(symbol).minutes
            state = closed, stored, ladders_state(self._store, symbol)
        except StoreError:
            return none
        began = time.monotonic()
        since, waited = self._waited
        if began - since > _TURN_SECONDS:
            since, waited = began, 0.0
        first = none if unmade is None else unmade
        found = self.answers.ask(key, symbol, state, begin, first, max(0.0, patience - waited))
        self._waited = since, waited + time.monotonic() - began
        return found

    def profile(
        self, symbol: str, day: int | None, closed: int, patience: float | None = None
    ) -> ProfileView | None:
        """The profile of a UTC day, of the minutes before ``closed``.

        Args:
            symbol: a stored symbol.
            day: beginning of the day, ms; None for the day of the newest minute.
            closed: see the class.
            patience: see :class:`tui_feeder.monitor.Monitor`.

        Returns:
            The profile; None without trades.
        """
        start = (closed - MINUTE_MS) // DAY_MS * DAY_MS if day is None else day
        end = min(closed, start + DAY_MS)
        if end <= start:
            return None
        key = "profile", symbol, start
        return self._answer(key, symbol, end, patience, lambda _: self._profiles.of(symbol, start, end), None)

    def range_profile(
        self, symbol: str, spans: Spans, closed: int, patience: float | None = None
    ) -> RangeView | None:
        """The profile of any minutes before ``closed``.

        Args:
            symbol: a stored symbol.
            spans: start and end (exclusive) of each, ms, in order.
            closed: see the class.
            patience: see :class:`tui_feeder.monitor.Monitor`.

        Returns:
            The profile; None without trades, or where the spans are too long.
        """
        key, end = ("range", symbol, spans), min(closed, spans[-1][1])
        return self._answer(
            key, symbol, end, patience, lambda _: self._tools.range_profile(symbol, spans, closed), None
        )

    def footprint(
        self,
        symbol: str,
        timeframe: int,
        count: int,
        levels: int,
        end: int | None,
        closed: int,
        patience: float | None = None,
    ) -> FootprintView | None:
        """What was bought and sold at each price of bars.

        Args:
            symbol: a stored symbol.
            timeframe: seconds.
            count: bars at most.
            levels: rows that all of them together may take.
            end: exclusive end of the last one, ms; None for the newest.
            closed: see the class.
            patience: see :class:`tui_feeder.monitor.Monitor`.

        Returns:
            The bars; None where nothing was traded.
        """
        until = closed if end is None else min(end, closed)
        key = "footprint", symbol, timeframe, count, levels, end
        return self._answer(
            key,
            symbol,
            until,
            patience,
            lambda limit: self._tools.footprint(symbol, timeframe, count, levels, until, limit),
            None,
            unmade_footprint(symbol),
        )

    def naked_pocs(self, symbol: str, closed: int, patience: float | None = None) -> tuple[NakedPoc, ...]:
        """The naked points of control of the days whose profiles are kept.

        Args:
            symbol: a stored symbol.
            closed: see the class.
            patience: see :class:`tui_feeder.monitor.Monitor`.

        Returns:
            By day, ascending.
        """
        nothing: tuple[NakedPoc, ...] = ()
        key = "naked", symbol
        return self._answer(
            key, symbol, closed, patience, lambda _: self._tools.naked_pocs(symbol, closed), nothing
        )

    def developing(
        self, symbol: str, day: int, every: int, closed: int, patience: float | None = None
    ) -> LevelLines | None:
        """The levels of a day's profile as they developed.

        Args:
            symbol: a stored symbol.
            day: midnight, ms.
            every: minutes from one point to the next.
            closed: see the class.
            patience: see :class:`tui_feeder.monitor.Monitor`.

        Returns:
            The lines; None if there is no profile.
        """
        key, end = ("developing", symbol, day, every), min(closed, day + DAY_MS)
        return self._answer(
            key,
            symbol,
            end,
            patience,
            lambda limit: self._tools.developing(symbol, day, every, closed, limit),
            None,
        )

    def anchored(
        self, symbol: str, anchor: int, timeframe: int, end: int | None, closed: int
    ) -> AnchoredLine:
        """The VWAP from an anchor on.

        Args:
            symbol: a stored symbol.
            anchor: where it begins, ms.
            timeframe: of the bars at whose ends there are values, seconds.
            end: ms; None for the newest minute.
            closed: see the class.

        Returns:
            The line; empty without minutes.
        """
        until = closed if end is None else min(end, closed)
        try:
            return self._tools.anchored(symbol, anchor, timeframe, until)
        except StoreError:
            return NO_LINE

    def sources(self, symbol: str, start: int, end: int, closed: int) -> dict[str, int]:
        """Counts the minutes of a range by their source.

        Args:
            symbol: a stored symbol.
            start: ms, inclusive; the range is cut to its last two days.
            end: ms, exclusive.
            closed: see the class.

        Returns:
            Minutes by the name of the source.
        """
        end = min(end, closed)
        try:
            _, found = self._store.read_sourced(symbol, max(start, end - SOURCED_MS), end)
        except StoreError:
            return {}
        values, counts = np.unique(found, return_counts=True)
        return {
            _SOURCE_NAMES[Source(value)]: count
            for value, count in zip(values.tolist(), counts.tolist(), strict=True)
        }

    def days(self, symbol: str, start: int, end: int, now: int) -> tuple[DayView, ...]:
        """Describes UTC days.

        Args:
            symbol: a stored symbol.
            start: midnight, ms.
            end: midnight, ms, exclusive.
            now: exchange ms: later minutes are not due.

        Returns:
            A view a day.
        """
        try:
            return days_of(self._store, symbol, start, end, now)
        except StoreError:
            return ()

    def minute(self, symbol: str, open_time: int) -> MinuteView | None:
        """Describes a minute with every value it had.

        Args:
            symbol: a stored symbol.
            open_time: of the minute, ms.

        Returns:
            What is known of it; None where nothing of the symbol is stored.
        """
        try:
            return minute_of(self._store, symbol, open_time) if self._store.present(symbol) else None
        except StoreError:
            return None

    def noted_minutes(self, symbol: str, day: int) -> tuple[int, ...]:
        """Lists the minutes of a day to which something happened.

        Args:
            symbol: a stored symbol.
            day: midnight, ms.

        Returns:
            Open times (ms), ascending.
        """
        try:
            return noted_minutes_of(self._store, symbol, day)
        except StoreError:
            return ()
