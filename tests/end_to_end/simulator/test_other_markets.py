"""The embedded exchange as spot and as COIN-M futures: what the specification says differs from USD-M."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from feed import NOON
from history_parts import HandClock
from markets import exchanges, invented
from websockets.asyncio.client import connect

from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.dialect import COINM, SPOT, USDM
from tui_feeder.simulator.digits import rest_rows
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import DAY, MINUTE, VOLUME, Minutes

Rows = list[list[Any]]


@pytest.fixture
async def running() -> AsyncIterator[dict[str, Exchange]]:
    markets = {
        "usdm": invented(USDM, ["BTCUSDT"]),
        "spot": invented(SPOT, ["BTCUSDT", "币安人生USDT"]),
        "coinm": invented(COINM, ["BTCUSD_PERP", "ETHUSD_PERP"]),
    }
    async with exchanges(HandClock(NOON + 30_000), markets) as found:
        yield found


async def get(exchange: Exchange, path: str, **query: str | int) -> tuple[int, Any, int]:
    """Status, body, and the weight used in this minute."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(exchange.rest_url + path, params=query) as answer,
    ):
        return answer.status, await answer.json(), int(answer.headers["X-MBX-USED-WEIGHT-1M"])


async def test_spot_has_its_own_paths_weights_and_statuses(running: dict[str, Exchange]) -> None:
    spot = running["spot"]
    status, info, used = await get(spot, "/api/v3/exchangeInfo")
    assert (status, used) == (200, 20)
    assert {entry["symbol"]: entry["status"] for entry in info["symbols"]} == {
        "BTCUSDT": "TRADING", "币安人生USDT": "TRADING", "SRMUSDT": "BREAK",
    }  # fmt: skip
    assert "contractType" not in info["symbols"][0]
    assert next(r["limit"] for r in info["rateLimits"] if r["rateLimitType"] == "REQUEST_WEIGHT") == 6_000
    for limit, total in ((1, 22), (1_000, 24)):
        status, rows, used = await get(spot, "/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=limit)
        assert (status, len(rows), used) == (200, limit, total)
    assert (await get(spot, "/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=1_001))[0] == 400
    assert (await get(spot, "/api/v3/depth", symbol="BTCUSDT"))[0] == 404


async def test_usdm_and_coinm_count_weight_together_and_spot_alone(running: dict[str, Exchange]) -> None:
    query = {"symbol": "BTCUSDT", "interval": "1m", "limit": 1_500}
    assert (await get(running["usdm"], "/fapi/v1/klines", **query))[2] == 10
    query["symbol"] = "BTCUSD_PERP"
    assert (await get(running["coinm"], "/dapi/v1/klines", **query))[2] == 20
    assert (await get(running["spot"], "/api/v3/time"))[2] == 1


async def test_coinm_answers_the_newest_rows_of_a_window(running: dict[str, Exchange]) -> None:
    coinm, noon = running["coinm"], NOON
    query = {"symbol": "BTCUSD_PERP", "interval": "1m", "limit": 10}
    _, rows, _ = await get(
        coinm, "/dapi/v1/klines", **query, startTime=noon - 60 * MINUTE, endTime=noon - 30 * MINUTE - 1
    )
    assert [row[0] for row in rows] == [noon - minutes * MINUTE for minutes in range(40, 30, -1)]
    _, rows, _ = await get(coinm, "/dapi/v1/klines", **query, startTime=noon - 60 * MINUTE)
    assert rows[-1][0] == noon
    too_long = {"startTime": noon - 201 * DAY, "endTime": noon}
    assert (await get(coinm, "/dapi/v1/klines", **query, **too_long))[0] == 400
    # Spot begins with the first one, as USD-M does.
    query["symbol"] = "BTCUSDT"
    _, rows, _ = await get(running["spot"], "/api/v3/klines", **query, startTime=noon - 60 * MINUTE)
    assert rows[0][0] == noon - 60 * MINUTE


async def test_coinm_counts_contracts_and_base_coins(running: dict[str, Exchange]) -> None:
    coinm = running["coinm"]
    _, info, _ = await get(coinm, "/dapi/v1/exchangeInfo")
    entries = {entry["symbol"]: entry for entry in info["symbols"]}
    assert {name: entry["contractSize"] for name, entry in entries.items()} == {
        "BTCUSD_PERP": 100, "ETHUSD_PERP": 10, "BTCUSD_260327": 100, "SRMUSD_PERP": 10,
    }  # fmt: skip
    assert entries["BTCUSD_PERP"]["contractStatus"] == "TRADING"
    assert "status" not in entries["BTCUSD_PERP"]
    for symbol, size in (("BTCUSD_PERP", 100), ("ETHUSD_PERP", 10)):
        query = {"symbol": symbol, "interval": "1m", "limit": 500, "endTime": NOON - 1}
        _, rows, _ = await get(coinm, "/dapi/v1/klines", **query)
        assert len(rows) == 500
        for row in rows:
            assert "." not in row[5]
            assert float(row[2]) * 1.00002 >= int(row[5]) * size / float(row[7]) >= float(row[3]) * 0.99998


async def archive_text(exchange: Exchange, path: str) -> bytes:
    async with aiohttp.ClientSession() as session:
        async with session.get(exchange.archive_url + path) as answer:
            assert answer.status == 200
            body = await answer.read()
        async with session.get(f"{exchange.archive_url}{path}.CHECKSUM") as answer:
            assert (await answer.text()).startswith(hashlib.sha256(body).hexdigest())
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return archive.read(archive.namelist()[0])


async def test_spot_archives_have_microseconds_and_no_header(running: dict[str, Exchange]) -> None:
    day = "2026-03-08"
    text = await archive_text(running["spot"], f"/data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-{day}.zip")
    first = text.splitlines()[0].split(b",")
    assert (len(first[0]), first[0][-3:], first[6][-8:]) == (16, b"000", b"59999999")
    text = await archive_text(
        running["coinm"], f"/data/futures/cm/daily/klines/BTCUSD_PERP/1m/BTCUSD_PERP-1m-{day}.zip"
    )
    assert text.startswith(b"open_time,")
    assert len(text.splitlines()[1].split(b",")[0]) == 13


async def test_minutes_of_an_outage_are_absent_in_spot_for_good(running: dict[str, Exchange]) -> None:
    for name, path, symbol in (("spot", "/api/v3", "BTCUSDT"), ("coinm", "/dapi/v1", "BTCUSD_PERP")):
        exchange = running[name]
        begin = NOON + 5 * MINUTE
        exchange.faults.switch_on("outage", duration=180, begin=begin)
        assert isinstance(exchange.clock, HandClock)
        exchange.clock.moment = NOON + 20 * MINUTE
        _, rows, _ = await get(
            exchange,
            f"{path}/klines",
            symbol=symbol,
            interval="1m",
            startTime=NOON,
            endTime=NOON + 12 * MINUTE - 1,
        )
        gone = [begin + minute * MINUTE for minute in range(3)]
        flat = [row[0] for row in rows if float(row[5]) == 0]
        expected = [NOON + minute * MINUTE for minute in range(12)]
        if name == "spot":
            assert [row[0] for row in rows] == [at for at in expected if at not in gone]
        else:
            assert [row[0] for row in rows] == expected
            assert flat == gone
        exchange.clock.moment = NOON + 30_000


async def test_spot_pushes_minutes_without_a_trade() -> None:
    symbol = "币安人生USDT"
    market = invented(SPOT, [symbol])
    quiet = next(
        at
        for at in range(NOON - 600 * MINUTE, NOON, MINUTE)
        if not market.minutes(symbol, at, at + MINUTE).values[0, 6]
    )
    async with Exchange(market, SimulatedClock(quiet - MINUTE, 60), dialect=SPOT) as exchange:
        name = f"{symbol.lower()}@kline_1m"
        async with connect(f"{exchange.stream_url}/stream?streams={name}") as socket, asyncio.timeout(20):
            while True:
                k = json.loads(await socket.recv())["data"]["k"]
                if k["t"] == quiet and k["x"]:
                    break
    assert (k["f"], k["L"], k["n"], float(k["v"]), float(k["q"])) == (-1, -1, 0, 0, 0)
    assert k["o"] == k["h"] == k["l"] == k["c"]


async def test_spot_cuts_a_client_whose_pongs_do_not_echo_the_ping() -> None:
    quick = replace(SPOT, ping_every=0.1, pong_within=0.5)
    market = invented(SPOT, ["BTCUSDT"])
    async with (
        Exchange(market, SimulatedClock(NOON), dialect=quick) as exchange,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{exchange.stream_url}/stream", autoping=False) as socket,
    ):
        pings = 0
        while (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.PING:
            pings += 1
            if pings % 4 == 0:  # at most five messages a second may come
                await socket.pong(b"something else")
        assert pings > 2
        assert socket.close_code == 1008


async def test_a_shutdown_is_announced_before_connections_end() -> None:
    market = invented(SPOT, ["BTCUSDT"])
    async with Exchange(market, SimulatedClock(NOON, 60), dialect=SPOT) as exchange:
        async with (
            connect(f"{exchange.stream_url}/stream?streams=btcusdt@kline_1m") as socket,
            asyncio.timeout(20),
        ):
            await socket.recv()
            exchange.faults.switch_on("server-shutdown", seconds=60)
            events = [json.loads(message)["data"]["e"] async for message in socket]
        assert events.count("serverShutdown") == 1
        assert events[-1] == "kline"
        assert socket.close_code == 1001


@pytest.mark.parametrize("rows", [1, 100])
def test_volumes_of_a_coin_that_is_worth_little_are_printed_whole(rows: int) -> None:
    """With eight decimals they are more smallest units than 64 bits hold."""
    market = invented(SPOT, ["1000PEPEUSDT"])
    instrument = market.instruments["1000PEPEUSDT"]
    found = market.minutes("1000PEPEUSDT", NOON - rows * MINUTE, NOON)
    block = Minutes(found.times, found.values.copy())
    block.values[:, VOLUME] = 512_345_678_901 * 10**instrument.quantity_decimals
    for row in json.loads(rest_rows(block, instrument, MINUTE)):
        assert row[5] == "512345678901.00000000"
        assert 0 <= Decimal(row[9]) < Decimal(row[5])
