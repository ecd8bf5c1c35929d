"""An engine and an embedded exchange in one test: real sockets, a real store, messages collected."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from virtual_time import VirtualTimeLoop, VirtualTimeStore

from tui_feeder.config import Application, Config, TechnicalAnalysis
from tui_feeder.config import Exchange as ExchangeSettings
from tui_feeder.engine.alerts.rule_saving import RuleSaver
from tui_feeder.engine.composition import configured_engine
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.exchanges import base
from tui_feeder.engine.storage.store import Store
from tui_feeder.engine.thread import LiveMonitor
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z, a Tuesday


class Collected:
    """A sink that keeps what it is given."""

    name = "collected"

    def __init__(self) -> None:
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.raw: dict[str, list[bytes]] = {}

    def start(self, journal: Journal) -> None:
        pass

    def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
        decoded = json.loads(message)
        assert decoded["timestamp"] == timestamp
        self.messages.setdefault(symbol, []).append(decoded)
        self.raw.setdefault(symbol, []).append(message)

    def status(self) -> str:
        return "ok"

    def close(self, timeout: float) -> None:
        pass

    def minutes(self, symbol: str) -> list[int]:
        """Open times of the minutes published, in order."""
        return [m["timestamp"] + 1 - MINUTE_MS for m in self.messages.get(symbol, [])]


def configured(exchange: Exchange, symbols: list[str], *, days: int = 3, **application: object) -> Config:
    """A configuration that points at ``exchange``."""
    return Config(
        application=replace(Application(), symbols=tuple(symbols), **application),
        technical_analysis=replace(TechnicalAnalysis(), min_history_days=days),
        exchange=replace(
            ExchangeSettings(),
            rest_url=exchange.rest_url,
            stream_url=exchange.stream_url,
            archive_url=exchange.archive_url,
            clock_rate=exchange.clock.rate,
            request_timeout_seconds=2.0,
        ),
    )


@contextlib.asynccontextmanager
async def feeding(
    config: Config, storage: Path, sink: Collected | None = None, exchange: base.Exchange | None = None
) -> AsyncIterator[tuple[Engine, Collected]]:
    """Run an engine, on ``exchange`` if given; on leaving it is shut down and its own failure raised."""
    sink = sink or Collected()
    name = "a simulated exchange"
    if isinstance(asyncio.get_running_loop(), VirtualTimeLoop):
        store: Store = VirtualTimeStore(storage, exchange=name)
    else:
        store = await asyncio.to_thread(Store, storage, exchange=name)
    if exchange is None:
        engine = configured_engine(config, store, [sink])
    else:
        engine = Engine(config, store, exchange, [sink], worker_thread())
    running = asyncio.create_task(engine.run())
    try:
        yield engine, sink
    finally:
        engine.request_stop()
        await asyncio.wait_for(running, 30)


async def until(
    what: Callable[[], object], seconds: float = 30.0, why: str = "", pause: float = 0.02
) -> None:
    """Wait until ``what()`` is true; what takes long to find is looked at seldom."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, why or "it did not come to pass in time"
        await asyncio.sleep(pause)


def exchange_at(start: int, symbols: list[str], rate: float = 60.0) -> Exchange:
    market = synthetic_market(symbols, as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=start, rate=rate))


def monitor_of(engine: Engine) -> LiveMonitor:
    """What a screen on the loop of the engine would see."""
    loop = asyncio.get_running_loop()
    saver = RuleSaver(engine.rule_book, engine.alerts, engine.journal, loop, None)
    return LiveMonitor(engine, lambda what: what(), saver)
