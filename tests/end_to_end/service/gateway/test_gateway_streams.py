"""Kline streams: control messages, closing frames once and in order, forming ones conflated, slow readers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.feed import NOON, until
from tests.support.gateways import GatewayUnderTest, gateway_of
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle
from tui_feeder.service.gateway import kline_stream, stream_client
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

BTC, ETH, QUIET = "BTCUSDT", "ETHUSDT", "币安人生USDT"
DAY = {symbol: (NOON - DAY_MS, NOON) for symbol in (BTC, ETH, QUIET)}


@contextlib.asynccontextmanager
async def gateway(path: Path) -> AsyncIterator[tuple[GatewayUnderTest, Exchange]]:
    market = synthetic_market([BTC, ETH, QUIET], as_of_ms=NOON)
    exchange = Exchange(market, SimulatedClock(NOON + 30_000, 1e-6))
    async with exchange, gateway_of(exchange, path, DAY) as served:
        served.feeder.candles.clear()
        yield served, exchange


class Listener:
    """Reads a WebSocket into a list of events."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.connection:
            self.events.append(json.loads(message.data))

    async def say(self, method: str, params: object = None, ident: object = 1) -> dict[str, Any]:
        """The answer to a control message."""
        await asyncio.sleep(0.11)  # ten messages a second are allowed
        await self.connection.send_json({"method": method, "params": params, "id": ident})
        found: list[dict[str, Any]] = []

        def answered() -> bool:
            found[:] = [event for event in self.events if "result" in event or "code" in event]
            return bool(found)

        await until(answered)
        self.events.remove(found[0])
        return found[0]

    def closed(self, name: str | None = None) -> list[int]:
        """Open times of closing frames."""
        events = [
            event.get("data", event) for event in self.events if name is None or event["stream"] == name
        ]
        return [event["k"]["t"] for event in events if event.get("e") == "kline" and event["k"]["x"]]


@contextlib.asynccontextmanager
async def listening(served: GatewayUnderTest, path: str) -> AsyncIterator[Listener]:
    async with served.session.ws_connect(served.url + path) as connection:
        listener = Listener(connection)
        try:
            yield listener
        finally:
            listener.task.cancel()


