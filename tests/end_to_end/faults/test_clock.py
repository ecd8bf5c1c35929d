"""Fault 14 of the table: clocks that are wrong, and that step while the engine runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from feed import until
from holding import BTC, ETH, NOON, all_live, exchange_of, feed_of
from virtual_time import in_virtual_time

from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.exchanges.binance import markets as adapter


class Wall:
    """This machine's time of day, as wrong as a test wants it."""

    def __init__(self, ahead: float = 0.0, base: float | None = None) -> None:
        self.ahead = ahead
        self._shift = 0.0 if base is None else base - time.time()

    def __call__(self) -> float:
        return time.time() + self._shift + self.ahead


def with_wall(monkeypatch: pytest.MonkeyPatch, wall: Wall) -> None:
    monkeypatch.setattr(adapter, "ExchangeClock", lambda rate: ExchangeClock(rate, wall))


@in_virtual_time
async def test_14_a_local_clock_that_is_90_s_wrong_and_steps_is_shown_and_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = NOON + 55_000  # the first minute ends in five seconds: time runs as it does everywhere
    wall = Wall(-90.0, start / 1000)
    with_wall(monkeypatch, wall)
    async with exchange_of([BTC, ETH], 1.0, start) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: feed.said("clock is 90.", "s behind the exchange's"))
        assert feed.snapshot().clock_offset_ms == pytest.approx(90_000, abs=900)
        assert abs(feed.snapshot().exchange_time - exchange.clock.now()) < 900
        wall.ahead = 90.0
        await until(lambda: feed.said("this machine's clock stepped by +180.0 s"))
        await until(lambda: feed.said("s ahead of the exchange's"))
        assert feed.counted("local_clock_steps") == 1
        assert feed.snapshot().clock_offset_ms == pytest.approx(-90_000, abs=900)
        assert abs(feed.snapshot().exchange_time - exchange.clock.now()) < 900
        await feed.minutes(1)
        assert feed.counted("quarantined_candles") == feed.counted("exchange_clock_steps") == 0


@in_virtual_time
async def test_14_a_wrong_local_clock_that_steps_all_the_time_costs_no_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall(90.0, NOON / 1000)
    with_wall(monkeypatch, wall)
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        for _ in range(3):
            steps = feed.counted("local_clock_steps")
            wall.ahead = -wall.ahead
            await until(lambda steps=steps: feed.counted("local_clock_steps") > steps)
        await feed.holds()
        assert feed.counted("quarantined_candles") == 0


@pytest.mark.parametrize("seconds", [90.0, -90.0])
@in_virtual_time
async def test_14_when_the_exchange_s_time_steps_the_engine_steps_with_it(
    tmp_path: Path, seconds: float
) -> None:
    async with exchange_of([BTC, ETH], 30.0) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("clock-skew", seconds=seconds)
        await until(lambda: feed.said("exchange time stepped by"), 10)  # by the frames: not only after 20 s
        ahead = feed.engine.clock.now() - exchange.clock.now()
        assert ahead == pytest.approx(seconds * 1000, abs=15_000)
        await feed.minutes(2)
        exchange.faults.switch_off()
        await until(lambda: feed.counted("exchange_clock_steps") >= 2, 10)
        assert abs(feed.engine.clock.now() - exchange.clock.now()) < 15_000
        await feed.holds()


@pytest.mark.parametrize("seconds", [90.0, -90.0])
@in_virtual_time
async def test_14_where_the_exchange_states_another_time_than_its_frames_the_frames_are_followed(
    tmp_path: Path, seconds: float
) -> None:
    async with exchange_of([BTC, ETH], 30.0) as exchange:
        # Wrong from the beginning: the first minutes are read by a clock that is ahead, or behind.
        exchange.faults.switch_on("clock-skew", seconds=seconds, stated=True)
        async with feed_of(exchange, tmp_path) as feed:
            await until(lambda: feed.said("exchange clocks disagree", "are used"))
            await until(lambda: abs(feed.engine.clock.now() - exchange.clock.now()) < 15_000)
            await feed.minutes(3)
            await feed.holds()
            assert feed.snapshot().clock_offset_ms != 0
            exchange.faults.switch_off()
            await feed.holds()


