"""The one way a port is served over HTTP here: connections are bounded, in number and in time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from tui_feeder.listener import Listener

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Connection: TypeAlias = RequestHandler
_CHECK_SECONDS = 1.0


class _IdleConnections:
    """Since when each connection has had no request: from its beginning, or from the end of the last one."""

    def __init__(self, first: float, next_: float) -> None:
        self._first = first
        self._next = next_
        self._served: set[_Connection] = set()
        self._since: dict[_Connection, float] = {}
        self._busy: dict[_Connection, int] = {}
        self.connections: Callable[[], list[_Connection]] = list

    @web.middleware
    async def watch(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Count a request as under way while it is answered."""
        connection = request.protocol
        self._served.add(connection)
        self._busy[connection] = self._busy.get(connection, 0) + 1
        try:
            return await handler(request)
        finally:
            self._busy[connection] = self._busy.get(connection, 1) - 1
            self._since[connection] = time.monotonic()

    def idle_connections(self) -> dict[_Connection, float]:
        """The connections without a request, with the moment since when; those that ended are forgotten."""
        now, there = time.monotonic(), self.connections()
        self._since = {connection: self._since.get(connection, now) for connection in there}
        self._busy = {
            connection: count
            for connection, count in self._busy.items()
            if count and connection in self._since
        }
        self._served &= self._since.keys()
        return {
            connection: since
            for connection, since in self._since.items()
            if connection not in self._busy and connection.transport is not None
        }

    def close_expired(self) -> None:
        """End those whose time is over."""
        now = time.monotonic()
        for connection, since in self.idle_connections().items():
            if now - since >= (self._next if connection in self._served else self._first):
                _end(connection)

    def make_room(self) -> None:
        """End the one that has had no request for longest."""
        found = self.idle_connections()
        if found:
            _end(min(found, key=found.__getitem__))


def _end(connection: _Connection) -> None:
    transport = connection.transport
    connection.force_close()  # it asks for nothing more
    if transport is not None:
        transport.abort()  # nor waits until the other side has read what is left


@contextlib.asynccontextmanager
async def serving_http(
    app: web.Application,
    made: socket.socket,
    name: str,
    *,
    most: int,
    first_seconds: float = 10.0,
    idle_seconds: float = 30.0,
    end_seconds: float = 3.0,
) -> AsyncIterator[web.AppRunner]:
    """Serves an application inside the context.

    Args:
        app: what answers.
        made: a bound socket that listens; it is taken over.
        name: what is listened at, for people.
        most: connections at a time, see :func:`~tui_feeder.listener.most_connections`.
        first_seconds: within which a connection has to have sent a whole request (its headers).
        idle_seconds: that a connection may be kept without the next request, or without reading the answer.
        end_seconds: a request under way is waited for at the end.

    Yields:
        The runner.
    """
    _drop_tracebacks_of_bad_requests()
    idle = _IdleConnections(first_seconds, idle_seconds)
    app.middlewares.insert(0, idle.watch)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=idle_seconds, shutdown_timeout=end_seconds)
    await runner.setup()
    listener = Listener(made, name, most)
    listener.make_room = idle.make_room
    server = runner.server
    assert server is not None
    idle.connections = lambda: list(server.connections)

    async def close_idle() -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            idle.close_expired()

    closing = asyncio.create_task(close_idle(), name=f"connections of {name}")
    try:
        await web.SockSite(runner, listener).start()
        yield runner
    finally:
        closing.cancel()
        await runner.cleanup()
        listener.close()


def _drop_tracebacks_of_bad_requests() -> None:
    """Let the HTTP server log nothing of requests it cannot parse; it answers 400.

    It would write a traceback for each, so anyone who reaches the port could fill the log.
    """
    logger = logging.getLogger("aiohttp.server")
    if _is_not_a_bad_request not in logger.filters:
        logger.addFilter(_is_not_a_bad_request)


def _is_not_a_bad_request(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)
