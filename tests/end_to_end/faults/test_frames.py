"""Fault 7 with frames nobody thought of: whatever a server sends, the socket goes on to the next frame."""

from __future__ import annotations

import asyncio
import json

import pytest
from feed import NOON, until
from streams import Heard
from websockets.asyncio.server import ServerConnection, serve

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.exchanges.base import StreamHandlers
from tui_feeder.engine.exchanges.binance.stream_pool import MarketStreams


def kline(**changed: object) -> str:
    """A closing frame, as the exchange's documentation shows one."""
    k = {
        "t": NOON, "T": NOON + MINUTE_MS - 1, "s": "BTCUSDT", "i": "1m", "f": 100, "L": 200, "o": "100.10",
        "c": "100.20", "h": "100.30", "l": "100.00", "v": "1000", "n": 100, "x": True, "q": "100150.0",
        "V": "500", "Q": "50075.0", "B": "123456",
    } | changed  # fmt: skip
    event = {"e": "kline", "E": NOON + MINUTE_MS + 200, "s": "BTCUSDT", "k": k}
    return json.dumps({"stream": "btcusdt@kline_1m", "data": event})


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[]",
        "[" * 200_000,
        '{"data":{"pad":' + "[" * 200_000,
        b'{"data":{"e":"\xff\xfe"}}',
        b"\x00" * 64,
        '{"data":{"e":"kline","k":null}}',
        '{"data":{"e":"kline","E":1e999,"k":{}}}',
        kline(t=10**30),
        kline(c="1e999"),
        kline(s=None),
        kline(x="perhaps"),
        kline(o=[]),
    ],
    ids=lambda frame: str(frame[:24]),
)
async def test_7_no_frame_ends_the_reading_of_the_next(frame: str | bytes) -> None:
    async def talk(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(frame)
        await socket.send(kline())
        await socket.wait_closed()

    async with serve(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        heard = Heard()
        handlers = StreamHandlers(heard.candle, heard.fault)
        streams = MarketStreams(f"ws://127.0.0.1:{port}", ["BTCUSDT"], ExchangeClock(), handlers)
        running = asyncio.create_task(streams.run())
        try:
            await until(lambda: heard.closed["BTCUSDT"] or running.done())
            assert heard.closed["BTCUSDT"] == [NOON]
            assert len(heard.faults) == 1
            assert streams.sockets[0].reconnects == 0
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
