"""A symbol's way to live: its history, then its pipeline, then its queue in the ingest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from tui_feeder.config import Config
from tui_feeder.engine.acquisition.backfill import History
from tui_feeder.engine.acquisition.checkpoint_writer import CheckpointWriter
from tui_feeder.engine.acquisition.ema_seeds import read_seed, short_timeframes
from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.acquisition.ingest import Ingest, SymbolQueue
from tui_feeder.engine.acquisition.recovery import Recovery
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol, wanted_start
from tui_feeder.engine.analytics.message import Message, encode
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.profile.increments import DAYS_BEFORE
from tui_feeder.engine.core.backoff import Backoff
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, timeframe_label, to_candles
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.derived.bar_messages import bar_messages
from tui_feeder.engine.derived.checkpoint import needed_to_resume
from tui_feeder.engine.derived.count_minute import MissingHistory, count_minute
from tui_feeder.engine.derived.increment_fit import profile_note
from tui_feeder.engine.derived.inputs import (
    history_start,
    history_start_of,
    inputs_of,
    known_minutes,
    put_inputs,
    revisions_of,
    settings_of,
)
from tui_feeder.engine.derived.revisions import NOTE as REVISIONS
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.derived.settings import pipeline_settings
from tui_feeder.engine.exchanges.base import Exchange, Refusal, RestError
from tui_feeder.engine.storage.outbox import OutgoingMessage
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
_REVISED_AT_ONCE = 1_440  # minutes whose messages are in memory at the same time


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


class _DamagedError(Exception):
    """Stored days of a symbol proved to be damaged while its numbers were being made."""


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
        workers: ThreadPoolExecutor,
        checkpoints: CheckpointWriter,
        publish: Callable[[str, Message, bytes], None],
        phases_changed: Callable[[], None],
    ) -> None:
        self._config = config
        self._store = store
        self._history = history
        self._ingest = ingest
        self._journal = journal
        self._exchange = exchange
        self._clock = exchange.clock
        self._workers = workers
        self._publish = publish
        self._phases_changed = phases_changed
        self._checkpoints = checkpoints
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._background = asyncio.Semaphore(_INHERITED_AT_ONCE)
        #: Called for a symbol's first pipeline: minutes after its checkpoint, and the message of its last.
        self.on_resumed: Callable[[str, Sequence[tuple[Candle, Message]], Message | None], None] = _ignore
        self._refused: dict[str, TrackedSymbol] = {}  # those that wait after a refusal, the longest first
        self._reread_days: dict[
            str, Coverage
        ] = {}  # damaged days that were asked for again before the queue opened

    async def run(self, tracked: TrackedSymbol, recovery: Recovery) -> None:
        """Brings a symbol to live; retried until it succeeds.

        A slot is held only while something is done for the symbol, never while it waits for its next try:
        symbols of which the exchange gives nothing hold up no other.

        Args:
            tracked: the symbol.
            recovery: takes the gaps that are left.
        """
        tracked.start = await self._wanted_start(tracked)
        known = recovery.unavailable(tracked.symbol)
        opened, whole = None, False
        while opened is None:
            await self._fill(tracked, recovery, whole)
            await self.update_inputs(tracked)
            try:
                async with self._slots:
                    tracked.phase, tracked.reason = "backfill", "its numbers are being made"
                    opened = await self.open_queue(tracked)
            except _DamagedError:  # a day proved so while its candles were read: once more
                pass
            except MissingHistory as error:
                await self._read_whole_history(tracked, error, tried=whole)
                whole = True
        if tracked.phase == "failed":  # the first minute it took was too much for it
            return
        tracked.phase, tracked.reason = "live", ""
        recovery.resume(tracked.symbol)
        recovery.confirm(tracked.symbol, self._store.unconfirmed(tracked.symbol))
        queue_next = self._ingest.queue(tracked.symbol).next or opened
        present = self._store.present(tracked.symbol)
        settled = self._store.settled(tracked.symbol)
        left = settled.missing(tracked.start, self.closed_until()).subtract(known)
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
        if self._to_publish_again(symbol):
            await self.open_queue(tracked)

    async def _fill(self, tracked: TrackedSymbol, recovery: Recovery, whole: bool) -> None:
        """Fill what is missing, until the end of history is near now.

        Of a symbol that was made elsewhere, unless all of it is wanted, only what it needs to go on.
        """
        backoff = Backoff(most=_MOST_WAIT_SECONDS)
        near = self._clock.at_least(_NEAR_MS, 2.0)
        progress: FillProgress | None = None
        while True:
            until = self.closed_until()
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
                return self.closed_until() if found is None else found
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
        if size and size != self._store.contract_size(tracked.symbol):
            await asyncio.wrap_future(self._store.set_contract_size(tracked.symbol, size))
        settings = pipeline_settings(self._config, tracked.symbol, inputs.tick_size)
        present = known_minutes(self._store, tracked.symbol)
        end = present.end if present else self.closed_until()
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

    async def open_queue(self, tracked: TrackedSymbol, since: int | None = None) -> int:
        """Loads the pipeline from the store and opens the queue behind its last minute.

        Called again when minutes that the pipeline had passed were repaired. Whatever was stored or
        replaced behind the last message, in this run or before it, reaches every published message from
        that minute on: averages, windows and the day's profile depend on it. Those messages are computed
        again and published as revisions. Only what is too old to be part of any number reaches none.

        Args:
            tracked: the symbol.
            since: the first repaired minute, ms; None at the start.

        Returns:
            The first minute (ms) that the queue takes.

        Raises:
            MissingHistory: its numbers were made elsewhere, and minutes that they need are not stored.
            _DamagedError: stored days proved to be damaged before it was open for the first time: they may
                still be read again before anything is published without them.
        """
        async with tracked.rebuilding:
            symbol = tracked.symbol
            self._ingest.pause(symbol)
            await asyncio.wrap_future(self._store.flushed())  # what this queue gave before it was held
            queue = self._ingest.queue(symbol)
            present = known_minutes(self._store, symbol)
            made = self._store.watermark(symbol)
            if queue.next is not None:
                end = queue.next
            elif made is not None:
                # Minutes that were stored without a message before a stop get theirs now.
                end = max(made + MINUTE_MS, tracked.start)
            else:
                end = present.end if present else self.closed_until()
            if present and queue.next is None and (made is None or made < end - MINUTE_MS):
                # From here on the store notes what changes before it.
                await asyncio.wrap_future(self._store.set_watermark(symbol, end - MINUTE_MS))
            revisions = revisions_of(self._store, symbol)
            if revisions is None:  # its first start: what is published begins here
                revisions = Revisions(end)
                await asyncio.wrap_future(self._store.put_note(REVISIONS + symbol, revisions.encode()))
            if queue.opened is None:
                begin, unpublished = revisions.since, self._store.unpublished(symbol)
                settled = self._store.settled(symbol)
                queue.skipped = settled.missing(begin, end).union(unpublished.clip(begin, end))
            elif queue.next is None:  # it crashed: what it goes back over is no longer skipped
                queue.skipped = queue.skipped.clip(0, end)
            pipeline, first, changed = await self._catch_up(tracked, queue, end, since)
            while changed:  # by a repair while the numbers were being made
                pipeline, earlier, changed = await self._catch_up(tracked, queue, end, None)
                first = min(first, earlier)
            recent = self._store.read(symbol, end - DAY_MS - MINUTE_MS, end)
            tracked.day.load(recent)
            if tracked.message is None or first < end:
                tracked.message, tracked.states = pipeline.message(), pipeline.timeframe_states()
                tracked.relative_volume = pipeline.relative_volume
                for candle in to_candles(recent[-2:]):
                    tracked.before_last, tracked.last = tracked.last.close if tracked.last else None, candle
            self.check_profile_fit(tracked, pipeline)
            self._ingest.open_queue(symbol, pipeline, end)
            return end

    def check_profile_fit(self, tracked: TrackedSymbol, pipeline: SymbolPipeline) -> None:
        """Checks whether the rows of the symbol's profile fit it; each cause is logged once.

        Args:
            tracked: the symbol.
            pipeline: its pipeline.
        """
        tracked.profile_note, cause = profile_note(self._config, pipeline)
        if cause and cause not in tracked.noted:
            tracked.noted.add(cause)
            self._journal.note("warning", tracked.profile_note, tracked.symbol)

    async def _catch_up(
        self, tracked: TrackedSymbol, queue: SymbolQueue, end: int, since: int | None
    ) -> tuple[SymbolPipeline, int, bool]:
        """Make the pipeline from the store; publish again what rests on minutes that have changed.

        Returns:
            The pipeline after the last minute before ``end``; the first minute that was published again,
            ``end`` for none; whether minutes have changed meanwhile, so that it must be done once more.
        """
        symbol, store = tracked.symbol, self._store
        revisions = revisions_of(store, symbol) or Revisions(end)
        begin, edition = revisions.since, store.edition(symbol)
        # Corrections of what was made elsewhere wait until all that it rests on is here.
        inherited = bool(store.inherited(symbol))
        # Also what came or changed too late for an earlier engine, or for a try that crashed.
        changed = EMPTY if inherited else self._to_publish_again(symbol).clip(0, end)
        reached = EMPTY if inherited else changed.union(queue.skipped.intersect(store.present(symbol)))
        since = None if inherited else since
        # What is too old for the first number that was published is so for all of them.
        days_before = begin // DAY_MS * DAY_MS - DAYS_BEFORE * DAY_MS  # whose ranges a profile rests on
        oldest = history_start_of(store, symbol, begin, settings_of(store, self._config, symbol))
        if reached := reached.clip(min(oldest, days_before), end):
            since = reached.start if since is None else min(since, reached.start)
        elif queue.opened is not None:
            since = None  # somebody else was quicker
        first = end if since is None else min(end, max(since, begin))
        present = store.present(symbol)
        known = self._reread_days.get(symbol, EMPTY) if queue.opened is None else store.damaged(symbol)
        counted: list[tuple[Candle, Message]] = []
        make = partial(
            self._checkpoints.make_pipeline, symbol, first, first=queue.opened is None, counted=counted
        )
        pipeline = await asyncio.get_running_loop().run_in_executor(self._workers, make)
        if queue.opened is None:
            self.on_resumed(symbol, counted, pipeline.message())
        if damaged := store.damaged(symbol).subtract(known):
            await asyncio.wrap_future(store.flushed())
            if queue.opened is None:
                self._reread_days[symbol] = known.union(damaged)
                raise _DamagedError(symbol)
            queue.skipped = queue.skipped.union(damaged.intersect(present).clip(begin, end))
        if store.lost_published(symbol).clip(0, end) and not inherited:
            await asyncio.wrap_future(store.mark_published_without_lost(symbol))
        if first < end:
            await self._revise(tracked, queue, pipeline, revisions, first, end)
        if changed and store.edition(symbol) == edition:
            await asyncio.wrap_future(store.mark_republished(symbol, changed))
        return pipeline, first, not inherited and bool(self._to_publish_again(symbol).clip(0, end))

    def _to_publish_again(self, symbol: str) -> Coverage:
        """Minutes that have no message, or one of other values, though later ones have theirs."""
        return self._store.unpublished(symbol).union(self._store.stale_published(symbol))

    async def _revise(
        self,
        tracked: TrackedSymbol,
        queue: SymbolQueue,
        pipeline: SymbolPipeline,
        revisions: Revisions,
        first: int,
        end: int,
    ) -> None:
        """Count ``[first, end)`` again and publish each minute once more, or for the first time.

        A part at a time, so that memory stays the same however long it is. All corrections are noted with
        the first part: a kill before the last leaves the numbers of the others unused.
        """
        symbol = tracked.symbol
        # What was lost with a damaged day had its message.
        never = queue.skipped.subtract(
            self._store.stale_published(symbol).subtract(self._store.unpublished(symbol))
        )
        minutes = self._store.present(symbol).clip(first, end)
        corrected = minutes.subtract(never)
        after = revisions.copy()
        after.correct(corrected)

        def recount(part: Coverage) -> list[tuple[int, Message, bytes, Sequence[OutgoingMessage]]]:
            messages = []
            for candle in to_candles(self._store.read(symbol, part.start, part.end)):
                at = candle.open_time
                if at not in part:  # it came just now: all is done once more
                    continue
                revision = revisions.of(at) + 1 if at in corrected else 0
                message = count_minute(self._store, pipeline, candle, revision)
                bars = bar_messages(self._store, pipeline, candle, after.since_then(at))
                messages.append((at, message, encode(message), bars))
            return messages

        loop = asyncio.get_running_loop()
        for part in minutes.parts(_REVISED_AT_ONCE):
            messages = await loop.run_in_executor(self._workers, recount, part)
            again = [(at, payload, bars) for at, _, payload, bars in messages]
            commit = self._store.revise(symbol, again, REVISIONS + symbol, after.encode())
            await asyncio.wrap_future(commit)
            queue.skipped = queue.skipped.subtract(part)
            queue.late.difference_update(at for at, *_ in messages)
            for _, message, payload, _ in messages:
                self._publish(symbol, message, payload)
        tracked.revisions += corrected.minutes
        self._journal.count("revisions", corrected.minutes)
        self._journal.note("info", f"{minutes.minutes} minutes computed again and published", symbol)

    def closed_until(self) -> int:
        """Exclusive end of the last closed minute, exchange ms."""
        return self._clock.now() // MINUTE_MS * MINUTE_MS
