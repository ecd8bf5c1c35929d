from __future__ import annotations

import json
from pathlib import Path

import lmdb
import numpy as np
from commanding import command, command_at, recorded
from damaging import damage_day
from samples import MIDNIGHT, real_month, walk

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange

FEBRUARY = 1_769_904_000_000  # 2026-02-01
LATE_MARCH = 1_773_964_800_000  # 2026-03-20, when the files of February are published
OCTOBER = 1_727_740_800_000  # 2024-10-01
CHRISTMAS = 1_734_912_000_000  # 2024-12-23


def filled(path: Path, days: int = 3) -> None:
    """The first days of AVAXUSDT in February, as they are in the file."""
    rows = real_month("AVAXUSDT-1m-2026-02")[: days * 1440]
    store = Store(path, exchange="a simulated exchange")
    store.put("AVAXUSDT", rows, Source.REST, certify=span(FEBRUARY, FEBRUARY + days * DAY_MS)).result()
    store.close()


def altered(path: Path, at: int, source: Source, close: float) -> None:
    """One stored minute gets another close, certified or not."""
    store = Store(path, exchange="a simulated exchange")
    row = store.read("AVAXUSDT", at, at + MINUTE_MS).copy()
    row["close"], row["high"] = close, max(close, row["high"][0])
    store.put("AVAXUSDT", row, source).result()
    store.close()


async def test_rows_that_differ_are_told_with_both_values_and_repaired_by_the_better_source(
    tmp_path: Path,
) -> None:
    filled(tmp_path)
    minute = FEBRUARY + 700 * MINUTE_MS
    altered(tmp_path, minute, Source.REST, 99.5)
    true = real_month("AVAXUSDT-1m-2026-02")[700]["close"]
    arguments = ("verify", "--storage", tmp_path)
    async with Exchange(recorded("AVAXUSDT"), SimulatedClock(LATE_MARCH)) as exchange:
        done = await command_at(exchange, *arguments, cwd=tmp_path)
        assert done.code == 4, done.err
        assert "AVAXUSDT 2026-02-01T11:40Z: stored (rest) / archive day: high" in done.out
        assert f"close 99.5 / {true}" in done.out
        told = json.loads((await command_at(exchange, *arguments, "--json", cwd=tmp_path)).out)
        (symbol,) = told["symbols"]
        assert not told["clean"]
        assert (symbol["minutes"], symbol["files"], symbol["differing"]) == (4320, 3, 1)
        assert symbol["compared_with_archive"] == symbol["compared_with_rest"] == 4320
        assert {one["other_source"] for one in symbol["differences"]} == {"archive_day", "rest"}
        assert symbol["differences"][0]["values"]["close"] == [99.5, true]

        done = await command_at(exchange, *arguments, "--repair", cwd=tmp_path)
        assert done.code == 0, done.out + done.err
        done = await command_at(exchange, *arguments, cwd=tmp_path)
        assert done.code == 0, done.out
        assert "nothing is wrong" in done.out
    store = Store(tmp_path, read_only=True)
    rows, sources = store.read_sourced("AVAXUSDT", minute, minute + MINUTE_MS)
    store.close()
    assert rows["close"][0] == true
    assert sources[0] == Source.ARCHIVE_DAY


async def test_a_source_that_ranks_lower_is_told_and_repairs_nothing(tmp_path: Path) -> None:
    filled(tmp_path)
    minute = FEBRUARY + 5 * MINUTE_MS
    altered(tmp_path, minute, Source.ARCHIVE_MONTH, 99.5)
    async with Exchange(recorded("AVAXUSDT"), SimulatedClock(LATE_MARCH)) as exchange:
        done = await command_at(exchange, "verify", "--repair", "--storage", tmp_path, cwd=tmp_path)
    assert done.code == 4
    assert "(the stored source ranks higher)" in done.out
    store = Store(tmp_path, read_only=True)
    assert store.read("AVAXUSDT", minute, minute + MINUTE_MS)["close"][0] == 99.5
    store.close()


async def test_the_files_zero_rows_are_no_difference_where_rest_has_the_trades(tmp_path: Path) -> None:
    month = real_month("FILUSDT-1m-2024-10")
    zero = np.flatnonzero(month["volume"] == 0)
    traded = month.copy()
    for name in ("volume", "quote_volume", "trades"):
        traded[name][zero] = {"volume": 2.0, "trades": 1}.get(name, 0) or 2.0 * month["close"][zero]
    store = Store(tmp_path, exchange="a simulated exchange")
    everything = Coverage.of_times(month["open_time"])
    store.put("FILUSDT", traded, Source.REST, certify=everything).result()
    store.close()
    async with Exchange(recorded("FILUSDT"), SimulatedClock(CHRISTMAS)) as exchange:
        exchange.faults.switch_on("rest-451", target="klines")
        done = await command_at(exchange, "verify", "--repair", "--json", "--storage", tmp_path, cwd=tmp_path)
    assert done.code == 3, done.err  # REST, which alone could tell, was not to be had
    (symbol,) = json.loads(done.out)["symbols"]
    assert symbol["archive_defects"] >= 74
    assert symbol["differing"] == symbol["repaired"] == 0
    assert "451" in symbol["not_compared"][0]


