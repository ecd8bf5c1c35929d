from __future__ import annotations

import time
from pathlib import Path

import pytest
from outboxes import make, numbers, opened
from stores import BTC, EVER, minute

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.storage.store import Store


def test_messages_wait_in_order_until_they_are_acknowledged(tmp_path: Path) -> None:
    store, outbox = opened(tmp_path)
    make(store, 0, 50)
    found = outbox.read_after(0, EVER)
    assert [(one.symbol, one.timestamp, int(one.payload)) for one in found] == [
        (BTC, minute(n) + MINUTE_MS - 1, n) for n in range(50)
    ]
    assert outbox.status("kafka").depth == 50
    outbox.acknowledge("kafka", found[19].number).result()
    assert numbers(outbox) == list(range(20, 50))
    outbox.acknowledge("kafka", found[-1].number).result()
    assert outbox.status("kafka")[:3] == (0, 0.0, 0.0)
    store.close()


def test_a_reopened_outbox_goes_on_where_it_was(tmp_path: Path) -> None:
    store, outbox = opened(tmp_path)
    make(store, 0, 10)
    outbox.acknowledge("kafka", outbox.read_after(0, EVER)[3].number).result()
    store.close()
    store, outbox = opened(tmp_path)
    assert numbers(outbox, outbox.cursors["kafka"]) == [4, 5, 6, 7, 8, 9]
    outbox.acknowledge("kafka", outbox.last).result()
    store.close()
    store, outbox = opened(tmp_path)
    make(store, 10, 1)  # an emptied outbox must not count from 1 again: the cursor is ahead of that
    assert numbers(outbox, outbox.cursors["kafka"]) == [10]
    store.close()


def test_each_sink_has_its_own_cursor_and_the_slowest_holds(tmp_path: Path) -> None:
    store, outbox = opened(tmp_path, "kafka", "file")
    make(store, 0, 10)
    outbox.acknowledge("kafka", outbox.last).result()
    assert outbox.status("kafka").depth == 0
    assert outbox.status("file").depth == 10
    outbox.acknowledge("file", 4).result()
    assert numbers(outbox) == [4, 5, 6, 7, 8, 9]
    store.close()
    store.close()


def test_what_waits_for_a_disabled_sink_is_kept_until_it_is_enabled_again(tmp_path: Path) -> None:
    store, outbox = opened(tmp_path, "kafka", "file")
    make(store, 0, 10)
    outbox.acknowledge("kafka", outbox.last).result()
    outbox.acknowledge("file", 4).result()
    store.close()
    for run in range(2):  # disabled for two runs, and what they make is not for it
        store, outbox = opened(tmp_path, "kafka")
        make(store, 10 * run + 10, 10)
        outbox.acknowledge("kafka", outbox.last).result()
        assert numbers(outbox) == [4, 5, 6, 7, 8, 9]
        assert outbox.status("kafka").depth == 0
        assert [(one.sink, one.messages) for one in store.backlogs()] == [("file", 6)]
        store.close()
    store, outbox = opened(tmp_path, "kafka", "file")
    assert outbox.status("file").depth == 6
    make(store, 30, 3)
    assert outbox.status("file").depth == 9
    assert numbers(outbox, outbox.cursors["file"]) == [4, 5, 6, 7, 8, 9, 30, 31, 32]
    outbox.acknowledge("file", outbox.last).result()
    outbox.acknowledge("kafka", outbox.last).result()
    assert store.backlogs() == []
    assert numbers(outbox) == []
    store.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_what_waits_is_known_before_any_outbox_is_opened(tmp_path: Path, read_only: bool) -> None:
    store, _ = opened(tmp_path)
    make(store, 0, 3)
    store.close()
    store = Store(tmp_path, exchange="" if read_only else "a test", read_only=read_only)
    for _ in range(2):
        assert [(one.sink, one.messages) for one in store.backlogs()] == [("kafka", 3)]
    if not read_only:
        outbox = store.open_outbox(("kafka",), 512)
        assert numbers(outbox) == [0, 1, 2]
        assert [(one.sink, one.messages) for one in store.backlogs()] == [("kafka", 3)]
        make(store, 3, 1)
        assert numbers(outbox) == [0, 1, 2, 3]
    store.close()


