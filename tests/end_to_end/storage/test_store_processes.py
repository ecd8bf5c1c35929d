"""A store shared by processes: locked, read beside its writer, killed, on a full disk."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from store_child import SYMBOLS, candle_of
from stores import BTC, EVER, check_whole, child, minute, next_line, next_step

from tui_feeder.engine.core.candle import MINUTE_MS, Source
from tui_feeder.engine.storage.store import Store, StoreError


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
