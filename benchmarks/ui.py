"""The screen on a real pseudo-terminal: CPU, bytes and frames against the budgets of the design.

``python -m benchmarks.ui``. About a minute and a half; CPU is of the whole process, Python's start apart.
"""

from __future__ import annotations

import fcntl
import gc
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from benchmarks._report import Figure, report
from tests.support.fake_monitor import FakeMonitor
from tui_feeder.screens.scanner_input import ScannerInput
from tui_feeder.widgets.overview_grid import Grid

_ROOT = Path(__file__).resolve().parents[1]
_WARM, _SECONDS, _STALL = 2.5, 6.0, 20.0
_TURNS = 2
_TICK = os.sysconf("SC_CLK_TCK")
_SIZES = {"80x24": (80, 24, 4_000), "120x40": (120, 40, 6_000), "200x60": (200, 60, 10_000)}
#: Keys that lead to a screen, and its name; the last five are those of order flow and profile tools.
_BACK, _FORTH = "\x1b[1;2D", "\x1b[1;2C"  # ten bars
_SCREENS = (
    ("2", "chart"), ("4", "gaps"), ("5", "sinks"), ("6", "log"), ("0", "map"), ("3", "profile"),
    ("8", "footprint"), ("2d", "delta"), ("2n", "naked and developing levels"),
    (f"2{_BACK}{_BACK}m{_FORTH}m", "range between marks, anchored VWAP"),
)  # fmt: skip


