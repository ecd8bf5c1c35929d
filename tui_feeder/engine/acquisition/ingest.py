"""Ingest of live candles: check, order, de-duplicate, store, pass on.

Each symbol has a queue. A queue takes minutes strictly in order; a later minute waits while recovery
fills the hole before it, then goes on with the hole marked. The message of a minute is made before
its candle is committed, so that both can be of one transaction, and is shown and sent only after.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from math import inf
from typing import Any, Protocol

from tui_feeder.engine.analytics.message import Message, encode
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Source, fault_of, to_candles
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.derived.bar_messages import bar_messages
from tui_feeder.engine.derived.count_minute import count_minute
from tui_feeder.engine.derived.minute_ladders import Ladders
from tui_feeder.engine.storage.store import Store, Written

#: Minutes a queue holds back at most while a hole before them is being filled.
_MOST_PENDING = 1_500
#: A closed candle may seem this early, ms: the two clocks never agree to the last millisecond.
_EARLY_MS = 5_000
#: Minutes taken from the store in one go, so that the loop is never held for long.
_SLICE = 240
#: Minutes handed to the store and not yet committed, at most; beyond it queues wait.
_UNCOMMITTED = 5_000


class IngestListener(Protocol):
    """What happens to minutes, as the ingest reports it."""

    def committed(self, symbol: str, candle: Candle, message: Message, payload: bytes) -> None:
        """Called when a minute is stored.

        Args:
            symbol: its symbol.
            candle: the minute.
            message: its message.
            payload: the message's bytes.
        """
        ...

    def gap_found(self, symbol: str, start: int, end: int) -> None:
        """Called when minutes before a waiting one are missing.

        Args:
            symbol: their symbol.
            start: first missing minute, ms.
            end: exclusive, ms.
        """
        ...

    def late_minute(self, symbol: str, candle: Candle, source: Source) -> None:
        """Called when a minute arrives that the queue had skipped.

        Args:
            symbol: its symbol.
            candle: the minute.
            source: where it comes from.
        """
        ...

    def superseded(self, symbol: str, candle: Candle) -> None:
        """Called when a minute is stored with other values than its message has, from a better source.

        Args:
            symbol: its symbol.
            candle: the minute as published.
        """
        ...

    def closes_differ(self, symbol: str, candle: Candle, other: Candle) -> None:
        """Called when a closing frame contradicts what was accepted or stored.

        Args:
            symbol: its symbol.
            candle: the minute accepted or stored.
            other: the contradicting minute.
        """
        ...

    def crashed(self, symbol: str, error: BaseException) -> None:
        """Called when a symbol's pipeline or its commit failed.

        Args:
            symbol: the symbol.
            error: the exception.
        """
        ...


class SymbolQueue:
    """One symbol: what it expects next, what waits, and its forming candle."""

    __slots__ = (
        "forming",
        "last_frame",
        "late",
        "next",
        "opened",
        "pending",
        "pipeline",
        "skipped",
        "symbol",
        "uncommitted",
    )  # fmt: skip

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.pipeline: SymbolPipeline | None = None  # None: history is not loaded, or being rebuilt
        self.next: int | None = None  # open time of the minute the queue takes next
        self.pending: dict[int, tuple[Candle, Source]] = {}
        self.opened: int | None = None  # minutes before it were loaded, not taken one by one
        self.skipped = EMPTY  # minutes the queue went on without, never published
        self.late: set[int] = set()  # those of them that have come and are being repaired
        self.uncommitted: dict[int, Candle] = {}  # taken, and on the way to the store
        self.forming: Candle | None = None
        self.last_frame: int | None = None  # exchange ms of the last frame


class Ingest:
    """Checks closed minutes and passes them on, in order for each symbol. Runs on the engine's loop."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        listener: IngestListener,
        quarantine: Callable[[str, Candle, Source, str], None],
    ) -> None:
        self.queues: dict[str, SymbolQueue] = {}
        self.ladders = Ladders(store)
        self._store = store
        self._journal = journal
        self._listener = listener
        self._quarantine = quarantine
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        # What the writer has finished and the loop has not yet seen; the loop is woken once for all.
        self._commits: deque[tuple[SymbolQueue, Candle, Message, bytes, Future[Any]]] = deque()
        self._wakeup_scheduled = False
        self._waiting: set[SymbolQueue] = set()  # queues that wait for commits
        self._idle = asyncio.Event()
        self._idle.set()

    def queue(self, symbol: str) -> SymbolQueue:
        """Gives the symbol's queue, creating it if needed.

        Args:
            symbol: the symbol.

        Returns:
            The queue.
        """
        queue = self.queues.get(symbol)
        if queue is None:
            queue = self.queues[symbol] = SymbolQueue(symbol)
        return queue

    def forming(self, symbol: str, candle: Candle, now: int) -> None:
        """Takes a forming candle in place of the one before; an impossible one is counted and not shown.

        Args:
            symbol: the symbol.
            candle: the forming candle.
            now: exchange time of arrival, ms.
        """
        queue = self.queue(symbol)
        queue.last_frame = now
        # The least that a screen relies on: the minute's every invariant is checked once, when it closes.
        if 0.0 < candle.low <= candle.close <= candle.high < inf and candle.open_time <= now + _EARLY_MS:
            queue.forming = candle
        else:
            self._journal.fault("impossible_frames", f"minute {candle.open_time}", symbol)

    def closed(self, symbol: str, candle: Candle, source: Source, now: int) -> None:
        """Takes a closed minute from any source. Never blocks; order and duplication do not matter.

        Args:
            symbol: the symbol.
            candle: the minute.
            source: where it comes from.
            now: exchange time of arrival, ms.
        """
        queue = self.queue(symbol)
        if source is Source.STREAM:
            queue.last_frame = now
        reason = fault_of(candle)
        if reason is None and candle.open_time + MINUTE_MS > now + _EARLY_MS:
            reason = "it closes in the future"
        if reason is not None:
            self._quarantine(symbol, candle, source, reason)
            return
        if source is Source.STREAM:
            # The close of a minute is not the next one's price: keep showing the last price.
            queue.forming = candle
        if queue.next is not None and candle.open_time < queue.next:
            if candle.open_time in queue.skipped and candle.open_time not in queue.late:
                queue.late.add(candle.open_time)
                self._listener.late_minute(symbol, candle, source)
            else:
                self._journal.count("duplicate_candles")
                self._compare(queue, candle, source)
            return
        waiting = queue.pending.get(candle.open_time)
        if waiting is not None:
            self._journal.count("duplicate_candles")
            if waiting[0] != candle:
                self._listener.closes_differ(symbol, candle, waiting[0])
            if waiting[1] >= source:
                return
        queue.pending[candle.open_time] = (candle, source)
        while len(queue.pending) > _MOST_PENDING:  # history takes long: REST gives these again, in order
            queue.pending.pop(min(queue.pending))
            self._journal.count("pending_candles_dropped")
        self._drain(queue)

    def _compare(self, queue: SymbolQueue, candle: Candle, source: Source) -> None:
        """See whether a closing frame agrees with what was taken or stored of its minute before it."""
        if source is not Source.STREAM:
            return
        taken = queue.uncommitted.get(candle.open_time)
        if taken is None:
            stored = self._store.read(queue.symbol, candle.open_time, candle.open_time + MINUTE_MS)
            taken = next(iter(to_candles(stored)), None)
        if taken is not None and taken != candle:
            self._listener.closes_differ(queue.symbol, candle, taken)

    def open_queue(self, symbol: str, pipeline: SymbolPipeline, next_minute: int) -> None:
        """Starts to process minutes once the history is loaded.

        Args:
            symbol: the symbol.
            pipeline: its pipeline, updated up to ``next_minute``.
            next_minute: the first minute to process, ms.
        """
        queue = self.queue(symbol)
        queue.pipeline, queue.next = pipeline, next_minute
        queue.skipped = queue.skipped.clip(0, next_minute)  # skipped while it was held, taken after all
        if queue.opened is None:
            queue.opened = next_minute
        for late in [at for at in queue.pending if at < next_minute]:
            self._compare(queue, *queue.pending.pop(late))
        self._drain(queue)

    def pause(self, symbol: str) -> None:
        """Holds the queue's minutes back until :meth:`open_queue` is called again.

        Args:
            symbol: the symbol.
        """
        self.queue(symbol).pipeline = None

    def uncounted(self, symbol: str, minutes: Coverage) -> Coverage:
        """Selects minutes that the pipeline has passed without counting them.

        Args:
            symbol: the symbol.
            minutes: the minutes to look at.

        Returns:
            A subset of ``minutes``.
        """
        queue = self.queue(symbol)
        if queue.opened is None:
            return EMPTY
        return minutes.clip(0, queue.opened).union(minutes.intersect(queue.skipped))

    def is_blocked(self, symbol: str) -> bool:
        """Checks whether a later minute waits for the one the queue expects.

        Args:
            symbol: the symbol.

        Returns:
            True if the expected minute is missing and a later one is there.
        """
        queue, present = self.queue(symbol), self._store.present(symbol)
        return queue.next is not None and (
            bool(queue.pending) or (bool(present) and present.end > queue.next)
        )

    def skip(self, symbol: str, to: int) -> None:
        """Continues without the minutes before a moment.

        Args:
            symbol: the symbol.
            to: the next minute to process, ms.
        """
        queue = self.queue(symbol)
        if queue.next is not None and queue.next < to:
            queue.skipped = queue.skipped.union(span(queue.next, to))
            queue.next = to
            self._drain(queue)

    def advance(self, symbol: str) -> None:
        """Processes minutes that recovery has put into the store.

        Args:
            symbol: the symbol.
        """
        self._drain(self.queue(symbol))

    def _drain(self, queue: SymbolQueue) -> None:
        """Take what is next, from the waiting minutes or from the store, until a minute is missing."""
        pipeline = queue.pipeline
        if pipeline is None or queue.next is None:
            return
        present, omitted = self._store.present(queue.symbol), self._store.omitted(queue.symbol)
        try:
            while True:
                if queue.next in omitted:  # there is nothing to wait for
                    queue.next = omitted.clip(queue.next, omitted.end).intervals[0][1]
                if self._under_way >= _UNCOMMITTED:
                    # The disk is full or slow: wait here, where the bound is, not in the writer's queue.
                    self._waiting.add(queue)
                    return
                waiting = queue.pending.pop(queue.next, None)
                if queue.next in present:
                    # What is stored ranks at least as high as a copy that waits.
                    if waiting is not None:
                        self._journal.count("duplicate_candles")
                        self._compare(queue, *waiting)
                    edition = self._store.edition(queue.symbol)  # before the rows are read
                    rows, sources = self._store.read_sourced(
                        queue.symbol, queue.next, queue.next + _SLICE * MINUTE_MS
                    )
                    for candle, stored_source in zip(to_candles(rows), sources.tolist(), strict=True):
                        if candle.open_time != queue.next:
                            break
                        message = count_minute(self._store, pipeline, candle, ladders=self.ladders)
                        payload = encode(message)
                        bars = bar_messages(self._store, pipeline, candle)
                        stored = self._store.set_watermark(
                            queue.symbol, candle.open_time, payload, bars, edition, candle,
                            Source(stored_source),
                        )  # fmt: skip
                        self._commit(queue, candle, message, payload, stored)
                    # Let the loop breathe: after a long outage this goes on for thousands of minutes.
                    self._loop.call_soon(self._drain, queue)
                    return
                if waiting is None:
                    break
                candle, source = waiting
                message = count_minute(self._store, pipeline, candle, ladders=self.ladders)
                payload = encode(message)
                bars = bar_messages(self._store, pipeline, candle)
                added = self._store.append(queue.symbol, candle, source, payload=payload, more=bars)
                self._commit(queue, candle, message, payload, added)
        except Exception as error:  # one symbol's fault stays its own
            queue.pipeline = None
            self._listener.crashed(queue.symbol, error)
            return
        if queue.pending:
            self._listener.gap_found(queue.symbol, queue.next, min(queue.pending))
        elif present and present.end > queue.next:  # REST had later minutes, and not this one
            self._listener.gap_found(queue.symbol, queue.next, present.clip(queue.next, present.end).start)

    def _commit(
        self, queue: SymbolQueue, candle: Candle, message: Message, payload: bytes, stored: Future[Any]
    ) -> None:
        queue.next = candle.open_time + MINUTE_MS
        queue.uncommitted[candle.open_time] = candle
        self._under_way += 1
        self._idle.clear()

        def done(future: Future[Any]) -> None:
            self._commits.append((queue, candle, message, payload, future))
            if not self._wakeup_scheduled:
                self._wakeup_scheduled = True
                self._loop.call_soon_threadsafe(self._process_commits)

        stored.add_done_callback(done)

    def _process_commits(self) -> None:
        self._wakeup_scheduled = False  # before looking: what is added from here on wakes the loop again
        try:
            for _ in range(min(len(self._commits), _SLICE)):
                self._committed(*self._commits.popleft())
        finally:
            if self._commits and not self._wakeup_scheduled:
                self._wakeup_scheduled = True
                self._loop.call_soon(self._process_commits)

    def _committed(
        self, queue: SymbolQueue, candle: Candle, message: Message, payload: bytes, future: Future[Any]
    ) -> None:
        self._under_way -= 1
        queue.uncommitted.pop(candle.open_time, None)
        if not self._under_way:
            self._idle.set()
        if self._waiting and self._under_way < _UNCOMMITTED // 2:
            waiting, self._waiting = self._waiting, set()
            for other in waiting:
                self._drain(other)
        if (error := future.exception()) is not None:
            self._listener.crashed(queue.symbol, error)
        else:
            self._listener.committed(queue.symbol, candle, message, payload)
            written = future.result()
            if isinstance(written, Written) and written.conflicts and not written.changed:
                self._listener.superseded(queue.symbol, candle)

    async def drained(self) -> None:
        """Wait until every accepted minute is committed and passed on."""
        await self._idle.wait()
