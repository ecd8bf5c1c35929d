"""``export --profile``: what is written equals what the tools compute of the same candles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commanding import command
from profile_reference import days_of
from samples import MIDNIGHT, walk

from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools.anchored import anchored_vwap
from tui_feeder.engine.analytics.profile.tools.range_profile import range_profile
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source
from tui_feeder.engine.storage.store import Store

MINUTES = 4 * 1_440 + 90


@pytest.fixture(scope="module")
def rows() -> Rows:
    return walk(MINUTES, seed=5)


@pytest.fixture(scope="module")
def folder(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored")
    store = Store(path / "lmdb_data", exchange="a simulated exchange")
    store.put("BTCUSDT", rows, Source.ARCHIVE_DAY).result()
    store.close()
    return path


def exported(folder: Path, kind: str, *more: str) -> list[dict[str, Any]]:
    done = command("export", "--symbol", "BTCUSDT", "--profile", kind, "--format", "jsonl", *more, cwd=folder)
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def test_rows_are_the_profile_of_the_range(folder: Path, rows: Rows) -> None:
    found = exported(folder, "rows", "--from", "2026-01-01T06:00Z", "--to", "2026-01-03T07:00Z")
    made = range_profile(MinuteVolume(rows[360 : 2 * 1_440 + 420]), ProfileSettings())
    assert made is not None
    there = made.weights > 0
    assert [row["price"] for row in found] == made.prices[there].tolist()
    assert [row["volume"] for row in found] == made.weights[there].tolist()
    assert made.bought is not None
    assert [row["bought"] for row in found] == made.bought[there].tolist()
    assert [row["bought"] + row["sold"] for row in found] == pytest.approx(made.weights[there].tolist())
    (folder / "tpo.toml").write_text('[volume_profile]\ncalculation_mode = "TPO"\n')
    counted = exported(folder, "rows", "--config", "tpo.toml", "--to", "2026-01-01T01:00Z")
    assert set(counted[0]) == {"price", "volume"}


def test_sessions_are_those_of_the_configuration(folder: Path, rows: Rows) -> None:
    (folder / "named.toml").write_text(
        '[volume_profile]\nsessions = ["Tokyo 00:00-09:00", "late 22:00-02:00"]\n'
    )
    found = exported(folder, "sessions", "--config", "named.toml", "--to", "2026-01-03")
    assert [row["session"] for row in found] == ["UTC", "Tokyo", "late"] * 2
    late = range_profile(MinuteVolume(rows[1_320:1_560]), ProfileSettings())
    assert late is not None
    assert (found[2]["poc"], found[2]["vwap"], found[2]["minutes"]) == (late.poc, late.vwap, 240)
    assert found[2]["start"] == MIDNIGHT + 22 * 60 * MINUTE_MS


def test_naked_levels_were_not_touched_since(folder: Path, rows: Rows) -> None:
    found = exported(folder, "naked-pocs")
    assert {row["day"] for row in found} < {MIDNIGHT + day * DAY_MS for day in range(4)}
    for row in found:
        after = rows[rows["open_time"] >= row["day"] + DAY_MS]
        assert not ((after["low"] <= row["poc"]) & (row["poc"] <= after["high"])).any()


def test_developing_levels_end_in_those_of_the_day(folder: Path, rows: Rows) -> None:
    found = exported(folder, "developing", "--timeframe", "4h", "--from", "2026-01-02", "--to", "2026-01-03")
    assert [row["time"] for row in found] == [MIDNIGHT + DAY_MS + n * 4 * 3_600_000 for n in range(1, 7)]
    (day,) = exported(folder, "sessions", "--from", "2026-01-02", "--to", "2026-01-02T00:01Z")[:1]
    assert day["session"] == "UTC"
    assert len(days_of(rows)) == 5


def test_a_vwap_begins_at_from_with_its_bands(folder: Path, rows: Rows) -> None:
    found = exported(
        folder, "vwap", "--timeframe", "1h", "--from", "2026-01-02T00:30Z", "--to", "2026-01-02T03:00Z"
    )
    made = anchored_vwap(rows[1_470:1_620])
    assert [row["vwap"] for row in found] == made.vwap[[29, 89, 149]].tolist()
    last = found[-1]
    assert last["upper_2"] == pytest.approx(made.vwap[149] + 2 * made.deviation[149])
    assert last["lower_1"] == pytest.approx(made.vwap[149] - made.deviation[149])


def test_parquet_has_the_same_columns(folder: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = str(tmp_path / "vwap.parquet")
    done = command(
        "export", "--symbol", "BTCUSDT", "--profile", "vwap", "--format", "parquet", "-o", file, cwd=folder
    )
    assert done.code == 0, done.err
    table = parquet.read_table(file)
    assert table.column_names[:3] == ["time", "vwap", "deviation"]
    assert np.isfinite(table["vwap"].to_numpy()).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--symbol", "NOPE", "--profile", "rows"), "it holds BTCUSDT"),
        (("--symbol", "BTCUSDT", "--profile", "rows", "--states"), "--profile goes without --states"),
        (("--symbol", "A,B", "--profile", "rows"), "export writes one symbol"),
    ],
)
def test_what_makes_no_sense_is_refused(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = command("export", *arguments, cwd=folder)
    assert done.code == 2
    assert message in done.err
