from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tui_feeder.simulator.clock import SimulatedClock, clock_for, default_start
from tui_feeder.simulator.exchange import Exchange, PortInUseError
from tui_feeder.simulator.market import CLOSE, DAY, HOUR, MINUTE, TRADES, decimal
from tui_feeder.simulator.synthetic import SyntheticMarket, synthetic_market
from tui_feeder.simulator.tape import Tape

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z, a Tuesday


class HandClock(SimulatedClock):
    """A clock that is set by hand."""

    def __init__(self, moment: int) -> None:
        super().__init__(moment)
        self.moment = moment

    def now(self) -> int:
        return self.moment


class Client:
    def __init__(self, exchange: Exchange, clock: HandClock, session: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.clock = clock
        self._session = session

    async def get(self, path: str, **query: str | int) -> tuple[int, Any, dict[str, str]]:
        url = f"{self.exchange.rest_url}/fapi/v1/{path}"
        async with self._session.get(url, params=query) as response:
            return response.status, await response.json(), dict(response.headers)

    async def klines(self, symbol: str = "BTCUSDT", interval: str = "1m", **query: int) -> list[list[Any]]:
        status, rows, _ = await self.get("klines", symbol=symbol, interval=interval, **query)
        assert status == 200, rows
        assert isinstance(rows, list)
        return rows


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    clock = HandClock(NOON + 30_100)
    market = synthetic_market(as_of_ms=NOON)
    async with Exchange(market, clock) as exchange, aiohttp.ClientSession() as session:
        yield Client(exchange, clock, session)


async def test_ping_is_empty_and_time_is_exchange_time(client: Client) -> None:
    assert (await client.get("ping"))[1] == {}
    assert (await client.get("time"))[1] == {"serverTime": NOON + 30_100}


async def test_rows_have_the_layout_and_the_number_form_of_the_exchange(client: Client) -> None:
    (row,) = await client.klines(startTime=NOON - MINUTE, endTime=NOON - MINUTE)
    assert row[0] == NOON - MINUTE
    assert row[6] == NOON - 1
    assert [type(field) for field in row] == [int, *[str] * 5, int, str, int, str, str, str]
    assert [len(row[i].partition(".")[2]) for i in (1, 2, 3, 4, 5, 7, 9, 10)] == [2, 2, 2, 2, 3, 5, 3, 5]
    assert row[11] == "0"


async def test_without_times_the_most_recent_rows_come_the_last_one_unfinished(client: Client) -> None:
    rows = await client.klines()
    assert len(rows) == 500
    assert [row[0] for row in rows] == [NOON - (499 - i) * MINUTE for i in range(500)]
    assert rows[-1][6] > client.clock.now()
    unfinished = rows[-1]
    client.clock.moment = NOON + 5 * MINUTE
    (final,) = await client.klines(startTime=NOON, limit=1)
    assert final[1] == unfinished[1]
    assert 0 < unfinished[8] < final[8]
    assert float(unfinished[5]) < float(final[5])


async def test_a_minute_without_a_trade_so_far_is_flat_at_the_previous_close(client: Client) -> None:
    client.clock.moment = NOON
    before, now = await client.klines(symbol="币安人生USDT", limit=2)
    # within the first 2 s the minute before may not be settled, so its own close may still move
    assert now[1] == now[2] == now[3] == now[4]
    assert (float(now[5]), now[8]) == (0.0, 0)
    client.clock.moment = NOON + 2_010
    before, now = await client.klines(symbol="币安人生USDT", limit=2)
    assert now[8] > 0 or now[1] == before[4]


async def test_a_minute_that_has_just_ended_lacks_its_last_trades_until_it_settles(client: Client) -> None:
    tape = Tape(client.exchange.market)
    settles = tape.settles("BTCUSDT", NOON)
    assert NOON + MINUTE - 1 + 200 <= settles <= NOON + MINUTE - 1 + 2_005
    client.clock.moment = settles - 1
    (early,) = await client.klines(startTime=NOON, limit=1)
    client.clock.moment = settles
    (late,) = await client.klines(startTime=NOON, limit=1)
    assert early[8] < late[8]
    client.clock.moment = settles + HOUR
    assert await client.klines(startTime=NOON, limit=1) == [late]
    truth = client.exchange.market.minutes("BTCUSDT", NOON, NOON + MINUTE).values[0]
    assert late[8] == truth[TRADES]
    assert late[4] == decimal(int(truth[CLOSE]), 2)


async def test_a_start_gives_rows_upwards_an_end_alone_the_last_ones_and_both_a_window(
    client: Client,
) -> None:
    upwards = await client.klines(startTime=NOON - HOUR + 1, limit=3)
    assert [row[0] for row in upwards] == [NOON - HOUR + i * MINUTE for i in (1, 2, 3)]
    downwards = await client.klines(endTime=NOON - HOUR, limit=3)
    assert [row[0] for row in downwards] == [NOON - HOUR - i * MINUTE for i in (2, 1, 0)]
    both = await client.klines(startTime=NOON - HOUR, endTime=NOON - HOUR + 2 * MINUTE - 1)
    assert [row[0] for row in both] == [NOON - HOUR, NOON - HOUR + MINUTE]
    assert await client.klines(startTime=NOON + HOUR) == []


async def test_rows_begin_with_the_listing(client: Client) -> None:
    onboard = client.exchange.market.instruments["币安人生USDT"].onboard
    assert (await client.klines(symbol="币安人生USDT", startTime=0, limit=1))[0][0] == onboard
    assert await client.klines(symbol="币安人生USDT", startTime=0, endTime=onboard - 1) == []


async def test_nobody_knows_a_symbol_before_its_listing() -> None:
    listing = NOON + 5 * MINUTE
    clock = HandClock(listing - 1)
    market = synthetic_market(["BTCUSDT", "NEWUSDT"], as_of_ms=NOON, listed={"NEWUSDT": listing})
    async with Exchange(market, clock) as exchange, aiohttp.ClientSession() as session:
        client = Client(exchange, clock, session)
        status, error, _ = await client.get("klines", symbol="NEWUSDT", interval="1m")
        assert (status, error["code"]) == (400, -1121)
        _, info, _ = await client.get("exchangeInfo")
        assert "NEWUSDT" not in {entry["symbol"] for entry in info["symbols"]}
        clock.moment = listing + MINUTE
        assert [row[0] for row in await client.klines("NEWUSDT")] == [listing, listing + MINUTE]
        _, info, _ = await client.get("exchangeInfo")
        entry = next(entry for entry in info["symbols"] if entry["symbol"] == "NEWUSDT")
        assert (entry["status"], entry["onboardDate"]) == ("TRADING", listing)


@pytest.mark.parametrize("interval", ["3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"])
async def test_longer_intervals_are_the_sum_of_their_minutes(client: Client, interval: str) -> None:
    size = int(interval[:-1]) * {"m": MINUTE, "h": HOUR, "d": DAY}[interval[-1]]
    begin = NOON // DAY * DAY - DAY
    (bar,) = await client.klines(interval=interval, startTime=begin, limit=1)
    minutes = await client.klines(startTime=begin, endTime=begin + size - 1, limit=1500)
    assert len(minutes) == size // MINUTE
    assert bar[:2] == minutes[0][:2]
    assert bar[4] == minutes[-1][4]
    assert bar[6] == begin + size - 1
    assert float(bar[2]) == max(float(m[2]) for m in minutes)
    assert float(bar[3]) == min(float(m[3]) for m in minutes)
    for field in (5, 7, 8, 9, 10):
        assert float(bar[field]) == pytest.approx(sum(float(m[field]) for m in minutes), rel=1e-12)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"symbol": "NOSUCHUSDT", "interval": "1m"}, -1121),
        ({"symbol": "btcusdt", "interval": "1m"}, -1121),
        ({"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ({"symbol": "BTCUSDT", "interval": "1s"}, -1120),
        ({"symbol": "BTCUSDT"}, -1102),
        ({"interval": "1m"}, -1102),
        ({"symbol": "BTCUSDT", "interval": "1m", "limit": 1501}, -1130),
        ({"symbol": "BTCUSDT", "interval": "1m", "limit": 0}, -1130),
        ({"symbol": "BTCUSDT", "interval": "1m", "limit": "many"}, -1102),
        ({"symbol": "BTCUSDT", "interval": "1m", "startTime": "-5"}, -1102),
        ({"symbol": "BTCUSDT", "interval": "1m", "startTime": 20, "endTime": 10}, -1023),
    ],
)
async def test_a_bad_request_has_the_code_of_the_exchange(
    client: Client, query: dict[str, str | int], code: int
) -> None:
    status, body, headers = await client.get("klines", **query)
    assert (status, body["code"]) == (400, code)
    assert body["msg"]
    assert "X-MBX-USED-WEIGHT-1M" in headers


