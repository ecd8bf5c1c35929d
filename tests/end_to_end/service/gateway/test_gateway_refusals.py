"""Wrong requests get the exchange's own codes and words; what is private or not ours gets nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from tests.support.feed import NOON
from tests.support.gateways import gateway_of
from tui_feeder.configuration.sections import Gateway
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.service.gateway.feeder import FollowedSymbol
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

BTC = "BTCUSDT"
NOW = NOON + 30_000


def exchange_at() -> Exchange:
    return Exchange(synthetic_market([BTC, "ETHUSDT"], as_of_ms=NOON), SimulatedClock(NOW, 1e-6))


KLINES = "/fapi/v1/klines"
#: Requests that the exchange refuses, with its code; the simulator is asked the same.
WRONG = [
    (KLINES, -1102),
    (f"{KLINES}?symbol=", -1102),
    (f"{KLINES}?symbol={BTC}", -1102),
    (f"{KLINES}?interval=1m", -1102),
    (f"{KLINES}?symbol={BTC}&interval=", -1102),
    (f"{KLINES}?symbol={BTC}&interval=7m", -1120),
    (f"{KLINES}?symbol={BTC}&interval=1s", -1120),
    (f"{KLINES}?symbol={BTC}&interval=1H", -1120),
    (f"{KLINES}?symbol={BTC}&interval=60", -1120),
    (f"{KLINES}?symbol=NOPEUSDT&interval=1m", -1121),
    (f"{KLINES}?symbol=btcusdt&interval=1m", -1121),
    (f"{KLINES}?symbol=BTC-USDT&interval=1m", -1121),
    (f"{KLINES}?symbol=BTC%2FUSDT&interval=1m", -1121),
    (f"{KLINES}?symbol=..%2F..&interval=1m", -1121),
    (f"{KLINES}?symbol={BTC}%00&interval=1m", -1121),
    (f"{KLINES}?symbol=NOPEUSDT&interval=7m", -1120),
    (f"{KLINES}?symbol={BTC}&interval=1m&limit=0", -1130),
    (f"{KLINES}?symbol={BTC}&interval=1m&limit=1501", -1130),
    (f"{KLINES}?symbol={BTC}&interval=1m&limit=1000000000", -1130),
    (f"{KLINES}?symbol={BTC}&interval=1m&limit=-1", -1102),
    (f"{KLINES}?symbol={BTC}&interval=1m&limit=abc", -1102),
    (f"{KLINES}?symbol={BTC}&interval=1m&limit=1e3", -1102),
    (f"{KLINES}?symbol={BTC}&interval=1m&limit=", -1102),
    (f"{KLINES}?symbol={BTC}&interval=1m&limit=%D9%A3", -1102),
    (f"{KLINES}?symbol={BTC}&interval=1m&limit=99999999999999999999", -1102),
    (f"{KLINES}?symbol={BTC}&interval=1m&startTime=yesterday", -1102),
    (f"{KLINES}?symbol={BTC}&interval=1m&startTime=2026-03-09", -1102),
    (f"{KLINES}?symbol={BTC}&interval=1m&startTime=1773144000000.0", -1102),
    (f"{KLINES}?symbol={BTC}&interval=1m&startTime=-5", -1102),
    (f"{KLINES}?symbol={BTC}&interval=1m&endTime=None", -1102),
    (f"{KLINES}?symbol={BTC}&interval=1m&startTime={NOON}&endTime={NOON - 1}", -1023),
    ("/fapi/v1/nothing", -5000),
    ("/fapi/v2/klines", -5000),
]


async def test_wrong_requests_are_answered_as_the_exchange_answers_them(tmp_path: Path) -> None:
    async with (
        exchange_at() as exchange,
        gateway_of(exchange, tmp_path, {BTC: (NOON - DAY_MS, NOON)}) as gateway,
    ):
        for path, code in WRONG:
            status, body, headers = await gateway.get(path)
            async with gateway.session.get(exchange.rest_url + path) as answer:
                assert (status, body) == (answer.status, await answer.read()), path
                assert headers["Content-Type"] == answer.headers["Content-Type"]
            assert json.loads(body)["code"] == code, path
        assert (await gateway.get("/fapi/v1/ping"))[1] == b"{}"
        assert json.loads((await gateway.get("/fapi/v1/time"))[1]) == {"serverTime": exchange.clock.now()}


async def test_continuous_klines_are_those_of_the_pairs_contract(tmp_path: Path) -> None:
    async with (
        exchange_at() as exchange,
        gateway_of(exchange, tmp_path, {BTC: (NOON - DAY_MS, NOON)}) as gateway,
    ):
        path = "/fapi/v1/continuousKlines?interval=5m&limit=50"
        wanted = (await gateway.get(f"{KLINES}?symbol={BTC}&interval=5m&limit=50"))[1]
        assert (await gateway.get(f"{path}&pair={BTC}&contractType=PERPETUAL"))[1] == wanted
        for query, code in (
            (f"pair={BTC}", -1102), ("contractType=PERPETUAL", -1102),
            (f"pair={BTC}&contractType=SPOT", -1102),
            ("pair=NOPE&contractType=PERPETUAL", -1121), (f"pair={BTC}&contractType=CURRENT_QUARTER", -1121),
        ):  # fmt: skip
            status, body, _ = await gateway.get(f"{path}&{query}")
            assert (status, json.loads(body)["code"]) == (400, code), query


async def test_what_is_private_is_refused_and_no_key_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        exchange_at() as exchange,
        gateway_of(exchange, tmp_path, {BTC: (NOON - DAY_MS, NOON)}) as gateway,
    ):
        before = dict(exchange.requests)
        good = f"{KLINES}?symbol={BTC}&interval=1m&limit=1"
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            for path in (good, "/fapi/v1/order", "/fapi/v1/listenKey", "/"):
                status, body, _ = await gateway.get(path, method)
                assert (status, json.loads(body)["code"]) == (403, -1002), (method, path)
                assert "keys, signed requests and orders do not pass" in json.loads(body)["msg"]
        secret = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
        for path, headers in (
            (good, {"X-MBX-APIKEY": secret}),
            (f"{good}&signature={secret}&timestamp=1", {}),
            (f"/fapi/v2/account?timestamp=1&signature={secret}", {}),
            (f"/fapi/v1/allOrders?symbol={BTC}", {"x-mbx-apikey": secret}),
            (f"/ws?listenKey={secret}", {}),
        ):
            status, body, _ = await gateway.get(path, **headers)
            assert (status, json.loads(body)["code"]) == (403, -1002), path
            assert secret.encode() not in body
        for path in ("/fapi/v1/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//other.host/fapi/v1/klines"):
            assert (await gateway.get(path))[0] == 404
        for host in ("fapi.binance.com", "evil.example", "evil.example:8090", "127.0.0.1.evil.example"):
            status, body, _ = await gateway.get(good, Host=host)
            assert (status, json.loads(body)["code"]) == (403, -1002), host
        assert (await gateway.get(good, Host="localhost:8090"))[0] == 200
        assert dict(exchange.requests) == before, "something was forwarded"
        assert secret not in caplog.text
        assert gateway.figures.refused.keys() == {"method", "key", "host"}


async def test_a_symbol_that_is_not_followed_is_refused_or_brought_to_live(tmp_path: Path) -> None:
    path = f"{KLINES}?symbol=ETHUSDT&interval=1m&limit=3"
    spans = {BTC: (NOON - DAY_MS, NOON)}
    async with exchange_at() as exchange, gateway_of(exchange, tmp_path / "a", spans) as gateway:
        status, body, _ = await gateway.get(path)
        assert (status, json.loads(body)["code"]) == (400, -1121)
        assert "ETHUSDT is not followed by this feeder" in json.loads(body)["msg"]
        assert gateway.feeder.wanted == []
    settings = Gateway(unfollowed="follow")
    async with exchange_at() as exchange, gateway_of(exchange, tmp_path / "b", spans, settings) as gateway:
        status, body, headers = await gateway.get(path)
        assert (status, json.loads(body)["code"], headers["Retry-After"]) == (503, -1008, "15")
        assert gateway.feeder.wanted == ["ETHUSDT"]
        assert (await gateway.get(f"{KLINES}?symbol=NOPEUSDT&interval=1m"))[0] == 400
        assert gateway.feeder.wanted == ["ETHUSDT"]


async def test_a_client_that_asks_too_much_is_refused_for_the_rest_of_the_minute(tmp_path: Path) -> None:
    settings = Gateway(client_requests_per_minute=20)
    spans = {BTC: (NOON - DAY_MS, NOON)}
    async with exchange_at() as exchange, gateway_of(exchange, tmp_path, spans, settings) as gateway:
        answers = [await gateway.get("/fapi/v1/ping") for _ in range(42)]  # some may be of the next minute
        statuses = [status for status, _, _ in answers]
        assert statuses[:20] == [200] * 20 or 429 not in statuses[:20]
        refused = next(answer for answer in answers if answer[0] == 429)
        assert json.loads(refused[1])["code"] == -1003
        assert 1 <= int(refused[2]["Retry-After"]) <= 60


async def test_answers_say_the_weight_and_are_packed_where_that_is_wanted(tmp_path: Path) -> None:
    async with (
        exchange_at() as exchange,
        gateway_of(exchange, tmp_path, {BTC: (NOON - DAY_MS, NOON)}) as gateway,
    ):
        path = f"{KLINES}?symbol={BTC}&interval=1m&limit=500"
        _, plain, headers = await gateway.get(path, **{"Accept-Encoding": "identity"})
        assert (headers["X-MBX-USED-WEIGHT-1M"], "Content-Encoding" in headers) == ("5", False)
        _, unpacked, headers = await gateway.get(path, **{"Accept-Encoding": "gzip, deflate"})
        assert headers["Content-Encoding"] == "gzip"
        assert int(headers["Content-Length"]) < len(plain) / 2
        assert unpacked == plain
        _, _, headers = await gateway.get("/fapi/v1/time", **{"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in headers


async def test_exchange_information_and_tickers_are_of_the_followed_symbols(tmp_path: Path) -> None:
    spans = {BTC: (NOON - 2 * DAY_MS, NOON)}
    async with exchange_at() as exchange, gateway_of(exchange, tmp_path, spans) as gateway:
        info = json.loads((await gateway.get("/fapi/v1/exchangeInfo"))[1])
        async with gateway.session.get(exchange.rest_url + "/fapi/v1/exchangeInfo") as answer:
            wanted = await answer.json()
        wanted["symbols"] = [entry for entry in wanted["symbols"] if entry["symbol"] == BTC]
        assert info == wanted

        candle = gateway.feeder.candles[BTC]
        price = json.loads((await gateway.get(f"/fapi/v1/ticker/price?symbol={BTC}"))[1])
        assert price == {"symbol": BTC, "price": f"{candle.close:.2f}", "time": exchange.clock.now()}
        assert json.loads((await gateway.get("/fapi/v1/ticker/price"))[1]) == [price]
        assert (await gateway.get("/fapi/v1/ticker/price?symbol="))[0] == 400
        day = json.loads((await gateway.get(f"/fapi/v1/ticker/24hr?symbol={BTC}"))[1])
        minutes = gateway.store.read(BTC, NOON - DAY_MS, NOON)
        first, last = float(minutes["open"][0]), candle.close
        assert (day["openTime"], day["closeTime"]) == (NOON - DAY_MS, NOW)
        assert (float(day["openPrice"]), float(day["lastPrice"])) == (first, last)
        assert float(day["priceChange"]) == pytest.approx(last - first, abs=0.005)
        assert float(day["priceChangePercent"]) == pytest.approx((last / first - 1) * 100, abs=0.0006)
        assert float(day["highPrice"]) == max(minutes["high"].max(), candle.high)
        assert float(day["lowPrice"]) == min(minutes["low"].min(), candle.low)
        volume, quote = (
            minutes["volume"].sum() + candle.volume,
            minutes["quote_volume"].sum() + candle.quote_volume,
        )
        assert float(day["volume"]) == pytest.approx(volume)
        assert float(day["weightedAvgPrice"]) == pytest.approx(quote / volume, abs=0.006)
        assert day["count"] == minutes["trades"].sum() + candle.trades

        gateway.feeder.symbols[BTC] = FollowedSymbol(BTC, False, NOON - 2 * DAY_MS, "no frame for a minute")
        gateway.feeder.candles.clear()
        status, body, _ = await gateway.get(f"/fapi/v1/ticker/price?symbol={BTC}")
        assert (status, "no frame for a minute" in json.loads(body)["msg"]) == (503, True)


async def test_two_thousand_connections_leave_the_others_served(tmp_path: Path) -> None:
    settings = Gateway(max_connections=64)
    spans = {BTC: (NOON - DAY_MS, NOON)}
    async with exchange_at() as exchange, gateway_of(exchange, tmp_path, spans, settings) as gateway:
        port = int(gateway.url.rpartition(":")[2])
        assert (await gateway.get("/fapi/v1/ping"))[0] == 200
        writers = []
        for _ in range(20):
            made = await asyncio.gather(
                *(asyncio.open_connection("127.0.0.1", port) for _ in range(100)), return_exceptions=True
            )
            writers += [pair[1] for pair in made if not isinstance(pair, BaseException)]
            assert (await gateway.get("/fapi/v1/ping"))[0] == 200
        for writer in writers:
            writer.close()
