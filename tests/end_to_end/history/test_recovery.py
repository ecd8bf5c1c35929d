from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from feed import configured, feeding, until
from history_parts import NOON, TODAY, assert_whole
from holding import Feed, without
from outages import BTC, assert_equals_a_batch, exchange_at, first_told
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import span
from tui_feeder.simulator.synthetic import synthetic_market


@in_virtual_time
async def test_an_unfinished_minute_that_rest_gave_too_soon_does_not_stay(tmp_path: Path) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    # No closing frames: REST must close every minute, and shows each without its last trades at first.
    async with exchange_at(market, NOON, 30.0) as exchange:
        exchange.faults.switch_on("no-close-frame")
        exchange.faults.switch_on("unfinished-row", seconds=14)
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 4, 40)
            exchange.faults.switch_off()
            last = engine.store.present(BTC).end
            await until(
                lambda: not engine.store.present(BTC).clip(0, last).subtract(engine.store.certified(BTC))
            )
            assert_whole(engine.store, exchange, BTC, engine.tracked[BTC].start, last)
            assert engine.journal.counters["minutes_corrected_by_rest"] >= 1
            await until(lambda: sink.minutes(BTC)[-1] >= last + MINUTE_MS)
            await Feed(engine, sink, exchange, config).holds()
        assert {b - a for a, b in pairwise(first_told(sink, BTC))} == {MINUTE_MS}
        assert_equals_a_batch(tmp_path, config, sink, BTC)


@in_virtual_time
async def test_what_is_empty_for_a_while_is_asked_again_and_comes(tmp_path: Path) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    async with exchange_at(market, NOON) as exchange:
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
            exchange.faults.switch_on("no-close-frame", duration=150)
            exchange.faults.switch_on("rest-empty", duration=150)
            await until(lambda: not exchange.faults, 20)
            end = exchange.clock.now() // MINUTE_MS * MINUTE_MS
            await until(lambda: sink.minutes(BTC)[-1] >= end)
            await until(lambda: not engine.recovery.open_gaps())
            assert_whole(engine.store, exchange, BTC, engine.tracked[BTC].start, end)
            await until(lambda: sink.minutes(BTC)[-1] >= end + MINUTE_MS)
            await Feed(engine, sink, exchange, config).holds()
        assert_equals_a_batch(tmp_path, config, sink, BTC)


@in_virtual_time
async def test_a_minute_that_is_to_be_confirmed_is_asked_for_until_it_is_shown(tmp_path: Path) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    async with exchange_at(market, NOON, 60.0) as exchange:
        exchange.faults.switch_on("no-close-frame")
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
            await until(lambda: engine.store.unconfirmed(BTC))
            exchange.faults.switch_on("rest-empty")
            early = engine.store.unconfirmed(BTC)
            asked = exchange.requests["klines"]
            await until(lambda: exchange.requests["klines"] >= asked + 12)  # three to a try that is believed
            assert engine.store.unconfirmed(BTC).intersect(early) == early
            exchange.faults.switch_off()
            await until(lambda: not engine.store.unconfirmed(BTC).intersect(early))
            assert not early.subtract(engine.store.certified(BTC))
            await Feed(engine, sink, exchange, config).holds()


@in_virtual_time
async def test_what_no_source_has_is_unavailable_with_its_reason_and_comes_when_it_can(
    tmp_path: Path,
) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    async with exchange_at(market, NOON) as exchange:
        config = configured(exchange, [BTC], recovery_deadline_seconds=5)
        hole = TODAY - DAY_MS + 600 * MINUTE_MS
        lacking = exchange.faults.switch_on("missing-rows", minute=600, minutes=30)
        async with feeding(config, tmp_path) as (engine, sink):
            without(engine.exchange, BTC, span(hole, hole + 30 * MINUTE_MS), lambda: not lacking.why_ended)
            await until(lambda: engine.store.unavailable(BTC), 60)
            (one,) = engine.store.unavailable(BTC)
            assert (one.start, one.end) == (hole, hole + 30 * MINUTE_MS)
            assert one.reason == "no source has these minutes"
            assert one.tries >= 4
            assert one.next_try > engine.clock.now()
            (gap,) = [gap for gap in engine.recovery.open_gaps() if gap.start == hole]
            assert gap.view().state == "unavailable"
            count = len(sink.minutes(BTC))
            await until(lambda: len(sink.minutes(BTC)) >= count + 2)  # live data need not wait
        async with feeding(config, tmp_path, sink) as (engine, _):
            without(engine.exchange, BTC, span(hole, hole + 30 * MINUTE_MS), lambda: not lacking.why_ended)
            await until(lambda: any(gap.start == hole for gap in engine.recovery.open_gaps()), 40)
            (gap,) = [gap for gap in engine.recovery.open_gaps() if gap.start == hole]
            assert gap.state in ("unavailable", "filling")
            assert (gap.given_up, gap.tries >= 4, gap.reason) == (True, True, "no source has these minutes")
            exchange.faults.switch_off()
            engine.recovery.retry(BTC)
            await until(lambda: hole in engine.store.present(BTC))
            await until(lambda: not engine.store.unavailable(BTC))
            assert_whole(engine.store, exchange, BTC, engine.tracked[BTC].start, sink.minutes(BTC)[-1])
            count = len(sink.minutes(BTC))
            await until(lambda: len(sink.minutes(BTC)) >= count + 2)
            await Feed(engine, sink, exchange, config).holds()
        assert {b - a for a, b in pairwise(first_told(sink, BTC))} == {MINUTE_MS}
        assert_equals_a_batch(tmp_path, config, sink, BTC)
