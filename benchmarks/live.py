"""Live: what 10, 100 and 600 symbols cost, and how long a closing frame takes to become a message.

``python -m benchmarks.live [--json] [--check]``. The exchange runs in a process of its own, 2.3 times as
fast as the real one, so that 600 symbols make about 2,400 frames a second and close within one second.
Processor time and memory are those of this process: the engine without a screen.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from benchmarks._report import Figure, anonymous_mb, percentile, report
from tui_feeder.config import Application, Config, Exchange, TechnicalAnalysis, VolumeProfile
from tui_feeder.engine import engine as engines
from tui_feeder.engine.candle import MINUTE_MS, Candle
from tui_feeder.engine.live import EngineThread
from tui_feeder.engine.store import Store
from tui_feeder.simulator.launch import launch_blocking

_SPEED = 2.3
_SECONDS = 60.0


class _Stamped(engines.Engine):
    """The engine, with the arrival of every closing frame noted."""

    arrived: dict[tuple[str, int], float]
    frames = 0

    def _frame(self, symbol: str, candle: Candle, closed: bool, event_ms: int) -> None:
        self.frames += 1
        if closed:
            self.arrived.setdefault((symbol, candle.open_time), time.perf_counter())
        super()._frame(symbol, candle, closed, event_ms)


class _Times:
    """A sink that notes when it was handed each message."""

    name = "times"

    def __init__(self) -> None:
        self.handed: dict[tuple[str, int], float] = {}

    def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
        self.handed[(symbol, timestamp + 1 - MINUTE_MS)] = time.perf_counter()

    def status(self) -> str:
        return "ok"

    def close(self, timeout: float) -> None:
        pass


def _run(count: int, scratch: Path) -> tuple[dict[str, float], list[float], list[float]]:
    """Processor share, frames and memory; latencies of messages (ms); burst spans (s)."""
    symbols = [f"C{n}USDT" for n in range(count)]
    with launch_blocking(symbols=symbols, speed=_SPEED) as exchange:
        config = Config(
            application=replace(Application(), symbols=tuple(symbols)),
            technical_analysis=replace(TechnicalAnalysis(), min_history_days=2),
            volume_profile=replace(
                VolumeProfile(),
                price_increment_mode="Adaptive",
                min_price_increment=1e-8,
                max_price_increment=1e3,
            ),
            exchange=replace(
                Exchange(),
                rest_url=exchange.urls.rest_url,
                stream_url=exchange.urls.stream_url,
                archive_url=exchange.urls.archive_url,
                clock_rate=_SPEED,
            ),
        )
        sink, ended = _Times(), threading.Event()
        store = Store(scratch / str(count), exchange="benchmark")
        _Stamped.arrived = {}
        before = anonymous_mb()
        thread = EngineThread(config, store, [sink], on_end=ended.set, make=_Stamped)
        deadline = time.monotonic() + 300
        while thread.monitor.snapshot().state != "live":
            assert time.monotonic() < deadline, "history took too long"
            time.sleep(0.2)
        time.sleep(5.0)
        engine = thread.engine
        assert isinstance(engine, _Stamped)
        frames, cpu, began = engine.frames, time.process_time(), time.perf_counter()
        time.sleep(_SECONDS)
        seconds = time.perf_counter() - began
        share = (time.process_time() - cpu) / seconds
        rate = (engine.frames - frames) / seconds
        memory = anonymous_mb()
        thread.request_stop()
        thread.join(30)
    delays = [
        (handed - engine.arrived[key]) * 1000
        for key, handed in sink.handed.items()
        if began <= engine.arrived.get(key, 0.0) <= began + seconds
    ]
    bursts: dict[int, list[float]] = defaultdict(list)
    for (_, minute), at in engine.arrived.items():
        bursts[minute].append(at)
    spans = [max(times) - min(times) for times in bursts.values() if len(times) > count * 0.5]
    return {"share": share, "rate": rate, "memory": memory, "before": before}, delays, spans


def measure() -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory(prefix="feeder-bench-") as folder:
        for count in (10, 100, 600):
            seen, delays, spans = _run(count, Path(folder))
            whole = count == 600
            name = f"{count} symbols"
            most = {"cpu": 25.0, "p50": 50.0, "p99": 120.0} if whole else {}
            p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
            memory = seen["memory"]
            figures += [
                Figure(f"{name}: frames", seen["rate"], "1/s"),
                Figure(f"{name}: CPU of one core", seen["share"] * 100, "%", at_most=most.get("cpu")),
                Figure(f"{name}: CPU per symbol", seen["share"] * 1e5 / count, "10 ppm"),
                Figure(f"{name}: frame to message p50", p50, "ms", at_most=most.get("p50")),
                Figure(f"{name}: frame to message p99", p99, "ms", at_most=most.get("p99")),
                Figure(f"{name}: closes within", percentile(spans, 0.5), "s"),
                Figure(f"{name}: anonymous memory", memory, "MB", at_most=75 + 0.6 * count),
            ]
    return figures


if __name__ == "__main__":
    report("live", measure)
