"""Kline streams over WebSocket, as the exchange serves them: raw and combined, with its control messages."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from tui_feeder.service.gateway.clients import Figures
from tui_feeder.service.gateway.feeder import Feeder, FeederGoneError
from tui_feeder.service.gateway.kline_stream import Closed, KlineStream, stream_of
from tui_feeder.service.gateway.markets import SERVED_MARKETS, ServedMarket
from tui_feeder.service.gateway.refusals import RefusalError
from tui_feeder.service.gateway.series import Series
from tui_feeder.service.gateway.stream_client import STUCK_SECONDS, StreamClient
from tui_feeder.service.gateway.watch import StoreWatch

#: Streams of a connection, as at the exchange, and bytes of a control message.
MOST_STREAMS, _LONGEST_MESSAGE = 1_024, 64 << 10
_LONGEST_IDENT = 64
#: Forming bars are sent so often (real seconds), where they have changed.
_FORMING_SECONDS = 0.25
#: Bars that are held back are looked at again so often.
_HELD_SECONDS = 1.0
#: A ping goes out so often, and a client that sends nothing for so long is cut.
_PING_SECONDS, _SILENT_SECONDS = 180.0, 600.0
#: Closed bars that a client is sent in one go when it catches up.
_CAUGHT_UP_BARS = 200
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class _StreamError(Exception):
    """A stream is not served; the text has the reason."""


class StreamSurface:
    """All connections, and the tasks that feed them.

    Args:
        feeder: whose store is served.
        series: what is rendered of it.
        watch: notifies of what is committed.
        figures: counts what is done.
        check: refuses a request that is private or does not mean this server.
        known: refuses a symbol that is not followed.
    """

    def __init__(
        self,
        feeder: Feeder,
        series: Series,
        watch: StoreWatch,
        figures: Figures,
        check: Callable[[web.Request], None],
        known: Callable[[str], object],
    ) -> None:
        self.clients: set[StreamClient] = set()
        self.streams: dict[str, KlineStream] = {}
        self._feeder = feeder
        self._series = series
        self._watch = watch
        self._figures = figures
        self._check = check
        self._known = known
        self._listeners: dict[str, set[StreamClient]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """What to hang into the server.

        Returns:
            The paths of both forms, for each market.
        """
        return [
            web.get(f"{prefix}{path}", partial(self._serve, market))
            for market in SERVED_MARKETS
            for prefix in market.streams
            for path in ("/ws", "/ws/{names:.+}", "/stream")
        ]

    async def run(self) -> None:
        """Feed the connections, for ever; at the end close all of them.

        Raises:
            StoreError: the store is closed.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send_closed())
                group.create_task(self._send_forming())
        finally:
            goodbyes = [client.cut(WSCloseCode.GOING_AWAY, "the gateway stops") for client in self.clients]
            await asyncio.gather(*goodbyes, return_exceptions=True)

    # --- connections ---------------------------------------------------------------------------

    async def _serve(self, market: ServedMarket, request: web.Request) -> web.StreamResponse:
        combined = "/stream" in request.path and "names" not in request.match_info
        asked = request.query.get("streams", "") if combined else request.match_info.get("names", "")
        names = list(dict.fromkeys(unquote(name) for name in asked.split("/") if name))
        try:
            self._check(request)
            if len(names) > MOST_STREAMS:
                raise RefusalError(400, -1130, f"more than {MOST_STREAMS} streams on a connection")
            self._series.look()
            wanted = [self._wanted(market, name) for name in names]
        except RefusalError as error:
            self._figures.answers["stream", error.status] += 1
            headers = {"Content-Type": "application/json", **error.headers}
            return web.Response(body=error.body, status=error.status, headers=headers)
        except (_StreamError, FeederGoneError) as error:
            self._figures.answers["stream", 400] += 1
            refused = RefusalError(400, -1121, str(error))
            return web.Response(body=refused.body, status=400, content_type="application/json")
        socket = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=_LONGEST_MESSAGE, timeout=2.0
        )
        try:
            await socket.prepare(request)
        except ConnectionError:  # it went away at once
            return web.Response()
        self._figures.answers["stream", 101] += 1
        transport = request.transport
        if transport is None:
            return socket
        client = StreamClient(socket, transport, market, combined=combined)
        self.clients.add(client)
        keeping = asyncio.create_task(self._keep(client))
        try:
            self._subscribe(client, wanted)
            await self._listen(client)
        finally:
            keeping.cancel()
            self.clients.discard(client)
            self._unsubscribe(client, list(client.names))
        return socket

    async def _keep(self, client: StreamClient) -> None:
        """Ping, and let a client go that is dead."""
        while client.is_open:
            await asyncio.sleep(_PING_SECONDS)
            if time.monotonic() - client.last_message_at > _SILENT_SECONDS:
                await client.cut(WSCloseCode.POLICY_VIOLATION, "nothing was received for 10 minutes")
            elif client.has_room():
                with contextlib.suppress(ConnectionError):
                    await client.socket.ping(str(int(time.time() * 1000)).encode())

    async def _listen(self, client: StreamClient) -> None:
        async for message in client.socket:
            client.last_message_at = time.monotonic()
            if client.talks_too_much():
                await client.cut(WSCloseCode.POLICY_VIOLATION, "Too many requests")
                return
            if message.type is WSMsgType.PING:
                await client.socket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                await client.socket.send_str(self._answer(client, message.data).decode())

    # --- control messages ----------------------------------------------------------------------

    def _answer(self, client: StreamClient, text: str) -> bytes:
        """The answer to a control message."""
        try:
            body = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return orjson.dumps({"code": 3, "msg": f"Invalid JSON: {error}"})
        if not isinstance(body, dict):
            return orjson.dumps({"code": 2, "msg": "Invalid request: request must be an object"})
        ident, method, params = body.get("id"), body.get("method"), body.get("params")
        if not _is_ident(ident):
            text = "Invalid request: request ID must be an unsigned integer"
            return orjson.dumps({"code": 2, "msg": text})
        try:
            return orjson.dumps({"result": self._done(client, method, params), "id": ident})
        except _ControlError as error:
            return orjson.dumps({"code": error.code, "msg": str(error), "id": ident})

    def _done(self, client: StreamClient, method: object, params: object) -> Any:  # noqa: ANN401 - JSON
        if method == "LIST_SUBSCRIPTIONS":
            return [client.market.bare(name) for name in client.names]
        if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
                raise _ControlError(2, "Invalid request: params must be an array of strings")
            if method == "UNSUBSCRIBE":
                self._unsubscribe(client, [client.market.known_as(name) for name in params])
                return None
            if len(client.names.keys() | {client.market.known_as(name) for name in params}) > MOST_STREAMS:
                raise _ControlError(2, f"Invalid request: more than {MOST_STREAMS} streams on a connection")
            try:
                self._series.look()
                self._subscribe(client, [self._wanted(client.market, name) for name in params])
            except (RefusalError, _StreamError, FeederGoneError) as error:
                raise _ControlError(2, f"Invalid request: {error}") from error
            return None
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            if not isinstance(params, list) or not params or params[0] != "combined":
                raise _ControlError(0, "Unknown property")
            if method == "GET_PROPERTY":
                return client.combined
            if len(params) != 2 or not isinstance(params[1], bool):
                raise _ControlError(1, "Invalid value type: expected Boolean")
            client.combined = params[1]
            return None
        if method is None:
            raise _ControlError(2, "Invalid request: missing field `method`")
        known = ", ".join(f"`{name}`" for name in _METHODS)
        raise _ControlError(2, f"Invalid request: unknown variant `{method}`, expected one of {known}")

    def _wanted(self, market: ServedMarket, name: str) -> tuple[str, str]:
        """The name of a stream, with its market before it, and its symbol.

        Raises:
            _StreamError: it is none that is served.
            RefusalError: its symbol is not followed, or not live yet.
        """
        found = stream_of(name)
        if found is None:
            raise _StreamError(f"{name[:80]!r} is not served here: there are kline streams alone")
        lower = found[0]
        for symbol in self._feeder.followed():
            if market.has(symbol) and market.bare(symbol).lower() == lower:
                self._known(symbol)
                return market.known_as(name), symbol
        self._known(market.known_as(lower.upper()))
        raise _StreamError(f"{name[:80]!r}: no such symbol is followed")

    def _subscribe(self, client: StreamClient, wanted: Iterable[tuple[str, str]]) -> None:
        for name, symbol in wanted:
            client.names[name] = None
            self._listeners.setdefault(name, set()).add(client)
            if name not in self.streams:
                found = stream_of(name)
                assert found is not None
                stream = self.streams[name] = KlineStream(name, symbol, found[1], self._series)
                stream.begin(self._feeder.now())

    def _unsubscribe(self, client: StreamClient, names: Iterable[str]) -> None:
        for name in names:
            client.leave(name)
            listeners = self._listeners.get(name)
            if listeners is not None:
                listeners.discard(client)
                if not listeners:
                    del self._listeners[name], self.streams[name]

    # --- sending -------------------------------------------------------------------------------

    async def _send_closed(self) -> None:
        """Closed bars, as they are committed."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HELD_SECONDS):
                    await self._watch.changed()
            due = [stream for stream in self.streams.values() if stream.is_due()]
            if due:
                for stream, closed in zip(due, await asyncio.to_thread(_look_at, due), strict=True):
                    if self.streams.get(stream.name) is stream:
                        self._send_bars(stream, closed)

    def _send_bars(self, stream: KlineStream, closed: Closed) -> None:
        stream.take(closed)
        for begin, row, late in closed.bars:
            frame = stream.frame(row, self._feeder.now(), closed=True)
            for client in self._listeners[stream.name]:
                if late and client.was_given(stream.name, begin):
                    continue
                if client.has_room() and stream.name not in client.behind:
                    client.write(frame.of(combined=client.combined))
                    self._figures.frames += 1
                elif late:
                    client.late.append((stream.name, begin))
                else:
                    client.behind.setdefault(stream.name, begin)

    async def _send_forming(self) -> None:
        """Bars in progress, conflated; and closed ones to those who were too slow for them."""
        due = time.monotonic()
        while True:
            due = max(due + _FORMING_SECONDS, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            outgoing: dict[StreamClient, list[bytes]] = {}
            with contextlib.suppress(FeederGoneError):
                now = self._feeder.now()
                for name, stream in self.streams.items():
                    frame = stream.forming(self._feeder.forming(stream.symbol), now)
                    for client in self._listeners[name] if frame is not None else ():
                        if name not in client.behind:
                            assert frame is not None
                            outgoing.setdefault(client, []).append(frame.of(combined=client.combined))
            for client, frames in outgoing.items():
                if client.has_room():
                    client.write(b"".join(frames))
                    self._figures.frames += len(frames)
            for client in list(self.clients):
                if client.is_stuck() and client.is_open:
                    self._figures.cut += 1
                    reason = f"too slow: it has read too little for {STUCK_SECONDS:g} s"
                    self._start(client.cut(WSCloseCode.POLICY_VIOLATION, reason))
                elif (client.behind or client.late) and client.has_room() and not client.catching_up:
                    client.catching_up = True
                    self._start(self._catch_up(client))

    def _start(self, what: Any) -> None:  # noqa: ANN401 - a coroutine
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _catch_up(self, client: StreamClient) -> None:
        """Closed bars that a client was not sent, from the store, while it has room."""
        try:
            for name in list(client.behind):
                while (low := client.behind.get(name)) is not None and client.has_room() and client.is_open:
                    stream = self.streams[name]
                    high = min(stream.next, stream.interval.later(low, _CAUGHT_UP_BARS))
                    await self._send_stored(client, name, low, high)
                    if name in client.behind:  # else it unsubscribed meanwhile
                        client.behind[name] = high
                        if high >= stream.next:
                            del client.behind[name]
            while client.late and not client.behind and client.has_room():
                name, begin = client.late.popleft()
                await self._send_stored(client, name, begin, begin + 1)
        finally:
            client.catching_up = False

    async def _send_stored(self, client: StreamClient, name: str, low: int, high: int) -> None:
        stream = self.streams.get(name)
        if stream is None or name not in client.names:
            return
        rows = await asyncio.to_thread(lambda: list(stream.rows(low, high)))
        if name not in client.names:
            return
        client.give([(name, begin) for begin, _ in rows], owed=[(name, begin) for begin in stream.owed])
        frames = [stream.frame(row, self._feeder.now(), closed=True) for _, row in rows]
        client.write(b"".join(frame.of(combined=client.combined) for frame in frames))
        self._figures.frames += len(frames)


class _ControlError(Exception):
    """A control message is refused with a code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def _is_ident(ident: object) -> bool:
    """Whether a control message may have this id. The official SDK sends UUIDs."""
    if isinstance(ident, str):
        return len(ident) <= _LONGEST_IDENT
    return isinstance(ident, int) and not isinstance(ident, bool) and ident >= 0


def _look_at(streams: list[KlineStream]) -> list[Closed]:
    return [stream.look() for stream in streams]
