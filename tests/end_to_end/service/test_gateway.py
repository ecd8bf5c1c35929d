"""The gateway as a process beside a live engine: rows, streams, holes, forwarding, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.feed import NOON, configured, until
from tests.support.gateway_process import RunningGateway, attached, running_gateway
from tests.support.serving import Served, serving
from tui_feeder.configuration.sections import Gateway
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.service.gateway.child import GatewayChild
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

BTC, QUIET = "BTCUSDT", "币安人生USDT"


@contextlib.asynccontextmanager
async def everything(
    path: Path, rate: float, config: str = "", start: int = NOON - 40_000
) -> AsyncIterator[tuple[Exchange, Served, RunningGateway]]:
    market = synthetic_market([BTC, QUIET, "ETHUSDT"], as_of_ms=NOON)
    exchange = Exchange(market, clock_for(market, start_ms=start, rate=rate))
    async with (
        exchange,
        serving(configured(exchange, [BTC, QUIET]), path) as feeder,
        attached(feeder.engine) as socket,
    ):
        await feeder.until_ready(True)
        async with running_gateway(socket, config) as gateway:
            yield exchange, feeder, gateway


async def rows(gateway: RunningGateway, base: str, path: str) -> tuple[list[Any], list[Any]]:
    """What the gateway and the exchange answer."""
    status, body, _ = await gateway.get(path)
    assert status == 200, body
    async with gateway.session.get(base + path) as answer:
        return json.loads(body), await answer.json()


async def test_rows_and_streams_of_a_live_feeder_are_the_exchanges(tmp_path: Path) -> None:
    async with everything(tmp_path, 20.0) as (exchange, _, gateway):
        names = f"btcusdt@kline_1m/{QUIET.lower()}@kline_1m/btcusdt@kline_3m"
        closed: dict[str, list[dict[str, Any]]] = {}
        forming = 0
        async with gateway.session.ws_connect(f"{gateway.url}/market/stream?streams={names}") as socket:
            async with asyncio.timeout(60):
                async for message in socket:
                    event = json.loads(message.data)
                    if event["data"]["k"]["x"]:
                        closed.setdefault(event["stream"], []).append(event["data"]["k"])
                    else:
                        forming += 1
                    if len(closed.get("btcusdt@kline_3m", ())) == 3:
                        break
        assert forming > 10
        for name, bars in closed.items():
            times = [bar["t"] for bar in bars]
            step = 3 * MINUTE_MS if "3m" in name else MINUTE_MS
            assert times == list(range(times[0], times[-1] + step, step)), name
        await asyncio.sleep(3 * 60 / 20)  # until what was closed is settled at the exchange too
        for symbol, interval in ((BTC, "1m"), (QUIET, "1m"), (BTC, "3m"), (BTC, "1h")):
            path = f"/fapi/v1/klines?symbol={symbol}&interval={interval}&limit=60"
            got, wanted = await rows(gateway, exchange.rest_url, path)
            settled = exchange.clock.now() - 2 * MINUTE_MS
            by_time = {row[0]: row for row in wanted if row[6] < settled}
            same = [row for row in got if row[0] in by_time]
            assert len(same) >= 50
            assert same == [by_time[row[0]] for row in same]
            for bar in closed.get(f"{symbol.lower()}@kline_{interval}", ()):
                if bar["t"] in by_time:
                    shown = [bar[key] for key in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")]
                    assert shown == by_time[bar["t"]]


async def test_a_gap_is_named_while_it_is_open_and_right_afterwards(tmp_path: Path) -> None:
    async with everything(tmp_path, 20.0) as (exchange, feeder, gateway):
        path = f"/fapi/v1/klines?symbol={BTC}&interval=1m&limit=30"
        await gateway.until(path)  # the newest minute is being confirmed after a start
        exchange.faults.switch_on("silence")
        exchange.faults.switch_on("rest-5xx")
        refused: list[tuple[dict[str, Any], str]] = []

        async def poll() -> None:
            while True:
                status, body, headers = await gateway.get(path)
                if status == 503:
                    refused.append((json.loads(body), headers["Retry-After"]))
                else:
                    got = [row[0] for row in json.loads(body)]
                    assert got == list(range(got[0], got[-1] + 1, MINUTE_MS))
                await asyncio.sleep(0.2)

        polling = asyncio.create_task(poll())
        await until(lambda: len(refused) >= 3 or polling.done(), 60)
        assert not polling.done(), polling.exception()
        for body, wait in refused:
            assert body["code"] == -1008
            assert "being recovered" in body["msg"] or "nothing is known" in body["msg"], body
            assert int(wait) >= 1
        exchange.calm()
        await feeder.until_ready(True)

        await gateway.until(path)
        polling.cancel()
        got, wanted = await rows(gateway, exchange.rest_url, path)
        settled = exchange.clock.now() - 2 * MINUTE_MS
        by_time = {row[0]: row for row in wanted if row[6] < settled}
        assert [row for row in got if row[0] in by_time] == [
            by_time[row[0]] for row in got if row[0] in by_time
        ]


async def test_requests_are_forwarded_within_the_weight_and_refused_before_the_exchange(
    tmp_path: Path,
) -> None:
    async with everything(tmp_path, 1.0, "forward_cache_ms = 60000", NOON) as (exchange, feeder, gateway):
        path = f"/fapi/v1/depth?symbol={BTC}&limit=5"
        before = exchange.requests["depth"]
        answers = await asyncio.gather(*(gateway.get(path) for _ in range(20)))
        assert {status for status, _, _ in answers} == {200}
        assert len({body for _, body, _ in answers}) == 1
        assert exchange.requests["depth"] == before + 1
        assert len(json.loads(answers[0][1])["bids"]) == 5
        assert (await gateway.get(f"/fapi/v1/premiumIndex?symbol={BTC}"))[0] == 200
        assert (await gateway.get("/fapi/v1/fundingRate?symbol=NOPE"))[:2] == (
            400, b'{"code":-1121,"msg":"Invalid symbol."}',
        )  # fmt: skip
        for bad in (f"{path}&limit=10", f"{path}&color=1", f"/fapi/v1/depth?symbol={'A' * 99}"):
            status, body, _ = await gateway.get(bad)
            assert (status, json.loads(body)["code"]) == (400, -1104)
        status, body, _ = await gateway.get(f"/fapi/v1/trades?symbol={BTC}")
        assert (status, "trades is not forwarded" in json.loads(body)["msg"]) == (404, True)

        refused: tuple[int, bytes, dict[str, str]] | None = None
        for n in range(1_000):  # each is another request
            answer = await gateway.get(f"/fapi/v1/aggTrades?symbol={BTC}&fromId={n}")
            if answer[0] == 429:
                refused = answer
                break
        assert refused is not None
        assert json.loads(refused[1])["code"] == -1003
        assert 1 <= int(refused[2]["Retry-After"]) <= 60
        spent = feeder.engine.engine.exchange.status()
        assert spent.weight_used <= spent.weight_limit * 0.8
        assert exchange.requests["429"] == exchange.requests["418"] == 0
        assert (await gateway.get(f"/fapi/v1/klines?symbol={BTC}&interval=1m&limit=5"))[0] == 200
        monitor = feeder.engine.monitor
        await until(lambda: (f := monitor.snapshot().gateway) is not None and f.forwarded_weight > 1_000)
        figures = monitor.snapshot().gateway
        assert figures is not None
        assert figures.requests > 50


async def test_a_symbol_is_brought_to_live_when_it_is_asked_for(tmp_path: Path) -> None:
    async with everything(tmp_path, 20.0, 'unfollowed = "follow"', NOON) as (exchange, feeder, gateway):
        path = "/fapi/v1/klines?symbol=ETHUSDT&interval=1h&limit=24"
        status, body, headers = await gateway.get(path)
        assert (status, json.loads(body)["code"], "Retry-After" in headers) == (503, -1008, True)
        await gateway.until(path)
        got, wanted = await rows(gateway, exchange.rest_url, path)
        assert [row for row in got[:-1] if row in wanted] == got[:-1]
        assert "ETHUSDT" in feeder.engine.engine.tracked


async def test_a_feeder_that_is_gone_is_said_and_found_again(tmp_path: Path) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    exchange = Exchange(market, clock_for(market, start_ms=NOON, rate=1.0))
    path = f"/fapi/v1/klines?symbol={BTC}&interval=1m&limit=30"
    async with exchange, contextlib.AsyncExitStack() as stack:
        async with (
            serving(configured(exchange, [BTC]), tmp_path) as feeder,
            attached(feeder.engine) as socket,
        ):
            await feeder.until_ready(True)
            gateway = await stack.enter_async_context(running_gateway(socket))
            assert (await gateway.get(path))[0] == 200
        _, headers = await gateway.until(path, 503)
        assert "Retry-After" in headers
        async with serving(configured(exchange, [BTC]), tmp_path) as feeder, attached(feeder.engine, socket):
            await gateway.until(path)


async def test_a_feeder_keeps_its_gateway_running_and_ends_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    market = synthetic_market([BTC], as_of_ms=NOON)
    exchange = Exchange(market, clock_for(market, start_ms=NOON, rate=1.0))
    async with (
        exchange,
        serving(configured(exchange, [BTC]), tmp_path) as feeder,
        attached(feeder.engine) as socket,
    ):
        await feeder.until_ready(True)
        child = GatewayChild(Gateway(enabled=True, port=0), socket)
        try:
            monitor = feeder.engine.monitor
            await until(lambda: monitor.snapshot().gateway is not None, 60)
            first = child.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await until(lambda: caplog.text.count("any Binance client reads") == 2, 60)
            assert child.pid not in (None, first)
        finally:
            await asyncio.to_thread(child.close)
        assert child.pid is None
        assert "Fatal Python error" not in caplog.text
