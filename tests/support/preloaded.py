"""Processes of the program that fork from one which has imported it already.

A process of the program spends most of its life importing: 0.2 to 0.6 s of a processor, and the tests start
hundreds. :class:`PreloadedPopen` is ``subprocess.Popen`` for ``python -m tui_feeder ...``, for the modules
below it and for the fake monitor's screens: the process is real, with its own arguments, environment, working
directory, descriptors, session and exit code, and runs the module as Python does; the embedded exchange and
the feeder behind pages that such a process starts fork too. What it does not test is the start of the
interpreter, and the end of its modules: a command line that needs another interpreter (``preexec_fn``,
``pass_fds``, other settings of locale or of Python) is started as always. Every command is started as always
by test_environment.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import typer

MODULE = "tui_feeder"
#: Shows a screen; forks from a process of its own, which has imported the screens.
SCREENS = "tests.support.fake_monitor"
_ROOT = Path(__file__).resolve().parents[2]
#: What a new interpreter would read of its environment.
_OF_THE_INTERPRETER = (
    "PYTHON",
    "LC_",
    "LANG",
    "TZ",
    "MALLOC_",
    "LD_",
    "OPENBLAS_",
    "VIRTUAL_ENV",
    "SSL_CERT_",
)
#: gid, gids, uid, umask where none is asked for; start_new_session may be; process_group where it is not.
_USUAL = (None, None, None, -1)
_NO_GROUP = -1
_LONGEST = 100_000  # bytes of a request, which is one datagram
_GONE = 255


def own_session() -> None:
    """What a ``preexec_fn`` does for a process that no signal of a terminal shall reach."""
    os.setsid()


def own_terminal() -> None:
    """What a ``preexec_fn`` does for a process whose standard input becomes its controlling terminal."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


#: The steps that are known to a process that forks; any other needs an interpreter of its own.
_STEPS: dict[str, Callable[[], None]] = {step.__name__: step for step in (own_session, own_terminal)}


class PreloadedPopen(subprocess.Popen[Any]):
    """``subprocess.Popen`` of which ``python -m tui_feeder`` forks from a process that has imported it."""

    _status: socket.socket | None = None

    def _execute_child(self, *given: Any) -> None:  # noqa: ANN401 - as Popen's
        args, executable, preexec_fn, _, pass_fds, cwd, env, _, _, shell = given[:10]
        reading, _, _, writing, _, error_writing = given[10:16]
        words = [] if isinstance(args, str | bytes) else [os.fspath(word) for word in args]
        wanted = dict(os.environ if env is None else env)
        new_session, *group = given[21:]
        if new_session and preexec_fn is None:
            preexec_fn = own_session
        step = getattr(preexec_fn, "__name__", "")
        module = words[2] if words[:2] == [sys.executable, "-m"] and len(words) > 2 else ""
        ours = module == SCREENS or module.partition(".")[0] == MODULE
        request = json.dumps([module, words[3:], os.fspath(cwd or os.getcwd()), wanted, step]).encode()
        if (
            not ours
            or executable is not None
            or preexec_fn is not _STEPS.get(step)
            or pass_fds
            or shell
            or given[17:21] != _USUAL
            or group not in ([], [_NO_GROUP])
            or _settings(wanted) != _server(module == SCREENS).settings
            or len(request) > _LONGEST
        ):
            super()._execute_child(*given)
            return
        stdio = [
            own if number == -1 else number
            for own, number in zip((0, 1, 2), (reading, writing, error_writing), strict=True)
        ]
        self._status, theirs = socket.socketpair()
        socket.send_fds(_server(module == SCREENS).requests, [request], [*stdio, theirs.fileno()])
        theirs.close()
        answer = self._status.recv(4)
        if not answer:
            raise RuntimeError("the process that has imported the program has ended")
        self.pid = int.from_bytes(answer, "little")
        self._child_created = True
        self._close_pipe_fds(*given[10:16])

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if self._status is None:
            found: tuple[int, int] = super()._try_wait(wait_flags)
            return found
        if wait_flags & os.WNOHANG and not select.select([self._status], [], [], 0)[0]:
            return 0, 0
        status = self._status.recv(4)
        self._status.close()
        return self.pid, int.from_bytes(status, "little") if len(status) == 4 else _GONE << 8

    def _internal_poll(self, *given: Any, **more: Any) -> int | None:  # noqa: ANN401 - as Popen's
        if self._status is None:
            code: int | None = super()._internal_poll(*given, **more)
            return code
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid == self.pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def run_process(
    words: Sequence[str],
    timeout: float,
    **options: Any,  # noqa: ANN401 - as Popen's
) -> subprocess.CompletedProcess[Any]:
    """As ``subprocess.run`` with output captured and no input, by :class:`PreloadedPopen`."""
    piped = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with PreloadedPopen(words, **{**piped, **options}) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


class AsyncProcess:
    """A :class:`PreloadedPopen` with the interface of ``asyncio.subprocess.Process``."""

    def __init__(self, popen: PreloadedPopen) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self.send_signal = popen.send_signal
        self.terminate = popen.terminate
        self.kill = popen.kill

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._popen.poll()

    async def wait(self) -> int:
        """Until it has ended."""
        return await asyncio.to_thread(self._popen.wait)

    async def communicate(self) -> tuple[bytes | None, bytes | None]:
        """What it writes until it ends, where that is a pipe."""
        streams = (self.stdout, self.stderr)
        out, err = await asyncio.gather(*(_all_of(stream) for stream in streams))
        await self.wait()
        return out, err