@pytest.mark.parametrize("prefix", ["", "/market"])
async def test_closing_frames_equal_the_rows_on_every_path_and_form(tmp_path: Path, prefix: str) -> None:
    async with gateway(tmp_path) as (served, exchange), contextlib.AsyncExitStack() as stack:
        names = f"btcusdt@kline_1m/btcusdt@kline_5m/{QUIET.lower()}@kline_1m"
        raw = await stack.enter_async_context(listening(served, f"{prefix}/ws/btcusdt@kline_1m"))
        wrapped = await stack.enter_async_context(listening(served, f"{prefix}/stream?streams={names}"))
        asked = await stack.enter_async_context(listening(served, f"{prefix}/ws"))
        assert await asked.say("SUBSCRIBE", ["btcusdt@kline_1m", "ethusdt@kline_3m"], 7) == {
            "result": None,
            "id": 7,
        }
        for n in range(6):
            for symbol in (BTC, ETH, QUIET):
                at = NOON + n * MINUTE_MS
                served.commit(exchange.market, symbol, at, at + MINUTE_MS)
        minutes = [NOON + n * MINUTE_MS for n in range(6)]
        await until(lambda: len(wrapped.closed()) >= 13)
        await until(lambda: len(asked.closed()) >= 8)
        assert raw.closed() == minutes
        assert wrapped.closed("btcusdt@kline_1m") == wrapped.closed(f"{QUIET.lower()}@kline_1m") == minutes
        assert wrapped.closed("btcusdt@kline_5m") == [NOON]
        assert [event["k"]["i"] for event in asked.events].count("3m") == 2

        served.feeder.clock = SimulatedClock(NOON + 6 * MINUTE_MS + 30_000, 1e-6)
        for event in (*raw.events, *(event["data"] for event in wrapped.events)):
            bar = event["k"]
            path = f"/fapi/v1/klines?symbol={bar['s']}&interval={bar['i']}&startTime={bar['t']}&limit=1"
            row = json.loads((await served.get(path))[1])[0]
            shown = [bar[key] for key in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")]
            assert shown == row
            assert (event["e"], event["s"], bar["x"]) == ("kline", bar["s"], True)


async def test_control_messages_are_answered_as_by_the_exchange(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (served, exchange), listening(served, "/ws") as listener:
        assert await listener.say("LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}
        assert await listener.say("SUBSCRIBE", ["btcusdt@kline_1m", "btcusdt@kline_1M"]) == {
            "result": None,
            "id": 1,
        }
        assert (await listener.say("LIST_SUBSCRIPTIONS", ident=3))["result"] == [
            "btcusdt@kline_1m",
            "btcusdt@kline_1M",
        ]
        assert await listener.say("UNSUBSCRIBE", ["btcusdt@kline_1M", "nope"]) == {"result": None, "id": 1}
        assert (await listener.say("LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@kline_1m"]
        assert (await listener.say("LIST_SUBSCRIPTIONS", ident="685a8013-2608"))["id"] == "685a8013-2608"
        assert await listener.say("GET_PROPERTY", ["combined"]) == {"result": False, "id": 1}
        assert await listener.say("SET_PROPERTY", ["combined", True]) == {"result": None, "id": 1}
        served.commit(exchange.market, BTC, NOON, NOON + MINUTE_MS)
        await until(lambda: listener.closed("btcusdt@kline_1m") == [NOON])
        listener.events.clear()
        for method, params, ident, code, text in (
            ("SUBSCRIBE", "btcusdt@kline_1m", 1, 2, "params must be an array of strings"),
            ("SUBSCRIBE", [1], 1, 2, "params must be an array of strings"),
            ("SUBSCRIBE", ["btcusdt@aggTrade"], 1, 2, "kline streams alone"),
            ("SUBSCRIBE", ["solusdt@kline_1m"], 1, 2, "Invalid symbol"),
            ("SUBSCRIBE", ["btcusdt@kline_7m"], 1, 2, "kline streams alone"),
            ("SUBSCRIBE", [f"btcusdt@kline_{n}" for n in range(1100)], 1, 2, "more than 1024 streams"),
            ("BUY", [], 1, 2, "unknown variant `BUY`"),
            ("SET_PROPERTY", ["combined", "yes"], 1, 1, "expected Boolean"),
            ("SET_PROPERTY", ["colour", True], 1, 0, "Unknown property"),
            ("LIST_SUBSCRIPTIONS", None, -1, 2, "unsigned integer"),
            ("LIST_SUBSCRIPTIONS", None, "x" * 65, 2, "unsigned integer"),
        ):  # fmt: skip
            answer = await listener.say(method, params, ident)
            assert (answer["code"], text in answer["msg"]) == (code, True), (method, answer)
        await listener.connection.send_str("{")
        await until(lambda: any(event.get("code") == 3 for event in listener.events))


async def test_streams_that_are_not_served_are_refused_before_the_handshake(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (served, _):
        for path, code in (
            ("/ws/solusdt@kline_1m", -1121), ("/stream?streams=btcusdt@kline_1m/btcusdt@depth", -1121),
            ("/market/ws/!miniTicker@arr", -1121), ("/ws?listenKey=abc", -1002),
            ("/private/stream?listenKey=abc&streams=btcusdt@kline_1m", -1002),
        ):  # fmt: skip
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await served.session.ws_connect(served.url + path)
            assert json.loads((await served.get(path))[1])["code"] == code


async def test_forming_frames_are_conflated_and_never_of_a_minute_that_is_stored(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (served, exchange):
        names = "btcusdt@kline_1m/btcusdt@kline_5m"
        async with listening(served, f"/stream?streams={names}") as listener:
            began = time.monotonic()
            for n in range(200):
                close = 100.0 + n / 100
                served.feeder.candles[BTC] = Candle(
                    NOON, 100.0, close, 99.0, close, 2.0, 200.0, n + 1, 1.0, 100.0
                )
                await asyncio.sleep(0.005)
            await until(lambda: listener.events and listener.events[-1]["data"]["k"]["c"] == "101.99")
            bars = [event["data"]["k"] for event in listener.events]
            # Each of the two at most four times a second.
            assert 4 <= len(bars) <= 2 * (4 * (time.monotonic() - began) + 2) < 200
            assert not any(bar["x"] for bar in bars)
            assert {(bar["t"], bar["i"]) for bar in bars} == {(NOON, "1m"), (NOON, "5m")}
            served.commit(exchange.market, BTC, NOON, NOON + MINUTE_MS)
            await until(lambda: listener.closed("btcusdt@kline_1m") == [NOON])
            count = len(listener.events)
            served.feeder.candles[BTC] = Candle(
                NOON, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 1.0, 1.0
            )  # it comes late
            await asyncio.sleep(0.6)
            assert len(listener.events) == count
            following = Candle(NOON + MINUTE_MS, 7.0, 1e6, 7.0, 8.0, 0.5, 3.75, 2, 0.0, 0.0)
            served.feeder.candles[BTC] = following
            await until(lambda: len(listener.events) >= count + 2)
            one, five = (event["data"]["k"] for event in listener.events[count : count + 2])
            assert (one["t"], one["o"], one["n"]) == (NOON + MINUTE_MS, "7.00", 2)
            row = json.loads(
                (await served.get(f"/fapi/v1/klines?symbol={BTC}&interval=1m&startTime={NOON}&limit=1"))[1]
            )
            assert (five["t"], five["o"], five["h"], five["c"]) == (NOON, row[0][1], "1000000.00", "8.00")
            assert five["n"] == row[0][8] + 2


async def test_a_bar_that_lacks_minutes_comes_late_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(tmp_path) as (served, exchange):
        names = "btcusdt@kline_1m/btcusdt@kline_3m"
        async with listening(served, f"/stream?streams={names}") as listener:
            served.commit(exchange.market, BTC, NOON + 2 * MINUTE_MS, NOON + 4 * MINUTE_MS)
            await asyncio.sleep(0.3)
            assert listener.closed() == []  # the hole before them is being filled
            served.commit(exchange.market, BTC, NOON, NOON + MINUTE_MS)
            await until(lambda: listener.closed("btcusdt@kline_1m") == [NOON])
            served.commit(exchange.market, BTC, NOON + MINUTE_MS, NOON + 2 * MINUTE_MS)
            await until(lambda: len(listener.closed()) == 5)
            assert listener.closed("btcusdt@kline_1m") == [NOON + n * MINUTE_MS for n in range(4)]
            assert listener.closed("btcusdt@kline_3m") == [NOON]

            monkeypatch.setattr(kline_stream, "_HOLD_SECONDS", 0.2)
            listener.events.clear()
            served.commit(exchange.market, BTC, NOON + 5 * MINUTE_MS, NOON + 9 * MINUTE_MS)
            later = [NOON + n * MINUTE_MS for n in range(5, 9)]
            await until(lambda: listener.closed("btcusdt@kline_1m") == later)
            assert listener.closed("btcusdt@kline_3m") == [NOON + 6 * MINUTE_MS]
            served.commit(exchange.market, BTC, NOON + 4 * MINUTE_MS, NOON + 5 * MINUTE_MS)
            await until(lambda: len(listener.closed()) == 7)
            assert listener.closed("btcusdt@kline_1m") == [*later, NOON + 4 * MINUTE_MS]
            assert listener.closed("btcusdt@kline_3m") == [NOON + 6 * MINUTE_MS, NOON + 3 * MINUTE_MS]


async def slow_client(
    served: GatewayUnderTest, path: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose kernel takes little and that reads nothing until it is asked to."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", int(served.url.rpartition(":")[2])))
    reader, writer = await asyncio.open_connection(sock=made, limit=2048)
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return reader, writer


async def frames_of(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """Opcode and payload of each frame."""
    while True:
        first, size = await reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2), "big")
        yield first & 15, await reader.readexactly(size)


async def test_a_reader_that_stops_misses_no_close_and_one_that_is_hopeless_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_client, "MOST_UNREAD", 20_000)
    monkeypatch.setattr(stream_client, "_ROOM", 5_000)
    monkeypatch.setattr(stream_client, "STUCK_SECONDS", 1e9)
    async with gateway(tmp_path) as (served, exchange):
        names = "/".join(f"{symbol.lower()}@kline_1m" for symbol in (BTC, ETH))
        reader, writer = await slow_client(served, f"/stream?streams={names}")
        async with listening(served, f"/stream?streams={names}") as other:
            await reader.readuntil(b"\r\n\r\n")
            count = 3_000
            for n in range(0, count, 50):
                for symbol in (BTC, ETH):
                    served.commit(exchange.market, symbol, NOON + n * MINUTE_MS, NOON + (n + 50) * MINUTE_MS)
                await until(lambda n=n: len(other.closed()) == 2 * (n + 50))  # the others are not affected
            wanted = [NOON + n * MINUTE_MS for n in range(count)]
            assert other.closed("btcusdt@kline_1m") == other.closed("ethusdt@kline_1m") == wanted
            assert served.figures.frames < 4 * count  # what it does not read is not written either

            got: dict[str, list[int]] = {}
            async with asyncio.timeout(60):
                async for _, payload in frames_of(reader):
                    event = json.loads(payload)
                    got.setdefault(event["stream"], []).append(event["data"]["k"]["t"])
                    if sum(map(len, got.values())) == 2 * count:
                        break
            assert got == {"btcusdt@kline_1m": wanted, "ethusdt@kline_1m": wanted}
            at = NOON + count * MINUTE_MS
            served.commit(exchange.market, BTC, at, at + MINUTE_MS)
            event = json.loads((await anext(frames_of(reader)))[1])
            assert event["data"]["k"]["t"] == at
        writer.close()

        monkeypatch.setattr(stream_client, "STUCK_SECONDS", 0.3)
        reader, writer = await slow_client(served, f"/stream?streams={names}")
        await reader.readuntil(b"\r\n\r\n")
        for n in range(count + 1, 2 * count, 100):
            served.commit(exchange.market, BTC, NOON + n * MINUTE_MS, NOON + (n + 100) * MINUTE_MS)
        await until(lambda: served.figures.cut == 1)
        writer.close()


async def test_a_reader_that_stops_gets_bars_that_came_late_meanwhile_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_client, "MOST_UNREAD", 20_000)
    monkeypatch.setattr(stream_client, "_ROOM", 5_000)
    monkeypatch.setattr(stream_client, "STUCK_SECONDS", 1e9)
    monkeypatch.setattr(kline_stream, "_HOLD_SECONDS", 0.1)
    async with gateway(tmp_path) as (served, exchange):
        path = "/stream?streams=btcusdt@kline_1m"
        reader, writer = await slow_client(served, path)
        async with listening(served, path) as other:
            await reader.readuntil(b"\r\n\r\n")

            def commit(first: int, after: int) -> None:
                start, end = NOON + first * MINUTE_MS, NOON + after * MINUTE_MS
                served.commit(exchange.market, BTC, start, end)

            # Of the holes one is filled before the reader goes on, one while it is sent what it lacks.
            commit(0, 1_000)
            await until(lambda: len(other.closed()) == 1_000)
            commit(1_001, 2_000)
            await until(lambda: len(other.closed()) == 1_999)
            commit(2_001, 3_000)
            await until(lambda: len(other.closed()) == 2_998)
            (client,) = (client for client in served.server._streams.clients if client.behind)
            commit(1_000, 1_001)
            await until(lambda: len(other.closed()) == 2_999)
            got: list[int] = []
            async with asyncio.timeout(60):
                async for _, payload in frames_of(reader):
                    got.append(json.loads(payload)["data"]["k"]["t"])
                    if len(got) == 500:
                        assert client.behind
                        commit(2_000, 2_001)
                    if len(got) >= 3_000 and not client.behind:
                        break
            commit(3_000, 3_001)
            async with asyncio.timeout(60):
                async for _, payload in frames_of(reader):
                    got.append(json.loads(payload)["data"]["k"]["t"])
                    if got[-1] == NOON + 3_000 * MINUTE_MS:
                        break
            assert sorted(got) == [NOON + n * MINUTE_MS for n in range(3_001)]
        writer.close()


async def test_a_stream_begun_while_history_is_read_has_no_bars_of_the_past(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (served, exchange):
        now = NOON + 180 * MINUTE_MS
        served.feeder.clock = SimulatedClock(now + 30_000, 1e-6)
        names = "btcusdt@kline_1m/btcusdt@kline_1h"
        async with listening(served, f"/stream?streams={names}") as listener:
            for start in range(NOON, now - 10 * MINUTE_MS, 17 * MINUTE_MS):
                served.commit(exchange.market, BTC, start, min(start + 17 * MINUTE_MS, now - 10 * MINUTE_MS))
            served.commit(exchange.market, BTC, now - 10 * MINUTE_MS, now)
            await until(lambda: (now - MINUTE_MS) in listener.closed("btcusdt@kline_1m"))
            minutes = [now - 2 * MINUTE_MS, now - MINUTE_MS]
            assert listener.closed("btcusdt@kline_1m")[-2:] == minutes
            assert len(listener.closed("btcusdt@kline_1m")) <= 3
            await until(lambda: listener.closed("btcusdt@kline_1h") == [now - 60 * MINUTE_MS])
            served.commit(exchange.market, BTC, now, now + MINUTE_MS)
            await until(lambda: listener.closed("btcusdt@kline_1m")[-1] == now)


@pytest.mark.parametrize(
    "path", ["/ws/btcusdt@kline_1m", "/api/v1/stream?symbols=BTCUSDT", "/stream?streams=ethusdt@kline_1m"]
)
async def test_clients_that_reset_while_they_connect_leave_nothing_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    async with gateway(tmp_path) as (served, _):
        port = int(served.url.rpartition(":")[2])
        request = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        for _ in range(10):
            for _ in range(20):
                with socket.socket() as made:
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    made.connect(("127.0.0.1", port))
                    made.send(request)
            assert (await served.get("/fapi/v1/ping"))[0] == 200
        assert not [record for record in caplog.records if record.levelname == "ERROR"]
