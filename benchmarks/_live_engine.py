"""The process that :mod:`benchmarks.live` looks at: the engine as it runs without a screen, and nothing else.

Orders come as JSON lines on stdin, answers go as JSON lines to stdout; it ends with stdin.
"""

from __future__ import annotations

import asyncio
import json
import logging
import selectors
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType

from msgspec.structs import replace

from benchmarks._report import anonymous_mb, percentile
from tui_feeder import cli, runner  # what the command loads is part of its memory
from tui_feeder.config import Application, Config, Exchange, VolumeProfile
from tui_feeder.configuration.sections.exchange import CoinM, Spot
from tui_feeder.engine import snapshots
from tui_feeder.engine.cluster.ownership import Ownership
from tui_feeder.engine.composition import configured_engine
from tui_feeder.engine.core.candle import MINUTE_MS, Candle
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.exchanges.base import Exchange as ExchangeAdapter
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.storage.store import Store
from tui_feeder.engine.thread import EngineThread

assert cli
assert runner

_ALONE: Mapping[str, Sequence[str]] = MappingProxyType({})
#: Nothing more is built in the background for so long: the start is over, seconds.
_SETTLE_SECONDS = 3.0


def configured(
    urls: Sequence[str], symbols: Sequence[str], storage: Path, others: Mapping[str, Sequence[str]] = _ALONE
) -> Config:
    """The configuration measured: all defaults; ``others`` are the addresses of spot and COIN-M by name.

    But of past days only two profiles are stored, so that a start is soon over; no number rests on them.
    """
    return Config(
        application=replace(Application(), symbols=tuple(symbols), storage_path=storage),
        volume_profile=replace(VolumeProfile(), historical_days=2),
        exchange=replace(
            Exchange(),
            rest_url=urls[0],
            stream_url=urls[1],
            archive_url=urls[2],
            spot=Spot(*others["spot"]) if "spot" in others else Spot(),
            coinm=CoinM(*others["coinm"]) if "coinm" in others else CoinM(),
        ),
    )


