"""Screens attached to a headless feeder: what each costs, and whether the engine notices any of it.

``python -m benchmarks.attach``. About a minute and a half: a demo of 50 symbols, then three attached screens
and a loop of ``status``, then two of the screens killed and the socket of the third cut. How long the
engine's loop lets a question wait is the engine's own figure (``/health``), asked twice a second. The machine
has its part in that: compare the phases with each other. The demo runs ten times as fast as a market does, so
that minutes close, and its screens have ten times as much to tell of each second.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks._report import Figure, report
from benchmarks.ui import Screen

_ROOT = Path(__file__).resolve().parents[1]
_SYMBOLS = 50
_SECONDS = 20.0
_TICK = os.sysconf("SC_CLK_TCK")


class Wire:
    """A socket in front of a feeder's, that counts what goes through and can be cut."""

    def __init__(self, path: Path, feeder: Path) -> None:
        self.path = path
        self.received = 0  # bytes from the feeder
        self._feeder = feeder
        self._joined: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._cut = False
        self._selector.register(self._listener, selectors.EVENT_READ)
        threading.Thread(target=self._run, daemon=True).start()

    def cut(self) -> None:
        """End the connections there are; new ones are let through."""
        self._cut = True

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select(0.05):
                self._pass_on(key.fileobj)  # type: ignore[arg-type]
            if self._cut:
                self._cut = False
                for end in list(self._joined):
                    self._let_go(end)

    def _pass_on(self, end: socket.socket) -> None:
        if end is self._listener:
            client, _ = end.accept()
            feeder = socket.socket(socket.AF_UNIX)
            feeder.connect(str(self._feeder))
            self._joined |= {client: feeder, feeder: client}
            for one in (client, feeder):
                self._selector.register(one, selectors.EVENT_READ, data=one is feeder)
            return
        other = self._joined.get(end)
        if other is None:
            return
        try:
            data = end.recv(1 << 16)
            if data:
                other.sendall(data)
                self.received += len(data) * bool(self._selector.get_key(end).data)
                return
        except OSError:
            pass
        self._let_go(end)

    def _let_go(self, end: socket.socket) -> None:
        other = self._joined.pop(end, None)
        if other is None:  # with the other end
            return
        del self._joined[other]
        for one in (end, other):
            self._selector.unregister(one)
            one.close()


class Seen:
    """An attached screen that is always read."""

    def __init__(self, wire: Wire, **environ: str) -> None:
        self.wire = wire
        self.screen = Screen("tui_feeder", ["attach", "--socket", str(wire.path)], 120, 40, **environ)
        self.drawn = 0  # bytes
        self.newest = b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while self.screen.process.poll() is None:
            got = self.screen.read(0.2)
            self.drawn += len(got)
            self.newest = (self.newest + got)[-200_000:]

    def until(self, text: bytes) -> None:
        """Wait until this was drawn since the last call."""
        deadline = time.monotonic() + 90
        while text not in self.newest:
            assert time.monotonic() < deadline, self.newest[-2_000:]
            time.sleep(0.05)
        self.newest = b""


def measure() -> list[Figure]:
    """The figures of the three phases."""
    with tempfile.TemporaryDirectory() as folder, _feeder(Path(folder)) as (pid, port, path):
        environ = {"XDG_RUNTIME_DIR": folder, "XDG_STATE_HOME": folder}
        figures: list[Figure] = []
        figures += _phase("alone", pid, port, [])
        screens = [Seen(Wire(Path(folder) / f"wire{n}.sock", path), **environ) for n in range(3)]
        for seen in screens:
            seen.until(b"LIVE")
        with _asking(environ):
            figures += _phase("3 attached and status", pid, port, screens)
            for seen in screens[:2]:
                seen.screen.process.send_signal(signal.SIGKILL)
            screens[2].newest = b""
            screens[2].wire.cut()
            figures += _phase("2 killed, 1 cut", pid, port, [])
            screens[2].until(b"LIVE")
        screens[2].screen.process.kill()
        for seen in screens:
            seen.screen.process.wait()
        return figures


@contextlib.contextmanager
def _feeder(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """A headless demo that is live: its process, the port of its HTTP, and its socket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    symbols = ",".join(f"C{n:02}USDT" for n in range(_SYMBOLS))
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith("FEEDER_")},
        "FEEDER_APPLICATION__HEALTH_SERVER_PORT": str(port),
        "FEEDER_SERVICE__SOCKET": str(folder / "feeder.sock"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tui_feeder", "--demo", "--no-ui", "--symbols", symbols, "--demo-speed", "10"],
        cwd=_ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 180
        while not _ready(port):
            assert process.poll() is None, "the feeder ended"
            assert time.monotonic() < deadline, "the feeder is not ready"
            time.sleep(0.5)
        yield process.pid, port, folder / "feeder.sock"
    finally:
        process.terminate()
        process.wait(60)


def _ask(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def _ready(port: int) -> bool:
    try:
        return bool(json.loads(_ask(port, "/ready"))["ready"])
    except OSError:
        return False


@contextlib.contextmanager
def _asking(environ: dict[str, str]) -> Iterator[None]:
    """``status --json`` again and again."""
    over = threading.Event()
    socket_path = Path(environ["XDG_RUNTIME_DIR"]) / "feeder.sock"

    def ask() -> None:
        while not over.wait(2.0):
            subprocess.run(
                [sys.executable, "-m", "tui_feeder", "status", "--json", "--socket", str(socket_path)],
                cwd=_ROOT, capture_output=True, check=True, timeout=60,
            )  # fmt: skip

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    yield
    over.set()
    asking.join()


def _phase(name: str, pid: int, port: int, screens: list[Seen]) -> list[Figure]:
    before = [(seen.screen.cpu(), seen.wire.received, seen.drawn) for seen in screens]
    cpu, messages, began = _cpu(pid), _messages(port), time.monotonic()
    waits = []
    while time.monotonic() < began + _SECONDS:
        waits.append(json.loads(_ask(port, "/health"))["answer_seconds"] * 1000)
        time.sleep(0.5)
    passed = time.monotonic() - began
    made = (_messages(port) - messages) / passed
    waits.sort()
    figures = [
        Figure(f"{name}: engine answers, median", waits[len(waits) // 2], "ms"),
        Figure(
            f"{name}: engine answers, p99",
            waits[min(len(waits) - 1, int(len(waits) * 0.99))],
            "ms",
            at_most=250.0,
        ),
        Figure(f"{name}: messages", made, "/s", at_least=0.85 * _SYMBOLS / 6),
        Figure(f"{name}: CPU of the feeder", 100 * (_cpu(pid) - cpu) / passed, "% core"),
    ]
    for number, (seen, (used, received, drawn)) in enumerate(zip(screens, before, strict=True), 1):
        figures += [
            Figure(f"screen {number}: CPU", 100 * (seen.screen.cpu() - used) / passed, "% core"),
            Figure(f"screen {number}: over its socket", (seen.wire.received - received) / passed, "B/s"),
            Figure(f"screen {number}: to its terminal", (seen.drawn - drawn) / passed, "B/s", at_most=6_000),
        ]
    return figures


def _messages(port: int) -> float:
    found = re.findall(r"^feeder_symbol_messages_total\{[^}]*\} ([0-9.e+]+)$", _ask(port, "/metrics"), re.M)
    return sum(map(float, found))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


if __name__ == "__main__":
    report("attach", measure)
