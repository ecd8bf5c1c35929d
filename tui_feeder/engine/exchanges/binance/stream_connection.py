"""One WebSocket with the klines of up to 200 symbols; only a kline frame proves that it works."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.protocol import Event
from websockets.typing import BytesLike

from tui_feeder.engine.core.backoff import Backoff
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.core.proxy import Proxies, reason_of
from tui_feeder.engine.core.supervisor import heartbeat, wait_for_work
from tui_feeder.engine.exchanges.base import StreamHandlers
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.routes import kline_stream, market_url
from tui_feeder.engine.exchanges.binance.stream_messages import Envelope, decode_message, order_batches
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.safe_text import printable

log = logging.getLogger(__name__)

STREAMS_PER_SOCKET = 200
_SECONDS_PER_MESSAGE = 0.5
_MAX_FRAME = 1 << 20
_SHUTDOWN = "serverShutdown"  # sent some ten minutes before the exchange ends a connection
_FIRST_DATA_SECONDS = 15.0  # an acknowledgement without data for so long means a dead path
_SILENCE_SECONDS = 60.0


class _Connection(ClientConnection):
    """Hands on whole text messages while they are read; anything else comes from ``recv``.

    Waiting for each message costs a task, a timer and several turns of the loop: with four messages a second
    of 600 symbols half of all processor time.
    """

    def __init__(
        self,
        take: Callable[[BytesLike], None],
        protocol: ClientProtocol,
        **options: Any,  # noqa: ANN401 - the library's own
    ) -> None:
        super().__init__(protocol, **options)
        self._take = take

    def process_event(self, event: Event) -> None:
        if isinstance(event, WireFrame) and event.opcode is Opcode.TEXT and event.fin:
            self._take(event.data)
        else:
            super().process_event(event)


@dataclass(frozen=True, slots=True)
class StreamEndpoint:
    """Where the sockets of a market connect, and on which terms."""

    stream_url: str  # such as ``wss://fstream.binance.com``
    clock: ExchangeClock
    gate: Callable[[], Any]  # awaited before every connection attempt (one a second in all)
    proxies: Proxies | None = None  # on the way there; those of the environment where none are given
    market: Market = USDM


class MarketSocket(ABC):
    """One socket and the symbols on it; connects again for ever.

    Args:
        name: shown to people.
        symbols: at most :data:`STREAMS_PER_SOCKET`.
        endpoint: where it connects.
        fault: takes the kind of a frame that cannot be used, and the detail.
    """

    def __init__(
        self, name: str, symbols: list[str], endpoint: StreamEndpoint, fault: Callable[[str, str], None]
    ) -> None:
        if len(symbols) > STREAMS_PER_SOCKET:
            raise ValueError(f"{len(symbols)} streams on a socket, at most {STREAMS_PER_SOCKET}")
        self.name = name
        self.symbols = symbols
        self.state = "connecting"
        self.reason = ""
        self.frames = 0
        self.delivering = asyncio.Event()  # set by the first data frame
        self.last_frame: int | None = None  # exchange ms
        self.latency_ms: float | None = None
        self.reconnects = -1
        self.cuts = 0  # connections that ended after data had come over them
        self.renewals = 0
        self.ending = False  # the exchange has announced that it will end the present connection
        self.connected_at: int | None = None  # exchange ms at which the present connection was made
        self._known = set(symbols)
        self._orders: asyncio.Queue[tuple[str, list[str]]] = asyncio.Queue()
        self._number = 0  # of the last order
        market = endpoint.market
        self.url = market_url(endpoint.stream_url, map(self._stream, map(market.bare, symbols)), market)
        self._market = market
        self._proxy = (endpoint.proxies or Proxies()).of(self.url)
        self._clock = endpoint.clock
        self._fault = fault
        self._gate = endpoint.gate
        self._last_frame_at = 0.0  # monotonic time of the last data frame
        self._rate_from = (time.monotonic(), 0)
        self._rate = 0.0

    @staticmethod
    @abstractmethod
    def _stream(symbol: str) -> str:
        """The name of a symbol's stream."""

    @abstractmethod
    def _take(self, raw: str | BytesLike) -> None:
        """Use a message as it came."""

    def _patience(self, any_frame: bool) -> float:
        """How long (s) there may be no data, after a frame of data or before the first one."""
        return _SILENCE_SECONDS if any_frame else _FIRST_DATA_SECONDS

    def add(self, symbols: list[str]) -> None:
        """Subscribes to more symbols on this socket.

        Args:
            symbols: the symbols.

        Raises:
            ValueError: more than :data:`STREAMS_PER_SOCKET` in all.
        """
        if len(self.symbols) + len(symbols) > STREAMS_PER_SOCKET:
            raise ValueError(f"no room for {len(symbols)} streams on {self.name}")
        self.symbols = [*self.symbols, *symbols]
        self._known.update(symbols)
        self._orders.put_nowait(("SUBSCRIBE", symbols))

    def remove(self, symbols: list[str]) -> None:
        """Unsubscribes from symbols.

        Args:
            symbols: the symbols.
        """
        self.symbols = [symbol for symbol in self.symbols if symbol not in symbols]
        self._known.difference_update(symbols)
        self._orders.put_nowait(("UNSUBSCRIBE", symbols))

    def carries(self, symbol: str) -> bool:
        """Checks whether a symbol is subscribed on this socket.

        Args:
            symbol: the symbol.

        Returns:
            True if it is.
        """
        return symbol in self._known

    def frames_per_second(self) -> float:
        """Rate over the time since the last call, at least a second."""
        now = time.monotonic()
        since, frames = self._rate_from
        if now - since >= 1.0:
            self._rate = (self.frames - frames) / (now - since)
            self._rate_from = (now, self.frames)
        return self._rate

    async def run(self) -> None:
        """Connect, subscribe, read; on any end begin again. Ends only by cancellation."""
        backoff = Backoff()
        while True:
            frames = self.frames
            heartbeat()
            try:
                await self._gate()
                self.state, self.reconnects = "connecting", self.reconnects + 1
                async with connect(
                    self.url,
                    max_size=_MAX_FRAME,
                    compression=None,
                    open_timeout=10,
                    close_timeout=1,
                    proxy=None if self._proxy is None else self._proxy.address.reveal(),
                    create_connection=partial(_Connection, self._take),  # type: ignore[arg-type]
                ) as socket:
                    self.connected_at, self.ending = self._clock.now(), False
                    await self._serve(socket)
                self.reason = "closed by the exchange"
            except (OSError, websockets.WebSocketException, TimeoutError) as error:
                self.reason = printable(reason_of(error, self._proxy).removeprefix(": ").lstrip())
            if self.frames > frames:  # reset by data alone, never by an acknowledgement
                backoff.reset()
                self.cuts += 1
            wait = backoff.next()
            self.state, self.connected_at = "backing off", None
            log.warning("stream %s: %s; connecting again in %.1f s", self.name, self.reason, wait)
            heartbeat(wait)
            await asyncio.sleep(wait)

    async def _serve(self, socket: ClientConnection) -> None:
        self._last_frame_at = time.monotonic()
        frames_before = self.frames
        ordering = asyncio.create_task(self._give_orders(socket))
        ordering.add_done_callback(partial(self._orders_ended, socket))
        try:
            while True:
                any_frame = self.frames > frames_before
                silence_seconds = self._patience(any_frame)
                left = self._last_frame_at + silence_seconds - time.monotonic()
                if left <= 0:
                    self.state = "silent"
                    raise TimeoutError(
                        f"no data for {silence_seconds:.0f} s" + ("" if any_frame else " after subscribing")
                    )
                heartbeat(left)
                try:
                    async with asyncio.timeout(left):  # wait_for of Python 3.11 can lose a cancellation
                        raw = await socket.recv()
                except TimeoutError:
                    continue
                except websockets.ConnectionClosed as closed:
                    frame = closed.rcvd
                    self.reason = (
                        f"closed {frame.code} {printable(frame.reason)}".strip()
                        if frame
                        else "connection lost"
                    )
                    raise
                self._take(raw)
        finally:
            ordering.cancel()

    def _orders_ended(self, socket: ClientConnection, ordering: asyncio.Task[None]) -> None:
        """Symbols that could not be subscribed to would stay silent on a socket that lives: begin again."""
        error = None if ordering.cancelled() else ordering.exception()
        if error is not None and not isinstance(error, websockets.ConnectionClosed):
            log.error("stream %s: subscribing failed", self.name, exc_info=error)
            socket.transport.abort()

    async def _give_orders(self, socket: ClientConnection) -> None:
        """Subscribe to everything, then pass on what :meth:`add` and :meth:`remove` ask."""
        while not self._orders.empty():
            self._orders.get_nowait()  # a new socket subscribes to everything at once
        method, symbols = "SUBSCRIBE", self.symbols
        while True:
            for batch in order_batches([self._stream(self._market.bare(symbol)) for symbol in symbols]):
                self._number += 1
                heartbeat(_SECONDS_PER_MESSAGE)
                order = {"method": method, "params": batch, "id": self._number}
                await socket.send(msgspec.json.encode(order), text=True)
                await asyncio.sleep(_SECONDS_PER_MESSAGE)
            wait_for_work()
            method, symbols = await self._orders.get()

    def _received(self, stamp: int) -> None:
        """Note a frame of data, and the exchange's time on it (ms; 0: none)."""
        now = self._clock.now()
        self.state, self.reason = "live", ""
        self.delivering.set()
        self._last_frame_at = time.monotonic()
        self.last_frame = now
        latency = float(now - stamp)
        if stamp:
            self._clock.observe_lag(latency)
        self.latency_ms = latency if self.latency_ms is None else self.latency_ms * 0.95 + latency * 0.05

    def _other(self, message: Envelope, event: str) -> None:
        """Use a message without data of ours: an answer, an announcement, or a mistake."""
        if _SHUTDOWN in (message.e, event):
            self.ending = True
        elif message.code is not None or message.error is not None:
            self._fault("refused order", f"{message.code} {message.msg} {message.error or ''}")
        elif message.id is None:
            self._fault("unknown event", event or "no data")


