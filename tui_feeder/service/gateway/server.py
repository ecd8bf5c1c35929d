"""The gateway's port: the surfaces hung together and served on the loop that calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from aiohttp import web

from tui_feeder.engine.storage.store import Store
from tui_feeder.listener import most_connections
from tui_feeder.service.gateway.clients import Clients, Figures
from tui_feeder.service.gateway.feeder import Feeder
from tui_feeder.service.gateway.klines import Klines
from tui_feeder.service.gateway.listing import Listing
from tui_feeder.service.gateway.rest import RestSurface
from tui_feeder.service.gateway.series import Series
from tui_feeder.service.gateway.streams import StreamSurface
from tui_feeder.service.gateway.watch import StoreWatch
from tui_feeder.service.host_names import host_matcher
from tui_feeder.web_server import serving_http

#: How long a connection may be without a request, first and later, and how long the end may take, seconds.
_FIRST_SECONDS, _IDLE_SECONDS, _END_SECONDS = 10.0, 60.0, 3.0


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What the configuration says of the gateway, ``[gateway]``."""

    host: str = "127.0.0.1"
    allowed_hosts: Iterable[str] = ()
    unfollowed: str = "refuse"
    client_requests_per_minute: int = 120_000
    max_connections: int = 512
    cache_mb: int = 64


@contextlib.asynccontextmanager
async def serving_gateway(
    store: Store, feeder: Feeder, made: socket.socket, settings: GatewaySettings
) -> AsyncIterator[Figures]:
    """Serve a store as an exchange while inside.

    Args:
        store: read at any time.
        feeder: whose store it is.
        made: a bound socket that listens; it is taken over.
        settings: of the configuration.

    Returns:
        What it does, counted.
    """
    series, listing, figures = Series(store, settings.cache_mb << 20), Listing(store), Figures()
    watch = StoreWatch(series)
    rest = RestSurface(
        feeder, series, Klines(series, feeder, watch), listing, Clients(settings.client_requests_per_minute),
        figures, host_matcher(settings.host, settings.allowed_hosts), follows=settings.unfollowed == "follow",
    )  # fmt: skip
    app = web.Application()
    streams = StreamSurface(feeder, series, watch, figures, rest.check, rest.known)
    app.add_routes([*streams.routes(), *rest.routes()])
    where = f"the gateway's port {made.getsockname()[1]}"
    running = [
        asyncio.create_task(watch.run(), name="gateway store watch"),
        asyncio.create_task(streams.run(), name="gateway streams"),
    ]
    try:
        async with serving_http(
            app, made, where, most=most_connections(settings.max_connections, share=2),
            first_seconds=_FIRST_SECONDS, idle_seconds=_IDLE_SECONDS, end_seconds=_END_SECONDS,
        ):  # fmt: skip
            yield figures
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