@in_virtual_time
async def test_14_a_clock_that_steps_there_and_back_all_the_time_costs_no_minute(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH], 30.0) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("clock-skew", seconds=90.0, every=120.0)
        await until(lambda: feed.counted("exchange_clock_steps") >= 3, 60)
        exchange.faults.switch_off()
        await feed.holds()


@in_virtual_time
async def test_14_a_minute_read_while_the_clock_was_ahead_is_read_again_when_it_is_over(
    tmp_path: Path,
) -> None:
    async with exchange_of([BTC], 30.0) as exchange:
        # Neither frames nor a right time: for a while nothing contradicts what the exchange states.
        exchange.faults.switch_on("clock-skew", seconds=150.0, stated=True)
        exchange.faults.switch_on("silence")
        async with feed_of(exchange, tmp_path, [BTC]) as feed:
            await feed.minutes(2)
            exchange.faults.switch_off("silence")
            await until(lambda: feed.said("exchange time stepped by -1"))
            await feed.holds()
            assert feed.counted("minutes_corrected_by_rest") >= 1


@in_virtual_time
async def test_9_14_a_suspended_machine_wakes_up_and_fills_what_it_slept_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall(0.0, NOON / 1000)
    with_wall(monkeypatch, wall)
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        # Monotonic time stood still; everything else went on for 54 hours, and one whole day was published.
        slept = 54 * 60 * 60.0
        exchange.faults.switch_on("silence")
        exchange.faults.switch_on("clock-skew", seconds=slept)
        wall.ahead += slept
        await until(lambda: feed.said("this machine's clock stepped by +194400.0 s"), 10)
        await until(lambda: feed.said("exchange time stepped by +"), 10)
        exchange.faults.switch_off("silence")
        await until(lambda: feed.engine.ingest.queue(BTC).next > NOON + slept * 1000, 60)
        await feed.holds(ahead=int(slept * 1000))
        assert sum(path.endswith(".zip") and "2026-03-11" in path for path in exchange.archive_log) == 2


def test_14_one_frame_that_does_not_fit_moves_nothing_and_three_that_agree_do() -> None:
    clock = ExchangeClock()
    clock.measure([(time.monotonic(), NOON, time.monotonic())])
    clock.observe_lag(-90_000.0)
    assert clock.measure([]).ms == 0.0
    for lag in (-90_000.0, -89_950.0, -89_700.0):
        clock.observe_lag(lag)
    assert clock.measure([]).ms == 90_000.0
    assert abs(clock.now() - NOON - 90_000) < 5_000


def test_14_a_loop_that_was_held_up_is_no_wrong_clock() -> None:
    clock = ExchangeClock()
    clock.measure([(time.monotonic(), NOON, time.monotonic())])
    for lag in (9_000.0, 6_000.0, 3_000.0, 40.0):  # what waited meanwhile comes all at once
        clock.observe_lag(lag)
    step = clock.measure([(time.monotonic(), clock.now(), time.monotonic())])
    assert abs(step.ms) < 100
    assert clock.disputed_ms == 0.0


@in_virtual_time
async def test_14_a_ban_is_counted_by_the_time_that_passes_whatever_the_wall_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall(-90.0, NOON / 1000)
    with_wall(monkeypatch, wall)
    async with exchange_of([BTC], 30.0) as exchange:
        exchange.faults.switch_on("rest-418", duration=120)
        async with feed_of(exchange, tmp_path, [BTC]) as feed:
            await until(lambda: feed.engine.exchange.status().state == "banned")
            wall.ahead = 90.0
            await until(lambda: not exchange.faults, 20)
            await until(lambda: feed.engine.state != "starting")
            await feed.holds()
            assert exchange.faults.struck["rest-418"] == 1
