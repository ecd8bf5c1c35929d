"""Sums and grids that keep the exchange's decimal digits, although numbers are binary floats.

The exchange states decimals; a plain float sum of them drifts (0.1 + 0.2). Sums here are compensated
and rounded to the 15 significant digits a float can hold, so a bar's volume has exactly the digits of
the exchange's own bar. Scalar and array forms perform the same operations in the same order and give
the same bits.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from tui_feeder.digits import fifteen_digits, fifteen_digits_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def places(price: float) -> int:
    """Counts the decimals of a price: 7 of 0.0000152.

    Args:
        price: a price.

    Returns:
        Digits after the point in its shortest decimal form.
    """
    exponent = Decimal(repr(price)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


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
    sums, carries = _all_running(matrix)
    return sums[:, -1], carries[:, -1]


def _all_running(matrix: Floats) -> tuple[Floats, Floats]:
    """The sum and its carry after each addend of each line."""
    # cumsum adds strictly in order, so these are the very sums that Sum.add makes.
    sums = np.cumsum(matrix, axis=1)
    before = np.empty_like(sums)
    before[:, 0] = 0.0
    before[:, 1:] = sums[:, :-1]
    part = sums - before
    return sums, np.cumsum((before - (sums - part)) + (matrix - part), axis=1)


def running_sums_of(values: Floats) -> Floats:
    """Sums everything up to each value, bit-equal to :attr:`Sum.value` after each.

    Args:
        values: shape (n,), addends >= 0.

    Returns:
        Shape (n,).
    """
    if not len(values):
        return np.zeros(0)
    sums, carries = _all_running(values[None, :])
    return fifteen_digits_of(sums[0] + carries[0])


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
