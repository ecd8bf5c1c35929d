"""The exponential moving average, seeded by a simple mean (the convention of TA-Lib).

``alpha = 2 / (period + 1)``. There is no value before ``period`` closes; the ``period``-th gives the mean
of the first ``period``; then ``ema = alpha * close + (1 - alpha) * ema``, in this order of operations
everywhere, so that every route gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Closes so far, the value, before there is one the sum; the weight of what was missing after the last absent
#: bar, and the closes before that.
EmaState: TypeAlias = tuple[int, float | None, float, float, int]

#: An EMA is warming while its seed, or bars that are absent, still weigh more than this.
SEED_WEIGHT = 1e-3


def settled_after(period: int) -> int:
    """Computes how long a seed influences an EMA.

    Args:
        period: period of the EMA, bars.

    Returns:
        Bars after the seed until the seed weighs at most :data:`SEED_WEIGHT`.
    """
    decay = 1.0 - 2.0 / (period + 1)
    bars = int(math.log(SEED_WEIGHT) / math.log(decay)) if decay else 1
    while decay**bars > SEED_WEIGHT:
        bars += 1
    return bars


def weight_of(bars: int, period: int) -> float:
    """Computes the weight of the latest bars in an EMA, 1 - (1 - 2 / (period + 1)) ** bars.

    Args:
        bars: number of latest bars.
        period: period of the EMA, bars.

    Returns:
        Their share of the value, 0 to 1.
    """
    return float(1.0 - (1.0 - 2.0 / (period + 1)) ** bars)


class Ema:
    """One EMA, fed one close at a time or many at once."""

    __slots__ = (
        "_alpha", "_decay", "_missed", "_missed_at", "_settled", "_sum", "period", "seen", "value",
    )  # fmt: skip

    def __init__(self, period: int) -> None:
        if period < 1:
            raise ValueError(f"an EMA needs a period of at least 1, not {period}")
        self.period = period
        self.seen = 0  # closes so far
        self.value: float | None = None
        self._alpha = 2.0 / (period + 1)
        self._decay = 1.0 - self._alpha
        self._settled = period + settled_after(period)
        self._sum = 0.0
        self._missed, self._missed_at = 0.0, 0

    def add(self, close: float) -> None:
        """Adds the next close.

        Args:
            close: price, positive.
        """
        self.seen += 1
        if self.value is not None:
            self.value = self._alpha * close + self._decay * self.value
        else:
            self._sum += close
            if self.seen == self.period:
                self.value = self._sum / self.period

    def miss(self, bars: int) -> None:
        """Records that bars are missing before the next close.

        Args:
            bars: number of missing bars.
        """
        weight = self._missed * self._decay ** (self.seen - self._missed_at)
        self._missed, self._missed_at = 1.0 - (1.0 - weight) * self._decay**bars, self.seen

    @property
    def warming(self) -> bool:
        """There is a value, but the seed or bars that are absent still weigh too much in it."""
        if self.value is None:
            return False
        if self.seen < self._settled:
            return True
        missed = self._missed
        return missed > 0 and missed * self._decay ** (self.seen - self._missed_at) > SEED_WEIGHT

    def state(self) -> EmaState:
        """Everything later values follow from."""
        return (self.seen, self.value, self._sum, self._missed, self._missed_at)

    def restore(self, state: EmaState) -> None:
        """Continues from a saved state.

        Args:
            state: what :meth:`state` returned.
        """
        self.seen, self.value, self._sum, self._missed, self._missed_at = state

    def load(self, closes: NDArray[np.float64], absent: Iterable[tuple[int, int]] = ()) -> list[float]:
        """Starts again with many closes, bit-equal to adding them one by one.

        Only the end of a long series is computed. One step is a non-decreasing function of the EMA, also
        after rounding; so two runs that start from below and from above every possible value enclose the
        true one, and where they have met they are equal to it. If they do not meet (a price that hardly
        moves), more of the series is taken, at last all of it.

        Args:
            closes: shape (n,), prices, positive, in order.
            absent: (index of a close, number of bars missing before it), ascending.

        Returns:
            The EMA after each of the last closes, as many as had to be computed; the last is the value.
        """
        self._missed, self._missed_at = 0.0, 0
        for self.seen, bars in absent:
            self.miss(bars)
        self.seen = len(closes)
        self.value, self._sum = None, 0.0
        if self.seen < self.period:
            for close in closes.tolist():
                self._sum += close
            return []
        alpha, decay = self._alpha, self._decay
        needed = 64 + int(2 * 37 / -math.log(decay)) if decay else 1
        while needed < self.seen - self.period:
            low, high = float(closes.min()) * (1 - 1e-6), float(closes.max()) * (1 + 1e-6)
            part = closes[-needed:].tolist()
            for at, close in enumerate(part, 1):
                step = alpha * close
                low = step + decay * low
                high = step + decay * high
                if low == high:
                    values = list(_steps(low, part[at:], alpha))
                    self.value = values[-1]
                    return values
            needed *= 4
        values = known(ema(closes, self.period))
        self.value = values[-1]
        return values


def known(values: NDArray[np.float64]) -> list[float]:
    """Leaves out what lies before the seed.

    Args:
        values: shape (n,), of :func:`ema`.

    Returns:
        The values from the seed on.
    """
    found: list[float] = values[~np.isnan(values)].tolist()
    return found


def _steps(value: float, closes: Iterable[float], alpha: float) -> Iterable[float]:
    """The EMA itself and after each of the closes."""
    decay = 1.0 - alpha
    return accumulate(closes, lambda value, close: alpha * close + decay * value, initial=value)


def ema(closes: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """Computes an EMA, seeded by the simple mean of the first ``period`` closes (the convention of TA-Lib).

    Args:
        closes: shape (n,), prices in order.
        period: bars.

    Returns:
        Shape (n,), the EMA after every close; NaN before the seed.
    """
    values = np.full(len(closes), np.nan)
    if len(closes) >= period:
        total = 0.0
        for close in closes[:period].tolist():
            total += close
        values[period - 1 :] = list(_steps(total / period, closes[period:].tolist(), 2.0 / (period + 1)))
    return values
