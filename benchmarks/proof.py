"""Signed days: what signing a day of 600 symbols costs beside a live engine, and how large it is.

``python -m benchmarks.proof [--json] [--check]``, some six minutes. The embedded exchange is a process of
its own; the engine follows 600 symbols. How late its loop wakes is observed 200 times a second for three
minutes, then again while the part that signs works, which begins right before a minute's end: with it the
loop is busiest. For that reason the lag without signing is that of the same part of these minutes, from where
signing begins to where it ends: of a whole minute the rush at its end is a 15th, of the seconds that signing
takes a fifth, and both would differ with nothing signed at all. The bound is one and a half times that, as
one such minute was seen to have a third more than the three together; a lag below 2 ms is none, as timers of
an idle loop are a millisecond late. Where many processes want to run (seen with 15 and 30 on two processors)
the thread that signs is put off while it holds the interpreter, and the loop with it: that is not within it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lmdb
import numpy as np
from msgspec.structs import replace

from benchmarks._report import Figure, percentile, report
from benchmarks.live import EXCHANGE, START, fill, say
from tui_feeder.config import Application, Config, Exchange, Proof, TechnicalAnalysis, VolumeProfile
from tui_feeder.engine.core.archive_file import FileKind, file_of
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.trade_ids import TradeIds
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.engine.proof.canonical import canonical_lines, locator
from tui_feeder.engine.proof.folder import ProofFolder
from tui_feeder.engine.proof.leaf import evidence_of, make_leaf
from tui_feeder.engine.proof.sealing import Sealing
from tui_feeder.engine.proof.signing import make_key
from tui_feeder.engine.storage.store import FileRecord, Store
from tui_feeder.engine.thread import EngineThread
from tui_feeder.simulator.launch import launch_blocking
from tui_feeder.simulator.synthetic import synthetic_market
from tui_feeder.time_format import format_day

_SYMBOLS = 600
_TICK = 0.005
_BEFORE_MINUTES = 3
_BEFORE_END_MS = 3_000  # of a minute, when signing begins
_TODAY = START // DAY_MS * DAY_MS
_YESTERDAY = _TODAY - DAY_MS


@dataclass
class _Lag:
    """How late the engine's loop wakes, ms, and when that was, s: alone and while it signs."""

    alone: list[tuple[float, float]] = field(default_factory=list)
    signing: list[tuple[float, float]] = field(default_factory=list)
    now: list[tuple[float, float]] = field(default_factory=list)

    async def watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_TICK)
            after = time.perf_counter()
            self.now.append((before, (after - before - _TICK) * 1000))

    def minutes_alone(self) -> list[list[float]]:
        """Of each minute before signing what lies as far after its beginning as signing did."""
        first, last = self.signing[0][0], self.signing[-1][0]
        return [
            [lag for at, lag in self.alone if first <= at + 60 * back <= last]
            for back in range(1, _BEFORE_MINUTES + 1)
        ]


def _fill(storage: Path, names: Sequence[str]) -> None:
    """Two days as the file of their month has them, which counts as read."""
    fill(storage, synthetic_market(names, as_of_ms=START), names, days=1)
    store = Store(storage, exchange=EXCHANGE)
    path = USDM.facts.archive_path
    assert path is not None
    for name in names:
        digest = "ab" * 32
        file = path(file_of(_YESTERDAY, FileKind.MONTH), name)
        stated = f"{digest}  {file.rpartition('/')[2]}"
        when = "Mon, 02 Mar 2026 08:35:00 GMT"
        store.set_file(file, FileRecord(f'"{"cd" * 16}"', digest, 60_000, START, stated, when))
    store.close()


def _configured(urls: Sequence[str], names: Sequence[str], storage: Path) -> Config:
    """All defaults but bars and averages: a day of candles is enough for these, and a start soon over."""
    return Config(
        application=replace(Application(), symbols=tuple(names), storage_path=storage),
        technical_analysis=replace(
            TechnicalAnalysis(),
            min_history_days=1,
            volume_lookback_days=1,
            timeframes=(60, 300),
            ema_periods=(21,),
        ),
        volume_profile=replace(VolumeProfile(), historical_days=1),
        exchange=replace(Exchange(), rest_url=urls[0], stream_url=urls[1], archive_url=urls[2]),
    )


def _sign(thread: EngineThread, proof: Proof, lag: _Lag) -> float:
    """Seconds until yesterday of all symbols is signed."""
    engine = thread.engine
    day, folder = format_day(_YESTERDAY), ProofFolder(proof.folder)
    sealing: list[Sealing] = []

    def begin() -> None:
        sealing.append(
            Sealing(
                proof, engine.store, engine.exchange, engine.history, engine.journal, engine.workers,
                engine.tracked, engine._rebuild, concurrency=4,
            )
        )  # fmt: skip
        lag.now = lag.signing
        engine.supervisor.start("proof", sealing[0].run)

    began = time.perf_counter()
    thread.call(begin)
    while not any(head.day == day for head in folder.heads()):
        time.sleep(0.05)
        if time.perf_counter() - began > 300:
            sys.exit("the day is not signed after five minutes")
    took = time.perf_counter() - began
    lag.now = []
    thread.call(sealing[0].close)
    return took


