"""One seamless subscription: closed bars from a moment on, over WebSocket or as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import orjson
from aiohttp import WSCloseCode, web

from tui_feeder.configuration.forms import without_usual_market
from tui_feeder.engine.core.candle import timeframe_label
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.service.gateway.clients import Figures
from tui_feeder.service.gateway.feeder import Feeder, FeederGoneError
from tui_feeder.service.gateway.refusals import RefusalError
from tui_feeder.service.gateway.series import Series
from tui_feeder.service.gateway.subscription import (
    Batch,
    CursorError,
    Message,
    Subscription,
    minutes_of_frame,
)
from tui_feeder.service.gateway.watch import StoreWatch
from tui_feeder.symbol_name import market_of
from tui_feeder.time_format import parse_time, parse_timeframe

PATH = "/api/v1/stream"
_ALLOWED = ("symbols", "timeframe", "since", "format")
_MOST_SYMBOLS = 1_000
#: A reader that takes nothing for so long is let go, real seconds.
_STUCK_SECONDS = 120.0
_KERNEL_BYTES = 256 << 10
#: Something is sent at least so often, so that a line that is dead is noticed.
_ALIVE_SECONDS = 15.0
#: Bars that are held back are looked at again so often.
_HELD_SECONDS = 1.0
_encode = msgspec.msgpack.Encoder().encode


class SeamlessSurface:
    """Answers :data:`PATH`.

    Args:
        feeder: whose store is served.
        series: what is stored.
        watch: notifies of what is committed.
        figures: counts what is done.
        check: refuses a request that is private or does not mean this server.
    """

    def __init__(
        self,
        feeder: Feeder,
        series: Series,
        watch: StoreWatch,
        figures: Figures,
        check: Callable[[web.Request], None],
    ) -> None:
        self._feeder = feeder
        self._series = series
        self._watch = watch
        self._figures = figures
        self._check = check
        self._reading = asyncio.Semaphore(2)
        self._open: set[asyncio.Task[object]] = set()

    def routes(self) -> list[web.RouteDef]:
        """What to hang into the server.

        Returns:
            One path.
        """
        return [web.get(PATH, self._serve)]

    def end(self) -> None:
        """End every subscription: the gateway stops."""
        for task in self._open:
            task.cancel()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            self._check(request)
            self._series.look()
            subscription, seconds, packed = self._subscribed(request)
        except RefusalError as error:
            return self._refused(error.status, str(error))
        except _WrongError as error:
            return self._refused(error.status, str(error))
        except (FeederGoneError, StoreError) as error:
            return self._refused(503, str(error))
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        if request.transport is not None:  # else the kernel takes megabytes for a reader that stopped
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, _KERNEL_BYTES)
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._over_websocket(request, subscription, seconds, packed=packed)
            if packed:
                return self._refused(400, "format=packed is for WebSocket alone")
            return await self._as_events(request, subscription, seconds)
        finally:
            self._open.discard(task)

    def _refused(self, status: int, text: str) -> web.Response:
        self._figures.answers["subscription", status] += 1
        return web.Response(
            body=orjson.dumps({"error": text}), status=status, content_type="application/json"
        )

    def _subscribed(self, request: web.Request) -> tuple[Subscription, int, bool]:
        """The subscription of a request, the seconds of its bars, and whether they are wanted packed."""
        query = request.query
        for name in query:
            if name not in _ALLOWED:
                raise _WrongError(400, f"no such parameter; there are: {', '.join(_ALLOWED)}")
        followed = self._feeder.followed()
        stated = filter(None, query.get("symbols", "").split(","))
        names = list(dict.fromkeys(map(without_usual_market, stated)))
        if names == ["ALL"]:
            names = list(followed)
        if not names or len(names) > _MOST_SYMBOLS:
            raise _WrongError(400, f"symbols are names, parted by commas, at most {_MOST_SYMBOLS}")
        for name in names:
            if name not in followed:
                raise _WrongError(404, f"{name[:64]!r} is not followed; see /fapi/v1/exchangeInfo")
        try:
            seconds = parse_timeframe(query.get("timeframe", "1m"))
        except ValueError:
            raise _WrongError(400, "timeframe is 1m, 5m, 15m, 1h, 4h, 1d: what divides a day") from None
        form = query.get("format", "json")
        if form not in ("json", "packed"):
            raise _WrongError(400, "format is json or packed")
        since = query.get("since") or request.headers.get("Last-Event-ID")
        try:
            return Subscription(self._series, names, seconds, _moment(since)), seconds, form == "packed"
        except CursorError as error:
            raise _WrongError(400, f"since is a time or the cursor of a message; {error}") from None

    async def _messages(
        self, subscription: Subscription, made: Callable[[Message], bytes]
    ) -> AsyncIterator[bytes | None]:
        """Messages as they can be sent; None now and then while there are none."""

        def collect() -> list[bytes]:
            return [made(message) for message in subscription.pending(followed)]

        loop = asyncio.get_running_loop()
        alive = loop.time()
        followed = self._feeder.followed()
        yield made(
            Message(subscription.cursor(), [])
        )  # a reader that is cut off before the first bar goes on
        while True:
            with contextlib.suppress(FeederGoneError):
                followed = self._feeder.followed()
            self._series.look()
            async with self._reading:
                found = await asyncio.to_thread(collect)
            for message in found:
                yield message
                alive = loop.time()
            if found:
                continue
            if loop.time() - alive >= _ALIVE_SECONDS:
                alive = loop.time()
                yield None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HELD_SECONDS):
                    await self._watch.changed()

    async def _over_websocket(
        self, request: web.Request, subscription: Subscription, seconds: int, *, packed: bool
    ) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False, heartbeat=30.0, max_msg_size=4_096)
        try:
            await socket.prepare(request)
        except ConnectionError:  # it went away at once
            return web.Response()
        self._figures.answers["subscription", 101] += 1
        make = _packed if packed else _json

        async def send() -> None:
            async for message in self._messages(subscription, lambda found: make(found, seconds)):
                if message is None:
                    continue  # pings show that the connection is alive
                async with asyncio.timeout(_STUCK_SECONDS):
                    if packed:
                        await socket.send_bytes(message)
                    else:
                        await socket.send_str(message.decode())

        sending = asyncio.create_task(send())
        listening = asyncio.create_task(_listen(socket))
        try:
            await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stuck = (
                sending.done() and not sending.cancelled() and isinstance(sending.exception(), TimeoutError)
            )
            for task in (sending, listening):
                task.cancel()
            await asyncio.gather(sending, listening, return_exceptions=True)
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(3.0):
                    if stuck:
                        self._figures.cut += 1
                        text = f"too slow: nothing was read for {_STUCK_SECONDS:g} s"
                        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=text.encode())
                    else:
                        await socket.close(code=WSCloseCode.GOING_AWAY)
            if stuck and request.transport is not None:
                request.transport.abort()
        return socket

    async def _as_events(
        self, request: web.Request, subscription: Subscription, seconds: int
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        try:
            await response.prepare(request)
        except ConnectionError:  # it went away at once
            return web.Response()
        self._figures.answers["subscription", 200] += 1
        with contextlib.suppress(ConnectionError):
            async for message in self._messages(subscription, lambda found: _event(found, seconds)):
                try:
                    async with asyncio.timeout(_STUCK_SECONDS):
                        await response.write(b": alive\n\n" if message is None else message)
                except TimeoutError:
                    self._figures.cut += 1
                    if request.transport is not None:
                        request.transport.abort()
                    break
        return response


class _WrongError(Exception):
    """A request makes no sense."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _moment(since: str | None) -> str | int | None:
    """A cursor as it is, a time in ms."""
    if not since or (":" in since and since.partition(":")[0].isdigit() and "T" not in since):
        return since or None
    try:
        return parse_time(int(since) if since.isascii() and since.isdigit() else since)
    except (ValueError, OverflowError) as error:
        raise CursorError(str(error)) from None


