"""Live trades of forty symbols through sockets into stored ladders, and what that takes of a processor.

``python -m benchmarks._live_trades`` is the exchange, a process of its own: it sends as fast as it is read.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
from msgspec.structs import replace
from websockets.asyncio.server import ServerConnection, serve

from tui_feeder.config import Application, Config, Exchange, Trades
from tui_feeder.engine.acquisition.ingest import Ingest, IngestListener
from tui_feeder.engine.acquisition.live_trades import LiveTrades
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, to_rows
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import Supervisor
from tui_feeder.engine.derived.stored_ladders import is_exact, read_minute
from tui_feeder.engine.exchanges.binance.markets import binance_markets
from tui_feeder.engine.storage.store import Store

SYMBOLS = 40
A_SECOND = 20_000
_SECONDS = 30
_BEGIN = 1_773_144_000_000  # 2026-03-10T12:00Z: a minute of which half is sent, and the beginning of the next
_FIRST_MS = _BEGIN + 40_000
_PER_SYMBOL = A_SECOND * _SECONDS // SYMBOLS


def _symbol(number: int) -> str:
    return f"C{number}USDT"


class _Sent:
    """The trades of a symbol."""

    def __init__(self, number: int) -> None:
        dice = np.random.default_rng(number)
        self.prices = 100_000 + np.cumsum(dice.integers(-3, 4, _PER_SYMBOL))  # in 0.01
        self.quantities = dice.integers(1, 5_000, _PER_SYMBOL)  # in 0.001
        self.counts = dice.integers(1, 4, _PER_SYMBOL)
        self.makers = dice.random(_PER_SYMBOL) < 0.5
        self.times = _FIRST_MS + np.arange(_PER_SYMBOL) * _SECONDS * 1000 // _PER_SYMBOL
        self.lasts = 7_000_000 + np.cumsum(self.counts)

    def frames(self, symbol: str) -> list[bytes]:
        """As they come over a socket."""
        made = []
        columns = (self.prices, self.quantities, self.counts, self.lasts, self.times, self.makers)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for number, (price, quantity, count, last, at, maker) in enumerate(rows):
            body = (
                f'{{"stream":"{symbol.lower()}@aggTrade","data":{{"e":"aggTrade","E":{at + 110},'
                f'"s":"{symbol}",'
                f'"a":{9_000_000 + number},"p":"{price / 100:.2f}","q":"{quantity / 1000:.3f}",'
                f'"nq":"{quantity / 1000:.3f}","f":{last - count + 1},"l":{last},"T":{at},'
                f'"m":{"true" if maker else "false"},"st":1}}}}'
            ).encode()
            made.append(bytes((0x81, 126)) + len(body).to_bytes(2, "big") + body)
        return made

    def candle(self) -> Candle:
        """Of the minute whose end was sent."""
        inside = self.times < _BEGIN + MINUTE_MS
        prices, quantities = self.prices[inside] / 100, self.quantities[inside]
        bought = int(quantities[~self.makers[inside]].sum())
        worth = float((prices * quantities).sum()) / 1000
        return Candle(
            _BEGIN, float(prices[0]), float(prices.max()), float(prices.min()), float(prices[-1]),
            int(quantities.sum()) / 1000, worth, int(self.counts[inside].sum()), bought / 1000,
            worth * bought / int(quantities.sum()),
        )  # fmt: skip


def _parts() -> Iterator[bytes]:
    """All frames in the order of their times, some hundred at a time, as they lie in a socket."""
    frames = [_Sent(number).frames(_symbol(number)) for number in range(SYMBOLS)]
    for at in range(0, _PER_SYMBOL, 10):
        yield b"".join(frame for of in frames for frame in of[at : at + 10])


async def _until(what: Callable[[], bool], pause: float = 0.05) -> None:
    async with asyncio.timeout(300):
        while True:
            if what():
                return
            await asyncio.sleep(pause)


async def _send() -> None:
    parts = list(_parts())

    async def serves(connection: ServerConnection) -> None:
        await connection.recv()
        for part in parts:
            connection.transport.write(part)
            await _until(lambda: connection.transport.get_write_buffer_size() <= 1 << 20, 0.001)
        await connection.wait_closed()

    async with serve(serves, "127.0.0.1", 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.Event().wait()


async def _receive(port: int, folder: Path) -> tuple[float, int, int]:
    """Processor seconds, trades that came, and minutes that are exact."""
    symbols = tuple(_symbol(number) for number in range(SYMBOLS))
    config = Config(
        application=replace(Application(), symbols=symbols),
        exchange=replace(Exchange(), stream_url=f"ws://127.0.0.1:{port}"),
        trades=Trades(symbols=symbols),
    )
    workers, store = worker_thread(), Store(folder, exchange="benchmark")
    exchange = binance_markets(config, workers, None)
    now = time.monotonic()
    exchange.clock.measure([(now, _BEGIN + MINUTE_MS, now)])
    journal = Journal(exchange.clock.now)
    closed: list[tuple[str, Candle]] = []
    supervisor = Supervisor(journal)
    ingest = Ingest(store, journal, cast("IngestListener", None), lambda *_: None)

    async def rebuilt(symbol: str, since: int, logged: bool) -> int:
        del symbol, since, logged
        return 0

    live = LiveTrades(
        config.trades, store, exchange, journal, ingest, supervisor,
        lambda symbol, candle: closed.append((symbol, candle)), lambda _: True, rebuilt,
    )  # fmt: skip
    candles = {symbol: _Sent(number).candle() for number, symbol in enumerate(symbols)}
    live.assign(symbols)
    supervisor.start("live trades", live.run)
    before = time.process_time()
    await _until(lambda: journal.counters["live_trades"] >= SYMBOLS * _PER_SYMBOL)
    for symbol, candle in candles.items():
        live.closed(symbol, candle)
    await _until(lambda: len(closed) == SYMBOLS)
    await asyncio.wrap_future(store.flushed())
    spent = time.process_time() - before
    live.stop()
    await supervisor.stop()
    await exchange.close()
    exact = 0
    for symbol, candle in candles.items():
        exact += is_exact(to_rows([candle]), read_minute(store, symbol, _BEGIN))
    trades = journal.counters["live_trades"]
    store.close()
    workers.shutdown()
    return spent, trades, exact


def measured() -> tuple[float, int, int]:
    """Sends and receives all of it.

    Returns:
        Share of a processor at the rate of :data:`A_SECOND`, trades that came, and minutes that are exact.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks._live_trades"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        with tempfile.TemporaryDirectory() as name:
            spent, trades, exact = asyncio.run(_receive(port, Path(name)))
    finally:
        child.kill()
        child.wait()
    return spent / (trades / A_SECOND), trades, exact


def main() -> None:
    asyncio.run(_send())


if __name__ == "__main__":
    main()
