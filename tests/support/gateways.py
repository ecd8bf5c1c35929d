"""A gateway over a store filled from an embedded exchange's market, with a feeder a test plays."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np

from tui_feeder.configuration.sections import Gateway
from tui_feeder.engine.acquisition.listing_notes import ENTRY, head_note
from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Candle, Rows, Source, to_candles
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.storage.store import Store
from tui_feeder.listener import listen_at
from tui_feeder.live_access import Forwarded
from tui_feeder.service.gateway.feeder import FollowedSymbol
from tui_feeder.service.gateway.server import GatewayServer, serving_gateway
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.contracts import as_printed
from tui_feeder.simulator.dialect import USDM
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    QUOTE,
    TAKER,
    TAKER_QUOTE,
    TRADES,
    VOLUME,
    Instrument,
    Market,
    Minutes,
)


def market_rows(market: Market, symbol: str, start: int, end: int) -> Rows:
    """Minutes of a market as a feeder would store them."""
    found, block = market.instruments[symbol], market.minutes(symbol, start, end)
    if found.contract_size:
        return contract_rows(found, block)
    rows = np.zeros(len(block.times), dtype=ROW)
    rows["open_time"], rows["trades"] = block.times, block.values[:, TRADES]
    for name, column, places in (
        ("open", OPEN, found.price_decimals), ("high", HIGH, found.price_decimals),
        ("low", LOW, found.price_decimals), ("close", CLOSE, found.price_decimals),
        ("volume", VOLUME, found.quantity_decimals), ("quote_volume", QUOTE, found.quote_decimals),
        ("taker_buy_volume", TAKER, found.quantity_decimals),
        ("taker_buy_quote_volume", TAKER_QUOTE, found.quote_decimals),
    ):  # fmt: skip
        # Correctly rounded, as a parser of the exchange's text gives them.
        rows[name] = [int(value) / 10**places for value in block.values[:, column]]
    return rows


def contract_rows(found: Instrument, block: Minutes) -> Rows:
    """Minutes that are stated in contracts and base coins, stored in base coins and the quote asset."""
    stated, price, _, coins = as_printed(block.values, found)
    rows = np.zeros(len(block.times), dtype=ROW)
    rows["open_time"], rows["trades"] = block.times, stated[:, TRADES]
    for name, column in (("open", OPEN), ("high", HIGH), ("low", LOW), ("close", CLOSE)):
        rows[name] = [int(value) / 10**price for value in stated[:, column]]
    for name, column in (("volume", QUOTE), ("taker_buy_volume", TAKER_QUOTE)):
        rows[name] = [int(value) / 10**coins for value in stated[:, column]]
    for name, column in (("quote_volume", VOLUME), ("taker_buy_quote_volume", TAKER)):
        rows[name] = stated[:, column] * found.contract_size
    return rows


@dataclass
class PlayedFeeder:
    """A feeder whose state is what a test says."""

    clock: SimulatedClock
    symbols: dict[str, FollowedSymbol]
    traded: set[str] = field(default_factory=set)
    candles: dict[str, Candle] = field(default_factory=dict)
    wait: float | None = None
    wanted: list[str] = field(default_factory=list)
    forwarded: list[tuple[object, ...]] = field(default_factory=list)
    answers: Callable[[str], Forwarded] = lambda _: Forwarded(200, b"{}", None, 1)

    def now(self) -> int:
        return self.clock.now()

    def rate(self) -> float:
        return self.clock.rate

    def followed(self) -> Mapping[str, FollowedSymbol]:
        return self.symbols

    def knows_listing(self) -> bool:
        return bool(self.traded)

    def is_traded(self, symbol: str) -> bool:
        return symbol in self.symbols or symbol in self.traded

    def forming(self, symbol: str) -> Candle | None:
        return self.candles.get(symbol)

    def recovery_seconds(self, symbol: str, minutes: Coverage) -> float | None:
        return self.wait

    async def forward(self, name: str, parameters: Sequence[tuple[str, str]]) -> Forwarded:
        self.forwarded.append((name, *parameters))
        return self.answers(name)

    def follow(self, symbol: str) -> None:
        self.wanted.append(symbol)


class GatewayUnderTest:
    """A served gateway, its store and its feeder."""

    def __init__(
        self,
        url: str,
        store: Store,
        feeder: PlayedFeeder,
        server: GatewayServer,
        session: aiohttp.ClientSession,
    ) -> None:
        self.url, self.store, self.feeder, self.server, self.session = url, store, feeder, server, session
        self.figures = server.figures

    async def get(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers of an answer."""
        async with self.session.request(method, self.url + path, headers=headers) as answer:
            return answer.status, await answer.read(), answer.headers

    def commit(self, market: Market, symbol: str, start: int, end: int) -> None:
        """Store the market's minutes of ``[start, end)``."""
        rows = market_rows(market, symbol.rpartition(":")[2], start, end)
        self.store.put(symbol, rows, Source.STREAM).result(30)


@contextlib.asynccontextmanager
async def gateway_of(
    exchange: Exchange,
    path: Path,
    spans: Mapping[str, tuple[int, int]],
    settings: Gateway = Gateway(),  # noqa: B008 - it is frozen
) -> AsyncIterator[GatewayUnderTest]:
    """Serve a store with these minutes (ms, by the exchange's symbol) of the exchange's market."""
    market = exchange.market
    store = await asyncio.to_thread(Store, path, exchange="a simulated exchange")
    prefix = "" if exchange.dialect is USDM else f"{exchange.dialect.name}:"
    feeder = PlayedFeeder(
        exchange.clock,
        {prefix + name: FollowedSymbol(prefix + name, True, start) for name, (start, _) in spans.items()},
    )
    made = listen_at("127.0.0.1", 0)
    port = made.getsockname()[1]
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            async with session.get(f"{exchange.rest_url}{exchange.dialect.rest}/exchangeInfo") as answer:
                info = json.loads(await answer.read())
            info.pop("serverTime")
            for entry in info.pop("symbols"):
                raw = json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode()
                store.put_note(ENTRY + prefix + entry["symbol"], raw)
                feeder.traded.add(prefix + entry["symbol"])
            store.put_note(head_note(prefix.rstrip(":")), json.dumps(info, separators=(",", ":")).encode())
            for bare, (start, end) in spans.items():
                symbol, listed = prefix + bare, market.instruments[bare].onboard
                if start <= listed:
                    store.set_listed(symbol, listed)
                rows = market_rows(market, bare, start, end)
                store.put(symbol, rows, Source.STREAM).result(60)
                if len(rows):  # a stream tells of the minute in progress
                    following = market_rows(market, bare, end, end + MINUTE_MS)
                    feeder.candles[symbol] = to_candles(following)[0]
            async with serving_gateway(store, feeder, made, settings) as server:
                yield GatewayUnderTest(f"http://127.0.0.1:{port}", store, feeder, server, session)
    finally:
        await asyncio.to_thread(store.close)