class _Arrivals(selectors.DefaultSelector):
    """Knows since when, at the earliest, what is read now has been waiting in the system's buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.since = self._looked = time.perf_counter()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.perf_counter()
        found = super().select(timeout)
        now = time.perf_counter()
        # What is there at once may have come at any moment since the look before.
        self.since = self._looked if now - began < 0.0001 else now
        self._looked = now
        return found


class _Policy(asyncio.DefaultEventLoopPolicy):
    """Loops that look through :class:`_Arrivals`."""

    def __init__(self, arrivals: _Arrivals) -> None:
        super().__init__()
        self._arrivals = arrivals

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(self._arrivals)


class _Stamped(Engine):
    """The engine, with the arrival of every closing frame noted."""

    arrivals: _Arrivals

    def __init__(
        self,
        config: Config,
        store: Store,
        exchange: ExchangeAdapter,
        sinks: Sequence[Sink],
        workers: ThreadPoolExecutor,
        ownership: Ownership | None = None,
    ) -> None:
        super().__init__(config, store, exchange, sinks, workers, ownership)
        self.frames = 0
        self.closed_at: dict[tuple[str, int], float] = {}

    def _frame(self, symbol: str, candle: Candle, closed: bool, event_ms: int) -> None:
        self.frames += 1
        if closed:
            self.closed_at.setdefault((symbol, candle.open_time), self.arrivals.since)
        super()._frame(symbol, candle, closed, event_ms)


class _Times:
    """A sink that notes when it was handed each message."""

    name = "times"

    def __init__(self) -> None:
        self.handed: dict[tuple[str, int], float] = {}

    def start(self, journal: Journal) -> None:
        pass

    def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
        self.handed[symbol, timestamp + 1 - MINUTE_MS] = time.perf_counter()

    def status(self) -> str:
        return "ok"

    def close(self, timeout: float) -> None:
        pass


def _waited() -> float:
    """Seconds that the threads of this process were ready and had no processor, since it began."""
    return sum(int(one.read_text().split()[1]) for one in Path("/proc/self/task").glob("*/schedstat")) / 1e9


def _settled(engine: Engine, count: int) -> bool:
    """Whether every symbol is live, has what it lacks, and its frames come."""
    return (
        len(engine.tracked) == count
        and all(one.phase == "live" for one in engine.tracked.values())
        and all(engine.ingest.queue(name).last_frame is not None for name in engine.tracked)
        and not any(engine.recovery.open_gaps())
    )


def _measured(engine: _Stamped, sink: _Times, seconds: float) -> dict[str, object]:
    """What the process did in ``seconds``; delays in ms by minute, each that of a symbol."""
    while not 5_000 <= engine.clock.now() % MINUTE_MS <= 55_000:  # begin and end between two bursts
        time.sleep(0.2)
    sink.handed.clear()
    engine.closed_at.clear()
    waited = _waited()
    frames, cpu, began = engine.frames, time.process_time(), time.perf_counter()
    peak = 0.0
    while (left := began + seconds - time.perf_counter()) > 0:
        time.sleep(min(5.0, left))
        peak = max(peak, anonymous_mb())
    lasted = time.perf_counter() - began
    spent, got = time.process_time() - cpu, engine.frames - frames
    delays: dict[int, list[float]] = {}
    arrivals: dict[int, list[float]] = {}
    for (symbol, minute), at in engine.closed_at.copy().items():
        arrivals.setdefault(minute, []).append(at)
        if (handed := sink.handed.get((symbol, minute))) is not None:
            delays.setdefault(minute, []).append((handed - at) * 1000)
    return {
        "cpu": spent / lasted,
        "waited": (_waited() - waited) / spent,
        "frames": got / lasted,
        "memory": peak,
        "delays": list(delays.values()),
        "spans": [max(times) - min(times) for times in arrivals.values()],
    }


def _snapshot_ms(thread: EngineThread) -> float:
    """Median milliseconds of building what a screen sees of all symbols, on the engine's loop."""
    taken: list[float] = []
    over = threading.Event()

    def take() -> None:
        for sequence in range(21):
            began = time.thread_time()
            snapshots.take(thread.engine, sequence)
            taken.append((time.thread_time() - began) * 1000)
        over.set()

    thread.call(take)
    over.wait()
    return percentile(taken, 0.5)


def main() -> None:
    given = json.loads(sys.stdin.readline())
    logging.basicConfig(level=logging.INFO, filename=given["log"])
    config = configured(given["urls"], given["symbols"], Path(given["storage"]), given["others"])
    store = Store(config.application.storage_path, exchange=given["exchange"])
    sink, over = _Times(), threading.Event()
    _Stamped.arrivals = _Arrivals()
    asyncio.set_event_loop_policy(_Policy(_Stamped.arrivals))
    thread = EngineThread(
        config, store, [sink], on_end=over.set, make=partial(configured_engine, kind=_Stamped)
    )
    engine = thread.engine
    assert isinstance(engine, _Stamped)
    for line in sys.stdin:
        order = json.loads(line)
        answer: dict[str, object]
        if "follow" in order:
            wanted: list[str] = order["follow"]
            thread.call(partial(engine.subscriptions.replace, wanted))
            began = time.perf_counter()
            while not _settled(engine, len(wanted)):
                if thread.error is not None:
                    raise thread.error
                time.sleep(0.2)
            built = -1
            while built != (built := engine.journal.counters["profile_days_built"]):
                time.sleep(_SETTLE_SECONDS)
            answer = {"took": time.perf_counter() - began}
        elif "snapshots" in order:
            answer = {"ms": _snapshot_ms(thread)}
        else:
            answer = _measured(engine, sink, order["seconds"])
        print(json.dumps(answer), flush=True)
    thread.request_stop()
    thread.join(30)


if __name__ == "__main__":
    main()
