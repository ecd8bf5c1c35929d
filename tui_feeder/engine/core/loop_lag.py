"""How late an event loop wakes: the wait of whatever it has to do, a frame or a minute's end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from tui_feeder.engine.core.latency import Latency

#: Upper ends of the classes, seconds. A timer of asyncio is up to a millisecond late on an idle machine.
LAG_BOUNDS = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5,
    5.0,
)  # fmt: skip
#: Of a loop that stood still, so many of the ticks it missed count at most.
_MISSED = 1_000


async def ticks(every: float, lag: Latency) -> AsyncIterator[None]:
    """Wakes at fixed times and observes how late the running loop does so.

    Ticks that a blocked loop misses are each observed with their own wait: a long pause would otherwise be
    one observation among thousands. The consumer gets one tick for all that were missed.

    Args:
        every: seconds between ticks.
        lag: receives the delays.

    Yields:
        Nothing, at each tick.
    """
    due = time.monotonic()
    while True:
        due += every
        await asyncio.sleep(due - time.monotonic())
        now = time.monotonic()
        due = max(due, now - _MISSED * every)
        lag.observe(now - due)
        while now - due >= every:
            due += every
            lag.observe(now - due)
        yield