async def _listen(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass  # nothing is asked after the beginning


def _candles(batch: Batch, seconds: int) -> list[dict[str, Any]]:
    """Bars as docs/candle.schema.json describes them."""
    label, minutes, frame = timeframe_label(seconds), minutes_of_frame(seconds), seconds * 1_000
    names = batch.rows.dtype.names or ()
    found = []
    for values, revision in zip(batch.rows.tolist(), batch.revisions.tolist(), strict=True):
        candle = dict(zip(names, values, strict=True))
        candle |= {
            "symbol": batch.symbol, "timeframe": label, "close_time": values[0] + frame - 1,
            "revision": revision, "minutes": minutes,
        }  # fmt: skip
        if batch.contract_size is not None:
            candle["contracts"] = round(candle["quote_volume"] / batch.contract_size)
        if market := market_of(batch.symbol):
            candle["market"] = market
        found.append(candle)
    return found


def _json(message: Message, seconds: int) -> bytes:
    candles = [candle for batch in message.batches for candle in _candles(batch, seconds)]
    return orjson.dumps({"cursor": message.cursor, "candles": candles})


def _event(message: Message, seconds: int) -> bytes:
    candles = [candle for batch in message.batches for candle in _candles(batch, seconds)]
    return b"id: %b\ndata: %b\n\n" % (message.cursor.encode(), orjson.dumps(candles))


def _packed(message: Message, seconds: int) -> bytes:
    batches = [
        (batch.symbol, batch.rows.tobytes(), batch.contract_size, batch.revisions.tobytes())
        for batch in message.batches
    ]
    return _encode((message.cursor, batches))
