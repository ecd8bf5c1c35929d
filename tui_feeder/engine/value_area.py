"""The value area of a profile: rows around the point of control that hold most of the weight.

Rows are added to the heavier side, one ("Greedy", step 1) or two at once ("Traditional", step 2); on a tie
the lower side; at an edge the side that is left, where a single last row counts as a pair.
"""

from __future__ import annotations

import numpy as np

from tui_feeder.engine.decimals import Floats, Ints

_NEVER = float("-inf")


def value_area(
    weights: Floats, poc: int, enough: float, step: int, noise: float = 0.0
) -> tuple[int, int, float]:
    """Grow from row ``poc`` until at least ``enough`` weight is inside or no row is left.

    Args:
        weights: of all rows, ascending in price.
        poc: index of the row to start with.
        enough: weight to reach.
        step: 1 or 2 rows are compared and added at once.
        noise: sums closer than this are equal.

    Returns:
        Lowest and highest row inside, and the weight inside.
    """
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


def value_area_of_many(
    rows: Ints, weights: Floats, size: int, poc: int, enough: float, step: int, noise: float = 0.0
) -> tuple[int, int, float]:
    """The same for very many rows, of which only those with weight need be given.

    Comparing the heads of two lists takes them in the order of their running minima. So the first pair
    without weight on each side divides it: what lies before it is merged by running minimum; what lies
    beyond comes after that, all of it below first, for there every head is met by one without weight.

    Args:
        rows: indices of rows, ascending; all that have weight are among them.
        weights: of ``rows``.
        size: number of all rows.
        poc: place in ``rows`` of the row to start with.
        enough: weight to reach.
        step: 1 or 2 rows are compared and added at once.
        noise: sums closer than this are equal.

    Returns:
        Lowest and highest row inside, and the weight inside.
    """
    center = int(rows[poc])
    steps_up, up = _steps(rows[poc + 1 :] - (center + 1), weights[poc + 1 :], step)
    steps_down, down = _steps((center - 1) - rows[:poc][::-1], weights[:poc][::-1], step)
    near_up, near_down = _unbroken(steps_up, up), _unbroken(steps_down, down)
    from_above = np.zeros(near_up + near_down, dtype=bool)
    light_up, light_down = np.minimum.accumulate(up[:near_up]), np.minimum.accumulate(down[:near_down])
    from_above[np.arange(near_up) + np.searchsorted(-light_down, noise - light_up, side="right")] = True
    near = np.empty(len(from_above))
    near[from_above], near[~from_above] = up[:near_up], down[:near_down]
    inside = np.cumsum(np.concatenate((weights[poc : poc + 1], near, down[near_down:], up[near_up:])))
    taken = min(int(np.searchsorted(inside, enough)), len(inside) - 1)
    high, low = near_up, near_down
    if taken <= len(near):
        high = int(np.count_nonzero(from_above[:taken]))
        low = taken - high
    elif taken <= len(near) + len(down) - near_down:
        low = int(steps_down[taken - near_up - 1]) + 1
    else:
        low = size
        high = int(steps_up[taken - len(down) - 1]) + 1
    return max(center - step * low, 0), min(center + step * high, size - 1), float(inside[taken])


def _steps(distances: Ints, weights: Floats, step: int) -> tuple[Ints, Floats]:
    """Number and weight of each step away from the center, those without any given row left out."""
    numbers = distances // step
    if not len(numbers):
        return numbers, weights
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    return numbers[starts], np.add.reduceat(weights, starts)


def _unbroken(numbers: Ints, weights: Floats) -> int:
    """How many steps follow each other from the first on without one that has no weight."""
    broken = np.flatnonzero((numbers != np.arange(len(numbers))) | (weights <= 0))
    return int(broken[0]) if len(broken) else len(numbers)
