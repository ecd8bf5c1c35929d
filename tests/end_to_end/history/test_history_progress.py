"""How far history is: one measure over everything that is to be read, which never goes back."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from examples import examples
from feed import NOON, configured, feeding, until
from holding import exchange_of, feed_of
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import in_virtual_time

from tui_feeder.commands.backfill_jobs import Job
from tui_feeder.commands.backfill_progress import Lines
from tui_feeder.engine import snapshots
from tui_feeder.engine.acquisition import history_progress as history_whole
from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.acquisition.history_progress import WholeHistory
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import DEFAULT_SYMBOLS, synthetic_market
from tui_feeder.time_format import format_second

SIZES = st.lists(st.integers(0, 500_000), min_size=1, max_size=20)


@given(SIZES, st.integers(1, 6), st.randoms(use_true_random=False))
@settings(deadline=None)  # a machine at work takes longer for some examples
def test_it_rises_from_nothing_to_all_whatever_is_refused_on_the_way(
    sizes: list[int], at_once: int, random: object
) -> None:
    """Symbols begin one after another; each is read in bits, and begun again where a source refused."""
    whole, begun, over = WholeHistory(), [], []
    seen = [0.0]
    waiting = list(sizes)
    while waiting or len(over) < len(begun):
        under_way = [tracker for tracker in begun if tracker not in over]
        if waiting and len(under_way) < at_once:
            begun.append(FillProgress(waiting.pop(0)))
        else:
            tracker = random.choice(under_way)
            left = tracker.rows_total - tracker.rows_done
            tracker.rows_done += random.randint(0, left)
            tracker.continue_with(tracker.rows_total - tracker.rows_done + random.choice((0, 3)))
            if tracker.rows_done == tracker.rows_total:
                over.append(tracker)
        whole.update([(one, any(one is o for o in over)) for one in begun], len(waiting), None)
        seen.append(whole.fraction)
    assert seen == sorted(seen)
    assert seen[-1] == (1.0 if any(sizes) else 0.0)


@in_virtual_time
async def test_what_reading_waits_for_is_in_the_line_of_the_log(tmp_path: Path) -> None:
    names = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
    async with exchange_of(names, rate=6.0) as exchange:
        exchange.faults.switch_on("weight-jump")
        async with feed_of(exchange, tmp_path, names) as feed:
            lines: list[str] = []

            def told() -> bool:
                lines.append(feed.engine._progress())
                return "REST weight used up" in lines[-1]

            await until(told, why=lines[-1] if lines else "")
            after = exchange.clock.now() // MINUTE_MS * MINUTE_MS
            waiting = r", nothing read for \d+ s: REST weight used up, waits until (\d\d:\d\d:00Z) "
            found = re.search(waiting, lines[-1])
            assert found is not None, lines[-1]
            assert found[1] in (format_second(after)[11:], format_second(after + MINUTE_MS)[11:])


def test_the_time_left_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(history_whole.time, "monotonic", lambda: now)
    whole = WholeHistory()
    trackers = [FillProgress(10_000, started=now)]
    whole.update([(trackers[0], False)], 9, None)
    assert whole.eta_seconds is None
    now += 10.0
    trackers[0].rows_done = 5_000
    whole.update([(trackers[0], False)], 9, None)
    assert whole.fraction == pytest.approx(0.05)
    assert whole.eta_seconds == pytest.approx(190.0)
    whole.update([(trackers[0], False)], 9, "disk full")
    assert whole.eta_seconds is None
    assert whole.note == "paused: disk full"


def test_lines_of_a_backfill_count_the_symbols_that_have_not_begun() -> None:
    jobs = [Job(f"S{number}USDT") for number in range(4)]
    lines = Lines(lambda: None)
    lines.start(jobs)
    shown = []
    for job in jobs:
        job.tracker = FillProgress(1_000)
        for done in (0, 400, 1_000):
            job.tracker.rows_done = done
            shown.append(lines.line())
        job.ended = True
    shown.append(lines.line())
    percents = [int(re.search(r"(\d+)% of 4,000 minutes", line)[1]) for line in shown]
    assert percents == [0, 10, 25, 25, 35, 50, 50, 60, 75, 75, 85, 100, 100]


async def test_the_screen_of_a_start_never_goes_back(tmp_path: Path) -> None:
    names = list(DEFAULT_SYMBOLS)[: examples(len(DEFAULT_SYMBOLS), least=4)]
    market = synthetic_market(names, as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON, rate=60.0)) as exchange:
        exchange.faults.switch_on("corrupt-zip", count=5)
        async with feeding(configured(exchange, names, days=40), tmp_path / "store") as (engine, _):
            seen: list[float] = []
            async with asyncio.timeout(120):
                while engine.state != "live":
                    snapshot = snapshots.take(engine, len(seen))
                    if snapshot.history_fraction is not None:
                        seen.append(snapshot.history_fraction)
                    await asyncio.sleep(0.005)
            assert len(set(seen)) > 10
            assert seen == sorted(seen)
            assert seen[-1] > 0.95
            assert snapshots.take(engine, 0).history_fraction is None
