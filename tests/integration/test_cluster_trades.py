"""Volume at price of trades in a cluster on a real Kafka: a symbol's owner says what it knows of each minute.

Ladders are not handed over: what the former owner read counts as candles at the new one, and is labelled so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("confluent_kafka", reason="the reader needs confluent-kafka")

from cluster_checks import MINUTE_MS, Record, check_each_once_and_in_order, check_equal
from cluster_run import ClusterRun, cluster_run, wait_until
from services import Kafka as Broker
from services import Service
from starting import running

from tui_feeder.config import Config
from tui_feeder.engine.analytics.orderflow.reconcile import Known
from tui_feeder.engine.cluster.partitions import partition_of
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.derived.stored_ladders import known_minutes, read_ladder
from tui_feeder.engine.derived.stored_reads import StoredReads
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.launch import launch_blocking

# One process of pytest-xdist runs what starts clusters: they take a processor each.
pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("cluster workers")]

SPEED = 20.0
SYMBOLS = tuple(f"C{number}USDT" for number in range(1, 9))
PARTITIONS = 8


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Service]:
    yield from running(Broker(tmp_path / "kafka"))


@pytest.fixture
def run(tmp_path: Path, broker: Broker) -> Iterator[ClusterRun]:
    with (
        launch_blocking(symbols=SYMBOLS, speed=SPEED) as exchange,
        cluster_run(broker, exchange, tmp_path, SYMBOLS, PARTITIONS) as made,
    ):
        made.settings = {"TRADES__SYMBOLS": ",".join(SYMBOLS), "TRADES__DAYS": "1"}
        made.start_undisturbed()
        yield made


def symbols_in(partitions: set[int]) -> list[str]:
    return [symbol for symbol in SYMBOLS if partition_of(symbol.encode(), PARTITIONS) in partitions]


def known_in(store: Store, symbol: str, day: int) -> dict[int, Known]:
    """How each minute of a day that had a trade is known; that it is so is checked by plain sums."""
    ladder = read_ladder(store, symbol, day)
    if ladder is None:
        return {}
    candles, known = known_minutes(store, symbol, ladder)
    volumes = dict.fromkeys(candles["open_time"].tolist(), 0.0)
    for minute, bought, sold in ladder.levels[["minute", "bought", "sold"]].tolist():
        if (time_of := day + minute * MINUTE_MS) in volumes:
            volumes[time_of] += (bought + sold) / 10**ladder.quantity_places
    for how, share, (time_of, volume), wanted in zip(
        known.known.tolist(), known.shares.tolist(), volumes.items(), candles["volume"].tolist(), strict=True
    ):
        there = volume / wanted if wanted else 1.0
        assert share == pytest.approx(there), f"{symbol} {time_of}"
        assert (how == Known.CANDLE) == (there == 0.0), f"{symbol} {time_of}"
        if how == Known.EXACT:
            assert there == pytest.approx(1.0, abs=1e-9), f"{symbol} {time_of}"
    traded = (candles["volume"] > 0).tolist()
    return {
        time_of: Known(how)
        for time_of, how, some in zip(volumes, known.known.tolist(), traded, strict=True)
        if some
    }


def last_words_are_those_of_the_store(
    store: Store, symbol: str, since: int, records: Sequence[Record]
) -> int:
    """The profile in the last message of each minute is what the owner's store has; minutes compared."""
    reads, compared = StoredReads(store, Config()), 0
    last = {record.timestamp: json.loads(record.payload) for record in records if record.timestamp >= since}
    for timestamp, message in last.items():
        said, shown = message["volume_profile"], reads.profile(symbol, None, timestamp + 1)
        assert shown is not None
        area = said["value_area"]
        assert (said["poc"], area["high"], area["low"], said["vwap"], said["exact_share"]) == (
            shown.poc, shown.vah, shown.val, shown.vwap, shown.exact_share
        ), f"{symbol} {timestamp}"  # fmt: skip
        compared += 1
    return compared


def revised_shares(records: Sequence[Record], before: int) -> list[tuple[float, float]]:
    """Of minutes before a moment that were published again the exact share, at first and at last.

    Those are the minutes since the last checkpoint, a quarter of an hour at most: the new owner has no
    ladders of them, and publishes what it can prove.
    """
    shares: dict[int, list[float]] = {}
    for record in records:
        if record.timestamp < before:
            share = json.loads(record.payload)["volume_profile"]["exact_share"]
            shares.setdefault(record.timestamp, []).append(share)
    again = [found for found in shares.values() if len(found) > 1 and found[0] != found[-1]]
    return [(found[0], found[-1]) for found in again]


