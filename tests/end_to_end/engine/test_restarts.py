"""What one engine left undone is done by the next: nothing it owed is forgotten."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from feed import Collected, configured, feeding, until
from history_parts import NOON, assert_whole
from outages import BTC, assert_equals_a_batch, exchange_at, first_told
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import MINUTE_MS, Source
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.synthetic import synthetic_market


@in_virtual_time
async def test_minutes_an_engine_went_on_without_are_told_by_the_next_one(tmp_path: Path) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    async with exchange_at(market, NOON) as exchange:
        config = configured(exchange, [BTC], recovery_deadline_seconds=5)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
            exchange.faults.switch_on("no-close-frame", duration=180)
            exchange.faults.switch_on("rest-5xx", target="klines")
            await until(lambda: engine.ingest.queue(BTC).skipped, 40)
            count = len(sink.minutes(BTC))
            await until(lambda: len(sink.minutes(BTC)) >= count + 2)
            skipped = engine.ingest.queue(BTC).skipped
        assert not skipped.intersect(Store(tmp_path, read_only=True).present(BTC))
        exchange.faults.switch_off()
        async with feeding(config, tmp_path, sink) as (engine, _):
            end = exchange.clock.now() // MINUTE_MS * MINUTE_MS
            await until(lambda: sink.minutes(BTC)[-1] >= end, 40)
            assert_whole(engine.store, exchange, BTC, engine.tracked[BTC].start, end)
    told = sorted(first_told(sink, BTC))
    assert {b - a for a, b in pairwise(told)} == {MINUTE_MS}
    assert len(told) == len(set(told))
    newest: dict[int, int] = {}
    for message in sink.messages[BTC]:
        newest[message["timestamp"]] = max(newest.get(message["timestamp"], 0), message["revision"])
    # What was told after the hole rested on bars and averages without it.
    assert newest[skipped.end + MINUTE_MS - 1] == 1
    assert_equals_a_batch(tmp_path, config, sink, BTC)


@pytest.mark.parametrize("before", [-1, 61])
@in_virtual_time
async def test_a_minute_corrected_in_the_store_without_its_message_is_told_anew(
    tmp_path: Path, before: int
) -> None:
    """One that was published, or one of the same day before all that were."""
    market = synthetic_market([BTC], as_of_ms=NOON)
    sink = Collected()
    async with exchange_at(market, NOON) as exchange:
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 4)
        published = sorted(first_told(sink, BTC))
        wrong = published[0] - before * MINUTE_MS
        # As an engine leaves it that is killed between a correction's commit and its revision.
        store = Store(tmp_path)
        right = store.read(BTC, wrong, wrong + MINUTE_MS)
        other = right.copy()
        other["volume"] = right["volume"] + 1.0
        other["quote_volume"] = other["volume"] * right["close"]
        store.put(BTC, np.asarray(other), Source.ARCHIVE_MONTH).result()
        assert store.stale_published(BTC).start == wrong
        store.close()
        async with feeding(config, tmp_path, sink) as (engine, _):
            await until(lambda: any(m["revision"] for m in sink.messages[BTC]), 40)
            first = min(m["timestamp"] for m in sink.messages[BTC] if m["revision"])
            assert first == max(wrong, published[0]) + MINUTE_MS - 1
            await until(lambda: not engine.store.stale_published(BTC))
        assert_equals_a_batch(tmp_path, config, sink, BTC)


@in_virtual_time
async def test_what_was_told_anew_is_not_told_again_by_the_next_engine(tmp_path: Path) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    sink = Collected()
    async with exchange_at(market, NOON) as exchange:
        config = configured(exchange, [BTC], recovery_deadline_seconds=5)
        async with feeding(config, tmp_path, sink) as (engine, _):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
            exchange.faults.switch_on("no-close-frame", duration=120)
            exchange.faults.switch_on("rest-5xx", target="klines")
            await until(lambda: engine.ingest.queue(BTC).skipped, 40)
            exchange.faults.switch_off()
            await until(lambda: engine.journal.counters["pipelines_rebuilt"], 40)
            await until(lambda: not engine.store.unpublished(BTC) and not engine.recovery.open_gaps())
        count = len([m for m in sink.messages[BTC] if m["revision"]])
        async with feeding(config, tmp_path, sink) as (engine, _):
            end = exchange.clock.now() // MINUTE_MS * MINUTE_MS
            await until(lambda: sink.minutes(BTC)[-1] >= end + MINUTE_MS, 40)
        keys = [(m["timestamp"], m["revision"]) for m in sink.messages[BTC]]
        assert len(keys) == len(set(keys))
        assert len([m for m in sink.messages[BTC] if m["revision"]]) == count


@in_virtual_time
async def test_recovery_stops_though_it_is_woken_at_the_same_moment(tmp_path: Path) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    async with exchange_at(market, NOON) as exchange:
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: sink.minutes(BTC))
            coming = (exchange.clock.now() // MINUTE_MS + 60) * MINUTE_MS
            engine.recovery.request(BTC, coming, coming + MINUTE_MS, "far away")
            await asyncio.sleep(0.1)
            engine.recovery.retry(BTC)
            await asyncio.wait_for(engine.recovery.stop(), 10)


@in_virtual_time
async def test_a_minute_read_too_soon_is_read_again_by_the_next_engine(tmp_path: Path) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    sink = Collected()
    # No closing frames: REST must close every minute, and shows each without its last trades at first.
    async with exchange_at(market, NOON, 30.0) as exchange:
        exchange.faults.switch_on("no-close-frame")
        exchange.faults.switch_on("unfinished-row", seconds=14)
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path, sink) as (engine, _):
            await until(lambda: engine.store.unconfirmed(BTC), 40)
            exchange.faults.switch_on("rest-5xx", target="klines")
            early = engine.store.unconfirmed(BTC)
        exchange.faults.switch_off()
        left = Store(tmp_path, read_only=True)
        assert left.unconfirmed(BTC).intersect(early)
        left.close()
        async with feeding(config, tmp_path, sink) as (engine, _):
            await until(lambda: not engine.store.unconfirmed(BTC).intersect(early), 40)
            assert not early.subtract(engine.store.certified(BTC))
            await until(lambda: not engine.store.stale_published(BTC))
            assert_whole(engine.store, exchange, BTC, early.start, early.end)
            await until(lambda: sink.minutes(BTC) and sink.minutes(BTC)[-1] >= early.end)
        assert_equals_a_batch(tmp_path, config, sink, BTC)


@in_virtual_time
async def test_a_minute_skipped_while_its_lane_was_held_is_not_told_twice(tmp_path: Path) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    async with exchange_at(market, NOON) as exchange:
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
            queue = engine.ingest.queue(BTC)
            pipeline, coming = queue.pipeline, queue.next
            assert pipeline is not None
            assert coming is not None
            # A count from scratch holds the queue, and meanwhile recovery gives up minutes before it.
            engine.ingest.pause(BTC)
            engine.ingest.skip(BTC, coming + 2 * MINUTE_MS)
            engine.ingest.open_queue(BTC, pipeline, coming)
            await until(lambda: sink.minutes(BTC)[-1] >= coming + 2 * MINUTE_MS)
            await engine.queue_opener.open_queue(engine.tracked[BTC])
        keys = [(m["timestamp"], m["revision"]) for m in sink.messages[BTC]]
        assert len(keys) == len(set(keys))
        assert coming in sink.minutes(BTC)
