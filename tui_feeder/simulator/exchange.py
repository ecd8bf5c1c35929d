"""The embedded exchange: REST, streams and archive of one market and one clock on one loopback port."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from tui_feeder.errors import HostError
from tui_feeder.listener import ListenError, listen_at, most_connections
from tui_feeder.simulator.archive import Archive
from tui_feeder.simulator.clock import SimulatedClock, SkewedClock
from tui_feeder.simulator.dialect import USDM, Dialect
from tui_feeder.simulator.fault_control import CONTROL, FaultControl
from tui_feeder.simulator.fault_random import RandomFaults
from tui_feeder.simulator.fault_wire import reset, wait_over
from tui_feeder.simulator.faults import Event, Fault, Faults
from tui_feeder.simulator.halts import HaltedMarket
from tui_feeder.simulator.limits import WeightLedger
from tui_feeder.simulator.market import Market
from tui_feeder.simulator.rest import Rest
from tui_feeder.simulator.stream import CADENCE, Streams
from tui_feeder.simulator.tape import Tape
from tui_feeder.simulator.trades import Trades
from tui_feeder.web_server import serving_http

#: Real seconds at least between checks which faults end and begin.
_PAUSE = 0.01
#: Real seconds a client waits for an answer at most while the link is a black hole.
_HANGS = 600.0
#: Connections at a time, and real seconds one may be without a request, first and later.
_CONNECTIONS = 1_000
_FIRST_SECONDS, _IDLE_SECONDS = 30.0, 120.0


class PortInUseError(HostError):
    """The port the exchange was to have cannot be had, as when another program listens there."""


class Exchange:
    """A whole exchange; an async context manager.

    Args:
        market: what is listed and traded.
        clock: exchange time.
        host: address to listen on.
        port: 0 for any free one.
        faults: those that are on from the beginning.
        random_faults: more of them, drawn while it runs.
        cadence: exchange ms between checks of forming candles; the exchange's own unless time runs fast.
        dialect: which market of the exchange it is.
        ledger: of another market that weight is counted together with; None: it is counted alone.
        clock_faults: of another market whose clock it has, with the errors of that; None: its own.

    Attributes:
        market: what is listed and traded, less what faults keep from being traded.
        clock: exchange time without the fault clock-skew.
        dialect: which market of the exchange it is.
        faults: switches faults on and off.

    Raises:
        ValueError: if a fault names a symbol that is not listed.
    """

    def __init__(
        self,
        market: Market,
        clock: SimulatedClock,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
        random_faults: RandomFaults | None = None,
        cadence: int = CADENCE,
        dialect: Dialect = USDM,
        ledger: WeightLedger | None = None,
        clock_faults: Faults | None = None,
    ) -> None:
        self.clock = clock
        self.dialect = dialect
        self.faults = Faults() if faults is None else faults
        #: Requests and connections by kind, see rest, stream and archive.
        self.requests: Counter[str] = Counter()
        seen = SkewedClock(clock, self.faults if clock_faults is None else clock_faults)
        halted = HaltedMarket(
            market, seen.furthest, self._market_changed, omits_outages=dialect.omits_outages
        )
        self.market: Market = halted
        self._tape = Tape(halted)
        self._trades = Trades(halted, self._tape)
        self.rest = Rest(self._tape, self._trades, seen, self.requests, self.faults, dialect, ledger)
        self.streams = Streams(self._tape, self._trades, seen, self.requests, self.faults, cadence, dialect)
        self.archive = Archive(halted, self._trades, seen, self.requests, self.faults, dialect)
        self._control = FaultControl(self.faults, clock)
        self._drawn = None
        if random_faults is not None:
            self._drawn = random_faults.drawer(
                market.symbols, clock.start_ms, dialect.name, clock=clock_faults is None
            )
        self._watch: asyncio.Task[None] | None = None
        self._stirred = asyncio.Event()  # a fault began or ended
        self.faults.listen(halted.follow)
        self.faults.listen(self._stir)
        self.faults.attach(clock.now, market.instruments)
        self._host = host
        self._port = port
        self._serving = contextlib.AsyncExitStack()

    @property
    def archive_log(self) -> list[str]:
        """Paths of the archive files served, in order."""
        return self.archive.log

    def calm(self) -> None:
        """End every fault, and draw no more."""
        self._drawn = None
        self.faults.switch_off()

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
            PortInUseError: if the port cannot be had.
        """
        app = web.Application(middlewares=[self._link])
        app.add_routes(
            [
                *self.rest.routes(),
                *self.archive.routes(),
                *self.streams.routes(),
                *self._control.routes(),
            ]
        )
        try:
            made = listen_at(self._host, self._port)
        except ListenError as error:
            raise PortInUseError(f"{error}: choose another with --port") from error
        where = f"the exchange's port {made.getsockname()[1]}"
        serving = serving_http(
            app, made, where, most=most_connections(_CONNECTIONS, share=2),
            first_seconds=_FIRST_SECONDS, idle_seconds=_IDLE_SECONDS, end_seconds=2.0,
        )  # fmt: skip
        runner = await self._serving.enter_async_context(serving)
        self._port = runner.addresses[0][1]
        self.streams.start()
        self._watch = asyncio.create_task(self._watch_faults(), name="faults")

    async def _watch_faults(self) -> None:
        """Ends faults whose time is over, even if nothing queries them, and begins the random ones."""
        while True:
            self._stirred.clear()
            coming = [fault.ends for fault in self.faults.active() if fault.ends is not None]
            if self._drawn is not None:
                coming.append(self._drawn.begins)
            left = self.clock.real_seconds(min(coming) - self.clock.now()) if coming else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if left is None else max(left, 0.0)):
                    await self._stirred.wait()
            for begins, fault in self._drawn.due(self.clock.now()) if self._drawn is not None else ():
                self.faults.add(fault, begins)
            await asyncio.sleep(_PAUSE)

    def _stir(self, event: Event, fault: Fault) -> None:
        self._stirred.set()

    def _market_changed(self, since: int) -> None:
        self._tape.forget(since)
        self._trades.forget(since)
        self.archive.forget()

    @web.middleware
    async def _link(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """The network in front of the exchange; a link that is down leaves only the control interface."""
        if not self.faults or request.path == CONTROL:
            return await handler(request)
        down = self.faults.strike("refuse-connections")
        if down is None:
            return await handler(request)
        if down.text("how") == "blackhole":
            await wait_over(request, self.faults, down, _HANGS)
        reset(request.transport)
        return web.Response(status=503)

    async def stop(self) -> None:
        """Closes every connection and the port."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self.streams.stop()
        await self._serving.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
