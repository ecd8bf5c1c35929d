"""The engine on its own thread and loop, and the monitor through which a screen sees it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tui_feeder.config import Config
from tui_feeder.engine import snapshots
from tui_feeder.engine.aggregate import aggregate
from tui_feeder.engine.candle import DAY_MS, MINUTE_MS, ROW, SECOND_MS, Rows
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.indicators.ema import ema
from tui_feeder.engine.profile import profile_of
from tui_feeder.engine.settings import profile_settings
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.store import Store, StoreError
from tui_feeder.monitor import ProfileView, Snapshot

log = logging.getLogger(__name__)
_TICK_SECONDS = 0.1


class EngineThread:
    """Runs an :class:`Engine` on a thread; :attr:`monitor` may be used from any other.

    Args:
        on_end: called from the engine's thread when it has ended by itself or failed.
    """

    def __init__(
        self, config: Config, store: Store, sinks: Sequence[Sink], on_end: Callable[[], None]
    ) -> None:
        self.error: Exception | None = None
        self.monitor: LiveMonitor
        self._config = config
        self._store = store
        self._sinks = sinks
        self._on_end = on_end
        self._loop = asyncio.new_event_loop()
        self._engine: Engine
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="engine", daemon=True)
        self._thread.start()
        started.wait()

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread.is_alive()

    def call(self, what: Callable[[], None]) -> None:
        """Run ``what`` on the engine's loop, soon; nothing happens once the engine has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what)

    def request_stop(self) -> None:
        """Ask the engine to stop in order; returns at once."""
        self.call(self._engine.request_stop)

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it came in time."""
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
            self._on_end()

    async def _main(self, started: threading.Event) -> None:
        self._engine = engine = Engine(self._config, self._store, self._sinks)
        self.monitor = LiveMonitor(engine, self.call)
        started.set()
        taking = asyncio.create_task(self._take_snapshots(engine))
        try:
            await engine.run()
        finally:
            taking.cancel()
            self.monitor.newest = snapshots.final(self.monitor.newest, engine.state)

    async def _take_snapshots(self, engine: Engine) -> None:
        """A new snapshot for a screen that pulls; nobody looks, nothing is built."""
        sequence = 0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            if self.monitor.wanted:
                sequence += 1
                self.monitor.newest = snapshots.take(engine, sequence)
                self.monitor.wanted = False


class LiveMonitor:
    """The :class:`~tui_feeder.monitor.Monitor` of an engine in this process."""

    def __init__(self, engine: Engine, call: Callable[[Callable[[], None]], None]) -> None:
        self.wanted = True
        self.newest = snapshots.take(engine, 0)
        self._engine = engine
        self._call = call
        self._lines: dict[tuple[str, int], tuple[int, Rows, tuple[NDArray[np.float64], ...]]] = {}
        self._profiles: dict[tuple[str, int], tuple[int, ProfileView]] = {}

    def snapshot(self) -> Snapshot:
        """The newest snapshot, at most a tick old while the screen keeps pulling."""
        self.wanted = True
        return self.newest

    def bars(self, symbol: str, timeframe: int, count: int, end: int | None = None) -> Rows:
        """At most ``count`` completed bars that end at or before ``end``."""
        return self._history(symbol, timeframe, end)[0][-count:]

    def ema_lines(
        self, symbol: str, timeframe: int, count: int, end: int | None = None
    ) -> tuple[NDArray[np.float64], ...]:
        """The EMAs of :meth:`bars`, a float64 array for each period, NaN where not yet defined."""
        return tuple(line[-count:] for line in self._history(symbol, timeframe, end)[1])

    def _history(
        self, symbol: str, timeframe: int, end: int | None
    ) -> tuple[Rows, tuple[NDArray[np.float64], ...]]:
        """Every completed bar of the symbol and its EMAs; read again when a bar has completed."""
        one = self._engine.tracked.get(symbol)
        if one is None or one.last is None:
            return np.empty(0, dtype=ROW), tuple(np.empty(0) for _ in self._periods())
        frame = timeframe * SECOND_MS
        until = (one.last.open_time + MINUTE_MS) // frame * frame
        key = (symbol, timeframe)
        cached = self._lines.get(key)
        if cached is None or cached[0] != until:
            if len(self._lines) > 8:
                self._lines.clear()
            try:
                minutes = self._engine.store.read(symbol, one.start, until)
            except StoreError:  # the engine has ended and closed it
                minutes = np.empty(0, dtype=ROW)
            bars = aggregate(minutes, timeframe).rows
            lines = tuple(ema(bars["close"], period) for period in self._periods())
            cached = self._lines[key] = (until, bars, lines)
        _, bars, lines = cached
        if end is not None and end < until:
            stop = int(np.searchsorted(bars["open_time"], end - frame, side="right"))
            return bars[:stop], tuple(line[:stop] for line in lines)
        return bars, lines

    def _periods(self) -> tuple[int, ...]:
        return self._engine.config.technical_analysis.ema_periods

    def profile(self, symbol: str, day: int | None = None) -> ProfileView | None:
        """The profile of a UTC day from the stored minutes."""
        one = self._engine.tracked.get(symbol)
        if one is None or one.last is None:
            return None
        newest = one.last.open_time
        start = newest // DAY_MS * DAY_MS if day is None else day
        last = min(newest, start + DAY_MS - MINUTE_MS)
        cached = self._profiles.get((symbol, start))
        if cached is not None and cached[0] == last:
            return cached[1]
        settings = profile_settings(self._engine.config, symbol, one.info.tick_size if one.info else None)
        try:
            rows = self._engine.store.read(symbol, start, last + MINUTE_MS)
        except StoreError:  # the engine has ended and closed it
            return None
        if settings is None or not len(rows):
            return None
        made = profile_of(rows, settings)
        if made is None:
            return None
        view = ProfileView(
            symbol=symbol,
            day=start,
            increment=made.increment,
            low_price=made.low_index * made.increment,
            weights=tuple(made.weights.tolist()),
            poc=made.poc,
            vah=made.vah,
            val=made.val,
            vwap=made.vwap,
            total_volume=made.total_volume,
            candles=made.candles,
            last_minute=made.last_minute,
        )
        if len(self._profiles) > 32:
            self._profiles.clear()
        self._profiles[(symbol, start)] = (last, view)
        return view

    def retry_gaps(self, symbol: str | None = None) -> None:
        """Try open gaps now."""
        self._call(lambda: self._engine.recovery.retry(symbol))


def wait_for_end(engine: EngineThread, seconds: float | None, stop: threading.Event) -> None:
    """Block until the engine has ended, ``stop`` is set, or ``seconds`` are over."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while engine.running and not stop.is_set():
        left = 0.5 if deadline is None else min(0.5, deadline - time.monotonic())
        if left <= 0:
            return
        stop.wait(left)
