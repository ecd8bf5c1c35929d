"""Live klines over WebSocket. Health is data: only a kline frame proves that a socket works."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
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

from tui_feeder.configuration.text import printable
from tui_feeder.engine.core.backoff import Backoff
from tui_feeder.engine.core.candle import MINUTE_MS, Candle
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.decoding import UNREADABLE, Whole
from tui_feeder.engine.core.proxy import Proxies, reason_of
from tui_feeder.engine.core.supervisor import heartbeat, wait_for_work
from tui_feeder.engine.exchanges.base import StreamHandlers
from tui_feeder.engine.exchanges.binance.market import Market
from tui_feeder.engine.exchanges.binance.routes import kline_stream, market_url
from tui_feeder.engine.exchanges.binance.usdm import USDM

log = logging.getLogger(__name__)

STREAMS_PER_SOCKET = 200
_NAMES_PER_MESSAGE = 100
_BYTES_PER_MESSAGE = 3_500  # the exchange ignores messages beyond about 4,096 without an answer
_SECONDS_PER_MESSAGE = 0.5
_MAX_FRAME = 1 << 20
_FIRST_DATA_SECONDS = 15.0  # an acknowledgement without data for so long means a dead path
_SILENCE_SECONDS = 60.0
#: The exchange ends a socket after 24 h; it is replaced an hour before, each socket at a time of its own.
_RENEWED_AFTER_MS = 23 * 60 * MINUTE_MS
_RENEWAL_STAGGER_MS = 2 * MINUTE_MS
_RENEWAL_PATIENCE_SECONDS = 30.0


class Frame(msgspec.Struct, gc=False):
    """The ``k`` of a kline frame: the candle so far. Field names as on the wire."""

    t: Whole
    T: Whole
    s: str
    i: str
    o: float
    c: float
    h: float
    l: float  # noqa: E741
    v: float
    n: Whole
    x: bool
    q: float
    V: float
    Q: float

    def candle(self) -> Candle:
        """The frame's numbers as a candle; closed if ``x`` says so."""
        return Candle(self.t, self.o, self.h, self.l, self.c, self.v, self.q, self.n, self.V, self.Q)


class _Data(msgspec.Struct, gc=False):
    e: str = ""
    E: Whole = 0
    k: Frame | None = None


class _Envelope(msgspec.Struct, gc=False):
    data: _Data | None = None
    id: Whole | None = None
    code: Whole | None = None
    msg: str = ""
    error: Any = None


_frames = msgspec.json.Decoder(_Envelope, strict=False)


