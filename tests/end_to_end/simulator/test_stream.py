from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
import websockets
from virtual_time import in_virtual_time
from websockets.asyncio.client import ClientConnection, connect

from tui_feeder.simulator import stream
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.dialect import USDM, Dialect
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import MINUTE, TRADES
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z


@asynccontextmanager
async def exchange_at(rate: float, start: int = NOON, dialect: Dialect = USDM) -> AsyncIterator[Exchange]:
    market = synthetic_market(as_of_ms=NOON)
    async with Exchange(market, SimulatedClock(start, rate), dialect=dialect) as exchange:
        yield exchange


def connected(exchange: Exchange, path: str) -> connect:
    return connect(exchange.stream_url + path)


async def ask(socket: ClientConnection, method: str, ident: int = 1, **body: object) -> dict[str, Any]:
    """Sends a control message and returns its answer, passing over frames that come before it."""
    await socket.send(json.dumps({"method": method, "id": ident, **body}))
    while True:
        answer = json.loads(await socket.recv())
        if "result" in answer or "code" in answer:
            assert isinstance(answer, dict)
            return answer


async def events(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    """So many kline events, unwrapped."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        frame = json.loads(await socket.recv())
        found.append(frame.get("data", frame))
    return found


async def closes(socket: ClientConnection, symbol: str, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        (event,) = await events(socket, 1)
        if event["k"]["x"] and event["s"] == symbol:
            found.append(event)
    return found


async def rest_row(exchange: Exchange, symbol: str, open_time: int, interval: str = "1m") -> list[Any]:
    query: dict[str, str | int] = {
        "symbol": symbol,
        "interval": interval,
        "startTime": open_time,
        "limit": 1,
    }
    url = f"{exchange.rest_url}/fapi/v1/klines"
    async with aiohttp.ClientSession() as session, session.get(url, params=query) as response:
        (row,) = await response.json()
        assert isinstance(row, list)
        return row


def row_of(event: dict[str, Any]) -> list[Any]:
    """A kline event in the order of a REST row."""
    return [event["k"][field] for field in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")]


@pytest.mark.parametrize("rate", [60, 600])
async def test_minutes_close_once_each_in_order_and_equal_to_rest_at_any_speed(rate: float) -> None:
    names = [f"{symbol}usdt@kline_1m" for symbol in ("btc", "eth", "1000pepe")]
    async with exchange_at(rate) as exchange, connect(f"{exchange.stream_url}/market/ws") as socket:
        assert await ask(socket, "SUBSCRIBE", params=names) == {"result": None, "id": 1}
        seen = await closes(socket, "ETHUSDT", 4 if rate == 60 else 30)
        opens = [event["k"]["t"] for event in seen]
        assert opens == [opens[0] + i * MINUTE for i in range(len(seen))]
        for event in (seen[0], seen[-1]):
            assert row_of(event) == await rest_row(exchange, "ETHUSDT", event["k"]["t"])
        for event in seen:
            assert 200 <= event["E"] - event["k"]["T"] <= 2_005


async def test_a_frame_has_every_field_in_the_form_of_the_exchange() -> None:
    async with exchange_at(60) as exchange, connected(exchange, "/market/ws/btcusdt@kline_1m") as socket:
        (event,) = await events(socket, 1)
    kline = event["k"]
    assert list(event) == ["e", "E", "s", "k"]
    assert (event["e"], event["s"], kline["s"], kline["i"]) == ("kline", "BTCUSDT", "BTCUSDT", "1m")
    assert set(kline) == set("tTsifLochlvnxqVQB")
    assert all(isinstance(kline[field], str) for field in "ochlvqVQB")
    assert all(isinstance(kline[field], int) for field in "tTfLn")
    assert kline["T"] == kline["t"] + 59_999
    assert kline["L"] - kline["f"] + 1 == kline["n"]
    assert len(kline["c"].partition(".")[2]) == 2
    assert len(kline["q"].partition(".")[2]) == 5


async def test_updates_only_grow_and_every_one_says_something_new() -> None:
    async with exchange_at(20) as exchange, connected(exchange, "/market/ws/ltcusdt@kline_1m") as socket:
        seen = await events(socket, 60)
    opens = [event["k"]["t"] for event in seen]
    assert opens == sorted(opens)
    stamps = [event["E"] for event in seen]
    assert stamps == sorted(stamps)
    pairs = [(a["k"], b["k"]) for a, b in pairwise(seen) if a["k"]["t"] == b["k"]["t"]]
    assert len(pairs) > 40
    for before, after in pairs:
        assert after["n"] > before["n"] or after["x"]
        assert float(after["v"]) >= float(before["v"])
        assert float(after["h"]) >= float(before["h"])
        assert float(after["l"]) <= float(before["l"])
        assert after["o"] == before["o"]


@in_virtual_time  # two streams begin in the same minute, and none ends before all is sent
async def test_a_minute_without_a_trade_pushes_nothing_at_all() -> None:
    async with exchange_at(2000) as exchange:
        names = ["btcusdt@kline_1m", "币安人生usdt@kline_1m"]
        traded: dict[int, set[bool]] = {}
        async with connect(f"{exchange.stream_url}/market/ws") as socket:
            await ask(socket, "SUBSCRIBE", params=names)
            begin, last = None, NOON
            while begin is None or last < begin + 90 * MINUTE:
                (event,) = await events(socket, 1)
                last = event["k"]["t"]
                begin = begin or last + MINUTE
                if event["s"] == "币安人生USDT":
                    traded.setdefault(last, set()).add(event["k"]["x"])
        assert begin is not None
        block = exchange.market.minutes("币安人生USDT", begin, begin + 85 * MINUTE)
        with_trades = {
            t for t, row in zip(block.times.tolist(), block.values, strict=True) if row[TRADES] > 0
        }
        assert 0 < len(with_trades) < 85
        heard = {t for t in traded if begin <= t < begin + 85 * MINUTE}
        assert heard == with_trades
        assert all(True in traded[t] for t in heard)


async def test_longer_intervals_close_with_their_last_minute() -> None:
    async with exchange_at(600) as exchange:
        async with connect(f"{exchange.stream_url}/market/stream?streams=solusdt@kline_5m") as socket:
            first, second = await closes(socket, "SOLUSDT", 2)
        assert second["k"]["t"] == first["k"]["t"] + 5 * MINUTE
        assert second["k"]["T"] == second["k"]["t"] + 5 * MINUTE - 1
        assert second["k"]["L"] - second["k"]["f"] + 1 == second["k"]["n"]
        assert row_of(second) == await rest_row(exchange, "SOLUSDT", second["k"]["t"], "5m")


async def test_the_stream_form_wraps_and_the_ws_form_does_not_until_told() -> None:
    async with exchange_at(60) as exchange:
        async with connect(f"{exchange.stream_url}/market/stream?streams=btcusdt@kline_1m/x@y") as socket:
            frame = json.loads(await socket.recv())
            assert frame["stream"] == "btcusdt@kline_1m"
            assert frame["data"]["e"] == "kline"
            assert (await ask(socket, "GET_PROPERTY", params=["combined"]))["result"] is True
            assert (await ask(socket, "LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@kline_1m", "x@y"]
        async with connect(f"{exchange.stream_url}/market/ws/btcusdt@kline_1m") as socket:
            assert json.loads(await socket.recv())["e"] == "kline"
            assert (await ask(socket, "GET_PROPERTY", params=["combined"]))["result"] is False
            await ask(socket, "SET_PROPERTY", params=["combined", True])
            assert "stream" in json.loads(await socket.recv())


@pytest.mark.parametrize(
    "path", ["/ws", "/stream", "/public/ws", "/public/stream", "/ws/btcusdt@kline_1m", "/stream?streams=a@b"]
)
async def test_the_old_addresses_acknowledge_and_stay_silent(path: str) -> None:
    async with (
        exchange_at(600) as exchange,
        connected(exchange, path) as dead,
        connected(exchange, "/market/ws/btcusdt@kline_1m") as live,
    ):
        assert await ask(dead, "SUBSCRIBE", params=["btcusdt@kline_1m"]) == {"result": None, "id": 1}
        await closes(live, "BTCUSDT", 3)
        assert "btcusdt@kline_1m" in (await ask(dead, "LIST_SUBSCRIPTIONS"))["result"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dead.recv(), 0.2)


async def test_unknown_names_are_acknowledged_and_nothing_comes_of_them() -> None:
    names = [
        "nosuchusdt@kline_1m",
        "btcusdt@kline_7m",
        "BTCUSDT@kline_1m",
        "btcusdt@bookTicker",
        "srmusdt@kline_1m",
    ]
    async with exchange_at(600) as exchange, connect(f"{exchange.stream_url}/market/ws") as socket:
        assert (await ask(socket, "SUBSCRIBE", params=names))["result"] is None
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.4)


async def test_after_unsubscribe_nothing_more_comes() -> None:
    async with exchange_at(600) as exchange, connect(f"{exchange.stream_url}/market/ws") as socket:
        await ask(socket, "SUBSCRIBE", params=["btcusdt@kline_1m"])
        await events(socket, 2)
        assert await ask(socket, "UNSUBSCRIBE", 9, params=["btcusdt@kline_1m"]) == {"result": None, "id": 9}
        assert (await ask(socket, "LIST_SUBSCRIPTIONS"))["result"] == []
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.3)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{not json", 3),
        ("[1]", 2),
        ('{"method":"SUBSCRIBE","params":["a@b"]}', 2),
        ('{"method":"SUBSCRIBE","params":["a@b"],"id":"x"}', 2),
        ('{"method":"SUBSCRIBE","params":"a@b","id":1}', 2),
        ('{"method":"NONSENSE","params":[],"id":1}', 2),
        ('{"method":"GET_PROPERTY","params":["other"],"id":1}', 0),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1),
    ],
)
async def test_a_malformed_message_is_answered_with_an_error(message: str, code: int) -> None:
    async with exchange_at(1) as exchange, connect(f"{exchange.stream_url}/market/ws") as socket:
        await socket.send(message)
        answer = json.loads(await socket.recv())
        assert answer["code"] == code
        assert answer["msg"]


async def test_two_hundred_streams_fit_on_a_connection_and_no_more() -> None:
    async with exchange_at(1) as exchange, connect(f"{exchange.stream_url}/market/ws") as socket:
        for batch in range(2):
            names = [f"c{batch * 100 + i}usdt@kline_1m" for i in range(100)]
            assert (await ask(socket, "SUBSCRIBE", params=names))["result"] is None
        assert (await ask(socket, "SUBSCRIBE", params=["one@more"]))["code"] == 2
        assert len((await ask(socket, "LIST_SUBSCRIPTIONS"))["result"]) == 200


async def test_a_message_over_4096_bytes_is_ignored_without_an_answer() -> None:
    names = [f"symbol{i:04d}usdt@kline_1m" for i in range(190)]
    async with exchange_at(1) as exchange, connect(f"{exchange.stream_url}/market/ws") as socket:
        await socket.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))
        assert await ask(socket, "LIST_SUBSCRIPTIONS", 2) == {"result": [], "id": 2}


async def test_more_than_ten_messages_in_a_second_end_the_connection() -> None:
    async with exchange_at(1) as exchange, connect(f"{exchange.stream_url}/market/ws") as socket:
        for i in range(11):
            await socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": i}))
        await asyncio.wait_for(socket.wait_closed(), 20)
        assert socket.close_code == 1008


async def test_too_long_a_url_is_refused() -> None:
    names = "/".join(f"symbol{i:03d}usdt@kline_1m" for i in range(110))
    async with exchange_at(1) as exchange:
        with pytest.raises(websockets.InvalidStatus) as refusal:
            await connect(f"{exchange.stream_url}/market/stream?streams={names}")
    assert refusal.value.response.status_code == 414


async def test_an_address_may_open_only_so_many_connections_in_five_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "MOST_ATTEMPTS", 3)
    async with exchange_at(1) as exchange:
        for _ in range(3):
            async with connected(exchange, "/market/ws"):
                pass
        with pytest.raises(websockets.InvalidStatus) as refusal:
            await connected(exchange, "/market/ws")
    assert refusal.value.response.status_code == 429


async def test_a_connection_ends_when_its_24_hours_of_exchange_time_are_over() -> None:
    async with exchange_at(24 * 3600 / 0.5) as exchange, connected(exchange, "/market/ws") as socket:
        with pytest.raises(websockets.ConnectionClosedOK):
            await asyncio.wait_for(socket.recv(), 20)


async def test_the_server_pings_and_drops_a_client_that_never_answers() -> None:
    quick = replace(USDM, ping_every=0.1, pong_within=0.5)
    async with (
        exchange_at(1, dialect=quick) as exchange,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{exchange.stream_url}/market/ws", autoping=False) as socket,
    ):
        pings = 0
        while (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.PING:
            pings += 1
        assert pings >= 2
        assert socket.close_code == 1008


async def test_all_listeners_of_a_stream_hear_the_same() -> None:
    async with exchange_at(600) as exchange:
        url = f"{exchange.stream_url}/market/ws/btcusdt@kline_1m"
        async with connect(url) as one, connect(url) as two:
            first = {e["k"]["t"]: row_of(e) for e in await closes(one, "BTCUSDT", 8)}
            second = {e["k"]["t"]: row_of(e) for e in await closes(two, "BTCUSDT", 8)}
    common = first.keys() & second.keys()
    assert len(common) >= 4
    assert all(first[t] == second[t] for t in common)


async def test_closes_are_on_time_however_rare_the_looks_at_forming_candles() -> None:
    market = synthetic_market(as_of_ms=NOON)
    hour = 60 * MINUTE
    async with (
        Exchange(market, SimulatedClock(NOON, 120.0), cadence=hour) as exchange,
        connected(exchange, "/market/stream?streams=btcusdt@kline_1m/ethusdt@kline_1m") as socket,
    ):
        frames = await events(socket, 8)
        # Frames held back by a fault do not wait for the next look either.
        exchange.faults.switch_on("late-close", seconds=30)
        late = await events(socket, 4)
        passed = exchange.clock.now() - NOON
    assert passed < hour
    assert all(frame["k"]["x"] for frame in frames + late)
    minutes = [frame["k"]["t"] for frame in frames + late if frame["s"] == "BTCUSDT"]
    assert {b - a for a, b in pairwise(minutes)} == {MINUTE}
    assert all(frame["E"] >= frame["k"]["T"] + 29_000 for frame in late[2:])
