from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from feed import NOON, configured, feeding, until
from places import SUPPORT
from store_child import SYMBOLS, candle_of
from stores import BTC, EVER, minute

from tui_feeder.engine.core.candle import MINUTE_MS, Source
from tui_feeder.engine.storage.outbox import Outbox
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

CHILD = SUPPORT / "outbox_child.py"


def opened(path: Path, *sinks: str, max_mb: float = 512) -> tuple[Store, Outbox]:
    store = Store(path, exchange="a test")
    return store, store.open_outbox(sinks or ("kafka",), max_mb)


def make(store: Store, first: int, count: int, size: int = 10) -> None:
    made = [
        store.append(BTC, candle_of(minute(n), Source.REST), Source.REST, payload=f"{n:0{size}}".encode())
        for n in range(first, first + count)
    ]
    for one in made:
        one.result()


def numbers(outbox: Outbox, after: int = 0) -> list[int]:
    return [int(one.payload) for one in outbox.read_after(after, EVER)]


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


def test_a_store_with_an_outbox_is_read_beside_its_engine(tmp_path: Path) -> None:
    store, _ = opened(tmp_path)
    make(store, 0, 5)
    code = "from tui_feeder.engine.storage.store import Store; import sys; from pathlib import Path;"
    code += "print(Store(Path(sys.argv[1]), read_only=True).present('BTCUSDT').minutes)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.split() == ["5"], done.stderr
    store.close()


def test_a_full_map_grows_with_what_waits(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test", map_size=1 << 17)
    outbox = store.open_outbox(["kafka"], 512)
    make(store, 0, 2_000, size=1_000)
    assert numbers(outbox) == list(range(2_000))
    store.close()


def test_the_age_of_the_oldest_is_told(tmp_path: Path) -> None:
    store, outbox = opened(tmp_path)
    make(store, 0, 1)
    time.sleep(0.05)
    assert 0.05 <= outbox.status("kafka").age < 30
    store.close()


@pytest.mark.timeout(180)
def test_a_kill_at_any_write_neither_loses_nor_tears_a_message(tmp_path: Path) -> None:
    draw = random.Random(6)
    made: set[tuple[str, int]] = set()
    taken: set[tuple[str, int]] = set()
    for seed in range(12):
        process = subprocess.Popen(
            [sys.executable, str(CHILD), str(tmp_path), str(seed)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["ready"]
        time.sleep(draw.uniform(0.05, 0.5))
        process.kill()
        for line in process.communicate()[0].splitlines():
            what, symbol, number = line.split()
            (made if what == "made" else taken).add((symbol, int(number)))
    store, outbox = opened(tmp_path)
    waiting = [
        (one.symbol, (one.timestamp + 1) // MINUTE_MS - 1, one.payload) for one in outbox.read_after(0, EVER)
    ]
    left = {(symbol, at - minute(0) // MINUTE_MS) for symbol, at, _ in waiting}
    assert len(made) > 300
    assert made <= left | taken
    for symbol in SYMBOLS:
        mine = [at - minute(0) // MINUTE_MS for name, at, _ in waiting if name == symbol]
        assert mine == list(range(mine[0], mine[0] + len(mine)))  # in order, none twice, no hole
        watermark = store.watermark(symbol)
        assert watermark is not None
        assert mine[-1] == (watermark - minute(0)) // MINUTE_MS  # candle and message: both or neither
    for symbol, at, payload in waiting:
        once = f"{symbol} {at - minute(0) // MINUTE_MS}".encode()
        assert payload == once * (len(payload) // len(once))
    store.close()


async def test_the_engine_lets_every_message_wait_as_it_was_published(tmp_path: Path) -> None:
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    async with (
        Exchange(market, clock_for(market, start_ms=NOON, rate=120.0)) as exchange,
        feeding(configured(exchange, ["BTCUSDT"]), tmp_path) as (engine, sink),
    ):
        outbox = engine.store.open_outbox(["kafka"], 512)
        await until(lambda: len(sink.minutes("BTCUSDT")) >= 4)
        await until(lambda: outbox.status("kafka").depth >= 4)
        first = outbox.read_after(0, EVER)[:4]
    published = sink.raw["BTCUSDT"]
    assert [one.payload for one in first] == published[: len(first)]
