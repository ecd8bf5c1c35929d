"""The value area of a profile: rows around the point of control that hold most of the weight.

Rows are added to the heavier side, one ("Greedy", step 1) or two at once ("Traditional", step 2); on a tie
the lower side; at an edge the side that is left, where a single last row counts as a pair.
"""

from __future__ import annotations

import numpy as np

from tui_feeder.engine.core.decimals import Floats, Ints

#: Rows of a block, whose sum is kept where rows are very many.
BLOCK = 256

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
    # Padding spares the loop every test for an edge: one row beyond it weighs nothing, all others -inf.
    single = step == 1
    w = [_NEVER, _NEVER, 0.0, *weights.tolist(), 0.0, _NEVER, _NEVER]
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
    weights: Floats, sums: Floats, block: int, poc: int, enough: float, step: int, noise: float = 0.0
) -> tuple[int, int]:
    """The same for very many rows, of which the sums of blocks are known.

    Once the next rows above weigh nothing, they lose every comparison until no row is left below. So only
    what comes before is compared step by step; then follows all of what is below, then of what is above,
    and in both the end is found by sums of blocks.

    Args:
        weights: of all rows, ascending in price; a whole number of blocks, without weight at the edges.
        sums: of the weights of each block.
        block: rows of a block.
        poc: index of the row to start with.
        enough: weight to reach.
        step: 1 or 2 rows are compared and added at once.
        noise: sums closer than this are equal.

    Returns:
        Lowest and highest row inside; they may lie beyond the last row with weight, even beyond an edge.
    """
    low, high, inside = _compared(weights, poc, enough, step, noise)
    if inside < enough:
        taken, weight = _rows_before(weights, sums, block, low, enough - inside)
        low, inside = low - -(-taken // step) * step, inside + weight
        if inside < enough:
            after = len(weights) - 1 - high
            taken, _ = _rows_before(weights[::-1], sums[::-1], block, after, enough - inside)
            high += -(-taken // step) * step
    return low, high


def _compared(weights: Floats, poc: int, enough: float, step: int, noise: float) -> tuple[int, int, float]:
    """Grow from ``poc`` until enough is inside or the next rows above weigh nothing."""
    low = high = poc
    inside = float(weights[poc])
    reach, size = 8, len(weights)
    while inside < enough:
        # A window of rows as plain floats, wider each time; zeros stand beyond its edges.
        bottom, top = max(0, low - reach), min(size, high + 1 + reach)
        w = [0.0, 0.0, *weights[bottom:top].tolist(), 0.0, 0.0]
        at_low, at_high = low - bottom + 2, high - bottom + 2
        least = 2 + step if bottom else 0
        most = len(w) - 3 - step if top < size else len(w)
        while inside < enough and at_low >= least and at_high <= most:
            above, below = w[at_high + 1], w[at_low - 1]
            if step == 2:
                above += w[at_high + 2]
                below += w[at_low - 2]
            if above <= noise:
                return at_low - 2 + bottom, at_high - 2 + bottom, inside
            if above > below + noise:
                inside += above
                at_high += step
            else:
                inside += below
                at_low -= step
        low, high = at_low - 2 + bottom, at_high - 2 + bottom
        reach *= 4
    return low, high, inside


def _rows_before(weights: Floats, sums: Floats, block: int, end: int, need: float) -> tuple[int, float]:
    """How many rows before ``end``, the nearest first, weigh at least ``need``; all if they do not.

    Returns:
        The number of rows and what they weigh.
    """
    first = end // block
    have = 0.0
    if first * block < end:
        near = np.add.accumulate(weights[first * block : end][::-1])
        have = float(near[-1])
        if have >= need:
            at = int(near.searchsorted(need))
            return at + 1, float(near[at])
    whole = np.add.accumulate(sums[:first][::-1])
    if not first or whole[-1] < need - have:
        return end, have + (float(whole[-1]) if first else 0.0)
    at = int(whole.searchsorted(need - have))
    have += float(whole[at - 1]) if at else 0.0
    start = (first - 1 - at) * block
    inner = np.add.accumulate(weights[start : start + block][::-1])
    place = min(int(inner.searchsorted(need - have)), block - 1)
    return end - start - block + place + 1, max(need, have + float(inner[place]))


def value_area_of_runs(
    edges: Ints, weights: Floats, poc: int, enough: float, step: int, noise: float = 0.0
) -> tuple[int, int]:
    """The same for rows that come in runs of equal weight.

    Comparing the heads of two lists takes them in the order of their running minima, so the steps on both
    sides, a run of equal steps as one, are merged by running minimum; of equals the lower side comes first.

    Args:
        edges: first row of each run, ascending, and the row after the last run.
        weights: of one row of each run.
        poc: row to start with; the run that holds it may go on below, but not above it.
        enough: weight to reach.
        step: 1 or 2 rows are compared and added at once.
        noise: sums closer than this are equal.

    Returns:
        Lowest and highest row inside; with steps of two they may lie one row beyond an edge.
    """
    place = int(np.searchsorted(edges, poc, side="right")) - 1
    ups, up = _equal_steps(edges[place + 1 :] - (poc + 1), weights[place + 1 :], step)
    beneath = np.minimum(edges[: place + 2], poc)
    downs, down = _equal_steps((poc - beneath)[::-1], weights[: place + 1][::-1], step)
    light_up, light_down = np.minimum.accumulate(up), np.minimum.accumulate(down)
    from_above = np.zeros(len(up) + len(down), dtype=bool)
    from_above[np.arange(len(up)) + np.searchsorted(-light_down, noise - light_up, side="right")] = True
    each, many = np.empty(len(from_above)), np.empty(len(from_above), dtype=np.int64)
    each[from_above], each[~from_above] = up, down
    many[from_above], many[~from_above] = ups, downs
    inside = np.cumsum(np.concatenate((weights[place : place + 1], each * many)))
    if inside[0] >= enough or not len(many):
        return poc, poc
    last = min(int(np.searchsorted(inside, enough)), len(many)) - 1  # the run of steps that is enough
    taken = many[: last + 1].copy()
    if each[last] > 0:
        taken[last] = min(int(taken[last]), max(1, int(np.ceil((enough - inside[last]) / each[last]))))
    above = int(taken[from_above[: last + 1]].sum())
    return poc - step * (int(taken.sum()) - above), poc + step * above


def _equal_steps(edges: Ints, weights: Floats, step: int) -> tuple[Ints, Floats]:
    """Steps away from a center as runs of equal ones: how many, and the weight of each.

    ``edges`` are the distances at which the runs of rows begin, from 0 on, and the last one's end.
    """
    if step == 1 or len(weights) == 0:
        counts = np.diff(edges)
        kept = counts > 0
        return counts[kept], weights[kept]
    # Of pairs: those inside a run, and one across each odd edge; across the last it is a single row.
    odd = edges & 1
    counts = np.empty(2 * len(weights), dtype=np.int64)
    counts[0::2] = np.maximum(0, (edges[1:] >> 1) - ((edges[:-1] + 1) >> 1))
    counts[1::2] = odd[1:]
    pairs = np.empty(len(counts))
    pairs[0::2] = weights + weights
    pairs[1::2] = weights
    pairs[1:-1:2] += weights[1:]
    kept = counts > 0
    return counts[kept], pairs[kept]
