"""The running engine as the service sees it: asked seldom, never waited for long, never held up."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from tui_feeder.config import Config
from tui_feeder.day_evidence import DayView, Incident, MinuteView
from tui_feeder.engine import snapshots
from tui_feeder.engine.analytics.message import encode
from tui_feeder.engine.core.candle import Rows
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.core.latency import Counted
from tui_feeder.engine.sinks import sink_lags
from tui_feeder.engine.storage.day_evidence import days_of, incidents_of, minute_of
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.engine.storage.minute_states import StateSpan, minute_states
from tui_feeder.engine.storage.outbox import OutboxStatus
from tui_feeder.engine.thread import EngineThread
from tui_feeder.errors import RunFailure
from tui_feeder.monitor import ProfileView, Snapshot, SymbolHolder

T = TypeVar("T")
#: The engine's loop has so long to answer; a healthy one takes milliseconds.
_ANSWER_SECONDS = 2.0
#: A status so young is used again for the next request.
_FRESH_SECONDS = 0.5


class BusyError(RunFailure):
    """The engine did not answer in time, or has ended."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """Everything the service reports, taken at one instant."""

    snapshot: Snapshot
    answer_seconds: float  # until the engine's loop had time for it
    uptime_seconds: float
    lags: dict[str, float]  # by sink: seconds behind
    outboxes: dict[tuple[str, str], OutboxStatus]  # by topic and sink
    latencies: dict[str, Counted]  # "minute", "frame", "loop"
    ban_until: int  # exchange ms, 0 without one
    disk_free: int | None  # bytes on the disk of the store; None where it is unknown


class EngineProbe:
    """Asks a running engine.

    Args:
        thread: the engine's.
    """

    def __init__(self, thread: EngineThread) -> None:
        self.thread = thread
        self._began = time.monotonic()
        self._sequence = 0
        self._reading_status = asyncio.Lock()
        self._status: tuple[float, EngineStatus] | None = None

    @property
    def config(self) -> Config:
        """Of the engine."""
        return self.thread.engine.config

    async def status(self) -> EngineStatus:
        """A look at the engine, at most half a second old.

        Raises:
            BusyError: the engine does not answer.
        """
        async with self._reading_status:
            if self._status is not None and time.monotonic() - self._status[0] < _FRESH_SECONDS:
                return self._status[1]
            status = await self._read_status()
            self._status = (time.monotonic(), status)
            return status

    async def _read_status(self) -> EngineStatus:
        engine = self.thread.engine
        asked = time.monotonic()
        self._sequence += 1
        sequence = self._sequence

        def take_snapshot() -> tuple[float, Snapshot, int]:
            waited = time.monotonic() - asked
            return waited, snapshots.take(engine, sequence), engine.exchange.status().banned_until

        waited, snapshot, banned = await self.call_on_loop(take_snapshot)
        lags, outboxes, free = await asyncio.to_thread(self._read_backlogs)
        return EngineStatus(
            snapshot=snapshot,
            answer_seconds=waited,
            uptime_seconds=time.monotonic() - self._began,
            lags=lags,
            outboxes=outboxes,
            latencies={
                "minute": engine.minute_latency.counted(),
                "frame": engine.frame_latency.counted(),
                "loop": self.thread.loop_lag.counted(),
            },
            ban_until=banned if banned > snapshot.exchange_time else 0,
            disk_free=free,
        )

    def _read_backlogs(self) -> tuple[dict[str, float], dict[tuple[str, str], OutboxStatus], int | None]:
        """What waits on disk, and how much room there is. Reads the store."""
        engine = self.thread.engine
        outboxes = {}
        for topic, outbox in engine.store.outboxes.items():
            for sink in outbox.sinks:
                try:
                    outboxes[topic, sink] = outbox.status(sink)
                except StoreError:
                    break
        try:
            free = shutil.disk_usage(engine.store.path).free
        except OSError:
            free = None
        return sink_lags(engine.sinks), outboxes, free

    async def call_on_loop(self, what: Callable[[], T]) -> T:
        """Runs a function on the engine's loop.

        Args:
            what: the function.

        Returns:
            Its result.

        Raises:
            BusyError: the engine does not answer.
        """
        answer: Future[T] = Future()

        def run_and_answer() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(what())
            except Exception as error:
                answer.set_exception(error)

        if not self.thread.running:
            raise BusyError("the engine has ended")
        self.thread.call(run_and_answer)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):  # wait_for of Python 3.11 can lose a cancellation
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            raise BusyError(f"the engine did not answer within {_ANSWER_SECONDS:g} s") from None

    async def message(self, symbol: str) -> bytes | None:
        """Gives the newest message of a symbol.

        Args:
            symbol: a tracked symbol.

        Returns:
            JSON; None before the first.

        Raises:
            KeyError: the symbol is not followed.
            BusyError: the engine does not answer.
        """
        message = await self.call_on_loop(lambda: self.thread.engine.tracked[symbol].message)
        return None if message is None else encode(message)

    def stored(self, symbol: str, start: int, end: int) -> Rows:
        """Reads stored minutes. Blocks.

        Args:
            symbol: the symbol.
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            Rows of dtype ROW.

        Raises:
            StoreError: the engine has ended.
        """
        return self.thread.engine.store.read(symbol, start, end)

    def elsewhere(self, symbol: str) -> SymbolHolder | None:
        """Finds which other worker of a cluster has a symbol.

        Args:
            symbol: the symbol.

        Returns:
            None where it is this feeder's, or nobody's.
        """
        return self.thread.engine.ownership.elsewhere(symbol)

    def symbols_elsewhere(self) -> dict[str, SymbolHolder]:
        """Lists the wanted symbols that other workers of a cluster have."""
        engine = self.thread.engine
        found = {symbol: engine.ownership.elsewhere(symbol) for symbol in engine.subscriptions.chosen()}
        return {symbol: holder for symbol, holder in found.items() if holder is not None}

    def range_of(self, symbol: str) -> tuple[int, int] | None:
        """Gives the range of stored minutes.

        Args:
            symbol: the symbol.

        Returns:
            First minute and exclusive end, ms; None without any.

        Raises:
            StoreError: the engine has ended.
        """
        present = self.thread.engine.store.present(symbol)
        return (present.start, present.end) if present else None

    def contract_size(self, symbol: str) -> float | None:
        """Gives what a contract of a symbol is worth.

        Args:
            symbol: the symbol.

        Returns:
            In the quote asset; None where trades are not counted in contracts.
        """
        return self.thread.engine.store.contract_size(symbol)

    def omitted(self, symbol: str) -> Coverage:
        """Gives the minutes of which the exchange has no candle, for good.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.

        Raises:
            StoreError: the engine has ended.
        """
        return self.thread.engine.store.omitted(symbol)

    def states(self, symbol: str, start: int | None, end: int | None) -> list[StateSpan]:
        """Gives the state of every minute. Blocks.

        Args:
            symbol: the symbol.
            start: ms, a whole minute; None for the first one stored.
            end: ms, exclusive, a whole minute; None for the end of what is stored.

        Returns:
            Spans in order, neighbours of different states; empty where nothing is stored.

        Raises:
            StoreError: the engine has ended.
        """
        store = self.thread.engine.store
        if not store.present(symbol):
            return []
        return minute_states(store, symbol, start, end, store.damaged(symbol))

    def days(self, symbol: str, start: int, end: int) -> tuple[DayView, ...]:
        """Describes the days of a symbol. Blocks.

        Args:
            symbol: the symbol.
            start: midnight, ms.
            end: midnight, ms, exclusive.

        Returns:
            A view a day.

        Raises:
            StoreError: the engine has ended.
        """
        engine = self.thread.engine
        return days_of(engine.store, symbol, start, end, engine.clock.now())

    def minute(self, symbol: str, open_time: int) -> MinuteView:
        """Describes a minute with every value it had. Blocks.

        Args:
            symbol: the symbol.
            open_time: of the minute, ms.

        Returns:
            What is known of it.

        Raises:
            StoreError: the engine has ended.
        """
        return minute_of(self.thread.engine.store, symbol, open_time)

    def incidents(self, symbol: str, start: int, end: int) -> list[Incident]:
        """Lists what happened to the minutes of a symbol. Blocks.

        Args:
            symbol: the symbol.
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            By time.

        Raises:
            StoreError: the engine has ended.
        """
        return incidents_of(self.thread.engine.store, symbol, start, end)

    def listed(self, symbol: str) -> int | None:
        """Gives the first minute the exchange has of a symbol.

        Args:
            symbol: the symbol.

        Returns:
            ms; None if unknown.

        Raises:
            StoreError: the engine has ended.
        """
        return self.thread.engine.store.listed(symbol)

    def profile(self, symbol: str, day: int | None) -> ProfileView | None:
        """Computes the profile of a UTC day. Blocks.

        Args:
            symbol: the symbol.
            day: midnight, ms; None for the newest.

        Returns:
            The profile; None without trades.
        """
        return self.thread.monitor.profile(symbol, day)
