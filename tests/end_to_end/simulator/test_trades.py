"""The embedded exchange's aggregate trades: the same in stream, REST and archive, and the sums of candles."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect

from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import DAY, HOUR, MINUTE
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z
MIDNIGHT = NOON - 12 * HOUR
QUIET = "币安人生USDT"
SYMBOL = "LTCUSDT"
DAILY = "daily/aggTrades/{0}/{0}-aggTrades-2026-03-09.zip"


class HandClock(SimulatedClock):
    def __init__(self, moment: int) -> None:
        super().__init__(moment)
        self.moment = moment

    def now(self) -> int:
        return self.moment


class Client:
    def __init__(self, exchange: Exchange, clock: HandClock, session: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.clock = clock
        self.session = session

    async def rest(self, path: str = "aggTrades", symbol: str = SYMBOL, **query: int | str) -> Any:  # noqa: ANN401 - what JSON holds
        url = f"{self.exchange.rest_url}/fapi/v1/{path}"
        async with self.session.get(url, params={"symbol": symbol, **query}) as response:
            return await response.json()

    async def archive(self, path: str) -> tuple[int, bytes]:
        url = f"{self.exchange.archive_url}/data/futures/um/{path}"
        async with self.session.get(url) as response:
            return response.status, await response.read()

    async def rows(self, symbol: str) -> list[list[str]]:
        status, body = await self.archive(DAILY.format(symbol))
        assert status == 200
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            (name,) = packed.namelist()
            assert name == f"{symbol}-aggTrades-2026-03-09.csv"
            return list(csv.reader(io.StringIO(packed.read(name).decode())))


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    clock = HandClock(NOON)
    async with (
        Exchange(synthetic_market(as_of_ms=NOON), clock) as exchange,
        aiohttp.ClientSession() as session,
    ):
        yield Client(exchange, clock, session)


async def test_a_day_in_the_archive_adds_up_to_its_candles(client: Client) -> None:
    header, *rows = await client.rows(QUIET)
    names = "agg_trade_id price quantity first_trade_id last_trade_id transact_time is_buyer_maker"
    assert header == names.split()
    sums: dict[int, list[float]] = {}
    for _, price, quantity, first, last, time, maker in rows:
        held = sums.setdefault(int(time) // MINUTE * MINUTE, [0.0, 0.0, 0, float(price), 0.0, 1e9, 0.0])
        held[0] += float(quantity)
        held[1] += float(quantity) if maker == "false" else 0.0
        held[2] += int(last) - int(first) + 1
        held[4], held[5], held[6] = max(held[4], float(price)), min(held[5], float(price)), float(price)
    klines = await client.rest("klines", QUIET, interval="1m", startTime=MIDNIGHT - DAY, limit=1440)
    assert len(klines) == 1440
    for open_time, opened, high, low, close, volume, _, _, count, taker, *_ in klines:
        held = sums.pop(open_time, [0.0, 0.0, 0, float(opened), float(high), float(low), float(close)])
        shown = [float(x) for x in (volume, taker, count, opened, high, low, close)]
        assert held == pytest.approx(shown, rel=1e-9)
    assert not sums


async def test_a_file_has_a_checksum_and_comes_the_next_morning(client: Client) -> None:
    path = DAILY.format(QUIET)
    status, body = await client.archive(path)
    _, checksum = await client.archive(path + ".CHECKSUM")
    assert (status, checksum.decode().split()) == (
        200,
        [hashlib.sha256(body).hexdigest(), path.split("/")[-1]],
    )
    client.clock.moment = MIDNIGHT + 8 * HOUR
    assert (await client.archive(path))[0] == 404


async def test_a_late_file_comes_later(client: Client) -> None:
    client.exchange.faults.switch_on("late-archive", target="aggTrades", hours=6)
    path = DAILY.format(QUIET)
    assert (await client.archive(path))[0] == 404
    assert (await client.archive(f"daily/klines/{QUIET}/1m/{QUIET}-1m-2026-03-09.zip"))[0] == 200
    client.clock.moment = MIDNIGHT + 15 * HOUR
    assert (await client.archive(path))[0] == 200


async def test_rest_shows_the_rows_of_the_archive_by_id_and_by_time(client: Client) -> None:
    _, *rows = await client.rows(SYMBOL)
    start = MIDNIGHT - DAY + 3 * HOUR
    wanted = [row for row in rows if start <= int(row[5]) <= start + HOUR - 1][:1000]
    by_time = await client.rest(startTime=start, endTime=start + HOUR - 1, limit=1000)
    by_id = await client.rest(fromId=wanted[0][0], limit=1000)
    assert len(wanted) == 1000
    assert by_time == by_id
    for entry, row in zip(by_time, wanted, strict=True):
        number, price, quantity, first, last, time, maker = row
        assert [entry[key] for key in "aflT"] == [int(x) for x in (number, first, last, time)]
        assert (float(entry["p"]), float(entry["q"])) == (float(price), float(quantity))
        assert entry["m"] is (maker == "true")


async def test_the_newest_rows_end_at_the_moment(client: Client) -> None:
    client.clock.moment = NOON + 30_000
    newest = await client.rest(limit=50)
    assert len(newest) == 50
    assert NOON + 20_000 < newest[-1]["T"] <= NOON + 29_900
    numbers = [entry["a"] for entry in newest]
    assert numbers == list(range(numbers[0], numbers[0] + 50))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": 1001}, -1130),
        ({"startTime": NOON - HOUR, "endTime": NOON}, -1127),
        ({"startTime": NOON, "endTime": NOON - 1}, -1023),
        ({"fromId": 1, "startTime": NOON}, -1128),
        ({"symbol": "NOSUCHUSDT"}, -1121),
    ],
)
async def test_requests_that_are_refused(client: Client, query: dict[str, Any], code: int) -> None:
    assert (await client.rest(**query))["code"] == code


async def test_a_request_weighs_twenty(client: Client) -> None:
    url = f"{client.exchange.rest_url}/fapi/v1/aggTrades"
    async with client.session.get(url, params={"symbol": SYMBOL, "limit": 1}) as response:
        assert response.headers["X-MBX-USED-WEIGHT-1M"] == "20"


async def streamed(exchange: Exchange, count: int) -> list[dict[str, Any]]:
    path = f"/market/stream?streams={SYMBOL.lower()}@aggTrade"
    found = []
    async with connect(exchange.stream_url + path) as socket:
        while len(found) < count:
            frame = json.loads(await socket.recv())
            assert frame["stream"] == f"{SYMBOL.lower()}@aggTrade"
            found.append(frame["data"])
    return found


async def test_the_stream_shows_the_rows_of_rest() -> None:
    async with (
        Exchange(synthetic_market(as_of_ms=NOON), SimulatedClock(NOON, 60)) as exchange,
        aiohttp.ClientSession() as session,
    ):
        events = await streamed(exchange, 300)
        client = Client(exchange, HandClock(NOON), session)
        rows = await client.rest(fromId=events[0]["a"], limit=300)
    shared = ("a", "p", "q", "nq", "f", "l", "T", "m")
    assert [{key: event[key] for key in shared} for event in events] == rows
    assert all(event["e"] == "aggTrade" and event["E"] >= event["T"] for event in events)


async def test_faults_of_frames_strike_trades_too() -> None:
    async with Exchange(synthetic_market(as_of_ms=NOON), SimulatedClock(NOON, 60)) as exchange:
        exchange.faults.switch_on("duplicate-frames", SYMBOL)
        numbers = [event["a"] for event in await streamed(exchange, 100)]
        assert numbers[::2] == numbers[1::2] == list(range(numbers[0], numbers[0] + 50))
        exchange.faults.switch_off()
        exchange.faults.switch_on("missing-trades", SYMBOL, target="stream", share=0.3)
        numbers = [event["a"] for event in await streamed(exchange, 100)]
        assert len(set(numbers)) == 100 < numbers[-1] - numbers[0]
        exchange.faults.switch_off()
        exchange.faults.switch_on("bad-values", SYMBOL, only="nan")
        assert (await streamed(exchange, 1))[0]["p"] == "NaN"


async def test_a_file_made_wrong_has_rows_that_are_missing_twice_or_zero(client: Client) -> None:
    right = await client.rows(QUIET)
    client.exchange.faults.switch_on("zero-trade", QUIET)
    zero = await client.rows(QUIET)
    assert len(zero) == len(right)
    assert sum(row[1:3] == ["0", "0"] for row in zero) > 50
    client.exchange.faults.switch_on("missing-rows", QUIET, target="aggTrades", minute=60, minutes=30)
    missing = await client.rows(QUIET)
    gone = {row[0] for row in zero} - {row[0] for row in missing}
    assert {int(row[5]) % DAY // MINUTE for row in right if row[0] in gone} <= set(range(60, 90))
    assert gone
    client.exchange.faults.switch_off()
    client.exchange.faults.switch_on("duplicate-rows", QUIET, target="aggTrades")
    assert len(await client.rows(QUIET)) > len(right)


async def test_a_file_has_the_trades_of_its_own_times_also_where_they_straddle_midnight(
    client: Client,
) -> None:
    _, *right = await client.rows(QUIET)
    client.exchange.faults.switch_on("straddling-trades", QUIET)
    _, *rows = await client.rows(QUIET)
    assert {int(row[5]) // DAY for row in rows} == {MIDNIGHT // DAY - 1}
    assert int(rows[0][0]) == int(right[0][0]) - 1, "the last trade of the day before"
    assert int(rows[-1][0]) == int(right[-1][0]) - 1
    assert rows[0][5] == str(MIDNIGHT - DAY + 2)