class KlineSocket(MarketSocket):
    """The klines of some symbols.

    Args:
        name: shown to people.
        symbols: at most :data:`STREAMS_PER_SOCKET`.
        endpoint: where it connects.
        handlers: where frames go.
    """

    def __init__(
        self, name: str, symbols: list[str], endpoint: StreamEndpoint, handlers: StreamHandlers
    ) -> None:
        self._handlers = handlers
        super().__init__(name, symbols, endpoint, handlers.fault)

    _stream = staticmethod(kline_stream)

    def _take(self, raw: str | BytesLike) -> None:
        if self._handlers.raw is not None:
            self._handlers.raw(self.url, raw.encode() if isinstance(raw, str) else bytes(raw))
        try:
            envelope = decode_message(raw)
        except UNREADABLE as error:
            self._fault("unreadable frame", str(error))
            return
        data = envelope.data
        if data is None or data.k is None:
            self._other(envelope, data.e if data is not None else "")
            return
        frame = data.k
        symbol = self._market.prefix + frame.s
        if symbol not in self._known or frame.i != "1m" or frame.t + MINUTE_MS - 1 != frame.T:
            self._fault("unexpected candle", f"{symbol} {frame.i}")
            return
        self.frames += 1
        self._received(data.E)
        closed = frame.x
        if closed and 0 < data.E <= frame.T:  # both are of the exchange's clock, however wrong that is
            closed = False
            text = f"{symbol} minute {frame.t}: called closed at {data.E}, it ends at {frame.T}"
            self._fault("premature close", text)
        if self._handlers.trade_ids is not None:
            self._handlers.trade_ids(symbol, frame.t, frame.trade_ids(), closed)
        self._handlers.candle(symbol, frame.candle(), closed, data.E)
