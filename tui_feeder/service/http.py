"""HTTP on a thread of its own: ``/health``, ``/ready``, ``/metrics`` and the API. Reads, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware

from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.engine.thread import EngineThread
from tui_feeder.errors import HostError
from tui_feeder.listener import ListenError, listen_at, most_connections
from tui_feeder.service.api import Api, RequestError
from tui_feeder.service.api_profiles import ProfileApi
from tui_feeder.service.engine_probe import BusyError, EngineProbe
from tui_feeder.service.evidence_api import EvidenceApi
from tui_feeder.service.host_names import host_matcher, host_refusal
from tui_feeder.service.metrics import CONTENT_TYPE, exposition
from tui_feeder.service.readiness import checks
from tui_feeder.service.trades_api import TradesApi
from tui_feeder.web_server import serving_http

log = logging.getLogger(__name__)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_JSON = "application/json"
_METHODS = ("GET", "HEAD")
_END_SECONDS = 3.0
#: Connections at a time, and how long one may be without a request, first and later.
_CONNECTIONS = 128
_FIRST_SECONDS, _IDLE_SECONDS = 10.0, 30.0
#: Engine states in which the process is on its way out, or dead.
_DOWN = ("stopping", "stopped", "failed")


class ServiceError(HostError):
    """The service cannot start."""


class HttpService:
    """Serves a running engine until :meth:`close`.

    Args:
        engine: what is served.
        host: address to listen at.
        port: 0 for any free one.
        allowed_hosts: names it answers to beside its own, ``service.allowed_hosts``.

    Raises:
        ServiceError: the address cannot be had.
    """

    def __init__(self, engine: EngineThread, host: str, port: int, allowed_hosts: Iterable[str] = ()) -> None:
        self._probe = EngineProbe(engine)
        self._api = Api(self._probe)
        self._profiles = ProfileApi(self._probe)
        self._trades = TradesApi(self._probe)
        self._evidence = EvidenceApi(self._probe)
        self._host = host
        self._is_own_host = host_matcher(host, allowed_hosts)
        self._socket = open_listener(host, port)
        #: Where it is served.
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it, and the connections; a request under way is waited for a moment."""
        with contextlib.suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(2 * _END_SECONDS)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except Exception:
            log.exception("the HTTP service failed")
        finally:
            self._socket.close()

    async def _serve(self) -> None:
        app = web.Application(middlewares=[_guarding(self._host, self._is_own_host)])
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        for name, answer in (
            ("symbols", self._api.symbols),
            ("candles", self._api.candles),
            ("states", self._api.states),
            ("profile", self._api.profile),
            ("profile/range", self._profiles.range),
            ("profile/sessions", self._profiles.sessions),
            ("profile/naked", self._profiles.naked),
            ("profile/developing", self._profiles.developing),
            ("profile/traded", self._trades.profile),
            ("ladder", self._trades.ladder),
            ("vwap", self._profiles.vwap),
            ("message", self._api.message),
            ("gaps", self._api.gaps),
            ("coverage", self._evidence.coverage),
            ("incidents", self._evidence.incidents),
            ("minute", self._evidence.minute),
            ("proof", self._evidence.proof),
            ("cluster", self._api.cluster),
        ):
            app.router.add_get(f"/api/v1/{name}", _answering(answer))
        where = f"the HTTP port {self.address[1]}"
        async with serving_http(
            app, self._socket, where, most=most_connections(_CONNECTIONS),
            first_seconds=_FIRST_SECONDS, idle_seconds=_IDLE_SECONDS, end_seconds=_END_SECONDS,
        ):  # fmt: skip
            await self._over.wait()

    async def _health(self, request: web.Request) -> web.Response:
        """Whether the engine lives: it answers, and is not on its way out."""
        try:
            status = await self._probe.status()
        except BusyError as error:
            return _json({"status": "down", "reason": str(error)}, 503)
        snapshot = status.snapshot
        down = snapshot.state in _DOWN
        return _json(
            {
                "status": "down" if down else "ok",
                "state": snapshot.state,
                "uptime_seconds": round(status.uptime_seconds, 3),
                "exchange_time": snapshot.exchange_time,
                "answer_seconds": round(status.answer_seconds, 6),
            },
            503 if down else 200,
        )

    async def _ready(self, request: web.Request) -> web.Response:
        """Whether the feeder is ready, with the result of each check."""
        try:
            found = checks(await self._probe.status(), self._probe.config.service)
        except BusyError as error:
            return _json({"ready": False, "reasons": [str(error)], "checks": {}}, 503)
        reasons = [f"{check.name}: {check.text}" for check in found if not check.ok]
        body = {
            "ready": not reasons,
            "reasons": reasons,
            "checks": {check.name: {"ok": check.ok, "text": check.text} for check in found},
        }
        return _json(body, 503 if reasons else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        status = await self._probe.status()
        found = checks(status, self._probe.config.service)
        text = await asyncio.to_thread(exposition, status, found)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})


def open_listener(host: str, port: int) -> socket.socket:
    """Listens at the first address of a host.

    Args:
        host: name or address.
        port: TCP port.

    Returns:
        The listening socket.

    Raises:
        ServiceError: the address cannot be had.
    """
    try:
        return listen_at(host, port)
    except ListenError as error:
        if error.no_address:
            raise ServiceError(f"service.http_host: {error}") from error
        raise ServiceError(
            f"{error}: set application.health_server_port to another, or to 0 for none"
        ) from error


def _json(body: Any, status: int = 200) -> web.Response:  # noqa: ANN401 - whatever JSON can hold
    data = body if isinstance(body, bytes) else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return web.Response(body=data, status=status, content_type=_JSON)


def _answering(answer: Callable[[Sequence[tuple[str, str]]], Awaitable[Any]]) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return _json(await answer(tuple(request.query.items())))

    return handle


def _guarding(host: str, is_own_host: Callable[[str], bool]) -> Middleware:
    @web.middleware
    async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
        """What can go wrong as a status and a line of JSON; nothing of ours is shown in it."""
        header = request.headers.get("Host", host)
        if not is_own_host(header):
            return _json({"error": host_refusal(header, "service.allowed_hosts")}, 403)
        if request.method not in _METHODS:
            refused = _json({"error": "only GET is answered"}, 405)
            refused.headers["Allow"] = ", ".join(_METHODS)
            return refused
        try:
            return await handler(request)
        except RequestError as error:
            return _json({"error": str(error)} | error.more, error.status)
        except (BusyError, StoreError) as error:
            return _json({"error": str(error)}, 503)
        except web.HTTPException as error:
            return _json({"error": error.reason}, error.status)
        except Exception:
            log.exception("a request failed: %s", request.path)
            return _json({"error": "internal error; the log has the reason"}, 500)

    return guarded
