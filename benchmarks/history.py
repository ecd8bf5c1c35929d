"""History: from a zip on loopback HTTP to committed in LMDB, and from the store into arrays.

``python -m benchmarks.history [--json] [--check]``. Uses the real months of ../shared/data. The ratios are
to a single core that reads from the same server, hashes and inflates, and does nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import aiohttp
import numpy as np

from benchmarks._report import KLINES, Figure, Watch, percentile, report
from tui_feeder.engine.acquisition.backfill import History
from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import DAY_MS, ROW, Source
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient
from tui_feeder.engine.exchanges.binance.archive_layout import archive_path
from tui_feeder.engine.exchanges.binance.exchange import BinanceExchange
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.launch import launch_blocking

_MARCH_20 = 1_773_964_800_000  # February 2026 is published
_FEBRUARY = (1_769_904_000_000, 1_772_323_200_000)
_ROUNDS = 3


async def _fill(
    urls: tuple[str, str], wanted: dict[str, Coverage], storage: Path, watch: Watch | None = None
) -> tuple[float, int, int]:
    """Seconds, candles and file bytes of filling ``wanted`` into a new store."""
    clock = ExchangeClock()
    rest = RestClient(urls[0], clock)
    await rest.sync_clock()
    workers = worker_thread()
    source = BinanceExchange(rest, ArchiveClient(urls[1], workers, concurrency=4), "")
    store = Store(storage, exchange="benchmark")
    journal = Journal(clock.now)
    history = History(source, store, journal, workers, monthly_threshold_months=1)
    began = time.perf_counter()
    async with watch or Watch():
        filled = await asyncio.gather(
            *(
                history.fill(symbol, missing, FillProgress(missing.minutes))
                for symbol, missing in wanted.items()
            )
        )
    seconds = time.perf_counter() - began
    candles, size = sum(f.got.minutes for f in filled), store.file_bytes()
    await source.close()
    await asyncio.to_thread(store.close)
    workers.shutdown()
    assert candles == sum(missing.minutes for missing in wanted.values())
    return seconds, candles, size


def _floor(archive_url: str, paths: list[str]) -> float:
    """Seconds for reading from the same server, hashing and inflating alone, one file after another.

    The limit of one core that does nothing else: no parsing, no checks, no store.
    """

    async def everything() -> float:
        async with aiohttp.ClientSession() as session:
            began = time.perf_counter()
            for path in paths:
                async with session.get(archive_url + path) as answer:
                    zipped = await answer.read()
                hashlib.sha256(zipped).hexdigest()
                at = 30 + int.from_bytes(zipped[26:28], "little") + int.from_bytes(zipped[28:30], "little")
                assert zlib.decompressobj(-15).decompress(zipped[at:])
            return time.perf_counter() - began

    return asyncio.run(everything())


def _archive(scratch: Path) -> tuple[Path, dict[str, Coverage]]:
    """A folder laid out as the archive with the real months; what it holds."""
    root = scratch / "archive"
    held: dict[str, list[tuple[int, int]]] = {}
    for zipped in sorted(KLINES.glob("*-1m-????-??.zip")):
        symbol, _, year, month = zipped.stem.split("-")
        start = int(datetime(int(year), int(month), 1, tzinfo=UTC).timestamp() * 1000)
        end = int(datetime(int(year), int(month) % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)
        path = root / archive_path(USDM.archive_folder, File(start, end, FileKind.MONTH), symbol).lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zipped.read_bytes())
        path.with_name(path.name + ".CHECKSUM").write_bytes(
            zipped.with_name(zipped.name + ".CHECKSUM").read_bytes()
        )
        held.setdefault(symbol, []).append((start, end))
    return root, {symbol: Coverage(months) for symbol, months in held.items()}


@contextlib.contextmanager
def _served(root: Path) -> Iterator[str]:
    """The address of a plain file server, a process of its own, for ``root``."""
    program = (
        "import sys\n"
        "from aiohttp import web\n"
        "app = web.Application()\n"
        "app.router.add_static('/', sys.argv[1])\n"
        "web.run_app(app, host='127.0.0.1', port=int(sys.argv[2]), print=None)\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", program, str(root), str(port)])
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _read_back(scratch: Path) -> float:
    """Seconds to read 60 days of 100 symbols from a store into arrays."""
    rng = np.random.default_rng(7)
    minutes = 60 * 1440
    rows = np.zeros(minutes, dtype=ROW)
    rows["open_time"] = _FEBRUARY[0] + np.arange(minutes) * 60_000
    close = np.round(50 + np.cumsum(rng.normal(0, 0.02, minutes)), 2)
    rows["open"] = rows["close"] = close
    rows["high"], rows["low"] = np.round(close + 0.05, 2), np.round(close - 0.05, 2)
    rows["volume"] = np.round(rng.lognormal(6, 1, minutes), 1) + 0.1
    rows["quote_volume"] = np.round(rows["volume"] * close, 4)
    rows["trades"] = rng.integers(1, 2000, minutes)
    rows["taker_buy_volume"] = np.round(rows["volume"] / 2, 1)
    rows["taker_buy_quote_volume"] = np.round(rows["quote_volume"] / 2, 4)
    store = Store(scratch / "read", exchange="benchmark")
    for future in [store.put(f"C{n}USDT", rows, Source.ARCHIVE_MONTH) for n in range(100)]:
        future.result()
    began = time.perf_counter()
    total = sum(len(store.read(f"C{n}USDT", _FEBRUARY[0], _FEBRUARY[0] + 60 * DAY_MS)) for n in range(100))
    seconds = time.perf_counter() - began
    store.close()
    assert total == 100 * minutes
    return seconds


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="feeder-bench-") as folder:
        scratch = Path(folder)
        root, wanted = _archive(scratch)
        if not wanted:
            sys.exit("the real months are not here: ../shared/data/klines")
        paths = [f"/{path.relative_to(root)}" for path in sorted(root.rglob("*.zip"))]
        first = next(symbol for symbol, months in wanted.items() if months.minutes < 45_000)
        one = {first: wanted[first]}
        single, parallel, floors, floors_one = [], [], [], []
        watch = Watch()
        size = candles = 0
        with launch_blocking(start_ms=_MARCH_20) as exchange, _served(root) as archive_url:
            urls = (exchange.urls.rest_url, archive_url)
            for number in range(_ROUNDS):
                seconds, count, _ = asyncio.run(_fill(urls, one, scratch / f"one{number}"))
                single.append(count / seconds)
                floors_one.append(count / _floor(archive_url, [path for path in paths if first in path]))
                seconds, candles, size = asyncio.run(_fill(urls, wanted, scratch / f"all{number}", watch))
                parallel.append(candles / seconds)
                floors.append(candles / _floor(archive_url, paths))
        rate_one, rate = median(single), median(parallel)
        ratio_one, ratio = rate_one / median(floors_one), rate / median(floors)
        return [
            Figure("one symbol-month, zip to committed", rate_one, "candles/s", at_least=400_000),
            Figure("one symbol-month, ratio to read, hash, inflate", ratio_one, "", at_least=0.2),
            Figure("eight months in parallel", rate, "candles/s", at_least=400_000),
            Figure("eight months, ratio to read, hash, inflate", ratio, "", at_least=0.2),
            Figure("store", size / candles, "B/candle", at_most=45),
            Figure("loop pause p99", percentile(watch.loop_pauses, 0.99), "ms"),
            Figure("longest loop pause", max(watch.loop_pauses), "ms", at_most=20),
            Figure("longest pause of another thread", max(watch.thread_pauses), "ms"),
            Figure("peak memory, 60 symbol-months", _memory(scratch), "MB", at_most=200),
            Figure("60 days of 100 symbols into arrays", _read_back(scratch), "s", at_most=2),
        ]


def _memory(scratch: Path) -> float:
    """Peak anonymous memory while 60 symbol-months are read."""
    watch = Watch()
    with launch_blocking(start_ms=_MARCH_20, symbols=[f"C{n}USDT" for n in range(20)]) as exchange:
        start = 1_764_547_200_000  # 2025-12-01: three months
        wanted = {symbol: span(start, _FEBRUARY[1]) for symbol in exchange.symbols[:20]}
        urls = (exchange.urls.rest_url, exchange.urls.archive_url)
        asyncio.run(_fill(urls, wanted, scratch / "memory", watch))
    return watch.peak_mb


if __name__ == "__main__":
    report("history", measure)
