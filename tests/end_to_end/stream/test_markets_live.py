"""Three markets live in one engine: messages, pings, announced ends of connections, shared weight."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jsonschema
from feed import NOON, feeding, until
from history_parts import HandClock, LeapClock
from markets import exchanges, invented, pointed_at
from places import DOCS

from tui_feeder.engine.core.candle import MINUTE_MS, Source
from tui_feeder.engine.exchanges.base import Page
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient
from tui_feeder.engine.exchanges.binance.coinm import COINM as COINM_MARKET
from tui_feeder.engine.exchanges.binance.exchange import BinanceExchange
from tui_feeder.engine.exchanges.binance.markets import BinanceMarkets
from tui_feeder.engine.exchanges.binance.rest_budget import RequestBudget
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.exchanges.binance.usdm import USDM as USDM_MARKET
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.dialect import COINM, SPOT, USDM

SYMBOLS = ["BTCUSDT", "spot:BTCUSDT", "spot:币安人生USDT", "coinm:BTCUSD_PERP"]
MARKETS = {"BTCUSDT": None, "spot:BTCUSDT": "spot", "spot:币安人生USDT": "spot", "coinm:BTCUSD_PERP": "coinm"}


async def test_three_markets_are_live_in_one_engine(tmp_path: Path) -> None:
    markets = {
        "usdm": invented(USDM, ["BTCUSDT"]),
        "spot": invented(SPOT, ["BTCUSDT", "币安人生USDT"]),
        "coinm": invented(COINM, ["BTCUSD_PERP"]),
    }
    schema = json.loads((DOCS / "message.schema.json").read_text())
    async with exchanges(SimulatedClock(NOON, 30), markets) as running:
        config = pointed_at(running, SYMBOLS, days=1)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: all(len(sink.minutes(symbol)) >= 5 for symbol in SYMBOLS), 90)
            end = {symbol: sink.minutes(symbol)[-1] + MINUTE_MS for symbol in SYMBOLS}
            rows = {symbol: engine.store.read(symbol, NOON - 600_000, end[symbol]) for symbol in SYMBOLS}
            sources = engine.store.read_sourced("spot:BTCUSDT", NOON + MINUTE_MS, end["spot:BTCUSDT"])[1]
            counters = dict(engine.journal.counters)
            sockets = [socket.name for socket in engine.streams.sockets]
        assert sorted(sockets) == ["coinm-1", "market-1", "spot-1"]
        assert not {name for name in counters if "quarantined" in name or "frames" in name}, counters
        for symbol in SYMBOLS:
            assert {b - a for a, b in pairwise(sink.minutes(symbol))} == {MINUTE_MS}
            for message in sink.messages[symbol]:
                jsonschema.validate(message, schema)
                assert (message["symbol"], message.get("market")) == (symbol, MARKETS[symbol])
        # The same trades, listed as three markets: prices are the same, of contracts to within a contract.
        usual, spot, coin = (rows[symbol] for symbol in ("BTCUSDT", "spot:BTCUSDT", "coinm:BTCUSD_PERP"))
        many = min(map(len, (usual, spot, coin)))
        assert spot[:many].tolist() == usual[:many].tolist()
        assert coin["close"][:many].tolist() == usual["close"][:many].tolist()
        ratio = coin["volume"][:many] / usual["volume"][:many]
        assert ((ratio > 0.999) & (ratio <= 1.0001)).all()
        assert set(sources.tolist()) <= {Source.STREAM, Source.REST}
        assert Source.STREAM in sources.tolist()


async def test_an_announced_end_of_a_spot_connection_is_renewed_before_it_comes(tmp_path: Path) -> None:
    markets = {"spot": invented(SPOT, ["BTCUSDT"])}
    async with exchanges(SimulatedClock(NOON, 30), markets) as running:
        spot = running["spot"]
        async with feeding(pointed_at(running, ["spot:BTCUSDT"]), tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes("spot:BTCUSDT")) >= 2, 60)
            first = engine.streams.sockets[0]
            by_rest = engine.journal.counters["minutes_closed_by_rest"]
            spot.faults.switch_on("server-shutdown", seconds=600)
            await until(lambda: engine.streams.sockets[0] is not first, 60)
            renewed = engine.streams.sockets[0]
            await until(lambda: len(spot.streams.connections) == 1, 60)
            told = len(sink.minutes("spot:BTCUSDT"))
            await until(lambda: len(sink.minutes("spot:BTCUSDT")) >= told + 3, 60)
            assert engine.streams.sockets[0] is renewed
            assert renewed.reconnects == 0
            assert spot.faults.struck["server-shutdown"] == 1
            minutes = sink.minutes("spot:BTCUSDT")
            read = engine.store.read_sourced("spot:BTCUSDT", minutes[2], minutes[-1] + MINUTE_MS)[1]
            assert set(read.tolist()) == {Source.STREAM}
            assert engine.journal.counters["minutes_closed_by_rest"] == by_rest


async def test_pings_of_spot_are_answered_so_that_the_connection_lasts(tmp_path: Path) -> None:
    quick = replace(SPOT, ping_every=0.3, pong_within=1.5)
    async with exchanges(
        SimulatedClock(NOON, 30), {"spot": invented(quick, ["BTCUSDT"])}, [quick]
    ) as running:
        spot = running["spot"]
        async with feeding(pointed_at(running, ["spot:BTCUSDT"]), tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes("spot:BTCUSDT")) >= 3, 60)
            seen = len(sink.minutes("spot:BTCUSDT"))
            await until(lambda: len(sink.minutes("spot:BTCUSDT")) >= seen + 2, 60)  # 4 s, of 1.5 s allowed
            assert engine.streams.sockets[0].reconnects == 0
            assert spot.requests["stream:market"] == 1


async def test_usdm_and_coinm_together_stay_within_the_weight_of_a_minute() -> None:
    markets = {"usdm": invented(USDM, ["BTCUSDT"]), "coinm": invented(COINM, ["BTCUSD_PERP"])}
    hand = HandClock(NOON)
    async with exchanges(hand, markets, [USDM, COINM]) as running:
        clock = LeapClock(hand)
        clock.measure([(0.0, NOON, 0.0)])
        budget = RequestBudget(2_400, clock)
        parts = {}
        for name, market in (("", USDM_MARKET), ("coinm", COINM_MARKET)):
            url = running[market.name].rest_url
            rest = RestClient(url, clock, budget=budget, market=market)
            archive = ArchiveClient(url, ThreadPoolExecutor(1), market=market)
            parts[name] = BinanceExchange(rest, archive, url, None, market)
        exchange = BinanceMarkets(parts, clock, ["BTCUSDT", "coinm:BTCUSD_PERP"])
        ledger = running["usdm"].rest.ledger
        assert ledger is running["coinm"].rest.ledger
        begin = NOON - 2_000 * MINUTE_MS
        asked: list[Awaitable[Page]] = [
            exchange.candles(symbol, 60, begin, begin + 1_400 * MINUTE_MS)
            for _ in range(160)
            for symbol in ("BTCUSDT", "coinm:BTCUSD_PERP")
        ]
        bulk = asyncio.gather(*asked)
        await until(lambda: budget.ledger.waits, 60)  # the bulk reads have used their share of this minute
        reserve = hand.moment
        page = await exchange.candles("coinm:BTCUSD_PERP", 60, begin, begin + MINUTE_MS, urgent=True)
        assert len(page.rows) == 1
        assert hand.moment - reserve <= 2 * MINUTE_MS
        assert not bulk.done()  # what waits for the next minute has not come before it
        pages = await bulk
        assert {len(page.rows) for page in pages} == {1_400}
        # 320 requests of weight 10 are more than a minute's: none was refused, the exchange counted them all.
        assert hand.moment >= NOON + MINUTE_MS
        assert budget.ledger.limit == 2_400
        for name in ("usdm", "coinm"):
            assert running[name].requests["klines"] >= 160
            assert not running[name].requests["429"]
            assert not running[name].requests["418"]
        await exchange.close()
