"""Sums and grids that keep the exchange's decimal digits, although numbers are binary floats.

The exchange states decimals; a plain float sum of them drifts (0.1 + 0.2). Sums here are compensated
and rounded to the 15 significant digits a float can hold, so a bar's volume has exactly the digits of
the exchange's own bar. Scalar and array forms perform the same operations in the same order and give
the same bits.
"""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Magnitude k is 10**(k - 30) <= x < 10**(k - 29); outside the table a number is left as it is.
_LOWEST, _HIGHEST = -30, 30
_POWERS = [float(f"1e{k}") for k in range(_LOWEST, _HIGHEST + 1)]
_UP = [float(f"1e{max(0, 14 - k)}") for k in range(_LOWEST, _HIGHEST + 1)]
_DOWN = [float(f"1e{max(0, k - 14)}") for k in range(_LOWEST, _HIGHEST + 1)]
_POWERS_ARRAY, _UP_ARRAY, _DOWN_ARRAY = np.array(_POWERS), np.array(_UP), np.array(_DOWN)


def places(price: float) -> int:
    """Counts the decimals of a price: 7 of 0.0000152.

    Args:
        price: a price.

    Returns:
        Digits after the point in its shortest decimal form.
    """
    exponent = Decimal(repr(price)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def fifteen_digits(value: float) -> float:
    """Rounds to 15 significant decimal digits.

    Args:
        value: a number >= 0.

    Returns:
        The rounded number.
    """
    k = bisect_right(_POWERS, value) - 1
    if k < 0 or k == len(_POWERS) - 1:
        return value
    return round(value * _UP[k] / _DOWN[k]) * _DOWN[k] / _UP[k]


def fifteen_digits_of(values: Floats) -> Floats:
    """Rounds to 15 significant decimal digits; the array form of :func:`fifteen_digits`.

    Args:
        values: numbers >= 0, any shape.

    Returns:
        The rounded numbers, same shape.
    """
    k = np.searchsorted(_POWERS_ARRAY, values, side="right") - 1
    inside = (k >= 0) & (k < len(_POWERS) - 1)
    up, down = _UP_ARRAY[k], _DOWN_ARRAY[k]
    return np.where(inside, np.rint(values * up / down) * down / up, values)


class Sum:
    """A running compensated sum of floats, one at a time."""

    __slots__ = ("_carry", "_sum")

    def __init__(self) -> None:
        self._sum = 0.0
        self._carry = 0.0

    def add(self, value: float) -> None:
        """Adds a value with compensation (Neumaier's variant of Kahan summation).

        Args:
            value: the addend.
        """
        before = self._sum
        after = before + value
        part = after - before
        self._carry += (before - (after - part)) + (value - part)
        self._sum = after

    def load(self, values: Floats) -> None:
        """Starts again with many values, bit-equal to adding them in order.

        Args:
            values: shape (n,), the addends.
        """
        self.clear()
        if len(values):
            sums, carries = _running(values[None, :])
            self._sum, self._carry = float(sums[0]), float(carries[0])

    def clear(self) -> None:
        """Back to zero."""
        self._sum = self._carry = 0.0

    @property
    def raw(self) -> float:
        """The sum with all its bits."""
        return self._sum + self._carry

    @property
    def value(self) -> float:
        """The sum to 15 significant digits."""
        return fifteen_digits(self._sum + self._carry)


_FEW = 64


def _running(matrix: Floats) -> tuple[Floats, Floats]:
    if matrix.shape[1] <= _FEW:
        # Addend by addend over all lines at once: the very operations of Sum.add.
        columns = np.ascontiguousarray(matrix.T)
        total, carry = columns[0].copy(), np.zeros(matrix.shape[0])
        for values in columns[1:]:
            after = total + values
            part = after - total
            carry += (total - (after - part)) + (values - part)
            total = after
        return total, carry
    # cumsum adds strictly in order, so these are the very sums that Sum.add makes.
    sums = np.cumsum(matrix, axis=1)
    before = np.empty_like(sums)
    before[:, 0] = 0.0
    before[:, 1:] = sums[:, :-1]
    part = sums - before
    carries = np.cumsum((before - (sums - part)) + (matrix - part), axis=1)
    return sums[:, -1], carries[:, -1]


def sums_of(matrix: Floats) -> Floats:
    """Sums each line of a matrix, bit-equal to :attr:`Sum.value`; zeros count as nothing.

    Args:
        matrix: shape (lines, addends).

    Returns:
        Shape (lines,).
    """
    if not matrix.size:
        return np.zeros(matrix.shape[0])
    sums, carries = _running(matrix)
    return fifteen_digits_of(sums + carries)


# A decimal of at most 15 digits survives the way through a float, so it is recovered exactly.
_EXACT = 1e15
_WHOLE = float(1 << 53)  # whole numbers below it are exact floats


class Grid:
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
