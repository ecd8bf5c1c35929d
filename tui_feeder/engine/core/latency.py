"""How long things took, counted in classes: enough for any percentile, at little cost."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

#: Upper ends of the classes, seconds; the last class has none.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Counted(NamedTuple):
    """What was observed so far."""

    bounds: tuple[float, ...]  # upper ends of the classes, seconds
    counts: tuple[int, ...]  # by class, one more than there are bounds
    total: float  # seconds, of all


class Latency:
    """A histogram of seconds. Observed on one thread, read from any.

    Args:
        bounds: upper ends of the classes, rising, seconds.
    """

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...] = BOUNDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        """Counts a duration.

        Args:
            seconds: the duration; a negative one, which clocks can produce, counts as 0.
        """
        seconds = max(0.0, seconds)
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += seconds

    def counted(self) -> Counted:
        """What was observed so far."""
        return Counted(self._bounds, tuple(self._counts), self._total)
