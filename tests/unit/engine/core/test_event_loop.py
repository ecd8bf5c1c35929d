"""How late a loop wakes is counted for every tick that was due, also for those a standstill has missed."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from tui_feeder.engine.core import event_loop
from tui_feeder.engine.core.event_loop import LAG_BOUNDS, ticks
from tui_feeder.engine.core.latency import Latency


class Ticking:
    """Something that waits for ticks, fifty a second."""

    def __init__(self) -> None:
        self.lag = Latency(LAG_BOUNDS)
        self.ticks = 0
        self.came = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for _ in ticks(0.02, self.lag):
            self.ticks += 1
            self.came.set()

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def observed(self) -> int:
        return sum(self.lag.counted().counts)

    def later_than(self, seconds: float) -> int:
        """How many came later than that, one of the bounds."""
        counted = self.lag.counted()
        return sum(counted.counts[counted.bounds.index(seconds) + 1 :])


async def test_every_tick_that_a_standstill_missed_counts_with_its_own_wait() -> None:
    one = Ticking()
    await asyncio.sleep(0.1)
    ticked, observed = one.ticks, one.observed
    one.came.clear()
    time.sleep(1.0)  # noqa: ASYNC251
    await one.came.wait()
    assert one.ticks == ticked + 1
    assert one.observed - observed >= 49
    assert one.later_than(0.5) >= 24  # of fifty, half waited for more than half the time
    assert one.later_than(0.25) >= one.later_than(0.5) + 11
    assert one.lag.counted().total >= 0.9 * 50 * 0.5
    await asyncio.sleep(0.1)
    assert one.ticks > ticked + 1
    await one.end()


async def test_of_a_loop_that_stood_still_for_a_day_a_thousand_ticks_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Ticking()
    await asyncio.sleep(0.05)
    tomorrow = SimpleNamespace(monotonic=lambda: time.monotonic() + 86_400.0)
    monkeypatch.setattr(event_loop, "time", tomorrow)
    await asyncio.sleep(0.1)
    assert 700 <= one.later_than(5.0) <= 1_000
    await one.end()
