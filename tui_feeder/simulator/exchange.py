"""The embedded exchange: REST, streams and archive of one market and one clock on one loopback port."""

from __future__ import annotations

import errno
from collections import Counter
from types import TracebackType
from typing import Self

from aiohttp import web

from tui_feeder.simulator.archive import Archive
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.market import Market
from tui_feeder.simulator.rest import Rest
from tui_feeder.simulator.stream import Streams
from tui_feeder.simulator.tape import Tape


class PortInUseError(OSError):
    """Another program listens on the port the exchange was to have."""


class Exchange:
    """A whole exchange; an async context manager.

    Args:
        market: what is listed and traded.
        clock: exchange time.
        host: address to listen on.
        port: 0 for any free one.
    """

    def __init__(
        self, market: Market, clock: SimulatedClock, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.market = market
        self.clock = clock
        #: Requests and connections by kind, see the doors' docstrings.
        self.requests: Counter[str] = Counter()
        tape = Tape(market)
        self.rest = Rest(tape, clock, self.requests)
        self.streams = Streams(tape, clock, self.requests)
        self.archive = Archive(market, clock, self.requests)
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def archive_log(self) -> list[str]:
        """Paths of the archive files served, in order."""
        return self.archive.log

    @property
    def rest_url(self) -> str:
        """Base of the REST paths; set once started."""
        return f"http://{self._host}:{self._port}"

    @property
    def stream_url(self) -> str:
        """Base of the stream paths."""
        return f"ws://{self._host}:{self._port}"

    @property
    def archive_url(self) -> str:
        """Base of the archive paths."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listens.

        Raises:
            PortInUseError: if the port is taken.
        """
        app = web.Application()
        app.add_routes([*self.rest.routes(), *self.archive.routes(), *self.streams.routes()])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(
                    f"port {self._port} on {self._host} is in use by another program; "
                    "choose another with --port"
                ) from error
            raise
        self._port = self._runner.addresses[0][1]
        self.streams.start()

    async def stop(self) -> None:
        """Closes every connection and the port."""
        await self.streams.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
