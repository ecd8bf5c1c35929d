"""The engine on its own thread and loop, and the monitor through which a screen sees it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from tui_feeder.config import Config
from tui_feeder.day_evidence import DayView, MinuteView
from tui_feeder.engine import snapshots
from tui_feeder.engine.alerts.rule_saving import RuleFile, RuleSaver
from tui_feeder.engine.composition import configured_engine
from tui_feeder.engine.core import event_loop
from tui_feeder.engine.core.candle import MINUTE_MS, Rows
from tui_feeder.engine.core.latency import Latency
from tui_feeder.engine.day_digests import digests_of
from tui_feeder.engine.derived.stored_reads import NO_LINE, NO_ROWS, StoredReads
from tui_feeder.engine.derived.symbol_numbers import symbol_numbers
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.exchanges.base import Trading
from tui_feeder.engine.gateway_access import EngineLiveAccess
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.storage.store import Store, StoreError
from tui_feeder.monitor import (
    AnchoredLine,
    FootprintView,
    LevelLines,
    MinuteState,
    NakedPoc,
    ProfileView,
    RangeView,
    RuleView,
    Snapshot,
    Spans,
    SymbolNumbers,
)

log = logging.getLogger(__name__)
_TICK_SECONDS = 0.1


class EngineThread:
    """Runs an :class:`Engine` on a thread; :attr:`monitor` may be used from any other.

    Args:
        store: the opened store; closed with the engine, also where none could be made.
        sinks: where messages go; closed likewise.
        on_end: called from the engine's thread when it has ended by itself or failed.
        make: makes the engine, for measurements that look inside.
        rule_file: the configuration that rules of alerts are written into; None: only the store keeps some.

    Raises:
        Exception: what making the engine raised.
    """

    engine: Engine

    def __init__(
        self,
        config: Config,
        store: Store,
        sinks: Sequence[Sink],
        on_end: Callable[[], None],
        make: Callable[[Config, Store, Sequence[Sink]], Engine] = configured_engine,
        rule_file: RuleFile | None = None,
    ) -> None:
        self.error: Exception | None = None
        self.monitor: LiveMonitor
        self.live: EngineLiveAccess
        self.loop_lag = Latency(event_loop.LAG_BOUNDS)
        self._config = config
        self._store = store
        self._sinks = sinks
        self._on_end = on_end
        self._make = make
        self._rule_file = rule_file
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="engine", daemon=True)
        self._thread.start()
        started.wait()
        if not hasattr(self, "monitor"):
            self._thread.join()
            raise self.error or RuntimeError("the engine could not be made")

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread.is_alive()

    def call(self, what: Callable[[], None]) -> None:
        """Schedules a call on the engine's loop; does nothing once the engine has ended.

        Args:
            what: the function.
        """
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what)

    def request_stop(self) -> None:
        """Ask the engine to shut down cleanly; returns at once."""
        self.call(self.engine.request_stop)

    def join(self, timeout: float | None = None) -> bool:
        """Waits for the end.

        Args:
            timeout: seconds to wait; None for as long as it takes.

        Returns:
            True if the engine has ended.
        """
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self, started: threading.Event) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._main(started))
        except Exception as error:
            self.error = error
            log.debug("the engine failed", exc_info=True)
        finally:
            if not hasattr(self, "monitor"):  # ends the wait for the start
                for sink in self._sinks:
                    sink.close(0.0)
                self._store.close()
            started.set()
            self._on_end()

    async def _main(self, started: threading.Event) -> None:
        self.engine = engine = self._make(self._config, self._store, self._sinks)
        saver = RuleSaver(engine.rule_book, engine.alerts, engine.journal, self._loop, self._rule_file)
        self.monitor = LiveMonitor(engine, self.call, saver)
        self.live = EngineLiveAccess(engine, self._loop)
        started.set()
        taking = asyncio.create_task(self._take_snapshots(engine))
        try:
            await engine.run()
        finally:
            taking.cancel()
            self.monitor.newest = snapshots.final(self.monitor.newest, engine.state)

    async def _take_snapshots(self, engine: Engine) -> None:
        """A new snapshot for a screen that pulls; nobody looks, nothing is built.

        Where one cannot be built the screens show the one before as stale, and the next tick tries again.
        """
        sequence, failing = 0, False
        async for _ in event_loop.ticks(_TICK_SECONDS, self.loop_lag):
            if not self.monitor.wanted:
                continue
            sequence += 1
            try:
                self.monitor.newest = snapshots.take(engine, sequence)
                failing = False
            except Exception as error:
                if not failing:
                    log.exception("a snapshot for the screens could not be built")
                engine.journal.fault("snapshots_failed", repr(error))
                self.monitor.newest = snapshots.stale(
                    self.monitor.newest, sequence, engine.clock.now(), engine.journal.recent()
                )
                failing = True
            self.monitor.wanted = False


class LiveMonitor:
    """The :class:`~tui_feeder.monitor.Monitor` of an engine in this process."""

    def __init__(
        self, engine: Engine, call: Callable[[Callable[[], None]], None], rule_saver: RuleSaver
    ) -> None:
        self.wanted = True
        self._rule_saver = rule_saver
        self.newest = snapshots.take(engine, 0)
        self._engine = engine
        self._call = call
        self._reads = StoredReads(engine.store, engine.config)

    def snapshot(self) -> Snapshot:
        """The newest snapshot, at most a tick old while the screen keeps pulling."""
        self.wanted = True
        return self._reads.answers.marked(self.newest)

    def _closed(self, symbol: str) -> int | None:
        """Exclusive end of the last committed minute of a symbol, ms."""
        tracked = self._engine.tracked.get(symbol)
        return None if tracked is None or tracked.last is None else tracked.last.open_time + MINUTE_MS

    def bars(self, symbol: str, timeframe: int, count: int, end: int | None = None) -> Rows:
        """See :meth:`tui_feeder.monitor.Monitor.bars`."""
        closed = self._closed(symbol)
        return NO_ROWS if closed is None else self._reads.bars(symbol, timeframe, count, end, closed)[0]

    def ema_lines(
        self, symbol: str, timeframe: int, count: int, end: int | None = None
    ) -> tuple[NDArray[np.float64], ...]:
        """See :meth:`tui_feeder.monitor.Monitor.ema_lines`."""
        closed = self._closed(symbol)
        bars = (
            self._reads.no_bars()
            if closed is None
            else self._reads.bars(symbol, timeframe, count, end, closed)
        )
        return bars[1]

    def open_bar(self, symbol: str, timeframe: int) -> Rows:
        """See :meth:`tui_feeder.monitor.Monitor.open_bar`."""
        closed = self._closed(symbol)
        return NO_ROWS if closed is None else self._reads.open_bar(symbol, timeframe, closed)

    def coverage(self, symbol: str, start: int, end: int, cells: int) -> tuple[MinuteState, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.coverage`."""
        tracked = self._engine.tracked.get(symbol)
        outside = (MinuteState.OUTSIDE,) * cells
        if tracked is None or tracked.phase in ("waiting", "unknown"):
            return outside
        try:
            return snapshots.coverage(self._engine, tracked, self.newest.gaps, start, end, cells)
        except StoreError:
            return outside

    def profile(
        self, symbol: str, day: int | None = None, patience: float | None = None
    ) -> ProfileView | None:
        """See :meth:`tui_feeder.monitor.Monitor.profile`."""
        closed = self._closed(symbol)
        return None if closed is None else self._reads.profile(symbol, day, closed, patience)

    def range_profile(self, symbol: str, spans: Spans, patience: float | None = None) -> RangeView | None:
        """See :meth:`tui_feeder.monitor.Monitor.range_profile`."""
        closed = self._closed(symbol)
        return None if closed is None else self._reads.range_profile(symbol, spans, closed, patience)

    def footprint(
        self,
        symbol: str,
        timeframe: int,
        count: int,
        levels: int,
        end: int | None = None,
        patience: float | None = None,
    ) -> FootprintView | None:
        """See :meth:`tui_feeder.monitor.Monitor.footprint`."""
        closed = self._closed(symbol)
        if closed is None:
            return None
        return self._reads.footprint(symbol, timeframe, count, levels, end, closed, patience)

    def naked_pocs(self, symbol: str, patience: float | None = None) -> tuple[NakedPoc, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.naked_pocs`."""
        closed = self._closed(symbol)
        return () if closed is None else self._reads.naked_pocs(symbol, closed, patience)

    def developing(
        self, symbol: str, day: int, every: int, patience: float | None = None
    ) -> LevelLines | None:
        """See :meth:`tui_feeder.monitor.Monitor.developing`."""
        closed = self._closed(symbol)
        return None if closed is None else self._reads.developing(symbol, day, every, closed, patience)

    def anchored(self, symbol: str, anchor: int, timeframe: int, end: int | None = None) -> AnchoredLine:
        """See :meth:`tui_feeder.monitor.Monitor.anchored`."""
        closed = self._closed(symbol)
        return NO_LINE if closed is None else self._reads.anchored(symbol, anchor, timeframe, end, closed)

    def sources(self, symbol: str, start: int, end: int) -> Mapping[str, int]:
        """See :meth:`tui_feeder.monitor.Monitor.sources`."""
        return self._reads.sources(symbol, start, end, end)

    def days(self, symbol: str, start: int, end: int) -> tuple[DayView, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.days`."""
        return self._reads.days(symbol, start, end, self._engine.clock.now())

    def minute(self, symbol: str, open_time: int) -> MinuteView | None:
        """See :meth:`tui_feeder.monitor.Monitor.minute`."""
        return self._reads.minute(symbol, open_time)

    def digests(self, symbol: str, day: int) -> Mapping[str, str]:
        """See :meth:`tui_feeder.monitor.Monitor.digests`."""
        return digests_of(self._engine.config, symbol, day)

    def noted_minutes(self, symbol: str, day: int) -> tuple[int, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.noted_minutes`."""
        return self._reads.noted_minutes(symbol, day)

    def numbers(self, symbol: str) -> SymbolNumbers | None:
        """See :meth:`tui_feeder.monitor.Monitor.numbers`."""
        tracked = self._engine.tracked.get(symbol)
        return None if tracked is None else symbol_numbers(self._engine.store, tracked.message)

    def acknowledge(self, number: int | None = None) -> None:
        """See :meth:`tui_feeder.monitor.Monitor.acknowledge`."""
        self._call(lambda: self._engine.alerts.acknowledge(number))

    def save_rule(self, rule: RuleView, replaces: str = "") -> Future[str]:
        """See :meth:`tui_feeder.monitor.Monitor.save_rule`."""
        return self._rule_saver.save(rule.place, rule.name, rule.keys, replaces)

    def delete_rule(self, rule: RuleView) -> Future[str]:
        """See :meth:`tui_feeder.monitor.Monitor.delete_rule`."""
        return self._rule_saver.save(rule.place, rule.name, None)

    def retry_gaps(self, symbol: str | None = None) -> None:
        """See :meth:`tui_feeder.monitor.Monitor.retry_gaps`."""
        self._call(lambda: self._engine.recovery.retry(symbol))

    def listed(self) -> tuple[str, ...]:
        """Names of the symbols that the exchange trades, sorted; empty while it was not asked yet."""
        listed = self._engine.subscriptions.listed
        return tuple(sorted(name for name, info in listed.items() if info.trading is Trading.NOW))

    def add_symbol(self, symbol: str) -> None:
        """See :meth:`tui_feeder.monitor.Monitor.add_symbol`."""
        self._call(lambda: self._engine.subscriptions.add(symbol))

    def drop_symbol(self, symbol: str) -> None:
        """See :meth:`tui_feeder.monitor.Monitor.drop_symbol`."""
        self._call(lambda: self._engine.subscriptions.drop(symbol))


def wait_for_end(engine: EngineThread, seconds: float | None, stop: threading.Event) -> None:
    """Blocks until the engine has ended.

    Args:
        engine: the engine.
        seconds: how long at most; None for no limit.
        stop: returns too when this is set.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while engine.running and not stop.is_set():
        left = 0.5 if deadline is None else min(0.5, deadline - time.monotonic())
        if left <= 0:
            return
        stop.wait(left)
