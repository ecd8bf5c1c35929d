"""What the store keeps besides candles, whom it believes about archives, and stores of earlier formats."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from pathlib import Path

import lmdb
import numpy as np
import pytest
from samples import walk
from store_child import FIRST, rows_of
from stores import BTC, EVER, minute

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.storage.store import FileRecord, Store, StoreError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store", exchange="a test")
    yield opened
    opened.close()


def silent(start: int, end: int) -> Rows:
    rows = rows_of(start, end, Source.ARCHIVE_DAY)
    for name in ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"):
        rows[name] = 0
    rows["open"] = rows["high"] = rows["low"] = rows["close"]
    return rows


@pytest.mark.parametrize("archive", [Source.ARCHIVE_DAY, Source.ARCHIVE_MONTH])
def test_an_archive_that_was_shown_to_be_wrong_gives_way_and_does_not_come_back(
    store: Store, archive: Source
) -> None:
    wrong = silent(FIRST, FIRST + DAY_MS)
    store.put(BTC, wrong, archive, certify=span(FIRST, FIRST + DAY_MS)).result()
    right = rows_of(minute(100), minute(105), Source.REST)
    written = store.put(BTC, right, Source.REST).result()
    assert (written.changed, written.conflicts) == ((), 5)  # without proof the archive is believed
    proof = span(minute(101), minute(104))
    written = store.put(BTC, right, Source.REST, certify=proof, reject_archives=proof).result()
    assert written.changed == (minute(101), minute(102), minute(103))
    assert written.conflicts == 5
    for again in (wrong, silent(FIRST, FIRST + DAY_MS)):
        written = store.put(BTC, again, archive, certify=span(FIRST, FIRST + DAY_MS)).result()
        assert written.changed == ()
    store.close()
    reopened = Store(store.path)
    reopened.put(BTC, wrong, Source.ARCHIVE_MONTH).result()
    rows, sources = reopened.read_sourced(BTC, minute(100), minute(105))
    assert sources.tolist() == [Source.ARCHIVE_MONTH, 3, 3, 3, Source.ARCHIVE_MONTH]
    np.testing.assert_array_equal(rows[1:4], right[1:4])
    np.testing.assert_array_equal(rows[[0, 4]], wrong[[100, 104]])
    # A second word of REST replaces the first, as ever.
    other = right.copy()
    other["volume"] += 1
    assert len(reopened.put(BTC, other, Source.REST).result().changed) == 3
    reopened.close()


def test_only_minutes_that_were_given_are_archive_rejected(store: Store) -> None:
    rows = rows_of(minute(0), minute(5), Source.REST)
    store.put(BTC, rows, Source.REST, reject_archives=span(minute(3), minute(9))).result()
    archive = rows_of(minute(0), minute(9), Source.ARCHIVE_DAY)
    store.put(BTC, archive, Source.ARCHIVE_DAY).result()
    assert store.read_sourced(BTC, 0, EVER)[1].tolist() == [4, 4, 4, 3, 3, 4, 4, 4, 4]


def test_notes_and_files_are_kept_and_replaced(store: Store) -> None:
    assert store.note("ban") is None
    assert store.file("/data/x.zip") is None
    first = FileRecord('"e"', "ab" * 32, 1_900_000, FIRST)
    store.put_note("ban", b"one").result()
    store.put_note("ban", b"two").result()
    store.put_note("币安", b"").result()
    store.set_file("/data/x.zip", first).result()
    store.set_file("/data/xy.zip", FileRecord("", "cd" * 32, 1, FIRST)).result()
    store.close()
    reader = Store(store.path, read_only=True)
    assert (reader.note("ban"), reader.note("币安"), reader.note("b")) == (b"two", b"", None)
    assert reader.file("/data/x.zip") == first
    assert reader.exchange == "a test"
    with pytest.raises(StoreError, match="for reading only"):
        reader.put_note("ban", b"")
    reader.close()


def old_block(rows: Rows, source: int) -> bytes:
    """A block as the first version of the program wrote it: a head without crc32, columns as raw floats."""
    first = int(rows["open_time"][0]) % DAY_MS // MINUTE_MS
    prices = [rows[name].astype("<f8").tobytes() for name in ("open", "high", "low", "close")]
    volumes = [
        rows[name].astype("<f8").tobytes()
        for name in ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
    ]
    trades = (rows["trades"] * 2).astype("<u8").tobytes()  # zigzag of what is not negative
    columns = [b"\xff\x08" + column for column in (*prices, *volumes)] + [b"\x00\x08" + trades]
    return struct.pack("<BHHB", 1, len(rows), first, 0) + bytes((source,)) + b"".join(columns)


def make_old_store(path: Path, rows: Rows) -> None:
    """A store of format 1: days without crc32, one minute in the tail, no database of files."""
    ranges = np.array([(int(rows["open_time"][0]), int(rows["open_time"][-1]) + MINUTE_MS)], "<i8").tobytes()
    with lmdb.open(str(path), max_dbs=8, map_size=1 << 25) as env:
        names = (b"meta", b"days", b"tail", b"state", b"quarantine")
        meta, days, tail, state, _ = (env.open_db(name) for name in names)
        with env.begin(write=True) as txn:
            txn.put(b"format", b"1", db=meta)
            txn.put(b"exchange", b"a test", db=meta)
            whole = rows[:-1]
            for at in range(0, len(whole), 1440):
                day = whole[at : at + 1440]
                key = b"BTCUSDT\0" + (int(day["open_time"][0]) // DAY_MS).to_bytes(4, "big")
                txn.put(key, old_block(day, 5), db=days)
            last = rows[-1].tolist()
            key = b"BTCUSDT\0" + last[0].to_bytes(8, "big")
            txn.put(key, struct.pack("<q5ddq2dB", *last, 3), db=tail)
            txn.put(b"BTCUSDT\0present", ranges, db=state)
            txn.put(b"BTCUSDT\0certified", ranges, db=state)
            txn.put(b"BTCUSDT\0watermark", last[0].to_bytes(8, "big"), db=state)


def format_of(path: Path) -> bytes | None:
    with lmdb.open(str(path), max_dbs=8) as env:
        meta = env.open_db(b"meta")
        with env.begin() as txn:
            return txn.get(b"format", db=meta)


def test_a_store_of_the_first_format_is_upgraded_when_it_is_opened_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = walk(3 * 1440 + 1, start=FIRST)
    make_old_store(tmp_path, rows)
    with pytest.raises(StoreError, match="of format 1, this program reads format 3: run feeder-tui"):
        Store(tmp_path, read_only=True)
    assert format_of(tmp_path) == b"1"
    with caplog.at_level(logging.INFO):
        store = Store(tmp_path, exchange="a test")
    assert "the store is of format 1: upgrading it to format 3" in caplog.text
    assert "3 days were given a checksum" in caplog.text
    found, sources = store.read_sourced(BTC, 0, EVER)
    np.testing.assert_array_equal(found, rows)
    assert sources.tolist() == [5] * (3 * 1440) + [3]
    assert store.present(BTC) == store.certified(BTC) == Coverage.of_times(rows["open_time"])
    assert store.watermark(BTC) == int(rows["open_time"][-1])
    store.set_file("/x.zip", FileRecord("", "", 0, 0)).result()
    store.close()
    assert format_of(tmp_path) == b"3"
    caplog.clear()
    Store(tmp_path, read_only=True).close()
    again = Store(tmp_path)
    np.testing.assert_array_equal(again.read(BTC, 0, EVER), rows)
    again.close()
    assert "upgrading" not in caplog.text


def test_an_upgrade_that_was_interrupted_goes_on_and_leaves_what_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = walk(4 * 1440 + 1, start=FIRST)
    make_old_store(tmp_path, rows)
    Store(tmp_path).close()
    # As if it had been killed before the end: the format is still 1, some days are done and some are not.
    with lmdb.open(str(tmp_path), max_dbs=8) as env:
        meta, days = env.open_db(b"meta"), env.open_db(b"days")
        with env.begin(write=True) as txn:
            txn.put(b"format", b"1", db=meta)
            for number in (1, 2):
                key = b"BTCUSDT\0" + (FIRST // DAY_MS + number).to_bytes(4, "big")
                txn.put(key, old_block(rows[number * 1440 : (number + 1) * 1440], 5), db=days)
            txn.put(key, b"\1 no block at all", db=days)
    with caplog.at_level(logging.INFO):
        store = Store(tmp_path)
    assert "2 days were given a checksum" in caplog.text
    assert "1 days are damaged" in caplog.text
    np.testing.assert_array_equal(store.read(BTC, 0, FIRST + 2 * DAY_MS), rows[:2880])
    np.testing.assert_array_equal(store.read(BTC, FIRST + 3 * DAY_MS, EVER), rows[3 * 1440 :])
    np.testing.assert_array_equal(store.read(BTC, 0, EVER), np.delete(rows, slice(2880, 4320)))
    store.close()
    assert format_of(tmp_path) == b"3"


def test_an_upgrade_makes_room_for_itself(tmp_path: Path) -> None:
    rows = walk(40 * 1440 + 1, start=FIRST)
    make_old_store(tmp_path, rows)
    store = Store(tmp_path, map_size=1 << 12)
    np.testing.assert_array_equal(store.read(BTC, 0, EVER), rows)
    store.close()
