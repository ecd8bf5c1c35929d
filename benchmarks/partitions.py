"""Partitions read by DuckDB: one query over many days of many symbols, against DuckDB's own Parquet.

``python -m benchmarks.partitions [--rows N] [--rounds N] [--folder DIR] [--json] [--check]``. Needs the
extra parquet, and duckdb. The files are written by the program's own writer from synthetic candles: twenty
days of a symbol, which stand under the names of as many symbols and days as make ``--rows`` (hard links: what
is read is as much, what is kept is not). The same rows in a single file that DuckDB writes are the measure.
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

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source
from tui_feeder.engine.partitions.day_file import encode_partition, partition_path
from tui_feeder.engine.storage.store import Store

_START = 1_735_689_600_000  # 2025-01-01T00:00:00Z
_MINUTES, _DISTINCT, _DAYS = 1_440, 20, 361
_LIMIT = 10.0  # times DuckDB's own: a day of a symbol is a small file
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


def _write(folder: Path, files: int) -> float:
    """Write so many files; seconds that the writer took for each of the distinct ones."""
    store = Store(folder / "store", exchange="benchmark")
    made, spent = [], 0.0
    for number in range(_DISTINCT):
        day = _START + number * DAY_MS
        store.put("BTCUSDT", _rows(day), Source.ARCHIVE_DAY).result()
        if not number:
            encode_partition(store, "BTCUSDT", day)  # pyarrow is imported
        began = time.perf_counter()
        content, _ = encode_partition(store, "BTCUSDT", day)
        spent += time.perf_counter() - began
        made.append(folder / f"{number}.file")
        made[-1].write_bytes(content)
    store.close()
    for number in range(files):
        path = folder / "p" / partition_path(f"C{number // _DAYS}USDT", _START + number % _DAYS * DAY_MS)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(made[number % _DISTINCT], path)
    return spent / _DISTINCT


def _seconds(query: str, rounds: int) -> tuple[float, list[tuple[object, ...]]]:
    spent, found = [], list[tuple[object, ...]]()
    connection = duckdb.connect()
    for _ in range(rounds):
        began = time.perf_counter()
        found = connection.execute(query).fetchall()
        spent.append(time.perf_counter() - began)
    return median(spent), found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.partitions")
    parser.add_argument("--rows", type=int, default=52_000_000)
    parser.add_argument("--rounds", type=int, default=1, help="of each query; the median counts")
    parser.add_argument("--folder", type=Path, help="where the files go")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--check", action="store_true", help=f"exit 1 at more than {_LIMIT:g} times DuckDB's own"
    )
    given = parser.parse_args()
    files = -(-given.rows // _MINUTES)
    folder = Path(tempfile.mkdtemp(prefix="feeder-partitions-", dir=given.folder))
    try:
        encoding = _write(folder, files)
        ours = f"read_parquet('{folder}/p/market=*/*/*/*.parquet', hive_partitioning = true)"
        own = folder / "own.parquet"
        duckdb.sql(f"copy (select * from {ours}) to '{own}' (format parquet, compression zstd)")
        ours_seconds, ours_found = _seconds(_QUERY.format(source=ours), given.rounds)
        own_seconds, own_found = _seconds(_QUERY.format(source=f"read_parquet('{own}')"), given.rounds)
        assert [row[:2] for row in ours_found] == [row[:2] for row in own_found]
        size = (folder / "0.file").stat().st_size
        figures = {
            "rows": files * _MINUTES, "files": files, "bytes_a_row": round(size / _MINUTES, 1),
            "encoding_ms_a_file": round(encoding * 1000, 2), "seconds": round(ours_seconds, 2),
            "duckdb_own_seconds": round(own_seconds, 2), "ratio": round(ours_seconds / own_seconds, 2),
        }  # fmt: skip
    finally:
        shutil.rmtree(folder)
    if given.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:>20} {figure}")
    if given.check and figures["ratio"] > _LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
