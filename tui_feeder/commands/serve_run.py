"""``feeder-tui serve``: the screens in a web browser, each page an attached screen of its own."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import typer
from aiohttp import web

from tui_feeder.attach.sockets import (
    choose_socket,
    default_socket_path,
    is_listening,
    require_feeder,
    running_sockets,
)
from tui_feeder.errors import UsageError
from tui_feeder.listener import ListenError, listen_at, most_connections
from tui_feeder.service.host_names import host_matcher, host_refusal
from tui_feeder.web_server import serving_http

try:
    from textual_serve import server as textual_server
    from textual_serve.app_service import AppService
    from textual_serve.server import Server
except ModuleNotFoundError as error:
    raise UsageError(
        "the browser needs a package more: pip install 'feeder-tui[browser]'; "
        "over ssh, feeder-tui attach needs none"
    ) from error

_PAGES = 8  # at once; each is a process
_CONNECTIONS = 128
_START_SECONDS = 60.0
_TEMPLATES = Path(__file__).with_name("pages")
#: What a page may load: what is served beside it, also where a later version of its scripts asks for more.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws://{host}; frame-ancestors 'none'"
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def run(
    socket: Path | None, host: str, port: int, allowed_hosts: Sequence[str], own: list[str], *, demo: bool
) -> int:
    """Serves until interrupted.

    Args:
        socket: of the feeder to show; None for the only one that runs, or one started for it.
        host: address to listen at.
        port: to listen at.
        allowed_hosts: names that pages may be asked under beside this machine's.
        own: options of a feeder that is started; refused where one runs.
        demo: the feeder that is started is a demo; refused where one runs, like ``own``.

    Returns:
        The exit code.

    Raises:
        SocketError: there is more than one feeder to choose from, or none at ``socket``.
        UsageError: options of a feeder to be started are given and one runs, or the one started for it has
            ended or takes too long.
    """
    stop = _StopSignals()
    with _running_feeder(socket, [*(["--demo"] if demo else []), *own], stop) as path:
        asyncio.run(Pages(path, host, port, allowed_hosts).run(stop))
    return 0


class _StopSignals:
    """SIGINT, SIGTERM and SIGHUP once installed: noted, so that none ends this process at any moment.

    It would leave the feeder behind that is started for it.
    """

    def __init__(self) -> None:
        self.asked = False
        self._wake: Callable[[], object] | None = None

    def install(self) -> None:
        """Note them from now on."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def wake(self, call: Callable[[], object]) -> None:
        """Have something called when one comes, or now if one has come.

        Args:
            call: what to call; in the main thread, between any two of its steps.
        """
        self._wake = call
        if self.asked:
            call()

    def _note(self, *_: object) -> None:
        self.asked = True
        if self._wake is not None:
            self._wake()