async def test_an_archive_that_was_replaced_since_it_was_read_is_named(tmp_path: Path) -> None:
    arguments = ("--symbols", "AVAXUSDT", "--from", "2026-02-01", "--to", "2026-02-03", "--storage", tmp_path)
    async with Exchange(recorded("AVAXUSDT"), SimulatedClock(LATE_MARCH)) as exchange:
        assert (await command_at(exchange, "backfill", *arguments, cwd=tmp_path)).code == 0
        exchange.faults.switch_on("csv-crlf", target="2026-02-02.zip")  # the same candles in other bytes
        done = await command_at(exchange, "verify", *arguments, cwd=tmp_path)
    assert done.code == 0, done.out + done.err
    assert "AVAXUSDT-1m-2026-02-02.zip is another file than the one read before" in done.out
    assert "2026-02-01.zip" not in done.out


async def test_a_bad_archive_is_no_witness(tmp_path: Path) -> None:
    filled(tmp_path, days=2)
    async with Exchange(recorded("AVAXUSDT"), SimulatedClock(LATE_MARCH)) as exchange:
        exchange.faults.switch_on("bad-checksum", target="2026-02-01.zip")
        done = await command_at(exchange, "verify", "--storage", tmp_path, cwd=tmp_path)
    assert done.code == 3
    assert "not compared with AVAXUSDT-1m-2026-02-01.zip: its SHA256 is not the one stated" in done.out
    assert "nothing is wrong" in done.out


async def test_a_damaged_day_is_told_and_read_again_by_repair(tmp_path: Path) -> None:
    filled(tmp_path)
    before = Store(tmp_path, read_only=True)
    wanted = before.read("AVAXUSDT", 0, 1 << 62)
    before.close()
    damage_day(tmp_path, "AVAXUSDT", FEBRUARY + DAY_MS)
    arguments = ("verify", "--storage", tmp_path)
    fault = "AVAXUSDT 2026-02-02T00:00Z .. 2026-02-03T00:00Z: the stored day is damaged and can't be read"
    async with Exchange(recorded("AVAXUSDT"), SimulatedClock(LATE_MARCH)) as exchange:
        done = await command_at(exchange, *arguments, cwd=tmp_path)
        assert (done.code, fault in done.out) == (4, True)
        done = await command_at(exchange, *arguments, "--repair", cwd=tmp_path)
        assert done.code == 0, done.out + done.err
        assert fault in done.out
        assert "AVAXUSDT: 1,440 minutes of damaged days read again" in done.out
        done = await command_at(exchange, *arguments, cwd=tmp_path)
        assert done.code == 0, done.out
    after = Store(tmp_path, read_only=True)
    np.testing.assert_array_equal(after.read("AVAXUSDT", 0, 1 << 62), wanted)
    assert after.certified("AVAXUSDT") == span(FEBRUARY, FEBRUARY + 3 * DAY_MS)
    after.close()


def test_offline_finds_what_breaks_an_invariant_or_is_damaged(tmp_path: Path) -> None:
    rows = walk(3 * 1440, seed=3)
    rows["high"][77] = rows["low"][77] / 2
    store = Store(tmp_path, exchange="a simulated exchange")
    store.put("BTCUSDT", rows, Source.REST, certify=EMPTY).result()
    store.put("ETHUSDT", walk(100), Source.REST).result()
    store.close()
    with lmdb.open(str(tmp_path), max_dbs=8) as env:
        days = env.open_db(b"days")
        with env.begin(write=True) as txn:
            key = b"BTCUSDT\0" + (MIDNIGHT // DAY_MS + 1).to_bytes(4, "big")
            block = bytearray(txn.get(key, db=days))
            block[500] ^= 1
            txn.put(key, bytes(block), db=days)
    done = command("verify", "--offline", "--storage", tmp_path, cwd=tmp_path)
    assert done.code == 4, done.err
    assert "BTCUSDT 2026-01-01T01:17Z: open or close lies outside low..high" in done.out
    assert "BTCUSDT 2026-01-02T00:00Z .. 2026-01-03T00:00Z: the stored day is damaged" in done.out
    assert "1 symbol with something wrong" in done.out
    assert (
        command("verify", "--offline", "--storage", tmp_path, "--symbols", "ETHUSDT", cwd=tmp_path).code == 0
    )
    assert (
        command("verify", "--offline", "--storage", tmp_path, "--from", "2026-01-03", cwd=tmp_path).code == 0
    )
    done = command("export", "--symbol", "BTCUSDT", "--storage", tmp_path, "-o", "x.csv", cwd=tmp_path)
    assert done.code == 4
    assert "feeder-tui: BTCUSDT: 1 stored day damaged and left out: 2026-01-02; " in done.err
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 1 + 2 * 1440
