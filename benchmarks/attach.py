"""A headless feeder of 50 symbols that is looked into: what each look costs, and whether the engine notices.

``python -m benchmarks.attach``. About three minutes; it needs tmux, Debian's ``chromium``, and textual-serve.
Who looks are three attached screens, each in a tmux session of 120x40, and a page of ``feeder-tui serve`` in
a real browser, all at once. Each comes by a socket of its own before the feeder's, where bytes are counted.

First at the speed of a market, for the bytes and the CPU. Then ten times as fast, so that minutes close and
there is ten times as much to send: alone; with all four; then two of the screens are killed and the socket of
the third is cut for a few seconds; then with those that are left. How late the engine's loop wakes is the
engine's own figure (``feeder_loop_lag_seconds``), in the fast phases watched so often that each has thousands
of wakes; that watching is in the CPU of the fast feeder.

The machine has its part in every delay, so the phases are to be compared with each other. The p99 of a phase
may be three times what it was alone, and always 50 ms: a busy machine holds up any process for so long, and
it is a hundredth of the 5 s after which a minute is late.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks._report import Figure, report
from benchmarks._watching import ROOT, Page, Pane, cpu, environment, free_port
from benchmarks._wire import Wire

_SYMBOLS = 50
_DAYS = 3  # of history, so that it is soon live
_SCREENS = 3
_ALONE, _PHASE = 12.0, 20.0  # seconds
_MINUTE = 62.0  # at the speed of a market: one minute closes
_CUT = 4.0
_LEAST_BOUND_MS = 50.0
#: By the feeder's speed, B/s.
_SOCKET_LIMITS, _TERMINAL_LIMITS = {1: 5_000, 10: 15_000}, {1: 6_000, 10: 12_000}
_LIVE = f"● LIVE {_SYMBOLS} sym"


@dataclass(frozen=True)
class Reading:
    """What ``/metrics`` says at one moment."""

    at: float  # time.monotonic()
    lag: dict[float, float]  # wakes of the engine's loop that were at most so late, s
    messages: dict[str, float]  # by symbol, so far
    minutes: dict[str, int]  # by symbol: the number of its last closed minute


class Feeder:
    """A headless demo that is live, on a socket and a port of its own."""

    def __init__(self, folder: Path, speed: int, module: str) -> None:
        self.socket = folder / "feeder.sock"
        self.speed = speed
        self._port = free_port()
        symbols = ",".join(f"C{n:02}USDT" for n in range(_SYMBOLS))
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "--demo", "--no-ui", "--symbols", symbols,
             "--demo-speed", str(speed)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment(
                FEEDER_APPLICATION__HEALTH_SERVER_PORT=str(self._port),
                FEEDER_SERVICE__SOCKET=str(self.socket),
                FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS=str(_DAYS),
                XDG_STATE_HOME=str(folder),
            ),
        )  # fmt: skip
        self.pid = self._process.pid
        deadline = time.monotonic() + 180
        while not self._ready():
            assert self._process.poll() is None, "the feeder ended"
            assert time.monotonic() < deadline, "the feeder is not ready"
            time.sleep(0.5)

    def reading(self) -> Reading:
        """What it says of itself now."""
        text, at = self._get("/metrics"), time.monotonic()
        now = float(samples(text, "feeder_exchange_time_seconds")[""])
        lag = {float(le): n for le, n in samples(text, "feeder_loop_lag_seconds_bucket").items()}
        ages = samples(text, "feeder_symbol_minute_age_seconds")
        minutes = {symbol: round((now - age) / 60) for symbol, age in ages.items()}
        return Reading(at, lag, samples(text, "feeder_symbol_messages_total"), minutes)

    def answer_ms(self) -> float:
        """How long its engine took to answer just now."""
        return float(json.loads(self._get("/health"))["answer_seconds"]) * 1000

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(60)

    def _ready(self) -> bool:
        try:
            return bool(json.loads(self._get("/ready"))["ready"])
        except OSError:
            return False

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as answer:
            return str(answer.read().decode())


def samples(text: str, name: str) -> dict[str, float]:
    """The samples of a metric with one label or none, by the label's value."""
    found = re.findall(rf'^{name}(?:\{{\w+="([^"]*)"\}})? (\S+)$', text, re.M)
    return {label: float(value) for label, value in found}