@contextlib.contextmanager
def _running_feeder(socket: Path | None, own: list[str], stop: _StopSignals) -> Iterator[Path]:
    """The feeder that runs, or one started without a screen for as long as this lasts."""
    if socket is not None or running_sockets():
        path = choose_socket(socket)
        require_feeder(path)
        if own:
            raise UsageError(
                f"{shlex.join(own)}: has no effect on the feeder that runs at {path}: leave it out, or stop "
                "that feeder"
            )
        stop.install()
        yield path
        return
    stop.install()
    # In a session of its own: ctrl+c would reach it too, and with the SIGTERM below it would be asked twice,
    # which ends it at once.
    process = subprocess.Popen(
        [sys.executable, "-m", "tui_feeder", "--no-ui", *own],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        path, deadline = default_socket_path(process.pid), time.monotonic() + _START_SECONDS
        while not (path.is_socket() and is_listening(path)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise UsageError("the feeder did not start; its own message is above")
            if stop.asked:
                sys.exit(0)
            time.sleep(0.1)
        yield path
    finally:
        process.terminate()
        process.wait()


class PageProcess(AppService):
    """The process of a page, known until it is gone."""

    processes: ClassVar[set[asyncio.subprocess.Process]] = set()
    _readers: ClassVar[set[asyncio.Task[None]]] = set()  # of what they write

    async def run(self) -> None:
        """Reads what the process writes until it has ended."""
        reader = asyncio.current_task()
        assert reader is not None
        self._readers.add(reader)
        try:
            await super().run()
        finally:
            self._readers.discard(reader)

    async def _open_app_process(self, width: int = 80, height: int = 24) -> asyncio.subprocess.Process:
        process = await super()._open_app_process(width, height)
        self.processes.difference_update([ended for ended in self.processes if ended.returncode is not None])
        self.processes.add(process)
        return process

    @classmethod
    async def end_all(cls) -> None:
        """End what runs, and read what it wrote: a pipe left over is an error once the loop is gone."""
        for process in cls.processes:
            if process.returncode is None:
                process.kill()
            if process.stdin is not None:
                process.stdin.close()
        if cls._readers:
            await asyncio.wait(cls._readers)
        for process in cls.processes:
            for pipe in (process.stdout, process.stderr):
                while pipe is not None and await pipe.read(65_536):
                    pass
            await process.wait()
        cls.processes.clear()


textual_server.AppService = PageProcess  # type: ignore[attr-defined]  # the server makes its services by this name


class Pages(Server):
    """Pages that each run ``feeder-tui attach``.

    Pages of other sites must not reach it through the user's browser: a request under another host name
    than the one it is served at, or from another page than its own, is refused.
    """

    def __init__(self, path: Path, host: str, port: int, allowed_hosts: Sequence[str]) -> None:
        looks = ("--colors", "truecolor", "--symbols-set", "braille")  # what a browser has
        command = shlex.join([sys.executable, "-m", "tui_feeder", "attach", "--socket", str(path), *looks])
        super().__init__(command, host, port, title="feeder-tui", templates_path=_TEMPLATES)
        self._path = path
        self._open = 0
        self._is_own_host = host_matcher(host, allowed_hosts)
        self.public_url = ""  # links lead to the name the page was asked under

    async def run(self, stop: _StopSignals) -> None:
        """Serve until it is asked to stop.

        Args:
            stop: the signals that ask for it.

        Raises:
            ListenError: the address cannot be had.
        """
        try:
            made = listen_at(self.host, self.port)
        except ListenError as error:
            option = "--host" if error.no_address else "--port"
            raise ListenError(f"{error}: choose another with {option}") from error
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.wake(lambda: loop.call_soon_threadsafe(over.set))
        where = f"the port {self.port} of the pages"
        try:
            async with serving_http(await self._make_app(), made, where, most=most_connections(_CONNECTIONS)):
                await over.wait()
        finally:
            stop.wake(lambda: None)  # the loop is about to close

    async def on_startup(self, app: web.Application) -> None:
        """Print the address of the pages."""
        typer.echo(
            f"showing the feeder at {self._path} on http://{self.host}:{self.port} (ctrl+c ends)", err=True
        )

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._check_request)
        app.on_cleanup.append(self._end)
        return app

    async def _end(self, app: web.Application) -> None:
        await PageProcess.end_all()

    @web.middleware
    async def _check_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if not self._is_own_host(request.host):
            raise web.HTTPForbidden(text=f"{host_refusal(request.host, '--allow-host')}\n")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="this page is served to pages of its own alone\n")
        if request.method != "GET":
            raise web.HTTPMethodNotAllowed(request.method, ["GET"])
        if request.path != "/ws":
            answer = await handler(request)
            if not answer.prepared:
                answer.headers["Content-Security-Policy"] = _POLICY.format(host=request.host)
            return answer
        if self._open >= _PAGES:
            raise web.HTTPServiceUnavailable(text=f"{_PAGES} pages are open already\n")
        self._open += 1
        try:
            return await handler(request)
        finally:
            self._open -= 1

    async def handle_index(self, request: web.Request) -> Any:  # noqa: ANN401
        """Answers with the page, whose links use the name it was requested under.

        Args:
            request: the request.

        Returns:
            The response.
        """
        self.public_url = f"http://{request.host}"
        return await super().handle_index(request)
