"""How kline frames are read off a socket, whatever pieces they come in."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

from feed import NOON, until
from websockets.asyncio.server import ServerConnection, serve

from tui_feeder.engine.core.candle import MINUTE_MS, Candle
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.exchanges.base import StreamHandlers
from tui_feeder.engine.exchanges.binance.stream_connection import KlineSocket, StreamEndpoint


def kline(trades: int, *, symbol: str = "BTCUSDT") -> str:
    """A frame as the exchange sends it, told apart by its number of trades."""
    k = {
        "t": NOON, "T": NOON + MINUTE_MS - 1, "s": symbol, "i": "1m", "f": 1, "L": trades,
        "o": "1.5", "c": "1.6", "h": "1.7", "l": "1.4", "v": "10", "n": trades, "x": False,
        "q": "15.5", "V": "4", "Q": "6.2", "B": "0",
    }  # fmt: skip
    data = {"e": "kline", "E": NOON + 1, "s": symbol, "k": k}
    return json.dumps({"stream": f"{symbol.lower()}@kline_1m", "data": data})


class Heard:
    """The trades of every frame taken, and the faults told."""

    def __init__(self) -> None:
        self.trades: list[int] = []
        self.faults: list[str] = []
        self.fails_at: int | None = None

    def candle(self, symbol: str, candle: Candle, closed: bool, event_ms: int) -> None:
        if candle.trades == self.fails_at:
            self.fails_at = None
            raise RuntimeError("whoever is told has a fault")
        self.trades.append(candle.trades)

    def fault(self, kind: str, detail: str) -> None:
        self.faults.append(kind)


@contextlib.asynccontextmanager
async def reading(
    send: Callable[[ServerConnection], Awaitable[None]], heard: Heard
) -> AsyncIterator[KlineSocket]:
    """A socket of BTCUSDT at a server that greets every connection with ``send`` and keeps it."""

    async def handler(connection: ServerConnection) -> None:
        await send(connection)
        await connection.wait_closed()

    async def gate() -> None:
        pass

    async with serve(handler, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        endpoint = StreamEndpoint(f"ws://127.0.0.1:{port}", ExchangeClock(), gate)
        socket = KlineSocket("test", ["BTCUSDT"], endpoint, StreamHandlers(heard.candle, heard.fault))
        running = asyncio.create_task(socket.run())
        try:
            yield socket
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_frames_sent_with_the_handshake_are_taken() -> None:
    async def send(connection: ServerConnection) -> None:
        for trades in range(1, 501):
            connection.protocol.send_text(kline(trades).encode())
        connection.send_data()

    heard = Heard()
    async with reading(send, heard) as socket:
        await until(lambda: len(heard.trades) == 500)
        assert heard.trades == list(range(1, 501))
        assert socket.state == "live"
        assert socket.frames == 500


async def test_frames_cut_anywhere_by_the_network_are_taken_whole_and_in_order() -> None:
    async def send(connection: ServerConnection) -> None:
        frames = b""
        for trades in range(1, 21):
            connection.protocol.send_text(kline(trades).encode())
            frames += b"".join(connection.protocol.data_to_send())
        for at in range(0, len(frames), 97):
            connection.transport.write(frames[at : at + 97])
            await asyncio.sleep(0.002)

    heard = Heard()
    async with reading(send, heard):
        await until(lambda: len(heard.trades) == 20)
        assert heard.trades == list(range(1, 21))


async def test_fragmented_and_binary_messages_are_taken_too() -> None:
    async def send(connection: ServerConnection) -> None:
        await connection.send(kline(1))
        await connection.send([kline(2)[:40], kline(2)[40:]])
        await connection.send(kline(3).encode())
        await connection.send(kline(4))

    heard = Heard()
    async with reading(send, heard) as socket:
        await until(lambda: len(heard.trades) == 4)
        assert sorted(heard.trades) == [1, 2, 3, 4]
        assert heard.faults == []
        assert socket.reconnects == 0


async def test_text_that_is_no_utf_8_and_no_json_is_counted_and_the_socket_kept() -> None:
    async def send(connection: ServerConnection) -> None:
        connection.protocol.send_text(b'{"data": "\xff\xfe')
        connection.protocol.send_text(b"\xff" * 200)
        connection.send_data()
        await connection.send(kline(7))

    heard = Heard()
    async with reading(send, heard) as socket:
        await until(lambda: heard.trades == [7])
        assert heard.faults == ["unreadable frame", "unreadable frame"]
        assert socket.reconnects == 0


async def test_a_fault_of_whoever_is_told_costs_the_connection_and_no_more() -> None:
    async def send(connection: ServerConnection) -> None:
        await connection.send(kline(1))
        await connection.send(kline(2))
        await connection.send(kline(3))

    heard = Heard()
    heard.fails_at = 2
    async with reading(send, heard) as socket:
        await until(lambda: heard.trades[-3:] == [1, 2, 3])
        assert heard.trades == [1, 1, 2, 3]
        assert socket.reconnects == 1
