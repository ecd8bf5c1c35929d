"""Live: what 10, 100 and 600 symbols cost, and how long a closing frame takes to become a message.

``python -m benchmarks.live [--json] [--check]``, some six minutes. Three processes: the embedded exchange at
the speed of the real one, with symbols so busy that each sends four frames a second and all close within the
same second; the engine as it runs without a screen, 60 days of every symbol in its store; and this one.
Time is processor time. A closing frame counts as received from the earliest moment at which it can have
waited in the system's buffers; of the bursts measured the one with the least delay is judged, as a machine
with other work lets the engine wait for a processor: how long it did is shown beside.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from benchmarks._live_engine import configured
from benchmarks._report import Figure, percentile, report
from tui_feeder.engine.analytics.message import encode
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source, to_candles
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.derived.count_minute import count_minute
from tui_feeder.engine.derived.inputs import SEED, Seed, SymbolInputs, load_pipeline, put_inputs
from tui_feeder.engine.exchanges.binance.routes import kline_stream, market_url
from tui_feeder.engine.exchanges.binance.stream_connection import STREAMS_PER_SOCKET
from tui_feeder.engine.exchanges.binance.stream_messages import Frame
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator import market as simulated
from tui_feeder.simulator.launch import launch_blocking
from tui_feeder.simulator.market import Market
from tui_feeder.simulator.synthetic import synthetic_market

START = 1_773_153_000_000  # 2026-03-10T14:30:00Z, the busiest hour
_DAYS = 60
_COUNTS = (10, 100, 600)
_SECONDS = {10: 60.0, 100: 60.0, 600: 120.0}
_BARE_SECONDS = 20.0
_CANDIDATES = 6_000
EXCHANGE = "a benchmark"


def say(text: str) -> None:
    """Progress, beside the figures."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def busiest(count: int) -> list[str]:
    """The names that trade most in the quietest minute of the hour measured."""
    names = [f"C{n}USDT" for n in range(_CANDIDATES)]
    candidates = synthetic_market(names, as_of_ms=START)
    least = {
        name: int(candidates.minutes(name, START, START + 20 * MINUTE_MS).values[:, simulated.TRADES].min())
        for name in names
    }
    return sorted(names, key=lambda name: -least[name])[:count]


def _rows(market: Market, symbol: str, start: int, end: int) -> Rows:
    """The exchange's own candles."""
    unit, block = market.instruments[symbol], market.minutes(symbol, start, end)
    rows = np.zeros(len(block.times), dtype=ROW)
    rows["open_time"], rows["trades"] = block.times, block.values[:, simulated.TRADES]
    for decimals, columns in (
        (unit.price_decimals, {"open": 0, "high": 1, "low": 2, "close": 3}),
        (unit.quantity_decimals, {"volume": simulated.VOLUME, "taker_buy_volume": simulated.TAKER}),
        (
            unit.quote_decimals,
            {"quote_volume": simulated.QUOTE, "taker_buy_quote_volume": simulated.TAKER_QUOTE},
        ),
    ):
        for name, column in columns.items():
            rows[name] = block.values[:, column] / 10**decimals
    return rows


def fill(storage: Path, market: Market, names: Sequence[str], prefix: str = "", *, days: int = _DAYS) -> None:
    """A store as an earlier run left it: days of every symbol, up to where the exchange begins."""
    store = Store(storage, exchange=EXCHANGE)
    start = (START - days * DAY_MS) // DAY_MS * DAY_MS
    for done, bare in enumerate(names):
        name, rows = prefix + bare, _rows(market, bare, start, START)
        put = store.put(name, rows, Source.ARCHIVE_MONTH, certify=Coverage.of_times(rows["open_time"]))
        store.set_listed(name, start)
        store.set_watermark(name, START - MINUTE_MS)
        bars = np.zeros(922, dtype=SEED)
        bars["open_time"] = start - np.arange(len(bars), 0, -1) * 14_400_000
        bars["close"] = rows["open"][0]
        unit = market.instruments[bare]
        tick = unit.tick / 10**unit.price_decimals
        put_inputs(store, name, SymbolInputs(tick, {14_400: Seed(start, bars.tobytes())}))
        put.result()
        if done % 100 == 99:
            say(f"{done + 1} of {len(names)} symbols stored")
    store.close()


class _Engine:
    """The measured process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **order: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the engine's process has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def running(
    storage: Path, names: list[str], urls: Sequence[str], others: Mapping[str, Sequence[str]]
) -> Iterator[_Engine]:
    """The engine with ``names``, and its store closed in order afterwards.

    ``urls`` are REST, streams and archive of USD-M futures, ``others`` those of other markets by name.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks._live_engine"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdin is not None
        given = {
            "urls": urls,
            "others": others,
            "symbols": names,
            "storage": str(storage),
            "log": str(storage.with_suffix(".log")),
            "exchange": EXCHANGE,
        }
        process.stdin.write(json.dumps(given) + "\n")
        yield _Engine(process)
        process.stdin.close()
        process.wait(60)
    finally:
        process.kill()
        process.wait()


# --- beside it ------------------------------------------------------------------------------------


class _Event(msgspec.Struct):
    k: Frame


class _Message(msgspec.Struct):
    data: _Event | None = None


