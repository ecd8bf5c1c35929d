"""Opens a symbol's queue: makes its pipeline of stored candles, publishes again what has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tui_feeder.config import Config
from tui_feeder.engine.acquisition.checkpoint_writer import CheckpointWriter
from tui_feeder.engine.acquisition.ingest import Ingest, SymbolQueue
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.analytics.message import Message, encode
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.profile.increments import DAYS_BEFORE
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, to_candles
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.derived.bar_messages import bar_messages
from tui_feeder.engine.derived.count_minute import count_minute
from tui_feeder.engine.derived.increment_fit import profile_note
from tui_feeder.engine.derived.inputs import (
    history_start_of,
    known_minutes,
    revisions_of,
    settings_of,
)
from tui_feeder.engine.derived.minute_ladders import Ladders, Owed, owed, paid
from tui_feeder.engine.derived.revisions import NOTE as REVISIONS
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.storage.outbox import OutgoingMessage
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import StorageError

_REVISED_AT_ONCE = 1_440  # minutes whose messages are in memory at the same time


#: Takes a symbol, minutes with their messages, and the last message.
Resumed = Callable[[str, Sequence[tuple[Candle, Message]], Message | None], None]


class DamagedDaysError(StorageError):
    """Stored days of a symbol proved to be damaged while its numbers were being made."""


class QueueOpener:
    """Makes pipelines of what is stored, and opens queues behind their last minutes.

    Args:
        config: the whole configuration.
        store: candles, and what was published.
        ingest: of the queues.
        journal: counts revisions.
        clock: exchange time.
        workers: the thread for computing in bulk.
        checkpoints: make pipelines.
        publish: called with each message that is published again: symbol, message, payload.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        ingest: Ingest,
        journal: Journal,
        clock: ExchangeClock,
        workers: ThreadPoolExecutor,
        checkpoints: CheckpointWriter,
        publish: Callable[[str, Message, bytes], None],
    ) -> None:
        self._config = config
        self._store = store
        self._ingest = ingest
        self._journal = journal
        self._clock = clock
        self._workers = workers
        self._checkpoints = checkpoints
        self._publish = publish
        #: Called for a symbol's first pipeline: minutes after its checkpoint, and the message of its last.
        self.on_resumed: Resumed = lambda *_: None
        #: Damaged days that were asked for again before the queue opened.
        self._reread_days: dict[str, Coverage] = {}

    async def open_queue(self, tracked: TrackedSymbol, since: int | None = None, logged: bool = True) -> int:
        """Loads the pipeline from the store and opens the queue behind its last minute.

        Called again when minutes that the pipeline had passed were repaired. Whatever was stored or
        replaced behind the last message, in this run or before it, reaches every published message from
        that minute on: averages, windows and the day's profile depend on it. Those messages are computed
        again and published as revisions. Only what is too old to be part of any number reaches none.

        Args:
            tracked: the symbol.
            since: the first repaired minute, ms; None at the start.
            logged: whether what is published again has a line of the log; minutes whose candles have changed
                always have one.

        Returns:
            The first minute (ms) that the queue takes.

        Raises:
            MissingHistory: its numbers were made elsewhere, and minutes that they need are not stored.
            DamagedDaysError: stored days proved to be damaged before it was open for the first time: they may
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
                end = present.end if present else self._clock.closed_until()
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
            pipeline, first, changed = await self._catch_up(tracked, queue, end, since, logged)
            while changed:  # by a repair while the numbers were being made
                pipeline, earlier, changed = await self._catch_up(tracked, queue, end, None, logged)
                first = min(first, earlier)
            recent = self._store.read(symbol, end - DAY_MS - MINUTE_MS, end)
            tracked.day.load(recent)
            if tracked.message is None or first < end:
                tracked.message, tracked.states = pipeline.message(), pipeline.timeframe_states()
                tracked.relative_volume = pipeline.relative_volume
                tracked.day_delta = pipeline.day_delta
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
        self, tracked: TrackedSymbol, queue: SymbolQueue, end: int, since: int | None, logged: bool
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
        changed = EMPTY if inherited else self.to_publish_again(symbol).clip(0, end)
        reached = EMPTY if inherited else changed.union(queue.skipped.intersect(store.present(symbol)))
        since = None if inherited else since
        owes = Owed() if inherited else owed(store, symbol)
        # What is too old for the first number that was published is so for all of them.
        days_before = begin // DAY_MS * DAY_MS - DAYS_BEFORE * DAY_MS  # whose ranges a profile rests on
        oldest = history_start_of(store, symbol, begin, settings_of(store, self._config, symbol))
        if reached := reached.clip(min(oldest, days_before), end):
            since = reached.start if since is None else min(since, reached.start)
        elif queue.opened is not None:
            since = None  # somebody else was quicker
        first = end if since is None else min(end, max(since, begin))
        changed_from = first
        again = owes.messages.clip(begin, end)
        if first < end:
            again = again.union(span(first, end))
        first = again.start if again else end
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
                raise DamagedDaysError(symbol)
            queue.skipped = queue.skipped.union(damaged.intersect(present).clip(begin, end))
        if store.lost_published(symbol).clip(0, end) and not inherited:
            await asyncio.wrap_future(store.mark_published_without_lost(symbol))
        if again:
            minutes = await self._revise(tracked, queue, pipeline, revisions, again, changed_from, end)
            if logged or reached:
                self._journal.note("info", f"{minutes} minutes computed again and published", symbol)
        if owes.minutes:
            await asyncio.wrap_future(paid(store, symbol, owes))
        if changed and store.edition(symbol) == edition:
            await asyncio.wrap_future(store.mark_republished(symbol, changed))
        more = bool(self.to_publish_again(symbol).clip(0, end) or owed(store, symbol).minutes)
        return pipeline, first, more and not inherited

    def to_publish_again(self, symbol: str) -> Coverage:
        """Finds minutes that have no message, or one of other values, though later ones have theirs.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        return self._store.unpublished(symbol).union(self._store.stale_published(symbol))

    async def _revise(
        self,
        tracked: TrackedSymbol,
        queue: SymbolQueue,
        pipeline: SymbolPipeline,
        revisions: Revisions,
        again: Coverage,
        changed_from: int,
        end: int,
    ) -> int:
        """Count all from ``again`` up to ``end``; publish each minute of it once more, or for the first time.

        Of minutes before ``changed_from`` no candle has changed: their bars are those published. A part at a
        time, so that memory stays the same however long it is. All corrections are noted with the first part:
        a kill before the last leaves the numbers of the others unused.

        Returns:
            How many minutes that are.
        """
        symbol = tracked.symbol
        # What was lost with a damaged day had its message.
        never = queue.skipped.subtract(
            self._store.stale_published(symbol).subtract(self._store.unpublished(symbol))
        )
        counted = self._store.present(symbol).clip(again.start, end)
        minutes = counted.intersect(again)
        corrected = minutes.subtract(never)
        ladders = Ladders(self._store)
        after = revisions.copy()
        after.correct(corrected)

        def recount(part: Coverage) -> list[tuple[int, Message, bytes, Sequence[OutgoingMessage]]]:
            messages = []
            for candle in to_candles(self._store.read(symbol, part.start, part.end)):
                at = candle.open_time
                if at not in part:  # it came just now: all is done once more
                    continue
                revision = revisions.of(at) + 1 if at in corrected else revisions.of(at)
                message = count_minute(self._store, pipeline, candle, revision, ladders)
                if at not in again:
                    continue
                bars: Sequence[OutgoingMessage] = ()
                if at >= changed_from:
                    bars = bar_messages(self._store, pipeline, candle, after.since_then(at))
                messages.append((at, message, encode(message), bars))
            return messages

        loop = asyncio.get_running_loop()
        for part in counted.parts(_REVISED_AT_ONCE):
            messages = await loop.run_in_executor(self._workers, recount, part)
            remade = [(at, payload, bars) for at, _, payload, bars in messages]
            commit = self._store.revise(symbol, remade, REVISIONS + symbol, after.encode())
            await asyncio.wrap_future(commit)
            queue.skipped = queue.skipped.subtract(part.intersect(again))
            queue.late.difference_update(at for at, *_ in messages)
            for _, message, payload, _ in messages:
                self._publish(symbol, message, payload)
        tracked.revisions += corrected.minutes
        self._journal.count("revisions", corrected.minutes)
        return minutes.minutes
