"""The rows of a volume profile: a dense grid of prices, and what each candle adds to it."""

from __future__ import annotations

from array import array
from bisect import bisect_left

import numpy as np

from tui_feeder.engine.decimals import Floats, Grid, Ints
from tui_feeder.engine.value_area import value_area_of_many, value_area_of_runs

#: More rows than this are refused: 32 MB a symbol. 100,000 USDT in steps of 0.01 may move by 40 % in a day.
MAX_ROWS = 4_000_000

_WEIGHTED = np.array([0.5, 0.25, 0.25])  # close, high, low
_HALVES = np.array([0.5, 0.5])  # high, low
#: Rows of a block, whose sum and largest weight are kept; blocks begin at rows divisible by it.
BLOCK = 256
_SPREAD_AT_ONCE = 200_000  # (candle, row) pairs; more are added candle by candle to save memory


class ProfileRows:
    """The dense rows of a day, and the bookkeeping of their extent."""

    __slots__ = (
        "_base",
        "_distribution",
        "_edges",
        "_peaks",
        "_stale",
        "_sums",
        "_volume_sums",
        "first",
        "grid",
        "last",
        "refused",
        "tpo",
        "volumes",
        "weights",
    )

    def __init__(self, grid: Grid, distribution: str, tpo: bool) -> None:
        self.grid = grid
        self.tpo = tpo
        self._distribution = distribution
        self.refused = False
        self._base = 0  # row of weights[0]
        self.first, self.last = 1, 0  # rows touched
        self.weights: Floats = np.zeros(0)
        self.volumes = self.weights  # the same array but in TPO, where weights count candles
        # By blocks, once asked for: largest weight, sum of weights, sum of volumes.
        self._peaks: Floats | None = None
        self._sums = self._volume_sums = self.weights
        self._stale: list[int] = []  # rows that have grown since
        self._edges = array("q")  # UniformOHLC: rows at which a candle's share begins, or has ended

    def load(self, high: Floats, low: Floats, close: Floats, volume: Floats) -> None:
        """Place many candles, in order, on empty rows."""
        index = self.grid.indices
        if self._distribution == "ClosingPrice":
            touched = index(close)[:, None]
            parts = volume[:, None]
        elif self._distribution == "WeightedOHLC":
            touched = index(np.column_stack((close, high, low)))
            parts = volume[:, None] * _WEIGHTED
        else:
            touched = index(np.column_stack((high, low)))
            parts = volume[:, None] * _HALVES
        self._reserve(int(touched.min()), int(touched.max()))
        if self.refused:
            return
        self._peaks = None
        if self._distribution == "UniformOHLC":
            edges = np.unique(np.concatenate((touched[:, 1], touched[:, 0] + 1)))
            self._edges = array("q", edges.astype(np.int64).tobytes())
        touched -= self._base
        if self._distribution == "UniformOHLC":
            self._spread(touched[:, 1], touched[:, 0], volume)
            return
        size = len(self.volumes)
        # bincount adds in the order of its input: candle by candle, as add() does.
        self.volumes = np.bincount(touched.ravel(), parts.ravel(), size).astype(np.float64, copy=False)
        if self.tpo:
            once = np.ones(touched.shape, dtype=bool)
            for i in range(1, touched.shape[1]):
                for j in range(i):
                    once[:, i] &= touched[:, i] != touched[:, j]
            self.weights = np.bincount(touched[once], minlength=size).astype(np.float64)
        else:
            self.weights = self.volumes

    def _spread(self, lows: Ints, highs: Ints, volume: Floats) -> None:
        counts = highs - lows + 1
        share = volume / counts
        total = int(counts.sum())
        if total <= _SPREAD_AT_ONCE:
            starts = np.cumsum(counts) - counts
            rows = np.arange(total) + np.repeat(lows - starts, counts)
            self.volumes[:] = np.bincount(rows, np.repeat(share, counts), len(self.volumes))
            if self.tpo:
                self.weights[:] = np.bincount(rows, minlength=len(self.weights))
            return
        for low, high, part in zip(lows.tolist(), highs.tolist(), share.tolist(), strict=True):
            self.volumes[low : high + 1] += part
            if self.tpo:
                self.weights[low : high + 1] += 1.0

    def add(self, high: float, low: float, close: float, volume: float) -> None:
        """Place one candle."""
        index = self.grid.index
        at_high = at_low = at_close = index(close)
        if self._distribution != "ClosingPrice":
            at_high, at_low = index(high), index(low)
        if at_low < self.first or at_high > self.last:
            self._reserve(at_low, at_high)
        if self.refused:
            return
        base, volumes = self._base, self.volumes
        at_high, at_low, at_close = at_high - base, at_low - base, at_close - base
        if self._peaks is not None:
            self._stale += (at_low, at_high, at_close)
        if self._distribution == "UniformOHLC":
            for edge in (at_low + base, at_high + base + 1):
                place = bisect_left(self._edges, edge)
                if place == len(self._edges) or self._edges[place] != edge:
                    self._edges.insert(place, edge)
            volumes[at_low : at_high + 1] += volume / (at_high - at_low + 1)
            if self.tpo:
                self.weights[at_low : at_high + 1] += 1.0
            return
        if self._distribution == "WeightedOHLC":
            volumes[at_close] += 0.5 * volume
            volumes[at_high] += 0.25 * volume
            volumes[at_low] += 0.25 * volume
        elif self._distribution == "HighLowWeighted":
            at_close = at_high
            volumes[at_high] += 0.5 * volume
            volumes[at_low] += 0.5 * volume
        else:
            volumes[at_close] += volume
        if self.tpo:
            for row in {at_high, at_low, at_close}:
                self.weights[row] += 1.0

    def _reserve(self, low: int, high: int) -> None:
        """Make room for the rows ``low..high``; keep what is there."""
        if self.first <= self.last:
            low, high = min(low, self.first), max(high, self.last)
        if high - low >= MAX_ROWS:
            self.refused = True
            self.weights = self.volumes = np.zeros(0)
        self.first, self.last = low, high
        if self.refused or (low >= self._base and high < self._base + len(self.volumes)):
            return
        # Rows that no candle has touched cost addresses, not memory: be generous, moving is dear.
        spare = 32 + (high - low)
        before = self._base
        self._base = (low - spare) // BLOCK * BLOCK
        same = self.weights is self.volumes
        size = -(-(high + 1 + spare - self._base) // BLOCK) * BLOCK
        self.volumes = _moved(self.volumes, before - self._base, size)
        if same and not self.tpo:
            self.weights = self.volumes
        else:
            self.weights = _moved(self.weights, before - self._base, len(self.volumes))
        if self._peaks is not None:
            by, blocks = (before - self._base) // BLOCK, size // BLOCK
            self._peaks, sums = _moved(self._peaks, by, blocks), _moved(self._sums, by, blocks)
            self._volume_sums = _moved(self._volume_sums, by, blocks) if self.tpo else sums
            self._sums = sums
            self._stale = [row + before - self._base for row in self._stale]

    def touched(self) -> tuple[Floats, Floats]:
        """Weights and volumes of the rows ``first..last``, as views."""
        part = slice(self.first - self._base, self.last - self._base + 1)
        return self.weights[part], self.volumes[part]

    def area(
        self, volume: float, percent: float, step: int, noise_share: float
    ) -> tuple[int, int, int, float, float, float]:
        """Point of control and value area where rows are very many.

        Args:
            volume: of all rows.
            percent: share of the weight that is enough.
            step: 1 or 2 rows are compared and added at once.
            noise_share: weights that differ by less than this part of the whole are equal.

        Returns:
            POC, highest and lowest row inside, counted from ``first``; all weight; weight and volume inside.
        """
        if self._distribution == "UniformOHLC":
            return self._area_of_runs(volume, percent, step, noise_share)
        peaks = self._blocks()
        total = float(self._sums.sum()) if self.tpo else volume  # counts are exact in any order
        noise = total * noise_share
        least = np.maximum.reduce(peaks) - noise
        block = int((peaks >= least).nonzero()[0][-1])
        inner = self.weights[block * BLOCK : block * BLOCK + BLOCK]
        poc = block * BLOCK + int((inner >= least).nonzero()[0][-1])
        enough = total * percent / 100 - noise
        low, high = value_area_of_many(self.weights, self._sums, BLOCK, poc, enough, step, noise)
        shift = self.first - self._base
        low, high = max(low, shift), min(high, self.last - self._base)
        inside = _sum_between(self.weights, self._sums, low, high)
        traded = _sum_between(self.volumes, self._volume_sums, low, high) if self.tpo else inside
        return poc - shift, high - shift, low - shift, total, inside, traded

    def _area_of_runs(
        self, volume: float, percent: float, step: int, noise_share: float
    ) -> tuple[int, int, int, float, float, float]:
        """The same where every row may have weight, but neighbours mostly have the same."""
        edges = np.array(self._edges) - self.first
        starts, lengths = edges[:-1], np.diff(edges)
        shift = self.first - self._base
        weights = self.weights[starts + shift]
        total = float((weights * lengths).sum()) if self.tpo else volume
        noise = total * noise_share
        heaviest = int((weights >= weights.max() - noise).nonzero()[0][-1])
        poc = int(edges[heaviest + 1]) - 1
        enough = total * percent / 100 - noise
        low, high = value_area_of_runs(edges, weights, poc, enough, step, noise)
        low, high = max(low, 0), min(high, self.last - self.first)
        rows = np.diff(np.clip(edges, low, high + 1))
        inside = float((weights * rows).sum())
        traded = float((self.volumes[starts + shift] * rows).sum()) if self.tpo else inside
        return poc, high, low, total, inside, traded

    def _blocks(self) -> Floats:
        """Sums and largest weights of the blocks brought up to date; the latter."""
        peaks = self._peaks
        if peaks is None:
            table = self.weights.reshape(-1, BLOCK)
            peaks = self._peaks = table.max(axis=1)
            self._sums = self._volume_sums = table.sum(axis=1)
            if self.tpo:
                self._volume_sums = self.volumes.reshape(-1, BLOCK).sum(axis=1)
        else:
            weights = self.weights
            for row in self._stale:
                if weights[row] > peaks[row // BLOCK]:
                    peaks[row // BLOCK] = weights[row]
            for start in {row // BLOCK * BLOCK for row in self._stale}:
                self._sums[start // BLOCK] = np.add.reduce(weights[start : start + BLOCK])
                if self.tpo:
                    self._volume_sums[start // BLOCK] = np.add.reduce(self.volumes[start : start + BLOCK])
        self._stale.clear()
        return peaks


def _sum_between(values: Floats, sums: Floats, low: int, high: int) -> float:
    """Sum of ``values[low : high + 1]``; always in the same order for the same rows."""
    head, tail = -(-low // BLOCK), (high + 1) // BLOCK
    if head >= tail:
        return float(np.add.reduce(values[low : high + 1]))
    ends = np.add.reduce(values[low : head * BLOCK]) + np.add.reduce(values[tail * BLOCK : high + 1])
    return float(ends + np.add.reduce(sums[head:tail]))


def _moved(values: Floats, by: int, size: int) -> Floats:
    wider = np.zeros(size)
    if len(values):
        wider[by : by + len(values)] = values
    return wider