async def _all_of(stream: asyncio.StreamReader | None) -> bytes | None:
    return None if stream is None else await stream.read()


async def start_process(*words: str | os.PathLike[str], **options: Any) -> AsyncProcess:  # noqa: ANN401
    """As ``asyncio.create_subprocess_exec``, by :class:`PreloadedPopen`."""
    popen = PreloadedPopen([os.fspath(word) for word in words], **options)
    process = AsyncProcess(popen)
    loop = asyncio.get_running_loop()
    for name in ("stdout", "stderr"):
        if (pipe := getattr(popen, name)) is not None:
            reader = asyncio.StreamReader()
            await loop.connect_read_pipe(lambda reader=reader: asyncio.StreamReaderProtocol(reader), pipe)
            setattr(process, name, reader)
    return process


def _settings(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_OF_THE_INTERPRETER)}


@dataclass(frozen=True)
class _Server:
    """The process that has imported the program."""

    requests: socket.socket
    settings: dict[str, str]  # of its interpreter: a process with others is started as always


@cache
def _server(screens: bool) -> _Server:
    """The process that has imported the program; begun when it is first needed."""
    # As tests/support/terminals.py starts the screens.
    settings = _settings({**os.environ, "PYTHONUTF8": "1"} if screens else dict(os.environ))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, str(theirs.fileno()), SCREENS if screens else MODULE],
        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        # A process with threads should not fork.
        env={**os.environ, **settings, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait(30)

    atexit.register(end)
    return _Server(ours, settings)


# --- the process that has imported the program -------------------------------------------------------------


def _import_all() -> None:
    """Import what the commands would; a command line is parsed, as typer imports much when it does."""
    for module in pkgutil.iter_modules(importlib.import_module(f"{MODULE}.commands").__path__):
        importlib.import_module(f"{MODULE}.commands.{module.name}")
    for name in ("runner", "demo", "simulator.serve"):
        importlib.import_module(f"{MODULE}.{name}")
    typer.main.get_command(importlib.import_module(f"{MODULE}.cli").app).make_context("feeder-tui", ["gaps"])


def _import_screens() -> None:
    sys.path.insert(0, str(_ROOT))
    for name in (f"{MODULE}.app", SCREENS):
        importlib.import_module(name)
    del sys.modules[SCREENS]  # it is run as a program
    sys.path.remove(str(_ROOT))


@dataclass(frozen=True)
class _Request:
    """What is to be run, and how a process of the program asks for another."""

    module: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    step: str
    descriptors: list[int]
    more: socket.socket


def _serve(requests: socket.socket) -> _Request | None:
    """Fork for every request. Returns the request in the child, None where there are no more."""
    woken, waker = socket.socketpair()
    woken.setblocking(False)
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    more, from_processes = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    waiting: dict[int, socket.socket] = {}
    open_for_requests = True
    while open_for_requests or waiting:
        asking = [requests, from_processes] if open_for_requests else []
        ready = select.select([woken, *asking], [], [])[0]
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                woken.recv(4096)
            while waiting:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                with contextlib.suppress(OSError), waiting.pop(pid) as connection:
                    connection.sendall(status.to_bytes(4, "little"))
        for source in asking:
            if source not in ready:
                continue
            packet, descriptors, _, _ = socket.recv_fds(source, 2 * _LONGEST, 4)
            if not packet:
                open_for_requests = False
                for pid in waiting:  # whoever asked for them has ended
                    os.kill(pid, signal.SIGKILL)
                break
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for own in (requests, from_processes, woken, waker, *waiting.values()):
                    own.close()
                module, arguments, folder, environment, step = json.loads(packet)
                return _Request(module, arguments, folder, environment, step, list(descriptors), more)
            connection = socket.socket(fileno=descriptors[3])
            connection.sendall(pid.to_bytes(4, "little"))
            waiting[pid] = connection
            for descriptor in descriptors[:3]:
                os.close(descriptor)
    return None


def _become(request: _Request) -> None:
    """Be ``python -m module`` with these."""
    for number in range(3):
        os.dup2(request.descriptors[number], number)
    for descriptor in request.descriptors:
        os.close(descriptor)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    if request.step:
        _STEPS[request.step]()
    if request.module == MODULE:
        _let_its_processes_fork(request.more)
    sys.path.insert(0, request.folder)
    sys.argv = ["-m", *request.arguments]
    try:
        runpy.run_module(request.module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    else:
        code = 0
    if isinstance(code, int):
        _end(code)
    raise SystemExit(code)


def _let_its_processes_fork(more: socket.socket) -> None:
    """The embedded exchange of a demo, and the feeder behind pages, are started by this class too."""
    server = _Server(more, _settings(dict(os.environ)))
    globals()["_server"] = lambda screens: server
    forking = SimpleNamespace(**{**vars(subprocess), "Popen": PreloadedPopen})
    for name in ("simulator.launch", "commands.serve_run"):
        vars(importlib.import_module(f"{MODULE}.{name}"))["subprocess"] = forking


def _end(code: int) -> None:
    """End as the interpreter does, but without taking the modules apart.

    They are shared with the process that has imported them. To touch each of their objects copies all of that
    memory, which is two thirds of the processor's time of a short command. Returns where an output cannot be
    written, which the interpreter reports.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    gc.collect()  # what is let go of may complain
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code & 0xFF)


def _main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    (_import_screens if sys.argv[2] == SCREENS else _import_all)()
    gc.freeze()
    request = _serve(requests)
    if request is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _become(request)


if __name__ == "__main__":
    _main()
