"""Makes the pipelines of a running engine, and keeps their state in the store for the next start."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

from tui_feeder.config import Config
from tui_feeder.engine.acquisition.ingest import Ingest
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.analytics.pipeline import PipelineState, SymbolPipeline
from tui_feeder.engine.core.candle import MINUTE_MS, Candle
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat
from tui_feeder.engine.derived.checkpoint import Provenance, UnusableCheckpoint, encode, provenance_of, resume
from tui_feeder.engine.derived.count_minute import MissingHistory
from tui_feeder.engine.derived.inputs import history_start_of, inputs_of, load_pipeline, settings_of
from tui_feeder.engine.storage.store import Store

_EVERY_SECONDS = 3_600.0  # each symbol's state is kept, one symbol after the other


class CheckpointWriter:
    """Makes the pipelines of all symbols and writes checkpoints of them; run it as a part of the engine."""

    def __init__(
        self, config: Config, store: Store, journal: Journal, ingest: Ingest, workers: ThreadPoolExecutor
    ) -> None:
        self._config = config
        self._store = store
        self._journal = journal
        self._ingest = ingest
        self._workers = workers
        self._provenances: dict[str, Provenance] = {}

    def make_pipeline(
        self, symbol: str, end: int, *, first: bool, counted: list[tuple[Candle, Message]] | None = None
    ) -> SymbolPipeline:
        """Loads the pipeline of a symbol after the last stored minute before ``end``. Blocks.

        Args:
            symbol: the symbol.
            end: exclusive, ms.
            first: no pipeline of it was made in this run, so a checkpoint of an earlier run may be used.
            counted: takes the minutes after the checkpoint with their messages, where one is used.

        Returns:
            The pipeline.

        Raises:
            MissingHistory: its numbers were made elsewhere, and can only be made again from candles that are
                not stored here yet.
        """
        inherited = bool(self._store.inherited(symbol))
        if first or inherited:
            try:
                resumed = resume(self._store, self._config, symbol, end, counted)
            except UnusableCheckpoint as reason:
                if inherited:
                    raise MissingHistory(str(reason)) from reason
                self._journal.note("info", f"numbers made again from all candles: {reason}", symbol)
            else:
                if resumed is not None:
                    pipeline, self._provenances[symbol] = resumed
                    self._journal.count("checkpoints_resumed")
                    return pipeline
        pipeline, self._provenances[symbol] = self._count_from_start(symbol, end)
        self._journal.count("pipelines_loaded_from_candles")
        return pipeline

    def _count_from_start(self, symbol: str, end: int) -> tuple[SymbolPipeline, Provenance]:
        inputs = inputs_of(self._store, symbol)
        settings = settings_of(self._store, self._config, symbol)
        start = history_start_of(self._store, symbol, end, settings)
        provenance = provenance_of(self._store, symbol, start, settings, inputs)
        return load_pipeline(self._store, self._config, symbol, end), provenance

    def forget(self, symbol: str) -> None:
        """Drops a symbol that is no longer tracked; its stored checkpoint stays.

        Args:
            symbol: the symbol.
        """
        self._provenances.pop(symbol, None)

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
            provenance, state = kept
            commit = await loop.run_in_executor(self._workers, self._write, symbol, provenance, state)
            await asyncio.wrap_future(commit)  # on a full disk this waits, and a worker must not

    def write_all(self) -> None:
        """Hand the state of every symbol to the store; call it on the engine's loop, once it is idle."""
        for symbol in list(self._ingest.queues):
            if (kept := self.current(symbol)) is not None:
                self._store.put_checkpoint(symbol, encode(*kept))

    def current(self, symbol: str) -> tuple[Provenance, PipelineState] | None:
        """Returns a symbol's pipeline as it is now, and what it rests on.

        Args:
            symbol: whose.

        Returns:
            None where it has none, or one that is to be made again.
        """
        kept = self._state(symbol)
        return kept if kept is not None and self._is_current(symbol, kept[0]) else None

    def _state(self, symbol: str) -> tuple[Provenance, PipelineState] | None:
        queue = self._ingest.queues.get(symbol)
        if queue is None or queue.pipeline is None or queue.pipeline.last_open_time is None:
            return None
        provenance = self._provenances.get(symbol)
        return None if provenance is None else (provenance, queue.pipeline.state())

    def _is_current(self, symbol: str, provenance: Provenance) -> bool:
        return provenance.edition == self._store.edition(symbol)

    def _write(self, symbol: str, provenance: Provenance, state: PipelineState) -> Future[None]:
        """Keep ``state``; where stored candles were replaced since it began, one made again from all."""
        if not self._is_current(symbol, provenance):
            if self._store.inherited(symbol):  # it is made again once all are here
                return self._store.flushed()
            pipeline, provenance = self._count_from_start(symbol, (state.last or 0) + MINUTE_MS)
            state = pipeline.state()
        return self._store.put_checkpoint(symbol, encode(provenance, state))
