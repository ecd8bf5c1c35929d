"""Backfilling symbols: what each needs, the fill itself, and what it came to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tui_feeder.commands.exchange_connection import Connection
from tui_feeder.config import Config
from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.acquisition.wanted import wanted_start
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.exchanges.base import Refusal, RestError
from tui_feeder.engine.storage.store import Store, Unavailable
from tui_feeder.time_format import format_minute

AT_ONCE = 6  # symbols read at the same time
_ROUNDS = 2  # a refused request gets one more chance
_AGAIN_MS = 60 * MINUTE_MS  # when an engine asks again for what no source has
_SLICE_MS = 30 * DAY_MS


@dataclass(slots=True)
class Job:
    """One symbol's part of a backfill. Instants are exchange ms."""

    symbol: str
    reason: str = ""  # why it cannot be read, or why minutes are missing
    start: int = 0
    end: int = 0
    listed: int | None = None  # where the listing cuts off a part of what was asked for
    wanted: Coverage = EMPTY  # not stored and certified when it began
    tracker: FillProgress | None = None  # once it has begun
    ended: bool = False
    seconds: float = 0.0
    got: Coverage = EMPTY
    failed: Coverage = EMPTY  # a source refused
    files: int = 0  # archives read
    troubles: list[str] = field(default_factory=list)  # with archives
    sources: Counter[Source] = field(default_factory=Counter)  # of the minutes got
    added: int = 0  # minutes that were not stored before
    missing: Coverage = EMPTY  # not stored at the end
    uncertified: int = 0  # minutes stored that nothing vouches for

    @property
    def under_way(self) -> bool:
        """Whether it has begun and not ended."""
        return self.tracker is not None and not self.ended

    @property
    def complete(self) -> bool:
        """Whether every minute asked for is stored."""
        return self.ended and self.tracker is not None and not self.missing


class Backfill:
    """Fills the minutes ``[start, end)`` of symbols.

    Args:
        start: None for what the configuration wants.
        end: None for the last closed minute.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        connection: Connection,
        symbols: Sequence[str],
        start: int | None,
        end: int | None,
    ) -> None:
        self.jobs = [Job(symbol) for symbol in symbols]
        self._config = config
        self._store = store
        self._connection = connection
        self._by_symbol = {job.symbol: job for job in self.jobs}
        self._history = connection.history(self._on_archive)
        self._start = start
        self._end = end
        self._slots = asyncio.Semaphore(AT_ONCE)

    def _on_archive(self, symbol: str, read: bool, trouble: str) -> None:
        job = self._by_symbol[symbol]
        job.files += read
        if trouble:
            job.troubles.append(trouble)

    async def run(self) -> None:
        """Fill every symbol; cancelled, what is on its way is committed and the rest left."""
        async with asyncio.TaskGroup() as group:
            for job in self.jobs:
                group.create_task(self._fill_symbol(job))
        if not self._connection.refused:
            await self._history.recheck_shared_zeros([job.symbol for job in self.jobs])

    async def _fill_symbol(self, job: Job) -> None:
        async with self._slots:
            began = time.monotonic()
            try:
                await self._plan(job)
                await self._fill(job)
            except RestError as error:
                job.reason = f"{error.kind}: {error}"
            finally:
                job.seconds = time.monotonic() - began
            job.ended = True

    async def _plan(self, job: Job) -> None:
        """What is wanted of the symbol: from its listing on, not what is stored and certified."""
        closed = self._connection.closed_until(job.symbol)
        job.start = self._start if self._start is not None else wanted_start(self._config, closed)
        job.end = min(closed, self._end) if self._end is not None else closed
        if (delivery := self._store.delivery(job.symbol)) is not None:
            job.end = max(job.start, min(job.end, delivery))
        listed = await self._listed_start(job)
        if listed is not None and listed > job.start:
            job.start = job.listed = listed
        if await asyncio.to_thread(self._store.check, job.symbol, job.start, job.end):
            await asyncio.wrap_future(self._store.flushed())  # damaged days are missing from here on
        kept = self._store.certified(job.symbol).intersect(self._store.present(job.symbol))
        job.wanted = span(job.start, job.end).subtract(kept).subtract(self._store.omitted(job.symbol))

    async def _listed_start(self, job: Job) -> int | None:
        """The first minute the exchange has from the wanted start on; where REST refuses, as last known."""
        if not self._connection.refused:
            try:
                found = await self._history.listed_start(job.symbol, job.start)
            except RestError as error:
                if not self._connection.refuses(error):
                    raise
            else:
                if found is None:
                    raise RestError(
                        Refusal.NO_CANDLES, f"REST has no candle from {format_minute(job.start)} on"
                    )
                return found
        return self._store.listed(job.symbol)

    async def _fill(self, job: Job) -> None:
        before = self._store.present(job.symbol)
        job.tracker = FillProgress(job.wanted.minutes)
        left = job.wanted
        try:
            for again in range(_ROUNDS):
                if again:
                    await asyncio.sleep(1.0)
                    job.tracker.continue_with(left.minutes)
                filled = await self._history.fill(job.symbol, left, job.tracker)
                job.failed, job.reason = filled.failed, filled.reason if filled.failed else ""
                await self._remember(job.symbol, filled.absent, filled.reason)
                left = filled.failed
                if not left or self._connection.refused:
                    break
        finally:
            self._count(job, before)

    def _count(self, job: Job, before: Coverage) -> None:
        """What came of it, read back from the store: what counts is what is there."""
        present = self._store.present(job.symbol)
        whole = span(job.start, job.end)  # nothing where all of it lies before the listing
        job.missing = whole.subtract(self._store.settled(job.symbol))
        job.added = present.subtract(before).intersect(whole).minutes
        job.got = job.wanted.intersect(self._store.certified(job.symbol).union(present.subtract(before)))
        job.uncertified = whole.intersect(present).subtract(self._store.certified(job.symbol)).minutes
        for low, high in job.got:
            for at in range(low, high, _SLICE_MS):
                origins = self._store.read_sourced(job.symbol, at, min(high, at + _SLICE_MS))[1]
                for code, count in enumerate(np.bincount(origins).tolist()):
                    if count:
                        job.sources[Source(code)] += count

    async def _remember(self, symbol: str, absent: Coverage, reason: str) -> None:
        """Keep in the store what every source was asked for in vain, and forget what is there now."""
        settled, old = self._store.settled(symbol), self._store.unavailable(symbol)
        now = self._connection.clock.now()
        ranges = [
            Unavailable(low, high, entry.reason, entry.tries, entry.next_try)
            for entry in old
            for low, high in settled.missing(entry.start, entry.end).subtract(absent)
        ]
        for low, high in absent:
            tries = max((entry.tries for entry in old if entry.start < high and entry.end > low), default=0)
            ranges.append(Unavailable(low, high, reason, tries + 1, now + _AGAIN_MS))
        ranges.sort(key=lambda entry: entry.start)
        if tuple(ranges) != old:
            await asyncio.wrap_future(self._store.set_unavailable(symbol, tuple(ranges)))
