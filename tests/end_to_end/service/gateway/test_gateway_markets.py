"""Spot and COIN-M under their own paths: rows, tickers and frames as those exchanges give them."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.feed import NOON
from tests.support.gateways import GatewayUnderTest, gateway_of
from tui_feeder import follow_sync
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import span
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.dialect import COINM, SPOT, Dialect
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.other_markets import ListedElsewhere
from tui_feeder.simulator.synthetic import synthetic_market

NOW = NOON + 30_000
START = NOON - 2 * DAY_MS
MARKETS = [(SPOT, "BTCUSDT"), (COINM, "BTCUSD_PERP")]


@asynccontextmanager
async def served(
    folder: Path, dialect: Dialect, symbol: str
) -> AsyncIterator[tuple[Exchange, GatewayUnderTest]]:
    market = ListedElsewhere(synthetic_market(["BTCUSDT", "ETHUSDT"], as_of_ms=NOON), dialect)
    async with (
        Exchange(market, SimulatedClock(NOW, 1e-6), dialect=dialect) as exchange,
        gateway_of(exchange, folder, {symbol: (START, NOON)}) as gateway,
    ):
        yield exchange, gateway


async def asked(exchange: Exchange, gateway: GatewayUnderTest, path: str) -> tuple[int, bytes]:
    async with gateway.session.get(exchange.rest_url + path) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize(("dialect", "symbol"), MARKETS)
async def test_rows_and_refusals_are_the_markets_own(tmp_path: Path, dialect: Dialect, symbol: str) -> None:
    async with served(tmp_path, dialect, symbol) as (exchange, gateway):
        for interval in ("1m", "5m", "1h", "1d"):
            for query in (
                f"endTime={NOON - 1}&limit=7", f"startTime={START}&endTime={NOON - 1}&limit=1000",
                f"startTime={START + DAY_MS}&endTime={START + DAY_MS + 600_000}&limit=3",
            ):  # fmt: skip
                path = f"{dialect.rest}/klines?symbol={symbol}&interval={interval}&{query}"
                status, body, _ = await gateway.get(path)
                wanted = [
                    row for row in json.loads((await asked(exchange, gateway, path))[1]) if row[0] >= START
                ]
                assert status == 200, (path, body)
                assert [row for row in json.loads(body) if row[6] < NOON] == [
                    row for row in wanted if row[6] < NOON
                ], path
        for query in (
            "symbol=NONE&interval=1m", f"symbol={symbol}&interval=7m",
            f"symbol={symbol}&interval=1m&limit=1501",
            f"symbol={symbol}&interval=1m&startTime=2&endTime=1", "interval=1m", f"symbol={symbol}",
            f"symbol={symbol}&interval=1m&limit=1001&startTime={START}",
            f"symbol={symbol}&interval=1m&startTime={NOON - 201 * DAY_MS}&endTime={NOON}",
        ):  # fmt: skip
            path = f"{dialect.rest}/klines?{query}"
            status, body, _ = await gateway.get(path)
            wanted_status, wanted_body = await asked(exchange, gateway, path)
            assert status == wanted_status, path
            if status != 200:
                assert body == wanted_body, path


@pytest.mark.parametrize(("dialect", "symbol"), MARKETS)
async def test_a_market_is_not_seen_under_the_paths_of_another(
    tmp_path: Path, dialect: Dialect, symbol: str
) -> None:
    async with served(tmp_path, dialect, symbol) as (exchange, gateway):
        other = "/dapi/v1" if dialect is SPOT else "/api/v3"
        for base in (other, "/fapi/v1"):
            status, body, _ = await gateway.get(f"{base}/klines?symbol={symbol}&interval=1m")
            assert (status, json.loads(body)["code"]) == (400, -1121)
            assert json.loads((await gateway.get(f"{base}/exchangeInfo"))[1])["symbols"] == []
        listed = json.loads((await gateway.get(f"{dialect.rest}/exchangeInfo"))[1])
        whole = json.loads((await asked(exchange, gateway, f"{dialect.rest}/exchangeInfo"))[1])
        assert listed["symbols"] == [entry for entry in whole["symbols"] if entry["symbol"] == symbol]
        assert listed["rateLimits"] == whole["rateLimits"]


async def test_spot_is_asked_for_lists_of_symbols_and_for_bars_of_utc_alone(tmp_path: Path) -> None:
    async with served(tmp_path, SPOT, "BTCUSDT") as (_, gateway):
        tickers = "/api/v3/ticker/price?symbols="
        status, body, _ = await gateway.get(f'{tickers}["BTCUSDT"]')
        assert (status, [one["symbol"] for one in json.loads(body)]) == (200, ["BTCUSDT"])
        for path, code in (
            (f'{tickers}["BTCUSDT","NONE"]', -1121), (f"{tickers}BTCUSDT", -1100), (f"{tickers}[]", -1100),
            (f'{tickers}["BTCUSDT"]&symbol=BTCUSDT', -1128), (f"{tickers}[1]", -1100),
            ("/api/v3/exchangeInfo?symbol=NONE", -1121),
            ("/api/v3/klines?symbol=BTCUSDT&interval=1d&limit=1&timeZone=8", -1130),
        ):  # fmt: skip
            status, body, _ = await gateway.get(path)
            assert (status, json.loads(body)["code"]) == (400, code), path
        status, body, _ = await gateway.get('/api/v3/exchangeInfo?symbols=["BTCUSDT"]')
        assert (status, [one["symbol"] for one in json.loads(body)["symbols"]]) == (200, ["BTCUSDT"])
        path = "/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=1&timeZone=0"
        assert (await gateway.get(path))[0] == 200


@pytest.mark.parametrize(("dialect", "symbol"), MARKETS)
async def test_tickers_add_up_the_last_day(tmp_path: Path, dialect: Dialect, symbol: str) -> None:
    async with served(tmp_path, dialect, symbol) as (_, gateway):
        rows = []
        for part in range(2):
            start = NOON - DAY_MS + part * DAY_MS // 2
            path = f"{dialect.rest}/klines?symbol={symbol}&interval=1m&startTime={start}&limit=1000"
            path += f"&endTime={start + DAY_MS // 2 - 1}"
            rows += json.loads((await gateway.get(path))[1])
        rows += json.loads(
            (await gateway.get(f"{dialect.rest}/klines?symbol={symbol}&interval=1m&limit=1"))[1]
        )
        assert len(rows) == 1_441
        answer = json.loads((await gateway.get(f"{dialect.rest}/ticker/24hr?symbol={symbol}"))[1])
        found = answer[0] if dialect is COINM else answer
        quote = "baseVolume" if dialect is COINM else "quoteVolume"
        assert Decimal(found["volume"]) == sum(Decimal(row[5]) for row in rows)
        assert Decimal(found[quote]) == sum(Decimal(row[7]) for row in rows)
        assert found["count"] == sum(row[8] for row in rows)
        assert found["symbol"] == symbol
        low, high = (Decimal(found[name]) for name in ("lowPrice", "highPrice"))
        assert low <= Decimal(found["weightedAvgPrice"]) <= high
        answer = json.loads((await gateway.get(f"{dialect.rest}/ticker/price"))[1])
        assert [(one["symbol"], one["price"]) for one in answer] == [(symbol, rows[-1][4])]


@pytest.mark.parametrize(("dialect", "symbol"), MARKETS)
async def test_frames_say_what_the_rows_say(tmp_path: Path, dialect: Dialect, symbol: str) -> None:
    async with served(tmp_path, dialect, symbol) as (exchange, gateway):
        name = f"{symbol.lower()}@kline_1m"
        async with gateway.session.ws_connect(
            f"{gateway.url}/{dialect.name}/stream?streams={name}"
        ) as socket:
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            assert json.loads(await socket.receive_str())["result"] == [name]
            gateway.commit(exchange.market, f"{dialect.name}:{symbol}", NOON, NOON + MINUTE_MS)
            async with asyncio.timeout(20):
                while (
                    not (event := json.loads(await socket.receive_str()))
                    .get("data", {})
                    .get("k", {})
                    .get("x")
                ):
                    pass
        assert event["stream"] == name
        bar = event["data"]["k"]
        gateway.feeder.clock = SimulatedClock(NOON + MINUTE_MS + 30_000, 1e-6)
        path = f"{dialect.rest}/klines?symbol={symbol}&interval=1m&startTime={NOON}&endTime={NOON + 59_999}"
        row = json.loads((await gateway.get(path))[1])[0]
        assert [bar[key] for key in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")] == row
        assert (bar["s"], event["data"]["s"]) == (symbol, symbol)


async def test_minutes_the_exchange_has_not_are_no_holes(tmp_path: Path) -> None:
    async with served(tmp_path, SPOT, "BTCUSDT") as (_, gateway):
        name, begin = "spot:BTCUSDT", NOON + 2 * MINUTE_MS
        gateway.feeder.clock = SimulatedClock(NOON + 10 * MINUTE_MS + 30_000, 1e-6)
        market = synthetic_market(["BTCUSDT", "ETHUSDT"], as_of_ms=NOON)
        gateway.commit(market, name, NOON, begin)
        gateway.commit(market, name, begin + 3 * MINUTE_MS, NOON + 10 * MINUTE_MS)
        path = f"/api/v3/klines?symbol=BTCUSDT&startTime={NOON}&endTime={NOON + 10 * MINUTE_MS - 1}"
        status, body, headers = await gateway.get(f"{path}&interval=1m")
        assert (status, json.loads(body)["code"]) == (503, -1008)
        assert "Retry-After" in headers
        gateway.store.set_omitted(name, span(begin, begin + 3 * MINUTE_MS)).result(30)
        status, body, _ = await gateway.get(f"{path}&interval=1m")
        rows = json.loads(body)
        assert [row[0] for row in rows] == [NOON + n * MINUTE_MS for n in (0, 1, 5, 6, 7, 8, 9)]
        status, body, _ = await gateway.get(f"{path}&interval=5m")
        assert status == 200
        bars = json.loads(body)
        assert [bar[0] for bar in bars] == [NOON, NOON + 5 * MINUTE_MS]
        assert Decimal(bars[0][5]) == sum(Decimal(row[5]) for row in rows[:2])


async def test_a_name_with_a_market_before_it_is_none_of_an_exchanges(tmp_path: Path) -> None:
    """What parts markets in the store is no name that a client may use, under any path."""
    async with served(tmp_path, SPOT, "BTCUSDT") as (_, gateway):
        for base in ("/fapi/v1", "/api/v3", "/dapi/v1"):
            for call in (
                "klines?interval=1h&symbol=spot:BTCUSDT", "ticker/price?symbol=spot:BTCUSDT",
                "ticker/24hr?symbol=spot:BTCUSDT", "klines?interval=1h&symbol=:BTCUSDT",
                "klines?interval=1h&symbol=spot%3ABTCUSDT", f"klines?interval=1h&symbol={'A' * 6_000}",
            ):  # fmt: skip
                status, body, _ = await gateway.get(f"{base}/{call}")
                assert (status, json.loads(body)["code"]) == (400, -1121), (base, call)
        for path in (
            '/api/v3/ticker/price?symbols=["spot:BTCUSDT"]',
            "/fapi/v1/continuousKlines?interval=1h&contractType=PERPETUAL&pair=spot:BTCUSDT",
        ):
            status, body, _ = await gateway.get(path)
            assert (status, json.loads(body)["code"]) == (400, -1121), path


async def test_tickers_of_coinm_are_those_of_a_pair_where_one_is_named(tmp_path: Path) -> None:
    market = ListedElsewhere(synthetic_market(["BTCUSDT", "ETHUSDT"], as_of_ms=NOON), COINM)
    spans = {name: (START, NOON) for name in ("BTCUSD_PERP", "ETHUSD_PERP")}
    async with (
        Exchange(market, SimulatedClock(NOW, 1e-6), dialect=COINM) as exchange,
        gateway_of(exchange, tmp_path, spans) as gateway,
    ):
        for call in ("price", "24hr"):
            path = f"/dapi/v1/ticker/{call}"
            names = [one["symbol"] for one in json.loads((await gateway.get(path))[1])]
            assert names == ["BTCUSD_PERP", "ETHUSD_PERP"]
            names = [one["symbol"] for one in json.loads((await gateway.get(f"{path}?pair=ETHUSD"))[1])]
            assert names == ["ETHUSD_PERP"]
            for query, code in (("pair=NONE", -1121), ("pair=ETHUSD&symbol=ETHUSD_PERP", -1128)):
                status, body, _ = await gateway.get(f"{path}?{query}")
                assert (status, json.loads(body)["code"]) == (400, code)


async def test_a_list_of_tickers_says_when_to_ask_again_while_history_is_read(tmp_path: Path) -> None:
    market = ListedElsewhere(synthetic_market(["BTCUSDT"], as_of_ms=NOON), COINM)
    async with (
        Exchange(market, SimulatedClock(NOW, 1e-6), dialect=COINM) as exchange,
        gateway_of(exchange, tmp_path, {"BTCUSD_PERP": (START, NOON - 3_600_000)}) as gateway,
    ):
        gateway.feeder.candles.clear()
        symbol = "coinm:BTCUSD_PERP"
        gateway.feeder.symbols[symbol] = replace(gateway.feeder.symbols[symbol], live=False)
        for call in ("price", "24hr"):
            for query in ("", "?pair=BTCUSD", "?symbol=BTCUSD_PERP"):
                status, body, headers = await gateway.get(f"/dapi/v1/ticker/{call}{query}")
                assert (status, "Retry-After" in headers) == (503, True), (query, body)
            status, body, _ = await gateway.get(f"/dapi/v1/ticker/{call}?pair=ETHUSD")
            assert (status, json.loads(body)["code"]) == (400, -1121)


async def test_spots_short_form_of_a_day_leaves_out_what_is_computed(tmp_path: Path) -> None:
    async with served(tmp_path, SPOT, "BTCUSDT") as (_, gateway):
        path = "/api/v3/ticker/24hr?symbol=BTCUSDT"
        whole, short = [json.loads((await gateway.get(path + form))[1]) for form in ("", "&type=MINI")]
        assert list(short) == [
            "symbol", "lastPrice", "openPrice", "highPrice", "lowPrice", "volume", "quoteVolume", "openTime",
            "closeTime", "firstId", "lastId", "count",
        ]  # fmt: skip
        assert short.items() <= whole.items()
        assert json.loads((await gateway.get(path + "&type=FULL"))[1]) == whole
        status, body, _ = await gateway.get(path + "&type=X")
        assert (status, json.loads(body)["code"]) == (400, -1130)


async def test_a_contract_that_was_delivered_is_answered_up_to_its_end(tmp_path: Path) -> None:
    name, symbol, end = "BTCUSD_PERP", "coinm:BTCUSD_PERP", NOON - 2 * 3_600_000
    market = ListedElsewhere(synthetic_market(["BTCUSDT"], as_of_ms=NOON), COINM)
    async with (
        Exchange(market, SimulatedClock(NOW, 1e-6), dialect=COINM) as exchange,
        gateway_of(exchange, tmp_path, {name: (START, end)}) as gateway,
    ):
        gateway.feeder.candles.clear()
        gateway.feeder.symbols[symbol] = replace(gateway.feeder.symbols[symbol], live=False)
        gateway.store.set_contract(symbol, 100.0, end).result(30)

        async def rows(query: str) -> list[list[Any]]:
            status, body, _ = await gateway.get(f"/dapi/v1/klines?symbol={name}&{query}")
            assert status == 200, (query, body)
            found: list[list[Any]] = json.loads(body)
            return found

        path = f"/dapi/v1/klines?symbol={name}&interval=1h&startTime={START}&endTime={end - 1}"
        hours = json.loads((await asked(exchange, gateway, path))[1])
        assert await rows(f"interval=1h&startTime={START}&endTime={end - 1}") == hours
        assert await rows(f"interval=1h&startTime={START}") == hours
        assert await rows("interval=1h&limit=4") == hours[-1:]  # four hours up to now
        assert await rows("interval=1m&limit=3") == []
        day = (await rows("interval=1d&limit=1"))[0]
        today = [row for row in hours if row[0] >= NOON - NOON % DAY_MS]
        assert (day[1], day[4]) == (today[0][1], today[-1][4])
        assert int(day[5]) == sum(int(row[5]) for row in today)
        for call in ("price", "24hr"):
            status, body, _ = await gateway.get(f"/dapi/v1/ticker/{call}?symbol={name}")
            assert (status, json.loads(body)["code"]) == (400, -1121)
        # Its last minutes are confirmed later than others, as none comes after them.
        gateway.store.mark_unconfirmed(symbol, span(end - MINUTE_MS, end)).result(30)
        path = f"/dapi/v1/klines?symbol={name}&interval=1m&endTime={end - 1}"
        status, body, _ = await gateway.get(path)
        assert (status, b"is being confirmed" in body) == (503, True)


async def test_a_subscription_of_coinm_has_coins_quote_asset_and_contracts(tmp_path: Path) -> None:
    async with served(tmp_path, COINM, "BTCUSD_PERP") as (_, gateway):
        symbol = "coinm:BTCUSD_PERP"
        gateway.store.set_contract(symbol, 100.0).result(30)
        path = f"/api/v1/stream?symbols={symbol}&timeframe=5m&since={NOON - DAY_MS}"
        async with gateway.session.ws_connect(gateway.url + path) as socket:
            found: list[dict[str, Any]] = []
            while len(found) < 288:
                found += (await socket.receive_json())["candles"]
        query = f"interval=5m&startTime={NOON - DAY_MS}&endTime={NOON - 1}&limit=288"
        rows = json.loads((await gateway.get(f"/dapi/v1/klines?symbol=BTCUSD_PERP&{query}"))[1])
        for candle, row in zip(found, rows, strict=True):
            assert (candle["open_time"], candle["market"]) == (row[0], "coinm")
            assert (candle["contracts"], candle["trades"]) == (int(row[5]), row[8])
            assert candle["quote_volume"] == int(row[5]) * 100
            assert candle["volume"] == pytest.approx(float(row[7]), rel=1e-12)
        followed = follow_sync([symbol], "5m", since=NOON - DAY_MS, url=gateway.url)
        taken = await asyncio.to_thread(lambda: list(itertools.islice(followed, 288)))
        for one, candle in zip(taken, found, strict=True):
            assert (one.volume, one.quote_volume, one.contracts) == (
                candle["volume"], candle["quote_volume"], candle["contracts"],
            )  # fmt: skip
