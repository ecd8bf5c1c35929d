from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.faults import make_fault
from tui_feeder.simulator.market import MINUTE
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z
BOTH = ("btcusdt@kline_1m", "ethusdt@kline_1m")


@asynccontextmanager
async def exchange_at(rate: float) -> AsyncIterator[Exchange]:
    market = synthetic_market(["BTCUSDT", "ETHUSDT"], as_of_ms=NOON)
    async with Exchange(market, SimulatedClock(NOON, rate)) as exchange:
        yield exchange


def listen(exchange: Exchange, *names: str) -> connect:
    path = "/market/stream?streams=" + "/".join(names or BOTH)
    return connect(exchange.stream_url + path, max_size=2 << 20, ping_interval=None, close_timeout=0.2)


async def closes(socket: ClientConnection, count: int, symbol: str = "BTCUSDT") -> list[dict[str, Any]]:
    """So many closing frames of a symbol."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        event = json.loads(await socket.recv()).get("data", {})
        if event.get("s") == symbol and event["k"]["x"]:
            found.append(event)
    return found


Events = list[dict[str, Any]]


async def heard(
    socket: ClientConnection, seconds: float, enough: Callable[[Events], object] = lambda _: True
) -> Events:
    """The events of a span of real time, which lasts until they are enough."""
    found: Events = []
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while True:
                        found.append(json.loads(await socket.recv())["data"])
            if enough(found):
                return found


def updates_of(events: Events) -> Events:
    """Those of minutes that go on."""
    return [event for event in events if not event["k"]["x"]]


def closing_frames(events: Events, symbol: str) -> Events:
    """The closing frames of a symbol."""
    return [event for event in events if event["s"] == symbol and event["k"]["x"]]


async def drained(socket: ClientConnection) -> None:
    """Waits until what was sent before now is read."""
    await ask(socket, "LIST_SUBSCRIPTIONS")


async def ask(socket: ClientConnection, method: str, **body: object) -> dict[str, Any]:
    await socket.send(json.dumps({"method": method, "id": 1, **body}))
    while "result" not in (answer := json.loads(await socket.recv())):
        pass
    assert isinstance(answer, dict)
    return answer


def truth(exchange: Exchange, event: dict[str, Any]) -> bool:
    """Whether a closing frame shows the minute as it was traded."""
    block = exchange.market.minutes(event["s"], event["k"]["t"], event["k"]["t"] + MINUTE)
    return bool(block.values[0][6] == event["k"]["n"])


async def test_without_a_fault_every_stream_is_as_it_was() -> None:
    async with exchange_at(600) as exchange, listen(exchange) as socket:
        assert not exchange.faults
        opens = [event["k"]["t"] for event in await closes(socket, 10)]
        assert opens == [opens[0] + i * MINUTE for i in range(10)]
        assert not exchange.faults.struck


async def test_subscriptions_made_under_ack_without_data_stay_empty_while_their_socket_lives() -> None:
    async with exchange_at(600) as exchange, listen(exchange) as before:
        await closes(before, 1)
        exchange.faults.switch_on("ack-without-data")
        async with listen(exchange) as dead:
            assert (await ask(dead, "SUBSCRIBE", params=[*BOTH]))["result"] is None
            await closes(before, 2)  # a socket that was there before goes on
            exchange.faults.switch_off()
            assert await heard(dead, 0.4) == []
        async with listen(exchange) as after:
            await closes(after, 2)
        exchange.faults.switch_on("ack-without-data", "ETHUSDT")
        async with listen(exchange) as half:
            assert {event["s"] for event in await heard(half, 0.4, len)} == {"BTCUSDT"}


async def test_silence_lasts_its_time_and_touches_its_symbol_alone() -> None:
    async with exchange_at(600) as exchange, listen(exchange) as socket:
        await closes(socket, 1)
        exchange.faults.switch_on("silence", "BTCUSDT", duration=300)
        await drained(socket)
        fault = exchange.faults.active()[0]
        assert fault.ends is not None
        events: list[dict[str, Any]] = []
        while not any(e["s"] == "BTCUSDT" for e in events):
            events.append(json.loads(await socket.recv())["data"])
        assert events[-1]["E"] >= fault.ends - 60_000
        assert len([e for e in events if e["s"] == "ETHUSDT" and e["k"]["x"]]) >= 4
        exchange.faults.switch_on("silence")
        await drained(socket)
        assert await heard(socket, 0.3) == []
        await asyncio.wait_for(await socket.ping(), 5)


async def test_no_closing_frame_comes_though_updates_do() -> None:
    async with exchange_at(120) as exchange, listen(exchange) as socket:
        exchange.faults.switch_on("no-close-frame", "BTCUSDT")
        await drained(socket)

        def enough(events: Events) -> bool:
            minutes = {event["k"]["t"] for event in events if event["s"] == "BTCUSDT"}
            return len(minutes) >= 3 and bool(closing_frames(events, "ETHUSDT"))

        events = await heard(socket, 0.6, enough)
        assert not closing_frames(events, "BTCUSDT")


@pytest.mark.parametrize("seconds", [3, 35])
async def test_a_late_closing_frame_is_right_and_comes_into_the_next_minute(seconds: int) -> None:
    async with exchange_at(60) as exchange, listen(exchange) as socket:
        exchange.faults.switch_on("late-close", "BTCUSDT", seconds=seconds)
        since = exchange.clock.now()  # closes of before may still be on their way
        events: list[dict[str, Any]] = []
        while not (
            events and events[-1]["s"] == "BTCUSDT" and events[-1]["k"]["x"] and events[-1]["k"]["T"] > since
        ):
            events.append(json.loads(await socket.recv())["data"])
        late = events[-1]
        assert late["E"] - late["k"]["T"] > seconds * 1000
        assert truth(exchange, late)
        following = [e for e in events if e["s"] == "BTCUSDT" and e["k"]["t"] == late["k"]["t"] + MINUTE]
        assert following or seconds == 3
        for event in events:
            if event["s"] == "ETHUSDT" and event["k"]["x"]:
                assert event["E"] - event["k"]["T"] <= 2_005


async def test_frames_come_twice_and_closing_frames_a_third_time() -> None:
    async with exchange_at(120) as exchange, listen(exchange, BOTH[0]) as socket:
        exchange.faults.switch_on("duplicate-frames")
        await drained(socket)
        first, second, third = await closes(socket, 3)
        assert first == second
        assert third["k"] == first["k"]
        assert third["E"] >= first["E"] + 3_000
        updates = updates_of(await heard(socket, 0.3, lambda found: len(updates_of(found)) > 4))
        assert all(updates.count(e) == 2 for e in updates[2:-2])


async def test_frames_overtake_each_other_and_none_is_lost() -> None:
    async with exchange_at(120) as exchange, listen(exchange, BOTH[0]) as socket:
        await closes(socket, 1)
        exchange.faults.switch_on("out-of-order", duration=150)
        events: list[dict[str, Any]] = []
        while len([e for e in events if e["k"]["x"]]) < 4:
            events.append(json.loads(await socket.recv())["data"])
        steps = [b["E"] - a["E"] for a, b in pairwise(events)]
        assert len([step for step in steps if step < 0]) > 10
        opens = sorted(e["k"]["t"] for e in events if e["k"]["x"])
        assert opens == [opens[0] + i * MINUTE for i in range(4)]


@pytest.mark.parametrize("code", ["1001", "1006", "1008", "reset"])
async def test_open_connections_are_ended_once_with_the_code_wanted(code: str) -> None:
    async with exchange_at(60) as exchange, listen(exchange) as one, listen(exchange, BOTH[1]) as other:
        await asyncio.gather(drained(one), drained(other))
        exchange.faults.switch_on("disconnect", "BTCUSDT", code=code)
        with pytest.raises(websockets.ConnectionClosed) as ended:
            await heard(one, 20)
        if code in ("1001", "1008"):
            assert one.close_code == int(code)
        else:
            assert one.close_code == 1006
            assert isinstance(ended.value.__cause__, ConnectionResetError) == (code == "reset")
        assert not exchange.faults
        await closes(other, 1, "ETHUSDT")
        async with listen(exchange) as again:
            await closes(again, 1)


async def test_with_a_duration_connections_opened_meanwhile_are_ended_too() -> None:
    async with exchange_at(120) as exchange:
        exchange.faults.switch_on("disconnect", duration=120, after=30)
        begun = exchange.clock.now()
        endings = 0
        while exchange.clock.now() < begun + 90_000:
            async with listen(exchange) as socket:
                with pytest.raises(websockets.ConnectionClosed):
                    await heard(socket, 20)
                assert socket.close_code == 1001
                endings += 1
        assert endings >= 2
        await asyncio.sleep(max(0.0, exchange.clock.real_seconds(begun + 121_000 - exchange.clock.now())))
        async with listen(exchange) as socket:
            await closes(socket, 2)


async def test_a_half_open_connection_says_nothing_and_does_not_end() -> None:
    async with exchange_at(600) as exchange:
        async with listen(exchange) as frozen, listen(exchange, BOTH[1]) as other:
            await asyncio.gather(drained(frozen), drained(other))
            exchange.faults.switch_on("half-open", "BTCUSDT")
            await closes(other, 3, "ETHUSDT")
            assert not exchange.faults
            await heard(frozen, 0.2)
            await frozen.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": 1}))
            pong = await frozen.ping()
            assert await heard(frozen, 0.5) == []
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pong, 0.1)
            assert frozen.close_code is None
        async with listen(exchange) as again:
            await closes(again, 1)


async def test_a_link_that_is_down_cuts_sockets_and_lets_none_in_until_it_is_back() -> None:
    async with exchange_at(60) as exchange, listen(exchange) as socket:
        await drained(socket)
        exchange.faults.switch_on("refuse-connections", duration=60)
        with pytest.raises(websockets.ConnectionClosed):
            await heard(socket, 20)
        assert exchange.faults
        with pytest.raises((ConnectionError, websockets.InvalidMessage, EOFError)):
            await listen(exchange)
        await asyncio.sleep(1.2)
        async with listen(exchange) as again:
            await closes(again, 1)


@pytest.mark.parametrize("only", ["json", "truncated", "binary", "event", "product", "huge", "cut", "all"])
async def test_garbage_comes_between_frames_that_are_right(only: str) -> None:
    async with (
        exchange_at(60) as exchange,
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"{exchange.stream_url}/market/stream?streams={BOTH[0]}", max_msg_size=4 << 20
        ) as socket,
    ):
        exchange.faults.switch_on("garbage", only=only, every=5)
        kinds: set[str] = set()
        wanted = {only} if only != "all" else {"json", "binary", "event", "product", "huge", "cut"}
        while not wanted <= kinds or ("frame" not in kinds and only != "cut"):
            message = await socket.receive(timeout=20)
            if message.type is aiohttp.WSMsgType.BINARY:
                kinds.add("binary")
            elif message.type is not aiohttp.WSMsgType.TEXT:
                assert socket.close_code == 1006
                kinds.add("cut")
            else:
                kinds.add(sort_of(message.data))
        assert exchange.faults.struck["garbage"] >= len(wanted)


def sort_of(text: str) -> str:
    """Which sort of garbage a text frame is, or "frame"."""
    if len(text) > 1 << 20:
        return "huge"
    try:
        event = json.loads(text)["data"]
    except json.JSONDecodeError:
        return "truncated" if "BTCUSD_PERP" in text else "json"
    if event["e"] != "kline":
        return "event"
    return "product" if event["s"] == "BTCUSD_PERP" else "frame"


@pytest.mark.parametrize("only", ["high-below-low", "nan", "negative-volume", "interval", "future"])
async def test_bad_values_are_in_every_frame_of_the_symbol(only: str) -> None:
    async with exchange_at(600) as exchange, listen(exchange) as socket:
        exchange.faults.switch_on("bad-values", "BTCUSDT", only=only)
        await drained(socket)
        (event,) = await closes(socket, 1)
        kline = event["k"]
        wrong = {
            "high-below-low": float(kline["h"]) < float(kline["l"]),
            "nan": kline["c"] == "NaN",
            "negative-volume": float(kline["v"]) < 0,
            "interval": kline["i"] == "5m",
            "future": kline["t"] > exchange.clock.now(),
        }
        assert [name for name, found in wrong.items() if found] == [only]
        (other,) = await closes(socket, 1, "ETHUSDT")
        assert truth(exchange, other)


async def test_bad_values_take_turns_and_may_leave_updates_alone() -> None:
    async with exchange_at(600) as exchange, listen(exchange, BOTH[0]) as socket:
        exchange.faults.add(make_fault("bad-values", parameters={"closes": True}))
        await drained(socket)
        bad = await closes(socket, 5)
        assert [e["k"]["c"] for e in bad].count("NaN") == 1
        assert [e["k"]["i"] for e in bad].count("5m") == 1
        updates = [event["k"] for event in updates_of(await heard(socket, 0.4, updates_of))]
        assert all(float(k["l"]) <= float(k["c"]) <= float(k["h"]) and k["i"] == "1m" for k in updates)


@pytest.mark.parametrize("name", ["delist", "outage"])
async def test_frames_stop_with_the_next_minute_when_trade_does(name: str) -> None:
    async with exchange_at(600) as exchange, listen(exchange) as socket:
        await closes(socket, 1)
        exchange.faults.switch_on(name, "BTCUSDT" if name == "delist" else None)
        last = exchange.faults.active()[0].begins // MINUTE * MINUTE
        await asyncio.sleep(0.3)

        def enough(events: Events) -> bool:
            goes_on = any(event["s"] == "ETHUSDT" and event["k"]["t"] > last for event in events)
            ended = any(frame["k"]["t"] == last for frame in closing_frames(events, "BTCUSDT"))
            return ended and (goes_on or name == "outage")

        events = await heard(socket, 0.5, enough)
        assert max(e["k"]["t"] for e in events if e["s"] == "BTCUSDT") == last
        closed = [e for e in events if e["s"] == "BTCUSDT" and e["k"]["x"] and e["k"]["t"] == last]
        assert len(closed) == 1
        assert truth(exchange, closed[0])
        later = {e["k"]["t"] for e in events if e["s"] == "ETHUSDT"} - {last}
        assert bool([t for t in later if t > last]) == (name == "delist")
