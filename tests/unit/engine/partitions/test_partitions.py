"""Partitions: other programs read them by themselves, with the types, times and states that are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tui_feeder.engine.core.archive_file import FileKind
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.partitions.day_file import VALUES, encode_partition, partition_path
from tui_feeder.engine.partitions.writer import PartitionWriter, read_manifest
from tui_feeder.engine.storage.store import Store

pytest.importorskip("pyarrow", reason="needs the extra parquet")

BTC, SPOT = "BTCUSDT", "spot:ETHUSDT"
DAY = 1_773_100_800_000  # 2026-03-10T00:00:00Z
MONTH = DAY - 9 * DAY_MS


def rows_of(day: int, lacking: Coverage, quiet: Coverage) -> Rows:
    times = day + np.arange(1_440) * MINUTE_MS
    dice = np.random.default_rng(day)
    rows = np.zeros(1_440, dtype=ROW)
    rows["open_time"] = times
    price = 60_000 + dice.integers(0, 1_000, 1_440) / 10
    for name in ("open", "high", "low", "close"):
        rows[name] = price
    rows["trades"] = dice.integers(1, 60_000, 1_440)
    rows["volume"] = dice.integers(1, 10**9, 1_440) / 1_000
    rows["quote_volume"] = rows["volume"] * price
    for name in ("trades", "volume", "quote_volume"):
        rows[name][[at in quiet for at in times.tolist()]] = 0
    return rows[[at not in lacking for at in times.tolist()]]


OMITTED, QUIET = span(DAY + 5 * MINUTE_MS, DAY + 8 * MINUTE_MS), span(DAY, DAY + 2 * MINUTE_MS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store", exchange="test")
    for symbol in (BTC, SPOT):
        for day in (DAY, DAY + DAY_MS):
            opened.put(symbol, rows_of(day, OMITTED, QUIET), Source.ARCHIVE_DAY).result()
        opened.set_omitted(symbol, OMITTED).result()
    yield opened
    opened.close()


@pytest.fixture
def writer(store: Store, tmp_path: Path) -> Iterator[PartitionWriter]:
    clock = ExchangeClock()
    with ThreadPoolExecutor(1) as workers:
        yield PartitionWriter(tmp_path / "p", store, clock, Journal(clock.now), workers, store.symbols)


def test_a_day_is_written_with_its_digest_and_listed_in_the_manifest(
    writer: PartitionWriter, tmp_path: Path
) -> None:
    made = writer.write(BTC, DAY)
    assert made is not None
    assert made.path == "market=usdm/symbol=BTCUSDT/timeframe=1m/date=2026-03-10.parquet"
    content = (tmp_path / "p" / made.path).read_bytes()
    assert (made.sha256, made.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert made.minutes == {"present": 1_435, "quiet": 2, "none_at_exchange": 3}
    assert writer.write(BTC, DAY) == made  # nothing has changed
    writer.write(SPOT, DAY)
    manifest = read_manifest(tmp_path / "p", DAY)
    assert (manifest.day, list(manifest.symbols)) == ("2026-03-10", [BTC, SPOT])
    assert manifest.symbols[SPOT].path.startswith("market=spot/symbol=ETHUSDT/")
    assert writer.write("NOSUCHUSDT", DAY) is None
    assert not [path for path in (tmp_path / "p").rglob("*") if path.name.endswith(".part")]


def test_a_replaced_minute_writes_the_day_again(
    writer: PartitionWriter, store: Store, tmp_path: Path
) -> None:
    before = writer.write(BTC, DAY)
    wrong = store.read(BTC, DAY + 20 * MINUTE_MS, DAY + 21 * MINUTE_MS).copy()
    wrong["trades"] += 1
    store.put(BTC, wrong, Source.ARCHIVE_MONTH).result()
    after = writer.write(BTC, DAY)
    assert before is not None
    assert after is not None
    assert before.sha256 != after.sha256
    assert read_manifest(tmp_path / "p", DAY).symbols[BTC] == after


def test_a_folder_that_cannot_be_written_is_told_and_tried_again(store: Store, tmp_path: Path) -> None:
    clock, folder = ExchangeClock(), tmp_path / "p"
    journal = Journal(clock.now)
    folder.write_text("a file is where the folder should be")
    with ThreadPoolExecutor(1) as workers:
        writer = PartitionWriter(folder, store, clock, journal, workers, store.symbols)
        assert writer.try_to_write(BTC, DAY) == (None, True)
        assert journal.counters["partitions_failed"] == 1
        folder.unlink()
        made, failed = writer.try_to_write(BTC, DAY)
    assert made is not None
    assert not failed
    assert (folder / made.path).is_file()


def test_the_same_minutes_give_the_same_bytes(store: Store) -> None:
    assert encode_partition(store, BTC, DAY) == encode_partition(store, BTC, DAY)


def expected(store: Store) -> Rows:
    return store.read(BTC, DAY, DAY + 2 * DAY_MS)


def check(columns: dict[str, Any], states: list[str], times_ms: np.ndarray, store: Store) -> None:
    """Compare what another program read of both days of BTCUSDT with what is stored."""
    right = expected(store)
    assert times_ms.tolist() == (DAY + np.arange(2_880) * MINUTE_MS).tolist()
    there = np.isin(times_ms, right["open_time"])
    assert [state in ("present", "quiet") for state in states] == there.tolist()
    assert states[5:8] == ["none_at_exchange"] * 3
    assert states[:2] == ["quiet"] * 2
    for name in VALUES:
        assert (columns[name][there] == right[name]).all()


@pytest.fixture
def folder(writer: PartitionWriter, tmp_path: Path) -> Path:
    for symbol in (BTC, SPOT):
        for day in (DAY, DAY + DAY_MS):
            writer.write(symbol, day)
    return tmp_path / "p"


def test_duckdb_reads_the_folder(folder: Path, store: Store) -> None:
    duckdb = pytest.importorskip("duckdb", reason="is not installed")
    found = duckdb.sql(
        f"select * from read_parquet('{folder}/market=*/*/*/*.parquet', hive_partitioning = true) "
        "where symbol = 'BTCUSDT' order by open_time"
    )
    types = dict(zip(found.columns, map(str, found.types), strict=True))
    assert types["open_time"] == "TIMESTAMP WITH TIME ZONE"
    assert (types["close"], types["trades"], types["state"]) == ("DOUBLE", "BIGINT", "VARCHAR")
    assert {"market", "timeframe"} <= types.keys()
    columns = duckdb.sql("select * replace (epoch_ms(open_time) as open_time) from found").fetchnumpy()
    values = {name: np.asarray(columns[name]) for name in VALUES}
    check(values, columns["state"].tolist(), np.asarray(columns["open_time"]), store)


def test_polars_reads_the_folder(folder: Path, store: Store) -> None:
    polars = pytest.importorskip("polars", reason="is not installed")
    frame = (
        polars.scan_parquet(folder / "market=*/*/*/*.parquet", hive_partitioning=True)
        .filter(polars.col("symbol") == "BTCUSDT")
        .sort("open_time")
        .collect()
    )
    assert frame.schema["open_time"] == polars.Datetime("ms", "UTC")
    assert (frame.schema["close"], frame.schema["trades"]) == (polars.Float64, polars.Int64)
    times = frame["open_time"].dt.epoch("ms").to_numpy()
    columns = {name: frame[name].to_numpy() for name in VALUES}
    check(columns, frame["state"].to_list(), times, store)


def test_pandas_reads_the_folder(folder: Path, store: Store) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(folder / "market=usdm", filters=[("symbol", "==", "BTCUSDT")])
    frame = frame.sort_values("open_time")
    assert str(frame["open_time"].dtype) == "datetime64[ms, UTC]"
    times = frame["open_time"].dt.tz_localize(None).to_numpy().astype(np.int64)
    check({name: frame[name].to_numpy() for name in VALUES}, frame["state"].tolist(), times, store)


def test_a_month_has_the_rows_of_its_days(store: Store, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="is not installed")
    clock, folder = ExchangeClock(), tmp_path / "months"
    with ThreadPoolExecutor(1) as workers:
        writer = PartitionWriter(
            folder, store, clock, Journal(clock.now), workers, store.symbols, FileKind.MONTH
        )
        made = writer.write(BTC, MONTH)
        assert made is not None
        assert made == writer.write(BTC, MONTH)
    assert made.path == "market=usdm/symbol=BTCUSDT/timeframe=1m/month=2026-03.parquet"
    assert read_manifest(folder, MONTH, FileKind.MONTH).symbols == {BTC: made}
    assert made.minutes["present"] + made.minutes["quiet"] == 2 * 1_440 - OMITTED.minutes
    found = duckdb.sql(f"select * from '{folder}/market=*/*/*/*.parquet' where state <> 'missing'")
    assert found.count("*").fetchall() == [(2 * 1_440,)]
    rows = duckdb.sql(f"select count(*) from '{folder}/market=*/*/*/*.parquet'").fetchall()
    assert rows == [(31 * 1_440,)]
    columns = duckdb.sql("select * replace (epoch_ms(open_time) as open_time) from found").fetchnumpy()
    values = {name: np.asarray(columns[name]) for name in VALUES}
    check(values, columns["state"].tolist(), np.asarray(columns["open_time"]), store)


def test_a_path_names_market_symbol_and_day() -> None:
    path = partition_path("coinm:BTCUSD_PERP", DAY)
    assert path.as_posix() == "market=coinm/symbol=BTCUSD_PERP/timeframe=1m/date=2026-03-10.parquet"
