"""A symbol's way to live: its history, then its pipeline, then its lane at the intake."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from tui_feeder.config import Config
from tui_feeder.engine.backoff import Backoff
from tui_feeder.engine.binance.rest import RestError
from tui_feeder.engine.candle import DAY_MS, MINUTE_MS, to_candles
from tui_feeder.engine.clock import ExchangeClock
from tui_feeder.engine.history import History, Tracker
from tui_feeder.engine.intake import Intake
from tui_feeder.engine.journal import Journal
from tui_feeder.engine.pipeline import SymbolPipeline
from tui_feeder.engine.recovery import Recovery
from tui_feeder.engine.roster import Tracked
from tui_feeder.engine.settings import pipeline_settings
from tui_feeder.engine.store import Store

_AT_ONCE = 6  # symbols whose history is read at the same time
_NEAR_MS = 3 * MINUTE_MS  # a lane opens when history is this close to now; recovery does the rest


class BringUp:
    """Brings symbols from nothing, or from what an earlier run stored, to live."""

    def __init__(
        self,
        config: Config,
        store: Store,
        history: History,
        intake: Intake,
        journal: Journal,
        clock: ExchangeClock,
        workers: ThreadPoolExecutor,
    ) -> None:
        self._config = config
        self._store = store
        self._history = history
        self._intake = intake
        self._journal = journal
        self._clock = clock
        self._workers = workers
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self, one: Tracked, recovery: Recovery) -> None:
        """The whole way; tried until it succeeds."""
        async with self._slots:
            one.phase, one.reason = "backfill", "history is being read"
            known = recovery.unavailable(one.symbol)
            await self._fill(one, recovery)
            await self.open_lane(one)
        one.phase, one.reason = "live", ""
        recovery.resume(one.symbol)
        lane_next = self._intake.lane(one.symbol).next or 0
        left = self._store.present(one.symbol).missing(one.start, self.closed_until()).subtract(known)
        for start, end in left:
            joining = start >= lane_next
            reason = "closed while history was read" if joining else "no source had these minutes"
            recovery.need(one.symbol, start, end, reason, joining=joining)

    async def _fill(self, one: Tracked, recovery: Recovery) -> None:
        """Fill what is missing, until the end of history is near now."""
        backoff = Backoff()
        one.start = await self._wanted_start(one)
        near = self._clock.at_least(_NEAR_MS, 2.0)
        while True:
            until = self.closed_until()
            missing = self._store.present(one.symbol).missing(one.start, until)
            missing = missing.subtract(recovery.unavailable(one.symbol))
            # A settling minute may not be had by REST yet; the lane and recovery take care of it.
            if missing.minutes * MINUTE_MS <= near and (not missing or missing.start >= until - near):
                one.tracker = None
                return
            one.tracker = Tracker(missing.minutes)
            filled = await self._history.fill(one.symbol, missing, one.tracker)
            if filled.failed:
                wait = backoff.next()
                one.reason = filled.reason
                self._journal.note(
                    "warning",
                    f"{filled.failed.minutes} minutes of history could not be read ({filled.reason}); "
                    f"tried again in {wait:.0f} s",
                    one.symbol,
                )
                await asyncio.sleep(wait)
            elif filled.absent.clip(one.start, until - near):
                one.tracker = None  # no source has them: recovery asks again, live minutes need not wait
                return

    async def _wanted_start(self, one: Tracked) -> int:
        """The first minute wanted: the configured one, or the first the exchange has."""
        app, days = self._config.application, self._config.technical_analysis.min_history_days
        start = (self._clock.now() - days * DAY_MS) // DAY_MS * DAY_MS
        if app.start_date is not None:
            stated = int(app.start_date.timestamp() * 1000) // MINUTE_MS * MINUTE_MS
            start = stated if app.respect_config_start_date else min(stated, start)
        listed = self._store.listed(one.symbol)
        if listed is None or listed > start:
            backoff = Backoff()
            while True:
                try:
                    found = await self._history.first_minute(one.symbol, start)
                    break
                except RestError as error:
                    one.reason = f"{error.kind}: {error}"
                    wait = backoff.next()
                    if error.retry_ms is not None:
                        wait = max(wait, self._clock.real_seconds(error.retry_ms - self._clock.now()))
                    await asyncio.sleep(wait)
            if found is None:
                return self.closed_until()
            if found > start:
                await asyncio.wrap_future(self._store.set_listed(one.symbol, found))
            return max(start, found)
        return max(start, listed)

    async def open_lane(self, one: Tracked) -> None:
        """Load the pipeline from the store and open the lane behind its last minute.

        Called again when minutes that the pipeline had passed were repaired.
        """
        async with one.rebuilding:
            self._intake.hold(one.symbol)
            lane = self._intake.lane(one.symbol)
            present = self._store.present(one.symbol)
            made = self._store.watermark(one.symbol)
            if lane.next is not None:
                end = lane.next
            elif made is not None:
                # Minutes that were stored without a message before a stop get theirs now.
                end = max(made + MINUTE_MS, one.start)
            else:
                end = present.end if present else self.closed_until()
            pipeline = await asyncio.get_running_loop().run_in_executor(
                self._workers, self._load_pipeline, one, end
            )
            if made is None and present:
                await asyncio.wrap_future(self._store.set_watermark(one.symbol, end - MINUTE_MS))
            recent = self._store.read(one.symbol, end - DAY_MS - MINUTE_MS, end)
            one.day.load(recent)
            if one.message is None:
                one.message, one.states = pipeline.message(), pipeline.timeframe_states()
                for candle in to_candles(recent[-2:]):
                    one.before_last, one.last = one.last.close if one.last else None, candle
            self._intake.open_lane(one.symbol, pipeline, end)

    def _load_pipeline(self, one: Tracked, end: int) -> SymbolPipeline:
        tick = one.info.tick_size if one.info else None
        pipeline = SymbolPipeline(one.symbol, pipeline_settings(self._config, one.symbol, tick))
        pipeline.load(self._store.read(one.symbol, one.start, end))
        return pipeline

    def closed_until(self) -> int:
        """Exclusive end of the last closed minute, exchange ms."""
        return self._clock.now() // MINUTE_MS * MINUTE_MS
