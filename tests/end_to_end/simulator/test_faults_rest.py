from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.fault_kinds import Value
from tui_feeder.simulator.faults import make_fault
from tui_feeder.simulator.market import MINUTE
from tui_feeder.simulator.synthetic import synthetic_market
from tui_feeder.simulator.tape import Tape

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z


class HandClock(SimulatedClock):
    def __init__(self, moment: int) -> None:
        super().__init__(moment)
        self.moment = moment

    def now(self) -> int:
        return self.moment


class Client:
    def __init__(self, exchange: Exchange, clock: HandClock, session: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.faults = exchange.faults
        self.clock = clock
        self.session = session

    async def get(self, path: str, **query: str | int) -> tuple[int, bytes, dict[str, str]]:
        url = f"{self.exchange.rest_url}/fapi/v1/{path}"
        async with self.session.get(url, params=query) as response:
            return response.status, await response.read(), dict(response.headers)

    async def json(self, path: str, **query: str | int) -> dict[str, Any]:
        status, body, _ = await self.get(path, **query)
        assert status == 200, body
        found = json.loads(body)
        assert isinstance(found, dict)
        return found

    async def klines(self, symbol: str = "BTCUSDT", **query: int) -> list[list[Any]]:
        status, body, _ = await self.get("klines", symbol=symbol, interval="1m", **query)
        assert status == 200, body
        rows = json.loads(body)
        assert isinstance(rows, list)
        return rows


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    clock = HandClock(NOON + 30_100)
    market = synthetic_market(["BTCUSDT", "LTCUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock) as exchange, aiohttp.ClientSession() as session:
        yield Client(exchange, clock, session)


@pytest.mark.parametrize(
    ("name", "parameters", "status", "kind", "says"),
    [
        ("rest-429", {}, 429, "application/json", b"-1003"),
        ("rest-418", {}, 418, "application/json", b"banned until 1773144150100"),
        ("rest-403", {}, 403, "text/html", b"<html>"),
        ("rest-451", {}, 451, "application/json", b"restricted location"),
        ("rest-5xx", {}, 503, "application/json", b"-1008"),
        ("rest-5xx", {"status": "500"}, 500, "application/json", b"-1000"),
        ("rest-5xx", {"status": "502"}, 502, "text/html", b"<html>"),
        ("rest-5xx", {"status": "408"}, 408, "application/json", b"-1007"),
    ],
)
async def test_refusals_have_the_form_of_the_exchange_and_end_in_time(
    client: Client, name: str, parameters: dict[str, Value], status: int, kind: str, says: bytes
) -> None:
    assert (await client.get("ping"))[0] == 200
    client.faults.add(make_fault(name, duration=120, parameters=parameters))
    for path in ("ping", "time", "exchangeInfo"):
        answer = await client.get(path)
        assert answer[0] == status
        assert says in answer[1]
        assert answer[2]["Content-Type"].startswith(kind)
    assert client.faults.struck[name] == 3
    client.clock.moment += 119_999
    assert (await client.get("ping"))[0] == status
    client.clock.moment += 1
    assert (await client.get("ping"))[0] == 200


async def test_retry_after_is_there_or_not(client: Client) -> None:
    cases: list[tuple[str, dict[str, Value], str | None]] = [
        ("rest-429", {"retry_after": 7.0}, "7"),
        ("rest-429", {"retry_after": 0.0}, None),
        ("rest-418", {}, "120"),
        ("rest-418", {"header": False}, None),
    ]
    for name, parameters, header in cases:
        client.faults.add(make_fault(name, parameters=parameters))
        assert (await client.get("ping"))[2].get("Retry-After") == header
        client.faults.switch_off()


async def test_a_ban_says_until_when_and_the_time_to_it_shrinks(client: Client) -> None:
    client.faults.switch_on("rest-418", duration=300)
    until = client.clock.moment + 300_000
    client.clock.moment += 100_000
    _, body, headers = await client.get("klines", symbol="BTCUSDT", interval="1m")
    assert f"banned until {until}." in json.loads(body)["msg"]
    assert headers["Retry-After"] == "200"


async def test_a_fault_may_concern_one_endpoint_or_one_symbol(client: Client) -> None:
    client.faults.switch_on("rest-5xx", target="klines")
    assert (await client.get("ping"))[0] == 200
    assert (await client.get("klines", symbol="BTCUSDT", interval="1m"))[0] == 503
    client.faults.switch_off()
    client.faults.switch_on("rest-5xx", "LTCUSDT")
    assert (await client.get("klines", symbol="LTCUSDT", interval="1m"))[0] == 503
    assert len(await client.klines(limit=2)) == 2
    assert (await client.get("time"))[0] == 200


async def test_no_answer_comes_until_the_fault_ends(client: Client) -> None:
    client.faults.switch_on("rest-timeout", target="time")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.get("time"), 0.3)
    waiting = asyncio.create_task(client.get("time"))
    assert (await client.get("ping"))[0] == 200
    assert not waiting.done()
    client.faults.switch_off("rest-timeout")
    assert (await waiting)[0] == 200


async def test_an_answer_is_cut_in_its_json_or_in_its_transfer(client: Client) -> None:
    client.faults.switch_on("rest-truncated", count=1)
    status, body, headers = await client.get("klines", symbol="BTCUSDT", interval="1m", limit=10)
    assert status == 200
    assert int(headers["Content-Length"]) == len(body)
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    client.faults.switch_on("rest-truncated", count=1, how="transfer")
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.get("exchangeInfo")
    assert len(await client.klines(limit=10)) == 10


async def test_klines_are_empty(client: Client) -> None:
    client.faults.switch_on("rest-empty", "BTCUSDT")
    assert await client.klines() == []
    assert len(await client.klines("LTCUSDT", limit=3)) == 3
    assert "serverTime" in await client.json("time")


async def test_weight_used_by_another_process_is_real_weight(client: Client) -> None:
    await client.get("ping")
    client.faults.switch_on("weight-jump", duration=90)
    assert (await client.get("ping"))[2]["X-MBX-USED-WEIGHT-1M"] == "2301"
    for _ in range(9):
        _, _, headers = await client.get("klines", symbol="BTCUSDT", interval="1m", limit=1500)
    assert headers["X-MBX-USED-WEIGHT-1M"] == "2391"
    assert (await client.get("klines", symbol="BTCUSDT", interval="1m", limit=1500))[0] == 429
    client.clock.moment += MINUTE
    assert (await client.get("ping"))[2]["X-MBX-USED-WEIGHT-1M"] == "2301"
    client.clock.moment += MINUTE
    assert (await client.get("ping"))[2]["X-MBX-USED-WEIGHT-1M"] == "1"


async def test_a_minute_stays_unfinished_for_longer(client: Client) -> None:
    settles = Tape(client.exchange.market).settles("BTCUSDT", NOON)
    client.faults.switch_on("unfinished-row", "BTCUSDT", seconds=10)
    seen: dict[int, list[Any]] = {}
    others = {}
    for after in (settles - NOON - MINUTE, 9_999, 10_000):
        client.clock.moment = NOON + MINUTE + after
        (seen[after],) = await client.klines(startTime=NOON, limit=1)
        (others[after],) = await client.klines("LTCUSDT", startTime=NOON, limit=1)
    early, late, final = seen.values()
    assert early == late
    assert late[8] < final[8]
    assert others[9_999] == others[10_000]


@pytest.mark.parametrize("seconds", [90, -90])
async def test_the_time_of_the_exchange_is_another_and_its_rows_agree(client: Client, seconds: int) -> None:
    client.clock.moment = NOON + 30_000
    client.faults.switch_on("clock-skew", duration=600, seconds=seconds)
    assert await client.json("time") == {"serverTime": NOON + 30_000 + seconds * 1000}
    (row,) = await client.klines(limit=1)
    assert row[0] == (NOON + 30_000 + seconds * 1000) // MINUTE * MINUTE
    client.clock.moment += 600_000
    assert await client.json("time") == {"serverTime": NOON + 630_000}


async def test_the_time_steps_there_and_back(client: Client) -> None:
    begin = client.clock.moment
    client.faults.switch_on("clock-skew", seconds=5, every=10)
    found = []
    for after in (0, 9_999, 10_000, 19_999, 20_000):
        client.clock.moment = begin + after
        found.append((await client.json("time"))["serverTime"] - begin - after)
    assert found == [5_000, 5_000, 0, 0, 5_000]


async def test_what_the_exchange_says_the_time_is_can_be_wrong_alone(client: Client) -> None:
    client.faults.switch_on("clock-skew", stated=True, seconds=3600)
    assert await client.json("time") == {"serverTime": client.clock.moment + 3_600_000}
    assert (await client.klines(limit=1))[0][0] == NOON


async def test_a_delisted_symbol_settles_then_is_gone(client: Client) -> None:
    async def status(symbol: str) -> str | None:
        listed = {entry["symbol"]: entry for entry in (await client.json("exchangeInfo"))["symbols"]}
        return listed[symbol]["status"] if symbol in listed else None

    client.faults.switch_on("delist", "LTCUSDT", gone=300, duration=900)
    assert (await status("LTCUSDT"), await status("BTCUSDT")) == ("SETTLING", "TRADING")
    client.clock.moment = NOON + 5 * MINUTE
    rows = await client.klines("LTCUSDT", startTime=NOON, limit=5)
    assert rows[0][8] > 0
    assert {row[8] for row in rows[1:]} == {0}
    assert {price for row in rows[1:] for price in row[1:5]} == {rows[0][4]}
    assert all(row[8] for row in await client.klines(startTime=NOON, limit=5))
    client.clock.moment += MINUTE
    assert (await status("LTCUSDT"), await status("BTCUSDT")) == (None, "TRADING")
    code, body, _ = await client.get("klines", symbol="LTCUSDT", interval="1m")
    assert (code, json.loads(body)["code"]) == (400, -1121)
    client.clock.moment = NOON + 20 * MINUTE
    assert await status("LTCUSDT") == "TRADING"
    assert (await client.klines("LTCUSDT", startTime=NOON + 17 * MINUTE, limit=1))[0][8] > 0


async def test_in_an_outage_nothing_is_traded_from_the_next_minute_until_it_is_over(client: Client) -> None:
    (before,) = await client.klines(startTime=NOON, limit=1)
    client.faults.switch_on("outage")
    assert await client.klines(startTime=NOON, limit=1) == [before]
    client.clock.moment = NOON + 5 * MINUTE + 10_000
    client.faults.switch_off("outage")
    client.clock.moment = NOON + 8 * MINUTE
    for symbol in ("BTCUSDT", "LTCUSDT"):
        rows = await client.klines(symbol, startTime=NOON, limit=8)
        assert [row[8] > 0 for row in rows] == [True] + [False] * 5 + [True] * 2
        assert {price for row in rows[1:6] for price in row[1:5]} == {rows[0][4]}


async def test_when_the_link_is_down_nothing_but_the_controls_can_be_reached(client: Client) -> None:
    assert (await client.get("ping"))[0] == 200
    client.faults.switch_on("refuse-connections")
    archive = (
        f"{client.exchange.archive_url}/data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-03-09.zip"
    )
    for url in (f"{client.exchange.rest_url}/fapi/v1/ping", archive):
        with pytest.raises((aiohttp.ClientConnectionError, ConnectionError)):
            await client.session.get(url)
    async with client.session.delete(f"{client.exchange.rest_url}/_simulator/faults") as response:
        assert await response.json() == {"ended": 1}
    assert (await client.get("ping"))[0] == 200


async def test_a_black_hole_neither_answers_nor_refuses(client: Client) -> None:
    client.faults.switch_on("refuse-connections", how="blackhole")
    host, _, port = client.exchange.rest_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /fapi/v1/ping HTTP/1.1\r\nHost: exchange\r\n\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.3)
    client.faults.switch_off()
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    writer.close()
    assert (await client.get("ping"))[0] == 200