class Screen:
    """A program on a terminal of its own that is always read."""

    def __init__(self, module: str, arguments: list[str], width: int, height: int, **environ: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        keep = {k: v for k, v in os.environ.items() if not k.startswith("SSH_") and k != "NO_COLOR"}
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=_ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**keep, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONUTF8": "1", **environ},
            start_new_session=True,
        )
        os.close(slave)

    def read(self, seconds: float, until: bytes | None = None) -> bytes:
        got = bytearray()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and (until is None or until not in got):
            if select.select([self._master], [], [], left)[0]:
                try:
                    got += os.read(self._master, 1 << 16)
                except OSError:
                    break
        return bytes(got)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def cpu(self) -> float:
        """CPU seconds used so far, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def anonymous_mb(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
        return 0.0

    def measured(self) -> tuple[float, float]:
        """Percent of a core, and bytes a second, over the seconds to come."""
        before, began = self.cpu(), time.monotonic()
        sent = len(self.read(_SECONDS))
        took = time.monotonic() - began
        return (self.cpu() - before) / took * 100, sent / took

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@contextmanager
def screen(*arguments: str, width: int = 120, height: int = 40, keys: str = "") -> Iterator[Screen]:
    one = Screen("tests.support.fake_monitor", list(arguments), width, height)
    try:
        one.read(20.0, until=b"quit")
        if keys:
            one.press(keys)
        one.read(_WARM)
        yield one
    finally:
        one.close()


def letter() -> float:
    """CPU seconds of the slowest letter of a filter that is typed over 600 symbols."""
    monitor, grid = FakeMonitor(600), Grid()
    grid.update(monitor.snapshot())
    grid.sort_by("1m")
    typed = ScannerInput(lambda: grid)
    typed.begin()
    slowest = 0.0
    gc.collect()
    gc.freeze()  # what was measured before is no part of a screen: its objects would be looked through
    for character in "24h>3 vol>100M trend.1h=buy align>=3 near(poc)<0.2 name~1000":
        grid.update(monitor.snapshot(), resort=False)
        before = time.process_time()
        typed.press(character, character)
        typed.help(120)
        slowest = max(slowest, time.process_time() - before)
    gc.unfreeze()
    return slowest


def stalled() -> list[Figure]:
    """The live engine on the embedded exchange, a minute a second, while nobody reads its terminal."""
    closed = re.compile(r"minute (\d\d:\d\d) closed: 4 of 4 symbols")
    with tempfile.TemporaryDirectory() as state:
        log = Path(state) / "feeder-tui" / "feeder-tui.log"
        arguments = [
            "--demo",
            "--demo-speed",
            "60",
            "--symbols",
            "BTCUSDT,ETHUSDT,SOLUSDT,XRPUSDT",
            "--hz",
            "20",
        ]
        one = Screen("tui_feeder", arguments, 200, 60, XDG_STATE_HOME=state)
        try:
            one.read(60.0, until=b"LIVE")
            one.read(3.0)
            seen = len(closed.findall(log.read_text()))
            moments: list[float] = [time.monotonic()]
            end = moments[0] + _STALL
            while time.monotonic() < end:
                count = len(closed.findall(log.read_text()))
                moments += [time.monotonic()] * (count > seen)
                seen = max(seen, count)
                time.sleep(0.02)
            waited = [later - sooner for sooner, later in pairwise(moments)]
            fresh = one.read(3.0)
            minutes = [datetime.strptime(m, "%H:%M") for m in closed.findall(log.read_text())]
            lost = sum((b - a).total_seconds() % 86_400 / 60 - 1 for a, b in pairwise(minutes))
        finally:
            one.process.terminate()
            one.read(10.0, until=b"shut down cleanly")
            one.close()
    return [
        Figure("terminal not read for 20 s: minutes closed meanwhile", len(waited), "", at_least=_STALL - 3),
        Figure("terminal not read: engine late at most", max(waited, default=_STALL) - 1.0, "s", at_most=1.0),
        Figure("terminal not read: minutes lost", lost, "", at_most=0),
        Figure("terminal read again: sent in 3 s", len(fresh), "B", at_least=1_000),
    ]


def memory() -> list[Figure]:
    """Anonymous memory of a live feeder with its screen and without."""
    held: dict[str, float] = {}
    for name, extra, live in (("without", ["--no-ui"], b"live: 4 symbols"), ("with", [], b"LIVE")):
        with tempfile.TemporaryDirectory() as state:
            arguments = ["--demo", "--symbols", "BTCUSDT,ETHUSDT,SOLUSDT,XRPUSDT", *extra]
            one = Screen("tui_feeder", arguments, 120, 40, XDG_STATE_HOME=state)
            try:
                one.read(60.0, until=live)
                one.read(3.0)
                for key in "" if extra else "2dn348561":  # a screen takes memory when it is first shown
                    one.press(key)
                    one.read(0.7)
                held[name] = one.anonymous_mb()
                one.process.terminate()
                one.read(10.0, until=b"shut down cleanly")
            finally:
                one.close()
    return [
        Figure("live feeder without a screen: anonymous memory", held["without"], "MB"),
        Figure("the screen adds, all of them shown", held["with"] - held["without"], "MB", at_most=30),
    ]


def shown(keys: str, name: str, size: str) -> list[Figure]:
    """A screen while prices change."""
    width, height, budget = _SIZES[size]
    with screen("--hz", "4", "--changes", "200", "--troubles", width=width, height=height, keys=keys) as one:
        cpu, sent = one.measured()
    most = 4.0 if size == "120x40" else None
    return [
        Figure(f"{name} {size}, 200 changes/s: CPU of a core", cpu, "%", at_most=most),
        Figure(f"{name} {size}: sent", sent, "B/s", at_most=budget),
    ]


def measure() -> list[Figure]:
    figures: list[Figure] = []
    for name, (width, height, budget) in _SIZES.items():
        with screen("--hz", "4", "--changes", "200", width=width, height=height) as one:
            cpu, sent = one.measured()
        most = 4.0 if name == "120x40" else None
        figures += [
            Figure(f"overview {name}, 200 changes/s, 4 Hz: CPU of a core", cpu, "%", at_most=most),
            Figure(f"overview {name}: CPU a frame", cpu / 100 / 4 * 1000, "ms", at_most=10.0),
            Figure(f"overview {name}: sent", sent, "B/s", at_most=budget),
        ]
    for keys, name in _SCREENS:
        figures += shown(keys, name, "120x40")
    for size in ("80x24", "200x60"):
        for keys, name in _SCREENS[-5:]:
            figures += shown(keys, name, size)
    with screen("--changes", "200", "--slow", width=80, height=24) as one:
        figures.append(Figure("--slow 80x24: sent", one.measured()[1], "B/s", at_most=1_500))
    with screen("--hz", "4", "--changes", "0") as one:
        cpu, sent = one.measured()
        figures += [
            Figure("idle 120x40: CPU of a core", cpu, "%"),
            Figure("idle 120x40: sent", sent, "B/s", at_most=50),
        ]
    with screen("--symbols", "600", "--changes", "1200", "--hz", "4") as one:
        cpu, sent = one.measured()
        figures += [
            Figure("600 symbols, 1,200 changes/s, 120x40: CPU of a core", cpu, "%"),
            Figure("600 symbols, 120x40: sent", sent, "B/s", at_most=6_000),
            Figure("600 symbols: anonymous memory", one.anonymous_mb(), "MB"),
        ]
    with screen("--symbols", "600", "--changes", "1200", "--hz", "4", width=200, height=60) as one:
        cpu, sent = one.measured()
        figures += [
            Figure(
                "600 symbols, 1,200 changes/s, 200x60: CPU a frame", cpu / 100 / 4 * 1000, "ms", at_most=10.0
            ),
            Figure("600 symbols, 200x60: sent", sent, "B/s", at_most=10_000),
        ]
    with screen("--symbols", "600", "--changes", "1200", "--hz", "4", keys="schange, 1\r") as one:
        cpu, sent = one.measured()
        figures += [
            Figure("600 symbols sorted by a moving key, 120x40: CPU of a core", cpu, "%", at_most=5.0),
            Figure("600 symbols sorted by a moving key, 120x40: sent", sent, "B/s", at_most=8_000),
        ]
    figures.append(Figure("filter of 600 symbols: a letter, CPU", letter() * 1000, "ms", at_most=20.0))
    # Forty symbols: the table fills its terminal, as our grid and chart fill theirs. By turns, since the
    # machine is not equally busy all the time.
    ours = theirs = 0.0
    for _ in range(_TURNS):
        with screen("--symbols", "40", "--changes", "200", "--hz", "4") as one:
            ours += one.measured()[0] / _TURNS
        table = Screen("benchmarks._datatable", ["40", "200", "120"], 120, 40)
        try:
            table.read(_WARM + 2.0)
            cpu, sent = table.measured()
            theirs += cpu / _TURNS
        finally:
            table.close()
    figures += [
        Figure("40 symbols with chart and profile, 120x40: CPU of a core", ours, "%"),
        Figure("the same grid on DataTable, 120x40: CPU of a core", theirs, "%"),
        Figure("the same grid on DataTable: sent", sent, "B/s"),
        Figure("CPU against DataTable's", ours / theirs if theirs else 1.0, "", at_most=0.15),
    ]
    first = Screen("tests.support.fake_monitor", ["--symbols", "1"], 80, 24)
    try:
        first.read(20.0, until=b"quit")
        figures += [
            Figure("first frame, from exec", time.perf_counter() - first.started, "s"),
            Figure("first frame, from exec: CPU", first.cpu(), "s", at_most=0.8),
        ]
    finally:
        first.close()
    return figures + memory() + stalled()


if __name__ == "__main__":
    report("ui", measure)
