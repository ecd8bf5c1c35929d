"""What every benchmark shares: its options, its report, and looking at the process it runs in."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

KLINES = Path(__file__).resolve().parents[2] / "shared" / "data" / "klines"


@dataclass(frozen=True)
class Figure:
    """One measured number, and the bound of its issue if it has one."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def good(self) -> bool:
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)


def report(title: str, measure: Callable[[], list[Figure]]) -> None:
    """Measure, print as a table or as JSON; with ``--check`` exit 1 where a bound is missed."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{title}")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 where a bound is missed")
    options = parser.parse_args()
    show(measure(), as_json=options.json, check=options.check)


def show(figures: list[Figure], *, as_json: bool, check: bool) -> None:
    """Print figures as a table or as JSON; with ``check`` exit 1 where a bound is missed."""
    if as_json:
        print(
            json.dumps(
                {
                    f.name: {
                        "value": f.value,
                        "unit": f.unit,
                        "at_least": f.at_least,
                        "at_most": f.at_most,
                        "good": f.good,
                    }
                    for f in figures
                },
                indent=1,
            )
        )
    else:
        for f in figures:
            bound = f"at least {f.at_least:,g}" if f.at_least is not None else ""
            bound = f"at most {f.at_most:,g}" if f.at_most is not None else bound
            print(f"{f.name:<52} {f.value:>14,.3f} {f.unit:<10} {bound:<22} {'' if f.good else 'MISSED'}")
    if check and not all(f.good for f in figures):
        sys.exit(1)


def anonymous_mb() -> float:
    """Anonymous resident memory of this process, MB (mapped files do not count)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


class Watch:
    """Samples a loop's pauses, the interpreter's pauses seen from another thread, and memory."""

    def __init__(self) -> None:
        self.loop_pauses: list[float] = []
        self.thread_pauses: list[float] = []
        self.peak_mb = 0.0
        self._ended = threading.Event()

    async def __aenter__(self) -> Watch:
        self._task = asyncio.create_task(self._watch_loop())
        self._thread = threading.Thread(target=self._watch_thread, daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        self._task.cancel()
        await asyncio.to_thread(self._thread.join)

    async def _watch_loop(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.loop_pauses.append((time.perf_counter() - before - 0.001) * 1000)

    def _watch_thread(self) -> None:
        while not self._ended.is_set():
            before = time.perf_counter()
            time.sleep(0.005)
            self.thread_pauses.append((time.perf_counter() - before - 0.005) * 1000)
            self.peak_mb = max(self.peak_mb, anonymous_mb())


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of the values lie."""
    ordered = sorted(values) or [0.0]
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
