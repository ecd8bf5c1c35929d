"""Faults of REST, 6, 10 and 11 of the table, on a running engine that needs REST for every minute."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from feed import until
from holding import BTC, ETH, all_live, exchange_of, feed_of
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import MINUTE_MS


@in_virtual_time
async def test_6_a_minute_that_rest_shows_without_its_last_trades_does_not_stay_so(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH], 30.0) as exchange, feed_of(exchange, tmp_path) as feed:
        exchange.faults.switch_on("no-close-frame")
        exchange.faults.switch_on("unfinished-row", seconds=14)
        await feed.minutes(3)
        await until(lambda: feed.counted("minutes_corrected_by_rest") >= 2)
        exchange.faults.switch_off()
        await feed.holds()
        assert feed.counted("revisions") >= 2


@in_virtual_time
async def test_6_the_minute_in_progress_is_never_stored(tmp_path: Path) -> None:
    async with exchange_of([BTC]) as exchange, feed_of(exchange, tmp_path, [BTC]) as feed:
        await feed.minutes(1)
        exchange.faults.switch_on("no-close-frame")
        seen = 0
        while len(set(feed.sink.minutes(BTC))) < 8:
            present = feed.engine.store.present(BTC)
            assert present.end <= exchange.clock.now() // MINUTE_MS * MINUTE_MS
            seen += 1
            await asyncio.sleep(0.005)
        assert seen > 50
        await feed.holds()


@pytest.mark.parametrize(
    ("fault", "parameters", "state"),
    [
        ("rest-429", {"retry_after": 30}, "rate limited"),
        ("rest-429", {"retry_after": 0}, "rate limited"),
        ("rest-418", {}, "banned"),
        ("rest-418", {"header": False}, "banned"),
        ("rest-403", {}, "forbidden"),
        ("rest-451", {}, "refused here"),
        ("rest-5xx", {}, "exchange error"),
        ("rest-timeout", {}, "timeout"),
        ("rest-truncated", {}, "bad answer"),
        ("rest-truncated", {"how": "transfer"}, "bad answer"),
    ],
)
@in_virtual_time
async def test_10_every_refusal_is_shown_as_what_it_is_and_costs_no_minute(
    tmp_path: Path, fault: str, parameters: dict[str, Any], state: str
) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("no-close-frame", ETH)
        begun = exchange.faults.switch_on(fault, duration=300, **parameters)
        await until(lambda: feed.snapshot().parts["REST"] == state)
        await until(lambda: feed.said(f"REST {state}"))
        await asyncio.sleep(0.2)  # what was under way is answered
        struck = exchange.faults.struck[fault]
        await until(lambda: begun.why_ended)
        if state == "banned":
            assert exchange.faults.struck[fault] == struck <= 3, "it asked during a ban"
        exchange.faults.switch_off()
        await feed.holds()
        assert feed.snapshot().parts["REST"] == "running"
        assert feed.counted("minutes_skipped") <= 8
        # The one whose frames came needed no REST.
        minutes = feed.sink.minutes(BTC)
        assert minutes == list(range(minutes[0], minutes[-1] + MINUTE_MS, MINUTE_MS))


@in_virtual_time
async def test_10_an_empty_list_is_no_proof_that_there_is_no_minute(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("no-close-frame", ETH)
        exchange.faults.switch_on("rest-empty", duration=600)
        await until(lambda: feed.said("REST empty answer"))
        await until(lambda: not exchange.faults.find("rest-empty"))
        exchange.faults.switch_off()
        await feed.holds()


@in_virtual_time
async def test_11_weight_that_another_process_uses_slows_it_down_and_never_becomes_a_refusal(
    tmp_path: Path,
) -> None:
    async with exchange_of([BTC, ETH]) as exchange:
        exchange.faults.switch_on("weight-jump", used=2300)
        async with feed_of(exchange, tmp_path, days=3) as feed:
            await until(lambda: all_live(feed), 60)
            exchange.faults.switch_on("no-close-frame")
            await feed.minutes(5, seconds=60)
            shown = feed.snapshot()
            assert shown.weight_used >= 2300
            assert shown.weight_limit == 2400
            await feed.holds()
            assert exchange.requests["429"] == exchange.requests["418"] == 0
            assert feed.counted("rest_rate_limited") == 0
