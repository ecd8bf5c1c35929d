"""A client of the exchange's streams that records what its handlers receive."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator

from tui_feeder.engine.core.candle import Candle
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.exchanges.base import StreamHandlers
from tui_feeder.engine.exchanges.binance.stream_pool import MarketStreams
from tui_feeder.simulator.exchange import Exchange


class Heard:
    """What the handlers were told."""

    def __init__(self) -> None:
        self.closed: dict[str, list[int]] = defaultdict(list)
        self.frames = 0
        self.faults: list[str] = []

    def candle(self, symbol: str, candle: Candle, closed: bool, event_ms: int) -> None:
        self.frames += 1
        if closed:
            self.closed[symbol].append(candle.open_time)

    def fault(self, kind: str, detail: str) -> None:
        self.faults.append(kind)


@contextlib.asynccontextmanager
async def streaming(exchange: Exchange, symbols: list[str]) -> AsyncIterator[tuple[MarketStreams, Heard]]:
    clock = ExchangeClock(exchange.clock.rate)
    loop = asyncio.get_running_loop()
    clock.measure([(loop.time(), exchange.clock.now(), loop.time())])
    heard = Heard()
    streams = MarketStreams(exchange.stream_url, symbols, clock, StreamHandlers(heard.candle, heard.fault))
    running = asyncio.create_task(streams.run())
    try:
        yield streams, heard
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
