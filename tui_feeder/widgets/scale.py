"""The price axis that chart and profile share, and round numbers and times to label axes with. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

#: Distances of labels on a time axis, seconds.
_TIME_STEPS = (
    60, 300, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200,
    86_400, 172_800, 432_000, 864_000, 2_592_000, 7_776_000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PriceScale:
    """Prices from ``low`` at the bottom edge to ``high`` at the top edge of ``rows`` rows of cells."""

    low: float
    high: float
    rows: int

    def position(self, price: float) -> float:
        """Computes the position of a price.

        Args:
            price: the price.

        Returns:
            Rows below the top edge: 0.0 at ``high``, ``rows`` at ``low``.
        """
        return (self.high - price) / (self.high - self.low) * self.rows

    def row(self, price: float) -> int | None:
        """Finds the row of a price.

        Args:
            price: the price.

        Returns:
            The row, 0 at the top; None outside.
        """
        at = self.position(price)
        return min(int(at), self.rows - 1) if 0.0 <= at <= self.rows else None

    def edges(self) -> list[float]:
        """The ``rows + 1`` prices between the rows, falling."""
        step = (self.high - self.low) / self.rows
        return [self.high - step * i for i in range(self.rows)] + [self.low]


def price_scale(low: float, high: float, rows: int, levels: Iterable[float] = ()) -> PriceScale:
    """Makes a scale, widened to hold a level where that costs at most half the range.

    A level further away would press the candles flat; it is left outside.

    Args:
        low: lowest price.
        high: highest price.
        rows: height.
        levels: prices to include if possible.

    Returns:
        The scale.
    """
    reach = (high - low) * 0.5
    bottom, top = low, high
    for level in levels:
        if low - reach <= level < bottom:
            bottom = level
        elif top < level <= high + reach:
            top = level
    if not top > bottom:  # one price only
        room = abs(top) * 0.001 or 1.0
        bottom, top = bottom - room, top + room
    margin = (top - bottom) / max(rows, 1) * 0.25
    return PriceScale(bottom - margin, top + margin, rows)


def price_ticks(scale: PriceScale, apart: int = 3) -> tuple[list[float], int]:
    """Chooses round prices to label an axis with.

    Args:
        scale: the scale.
        apart: rows between labels at least.

    Returns:
        The prices, and the decimals they need.
    """
    least = (scale.high - scale.low) / scale.rows * apart
    power = 10.0 ** math.floor(math.log10(least))
    factor = next(f for f in (1.0, 2.0, 2.5, 5.0, 10.0) if power * f >= least * (1 - 1e-9))
    step = power * factor
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if factor == 2.5 and step < 10 else 0)
    first, last = math.ceil(scale.low / step), math.floor(scale.high / step)
    return [i * step for i in range(first, last + 1)], decimals


def time_step(timeframe: int, apart: int = 9) -> int:
    """Chooses the time between labels.

    Args:
        timeframe: seconds of a column.
        apart: columns between labels at least.

    Returns:
        Seconds.
    """
    for step in _TIME_STEPS:
        if step % timeframe == 0 and step >= timeframe * apart:
            return step
    return _TIME_STEPS[-1]
