"""One byte of any record of any database of a store: healed or named, never a wrong row, never a crash."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import lmdb
import numpy as np
import pytest
from commanding import command
from damaging import flipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import MIDNIGHT, walk

from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.derived.stored_profiles import build_days, read_profiles
from tui_feeder.engine.storage.checked_records import DAMAGED
from tui_feeder.engine.storage.store import FileRecord, Store, StoreError, Unavailable

BTC = "BTCUSDT"
MINUTES = 2 * 1440 + 30
EVER = 1 << 62
NAMES = (b"meta", b"days", b"tail", b"state", b"quarantine", b"files", b"profiles")


def make(path: Path) -> Rows:
    rows = walk(MINUTES, seed=9)
    store = Store(path, exchange="a test")
    everything = span(MIDNIGHT, MIDNIGHT + 2 * DAY_MS)
    store.put(BTC, rows[:2880], Source.ARCHIVE_DAY, certify=everything).result()
    for at in range(2880, MINUTES, 10):
        store.put(BTC, rows[at : at + 10], Source.REST).result()
    store.set_watermark(BTC, int(rows["open_time"][-1])).result()
    store.set_listed(BTC, MIDNIGHT).result()
    store.set_unavailable(BTC, (Unavailable(0, MINUTE_MS, "none has it", 1, 5),)).result()
    store.add_outage(BTC, span(MIDNIGHT, MIDNIGHT + MINUTE_MS)).result()
    store.put_checkpoint(BTC, b"numbers").result()
    store.quarantine(BTC, MIDNIGHT, Source.REST, b"{}").result()
    store.set_file("/a.zip", FileRecord("etag", "sum", 5, 6)).result()
    store.put_note("basis BTCUSDT", b"basis").result()
    build_days(store, BTC, ProfileSettings(), [MIDNIGHT, MIDNIGHT + DAY_MS], again=True)
    store.close()
    return rows


def records(path: Path) -> Iterator[tuple[bytes, bytes, bytes]]:
    with lmdb.open(str(path), max_dbs=20, readonly=True) as env:
        for name in NAMES:
            database = env.open_db(name, create=False)
            with env.begin() as txn:
                for key, value in txn.cursor(database):
                    yield name, bytes(key), bytes(value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    path = tmp_path_factory.mktemp("whole") / "store"
    return path, make(path)


def rewritten(whole: Path, path: Path, name: bytes, key: bytes, new_key: bytes, value: bytes) -> None:
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(whole, path)
    with lmdb.open(str(path), max_dbs=20) as env:
        database = env.open_db(name, create=False)
        with env.begin(write=True) as txn:
            txn.delete(key, db=database)
            txn.put(new_key, value, db=database)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_of_any_value_or_key(
    whole: tuple[Path, Rows], tmp_path: Path, data: st.DataObject
) -> None:
    path, rows = whole
    name = data.draw(st.sampled_from(NAMES))
    key, value = data.draw(st.sampled_from([(k, v) for n, k, v in records(path) if n == name]))
    of_key = data.draw(st.booleans())
    hurt = key if of_key else value
    at, bit = data.draw(st.integers(0, len(hurt) - 1)), data.draw(st.integers(0, 7))
    new = flipped(hurt, at, bit)
    rewritten(path, tmp_path / "hurt", name, key, new if of_key else key, value if of_key else new)
    try:
        store = Store(tmp_path / "hurt", exchange="a test")
    except StoreError:
        assert name == b"meta"
        return
    right = {row[0]: row for row in rows.tolist()}
    for symbol in store.symbols():
        store.check(symbol, MIDNIGHT, MIDNIGHT + 3 * DAY_MS)
        found = store.read(symbol, 0, EVER)
        assert symbol == BTC or not len(found)
        assert all(right[row[0]] == row for row in found.tolist())
        store.flushed().result()
        assert store.present(symbol) == Coverage.of_times(found["open_time"])
        assert not store.certified(symbol).subtract(store.present(symbol))
        for profile in read_profiles(store, symbol, 0, MIDNIGHT + 9 * DAY_MS):
            assert profile.candles == 1440
        assert store.unavailable(symbol) in ((), (Unavailable(0, MINUTE_MS, "none has it", 1, 5),))
        assert store.checkpoint(symbol) in (None, DAMAGED, b"numbers")
        assert all(one.record == b"{}" for one in store.quarantined(symbol))
    assert store.file("/a.zip") in (None, FileRecord("etag", "sum", 5, 6))
    assert store.note("basis BTCUSDT") in (None, DAMAGED, b"basis")
    if not of_key and name not in (b"days", b"tail") and key not in (b"format", b"exchange"):
        assert len(store.damaged_records()) == 1
    store.drop_damaged_records().result()
    assert not [record for record in store.damaged_records() if not record.startswith("meta note ")]
    # What is lacking now is read again, as any missing minute is.
    store.put(BTC, rows, Source.ARCHIVE_DAY, certify=span(MIDNIGHT, MIDNIGHT + 3 * DAY_MS)).result()
    np.testing.assert_array_equal(store.read(BTC, 0, EVER), rows)
    assert store.present(BTC) == store.certified(BTC) == Coverage.of_times(rows["open_time"])
    store.close()


def test_a_record_whose_symbol_is_no_text_any_more_is_removed(
    whole: tuple[Path, Rows], tmp_path: Path
) -> None:
    path, _ = whole
    key, value = next((k, v) for n, k, v in records(path) if (n, k) == (b"state", b"BTCUSDT\0present"))
    rewritten(path, tmp_path / "hurt", b"state", key, flipped(key, 0, 7), value)
    store = Store(tmp_path / "hurt", exchange="a test")
    assert len(store.damaged_records()) == 1
    store.drop_damaged_records().result()
    assert store.damaged_records() == []
    store.close()


def test_verify_names_damaged_records_and_repair_removes_them(
    whole: tuple[Path, Rows], tmp_path: Path
) -> None:
    path, _ = whole
    hurt = next((n, k, v) for n, k, v in records(path) if n == b"profiles")
    rewritten(path, tmp_path / "hurt", *hurt[:2], hurt[1], flipped(hurt[2], 20))
    arguments = ("verify", "--offline", "--storage", tmp_path / "hurt")
    done = command(*arguments, cwd=tmp_path)
    assert done.code == 4
    assert "damaged record: profiles BTCUSDT " in done.out
    assert "the candles are valid; --repair removes the damaged records" in done.out
    done = command(*arguments, "--repair", cwd=tmp_path)
    assert done.code == 0, done.out + done.err
    assert "; it will be created again" in done.out
    assert command(*arguments, cwd=tmp_path).code == 0
