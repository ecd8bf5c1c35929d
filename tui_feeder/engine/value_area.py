"""The value area of a profile: rows around the point of control that hold most of the weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# From this many rows on, whole-array operations are quicker than a loop over the rows inside.
_MANY = 1_500
_NEVER = float("-inf")


def value_area(
    weights: NDArray[np.float64], poc: int, enough: float, step: int, noise: float = 0.0
) -> tuple[int, int, float]:
    """Grow from row ``poc`` until at least ``enough`` weight is inside or no row is left.

    Args:
        weights: of all rows, ascending in price.
        poc: index of the row to start with.
        enough: weight to reach.
        step: rows compared and added at once: 2 is "Traditional", 1 is "Greedy". The heavier side is
            added, on a tie the lower; at an edge the side that is left. A last single row counts as a pair.
        noise: sums closer than this are equal.

    Returns:
        Lowest and highest row inside, and the weight inside.
    """
    grow = _grow_at_once if len(weights) >= _MANY else _grow
    return grow(weights, poc, enough, step, noise)


def _grow(
    weights: NDArray[np.float64], poc: int, enough: float, step: int, noise: float
) -> tuple[int, int, float]:
    # Padding spares the loop every test for an edge: beyond it, a pair weighs -inf.
    single = step == 1
    w = [_NEVER, _NEVER, 0.0, *weights.tolist(), 0.0, _NEVER, _NEVER]
    if single:
        w[2] = w[-3] = _NEVER
    low = high = poc + 3
    inside: float = w[low]
    while inside < enough:
        if single:
            above, below = w[high + 1], w[low - 1]
        else:
            above, below = w[high + 1] + w[high + 2], w[low - 1] + w[low - 2]
        if above > below + noise:
            inside += above
            high += step
        elif below == _NEVER:
            break
        else:
            inside += below
            low -= step
    return max(low - 3, 0), min(high - 3, len(weights) - 1), inside


def _grow_at_once(
    weights: NDArray[np.float64], poc: int, enough: float, step: int, noise: float
) -> tuple[int, int, float]:
    # Comparing heads orders two lists as their running minima are ordered: a row is added before another
    # of the other side exactly if the lightest on the way to it is heavier.
    above, below = _steps(weights[poc + 1 :], step), _steps(weights[:poc][::-1], step)
    up, down = np.minimum.accumulate(above), np.minimum.accumulate(below)
    from_above = np.zeros(len(up) + len(down), dtype=bool)
    from_above[np.arange(len(up)) + np.searchsorted(-down, noise - up, side="right")] = True
    added = np.empty(1 + len(from_above))
    added[0] = weights[poc]
    added[1:][from_above] = above
    added[1:][~from_above] = below
    inside = np.cumsum(added)
    steps = int(np.searchsorted(inside, enough, side="left"))  # inside only rises
    steps = min(steps, len(from_above))
    steps_up = int(np.count_nonzero(from_above[:steps]))
    high = min(poc + step * steps_up, len(weights) - 1)
    low = max(poc - step * (steps - steps_up), 0)
    return low, high, float(inside[steps])


def _steps(side: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    if step == 1:
        return side
    pairs = np.zeros((len(side) + 1) // 2)
    pairs += side[::2]
    pairs[: len(side) // 2] += side[1::2]
    return pairs
