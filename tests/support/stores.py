"""What the tests of the store share: times, candles, and children that use a store."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store_child import FIRST, candle_of

from tui_feeder.engine.core.candle import MINUTE_MS, Rows, Source, to_candles
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.storage.store import Store, Written

CHILD = Path(__file__).with_name("store_child.py")
EVER = 1 << 62
BTC = "BTCUSDT"


def minute(n: int) -> int:
    return FIRST + n * MINUTE_MS


def append(store: Store, n: int, source: Source = Source.STREAM) -> Written:
    return store.append(BTC, candle_of(minute(n), source), source).result()


@contextmanager
def writer_held(store: Store) -> Iterator[None]:
    """The writer waits inside a job, so that what is submitted meanwhile goes together after it."""
    inside, release = threading.Event(), threading.Event()

    def job(_: object) -> None:
        inside.set()
        release.wait(30)

    held = store._submit(job)
    assert inside.wait(30)
    yield
    release.set()
    held.result()


def transactions(store: Store) -> int:
    assert store._writer is not None
    return store._writer.transactions


@contextmanager
def child(command: str, path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(CHILD), command, str(path), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def next_step(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return next_line(process)


def check_whole(store: Store) -> None:
    """Rows, coverage and certification are of one piece, and no row is torn."""
    for symbol in store.symbols():
        rows, sources = store.read_sourced(symbol, 0, EVER)
        assert Coverage.of_times(rows["open_time"]) == store.present(symbol)
        assert not store.certified(symbol).subtract(store.present(symbol))
        for source in set(sources.tolist()):
            of_source: Rows = rows[sources == source]
            wanted = [candle_of(int(at), Source(source)) for at in of_source["open_time"]]
            assert to_candles(of_source) == wanted
