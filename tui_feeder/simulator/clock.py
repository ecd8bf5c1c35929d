"""Exchange time: it runs at a chosen rate, from a chosen moment, and may end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from tui_feeder.simulator.faults import Faults
from tui_feeder.simulator.market import Market


class Clock(Protocol):
    """Exchange time, as every part of the exchange reads it."""

    def now(self) -> int:
        """Exchange time, ms."""
        ...

    def real_seconds(self, exchange_ms: float) -> float:
        """Converts a span of exchange time to real time.

        Args:
            exchange_ms: the span, ms of exchange time.

        Returns:
            Real seconds.
        """
        ...


class SimulatedClock:
    """Exchange time in ms, anchored on the monotonic clock of this machine at construction.

    Args:
        start_ms: exchange time now.
        rate: exchange seconds in a real second.
        end_ms: where exchange time stops.
        began: when exchange time was ``start_ms``, by ``time.monotonic()``, which all processes of a machine
            share; None for now.

    Raises:
        ValueError: for a rate that is not positive.
    """

    def __init__(
        self, start_ms: int, rate: float = 1.0, end_ms: int | None = None, began: float | None = None
    ) -> None:
        if not rate > 0:
            raise ValueError(f"a clock rate must be above 0, not {rate}")
        self.start_ms = start_ms
        self.rate = rate
        self.end_ms = end_ms
        self.began = time.monotonic() if began is None else began

    def now(self) -> int:
        """Exchange time, ms."""
        now = self.start_ms + int((time.monotonic() - self.began) * 1000 * self.rate)
        return now if self.end_ms is None else min(now, self.end_ms)

    @property
    def ended(self) -> bool:
        """Whether time has come to its end."""
        return self.end_ms is not None and self.now() >= self.end_ms

    def real_seconds(self, exchange_ms: float) -> float:
        """Converts a span of exchange time to real time.

        Args:
            exchange_ms: the span, ms of exchange time.

        Returns:
            Real seconds.
        """
        return exchange_ms / 1000 / self.rate


class SkewedClock:
    """A clock as the fault clock-skew shows it.

    Args:
        clock: exchange time without the fault.
        faults: the active faults, which may include a clock fault.
    """

    def __init__(self, clock: SimulatedClock, faults: Faults) -> None:
        self._clock = clock
        self._faults = faults
        self._furthest = 0

    def now(self) -> int:
        """Exchange time, ms; it may step, backwards too."""
        now = self._clock.now()
        return now + self._skew(now, stated=False) if self._faults else now

    def stated(self) -> int:
        """The time the exchange reports, ms."""
        now = self.now()
        return now + self._skew(now, stated=True) if self._faults else now

    def furthest(self) -> int:
        """The latest time this clock has shown, ms, in a skew or now."""
        return max(self._furthest, self.now())

    def real_seconds(self, exchange_ms: float) -> float:
        """Converts a span of exchange time to real time.

        Args:
            exchange_ms: the span, ms of exchange time.

        Returns:
            Real seconds.
        """
        return self._clock.real_seconds(exchange_ms)

    def _skew(self, now: int, *, stated: bool) -> int:
        fault = self._faults.find("clock-skew")
        if fault is None or fault.flag("stated") != stated:
            return 0
        every = fault.number("every") * 1000
        if every and (now - fault.begins) // every % 2:
            return 0
        skew = round(fault.number("seconds") * 1000)
        if not stated:
            self._furthest = max(self._furthest, now + skew)
        end = self._clock.end_ms
        return skew if end is None else min(now + skew, end) - now


#: Exchange ms a clock runs on after recorded data ends, so that the last minute is seen to close.
_AFTERMATH = 5_000


def default_start(market: Market) -> int:
    """Chooses the exchange time a clock starts at.

    Args:
        market: the market the clock is for.

    Returns:
        A moment inside recorded data, otherwise real time; ms.
    """
    return int(time.time() * 1000) if market.start is None else market.start


def clock_for(
    market: Market, *, start_ms: int | None = None, rate: float = 1.0, began: float | None = None
) -> SimulatedClock:
    """Makes a clock that fits a market; it stops for good some seconds after recorded data ends.

    Args:
        market: the market the clock is for.
        start_ms: exchange time to start at, ms; None for :func:`default_start`.
        rate: seconds of exchange time per real second.
        began: see :class:`SimulatedClock`.

    Returns:
        The clock, already running.

    Raises:
        ValueError: for a start after the end of the data, or a rate that is not positive.
    """
    start = default_start(market) if start_ms is None else start_ms
    if market.end is None:
        return SimulatedClock(start, rate, began=began)
    if start >= market.end:
        raise ValueError(
            f"exchange time cannot start at {rfc3339(start)}: the recorded data ends at {rfc3339(market.end)}"
        )
    return SimulatedClock(start, rate, market.end + _AFTERMATH, began)


def rfc3339(moment: int) -> str:
    """Formats a moment as ``2026-03-01T00:00:00Z``.

    Args:
        moment: ms since the epoch.

    Returns:
        The moment in UTC, to the second.
    """
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
