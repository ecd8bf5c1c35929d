"""Processes of the program that fork from one which has imported it already.

A process of the program spends most of its life importing: 0.2 to 0.5 s of a processor, and the tests start
hundreds. :class:`PreloadedPopen` is ``subprocess.Popen`` for ``python -m tui_feeder ...``: the process is
real, with its own arguments, environment, working directory, descriptors and exit code, and runs the module
as Python does. What it does not test is the start of the interpreter, and the end of its modules: a command
line that needs another interpreter (``preexec_fn``, ``pass_fds``, other settings of locale or of Python) is
started as always. Every command is started as always by test_environment.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
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
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import typer

MODULE = "tui_feeder"
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
#: gid, gids, uid, umask, start_new_session and process_group where none is asked for.
_USUAL = (None, None, None, -1, False, -1)
_LONGEST = 100_000  # bytes of a request, which is one datagram
_GONE = 255


class PreloadedPopen(subprocess.Popen[Any]):
    """``subprocess.Popen`` of which ``python -m tui_feeder`` forks from a process that has imported it."""

    _status: socket.socket | None = None

    def _execute_child(self, *given: Any) -> None:  # noqa: ANN401 - as Popen's
        args, executable, preexec_fn, _, pass_fds, cwd, env, _, _, shell = given[:10]
        reading, _, _, writing, _, error_writing = given[10:16]
        words = [] if isinstance(args, str | bytes) else [os.fspath(word) for word in args]
        wanted = dict(os.environ if env is None else env)
        request = json.dumps([words[3:], os.fspath(cwd or os.getcwd()), wanted]).encode()
        if (
            words[:3] != [sys.executable, "-m", MODULE]
            or executable is not None
            or preexec_fn is not None
            or pass_fds
            or shell
            or given[17:] != _USUAL[: len(given) - 17]
            or _settings(wanted) != _server().settings
            or len(request) > _LONGEST
        ):
            super()._execute_child(*given)
            return
        stdio = [
            own if number == -1 else number
            for own, number in zip((0, 1, 2), (reading, writing, error_writing), strict=True)
        ]
        self._status, theirs = socket.socketpair()
        socket.send_fds(_server().requests, [request], [*stdio, theirs.fileno()])
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
def _server() -> _Server:
    """The process that has imported the program; begun when it is first needed."""
    settings = _settings(dict(os.environ))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # a process with threads should not fork
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
    for name in ("runner", "demo"):
        importlib.import_module(f"{MODULE}.{name}")
    typer.main.get_command(importlib.import_module(f"{MODULE}.cli").app).make_context("feeder-tui", ["gaps"])


def _serve(requests: socket.socket) -> tuple[list[str], str, dict[str, str], list[int]] | None:
    """Fork for every request. Returns the request in the child, None where there are no more."""
    woken, waker = socket.socketpair()
    woken.setblocking(False)
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    waiting: dict[int, socket.socket] = {}
    open_for_requests = True
    while open_for_requests or waiting:
        watched = [woken, requests] if open_for_requests else [woken]
        ready = select.select(watched, [], [])[0]
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                woken.recv(4096)
            while waiting:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                with contextlib.suppress(OSError), waiting.pop(pid) as connection:
                    connection.sendall(status.to_bytes(4, "little"))
        if open_for_requests and requests in ready:
            packet, descriptors, _, _ = socket.recv_fds(requests, 2 * _LONGEST, 4)
            if not packet:
                open_for_requests = False
                for pid in waiting:  # whoever asked for them has ended
                    os.kill(pid, signal.SIGKILL)
                continue
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for own in (requests, woken, waker, *waiting.values()):
                    own.close()
                arguments, folder, environment = json.loads(packet)
                return arguments, folder, environment, list(descriptors)
            connection = socket.socket(fileno=descriptors[3])
            connection.sendall(pid.to_bytes(4, "little"))
            waiting[pid] = connection
            for descriptor in descriptors[:3]:
                os.close(descriptor)
    return None


def _become(arguments: list[str], folder: str, environment: dict[str, str], descriptors: list[int]) -> None:
    """Be ``python -m tui_feeder`` with these."""
    for number in range(3):
        os.dup2(descriptors[number], number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)
    sys.argv = ["-m", *arguments]
    try:
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    else:
        code = 0
    if isinstance(code, int):
        _end(code)
    raise SystemExit(code)


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
    _import_all()
    gc.freeze()
    request = _serve(requests)
    if request is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _become(*request)


if __name__ == "__main__":
    _main()