def quantile(before: dict[float, float], after: dict[float, float], share: float) -> float:
    """A quantile of what a histogram counted meanwhile, ms; within a class as if all were spread evenly.

    Args:
        before: by upper end of the class, s: how many were at most that.
        after: the same, later.
        share: 0.99 for the value that 99 of 100 do not exceed.
    """
    counts = [(bound, after[bound] - before[bound]) for bound in sorted(after)]
    wanted = share * counts[-1][1]
    for (low, below), (high, count) in pairwise([(0.0, 0.0), *counts]):
        if count >= wanted:
            if high == float("inf"):
                return low * 1000
            return (low + (high - low) * (wanted - below) / (count - below)) * 1000
    return 0.0


class Run:
    """The phases of one feeder."""

    def __init__(self, feeder: Feeder, folder: Path, browser: str) -> None:
        self.figures: list[Figure] = []
        self.panes: list[Pane] = []
        self.page: Page | None = None
        self._feeder = feeder
        self._folder = folder
        self._browser = browser
        self._bound = _LEAST_BOUND_MS
        self._began = feeder.reading()

    def look(self) -> None:
        """Attach three screens and a browser, and wait until all of them show the feeder."""
        wires = [Wire(self._folder / f"wire{n}.sock", self._feeder.socket) for n in range(_SCREENS + 1)]
        self.panes = [Pane(wire, self._folder) for wire in wires[:-1]]
        self.page = Page(wires[-1], self._folder, self._browser)
        for pane in self.panes:
            pane.wait_for(_LIVE, "C00USDT")
        self.page.wait_for()
        time.sleep(3.0)  # the start of Python and of the browser is none of the screens' cost

    def phase(
        self, name: str, seconds: float, panes: list[int], meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Measure for so long: the engine, these of the screens, and the page where there is one.

        Args:
            name: of the phase.
            seconds: how long it takes.
            panes: numbers of the screens that are there all the time.
            meanwhile: done at its beginning.
        """
        feeder, page = self._feeder, self.page
        answers: list[float] = []
        seen = [self.panes[n] for n in panes]
        before, used = feeder.reading(), cpu(feeder.pid)
        were = [(cpu(pane.pid), pane.wire.received, pane.drawn) for pane in seen]
        of_page = (page.costs(), page.wire.received, page.drawn) if page is not None else None
        meanwhile()
        while time.monotonic() < before.at + seconds:
            answers.append(feeder.answer_ms())
            time.sleep(0.5)
        after, spent = feeder.reading(), cpu(feeder.pid) - used
        passed = after.at - before.at
        head = f"x{feeder.speed} {name}"
        self._of_engine(head, before, after, sorted(answers))
        self._add(f"{head}: CPU of the feeder", 100 * spent / passed, "% core")
        for number, pane, (time_used, received, drawn) in zip(panes, seen, were, strict=True):
            who = f"{head}: screen {number + 1}"
            self._add(f"{who}, CPU", 100 * (cpu(pane.pid) - time_used) / passed, "% core")
            self._of_bytes(who, (pane.wire.received - received) / passed, (pane.drawn - drawn) / passed)
        if page is not None and of_page is not None:
            parts = ("page's server", "page's screen", "browser itself")
            for part, now, then in zip(parts, page.costs(), of_page[0], strict=True):
                self._add(f"{head}: {part}, CPU", 100 * (now - then) / passed, "% core")
            received, drawn = page.wire.received - of_page[1], page.drawn - of_page[2]
            self._of_bytes(f"{head}: page", received / passed, drawn / passed)

    def kill_two_and_cut_one(self) -> None:
        """Two screens die, and the socket of the third is gone for a while."""
        for pane in self.panes[:2]:
            pane.kill()
        self.panes[2].wire.cut(_CUT)
        self.panes[2].wait_for("LOST")

    def found_again(self) -> None:
        """The third screen shows the feeder again."""
        third = self.panes[2]
        third.wait_for(_LIVE, "C00USDT")
        self._add("screen 3: connections so far, its socket cut once", third.wire.joined, "", at_least=2)

    def every_minute_told(self) -> None:
        """Over all phases each minute of each symbol was a message, and only one."""
        first, last = self._began, self._feeder.reading()
        closed = {name: last.minutes[name] - first.minutes[name] for name in first.minutes}
        made = {name: last.messages[name] - first.messages[name] for name in first.messages}
        amiss = sum(abs(closed[name] - made[name]) for name in closed)
        head = f"x{self._feeder.speed} over all phases"
        self._add(f"{head}: minutes closed, of all symbols", sum(closed.values()), "", at_least=_SYMBOLS)
        self._add(f"{head}: of them not one message each", amiss, "", at_most=0)

    def close(self) -> None:
        """End what looks in."""
        for pane in self.panes:
            pane.close()
            pane.wire.close()
        if self.page is not None:
            self.page.close()
            self.page.wire.close()

    def _of_engine(self, head: str, before: Reading, after: Reading, answers: list[float]) -> None:
        p50, p99 = (quantile(before.lag, after.lag, share) for share in (0.5, 0.99))
        count = after.lag[float("inf")] - before.lag[float("inf")]
        if not self.panes:
            self._bound = max(_LEAST_BOUND_MS, 3 * p99)
        self._add(f"{head}: loop lag, wakes", count, "")
        self._add(f"{head}: loop lag, p50", p50, "ms")
        self._add(f"{head}: loop lag, p99", p99, "ms", at_most=self._bound if self.panes else None)
        self._add(f"{head}: engine answers, median", answers[len(answers) // 2], "ms")
        self._add(f"{head}: engine answers, slowest", answers[-1], "ms")
        if self._feeder.speed > 1:  # else a phase has one minute or none
            made = sum(after.messages.values()) - sum(before.messages.values())
            due = _SYMBOLS * self._feeder.speed / 60
            self._add(f"{head}: messages", made / (after.at - before.at), "/s", at_least=0.85 * due)

    def _of_bytes(self, who: str, socket_bytes: float, terminal_bytes: float) -> None:
        limits = (_SOCKET_LIMITS[self._feeder.speed], _TERMINAL_LIMITS[self._feeder.speed])
        self._add(f"{who}, over its socket", socket_bytes, "B/s", at_most=limits[0])
        self._add(f"{who}, to its terminal", terminal_bytes, "B/s", at_most=limits[1])

    def _add(
        self, name: str, value: float, unit: str, at_least: float | None = None, at_most: float | None = None
    ) -> None:
        self.figures.append(Figure(name, value, unit, at_least, at_most))


@contextlib.contextmanager
def _run(speed: int, module: str, browser: str) -> Iterator[Run]:
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Feeder(Path(folder), speed, module)) as feeder,
    ):
        run = Run(feeder, Path(folder), browser)
        try:
            yield run
        finally:
            run.close()


def measure() -> list[Figure]:
    """The figures of all phases."""
    browser = _needed()
    everyone = list(range(_SCREENS))
    with _run(1, "tui_feeder", browser) as slow:
        slow.phase("alone", _ALONE, [])
        slow.look()
        slow.phase("all attached", _MINUTE, everyone)
        slow.every_minute_told()
    with _run(10, "benchmarks._closely", browser) as fast:
        fast.phase("alone", _PHASE, [])
        fast.look()
        fast.phase("all attached", _PHASE, everyone)
        fast.phase("2 killed, 1 cut", _PHASE, [2], fast.kill_two_and_cut_one)
        fast.found_again()
        fast.phase("those left", _PHASE, [2])
        fast.every_minute_told()
    return slow.figures + fast.figures


def _needed() -> str:
    """The browser. Ends the process where it, or anything else that is measured, is not installed."""
    missing = [name for name in ("tmux", "chromium") if shutil.which(name) is None]
    missing += ["textual-serve"] if importlib.util.find_spec("textual_serve") is None else []
    if missing:
        print(
            f"attach: not installed: {', '.join(missing)}; nothing is measured without it "
            "(apt-get install tmux chromium, pip install 'feeder-tui[browser]')",
            file=sys.stderr,
        )
        sys.exit(2)
    return str(shutil.which("chromium"))


if __name__ == "__main__":
    report("attach", measure)