def test_another_sink_takes_nothing_of_one_that_is_disabled(tmp_path: Path) -> None:
    store, _ = opened(tmp_path, "kafka")
    make(store, 0, 5)
    store.close()
    store, outbox = opened(tmp_path, "file")
    assert outbox.status("file").depth == 0
    assert [(one.sink, one.messages) for one in store.backlogs()] == [("kafka", 5)]
    store.close()


def test_a_disabled_sink_for_which_nothing_waits_is_forgotten(tmp_path: Path) -> None:
    store, outbox = opened(tmp_path, "kafka", "file")
    make(store, 0, 3)
    outbox.acknowledge("file", outbox.last).result()
    store.close()
    store, outbox = opened(tmp_path, "kafka")
    make(store, 3, 2)
    store.close()
    store, outbox = opened(tmp_path, "kafka", "file")
    assert (outbox.status("kafka").depth, outbox.status("file").depth) == (5, 0)
    store.close()


def test_what_is_discarded_goes_and_the_others_keep_theirs(tmp_path: Path) -> None:
    store, outbox = opened(tmp_path, "kafka", "file")
    make(store, 0, 10)
    outbox.acknowledge("kafka", 7).result()
    outbox.acknowledge("file", 2).result()
    store.close()
    store = Store(tmp_path)
    store.open_outbox((), 512).discard("file")
    store.close()
    store, outbox = opened(tmp_path, "kafka")
    assert numbers(outbox) == [7, 8, 9]
    assert outbox.status("kafka").depth == 3
    store.close()


def test_what_is_kept_counts_towards_the_bound_and_its_loss_is_counted(tmp_path: Path) -> None:
    store, outbox = opened(tmp_path, "kafka", "file", max_mb=1)
    make(store, 0, 300, size=1_500)
    outbox.acknowledge("kafka", outbox.last).result()
    store.close()
    store, outbox = opened(tmp_path, "kafka", max_mb=1)
    make(store, 300, 1_000, size=1_500)
    left = numbers(outbox)
    assert left == list(range(1_300 - len(left), 1_300))
    assert outbox.dropped == {"file": 300, "kafka": 1_000 - len(left)}
    store.close()


def test_at_its_bound_the_oldest_are_dropped_and_counted(tmp_path: Path) -> None:
    store, outbox = opened(tmp_path, max_mb=1)
    make(store, 0, 1_500, size=1_500)
    status = outbox.status("kafka")
    left = numbers(outbox)
    assert 0.8 < status.megabytes <= 1.0
    assert left == list(range(1_500 - len(left), 1_500))
    assert status.depth == len(left)
    assert status.dropped == 1_500 - len(left) > 500
    store.close()


def test_a_message_larger_than_the_bound_still_goes_out(tmp_path: Path) -> None:
    store, outbox = opened(tmp_path, max_mb=0.01)
    make(store, 0, 3, size=20_000)
    assert [one.payload for one in outbox.read_after(0, EVER)] == [b"2".zfill(20_000)]
    store.close()


def test_without_a_sink_nothing_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test")
    make(store, 0, 5)
    store.close()
    store, outbox = opened(tmp_path)
    assert numbers(outbox) == []
    store.close()


def test_a_full_map_grows_with_what_waits(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test", map_size=1 << 17)
    outbox = store.open_outbox(["kafka"], 512)
    make(store, 0, 2_000, size=1_000)
    assert numbers(outbox) == list(range(2_000))
    store.close()


def test_the_age_of_the_oldest_is_in_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, outbox = opened(tmp_path)
    make(store, 0, 1)
    later = time.time() + 45.0
    monkeypatch.setattr(time, "time", lambda: later)
    assert 44.9 <= outbox.status("kafka").age <= 45.1
    store.close()
