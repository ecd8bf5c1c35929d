"""Numbers rounded to the decimal digits that a float can hold. Knows nothing above it.

Scalar and array forms perform the same operations in the same order and give the same bits.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Magnitude k is 10**(k - 30) <= x < 10**(k - 29); outside the table a number is left as it is.
_LOWEST, _HIGHEST = -30, 30
_POWERS = [float(f"1e{k}") for k in range(_LOWEST, _HIGHEST + 1)]
_UP = [float(f"1e{max(0, 14 - k)}") for k in range(_LOWEST, _HIGHEST + 1)]
_DOWN = [float(f"1e{max(0, k - 14)}") for k in range(_LOWEST, _HIGHEST + 1)]
_POWERS_ARRAY, _UP_ARRAY, _DOWN_ARRAY = np.array(_POWERS), np.array(_UP), np.array(_DOWN)


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


def digits_beside(value: float, scale: float) -> float:
    """Rounds a difference to the digits that the numbers it was made of have.

    A difference of two numbers of 15 digits is exact to the last digit of the larger one, no further.

    Args:
        value: the difference, of either sign, not larger than ``scale``.
        scale: the larger of the two numbers, >= 0.

    Returns:
        ``value`` rounded at the place of the fifteenth digit of ``scale``; never -0.0.
    """
    k = bisect_right(_POWERS, scale) - 1
    if k < 0 or k == len(_POWERS) - 1:
        return value + 0.0
    return round(value * _UP[k] / _DOWN[k]) * _DOWN[k] / _UP[k]


def digits_beside_of(values: Floats, scales: Floats) -> Floats:
    """Rounds differences; the array form of :func:`digits_beside`.

    Args:
        values: the differences, any shape.
        scales: the larger number of each, same shape.

    Returns:
        The rounded differences, same shape.
    """
    k = np.searchsorted(_POWERS_ARRAY, scales, side="right") - 1
    inside = (k >= 0) & (k < len(_POWERS) - 1)
    up, down = _UP_ARRAY[k], _DOWN_ARRAY[k]
    return np.where(inside, np.rint(values * up / down) * down / up, values) + 0.0
