"""A relay between feeder and exchange that can lie, and a feeder that can be killed.

The lies are of the relay, not of the simulator: REST rows with other values, closing frames that come too
early or contradict each other, a link that is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from typing import Any

import aiohttp
from aiohttp import web


class Relay:
    """Stands on loopback before the exchange's REST and streams.

    Attributes:
        wrong: of a symbol the span of minutes (ms, exclusive end) whose REST rows are changed.
        premature: symbols whose minutes are said to be closed while they are not.
        contradicted: symbols whose closes are followed by another one with other values.
        cut: whether nothing comes through.
        struck: how often each false answer was given.
    """

    def __init__(self, rest: str, stream: str) -> None:
        self._rest, self._stream = rest, stream
        self.wrong: dict[str, tuple[int, int]] = {}
        self.premature: set[str] = set()
        self.contradicted: set[str] = set()
        self.cut = False
        self.struck: Counter[str] = Counter()
        self._sockets: set[web.WebSocketResponse] = set()

    async def __aenter__(self) -> Relay:
        self._client = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application()
        app.router.add_get("/fapi/{tail:.*}", self._get)
        app.router.add_get("/{tail:.*}", self._socket)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def break_link(self) -> None:
        """Cut what is open, and let nothing through until ``cut`` is False again."""
        self.cut = True
        self.struck["link cut"] += 1
        for socket in list(self._sockets):
            with contextlib.suppress(OSError):
                await socket.close(code=1011)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if self.cut:
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPBadGateway
        async with self._client.get(self._rest + request.raw_path) as answer:
            body = await answer.read()
            status, headers = answer.status, answer.headers
        kept = {k: v for k, v in headers.items() if k.lower().startswith(("x-mbx", "retry-after", "date"))}
        if request.path.endswith("/klines") and request.query.get("interval") == "1m" and status == 200:
            body = self._changed(request.query["symbol"], body)
        return web.Response(
            body=body, status=status, headers=kept, content_type=answer.content_type or "application/json"
        )

    def _changed(self, symbol: str, body: bytes) -> bytes:
        if symbol not in self.wrong:
            return body
        low, high = self.wrong[symbol]
        rows = json.loads(body)
        for row in rows:
            if low <= row[0] < high:
                _falsify(row)
                self.struck["wrong REST row"] += 1
        return json.dumps(rows).encode()

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.cut:
            raise web.HTTPBadGateway
        near = web.WebSocketResponse(max_msg_size=1 << 22)
        await near.prepare(request)
        self._sockets.add(near)
        try:
            async with self._client.ws_connect(self._stream + request.raw_path, max_msg_size=1 << 22) as far:
                up = asyncio.create_task(_pump(near, far))
                try:
                    async for frame in far:
                        if self.cut or frame.type is not aiohttp.WSMsgType.TEXT:
                            break
                        for text in self._frames(frame.data):
                            await near.send_str(text)
                finally:
                    up.cancel()
        except (aiohttp.ClientError, ConnectionError):
            pass
        finally:
            self._sockets.discard(near)
            with contextlib.suppress(OSError):
                await near.close()
        return near

    def _frames(self, text: str) -> list[str]:
        frame = json.loads(text)
        event = frame.get("data", frame)
        if not isinstance(event, dict) or event.get("e") != "kline":
            return [text]
        bar, symbol = event["k"], event["s"]
        if not bar["x"] and symbol in self.premature:
            self.struck["premature close"] += 1
            early = json.loads(text)
            early.get("data", early)["k"]["x"] = True
            return [json.dumps(early), text]
        if bar["x"] and symbol in self.contradicted:
            self.struck["contradictory close"] += 1
            other = json.loads(text)
            lie = other.get("data", other)["k"]
            lie["v"], lie["V"], lie["q"], lie["Q"] = (
                f"{float(lie[name]) * 0.5:.8f}" for name in ("v", "V", "q", "Q")
            )
            # Which of the two comes first is as good as random.
            return [json.dumps(other), text] if bar["n"] % 2 else [text, json.dumps(other)]
        return [text]


async def _pump(near: web.WebSocketResponse, far: aiohttp.ClientWebSocketResponse) -> None:
    async for frame in near:
        if frame.type is aiohttp.WSMsgType.TEXT:
            await far.send_str(frame.data)
    await far.close()


def _falsify(row: list[Any]) -> None:
    """Other values that break no rule a candle has: three quarters of the volume, the close at the high."""
    row[4] = row[2]
    for n in (5, 7, 9, 10):
        row[n] = f"{float(row[n]) * 0.75:.8f}"
