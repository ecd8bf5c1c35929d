"""``feeder-tui backup``: a copy of one moment of a store in use, read back, and usable as it is."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import lmdb
import numpy as np
import pytest
from commanding import command
from disks import fill, small_disk
from samples import MIDNIGHT, walk
from store_child import candle_of
from stores import child, next_line

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.storage.store import Store

EVER = 1 << 62


@pytest.fixture(scope="module")
def rows() -> Rows:
    return walk(5 * 1440, seed=5)


@pytest.fixture
def folder(rows: Rows, tmp_path: Path) -> Path:
    store = Store(tmp_path / "lmdb_data", exchange="a simulated exchange")
    outbox = store.open_outbox(["kafka"], 10)
    everything = Coverage([(MIDNIGHT, MIDNIGHT + 5 * DAY_MS)])
    for symbol in ("BTCUSDT", "币安人生USDT"):
        store.put(symbol, rows[:-60], Source.ARCHIVE_DAY, certify=everything).result()
    store.append(
        "BTCUSDT", candle_of(MIDNIGHT + 5 * DAY_MS, Source.STREAM), Source.STREAM, payload=b"{}"
    ).result()
    assert outbox.last == 1
    store.put_note("a note", b"of the last run").result()
    store.close()
    return tmp_path


def test_a_backup_has_everything_the_store_has_and_is_private(folder: Path) -> None:
    before = os.umask(0)  # nothing rests on a mask that happens to be strict
    try:
        done = command("backup", "copy", cwd=folder)
    finally:
        os.umask(before)
    assert (done.code, done.err) == (0, "")
    assert f"backup    {folder / 'copy'}\n" in done.out
    assert "candles   14,281 minutes of 2 symbols read back" in done.out
    assert f"cp -a {folder / 'copy'} lmdb_data" in done.out
    copy = folder / "copy"
    assert [one.name for one in copy.iterdir()] == ["data.mdb"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    assert stat.S_IMODE((copy / "data.mdb").stat().st_mode) == 0o600
    with (
        lmdb.open(str(folder / "lmdb_data"), readonly=True, max_dbs=20) as here,
        lmdb.open(str(copy), readonly=True, max_dbs=20) as there,
    ):
        assert contents(there) == contents(here)


def contents(env: lmdb.Environment) -> dict[bytes, dict[bytes, bytes]]:
    """Every key and value of every database."""
    with env.begin() as txn:
        names = [bytes(key) for key, _ in txn.cursor()]
    handles = {name: env.open_db(name, create=False) for name in names}
    with env.begin() as txn:
        return {
            name: {bytes(key): bytes(value) for key, value in txn.cursor(db=handle)}
            for name, handle in handles.items()
        }


def test_a_restored_backup_goes_on_where_it_was_made(folder: Path, rows: Rows) -> None:
    told = json.loads(command("backup", "copy", "--json", cwd=folder).out)
    assert (told["candles"], told["symbols"]) == (14_281, 2)
    assert told["bytes"] == (folder / "copy" / "data.mdb").stat().st_size
    shutil.move(folder / "lmdb_data", folder / "lost")
    shutil.copytree(folder / "copy", folder / "lmdb_data")
    store = Store(folder / "lmdb_data", exchange="a simulated exchange")
    assert np.array_equal(store.read("币安人生USDT", 0, EVER), rows[:-60])
    assert store.note("a note") == b"of the last run"
    outbox = store.open_outbox(["kafka"], 10)
    assert [one.payload for one in outbox.read_after(0, EVER)] == [b"{}"]
    at = MIDNIGHT + 5 * DAY_MS + MINUTE_MS
    assert store.append("BTCUSDT", candle_of(at, Source.STREAM), Source.STREAM).result().added == 1
    store.close()


def test_a_backup_replaces_nothing_and_says_what_is_in_its_way(folder: Path) -> None:
    (folder / "copy").mkdir()
    (folder / "copy" / "mine").write_text("keep me")
    (folder / "broken.part").mkdir()
    for target, words in (
        ("copy", "copy is there already, and a backup replaces nothing"),
        ("lmdb_data", "is there already"),
        ("lmdb_data/copy", "lies inside the store"),
        ("broken", "broken.part is there: another backup is under way, or one was broken off"),
        ("nowhere/copy", "name a folder inside one that is there"),
    ):
        done = command("backup", target, cwd=folder)
        assert (done.code, done.out) == (2, ""), target
        assert done.err.startswith("feeder-tui: ")
        assert words in done.err
        assert done.err.count("\n") == 1
    assert (folder / "copy" / "mine").read_text() == "keep me"
    none = command("backup", "other", "--storage", "nothing", cwd=folder)
    assert (none.code, none.err.count("holds no store")) == (1, 1)
    assert not (folder / "other").exists()


def test_a_copy_made_while_another_process_writes_is_of_one_moment(tmp_path: Path) -> None:
    storage = tmp_path / "store"
    storage.mkdir()
    with child("write", storage, "7") as writer:
        assert next_line(writer) == ["ready"]
        acknowledged: list[list[str]] = []
        for number in range(3):
            acknowledged += [next_line(writer) for _ in range(40)]
            target = tmp_path / f"copy-{number}"
            done = command("backup", str(target), "--storage", str(storage), cwd=tmp_path)
            assert done.code == 0, done.err
            copy = Store(target, read_only=True)
            for symbol in copy.symbols():
                rows, sources = copy.read_sourced(symbol, 0, EVER)
                assert Coverage.of_times(rows["open_time"]) == copy.present(symbol)
                assert not copy.certified(symbol).subtract(copy.present(symbol))
                ranks = dict(zip(rows["open_time"].tolist(), sources.tolist(), strict=True))
                for name, start, end, source in acknowledged:
                    if name == symbol:
                        minutes = range(int(start), int(end), MINUTE_MS)
                        assert all(ranks.get(at, 0) >= int(source) for at in minutes)
            copy.close()
        assert next_line(writer), "it writes on"
        writer.kill()


def test_a_damaged_store_leaves_no_copy_and_what_is_damaged_is_named(folder: Path) -> None:
    with lmdb.open(str(folder / "lmdb_data"), max_dbs=20) as env:
        days = env.open_db(b"days", create=False)
        with env.begin(write=True) as txn:
            cursor = txn.cursor(db=days)
            assert cursor.set_range(b"BTCUSDT\0")
            block = bytearray(cursor.value())
            block[-1] ^= 1
            cursor.put(bytes(cursor.key()), bytes(block))
    done = command("backup", "copy", cwd=folder)
    assert done.code == 1
    assert "is damaged, and no copy of it was left: BTCUSDT: damaged days: 2026-01-01" in done.err
    assert "feeder-tui verify --repair" in done.err
    assert sorted(path.name for path in folder.glob("copy*")) == []


def test_a_full_disk_is_told_and_nothing_is_left_on_it(folder: Path) -> None:
    with small_disk(folder / "disk") as disk:
        filler = disk / "filler"
        fill(filler)
        with filler.open("r+b") as stream:
            stream.truncate(filler.stat().st_size - (64 << 10))
        done = command("backup", "disk/copy", cwd=folder)
        assert (done.code, done.out) == (1, "")
        assert done.err == "feeder-tui: disk/copy.part cannot be written: No space left on device\n"
        assert [one.name for one in disk.iterdir()] == ["filler"]
