from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest
from store_child import FIRST, rows_of
from stores import BTC, EVER, minute

from tui_feeder.engine.core.candle import DAY_MS, Source
from tui_feeder.engine.storage.store import Store, StoreError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store", exchange="a test")
    yield opened
    opened.close()


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
