"""Rows of equal height on the price axis, exact in decimal. Knows nothing above it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A decimal of at most 15 digits survives the way through a float, so it is recovered exactly.
_EXACT = 1e15
_WHOLE = float(1 << 53)  # whole numbers below it are exact floats


class PriceGrid:
    """Rows of equal height on the price axis: row ``i`` stands for the price ``i * increment``.

    The row of a price is ``price / increment`` rounded half to even, in exact decimal arithmetic on the
    numbers as they are written (shortest round-trip form), not as they are stored in binary.
    """

    __slots__ = ("_denominator", "_numerator", "_scales", "increment")

    def __init__(self, increment: float) -> None:
        if not 0 < increment < float("inf"):
            raise ValueError(f"a price increment is positive and finite, not {increment}")
        self.increment = increment
        exact = Fraction(repr(increment))
        self._numerator, self._denominator = exact.as_integer_ratio()
        scales: list[tuple[float, int]] = []
        for decimals in (7, 12):
            # Integers of 10**-decimals: quick, right wherever price and increment have that many.
            step = exact * 10**decimals
            if step.denominator == 1 and step < 2**62:
                scales.append((float(10**decimals), int(step)))
        self._scales = tuple(scales)

    def index(self, price: float) -> int:
        """Finds the row a price belongs to.

        Args:
            price: quote currency.

        Returns:
            The nearest row, computed exactly in decimal; of two equally near ones the even one.
        """
        for scale, step in self._scales:
            units = round(price * scale)
            if units < _EXACT and units / scale == price:
                row, rest = divmod(units, step)
                if not rest:
                    return row
                rest += rest
                return row + 1 if rest > step or (rest == step and row & 1) else row
        return round(Fraction(repr(price)) * self._denominator / self._numerator)

    def indices(self, prices: Floats) -> Ints:
        """Finds the rows of many prices; the array form of :meth:`index`.

        Args:
            prices: quote currency, any shape.

        Returns:
            Row indices, same shape.
        """
        rows: Ints
        for scale, step in self._scales:
            scaled = np.rint(prices * scale)
            if bool(np.all((scaled < _EXACT) & (scaled / scale == prices))):
                units = scaled.astype(np.int64)
                rows = units // step  # by one number: many times faster than divmod
                rest = units - rows * step
                rest += rest - step
                rows += (rest > 0) | ((rest == 0) & (rows & 1 == 1))
                return rows
        rows = np.array([self.index(price) for price in prices.ravel().tolist()], dtype=np.int64)
        return rows.reshape(prices.shape)

    def price(self, index: int) -> float:
        """Gives the price of a row.

        Args:
            index: index of the row.

        Returns:
            The float nearest to the exact decimal product of index and increment.
        """
        return index * self._numerator / self._denominator  # of integers: rounded once

    def prices(self, first: int, count: int) -> Floats:
        """Gives the prices of adjacent rows; the array form of :meth:`price`.

        Args:
            first: index of the first row.
            count: number of rows.

        Returns:
            Shape (count,), quote currency.
        """
        most = max(abs(first), abs(first + count)) * self._numerator
        if most < _WHOLE and self._denominator < _WHOLE:  # both are exact floats: rounded once
            indices = np.arange(first, first + count, dtype=np.float64)
            return indices * float(self._numerator) / float(self._denominator)
        return np.array([self.price(index) for index in range(first, first + count)], dtype=np.float64)
