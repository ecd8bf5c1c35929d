"""High and low volume nodes: prices where much was traded, and where little was in between.

Weights are averaged over each row and ``reach`` rows to either side (as many as there are at the edges). A
high volume node is a row, or a run of equal ones, whose average exceeds its neighbours', and which stands
out: on the way to anything higher, to either side, the average falls by at least ``share`` of the highest
one; beyond the edges it is nothing. A low volume node is the lowest row between two high ones next to each
other; of equal ones that of the highest price.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tui_feeder.engine.core.decimals import Floats

#: Of the rows, what is averaged over at either side; and how far a node stands out, of the highest.
REACH, SHARE = 0.02, 0.1
#: Digits to which averages are rounded, of the highest one; and how sure the difference of two of them is.
_DIGITS, _UNSURE = 12, 1e-11


class Nodes(NamedTuple):
    """Rows of a profile, ascending in price."""

    high: tuple[int, ...]
    low: tuple[int, ...]


def nodes(weights: Floats, reach: int | None = None, share: float = SHARE) -> Nodes:
    """Finds high and low volume nodes.

    Args:
        weights: shape (n,), of the rows, ascending in price.
        reach: rows to either side that are averaged; None for one in fifty, at least one.
        share: how far a node stands out, of the highest average.

    Returns:
        Indices of rows.
    """
    size = len(weights)
    if not size or not weights.any():
        return Nodes((), ())
    reach = max(1, round(size * REACH)) if reach is None else reach
    smooth = _averages(weights, reach)
    # Runs of equal rows are one point.
    starts = np.flatnonzero(np.r_[True, smooth[1:] != smooth[:-1]])
    ends = np.r_[starts[1:], size] - 1
    level = smooth[starts]
    least = share * float(level.max()) - _UNSURE
    heights = level.tolist()
    falls = [min(pair) for pair in zip(_falls(heights), _falls(heights[::-1])[::-1], strict=True)]
    peaks = [k for k, fall in enumerate(falls) if fall >= least and _is_peak(level, k)]
    high = [int(starts[k] + ends[k]) // 2 for k in peaks]
    low = []
    for below, above in pairwise(peaks):
        between = level[below + 1 : above]
        deepest = below + len(between) - int(between[::-1].argmin())
        low.append(int(ends[deepest]))
    return Nodes(tuple(high), tuple(low))


def _averages(weights: Floats, reach: int) -> Floats:
    """Means over each row and its neighbours, exact where sums of the weights are."""
    size = len(weights)
    running = np.concatenate(([0.0], np.cumsum(weights)))
    left = np.maximum(np.arange(size) - reach, 0)
    right = np.minimum(np.arange(size) + reach + 1, size)
    means = (running[right] - running[left]) / (right - left)
    # What is left of rounding must not make peaks of rows that weigh the same.
    rounded: Floats = np.round(means / means.max(), _DIGITS)
    return rounded


def _is_peak(level: Floats, place: int) -> bool:
    lower_below = place == 0 or level[place - 1] < level[place]
    return bool(lower_below and (place == len(level) - 1 or level[place + 1] < level[place]))


def _falls(level: Sequence[float]) -> list[float]:
    """How far it falls from each point on the way back to the nearest higher one; to nothing at the edge."""
    falls = []
    waiting: list[tuple[float, float]] = []  # points nothing higher came after, and the lowest since the last
    for top in level:
        lowest = top
        while waiting and waiting[-1][0] <= top:
            lowest = min(lowest, waiting.pop()[1])
        falls.append(top - lowest if waiting else top)
        waiting.append((top, lowest))
    return falls
