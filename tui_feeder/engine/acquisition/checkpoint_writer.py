"""Makes the pipelines of a running engine, and keeps their state in the store for the next start."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

from tui_feeder.config import Config
from tui_feeder.engine.acquisition.ingest import Ingest
from tui_feeder.engine.analytics.pipeline import PipelineState, SymbolPipeline
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat
from tui_feeder.engine.derived.checkpoint import Footing, Unusable, encode, footing_of, resume
from tui_feeder.engine.derived.inputs import basis_of, load_pipeline, settings_of, start_of
from tui_feeder.engine.storage.store import Store

_EVERY_SECONDS = 3_600.0  # each symbol's state is kept, one symbol after the other


class CheckpointWriter:
    """Makes and keeps the numbers of all symbols; run it as a part of the engine."""

    def __init__(
        self, config: Config, store: Store, journal: Journal, ingest: Ingest, workers: ThreadPoolExecutor
    ) -> None:
        self._config = config
        self._store = store
        self._journal = journal
        self._ingest = ingest
        self._workers = workers
        self._footings: dict[str, Footing] = {}

    def pipeline(self, symbol: str, end: int, *, first: bool) -> SymbolPipeline:
        """The pipeline of ``symbol`` after the last stored minute before ``end``. It blocks.

        Args:
            symbol: whose.
            end: exclusive, ms.
            first: no pipeline of it was made in this run, so what an earlier one kept may be used.
        """
        if first:
            try:
                resumed = resume(self._store, self._config, symbol, end)
            except Unusable as reason:
                self._journal.note("info", f"numbers made again from all candles: {reason}", symbol)
            else:
                if resumed is not None:
                    pipeline, self._footings[symbol] = resumed
                    self._journal.count("numbers resumed")
                    return pipeline
        pipeline, self._footings[symbol] = self._made(symbol, end)
        self._journal.count("numbers made from all candles")
        return pipeline

    def _made(self, symbol: str, end: int) -> tuple[SymbolPipeline, Footing]:
        basis = basis_of(self._store, symbol)
        settings = settings_of(self._store, self._config, symbol)
        start = start_of(self._store, symbol, end, settings)
        footing = footing_of(self._store, symbol, start, settings, basis)
        return load_pipeline(self._store, self._config, symbol, end), footing

    def forget(self, symbol: str) -> None:
        """The symbol is followed no longer; what the store keeps of it stays."""
        self._footings.pop(symbol, None)

    async def run(self) -> None:
        """Keep the state of every symbol about once an hour, until cancelled."""
        loop = asyncio.get_running_loop()
        waiting: list[str] = []
        while True:
            if not waiting:
                waiting = list(self._ingest.queues)
            pause = _EVERY_SECONDS / max(1, len(self._ingest.queues))
            heartbeat(pause, OUTSIDE_SECONDS, unless=self._store.paused)
            await asyncio.sleep(pause)
            if not waiting or (kept := self._state(symbol := waiting.pop())) is None:
                continue
            footing, state = kept
            commit = await loop.run_in_executor(self._workers, self._keep, symbol, footing, state)
            await asyncio.wrap_future(commit)  # on a full disk this waits, and a worker must not

    def keep_all(self) -> None:
        """Hand the state of every symbol to the store; call it on the engine's loop, once it is idle."""
        for symbol in list(self._ingest.queues):
            if (kept := self._state(symbol)) is not None and self._holds(symbol, kept[0]):
                self._store.keep_numbers(symbol, encode(*kept))

    def _state(self, symbol: str) -> tuple[Footing, PipelineState] | None:
        queue = self._ingest.queues.get(symbol)
        if queue is None or queue.pipeline is None or queue.pipeline.last_open_time is None:
            return None
        footing = self._footings.get(symbol)
        return None if footing is None else (footing, queue.pipeline.state())

    def _holds(self, symbol: str, footing: Footing) -> bool:
        return footing.edition == self._store.edition(symbol)

    def _keep(self, symbol: str, footing: Footing, state: PipelineState) -> Future[None]:
        """Keep ``state``; where stored candles were replaced since it began, one made again from all."""
        if not self._holds(symbol, footing):
            pipeline, footing = self._made(symbol, (state.last or 0) + MINUTE_MS)
            state = pipeline.state()
        return self._store.keep_numbers(symbol, encode(footing, state))
