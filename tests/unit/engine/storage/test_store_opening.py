from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import lmdb
import numpy as np
import pytest
from store_child import FIRST, SYMBOLS, candle_of, rows_of
from stores import BTC, EVER, child, minute, next_line, next_step

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source, to_candles
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.storage.store import Store, StoreError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store", exchange="a test")
    yield opened
    opened.close()


def test_a_second_engine_is_told_who_the_first_is_and_gets_in_when_that_is_gone(tmp_path: Path) -> None:
    with child("hold", tmp_path) as first:
        ready, pid = next_line(first)
        assert ready == "ready"
        with pytest.raises(StoreError, match=rf"in use by feeder-tui pid {pid} on \S+ since 20"):
            Store(tmp_path, exchange="a test")
        first.kill()
        first.wait(30)
    store = Store(tmp_path, exchange="a test")
    store.close()


def test_a_reader_beside_a_writer_sees_what_is_new_even_after_the_map_has_grown(tmp_path: Path) -> None:
    with child("hold", tmp_path) as writer:
        next_line(writer)
        reader = Store(tmp_path, read_only=True)
        assert reader.exchange == "a test"
        assert len(reader.read(BTC, 0, EVER)) == 0
        for number in range(6):
            assert next_step(writer) == ["written", str(number)]
            assert len(reader.read(BTC, 0, EVER)) == (number + 1) * 14_400
            assert reader.present(BTC).minutes == reader.candles() == (number + 1) * 14_400
            assert reader.symbols() == [BTC]
        with pytest.raises(StoreError, match="open for reading only"):
            reader.append(BTC, candle_of(minute(0), Source.REST), Source.REST)
        assert reader.pausing is None
        reader.close()
        assert next_step(writer) == ["written", "6"]


def test_candles_of_two_exchanges_are_never_mixed(tmp_path: Path) -> None:
    Store(tmp_path).close()  # whose it will be is not known yet
    Store(tmp_path, exchange="https://one").close()
    with pytest.raises(StoreError, match="holds candles of https://one, not of https://two"):
        Store(tmp_path, exchange="https://two")
    # The refused one holds neither the lock nor the files.
    again = Store(tmp_path, exchange="https://one")
    again.close()
    unnamed = Store(tmp_path)
    assert unnamed.exchange == "https://one"
    unnamed.close()


@pytest.mark.parametrize("text", [b"99", b"soon"])
def test_a_store_of_another_format_is_refused_and_left_as_it_is(tmp_path: Path, text: bytes) -> None:
    Store(tmp_path, exchange="a test").close()
    with lmdb.open(str(tmp_path), max_dbs=5) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True) as txn:
            txn.put(b"format", text, db=meta)
    for read_only in (False, True):
        with pytest.raises(StoreError, match=rf"format {text.decode()}, this program reads format 3"):
            Store(tmp_path, exchange="a test", read_only=read_only)
    with lmdb.open(str(tmp_path), max_dbs=5) as env, env.begin() as txn:
        assert txn.get(b"format", db=env.open_db(b"meta", txn)) == text


def test_what_is_no_store_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no store: run feeder-tui"):
        Store(tmp_path / "nothing", read_only=True)
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "file")
    (tmp_path / "rubbish").mkdir()
    (tmp_path / "rubbish" / "data.mdb").write_bytes(b"not LMDB" * 4_096)
    for read_only in (True, False):
        with pytest.raises(StoreError, match=r"data\.mdb is damaged: its head is not that of an LMDB file"):
            Store(tmp_path / "rubbish", read_only=read_only)
    lmdb.open(str(tmp_path / "other"), max_dbs=5).close()
    with pytest.raises(StoreError, match="holds no store yet"):
        Store(tmp_path / "other", read_only=True)


def test_a_damaged_block_is_a_missing_day_and_never_a_price(store: Store) -> None:
    store.put(BTC, rows_of(FIRST, FIRST + DAY_MS, Source.REST), Source.REST).result()
    store.close()
    with lmdb.open(str(store.path), max_dbs=5) as env:
        days = env.open_db(b"days")
        with env.begin(write=True) as txn:
            cursor = txn.cursor(days)
            cursor.first()
            block = bytearray(cursor.value())
            block[700] ^= 16
            txn.put(cursor.key(), bytes(block), db=days)
    again = Store(store.path)
    assert len(again.read(BTC, 0, EVER)) == 0
    again.flushed().result()
    assert not again.present(BTC)
    # It harms nobody else's minutes.
    assert again.put("ETHUSDT", rows_of(FIRST, minute(20), Source.REST), Source.REST).result().added == 20
    again.close()


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


def test_killed_at_random_moments_nothing_acknowledged_is_lost_and_nothing_is_torn(tmp_path: Path) -> None:
    draw = np.random.default_rng(20_261_122)
    acknowledged: dict[str, list[tuple[int, int, int]]] = {name: [] for name in SYMBOLS}
    for kill in range(10):
        with child("write", tmp_path, str(kill)) as writer:
            assert next_line(writer) == ["ready"]
            assert next_line(writer)
            timer = threading.Timer(float(draw.uniform(0.0, 0.4)), writer.kill)
            timer.start()
            while line := next_line(writer):
                acknowledged[line[0]].append((int(line[1]), int(line[2]), int(line[3])))
            timer.join()
        store = Store(tmp_path, exchange="a test")
        check_whole(store)
        for symbol, told in acknowledged.items():
            rows, sources = store.read_sourced(symbol, 0, EVER)
            ranks = dict(zip(rows["open_time"].tolist(), sources.tolist(), strict=True))
            for start, end, source in told:
                assert all(ranks.get(at, 0) >= source for at in range(start, end, MINUTE_MS))
        store.close()
    assert all(acknowledged.values())


def test_a_full_disk_makes_writes_wait_and_they_go_on_when_there_is_room(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("no bound on the size of files here")
    with child("disk", tmp_path) as writer:
        told = [next_line(writer) for _ in range(4)]
    assert " ".join(told[0]).startswith("pausing disk full")
    assert told[1] == ["stored", "meanwhile", "1440", "1440"]
    assert told[2] == ["added", str(8 * 1_440), "None"]
    assert " ".join(told[3]).startswith("closed on a full disk StoreError the disk of")
    store = Store(tmp_path, exchange="a test")
    check_whole(store)
    assert store.candles() == 9 * 1_440
    store.close()
