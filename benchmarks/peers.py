"""Other libraries at the tasks they share with this program: ``python -m benchmarks.peers [--json]``.

Each is pinned in ``benchmarks/peers.txt`` (``peers-freqtrade.txt``) and installed into an environment of its
own (``.venv-peers``, the first time some minutes). Processor time of one core, the middle of several rounds,
ours and theirs in turns. What comes out of both is compared where it means the same. A ratio above 1: they
take longer.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np

from benchmarks._report import KLINES, Figure, report
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.ema import Ema, ema
from tui_feeder.engine.analytics.profile.day_profile import profile_of
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, Rows, faulty
from tui_feeder.engine.exchanges.binance import kline_csv
from tui_feeder.engine.exchanges.binance.archive import unpack
from tui_feeder.engine.exchanges.binance.stream_messages import decode_message

_ROOT = Path(__file__).resolve().parents[1]
_CHILD = Path(__file__).with_name("_peer_stages.py")
_ROUNDS = 3
_SYMBOLS, _MINUTES = 600, 10
_PERIODS = (21, 89)


@dataclass(frozen=True)
class Peer:
    """A library at a task: its stage in the child, what it does less or more, and whether sums must agree."""

    title: str
    stage: str
    same: bool = True
    requirements: str = "peers"


@dataclass(frozen=True)
class Task:
    """One of ours with its peers."""

    name: str
    ours: Callable[[], float]
    items: int
    unit: str
    peers: tuple[Peer, ...]


def _interpreter(requirements: str) -> Path:
    """The Python of an environment with what a file of requirements pins; made once for each content."""
    listed = Path(__file__).with_name(f"{requirements}.txt")
    folder = _ROOT / f".venv-{requirements}"
    python, done = folder / "bin" / "python", folder / ".installed"
    wanted = hashlib.sha256(listed.read_bytes()).hexdigest()
    if not done.exists() or done.read_text() != wanted:
        print(f"installing {listed.name} into {folder.name} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        words = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            str(listed),
        ]
        subprocess.run(words, check=True)
        done.write_text(wanted)
    return python


def _inputs(folder: Path) -> tuple[bytes, Rows, list[str]]:
    """What all read: a month's zip, two months of minutes, and frames; also as files in ``folder``."""
    zips = sorted(KLINES.glob("FILUSDT-1m-????-??.zip"))
    if len(zips) < 2:
        sys.exit("the real months are not here: ../shared/data/klines")
    months = [zipfile.ZipFile(path) for path in zips[:2]]
    rows = np.concatenate([kline_csv.parse(month.read(month.namelist()[0])).rows for month in months])
    (folder / "month.zip").write_bytes(zips[0].read_bytes())
    columns: dict[str, Any] = {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()}
    np.savez(folder / "candles.npz", **columns)
    frames = list(_frames(rows))
    (folder / "frames.jsonl").write_text("\n".join(frames))
    return zips[0].read_bytes(), rows, frames


def _frames(rows: Rows) -> Iterator[str]:
    """Frames of a combined stream as the exchange writes them, with the numbers of real minutes."""
    for at in range(_MINUTES):
        for number in range(_SYMBOLS):
            row = rows[number * 100 + at]
            opened, name = int(row["open_time"]), f"C{number}USDT"
            kline = {
                "t": opened, "T": opened + 59_999, "s": name, "i": "1m", "f": 1_000_000, "L": 1_000_500,
                "o": f"{row['open']:.4f}", "c": f"{row['close']:.4f}", "h": f"{row['high']:.4f}",
                "l": f"{row['low']:.4f}", "v": f"{row['volume']:.1f}", "n": int(row["trades"]), "x": True,
                "q": f"{row['quote_volume']:.4f}", "V": f"{row['taker_buy_volume']:.1f}",
                "Q": f"{row['taker_buy_quote_volume']:.4f}", "B": "0",
            }  # fmt: skip
            data = {"e": "kline", "E": opened + 60_010, "s": name, "k": kline}
            yield msgspec.json.encode({"stream": f"{name.lower()}@kline_1m", "data": data}).decode()


