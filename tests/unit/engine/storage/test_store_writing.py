from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import numpy as np
import pytest
from examples import examples
from store_child import FIRST, candle_of, rows_of
from stores import BTC, EVER, append, minute, transactions, writer_held

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source, to_candles
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.storage.store import Store, StoreError, Written


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store", exchange="a test")
    yield opened
    opened.close()


def test_everything_that_waits_goes_into_one_transaction(store: Store) -> None:
    before = transactions(store)
    with writer_held(store):
        futures = [
            store.append(f"S{n % 50}USDT", candle_of(minute(n // 50), Source.STREAM), Source.STREAM)
            for n in range(1_000)
        ]
    assert all(future.result() == Written(added=1) for future in futures)
    assert transactions(store) - before <= 3
    assert store.candles() == 1_000


def test_a_job_that_fails_fails_alone(store: Store) -> None:
    before = transactions(store)
    between = candle_of(minute(0), Source.REST)
    unsorted = rows_of(FIRST, minute(20), Source.REST)[::-1]
    double = np.concatenate([rows_of(FIRST, minute(20), Source.REST)] * 2)
    with writer_held(store):
        good = [store.append(BTC, candle_of(minute(n), Source.REST), Source.REST) for n in range(20)]
        bad: list[Future[Any]] = [
            store.append(BTC, msgspec.structs.replace(between, open_time=minute(0) + 1), Source.REST),
            store.append(BTC, msgspec.structs.replace(between, open_time=-MINUTE_MS), Source.REST),
            store.put(BTC, unsorted, Source.REST),
            store.put(BTC, np.sort(double, order="open_time"), Source.REST),
            store.append("x" * 600, between, Source.REST),
            store.set_listed(BTC, -1),
        ]
        good += [store.append(BTC, candle_of(minute(n), Source.REST), Source.REST) for n in range(20, 30)]
    assert [future.result().added for future in good] == [1] * 30
    assert [type(future.exception()) for future in bad] == [
        ValueError, ValueError, ValueError, ValueError, lmdb.BadValsizeError, OverflowError,
    ]  # fmt: skip
    assert store.present(BTC) == store.certified(BTC) == span(minute(0), minute(30))
    assert store.listed(BTC) is None
    assert transactions(store) - before <= 3


def test_a_cancelled_write_is_not_made_and_harms_no_other(store: Store) -> None:
    with writer_held(store):
        cancelled = store.append(BTC, candle_of(minute(0), Source.REST), Source.REST)
        assert cancelled.cancel()
        kept = store.append(BTC, candle_of(minute(1), Source.REST), Source.REST)
    assert kept.result(10) == Written(added=1)
    with pytest.raises(CancelledError):
        cancelled.result(0)
    assert append(store, 2) == Written(added=1)
    assert store.present(BTC) == span(minute(1), minute(3))


def test_what_is_committed_is_visible_when_its_future_is_done(store: Store) -> None:
    seen: list[tuple[bool, int]] = []
    for n in range(20):
        future = store.append(BTC, candle_of(minute(n), Source.STREAM), Source.STREAM)
        done = threading.Event()

        def look(_: object, n: int = n, done: threading.Event = done) -> None:
            seen.append((minute(n) in store.present(BTC), len(store.read(BTC, minute(n), minute(n + 1)))))
            done.set()

        future.add_done_callback(look)
        assert done.wait(30)
    assert seen == [(True, 1)] * 20


def while_reading(store: Store, readers: int, work: Callable[[], None]) -> int:
    """Do ``work`` while threads read all the time and find every state whole; how often they did."""
    stop, wrong, reads = threading.Event(), [], [0] * readers

    def read_all_the_time(number: int) -> None:
        try:
            while not stop.is_set():
                before = store.present(BTC)
                rows, sources = store.read_sourced(BTC, 0, EVER)
                found = Coverage.of_times(rows["open_time"])
                assert not before.subtract(found), "what was present can be read"
                for source in set(sources.tolist()):
                    of_source = rows[sources == source]
                    wanted = [candle_of(int(at), Source(source)) for at in of_source["open_time"][::97]]
                    assert to_candles(of_source[::97]) == wanted, "every row is whole"
                assert store.file_bytes() > 0
                store.symbols()
                reads[number] += 1
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read_all_the_time, args=(n,)) for n in range(readers)]
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not wrong, wrong[0]
    return min(reads)


def test_the_map_grows_while_others_read_all_the_time(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test", map_size=1 << 16)
    days = examples(40, least=15)

    def work() -> None:
        for day in range(days):
            start = FIRST + day * DAY_MS
            store.put(BTC, rows_of(start, start + DAY_MS, Source.REST), Source.REST).result(30)

    assert while_reading(store, 3, work) > 0
    assert store.file_bytes() > 1 << 17
    assert len(store.read(BTC, 0, EVER)) == days * 1_440
    store.close()


def test_many_threads_write_while_others_read(store: Store) -> None:
    def write(part: int) -> None:
        sources = (Source.STREAM, Source.REST, Source.ARCHIVE_DAY)
        for n in range(60):
            source = sources[n % 3]
            if n % 10 == 0:
                rows = rows_of(minute(n * 7), minute(n * 7 + 300), source)
                store.put(BTC, rows, source).result(30)
            at = minute(2_000 + n * 4 + part)
            store.append(BTC, candle_of(at, source), source).result(30)

    def work() -> None:
        threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    while_reading(store, 2, work)
    assert span(minute(2_000), minute(2_240)).subtract(store.present(BTC)) == EMPTY


def test_closing_waits_for_readers_and_commits_what_waits(store: Store) -> None:
    inside, continue_with = threading.Event(), threading.Event()

    def read_slowly() -> None:
        with store._environment.reading():
            inside.set()
            continue_with.wait(30)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    assert inside.wait(30)
    future = store.append(BTC, candle_of(minute(0), Source.REST), Source.REST)
    closing = threading.Thread(target=store.close)
    closing.start()
    assert future.result(30) == Written(added=1)
    closing.join(0.05)
    assert closing.is_alive()
    continue_with.set()
    closing.join(30)
    reader.join(30)
    assert not closing.is_alive()
    again = Store(store.path)
    assert minute(0) in again.present(BTC)
    again.close()


def test_a_closed_store_refuses_and_never_hangs(store: Store) -> None:
    append(store, 0)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.append(BTC, candle_of(minute(1), Source.REST), Source.REST)
    with pytest.raises(StoreError, match="is closed"):
        store.read(BTC, 0, EVER)
    with pytest.raises(StoreError, match="is closed"):
        store.present("ETHUSDT")
    assert store.file_bytes() == 0