async def _bare(stream_url: str, names: list[str]) -> float:
    """Processor share of reading the same frames with websockets and msgspec, and nothing else."""
    decoder = msgspec.json.Decoder(_Message, strict=False)

    async def read(socket: ClientConnection) -> None:
        async for text in socket:
            decoder.decode(text)

    sockets, reading = [], []
    for at in range(0, len(names), STREAMS_PER_SOCKET):
        streams = [kline_stream(name) for name in names[at : at + STREAMS_PER_SOCKET]]
        socket = await connect(market_url(stream_url, streams), compression=None)
        for first in range(0, len(streams), 100):
            order = {"method": "SUBSCRIBE", "params": streams[first : first + 100], "id": first + 1}
            await socket.send(json.dumps(order))
        sockets.append(socket)
        reading.append(asyncio.create_task(read(socket)))
    await asyncio.sleep(2.0)
    began, spent = time.perf_counter(), time.process_time()
    await asyncio.sleep(_BARE_SECONDS)
    share = (time.process_time() - spent) / (time.perf_counter() - began)
    for socket in sockets:
        await socket.close()
    await asyncio.gather(*reading)
    return share


def _calibration() -> float:
    """Milliseconds of a million additions in a loop: how quick this machine is today."""
    taken = []
    for _ in range(5):
        began, total = time.process_time(), 0
        for n in range(1_000_000):
            total += n
        taken.append((time.process_time() - began) * 1000)
    return min(taken)


def _computing(storage: Path, names: list[str]) -> list[float]:
    """Microseconds of every candle of today, from the candle to the message's bytes."""
    taken = []
    store = Store(storage, read_only=True)
    today = START // DAY_MS * DAY_MS
    for name in names:
        pipeline = load_pipeline(store, configured(("", "", ""), [name], storage), name, today)
        for candle in to_candles(store.read(name, today, START)):
            began = time.thread_time_ns()
            encode(count_minute(store, pipeline, candle))
            taken.append((time.thread_time_ns() - began) / 1000)
    store.close()
    return taken


# --- figures --------------------------------------------------------------------------------------


def measure() -> list[Figure]:
    names = busiest(max(_COUNTS))
    seen: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="feeder-bench-") as folder:
        storage = Path(folder) / "store"
        fill(storage, synthetic_market(names, as_of_ms=START), names)
        with (
            launch_blocking(symbols=names, start_ms=START) as exchange,
            running(storage, names[: _COUNTS[0]], astuple(exchange.urls), {}) as engine,
        ):
            for count in _COUNTS:
                took = engine.ask(follow=names[:count])["took"]
                say(f"{count} symbols are live after {took:.0f} s; measuring for {_SECONDS[count]:.0f} s")
                seen[count] = engine.ask(seconds=_SECONDS[count])
            snapshot = engine.ask(snapshots=True)["ms"]
            say("reading the same frames with websockets and msgspec alone")
            bare = asyncio.run(_bare(exchange.urls.stream_url, names))
        say("computing")
        computing = _computing(storage, names[:4])
    return _figures(seen, bare, computing, snapshot)


def _figures(
    seen: dict[int, dict[str, Any]], bare: float, computing: list[float], snapshot: float
) -> list[Figure]:
    few, some, all_of_them = _COUNTS
    figures = []
    for count, one in seen.items():
        name, whole = f"{count} symbols", count == all_of_them
        delays = [delay for burst in one["delays"] for delay in burst]
        p50, p99 = (min(percentile(burst, share) for burst in one["delays"]) for share in (0.5, 0.99))
        closes = round(_SECONDS[count] / 60.0) * count
        figures += [
            Figure(f"{name}: frames", one["frames"], "1/s", at_least=3.8 * count),
            Figure(f"{name}: CPU of one core", one["cpu"] * 100, "%", at_most=25.0 if whole else None),
            Figure(f"{name}: all close within", max(one["spans"]), "s", at_most=1.0),
            Figure(f"{name}: closes that became messages", len(delays) / closes, "share", at_least=1.0),
            Figure(f"{name}: received to message, p50", p50, "ms", at_most=50.0),
            Figure(f"{name}: received to message, p99", p99, "ms", at_most=120.0),
            Figure(f"{name}: the same of all bursts, p99", percentile(delays, 0.99), "ms"),
            Figure(f"{name}: waited for a processor / worked", one["waited"], "ratio"),
            Figure(f"{name}: anonymous memory, highest", one["memory"], "MB", at_most=75 + 0.6 * count),
        ]
    first = (seen[some]["cpu"] - seen[few]["cpu"]) / (some - few) * 1e6
    last = (seen[all_of_them]["cpu"] - seen[some]["cpu"]) / (all_of_them - some) * 1e6
    return [
        *figures,
        Figure(f"a symbol more, {few} to {some}", first, "us/s"),
        Figure(f"a symbol more, {some} to {all_of_them}", last, "us/s"),
        Figure("the last symbols / the first", last / first, "ratio", at_most=1.25),
        Figure("a candle: all indicators, profile, message", float(np.mean(computing)), "us", at_most=120.0),
        Figure("a candle: p99", percentile(computing, 0.99), "us"),
        Figure(f"what a screen sees of {all_of_them} symbols, built", snapshot, "ms"),
        Figure("websockets and msgspec alone, CPU of one core", bare * 100, "%"),
        Figure("the engine / websockets and msgspec alone", seen[all_of_them]["cpu"] / bare, "ratio"),
        Figure("calibration: a million additions", _calibration(), "ms"),
    ]


if __name__ == "__main__":
    report("live", measure)
