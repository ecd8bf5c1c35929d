"""The gateway's port: the surfaces hung together and served on the loop that calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from tui_feeder.configuration.sections import Gateway
from tui_feeder.engine.storage.store import Store
from tui_feeder.listener import most_connections
from tui_feeder.live_access import GatewayFigures
from tui_feeder.service.gateway.clients import Clients, Figures
from tui_feeder.service.gateway.feeder import Feeder
from tui_feeder.service.gateway.forwarding import Forwarding
from tui_feeder.service.gateway.klines import Klines
from tui_feeder.service.gateway.listing import Listing
from tui_feeder.service.gateway.rest import RestSurface
from tui_feeder.service.gateway.seamless import SeamlessSurface
from tui_feeder.service.gateway.series import Series
from tui_feeder.service.gateway.streams import StreamSurface
from tui_feeder.service.gateway.watch import StoreWatch
from tui_feeder.service.host_names import host_matcher
from tui_feeder.web_server import serving_http

#: How long a connection may be without a request, first and later, and how long the end may take, seconds.
_FIRST_SECONDS, _IDLE_SECONDS, _END_SECONDS = 10.0, 60.0, 3.0


class GatewayServer:
    """Everything that answers.

    Args:
        store: read at any time.
        feeder: whose store it is.
        settings: ``[gateway]``.
        address: host and port it is served at, for people.
    """

    def __init__(self, store: Store, feeder: Feeder, settings: Gateway, address: str) -> None:
        self.figures = Figures()
        self._address = address
        series = Series(store, settings.cache_mb << 19, serve_unconfirmed=settings.serve_unconfirmed)
        self._watch = StoreWatch(series)
        rest = RestSurface(
            feeder, series, Klines(series, feeder, self._watch, settings.cache_mb << 19), Listing(store),
            Forwarding(feeder, settings.forward, settings.forward_cache_ms, self.figures),
            Clients(settings.client_requests_per_minute), self.figures,
            host_matcher(settings.host, settings.allowed_hosts),
            most_followed=settings.follow_at_most if settings.unfollowed == "follow" else 0,
        )  # fmt: skip
        self._streams = StreamSurface(feeder, series, self._watch, self.figures, rest.check, rest.known)
        self._seamless = SeamlessSurface(feeder, series, self._watch, self.figures, rest.check)
        self.app = web.Application()
        self.app.add_routes([*self._streams.routes(), *self._seamless.routes(), *rest.routes()])
        self._connections: Callable[[], int] = lambda: 0
        self._measured = time.monotonic(), 0

    def report(self) -> GatewayFigures:
        """What it does, for the feeder.

        Returns:
            The rate is of the time since the last report.
        """
        done, now = self.figures, time.monotonic()
        requests = sum(done.answers.values())
        (since, before), self._measured = self._measured, (now, requests)
        return GatewayFigures(
            address=self._address,
            connections=self._connections(),
            streams=sum(len(client.names) for client in self._streams.clients),
            requests=requests,
            requests_per_second=(requests - before) / max(now - since, 1e-3),
            refused=sum(n for (_, status), n in done.answers.items() if status in (403, 429)),
            forwarded=done.forwarded,
            forwarded_weight=done.forwarded_weight,
            frames=done.frames,
            cut=done.cut,
        )

    async def run(self, runner: web.AppRunner) -> None:
        """Watch the store and feed the streams, for ever.

        Args:
            runner: that serves the app.

        Raises:
            StoreError: the store is closed.
        """
        server = runner.server
        assert server is not None
        self._connections = lambda: len(server.connections)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch.run(), name="gateway store watch")
                group.create_task(self._streams.run(), name="gateway streams")
        finally:
            self._seamless.end()


@contextlib.asynccontextmanager
async def serving_gateway(
    store: Store, feeder: Feeder, made: socket.socket, settings: Gateway
) -> AsyncIterator[GatewayServer]:
    """Serve a store as an exchange while inside.

    Args:
        store: read at any time.
        feeder: whose store it is.
        made: a bound socket that listens; it is taken over.
        settings: ``[gateway]``.

    Returns:
        What answers.
    """
    host, port = made.getsockname()[:2]
    server = GatewayServer(store, feeder, settings, f"{host}:{port}")
    async with serving_http(
        server.app, made, f"the gateway's port {port}",
        most=most_connections(settings.max_connections, share=2),
        first_seconds=_FIRST_SECONDS, idle_seconds=_IDLE_SECONDS, end_seconds=_END_SECONDS,
    ) as runner:  # fmt: skip
        running = asyncio.create_task(server.run(runner), name="gateway")
        try:
            yield server
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
