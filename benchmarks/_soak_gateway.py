"""A client that polls a gateway beside a soak's engine: every row that was over is the exchange's own."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import orjson

from benchmarks._soak_messages import Outcome, utc
from tui_feeder.configuration.sections import Gateway
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.storage.store import Store
from tui_feeder.listener import listen_at
from tui_feeder.live_access import Forwarded
from tui_feeder.monitor import SymbolState
from tui_feeder.service.gateway.feeder import FollowedSymbol
from tui_feeder.service.gateway.server import serving_gateway
from tui_feeder.simulator.digits import rest_rows
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import aggregate
from tui_feeder.symbol_name import market_of

_INTERVALS = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "1h": 60 * MINUTE_MS, "1d": DAY_MS}
#: Most polls are of minutes: what is wrong there is wrong in all others.
_CHOSEN = ("1m", "1m", "1m", "5m", "1h", "1d")
_LIMITS = (1, 1, 2, 5, 40, 500)
#: Virtual seconds a poll may take: a minute that has just ended is waited for.
_POLL_SECONDS = 30.0
_FINDINGS = 5


class EngineFeeder:
    """The :class:`~tui_feeder.service.gateway.feeder.Feeder` of an engine on the same loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def now(self) -> int:
        return self._engine.clock.now()

    def rate(self) -> float:
        return self._engine.clock.rate

    def followed(self) -> Mapping[str, FollowedSymbol]:
        found, now = {}, self.now()
        for symbol, tracked in self._engine.tracked.items():
            state, reason = self._engine.health.state(tracked, now)
            live = state in (SymbolState.LIVE, SymbolState.LATE)
            found[symbol] = FollowedSymbol(symbol, live, tracked.start or None, reason)
        return found

    def knows_listing(self) -> bool:
        return bool(self._engine.tracked)

    def is_traded(self, symbol: str) -> bool:
        return symbol in self._engine.tracked

    def forming(self, symbol: str) -> Candle | None:
        queue = self._engine.ingest.queues.get(symbol)
        return queue.forming if queue is not None and queue.last_frame is not None else None

    def recovery_seconds(self, symbol: str, minutes: Coverage) -> float | None:
        return None

    async def forward(self, name: str, parameters: Sequence[tuple[str, str]]) -> Forwarded:
        return Forwarded(404, b"{}")

    def follow(self, symbol: str) -> None:
        pass


class Client:
    """Polls candles at random, and keeps what it was served.

    Args:
        exchanges: the markets by name; the truth.
        symbols: as the store knows them.
        every: mean exchange seconds between two polls.
        outcome: counts what is served, and what of it is not the exchange's.
    """

    def __init__(
        self, exchanges: Mapping[str, Exchange], symbols: Sequence[str], every: float, outcome: Outcome
    ) -> None:
        self._exchanges = exchanges
        self._symbols = symbols
        self._every = every
        self._outcome = outcome
        self._dice = random.Random("polls")

    @contextlib.asynccontextmanager
    async def polling(self, engine: Engine, store: Store) -> AsyncIterator[None]:
        """Serve a gateway of this engine and poll it, while inside.

        Args:
            engine: that runs on this loop.
            store: that it writes.
        """
        made = listen_at("127.0.0.1", 0)
        address = f"http://127.0.0.1:{made.getsockname()[1]}"
        timeout = aiohttp.ClientTimeout(total=_POLL_SECONDS)
        async with (
            serving_gateway(store, EngineFeeder(engine), made, Gateway()),
            aiohttp.ClientSession(address, timeout=timeout) as session,
        ):
            running = asyncio.create_task(self._run(session, engine))
            try:
                yield
            finally:
                if running.done():
                    running.result()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def _run(self, session: aiohttp.ClientSession, engine: Engine) -> None:
        clock = next(iter(self._exchanges.values())).clock
        while True:
            wait = min(self._dice.expovariate(1 / self._every), 20 * self._every)
            await asyncio.sleep(clock.real_seconds(wait * 1_000))
            # While a fault moves the exchange's clock, a minute is over for the gateway when it can know.
            await self._poll(session, min(clock.now(), engine.clock.now()))

    async def _poll(self, session: aiohttp.ClientSession, now: int) -> None:
        symbol, interval = self._dice.choice(self._symbols), self._dice.choice(_CHOSEN)
        market = market_of(symbol)
        exchange = self._exchanges[market or "usdm"]
        query = {
            "symbol": symbol.rpartition(":")[2], "interval": interval,
            "limit": str(self._dice.choice(_LIMITS)),
        }  # fmt: skip
        if self._dice.random() < 0.3:
            back = self._dice.choice((10, 100, 1_000)) * _INTERVALS[interval]
            query["startTime"] = str(now - int(self._dice.random() * back))
        if interval == "1m" and self._dice.random() < 0.1:
            query["partial"] = "true"
        self._outcome.polls += 1
        async with session.get(f"{exchange.dialect.rest}/klines", params=query) as answer:
            body, status = await answer.read(), answer.status
            if status == 503 and "Retry-After" in answer.headers:
                return
        if status != 200:
            self._wrong(symbol, f"{query} was answered with {status}: {body[:200]!r}")
            return
        self._compare(exchange, symbol, _INTERVALS[interval], orjson.loads(body), now, query)

    def _compare(
        self,
        exchange: Exchange,
        symbol: str,
        length: int,
        rows: list[list[object]],
        now: int,
        query: Mapping[str, str],
    ) -> None:
        """Compare the rows of bars that were over when they were asked for."""
        over = {opened: row for row in rows if isinstance(opened := row[0], int) and opened + length <= now}
        self._outcome.served += len(over)
        if not over:
            return
        bare = symbol.rpartition(":")[2]
        block = exchange.market.minutes(bare, min(over), max(over) + length)
        own = rest_rows(aggregate(block, length), exchange.market.instruments[bare], length)
        truth = {row[0]: row for row in orjson.loads(own)}
        for opened, row in over.items():
            if row != truth.get(opened):
                self._wrong(symbol, f"{query} at {utc(now)}: {row}, at the exchange {truth.get(opened)}")

    def _wrong(self, symbol: str, text: str) -> None:
        self._outcome.invented += 1
        if self._outcome.invented <= _FINDINGS:
            self._outcome.findings.append(f"served: {symbol} {text}")