def _steps(store: Store, names: Sequence[str]) -> list[float]:
    """Median ms of a symbol-day: all of it, its canonical lines alone, and its locator alone."""
    whole, lines, places = [], [], []
    for name in names:
        began = time.thread_time()
        found = evidence_of(store, USDM.facts, name, _YESTERDAY)
        make_leaf(store, USDM.facts, name, _YESTERDAY, found, 1, {})
        whole.append(time.thread_time() - began)
        rows = store.read(name, _YESTERDAY, _TODAY)
        began = time.thread_time()
        canonical_lines(_YESTERDAY, rows)
        lines.append(time.thread_time() - began)
        began = time.thread_time()
        locator(found.lines)
        places.append(time.thread_time() - began)
    return [float(np.median(taken)) * 1000 for taken in (whole, lines, places)]


def _bytes_of_ids(folder: Path) -> float:
    """Bytes of the first and last trade id of a live minute in the store, keys and checksums too.

    A busy day: some 30,000 trades a minute, whose ids are those of a symbol that trades for years.
    """
    path, dice, following = folder / "ids", np.random.default_rng(7), 8_149_080_393
    store = Store(path, exchange=EXCHANGE)
    for at in range(_YESTERDAY, _TODAY, MINUTE_MS):
        trades = int(dice.integers(1, 60_000))
        store.put_trade_ids([("BTCUSDT", at, TradeIds(following, following + trades - 1))]).result()
        following += trades
    kept = len(store.trade_ids("BTCUSDT", _YESTERDAY, _TODAY))
    store.close()
    with lmdb.open(str(path), readonly=True, max_dbs=16, lock=False) as opened:
        state = opened.open_db(b"state", create=False)
        with opened.begin() as txn:
            return sum(len(key) + len(record) for key, record in txn.cursor(state)) / kept


def measure() -> list[Figure]:
    names = [f"C{n}USDT" for n in range(_SYMBOLS)]
    lag = _Lag()
    with tempfile.TemporaryDirectory(prefix="feeder-bench-") as scratch:
        home = Path(scratch)
        make_key(home / "key")
        proof = Proof(enabled=True, folder=home / "proof", key_file=home / "key")
        _fill(home / "store", names)
        say(f"{_SYMBOLS} symbols are stored")
        with launch_blocking(symbols=names, start_ms=START) as exchange:
            urls = exchange.urls
            store = Store(home / "store", exchange=EXCHANGE)
            config = _configured((urls.rest_url, urls.stream_url, urls.archive_url), names, home / "store")
            over = threading.Event()
            thread = EngineThread(config, store, [], on_end=over.set)
            while thread.engine.state != "live":
                if over.wait(0.5):
                    raise thread.error or SystemExit("the engine has ended")
            say("live; observing the loop")
            time.sleep(20.0)  # what a start computes in the background
            thread.call(lambda: thread.engine.supervisor.start("lag", lag.watch))
            lag.now = lag.alone
            now = thread.engine.clock.now
            time.sleep((MINUTE_MS - (now() + _BEFORE_END_MS) % MINUTE_MS) / 1000)
            time.sleep(_BEFORE_MINUTES * MINUTE_MS / 1000)
            say("signing")
            took = _sign(thread, proof, lag)
            steps = _steps(store, names[:50])
            thread.request_stop()
            thread.join(30)
        head = next(head for head in ProofFolder(proof.folder).heads() if head.day == format_day(_YESTERDAY))
        size = sum(file.stat().st_size for file in head.path.iterdir()) / _SYMBOLS
        count = len(head.leaves())
        checked = _verified(proof.folder)
        ids = _bytes_of_ids(home)
    minutes = lag.minutes_alone()
    alone = [late for minute in minutes for late in minute]
    signing = [late for _, late in lag.signing]
    calm, busy = percentile(alone, 0.99), percentile(signing, 0.99)
    each = sorted(percentile(minute, 0.99) for minute in minutes)
    return [
        Figure("symbol-days in the head", count, "", at_least=_SYMBOLS),
        Figure(f"{_SYMBOLS} symbols, a day signed beside the live engine", took, "s", at_most=60),
        Figure("loop lag without, p99", calm, "ms"),
        Figure(
            "loop lag without, p99 of whole minutes", percentile([late for _, late in lag.alone], 0.99), "ms"
        ),
        Figure("loop lag without, p99 of the calmest minute", each[0], "ms"),
        Figure("loop lag without, p99 of the busiest minute", each[-1], "ms"),
        Figure("loop lag while signing, p99", busy, "ms", at_most=max(2.0, 1.5 * calm)),
        Figure("loop lag without, highest", max(alone), "ms"),
        Figure("loop lag while signing, highest", max(signing), "ms"),
        Figure("a symbol-day, processor time", steps[0], "ms", at_most=30),
        Figure("its canonical lines", steps[1], "ms", at_most=10),
        Figure("its locator", steps[2], "ms", at_most=10),
        Figure("proof data of a symbol-day", size, "B", at_most=1_500),
        Figure("first and last trade id of a live minute", ids, "B", at_most=6),
        Figure("signature, chain and leaves checked by Python alone", checked, "s", at_most=60),
    ]


def _verified(folder: Path) -> float:
    """Seconds that ``verify_proof.py`` takes for the chain and all leaves; of no symbol it reads the zip."""
    began = time.perf_counter()
    command = [sys.executable, str(folder / "verify_proof.py"), str(folder), "--symbol", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.startswith("no leaf: "):  # a fault would have a line before it, and DOES NOT HOLD
        sys.exit(done.stdout[-2_000:] + done.stderr[-2_000:])
    return time.perf_counter() - began


if __name__ == "__main__":
    report("proof", measure)