class _Connection(ClientConnection):
    """Hands on whole text messages while they are read; of anything else ``recv`` tells.

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


class KlineSocket:
    """One socket and the symbols on it; connects again for ever.

    Args:
        name: shown to people.
        stream_url: such as ``wss://fstream.binance.com``.
        symbols: at most :data:`STREAMS_PER_SOCKET`.
        gate: awaited before every connection attempt (one a second in all).
        proxies: on the way there; those of the environment where none are given.
        market: whose streams these are.
    """

    def __init__(
        self,
        name: str,
        stream_url: str,
        symbols: list[str],
        clock: ExchangeClock,
        handlers: StreamHandlers,
        gate: Callable[[], Any],
        proxies: Proxies | None = None,
        market: Market = USDM,
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
        self.renewals = 0
        self.connected_at: int | None = None  # exchange ms at which the present connection was made
        self._known = set(symbols)
        self._orders: asyncio.Queue[tuple[str, list[str]]] = asyncio.Queue()
        self._number = 0  # of the last order
        self.url = market_url(stream_url, map(kline_stream, symbols), market)
        self._proxy = (proxies or Proxies()).of(self.url)
        self._clock = clock
        self._handlers = handlers
        self._gate = gate
        self._heard = 0.0  # monotonic time of the last data frame
        self._rate_from = (time.monotonic(), 0)
        self._rate = 0.0

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
                    self.connected_at = self._clock.now()
                    await self._serve(socket)
                self.reason = "closed by the exchange"
            except (OSError, websockets.WebSocketException, TimeoutError) as error:
                self.reason = printable(reason_of(error, self._proxy).removeprefix(": ").lstrip())
            if self.frames > frames:  # reset by data alone, never by an acknowledgement
                backoff.reset()
            wait = backoff.next()
            self.state, self.connected_at = "backing off", None
            log.warning("stream %s: %s; connecting again in %.1f s", self.name, self.reason, wait)
            heartbeat(wait)
            await asyncio.sleep(wait)

    async def _serve(self, socket: ClientConnection) -> None:
        self._heard = time.monotonic()
        frames_before = self.frames
        ordering = asyncio.create_task(self._give_orders(socket))
        ordering.add_done_callback(partial(self._orders_ended, socket))
        try:
            while True:
                heard_any = self.frames > frames_before
                patience = _SILENCE_SECONDS if heard_any else _FIRST_DATA_SECONDS
                left = self._heard + patience - time.monotonic()
                if left <= 0:
                    self.state = "silent"
                    raise TimeoutError(
                        f"no data for {patience:.0f} s" + ("" if heard_any else " after subscribing")
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
            self._orders.get_nowait()  # a new socket is told everything at once
        method, symbols = "SUBSCRIBE", self.symbols
        while True:
            for batch in _batches([kline_stream(symbol) for symbol in symbols]):
                self._number += 1
                heartbeat(_SECONDS_PER_MESSAGE)
                order = {"method": method, "params": batch, "id": self._number}
                await socket.send(msgspec.json.encode(order), text=True)
                await asyncio.sleep(_SECONDS_PER_MESSAGE)
            wait_for_work()
            method, symbols = await self._orders.get()

    def _take(self, raw: str | BytesLike) -> None:
        try:
            envelope = _frames.decode(raw)
        except UNREADABLE as error:
            self._handlers.fault("unreadable frame", str(error))
            return
        data = envelope.data
        if data is None or data.k is None:
            if envelope.code is not None or envelope.error is not None:
                self._handlers.fault(
                    "refused order", f"{envelope.code} {envelope.msg} {envelope.error or ''}"
                )
            elif envelope.id is None:
                self._handlers.fault("unknown event", data.e if data else "no data")
            return
        frame = data.k
        if frame.s not in self._known or frame.i != "1m" or frame.t + MINUTE_MS - 1 != frame.T:
            self._handlers.fault("unexpected candle", f"{frame.s} {frame.i}")
            return
        now = self._clock.now()
        self.state, self.reason = "live", ""
        self.frames += 1
        self.delivering.set()
        self._heard = time.monotonic()
        self.last_frame = now
        latency = float(now - data.E)
        if data.E:
            self._clock.observe_lag(latency)
        self.latency_ms = latency if self.latency_ms is None else self.latency_ms * 0.95 + latency * 0.05
        closed = frame.x
        if closed and 0 < data.E <= frame.T:  # both are of the exchange's clock, however wrong that is
            closed = False
            text = f"{frame.s} minute {frame.t}: called closed at {data.E}, it ends at {frame.T}"
            self._handlers.fault("premature close", text)
        self._handlers.candle(frame.s, frame.candle(), closed, data.E)


def _batches(names: list[str]) -> list[list[str]]:
    """Stream names in messages of a size the exchange reads."""
    batches: list[list[str]] = []
    size = _BYTES_PER_MESSAGE
    for name in names:
        length = len(name.encode()) + 3
        if size + length > _BYTES_PER_MESSAGE or len(batches[-1]) == _NAMES_PER_MESSAGE:
            batches.append([])
            size = 0
        batches[-1].append(name)
        size += length
    return batches


class MarketStreams:
    """The sockets of all symbols; :meth:`assign` changes which they are while running."""

    def __init__(
        self,
        stream_url: str,
        symbols: Sequence[str],
        clock: ExchangeClock,
        handlers: StreamHandlers,
        proxies: Proxies | None = None,
        market: Market = USDM,
    ) -> None:
        self.sockets: list[KlineSocket] = []
        self._market = market
        self._proxies = proxies
        self._stream_url = stream_url
        self._clock = clock
        self._handlers = handlers
        self._turn = asyncio.Lock()
        self._last_attempt = 0.0
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
            self.sockets.append(
                KlineSocket(
                    f"market-{self._opened}", self._stream_url, shard, self._clock, self._handlers,
                    self._one_a_second, self._proxies, self._market,
                )
            )  # fmt: skip
        # One without symbols would get no data, and connect again for ever.
        self.sockets[:] = [socket for socket in self.sockets if socket.symbols]
        self._changed.set()

    async def _one_a_second(self) -> None:
        """Hold a connection attempt until a second has passed since the one before it."""
        async with self._turn:
            wait = self._last_attempt + 1.0 - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self._last_attempt = time.monotonic()

    async def run(self) -> None:
        """Run every socket, those that are added and those that replace others, until cancelled."""
        running: dict[KlineSocket, asyncio.Task[None]] = {}
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

    async def _renew(self, group: asyncio.TaskGroup, running: dict[KlineSocket, asyncio.Task[None]]) -> None:
        """Replace sockets before the exchange ends them: the new one delivers before the old one goes.

        What both deliver is told apart by the ingest, which takes each minute once.
        """
        while True:
            pause = min(5.0, max(0.05, self._clock.real_seconds(MINUTE_MS)))
            heartbeat(pause)
            await asyncio.sleep(pause)
            for at, old in enumerate(tuple(self.sockets)):
                due = _RENEWED_AFTER_MS + at * _RENEWAL_STAGGER_MS
                if old.connected_at is None or self._clock.now() - old.connected_at < due:
                    continue
                new = KlineSocket(
                    old.name, self._stream_url, old.symbols, self._clock, self._handlers,
                    self._one_a_second, self._proxies, self._market,
                )  # fmt: skip
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
                new.renewals, new.reconnects = old.renewals + 1, old.reconnects
                running.pop(old).cancel()
