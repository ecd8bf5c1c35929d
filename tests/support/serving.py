"""An engine on its thread, served over HTTP, beside an embedded exchange."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from feed import NOON

from tui_feeder.config import Config
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.storage.store import Store
from tui_feeder.engine.thread import EngineThread
from tui_feeder.service.http import HttpService
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market


class Served:
    """Asks a feeder over HTTP."""

    def __init__(self, service: HttpService, engine: EngineThread, session: aiohttp.ClientSession) -> None:
        self.service = service
        self.engine = engine
        self.session = session
        self.url = f"http://{service.address[0]}:{service.address[1]}"

    async def get(self, path: str, status: int | None = 200, method: str = "GET") -> Any:  # noqa: ANN401
        """The body of an answer: JSON as what it says, else text."""
        async with self.session.request(method, self.url + path) as answer:
            body = await answer.read()
            if status is not None:
                assert answer.status == status, (path, answer.status, body[:500])
            return await answer.json() if answer.content_type == "application/json" else body.decode()

    async def ready(self) -> tuple[bool, list[str]]:
        """Whether it is, and why not."""
        body = await self.get("/ready", None)
        return body["ready"], body["reasons"]

    async def until_ready(self, wanted: bool, reason: str = "", seconds: float = 40.0) -> None:
        """Wait until it is, or is not for that reason."""
        deadline = time.monotonic() + seconds
        while True:
            ready, reasons = await self.ready()
            if ready is wanted and reason in "\n".join(reasons):
                return
            assert time.monotonic() < deadline, (ready, reasons)
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def serving(
    config: Config, storage: Path, sinks: Callable[[Store], Sequence[Sink]] = lambda _: ()
) -> AsyncIterator[Served]:
    """Run an engine and serve it on a free port; on leaving both are shut down cleanly."""
    store = await asyncio.to_thread(Store, storage, exchange="a simulated exchange")
    ended = threading.Event()
    engine = await asyncio.to_thread(EngineThread, config, store, sinks(store), ended.set)
    service = HttpService(engine, "127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            yield Served(service, engine, session)
    finally:
        await asyncio.to_thread(service.close)
        engine.request_stop()
        assert await asyncio.to_thread(engine.join, 30)
        if engine.error is not None:
            raise engine.error


SYMBOLS = ["BTCUSDT", "币安人生USDT"]


def exchange_at(start: int, rate: float = 1.0) -> Exchange:
    market = synthetic_market(SYMBOLS, as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=start, rate=rate))
