"""Health is data: what the screen says of a symbol that has nothing to say; gaps hold up nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

from feed import until
from holding import BTC, ETH, all_live, exchange_of, feed_of, without
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.coverage import span
from tui_feeder.monitor import SymbolState


@in_virtual_time
async def test_a_symbol_without_trade_is_not_late_for_having_no_frames(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("outage", ETH)
        begun = len(feed.sink.minutes(ETH))
        states = set()
        while len(feed.sink.minutes(ETH)) < begun + 14:  # seven seconds: a silence of five would be stale
            states.add(feed.shown(ETH).state)
            await asyncio.sleep(0.02)
        assert feed.sink.messages[ETH][-1]["timestamp"] > 0
        assert SymbolState.STALE not in states
        assert feed.shown(ETH).state in (SymbolState.LIVE, SymbolState.LATE)
        await until(lambda: feed.shown(ETH).state is SymbolState.LIVE)
        exchange.faults.switch_off()
        await feed.holds()


@in_virtual_time
async def test_a_symbol_whose_minutes_do_not_close_is_late_then_stale_and_the_engine_degraded(
    tmp_path: Path,
) -> None:
    async with (
        exchange_of([BTC, ETH], 60.0) as exchange,
        feed_of(exchange, tmp_path, recovery_deadline_seconds=600) as feed,
    ):
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("no-close-frame", ETH)
        exchange.faults.switch_on("rest-empty", ETH)
        await until(lambda: feed.shown(ETH).state is SymbolState.LATE)
        assert "overdue" in feed.shown(ETH).reason
        await until(lambda: feed.shown(ETH).state is SymbolState.STALE)
        assert "no closed minute for" in feed.shown(ETH).reason
        assert feed.snapshot().state == "degraded"
        assert feed.shown(BTC).state is SymbolState.LIVE
        gap = next(gap for gap in feed.engine.recovery.open_gaps() if gap.symbol == ETH)
        assert gap.tries >= 1
        assert gap.view().reason
        exchange.faults.switch_off()
        await feed.holds()


@in_virtual_time
async def test_a_new_gap_does_not_wait_for_one_that_is_tried_again_much_later(tmp_path: Path) -> None:
    async with exchange_of([BTC]) as exchange, feed_of(exchange, tmp_path, [BTC]) as feed:
        await until(lambda: all_live(feed))
        hole, lacks = exchange.clock.now() // MINUTE_MS * MINUTE_MS + MINUTE_MS, True
        without(feed.engine.exchange, BTC, span(hole, hole + MINUTE_MS), lambda: lacks)
        exchange.faults.switch_on("no-close-frame", duration=150)  # the close of the hole, always
        await until(lambda: feed.engine.store.unavailable(BTC), 60)
        (one,) = feed.engine.store.unavailable(BTC)
        assert (one.start, one.end, one.reason) == (hole, hole + MINUTE_MS, "no source has these minutes")
        await until(lambda: not exchange.faults)
        # The minutes beside it may have been missing with it.
        (gap,) = [gap for gap in feed.engine.recovery.open_gaps() if gap.start <= hole < gap.end]
        gap.next_try = exchange.clock.now() + 600 * MINUTE_MS  # as after many more tries
        await feed.minutes(1)
        feed.engine.recovery._wake[BTC].set()
        exchange.faults.switch_on("no-close-frame")
        await feed.minutes(4, seconds=20)
        assert gap in feed.engine.recovery.open_gaps()
        (view,) = [view for view in feed.snapshot().gaps if view.start <= hole < view.end]
        assert view.state == "unavailable"
        await feed.holds(unavailable=1)
        lacks = False
        feed.engine.recovery.retry(BTC)
        await until(lambda: not feed.engine.store.unavailable(BTC))
        await feed.holds()


@in_virtual_time
async def test_minutes_that_rest_refuses_for_long_hold_up_no_live_minute(tmp_path: Path) -> None:
    async with (
        exchange_of([BTC]) as exchange,
        feed_of(exchange, tmp_path, [BTC], recovery_deadline_seconds=2) as feed,
    ):
        await feed.minutes(1)
        exchange.faults.switch_on("rest-451", target="klines")
        for _ in range(2):  # again while the first gap is open
            for gap in feed.engine.recovery.open_gaps():
                gap.next_try = exchange.clock.now() + 600 * MINUTE_MS  # as after many more tries
            exchange.faults.switch_on("no-close-frame", duration=600)
            await until(lambda: not exchange.faults.find("no-close-frame", BTC))
            end = exchange.clock.now()
            await until(lambda end=end: feed.sink.minutes(BTC)[-1] > end, 40)
        assert feed.engine.recovery.missing_minutes(BTC) >= 16
        assert feed.shown(BTC).missing_minutes >= 16
        assert feed.said("goes on without")
        exchange.faults.switch_off()
        feed.engine.recovery.retry(BTC)
        await feed.holds()
        assert feed.counted("revisions") > 0
