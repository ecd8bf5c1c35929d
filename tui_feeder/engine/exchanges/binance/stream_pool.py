"""The sockets of all symbols: which symbol is on which, and their renewal before the exchange ends them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.proxy import Proxies
from tui_feeder.engine.core.supervisor import heartbeat
from tui_feeder.engine.exchanges.base import StreamHandlers, TradeHandlers
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.stream_connection import (
    STREAMS_PER_SOCKET,
    KlineSocket,
    MarketSocket,
    StreamEndpoint,
)
from tui_feeder.engine.exchanges.binance.trade_connection import TradeSocket
from tui_feeder.engine.exchanges.binance.usdm import USDM

log = logging.getLogger(__name__)

#: The exchange ends a socket after 24 h; it is replaced an hour before, each socket at a time of its own.
_RENEWED_AFTER_MS = 23 * 60 * MINUTE_MS
_RENEWAL_STAGGER_MS = 2 * MINUTE_MS
_RENEWAL_PATIENCE_SECONDS = 30.0


class ConnectionGate:
    """Lets one connection attempt pass a second: the exchange counts those of all streams of a market."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._last_attempt = 0.0

    async def passed(self) -> None:
        """Wait until a second has passed since the attempt before."""
        async with self._turn:
            wait = self._last_attempt + 1.0 - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self._last_attempt = time.monotonic()


class MarketStreams:
    """The sockets of all symbols; :meth:`assign` changes which they are while running.

    Args:
        stream_url: such as ``wss://fstream.binance.com``.
        symbols: whose.
        clock: exchange time.
        handlers: where frames go; those of trades make it the streams of trades.
        proxies: on the way there; those of the environment where none are given.
        market: whose streams these are.
        gate: shared with other streams of the market.
    """

    def __init__(
        self,
        stream_url: str,
        symbols: Sequence[str],
        clock: ExchangeClock,
        handlers: StreamHandlers | TradeHandlers,
        proxies: Proxies | None = None,
        market: Market = USDM,
        gate: ConnectionGate | None = None,
    ) -> None:
        self.sockets: list[MarketSocket] = []
        self._name = "market" if not market.prefix else market.name
        if isinstance(handlers, TradeHandlers):
            self._name += "-trades"
        self._endpoint = StreamEndpoint(stream_url, clock, self._one_a_second, proxies, market)
        self._clock = clock
        self._handlers = handlers
        self._gate = gate or ConnectionGate()
        self._opened = 0
        self._changed = asyncio.Event()  # there are others in ``sockets`` than run
        self.assign(symbols)

    def assign(self, symbols: Sequence[str]) -> None:
        """Follow exactly these symbols; those that stay keep their socket.

        Args:
            symbols: each once.
        """
        wanted = dict.fromkeys(symbols)
        for socket in self.sockets:
            gone = [symbol for symbol in socket.symbols if symbol not in wanted]
            if gone:
                socket.remove(gone)
            for symbol in socket.symbols:
                del wanted[symbol]
        new = list(wanted)
        for socket in self.sockets:
            room = STREAMS_PER_SOCKET - len(socket.symbols)
            if new and room:
                socket.add(new[:room])
                new = new[room:]
        for at in range(0, len(new), STREAMS_PER_SOCKET):
            self._opened += 1
            shard = new[at : at + STREAMS_PER_SOCKET]
            self.sockets.append(self._socket(f"{self._name}-{self._opened}", shard))
        # One without symbols would get no data, and connect again for ever.
        self.sockets[:] = [socket for socket in self.sockets if socket.symbols]
        self._changed.set()

    def _socket(self, name: str, symbols: list[str]) -> MarketSocket:
        if isinstance(self._handlers, TradeHandlers):
            return TradeSocket(name, symbols, self._endpoint, self._handlers)
        return KlineSocket(name, symbols, self._endpoint, self._handlers)

    async def _one_a_second(self) -> None:
        """Hold a connection attempt until a second has passed since the one before it."""
        await self._gate.passed()

    async def run(self) -> None:
        """Run every socket, those that are added and those that replace others, until cancelled."""
        running: dict[MarketSocket, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(self._renew(group, running), name="renewals")
            try:
                while True:
                    self._changed.clear()
                    for gone in [socket for socket in running if socket not in self.sockets]:
                        running.pop(gone).cancel()
                    for socket in self.sockets:
                        if socket not in running:
                            running[socket] = group.create_task(socket.run(), name=socket.name)
                    await self._changed.wait()
            finally:
                renewing.cancel()

    async def _renew(self, group: asyncio.TaskGroup, running: dict[MarketSocket, asyncio.Task[None]]) -> None:
        """Replace sockets before the exchange ends them: the new one delivers before the old one goes.

        What both deliver goes to the ingest, which takes each minute once.
        """
        while True:
            pause = min(5.0, max(0.05, self._clock.real_seconds(MINUTE_MS)))
            heartbeat(pause)
            await asyncio.sleep(pause)
            for at, old in enumerate(tuple(self.sockets)):
                due = _RENEWED_AFTER_MS + at * _RENEWAL_STAGGER_MS
                connected = old.connected_at
                if connected is None or (not old.ending and self._clock.now() - connected < due):
                    continue
                new = self._socket(old.name, old.symbols)
                task = group.create_task(new.run(), name=new.name)
                heartbeat(_RENEWAL_PATIENCE_SECONDS)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_RENEWAL_PATIENCE_SECONDS):
                        await new.delivering.wait()
                if not new.frames or old.symbols != new.symbols or old not in self.sockets:
                    task.cancel()  # no better than the old one, or outdated meanwhile: try again later
                    continue
                log.info("stream %s renewed", old.name)
                self.sockets[self.sockets.index(old)], running[new] = new, task
                new.renewals, new.reconnects, new.cuts = old.renewals + 1, old.reconnects, old.cuts
                running.pop(old).cancel()
