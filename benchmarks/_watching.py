"""Those who look into a feeder: screens in tmux, and a page in a browser. And what processes cost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from benchmarks._wire import Wire
from tests.support.browsers import Chromium, chromium

ROOT = Path(__file__).resolve().parents[1]
_TICK = os.sysconf("SC_CLK_TCK")
_FEEDER = [sys.executable, "-m", "tui_feeder"]


def environment(**more: str) -> dict[str, str]:
    """Of every process that is started: what is asked for, and nothing of a feeder configured here."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FEEDER_", "TMUX", "SSH_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **more}


def free_port() -> int:
    """One of loopback that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(what: Callable[[], bool], text: Callable[[], str], seconds: float = 90.0) -> None:
    """Wait for something; ``text`` says what was there instead."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, text()
        time.sleep(0.1)


def cpu(pid: int) -> float:
    """CPU seconds that a process has used, all threads; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def children(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *children(child)]
    return found


class Pane:
    """An attached screen in a tmux session of its own.

    Args:
        wire: its way to the feeder.
        folder: for what it keeps.
        size: columns and rows.
    """

    def __init__(self, wire: Wire, folder: Path, size: tuple[int, int] = (120, 40)) -> None:
        self.wire = wire
        self._server = folder / f"tmux-{uuid.uuid4().hex[:8]}"
        self._drawn = self._server.with_suffix(".drawn")
        command = shlex.join([*_FEEDER, "attach", "--socket", str(wire.path)])
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-s", "w", "-x", str(size[0]), "-y", str(size[1]),
            "-c", str(folder), f"exec {command}",
            environ=environment(XDG_STATE_HOME=str(folder), COLORTERM="truecolor"),
        )  # fmt: skip
        self._tmux("pipe-pane", "-t", "w", f"cat >> {shlex.quote(str(self._drawn))}")
        self.pid = int(self._tmux("list-panes", "-t", "w", "-F", "#{pane_pid}"))

    @property
    def drawn(self) -> int:
        """Bytes that it wrote to its terminal."""
        return self._drawn.stat().st_size if self._drawn.exists() else 0

    def text(self) -> str:
        """What it shows."""
        return self._tmux("capture-pane", "-p", "-t", "w")

    def wait_for(self, *texts: str) -> None:
        """Until it shows them all."""
        until(lambda: all(text in (shown := self.text()) for text in texts), self.text)

    def kill(self) -> None:
        """End the screen as a crash would; what ran it goes with it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the session, if it is there."""
        subprocess.run(["tmux", "-S", self._server, "kill-server"], check=False, capture_output=True)

    def _tmux(self, *arguments: str, environ: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._server, *arguments],
            capture_output=True, text=True, check=True, timeout=20, env=environ,
        )  # fmt: skip
        return done.stdout


class Page:
    """The screens in a browser, on a page of ``feeder-tui serve``.

    Args:
        wire: the way of the page's screen to the feeder.
        folder: for what server and browser keep.
        browser: the program.
    """

    def __init__(self, wire: Wire, folder: Path, browser: str) -> None:
        self.wire = wire
        self._browser = browser
        self._folder = folder
        self._port = free_port()
        self._server = subprocess.Popen(
            [*_FEEDER, "serve", "--socket", str(wire.path), "--port", str(self._port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
            env=environment(XDG_STATE_HOME=str(folder)),
        )  # fmt: skip
        self._page: Chromium | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._show()), daemon=True)
        self._thread.start()

    @property
    def drawn(self) -> int:
        """Bytes that were sent to the page."""
        return len(self._page.drawn) if self._page is not None else 0

    def costs(self) -> tuple[float, float, float]:
        """CPU seconds so far: of the server, of the screen it runs for the page, of the browser."""
        screens = sum(map(cpu, children(self._server.pid)))
        pids = [] if self._page is None else [self._page.pid, *children(self._page.pid)]
        return cpu(self._server.pid), screens, sum(map(cpu, pids))

    def wait_for(self) -> None:
        """Until it shows a feeder that is live."""
        until(lambda: self._page is not None, lambda: "the page shows no feeder that is live")

    def close(self) -> None:
        """End browser and server."""
        self._closing.set()
        self._thread.join()
        self._server.terminate()
        self._server.wait(30)

    async def _show(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self._port)).close()
                break
            await asyncio.sleep(0.1)
        async with chromium(self._browser, self._folder / "browser") as page:
            await page.show(f"http://127.0.0.1:{self._port}/")
            await page.until(lambda: b"LIVE" in page.drawn)
            await page.click(600, 8)  # one that nobody looks at draws once a second
            self._page = page
            while not self._closing.is_set():
                with contextlib.suppress(TimeoutError):
                    await page.until(self._closing.is_set, 0.5)
