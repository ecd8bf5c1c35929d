"""How late a loop wakes is counted for every tick that was due, also for those a blocked loop has missed."""

from __future__ import annotations

import asyncio

from virtual_time import VirtualTimeLoop, in_virtual_time

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


def block(seconds: float) -> None:
    """The loop does nothing else for so long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.jump(seconds)


@in_virtual_time
async def test_every_tick_that_a_blocked_loop_missed_counts_with_its_own_wait() -> None:
    ticking = Ticking()
    await asyncio.sleep(0.1)
    ticked, observed = ticking.ticks, ticking.observed
    ticking.came.clear()
    block(1.0)
    await ticking.came.wait()
    assert ticking.ticks == ticked + 1
    assert 50 <= ticking.observed - observed <= 51
    assert 24 <= ticking.later_than(0.5) <= 26  # of fifty, half waited for more than half the time
    assert 12 <= ticking.later_than(0.25) - ticking.later_than(0.5) <= 13
    assert 0.95 * 50 * 0.5 <= ticking.lag.counted().total <= 1.05 * 50 * 0.5
    await asyncio.sleep(0.1)
    assert ticking.ticks >= ticked + 5
    await ticking.end()


@in_virtual_time
async def test_of_a_loop_that_was_blocked_for_a_day_a_thousand_ticks_count() -> None:
    ticking = Ticking()
    await asyncio.sleep(0.05)
    block(86_400.0)
    await asyncio.sleep(0.1)
    # The ticks of the last 20 s that waited for more than 5 s; one waited for just about 5 s.
    assert ticking.later_than(5.0) in (750, 751)
    assert 1_000 <= ticking.observed <= 1_010
    await ticking.end()
