"""Partitions read by DuckDB: one query over a year of many symbols, against DuckDB's own Parquet.

``python -m benchmarks.partitions [--rows N] [--rounds N] [--folder DIR] [--json] [--check]``. Needs the
extra parquet, and duckdb. The files are written by the program's own writer from synthetic candles: a year of
a symbol, which stands under the names of as many symbols as make ``--rows`` (hard links: what is read is as
much, what is kept is not), once as months and once as days. The same rows in a single file that DuckDB writes
from the months are the measure.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import duckdb
import numpy as np

from tui_feeder.engine.core.archive_file import FileKind, file_of
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source
from tui_feeder.engine.partitions.day_file import encode_partition, partition_path
from tui_feeder.engine.storage.store import Store

_START = 1_735_689_600_000  # 2025-01-01T00:00:00Z
_DAYS, _MINUTES = 365, 1_440
#: Times DuckDB's own at most: a day of a symbol is a small file, a month is not.
_LIMITS = {FileKind.MONTH: 3.0, FileKind.DAY: 10.0}
_QUERY = (
    "select symbol, count(*), sum(volume), max(high), min(low), sum(trades), "
    "count(*) filter (where state = 'quiet') from {source} group by symbol order by symbol"
)


def _rows(day: int) -> Rows:
    dice = np.random.default_rng(day)
    rows = np.zeros(_MINUTES, dtype=ROW)
    rows["open_time"] = day + np.arange(_MINUTES) * MINUTE_MS
    path = 60_000 + np.cumsum(dice.integers(-50, 51, _MINUTES)) / 10
    rows["open"], rows["close"] = path, path + dice.integers(-20, 21, _MINUTES) / 10
    rows["high"] = np.maximum(rows["open"], rows["close"]) + 1
    rows["low"] = np.minimum(rows["open"], rows["close"]) - 1
    rows["trades"] = dice.integers(1, 4_000, _MINUTES)
    rows["volume"] = dice.integers(1, 10**7, _MINUTES) / 1_000
    rows["quote_volume"] = np.round(rows["volume"] * path, 6)
    rows["taker_buy_volume"] = np.round(rows["volume"] / 3, 3)
    rows["taker_buy_quote_volume"] = np.round(rows["quote_volume"] / 3, 6)
    return rows


def _write(folder: Path, symbols: int) -> dict[FileKind, float]:
    """Write a year under the names of so many symbols; seconds that the writer took for each row, by kind."""
    store = Store(folder / "store", exchange="benchmark")
    for number in range(_DAYS):
        store.put("BTCUSDT", _rows(_START + number * DAY_MS), Source.ARCHIVE_DAY).result()
    encode_partition(store, "BTCUSDT", _START)  # pyarrow is imported
    spent = {}
    for kind in _LIMITS:
        start, files, spent[kind] = _START, list[tuple[int, Path]](), 0.0
        while start < _START + _DAYS * DAY_MS:
            began = time.perf_counter()
            content, _ = encode_partition(store, "BTCUSDT", start, kind)
            spent[kind] += time.perf_counter() - began
            files.append((start, folder / f"{start}.{kind.name}"))
            files[-1][1].write_bytes(content)
            start = file_of(start, kind).end
        for number in range(symbols):
            for start, made in files:
                path = folder / kind.name / partition_path(f"C{number}USDT", start, kind)
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(made, path)
    store.close()
    return {kind: seconds / (_DAYS * _MINUTES) for kind, seconds in spent.items()}


def _seconds(query: str, rounds: int) -> tuple[float, list[tuple[object, ...]]]:
    spent, found = [], list[tuple[object, ...]]()
    connection = duckdb.connect()
    for _ in range(rounds):
        began = time.perf_counter()
        found = connection.execute(query).fetchall()
        spent.append(time.perf_counter() - began)
    return median(spent), found


def main() -> None:
    limits = ", ".join(f"{kind.name.lower()} {limit:g}" for kind, limit in _LIMITS.items())
    parser = argparse.ArgumentParser(prog="python -m benchmarks.partitions")
    parser.add_argument("--rows", type=int, default=52_000_000)
    parser.add_argument("--rounds", type=int, default=1, help="of each query; the median counts")
    parser.add_argument("--folder", type=Path, help="where the files go")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--check", action="store_true", help=f"exit 1 beyond the limits, times DuckDB's own: {limits}"
    )
    given = parser.parse_args()
    symbols = -(-given.rows // (_DAYS * _MINUTES))
    rows = symbols * _DAYS * _MINUTES
    folder = Path(tempfile.mkdtemp(prefix="feeder-partitions-", dir=given.folder))
    try:
        encoding = _write(folder, symbols)
        sources = {
            kind: f"read_parquet('{folder}/{kind.name}/market=*/*/*/*.parquet', hive_partitioning = true)"
            for kind in _LIMITS
        }
        own = folder / "own.parquet"
        duckdb.sql(
            f"copy (select * from {sources[FileKind.MONTH]}) to '{own}' (format parquet, compression zstd)"
        )
        own_seconds, own_found = _seconds(_QUERY.format(source=f"read_parquet('{own}')"), given.rounds)
        figures: dict[str, float] = {
            "rows": rows, "own_seconds": round(own_seconds, 2),
            "own_bytes_a_row": round(own.stat().st_size / rows, 1),
        }  # fmt: skip
        missed = False
        for kind, limit in _LIMITS.items():
            seconds, found = _seconds(_QUERY.format(source=sources[kind]), given.rounds)
            assert [row[:2] for row in found] == [row[:2] for row in own_found]
            made, ratio, name = list(folder.glob(f"*.{kind.name}")), seconds / own_seconds, kind.name.lower()
            missed = missed or ratio > limit
            figures |= {
                f"{name}_files": symbols * len(made),
                f"{name}_bytes_a_row": round(sum(one.stat().st_size for one in made) / rows * symbols, 1),
                f"{name}_encoding_us_a_row": round(encoding[kind] * 1e6, 2),
                f"{name}_seconds": round(seconds, 2), f"{name}_ratio": round(ratio, 2),
            }  # fmt: skip
    finally:
        shutil.rmtree(folder)
    if given.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:>24} {figure}")
    if given.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