def without_trades(records: Mapping[str, Sequence[Record]]) -> dict[str, list[Record]]:
    """Messages without what rests on ladders: what is known of these differs with who read the trades."""

    def of_candles(message: dict[str, Any]) -> bytes:
        return json.dumps(
            {name: value for name, value in message.items() if name != "volume_profile"}
        ).encode()

    return {
        symbol: [record._replace(payload=of_candles(json.loads(record.payload))) for record in found]
        for symbol, found in records.items()
    }


def check_nothing_lost_nothing_twice(run: ClusterRun) -> None:
    """Messages and bars came once and in order, and but for ladders they are those of the feeder alone."""
    for topic in ("data", "candles"):
        ours, theirs = run.reader.records(f"ta_{topic}"), run.reader.records(f"one_{topic}")
        check_each_once_and_in_order(ours)
        spans = {}
        for symbol in SYMBOLS:
            both = [[record.timestamp for record in found[symbol]] for found in (ours, theirs)]
            spans[symbol] = (max(map(min, both)), min(map(max, both)))
        assert check_equal(without_trades(ours), without_trades(theirs), spans) >= len(SYMBOLS)


def exact_since(run: ClusterRun, name: str, symbols: Sequence[str], since: int, minutes: int) -> bool:
    """Whether at a worker so many minutes from one on, and all after it but the newest two, are exact."""
    store = Store(run.folder / name, read_only=True)
    try:
        for symbol in symbols:
            end = store.present(symbol).end - 2 * MINUTE_MS
            known = known_in(store, symbol, since // DAY_MS * DAY_MS)
            if end < since + minutes * MINUTE_MS or any(
                known.get(minute, Known.EXACT) is not Known.EXACT for minute in range(since, end, MINUTE_MS)
            ):
                return False
        return True
    finally:
        store.close()


def test_over_two_handovers_every_minute_is_exact_or_says_what_it_is(run: ClusterRun) -> None:
    run.have("w1", "w2")
    moved = symbols_in(run.published_by("w1"))
    assert moved
    first = max(run.reader.newest("ta_data", symbol) for symbol in SYMBOLS) + 1 + 2 * MINUTE_MS
    wait_until(lambda: exact_since(run, "w1", moved, first, 4), 60, run.logs)

    orphans = run.published_by("w1")
    run.workers["w1"].kill()
    run.takeover_seconds(time.monotonic(), orphans, "w1")
    taken = max(run.reader.newest("ta_data", symbol) for symbol in SYMBOLS) + 1 + 2 * MINUTE_MS
    wait_until(lambda: exact_since(run, "w2", moved, taken, 4), 90, run.logs)
    store = Store(run.folder / "w2", read_only=True)
    day = taken // DAY_MS * DAY_MS
    for symbol in moved:
        known = known_in(store, symbol, day)
        before = {how for minute, how in known.items() if minute < taken - 5 * MINUTE_MS}
        assert before == {Known.CANDLE}, "the former owner's ladders are its own"
        records = run.reader.records("ta_data")[symbol]
        assert 0.0 < json.loads(records[-1].payload)["volume_profile"]["exact_share"] < 1.0
        assert last_words_are_those_of_the_store(store, symbol, taken, records[:-2]) >= 1
        assert all(after < before for before, after in revised_shares(records, taken)), "it says so"
    store.close()
    check_nothing_lost_nothing_twice(run)

    # The first has its own ladders still, and asks for what was traded meanwhile.
    run.workers["w1"].start()
    run.wait_for_assignment("w1", "w2")
    wait_until(lambda: run.published_by("w1") == orphans, 60, run.logs)
    wait_until(lambda: exact_since(run, "w1", moved, first, 8), 90, run.logs)
    check_nothing_lost_nothing_twice(run)
    assert run.workers["w1"].stop() == 0
    store = Store(run.folder / "w1", read_only=True)
    for symbol in moved:
        end = store.present(symbol).end - 2 * MINUTE_MS
        known = [how for minute, how in known_in(store, symbol, day).items() if first <= minute < end]
        assert len(known) >= 4
        assert set(known) == {Known.EXACT}
    store.close()
