"""The process was away, the link was down, a symbol came or went: what is there afterwards."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import examples
import pytest
from feed import Collected, configured, feeding, until
from history_parts import NOON, TODAY, assert_whole
from holding import Feed
from outages import BTC, CHINESE, HOUR_MS, assert_equals_a_batch, exchange_at, first_told
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.engine import Engine
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market


def zips(exchange: Exchange) -> list[str]:
    return [
        path.partition("-1m-")[2].removesuffix(".zip")
        for path in exchange.archive_log
        if path.endswith(".zip")
    ]


AWAY = [
    (10 * MINUTE_MS, []),
    # Away on the 9th at 06:00, back on the 10th at 12:00: no whole day between them is published.
    (30 * HOUR_MS, []),
    (54 * HOUR_MS, ["2026-03-09"]),
]
if examples.thorough:  # 57,600 messages, and the file of a month among those read
    days = [f"2026-03-{day:02}" for day in range(1, 10)]
    AWAY.append((40 * DAY_MS, ["2026-01-30", "2026-01-31", "2026-02", *days]))


@pytest.mark.parametrize(("away", "files"), AWAY)
@in_virtual_time
async def test_minutes_of_a_time_away_come_from_the_cheapest_source_and_are_all_published(
    tmp_path: Path, away: int, files: list[str]
) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    sink = Collected()
    before = NOON - away
    async with exchange_at(market, before) as exchange:
        config = configured(exchange, [BTC], days=42, monthly_threshold_months=1)
        async with feeding(config, tmp_path, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
    seen = len(sink.minutes(BTC))
    async with exchange_at(market, NOON) as exchange:
        config = configured(exchange, [BTC], days=42, monthly_threshold_months=1)
        async with feeding(config, tmp_path, sink) as (engine, _):
            await until(lambda: sink.minutes(BTC)[-1] >= NOON + 2 * MINUTE_MS, 60)
            await until(lambda: not engine.recovery.open_gaps())
            start = engine.tracked[BTC].start
            assert start <= before
            assert_whole(engine.store, exchange, BTC, start, sink.minutes(BTC)[-1] + MINUTE_MS)
            await Feed(engine, sink, exchange, config).holds(since=NOON)
        assert sorted(zips(exchange)) == files
        minutes = first_told(sink, BTC)
        assert {b - a for a, b in pairwise(minutes)} == {MINUTE_MS}
        assert len(minutes) > seen + away // MINUTE_MS
        assert_equals_a_batch(tmp_path, config, sink, BTC)


@pytest.mark.parametrize("how", ["reset", "blackhole"])
@in_virtual_time
async def test_a_link_that_was_down_leaves_no_minute_out(tmp_path: Path, how: str) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    async with exchange_at(market, NOON, 100.0) as exchange:
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
            exchange.faults.switch_on("refuse-connections", duration=600, how=how)
            await until(lambda: not exchange.faults, 30)
            end = exchange.clock.now() // MINUTE_MS * MINUTE_MS
            await until(lambda: sink.minutes(BTC)[-1] >= end, 60)
            await until(lambda: not engine.recovery.open_gaps())
            present = engine.store.present(BTC)
            assert_whole(engine.store, exchange, BTC, engine.tracked[BTC].start, present.end)
            skipped = engine.journal.counters["minutes_skipped"]
            await Feed(engine, sink, exchange, config).holds()
        minutes = first_told(sink, BTC)
        # A queue goes on without what recovery could not get in time; stored it is all the same.
        assert sum(b - a != MINUTE_MS for a, b in pairwise(minutes)) <= skipped
        assert_equals_a_batch(tmp_path, config, sink, BTC)


@in_virtual_time
async def test_banned_it_is_silent_across_a_restart_and_then_goes_on_as_if_nothing_was(
    tmp_path: Path,
) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    async with exchange_at(market, NOON, 30.0) as exchange:
        config = configured(exchange, [BTC])
        exchange.faults.switch_on("rest-418", duration=180)  # six seconds here
        ends = NOON + 180_000

        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: engine.exchange.status().state == "banned")
        asked = exchange.requests.total()
        assert exchange.faults.struck["rest-418"] == 1
        async with feeding(config, tmp_path, sink) as (engine, _):
            await until(lambda: engine.exchange.status().state == "banned")
            while exchange.clock.now() < ends - 15_000:
                assert exchange.requests.total() == asked
                assert engine.exchange.status().state == "banned"
                await asyncio.sleep(0.05)
            await until(lambda: len(sink.minutes(BTC)) >= 2, 40)
            assert engine.exchange.status().state == "ok"
            assert exchange.faults.struck["rest-418"] == 1
            assert_whole(engine.store, exchange, BTC, engine.tracked[BTC].start, sink.minutes(BTC)[-1])
            await Feed(engine, sink, exchange, config).holds()
        assert_equals_a_batch(tmp_path, config, sink, BTC)


@in_virtual_time
async def test_a_start_during_an_empty_list_does_not_believe_that_there_is_no_history(tmp_path: Path) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    async with exchange_at(market, NOON) as exchange:
        exchange.faults.switch_on("rest-empty", duration=120)
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 2, 60)
            assert engine.tracked[BTC].start == TODAY - 3 * DAY_MS
            await until(lambda: not engine.recovery.open_gaps())
            assert_whole(engine.store, exchange, BTC, TODAY - 3 * DAY_MS, sink.minutes(BTC)[-1])


@in_virtual_time
async def test_an_unknown_symbol_says_so_and_harms_no_other_and_is_not_asked_for(tmp_path: Path) -> None:
    market = synthetic_market([BTC], as_of_ms=NOON)
    async with exchange_at(market, NOON) as exchange:
        config = configured(exchange, [BTC, "BTCUSDC"])
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 3)
            one = engine.tracked["BTCUSDC"]
            assert (one.phase, one.reason) == ("unknown", "the exchange does not list it")
            assert any("does not list this symbol" in event.text for event in engine.journal.events)
            assert engine.state == "live"
            assert not engine.store.present("BTCUSDC")
            assert engine.journal.counters["rest_unknown_symbol"] == 0
            await Feed(engine, sink, exchange, config).holds()


async def refresh(engine: Engine) -> None:
    """What the engine does every few minutes by itself."""
    engine.subscriptions.listed = (await engine.exchange.listings(engine.config.application.symbols)).symbols
    engine.subscriptions.assign(list(engine.tracked))


@in_virtual_time
async def test_a_symbol_delisted_during_the_run_ends_clearly_and_the_other_goes_on(tmp_path: Path) -> None:
    market = synthetic_market([BTC, "LTCUSDT"], as_of_ms=NOON)
    async with exchange_at(market, NOON) as exchange:
        config = configured(exchange, [BTC, "LTCUSDT"])
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes("LTCUSDT")) >= 2)
            exchange.faults.switch_on("delist", "LTCUSDT", gone=120)
            begun = exchange.clock.now()
            await refresh(engine)
            assert engine.tracked["LTCUSDT"].phase == "delisted"
            await until(lambda: exchange.clock.now() > begun + 240_000)
            await refresh(engine)
            one = engine.tracked["LTCUSDT"]
            assert (one.phase, one.reason) == ("delisted", "the exchange trades it no longer (SETTLING)")
            assert not [gap for gap in engine.recovery.open_gaps() if gap.symbol == "LTCUSDT"]
            # Nobody asks for it again and again.
            refused = engine.journal.counters["rest_unknown_symbol"]
            count = len(sink.minutes(BTC))
            await until(lambda: len(sink.minutes(BTC)) >= count + 3)
            assert engine.journal.counters["rest_unknown_symbol"] == refused <= 3
            present = engine.store.present("LTCUSDT")
            assert present.end <= begun // MINUTE_MS * MINUTE_MS + 6 * MINUTE_MS
            assert_whole(engine.store, exchange, "LTCUSDT", present.start, present.end)
            await Feed(engine, sink, exchange, config).holds()
        assert {b - a for a, b in pairwise(first_told(sink, BTC))} == {MINUTE_MS}
        assert_equals_a_batch(tmp_path, config, sink, BTC)


@in_virtual_time
async def test_a_symbol_listed_not_long_ago_begins_where_it_was_listed(tmp_path: Path) -> None:
    market = synthetic_market([CHINESE], as_of_ms=NOON)
    listed = market.instruments[CHINESE].onboard
    async with exchange_at(market, NOON) as exchange:
        config = configured(exchange, [CHINESE], days=60)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(CHINESE)) >= 2, 60)
            assert engine.tracked[CHINESE].start == engine.store.listed(CHINESE) == listed
            end = sink.minutes(CHINESE)[-1] + MINUTE_MS
            assert engine.store.present(CHINESE).start == listed
            assert_whole(engine.store, exchange, CHINESE, listed, end)
            await Feed(engine, sink, exchange, config).holds()
        assert_equals_a_batch(tmp_path, config, sink, CHINESE)
