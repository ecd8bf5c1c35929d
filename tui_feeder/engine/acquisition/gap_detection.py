"""Finds minutes that are missing or doubtful, and asks recovery for them."""

from __future__ import annotations

from collections.abc import Mapping

from tui_feeder.engine.acquisition.ingest import Ingest
from tui_feeder.engine.acquisition.recovery import Recovery
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.core.supervisor import heartbeat
from tui_feeder.engine.exchanges.base import Exchange
from tui_feeder.engine.storage.store import DamagedDay, Store


class GapDetection:
    """Looks for missing minutes of the live symbols. Runs on the engine's loop.

    Args:
        tracked: the symbols, by name.
        ingest: knows which minute each expects next.
        recovery: is asked for what is missing.
        store: knows what is stored.
        exchange: its clock and the deadlines of its markets.
        interval_minutes: from one periodic check to the next.
        window_minutes: how far back a periodic check looks.
    """

    def __init__(
        self,
        tracked: Mapping[str, TrackedSymbol],
        ingest: Ingest,
        recovery: Recovery,
        store: Store,
        exchange: Exchange,
        *,
        interval_minutes: int,
        window_minutes: int,
    ) -> None:
        self._tracked = tracked
        self._ingest = ingest
        self._recovery = recovery
        self._store = store
        self._exchange = exchange
        self._clock = exchange.clock
        self._interval_ms = interval_minutes * MINUTE_MS
        self._window_ms = window_minutes * MINUTE_MS

    async def watch_closes(self) -> None:
        """Requests a minute whose closing frame has not come in time, until cancelled."""
        while True:
            deadlines = [self._exchange.facts(symbol).close_deadline_ms for symbol in self._tracked]
            deadline = self._clock.at_least(max(deadlines, default=0), 0.35)
            minute_end = (self._clock.now() - deadline) // MINUTE_MS * MINUTE_MS + MINUTE_MS
            heartbeat(self._clock.real_seconds(MINUTE_MS + deadline))
            await self._clock.sleep_until(minute_end + deadline)
            for tracked in self._tracked.values():
                queue = self._ingest.queue(tracked.symbol)
                due = minute_end if tracked.end is None else min(minute_end, tracked.end)
                if tracked.phase == "live" and queue.next is not None and queue.next < due:
                    self._recovery.request(tracked.symbol, queue.next, due, "no closing frame in time")

    async def check_periodically(self) -> None:
        """Requests what the store lacks of the last hours, now and then, until cancelled."""
        while True:
            pause = self._clock.at_least(self._interval_ms, 5.0)
            heartbeat(self._clock.real_seconds(pause))
            await self._clock.sleep_until(self._clock.now() + pause)
            end = self._clock.now() // MINUTE_MS * MINUTE_MS - MINUTE_MS
            if self._store.pausing:  # what is not stored is not missing: it waits for room on the disk
                continue
            for tracked in self._tracked.values():
                if tracked.phase == "live":
                    low = max(tracked.start, end - self._window_ms)
                    due = end if tracked.end is None else min(end, tracked.end)
                    missing = self._store.settled(tracked.symbol).missing(low, max(low, due))
                    for start, stop in missing.subtract(self._store.inherited(tracked.symbol)):
                        self._recovery.request(tracked.symbol, start, stop, "found by the periodic check")

    def gap_found(self, symbol: str, start: int, end: int) -> None:
        """Requests minutes that are missing before one that waits.

        Args:
            symbol: whose.
            start: the first of them, ms.
            end: exclusive, ms.
        """
        if (tracked := self._tracked.get(symbol)) is not None and tracked.phase == "live":
            self._recovery.request(symbol, start, end, "the stream went on without these minutes")

    def day_damaged(self, loss: DamagedDay) -> None:
        """Requests the minutes of a stored day that proved to be damaged.

        Args:
            loss: the day; of a symbol that is not live the reading of history finds it.
        """
        tracked = self._tracked.get(loss.symbol)
        if tracked is not None and tracked.phase == "live":
            for start, end in loss.minutes:
                self._recovery.request(tracked.symbol, start, end, "the stored day was damaged")

    def clock_was_ahead(self, since: int, until: int) -> None:
        """Has minutes confirmed that were taken for over and may not have been.

        Args:
            since: exchange ms from which on nothing had confirmed the clock.
            until: the time it showed, exchange ms.
        """
        for tracked in self._tracked.values():
            final_ms = self._exchange.facts(tracked.symbol).final_ms
            low = (since - final_ms) // MINUTE_MS * MINUTE_MS - MINUTE_MS
            if tracked.start:  # also what is on its way to the store
                minutes = span(max(low, tracked.start), until // MINUTE_MS * MINUTE_MS)
                self._recovery.confirm(tracked.symbol, minutes)
