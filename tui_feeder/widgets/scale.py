"""The price axis that chart and profile share, and round numbers and times to label axes with. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
    log: bool = False  # equal distances are equal ratios; ``low`` is above 0 then

    def position(self, price: float) -> float:
        """Computes the position of a price.

        Args:
            price: the price.

        Returns:
            Rows below the top edge: 0.0 at ``high``, ``rows`` at ``low``.
        """
        if self.log:
            if not price > 0:
                return math.inf
            return math.log(self.high / price) / math.log(self.high / self.low) * self.rows
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
        if self.log:
            ratio = (self.low / self.high) ** (1 / self.rows)
            return [*(self.high * ratio**i for i in range(self.rows)), self.low]
        step = (self.high - self.low) / self.rows
        return [self.high - step * i for i in range(self.rows)] + [self.low]


def price_scale(
    low: float, high: float, rows: int, levels: Iterable[float] = (), log: bool = False
) -> PriceScale:
    """Makes a scale, widened to hold a level where that costs at most half the range.

    A level further away would press the candles flat; it is left outside.

    Args:
        low: lowest price.
        high: highest price.
        rows: height.
        levels: prices to include if possible.
        log: equal distances are equal ratios, where all prices are above 0.

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
    if log and bottom > 0:
        ratio = (top / bottom) ** (0.25 / max(rows, 1))
        return PriceScale(bottom / ratio, top * ratio, rows, log=True)
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
    if scale.log:
        return round_values(scale.edges(), apart)
    least = (scale.high - scale.low) / scale.rows * apart
    power = 10.0 ** math.floor(math.log10(least))
    factor = next(f for f in (1.0, 2.0, 2.5, 5.0, 10.0) if power * f >= least * (1 - 1e-9))
    step = power * factor
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if factor == 2.5 and step < 10 else 0)
    first, last = math.ceil(scale.low / step), math.floor(scale.high / step)
    return [i * step for i in range(first, last + 1)], decimals


def round_values(edges: Sequence[float], apart: int) -> tuple[list[float], int]:
    """Chooses round values to label an axis with whose rows are not equally high.

    Args:
        edges: values between the rows, falling; one more than there are rows.
        apart: rows between labels at least.

    Returns:
        The values, the roundest where several are near each other, and the decimals they need.
    """
    found = [(*_roundest(low, high), row) for row, (high, low) in enumerate(pairwise(edges))]
    taken: dict[int, tuple[int, float]] = {}
    for power, value, row in sorted(found, key=lambda entry: (-entry[0], entry[2])):
        if all(abs(row - other) >= apart for other in taken):
            taken[row] = power, value
    chosen = sorted(taken.values(), reverse=True)  # the roundest first
    while len(chosen) > 3 and chosen[-1][0] < chosen[-2][0]:  # one alone would give all the others a decimal
        chosen.pop()
    decimals = max((-power for power, _ in chosen), default=0)
    return sorted(value for _, value in chosen), max(0, decimals)


def _roundest(low: float, high: float) -> tuple[int, float]:
    """The value between two with the fewest digits, and the power of ten that it is a multiple of."""
    power = math.floor(math.log10(high - low)) + 1
    while True:
        step = 10.0**power
        multiple = math.ceil(low / step - 1e-9)
        if multiple * step <= high:
            return power, multiple * step if power >= 0 else multiple / 10.0**-power
        power -= 1


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
