"""A symbol's way to live: its history, its inputs, then its queue in the ingest (queue_opener.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from tui_feeder.config import Config
from tui_feeder.engine.acquisition.backfill import History
from tui_feeder.engine.acquisition.ema_seeds import read_seed, short_timeframes
from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.acquisition.ingest import Ingest
from tui_feeder.engine.acquisition.queue_opener import DamagedDaysError, QueueOpener
from tui_feeder.engine.acquisition.recovery import Recovery
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.acquisition.trade_id_check import unproved_minutes
from tui_feeder.engine.acquisition.wanted import wanted_start
from tui_feeder.engine.core.backoff import Backoff
from tui_feeder.engine.core.candle import MINUTE_MS, timeframe_label
from tui_feeder.engine.core.coverage import EMPTY, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.derived.checkpoint import needed_to_resume
from tui_feeder.engine.derived.count_minute import MissingHistory
from tui_feeder.engine.derived.inputs import (
    history_start,
    inputs_of,
    known_minutes,
    put_inputs,
    revisions_of,
)
from tui_feeder.engine.derived.settings import pipeline_settings
from tui_feeder.engine.exchanges.base import Exchange, Refusal, RestError
from tui_feeder.engine.storage.store import Store
from tui_feeder.time_format import format_second

_AT_ONCE = 6  # symbols whose history is read, or whose numbers are made, at the same time
_INHERITED_AT_ONCE = 2  # symbols whose older history is read after they were taken over
_LONGEST_INHERITED_WAIT_SECONDS = 900.0
_MOST_WAIT_SECONDS = 60.0
_SETTLING_SECONDS = 0.3
#: So many refusals of one symbol may be mistakes: the exchange has been seen to answer with an empty list.
_ALONE_TRIES = 2
_NEAR_MS = 3 * MINUTE_MS  # a queue opens when history is this close to now; recovery does the rest


class SymbolStartup:
    """Brings symbols from nothing, or from what an earlier run stored, to live."""

    def __init__(
        self,
        config: Config,
        store: Store,
        history: History,
        ingest: Ingest,
        journal: Journal,
        exchange: Exchange,
        queue_opener: QueueOpener,
        phases_changed: Callable[[], None],
    ) -> None:
        self._config = config
        self._store = store
        self._history = history
        self._ingest = ingest
        self._journal = journal
        self._exchange = exchange
        self._clock = exchange.clock
        self._queue_opener = queue_opener
        self._phases_changed = phases_changed
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._background = asyncio.Semaphore(_INHERITED_AT_ONCE)
        self._refused: dict[str, TrackedSymbol] = {}  # those that wait after a refusal, the longest first

    async def run(self, tracked: TrackedSymbol, recovery: Recovery) -> None:
        """Brings a symbol to live; retried until it succeeds.

        A slot is held only while something is done for the symbol, never while it waits for its next try:
        symbols of which the exchange gives nothing hold up no other.

        Args:
            tracked: the symbol.
            recovery: takes the gaps that are left.
        """
        tracked.start = await self._wanted_start(tracked)
        known, unproved = recovery.unavailable(tracked.symbol), unproved_minutes(self._store, tracked.symbol)
        opened, whole = None, False
        while opened is None:
            await self._fill(tracked, recovery, whole)
            await self.update_inputs(tracked)
            try:
                async with self._slots:
                    tracked.phase, tracked.reason = "backfill", "its numbers are being made"
                    opened = await self._queue_opener.open_queue(tracked)
            except DamagedDaysError:  # a day proved so while its candles were read: once more
                pass
            except MissingHistory as error:
                await self._read_whole_history(tracked, error, tried=whole)
                whole = True
        if tracked.phase == "failed":  # the first minute it took was too much for it
            return
        tracked.phase, tracked.reason = "live", ""
        recovery.resume(tracked.symbol)
        recovery.confirm(tracked.symbol, self._store.unconfirmed(tracked.symbol).union(unproved))
        queue_next = self._ingest.queue(tracked.symbol).next or opened
        present = self._store.present(tracked.symbol)
        settled = self._store.settled(tracked.symbol)
        left = settled.missing(tracked.start, self._due_until(tracked)).subtract(known)
        # Of older days nobody else asks for those that were damaged.
        older = (
            self._store.lost_published(tracked.symbol)
            .union(self._store.damaged(tracked.symbol))
            .clip(0, tracked.start)
        )
        left = left.union(older.subtract(present)).subtract(self._store.inherited(tracked.symbol))
        # What the stream brought meanwhile and the queue has taken may still be on its way to the store.
        for start, end in left.subtract(span(opened, queue_next)):
            joining = start >= queue_next
            reason = "closed while history was read" if joining else "no source had these minutes"
            recovery.request(tracked.symbol, start, end, reason, joining=joining)

    async def _read_whole_history(self, tracked: TrackedSymbol, reason: Exception, *, tried: bool) -> None:
        """What was made elsewhere is of no use without all candles, or not even with those there are."""
        if not tried:
            text = f"what another worker made cannot be used ({reason}): all its candles are read first"
            self._journal.note("info", text, tracked.symbol)
            return
        lacking = self._store.inherited(tracked.symbol).minutes
        text = f"no source has {lacking} minutes that another worker's numbers rest on: made without them"
        self._journal.note("warning", text, tracked.symbol)
        await asyncio.wrap_future(self._store.forget_inherited(tracked.symbol))

    async def fill_inherited(self, tracked: TrackedSymbol) -> None:
        """Reads the older candles of a symbol that was taken over, then publishes again what must be.

        Its numbers go on from another worker's meanwhile; charts, exports and corrections need the candles.

        Args:
            tracked: a live symbol.
        """
        symbol, backoff = tracked.symbol, Backoff(most=_LONGEST_INHERITED_WAIT_SECONDS)
        while missing := self._store.inherited(symbol):
            async with self._background:
                tracked.tracker = FillProgress(missing.minutes)
                filled = await self._history.fill(symbol, missing, tracked.tracker)
                tracked.tracker = None
            if left := self._store.inherited(symbol):
                reason = filled.reason or "no source has them"
                text = f"{left.minutes} minutes of its history could not be read ({reason}): tried again"
                self._journal.note("warning", text, symbol)
                await asyncio.sleep(backoff.next())
        for day in self._store.inherited_days(symbol):
            await asyncio.wrap_future(self._store.compare_inherited(symbol, day))
        if self._queue_opener.to_publish_again(symbol):
            await self._queue_opener.open_queue(tracked)

    def _due_until(self, tracked: TrackedSymbol) -> int:
        """The end of the minutes that are over, ms; of a contract that has ended, of those it has."""
        closed = self._clock.closed_until()
        return closed if tracked.end is None else max(tracked.start, min(closed, tracked.end))

    async def _fill(self, tracked: TrackedSymbol, recovery: Recovery, whole: bool) -> None:
        """Fill what is missing, until the end of history is near now.

        Of a symbol that was made elsewhere, unless all of it is wanted, only what it needs to go on.
        """
        backoff = Backoff(most=_MOST_WAIT_SECONDS)
        near = self._clock.at_least(_NEAR_MS, 2.0)
        progress: FillProgress | None = None
        while True:
            until = self._due_until(tracked)
            missing = self._store.settled(tracked.symbol).missing(tracked.start, until)
            missing = missing.subtract(recovery.unavailable(tracked.symbol))
            inherited = self._store.inherited(tracked.symbol)
            needed = inherited if whole else needed_to_resume(self._store, tracked.symbol, until)
            needed = inherited.intersect(needed)
            missing = missing.subtract(inherited)
            # A settling minute may not be had by REST yet; the queue and recovery take care of it.
            settling = missing.minutes * MINUTE_MS <= near and (not missing or missing.start >= until - near)
            if settling and not needed:
                tracked.tracker = None
                return
            missing = missing.union(needed)
            if progress is None:
                progress = FillProgress(missing.minutes)
            else:
                progress.continue_with(missing.minutes)
            async with self._slots:
                tracked.phase, tracked.reason = "backfill", "history is being read"
                tracked.tracker = tracked.history = progress
                filled = await self._history.fill(
                    tracked.symbol, missing, tracked.tracker, urgent=bool(needed) and not whole
                )
            recovery.confirm(tracked.symbol, filled.unconfirmed)
            if filled.failed:
                what = f"{filled.failed.minutes} minutes of history could not be read ({filled.reason})"
                await self._postpone(tracked, filled.kind, what, backoff)
            elif filled.absent.clip(0, until - near):
                tracked.tracker = None  # no source has them: recovery asks again, live minutes need not wait
                return
            elif needed.intersect(filled.absent):  # others have published them already: soon it has them too
                await asyncio.sleep(_SETTLING_SECONDS)

    async def _wanted_start(self, tracked: TrackedSymbol) -> int:
        """The first minute wanted: the configured one, or the first the exchange has."""
        start = wanted_start(self._config, self._clock.now())
        inherited = self._store.inherited(tracked.symbol)
        if inherited and inherited.start <= start:
            return start
        backoff = Backoff(most=_MOST_WAIT_SECONDS)
        while True:
            try:
                found = await self._history.listed_start(tracked.symbol, start)
                if found is None and tracked.info is not None and tracked.info.listed_hint < start:
                    raise RestError(
                        Refusal.EMPTY_ANSWER, f"the exchange shows no candle since {format_second(start)}"
                    )
                return self._clock.closed_until() if found is None else found
            except RestError as error:
                await self._postpone(tracked, error.kind, str(error), backoff, error.retry_ms or 0)

    async def _postpone(
        self, tracked: TrackedSymbol, kind: Refusal | None, reason: str, backoff: Backoff, retry_ms: int = 0
    ) -> None:
        """Wait until the next try, less where REST is reached again or the symbol's candles begin.

        A symbol that alone is refused, time and again, counts as one that cannot be had for now.
        """
        now = self._clock.now()
        seconds = max(backoff.next(), self._clock.real_seconds(retry_ms - now))
        next_try = now + int(seconds * 1000 * self._clock.rate)
        alone = kind is not None and kind.about_the_request and backoff.tries > _ALONE_TRIES
        phase = "no data" if alone else "backfill"
        text = f"{reason}; asked again at {format_second(next_try)[11:]}"
        if tracked.phase != phase or phase == "backfill":
            self._journal.note("warning", text, tracked.symbol)
        tracked.phase, tracked.reason, tracked.tracker = phase, text, None
        self._phases_changed()
        tracked.wake.clear()
        self._refused[tracked.symbol] = tracked
        try:
            async with asyncio.timeout(seconds):
                await tracked.wake.wait()
        except TimeoutError:
            pass
        finally:
            self._refused.pop(tracked.symbol, None)

    def retry_refused(self) -> None:
        """REST answers again: whoever waits for a next try has it now."""
        for tracked in self._refused.values():
            tracked.wake.set()

    def retry_one_refused(self) -> bool:
        """Let one of those that wait have its next try now; False: there is none."""
        for tracked in self._refused.values():
            if tracked.phase == "backfill":
                tracked.wake.set()
                return True
        return False

    async def update_inputs(self, tracked: TrackedSymbol) -> None:
        """Stores what the numbers are computed from besides candles: tick size, bars that seed long EMAs.

        Args:
            tracked: the symbol.
        """
        known = inputs_of(self._store, tracked.symbol)
        inputs = (
            known
            if tracked.info is None
            else msgspec.structs.replace(known, tick_size=tracked.info.tick_size)
        )
        size = tracked.info.contract_size if tracked.info is not None else 0.0
        if size or tracked.end is not None:
            await asyncio.wrap_future(self._store.set_contract(tracked.symbol, size, tracked.end))
        settings = pipeline_settings(self._config, tracked.symbol, inputs.tick_size)
        present = known_minutes(self._store, tracked.symbol)
        end = present.end if present else self._clock.closed_until()
        revisions = revisions_of(self._store, tracked.symbol)
        # What is published first begins behind what is stored now.
        start = history_start(present, end, settings, None if revisions is None else revisions.since)
        for timeframe in short_timeframes(settings, inputs, start, end):
            tracked.reason = f"{timeframe_label(timeframe)} bars from before its history are being read"
            try:
                seed = await read_seed(self._exchange, tracked.symbol, settings, timeframe, start)
            except RestError as error:
                label = timeframe_label(timeframe)
                text = f"{label} bars before its history could not be read ({error.kind}: {error}): "
                self._journal.note(
                    "warning", text + "its EMAs warm up from the candles alone", tracked.symbol
                )
                continue
            self._journal.count("ema_seeds_read")
            inputs = msgspec.structs.replace(inputs, seeds=inputs.seeds | {timeframe: seed})
        if inputs != known:
            stale = EMPTY
            newest = self._store.watermark(tracked.symbol)
            if inputs.seeds != known.seeds and revisions is not None and newest is not None:
                # Published EMAs that warmed up from the candles alone are others with what seeds them. A new
                # tick size is a setting: it holds from now on.
                stale = span(revisions.since, newest + MINUTE_MS)
            await asyncio.wrap_future(put_inputs(self._store, tracked.symbol, inputs, stale))
