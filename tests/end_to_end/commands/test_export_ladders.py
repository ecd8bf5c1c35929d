"""``export --ladders``: the real trades of a day, added up by price and minute, come back in every form."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from commanding import command
from trade_samples import APE_DAY, ape_candles, ape_plain, ladder_of

from tui_feeder import open_store
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.derived.stored_ladders import LadderOrigin, put_ladder
from tui_feeder.engine.storage.store import Store

#: Every third trade of the minute is not there: it is partial.
PARTIAL = APE_DAY + 700 * MINUTE_MS
EXPORT = ("export", "--symbol", "APEUSDT", "--ladders")

Levels = dict[tuple[int, float], tuple[Decimal, Decimal, int]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored")
    store = Store(path / "lmdb_data", exchange="a test")
    candles = ape_candles()
    store.put("APEUSDT", candles, Source.ARCHIVE_DAY).result()
    plain = candles[:60].copy()
    plain["open_time"] += DAY_MS
    store.put("OTHERUSDT", plain, Source.ARCHIVE_DAY).result()
    kept = [trade for place, trade in enumerate(ape_plain()) if place % 3 or minute_of(trade.time) != PARTIAL]
    put_ladder(store, "APEUSDT", ladder_of(kept), LadderOrigin("", "", True, len(kept)), APE_DAY).result()
    store.close()
    return path


def minute_of(time: int) -> int:
    return time // MINUTE_MS * MINUTE_MS


@pytest.fixture(scope="module")
def expected() -> Levels:
    found: dict[tuple[int, float], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for place, trade in enumerate(ape_plain()):
        if place % 3 or minute_of(trade.time) != PARTIAL:
            level = found[minute_of(trade.time), float(trade.price)]
            level[trade.sold] += trade.quantity
            level[2] += trade.count
    return {key: (level[0], level[1], int(level[2])) for key, level in found.items()}


def test_every_price_of_every_minute_is_written_as_csv(folder: Path, expected: Levels) -> None:
    done = command(*EXPORT, cwd=folder)
    assert done.code == 0, done.err
    rows = list(csv.DictReader(io.StringIO(done.out)))
    found = {
        (int(row["open_time"]), float(row["price"])): (
            Decimal(row["bought"]), Decimal(row["sold"]), int(row["trades"]),
        )
        for row in rows
    }  # fmt: skip
    assert len(found) == len(rows)
    assert found == expected
    partial = [row for row in rows if row["known"] == "partial"]
    assert {int(row["open_time"]) for row in partial} == {PARTIAL}
    volume = sum(t.quantity for t in ape_plain() if minute_of(t.time) == PARTIAL)
    there = sum(Decimal(row["bought"]) + Decimal(row["sold"]) for row in partial)
    assert [float(row["share"]) for row in partial] == pytest.approx([float(there / volume)] * len(partial))
    assert {row["unproved"] for row in partial} == {"true"}
    assert {row["share"] for row in rows if row["known"] == "exact"} == {"1.0"}


def test_a_range_is_cut_and_python_reads_the_same(folder: Path, expected: Levels) -> None:
    span = ("--from", "2024-10-18T11:00:00Z", "--to", "2024-10-18T12:00:00Z", "--format", "jsonl")
    done = command(*EXPORT, *span, cwd=folder)
    rows = [json.loads(line) for line in done.out.splitlines()]
    low = APE_DAY + 660 * MINUTE_MS
    wanted = sorted(key for key in expected if low <= key[0] < low + 60 * MINUTE_MS)
    assert [(row["open_time"], row["price"]) for row in rows] == wanted
    with open_store(folder / "lmdb_data") as store:
        (levels,) = store.ladders("APEUSDT", "2024-10-18T11:00:00Z", "2024-10-18T12:00:00Z")
        assert [tuple(row.values()) for row in rows] == levels.tolist()
        assert list(store.ladders("APEUSDT", "2024-10-20")) == []
        with pytest.raises(KeyError, match="it holds APEUSDT, OTHERUSDT"):
            store.ladders("NOPE")
        with pytest.raises(ValueError, match="before it starts"):
            store.ladders("APEUSDT", "2024-10-19", "2024-10-18")


def test_parquet_has_the_same_rows(folder: Path, expected: Levels) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    done = command(*EXPORT, "--format", "parquet", "-o", "ladders.parquet", cwd=folder)
    assert done.code == 0, done.err
    assert f"wrote {len(expected):,} levels of APEUSDT 1m to ladders.parquet" in done.err
    table = parquet.read_table(folder / "ladders.parquet")
    assert table.num_rows == len(expected)
    assert [str(field.type) for field in table.schema] == [
        "timestamp[ms, tz=UTC]", "double", "double", "double", "int64", "string", "double", "bool",
    ]  # fmt: skip


def test_profiles_of_minutes_with_trades_are_exact(folder: Path, expected: Levels) -> None:
    hour = ("--from", "2024-10-18T10:00:00Z", "--to", "2024-10-18T11:00:00Z", "--format", "jsonl")
    (folder / "fixed.toml").write_text("[volume_profile]\nfixed_price_increment = 0.0001\n")
    done = command(
        "export", "--symbol", "APEUSDT", "--profile", "rows", "--config", "fixed.toml", *hour, cwd=folder
    )
    low = APE_DAY + 600 * MINUTE_MS
    wanted: dict[float, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 2)
    for (time, price), (bought, sold, _) in expected.items():
        if low <= time < low + 60 * MINUTE_MS:
            wanted[price][0] += bought
            wanted[price][1] += sold
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert {row["price"]: (row["bought"], row["sold"]) for row in rows} == {
        price: (float(sides[0]), float(sides[1])) for price, sides in wanted.items()
    }
    done = command("export", "--symbol", "APEUSDT", "--profile", "sessions", "--format", "jsonl", cwd=folder)
    shares = {row["session"]: row["exact_share"] for row in map(json.loads, done.out.splitlines())}
    assert shares["Asia"] == 1.0
    assert 0.9 < shares["UTC"] < 1.0, "one of its minutes is partial"


def test_a_symbol_without_trades_has_none_and_the_remedy_is_stated(folder: Path) -> None:
    done = command("export", "--symbol", "OTHERUSDT", "--ladders", "-o", "none.csv", cwd=folder)
    assert done.code == 0
    assert "see trades.symbols and trades.days" in done.err
    assert (folder / "none.csv").read_text() == ("open_time,price,bought,sold,trades,known,share,unproved\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--timeframe", "5m"), "--ladders is of minutes"),
        (("--states",), "--states and --ladders are two exports"),
        (("--profile", "rows"), "--profile goes without --states, --ladders"),
        (("--symbol", "NOPE"), "it holds APEUSDT"),
    ],
)
def test_what_makes_no_sense_is_refused(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = command(*EXPORT, *arguments, cwd=folder)
    assert done.code == 2
    assert message in done.err
