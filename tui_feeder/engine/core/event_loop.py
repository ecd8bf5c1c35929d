"""The engine's event loop and its worker thread: how late the loop wakes, how they take turns."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from tui_feeder.engine.core.latency import Latency

#: Upper ends of the classes, seconds. A timer of asyncio is up to a millisecond late on an idle machine.
LAG_BOUNDS = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5,
    5.0,
)  # fmt: skip
#: With Python's own 5 ms, a loop that competes with a parsing and a writing thread waits 15 to 50 ms to
#: run (measured while months are read); with a fifth of one 7 to 20, at no cost in candles a second.
_SWITCH_SECONDS = 0.0002
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


def worker_thread() -> ThreadPoolExecutor:
    """The one thread that parses and computes in bulk: two of them are slower than one.

    Also shortens the interpreter's switch interval, so that the loop never waits long for it, and freezes
    what start-up made for the garbage collector: modules live as long as the process, and each full
    collection of them stops every thread.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.freeze()
    return ThreadPoolExecutor(1, thread_name_prefix="worker")