def _tasks(zipped: bytes, rows: Rows, frames: list[str]) -> list[Task]:
    closes = np.ascontiguousarray(rows["close"])
    in_zip = int(np.count_nonzero(rows["open_time"] < rows["open_time"][0] + 30 * DAY_MS))
    last = closes[-20_000:].tolist()
    digest, day = hashlib.sha256(zipped).hexdigest(), rows[:1_440]
    settings = ProfileSettings(
        price_increment_mode="Fixed", fixed_price_increment=0.001, volume_distribution_mode="ClosingPrice"
    )

    def archive() -> float:
        parsed, _ = unpack(zipped, digest)
        assert not faulty(parsed.rows).any()
        return float(parsed.rows["close"].sum())

    def decode() -> float:
        trades = 0
        for text in frames:
            data = decode_message(text).data
            assert data is not None
            assert data.k is not None
            trades += data.k.candle().trades
        return float(trades)

    def added() -> float:
        lines = [Ema(period) for period in _PERIODS]
        for close in last:
            for line in lines:
                line.add(close)
        return float(sum(line.value or 0.0 for line in lines))

    def bars() -> float:
        return float(
            sum(aggregate(rows, seconds).rows["close"].sum() for seconds in (300, 900, 3600, 14_400))
        )

    def profile() -> float:
        made = profile_of(day, settings)
        assert made is not None
        return float(day["volume"].sum())

    def emas() -> float:
        return float(sum(ema(closes, period)[-1] for period in _PERIODS))

    return [
        Task("month read in", archive, in_zip, "candles/s", (
            Peer("pandas, no SHA256", "pandas_archive"),
            Peer("polars, no SHA256", "polars_archive"),
            Peer("freqtrade, 6 columns, no SHA256", "freqtrade_archive", requirements="peers-freqtrade"),
        )),
        Task("frames decoded", decode, len(frames), "frames/s", (
            Peer("python-binance, strings", "python_binance_frames"),
            Peer("cryptofeed, decimals", "cryptofeed_frames"),
            Peer("ccxt.pro, with its cache", "ccxt_frames", same=False),
        )),
        Task("EMA 21 and 89 of two months", emas, len(closes), "closes/s", (
            Peer("TA-Lib", "talib_ema"),
            Peer("pandas, another seed", "pandas_ema"),
        )),
        Task("EMA 21 and 89, a close at a time", added, len(last), "closes/s", (
            Peer("talipp", "talipp_ema"),
        )),
        Task("5m 15m 1h 4h bars of two months", bars, len(rows), "minutes/s", (
            Peer("pandas, minutes not counted", "pandas_bars"),
            Peer("polars, minutes not counted", "polars_bars"),
        )),
        Task("profile of a day", profile, 1, "profiles/s", (
            Peer("MarketProfile, by closes", "marketprofile_day"),
        )),
    ]  # fmt: skip


def _seconds(work: Callable[[], float]) -> float:
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def _their_seconds(peer: Peer, folder: Path) -> tuple[float, float]:
    """Seconds of some rounds of a peer, the middle one, and the sum of what came out."""
    words = [str(_interpreter(peer.requirements)), "-P", str(_CHILD), peer.stage, str(folder), "5"]
    environment = os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"{peer.title}: {done.stderr[-1500:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return median(found["seconds"]), found["sum"]


def measure() -> list[Figure]:
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="feeder-bench-") as name:
        folder = Path(name)
        for task in _tasks(*_inputs(folder)):
            outcome = task.ours()
            own, theirs = [], {peer.title: list[float]() for peer in task.peers}
            for _ in range(_ROUNDS):
                own.append(_seconds(task.ours))
                for peer in task.peers:
                    seconds, total = _their_seconds(peer, folder)
                    theirs[peer.title].append(seconds)
                    assert not peer.same or abs(total - outcome) <= 1e-6 * abs(outcome), (
                        peer,
                        total,
                        outcome,
                    )
            ours = median(own)
            figures.append(Figure(f"{task.name}: ours", task.items / ours, task.unit))
            for title, taken in theirs.items():
                figures.append(Figure(f"{task.name}: {title}", task.items / median(taken), task.unit))
                figures.append(Figure(f"{task.name}: {title} / ours", median(taken) / ours, "x"))
    return figures


if __name__ == "__main__":
    report("peers", measure)
