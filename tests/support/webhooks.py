"""A web server that receives alerts and answers as configured."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web


class Receiver:
    """A web server that notes what it is sent and answers as it is told."""

    def __init__(self, *answers: int) -> None:
        self.bodies: list[Any] = []
        self.headers: list[Any] = []
        self.answers = list(answers)
        self.hold = 0.0

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(json.loads(await request.read()))
        self.headers.append(dict(request.headers))
        await asyncio.sleep(self.hold)
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"})


@contextlib.asynccontextmanager
async def receiving(receiver: Receiver, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"{'https' if tls else 'http'}://{host}:{port}/hook/s3cret"
    await runner.cleanup()