async def test_weight_grows_by_limit_and_begins_anew_with_the_exchange_minute(client: Client) -> None:
    used = 0
    for limit, weight in ((1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1000, 5), (1001, 10), (1500, 10)):
        _, _, headers = await client.get("klines", symbol="BTCUSDT", interval="1m", limit=limit)
        used += weight
        assert headers["X-MBX-USED-WEIGHT-1M"] == str(used), limit
    _, _, headers = await client.get("klines", symbol="BTCUSDT", interval="1m")
    assert headers["X-MBX-USED-WEIGHT-1M"] == str(used + 5)
    client.clock.moment = NOON + MINUTE
    assert (await client.get("exchangeInfo"))[2]["X-MBX-USED-WEIGHT-1M"] == "1"


async def spend(client: Client, requests: int) -> None:
    for _ in range(requests):
        await client.get("klines", symbol="BTCUSDT", interval="1m", limit=1500, startTime=NOON)


async def test_over_the_limit_comes_429_and_who_goes_on_is_banned_longer_each_time(client: Client) -> None:
    for length in (2, 4):
        begin = client.clock.moment
        await spend(client, 240)
        for _ in range(5):
            status, body, headers = await client.get("ping")
            assert (status, body["code"]) == (429, -1003)
            assert 0 < int(headers["Retry-After"]) <= 60
            assert int(headers["X-MBX-USED-WEIGHT-1M"]) > 2400
        status, body, headers = await client.get("ping")
        until = begin + length * MINUTE
        assert (status, body["code"]) == (418, -1003)
        assert f"banned until {until}" in body["msg"]
        assert int(headers["Retry-After"]) == length * 60
        client.clock.moment = until - 1
        assert (await client.get("time"))[0] == 418
        client.clock.moment = until
        assert (await client.get("time"))[0] == 200
        client.clock.moment = until + MINUTE


