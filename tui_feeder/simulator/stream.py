"""The WebSocket server: connections, their control messages and limits, and the broadcast of frames.

Streams of klines and aggregate trades live under ``/market`` alone. The addresses of before April 2026 and
those of other traffic accept a connection, acknowledge a subscription, and never send either.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from tui_feeder.simulator.clock import Clock
from tui_feeder.simulator.connection import Connection
from tui_feeder.simulator.dialect import USDM, Dialect
from tui_feeder.simulator.faults import Fault, Faults
from tui_feeder.simulator.klines import KlineStream, stream_of, text_frame
from tui_feeder.simulator.market import DAY, MINUTE, Instrument
from tui_feeder.simulator.stream_faults import FrameFaults
from tui_feeder.simulator.tape import Tape
from tui_feeder.simulator.trade_stream import TradeStream, symbol_of
from tui_feeder.simulator.trades import Trades

#: Streams on one connection, as enforced until 2025 and announced since.
MOST_STREAMS = 200
#: A control message of more bytes gets no answer.
LONGEST_MESSAGE = 4_096
#: A request line of more bytes is refused: about 107 stream names.
LONGEST_URL = 2_048
#: Connections an address may open in so many exchange ms.
MOST_ATTEMPTS = 300
ATTEMPTS_WITHIN = 5 * MINUTE
#: Exchange ms a connection lives.
LIFETIME = DAY
#: Exchange ms between checks of a stream, and the shortest real time between checks.
CADENCE = 250
SHORTEST_TICK = 0.05
#: Where checks of forming candles are rarer, closes of so many exchange ms go out together.
_TOGETHER = 1_000


class Streams:
    """All connections, and the task that feeds those of the market path.

    Args:
        tape: what can be seen of the market.
        trades: its aggregate trades.
        clock: exchange time.
        requests: counts connections ("stream:market", "stream:dead") and frames ("frames").
        faults: what is to go wrong.
        cadence: exchange ms between checks of a forming candle. Closes are on time however long it is.
        dialect: paths, pings and limits.
    """

    def __init__(
        self,
        tape: Tape,
        trades: Trades,
        clock: Clock,
        requests: Counter[str],
        faults: Faults,
        cadence: int = CADENCE,
        dialect: Dialect = USDM,
    ) -> None:
        self._dialect = dialect
        self.connections: set[Connection] = set()
        self._tape = tape
        self._trades = trades
        self._clock = clock
        self._requests = requests
        self._symbols = {s.lower(): i for s, i in tape.market.instruments.items()}
        self._listeners: dict[str, set[Connection]] = {}
        self._streams: dict[str, KlineStream | TradeStream] = {}
        self._stream_numbers: dict[str, int] = {}
        self._attempts: dict[str, deque[int]] = {}
        self._broadcast: asyncio.Task[None] | None = None
        self._faults = faults
        self._cadence = max(cadence, dialect.cadence)
        self._subscribed = asyncio.Event()
        self._wrongs = FrameFaults(faults)
        self._closing: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """What to hang into the server."""
        routes = []
        for prefix in (*self._dialect.live, *self._dialect.dead):
            handler = self._serve_live if prefix in self._dialect.live else self._serve_dead
            routes += [
                web.get(f"{prefix}/ws", handler),
                web.get(f"{prefix}/ws/{{names:.+}}", handler),
                web.get(f"{prefix}/stream", handler),
            ]
        return routes

    def start(self) -> None:
        """Starts the broadcast."""
        self._broadcast = asyncio.create_task(self._run(), name="kline broadcast")

    async def stop(self) -> None:
        """Ends the broadcast and closes all connections."""
        if self._broadcast is not None:
            self._broadcast.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._broadcast
        for connection in list(self.connections):
            connection.end(WSCloseCode.GOING_AWAY, b"shutdown", self._closing)
        await asyncio.gather(*self._closing, return_exceptions=True)

    # -- connections

    async def _serve_live(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, live=True)

    async def _serve_dead(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, live=False)

    async def _serve(self, request: web.Request, *, live: bool) -> web.StreamResponse:
        if self._too_many_attempts(request.remote or "unknown"):
            return web.Response(status=429, text="too many connection attempts")
        if len(request.raw_path) > LONGEST_URL:
            return web.Response(status=414, text="URI Too Long")
        combined = "/stream" in request.path and "names" not in request.match_info
        wanted = request.query.get("streams", "") if combined else request.match_info.get("names", "")
        names = [unquote(name) for name in wanted.split("/") if name]
        if len(names) > MOST_STREAMS:
            return web.Response(status=400, text="too many streams")
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1 << 20, timeout=2.0)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        self._requests["stream:market" if live else "stream:dead"] += 1
        connection = Connection(
            socket, transport, self._clock.now(), combined=combined, live=live,
            most_messages=self._dialect.most_messages,
        )  # fmt: skip
        self.connections.add(connection)
        keeper = asyncio.create_task(self._keep(connection))
        try:
            self._subscribe(connection, names, live=live)
            await self._listen(connection, live=live)
        finally:
            keeper.cancel()
            self.connections.discard(connection)
            self._unsubscribe(connection, list(connection.names))
        return socket

    def _too_many_attempts(self, address: str) -> bool:
        now = self._clock.now()
        recent = self._attempts.setdefault(address, deque())
        while recent and recent[0] <= now - ATTEMPTS_WITHIN:
            recent.popleft()
        recent.append(now)
        return len(recent) > MOST_ATTEMPTS

    async def _keep(self, connection: Connection) -> None:
        """Pings, and ends the connection when its time is over or its client is dead."""
        ping_at = time.monotonic() + self._dialect.ping_every
        while not connection.socket.closed:
            left = self._clock.real_seconds(connection.begun + LIFETIME - self._clock.now())
            await asyncio.sleep(min(max(left, 0.0), max(ping_at - time.monotonic(), 0.0)))
            if self._clock.now() - connection.begun >= LIFETIME:
                await connection.close(WSCloseCode.OK, b"24 hours are over")
            elif time.monotonic() - connection.last_message_at > self._dialect.pong_within:
                await connection.close(WSCloseCode.POLICY_VIOLATION, b"no pong")
            elif time.monotonic() >= ping_at:
                ping_at = time.monotonic() + self._dialect.ping_every
                if not connection.frozen:
                    with contextlib.suppress(ConnectionError):
                        connection.pinged = str(self._clock.now()).encode()
                        await connection.socket.ping(connection.pinged)

    async def _listen(self, connection: Connection, *, live: bool) -> None:
        socket = connection.socket
        async for message in socket:
            if connection.frozen:
                continue
            if connection.too_chatty():
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests")
                return
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                if self._dialect.pong_echoes and bytes(message.data) != connection.pinged:
                    continue
                connection.last_message_at = time.monotonic()
            elif message.type is WSMsgType.TEXT and len(message.data.encode()) <= LONGEST_MESSAGE:
                answer = self._control(connection, message.data, live=live)
                await socket.send_str(orjson.dumps(answer).decode())

    # -- control messages

    def _control(self, connection: Connection, text: str, *, live: bool) -> dict[str, Any]:
        try:
            body = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return {"code": 3, "msg": f"Invalid JSON: {error}"}
        if not isinstance(body, dict):
            return {"code": 2, "msg": "Invalid request: request must be an object"}
        ident, method, params = body.get("id"), body.get("method"), body.get("params")
        if isinstance(ident, bool) or not isinstance(ident, int) or ident < 0:
            return {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}

        def refuse(code: int, message: str) -> dict[str, Any]:
            return {"code": code, "msg": message, "id": ident}

        if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            if not isinstance(params, list) or not all(isinstance(p, str) for p in params):
                return refuse(2, "Invalid request: params must be an array of strings")
            if method == "UNSUBSCRIBE":
                self._unsubscribe(connection, params)
            elif len(connection.names.keys() | set(params)) > MOST_STREAMS:
                return refuse(2, f"Invalid request: more than {MOST_STREAMS} streams on a connection")
            else:
                self._subscribe(connection, params, live=live)
            return {"result": None, "id": ident}
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(connection.names), "id": ident}
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            if not isinstance(params, list) or not params or params[0] != "combined":
                return refuse(0, "Unknown property")
            if method == "GET_PROPERTY":
                return {"result": connection.combined, "id": ident}
            if len(params) != 2 or not isinstance(params[1], bool):
                return refuse(1, "Invalid value type: expected Boolean")
            connection.combined = params[1]
            return {"result": None, "id": ident}
        known = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
        return refuse(2, f"Invalid request: unknown variant `{method}`, expected one of {known}")

    def _subscribe(self, connection: Connection, names: Iterable[str], *, live: bool) -> None:
        for name in names:
            connection.names[name] = None
            symbol, interval = stream_of(name) or (symbol_of(name) or "", None)
            instrument = self._symbols.get(symbol)
            if not live or instrument is None or (interval is None and not self._dialect.trades):
                continue  # acknowledged like any other name; nothing will ever come of it
            if self._faults and self._faults.strike("ack-without-data", instrument.symbol):
                continue
            self._listeners.setdefault(name, set()).add(connection)
            if name not in self._streams:
                self._streams[name] = self._stream(instrument, interval)
                self._stream_numbers[name] = len(self._stream_numbers)
                self._subscribed.set()

    def _stream(self, instrument: Instrument, interval: str | None) -> KlineStream | TradeStream:
        """The candles of an interval, or without one the trades."""
        now = self._clock.now()
        if interval is None:
            return TradeStream(self._trades, instrument, now, self._faults, self._dialect)
        untraded = self._dialect.pushes_untraded
        return KlineStream(self._tape, instrument, interval, now, untraded=untraded)

    def _unsubscribe(self, connection: Connection, names: Iterable[str]) -> None:
        for name in names:
            connection.names.pop(name, None)
            listeners = self._listeners.get(name)
            if listeners is None:
                continue
            listeners.discard(connection)
            if not listeners:
                del self._listeners[name], self._streams[name]
                self._stream_numbers.pop(name)
                self._wrongs.forget(name)

    # -- broadcast

    async def _run(self) -> None:
        """Checks every stream once a cadence; at low speed in turns, so that work is spread."""
        if self._cadence > CADENCE:
            await self._run_sparsely()
        cadence = self._clock.real_seconds(CADENCE)
        turns = max(1, int(cadence / SHORTEST_TICK))
        tick = max(cadence / turns, SHORTEST_TICK)
        turn = 0
        due = time.monotonic()
        while True:
            due = max(due + tick, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            self._push(turn, turns)
            turn = (turn + 1) % turns

    async def _run_sparsely(self) -> None:
        """Checks every stream when a close or a frame held back is due, and once a cadence."""
        regular = self._clock.now() + self._cadence
        while True:
            now = self._clock.now()
            coming = [stream.closes_at() for stream in self._streams.values()]
            due = min([regular, *coming, *self._wrongs.due()])
            due += -due % _TOGETHER
            self._subscribed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(self._clock.real_seconds(due - now), 0.0)):
                    await self._subscribed.wait()
            if (now := self._clock.now()) >= regular:
                regular = now + self._cadence
                self._push(0, 1)
            elif now >= due:
                self._push(0, 1, forming=False)

    def _push(self, turn: int, turns: int, *, forming: bool = True) -> None:
        outgoing: dict[Connection, list[bytes]] = {}
        now = self._clock.now()
        if self._faults:
            self._trouble_connections(now)
        wrongs = self._wrongs if self._wrongs.busy else None
        for name, stream in self._streams.items():
            if turns > 1 and self._stream_numbers[name] % turns != turn:
                continue
            frames = stream.due(now, forming=forming)
            for frame in frames if wrongs is None else wrongs.pass_on(name, stream.symbol, frames, now):
                for listener in self._listeners[name]:
                    body = frame.combined if listener.combined else frame.raw
                    outgoing.setdefault(listener, []).append(body)
        for connection, bodies in outgoing.items():
            self._requests["frames"] += len(bodies)
            connection.write(bodies)
        if self._faults:
            self._send_garbage(now)

    # -- faults of connections

    def _trouble_connections(self, now: int) -> None:
        if down := self._faults.find("refuse-connections"):
            for connection in list(self.connections):
                if down.text("how") == "reset":
                    connection.cut("reset")
                else:
                    connection.freeze()
            return
        for fault in self._faults.all("server-shutdown"):
            self._announce_shutdown(fault, now)
        for fault in (*self._faults.all("disconnect"), *self._faults.all("half-open")):
            chosen = [c for c in self.connections if not c.doomed and self._concerns(fault, c, now)]
            for connection in chosen:
                self._trouble(fault, connection)
            if chosen:
                self._faults.count(fault)

    def _trouble(self, fault: Fault, connection: Connection) -> None:
        if fault.name == "half-open":
            connection.freeze()
        elif (code := fault.text("code")) in ("1006", "reset"):
            connection.cut(code)
        else:
            connection.end(int(code), b"", self._closing)

    def _announce_shutdown(self, fault: Fault, now: int) -> None:
        """Notifies connections of before the fault of their end, and ends them when they have had time."""
        seconds = fault.number("seconds")
        for connection in [c for c in self.connections if c.begun < fault.begins and not c.doomed]:
            if not connection.warned:
                connection.warned = True
                self._faults.count(fault)
                event = b'{"e":"serverShutdown","E":%d}' % now
                if connection.combined:
                    event = b'{"stream":"!serverShutdown","data":%b}' % event
                connection.write([text_frame(event)])
            elif now - fault.begins >= seconds * 1000:
                connection.end(1001, b"server shutdown", self._closing)

    def _concerns(self, fault: Fault, connection: Connection, now: int) -> bool:
        """Whether a fault of connections strikes this one now."""
        if fault.symbol is not None and self._example(fault, connection) is None:
            return False
        return connection.begun < fault.begins or now - connection.begun >= fault.number("after") * 1000

    def _example(self, fault: Fault, connection: Connection) -> str | None:
        """A stream of the connection that the fault concerns."""
        begin = "" if fault.symbol is None else f"{fault.symbol.lower()}@"
        return next((name for name in connection.names if name.startswith(begin)), None)

    def _send_garbage(self, now: int) -> None:
        for fault in self._faults.all("garbage"):
            for connection in list(self.connections):
                sound = connection.live and not connection.doomed
                example = self._example(fault, connection) if sound else None
                junk = None if example is None else connection.junk.due(fault, now, example)
                if junk is None:
                    continue
                self._faults.count(fault)
                body, ends = junk
                connection.write([body])
                if ends:
                    connection.cut("1006")