async def test_who_waits_after_a_429_is_served_again_in_the_next_minute(client: Client) -> None:
    await spend(client, 240)
    assert (await client.get("ping"))[0] == 429
    client.clock.moment = NOON + MINUTE
    assert (await client.get("ping"))[0] == 200


async def test_exchange_info_lists_what_must_be_told_apart(client: Client) -> None:
    _, info, _ = await client.get("exchangeInfo")
    assert {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400} in info[
        "rateLimits"
    ]
    listed = {entry["symbol"]: entry for entry in info["symbols"]}
    trading = [
        name
        for name, entry in listed.items()
        if entry["contractType"] == "PERPETUAL" and entry["status"] == "TRADING"
    ]
    assert trading == list(client.exchange.market.symbols)
    assert listed["SRMUSDT"]["status"] == "SETTLING"
    assert listed["BTCUSDT_260327"]["contractType"] == "CURRENT_QUARTER"
    assert listed["BTCUSDT_260327"]["deliveryDate"] == 1_774_598_400_000  # Friday 2026-03-27 08:00
    assert listed["BTCUSDT"]["deliveryDate"] == 4_133_404_800_000
    onboard = client.exchange.market.instruments["币安人生USDT"].onboard
    assert listed["币安人生USDT"]["onboardDate"] == onboard

    def tick(name: str) -> str:
        (found,) = [f["tickSize"] for f in listed[name]["filters"] if f["filterType"] == "PRICE_FILTER"]
        assert isinstance(found, str)
        return found

    assert (tick("BTCUSDT"), tick("AVAXUSDT"), tick("1000PEPEUSDT")) == ("0.10", "0.0010", "0.0000001")
    assert len({listed[name]["filters"][0]["filterType"] for name in trading}) > 1


async def test_a_port_that_is_taken_is_named(client: Client) -> None:
    port = int(client.exchange.rest_url.rpartition(":")[2])
    second = Exchange(client.exchange.market, HandClock(NOON), port=port)
    with pytest.raises(PortInUseError, match=f"port {port} .*in use"):
        await second.start()


def test_a_clock_runs_at_its_rate_and_stops_at_its_end() -> None:
    market: SyntheticMarket = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    fast = clock_for(market, start_ms=NOON, rate=1e9)
    assert fast.now() > NOON
    assert fast.real_seconds(MINUTE) == 60 / 1e9
    ended = SimulatedClock(NOON, 1e12, end_ms=NOON + 5)
    while not ended.ended:
        pass
    assert ended.now() == NOON + 5
    with pytest.raises(ValueError, match="above 0"):
        SimulatedClock(NOON, 0)
    assert default_start(market) > NOON
