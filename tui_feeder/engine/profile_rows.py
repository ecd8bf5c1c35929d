"""The rows of a volume profile: a dense grid of prices, and what each candle adds to it."""

from __future__ import annotations

import numpy as np

from tui_feeder.engine.decimals import Floats, Grid, Ints

#: More rows than this are refused: 32 MB a symbol. 100,000 USDT in steps of 0.01 may move by 40 % in a day.
MAX_ROWS = 4_000_000

_WEIGHTED = np.array([0.5, 0.25, 0.25])  # close, high, low
_HALVES = np.array([0.5, 0.5])  # high, low
_SPREAD_AT_ONCE = 200_000  # (candle, row) pairs; more are added candle by candle to save memory


class ProfileRows:
    """The dense rows of a day, and the bookkeeping of their extent."""

    __slots__ = (
        "_base",
        "_distribution",
        "_fresh",
        "_occupied",
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
        self._occupied: Ints | None = None  # rows with weight, ascending, once asked for
        self._fresh: list[int] = []  # rows touched since

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
        touched -= self._base
        if self._distribution == "UniformOHLC":
            self._spread(touched[:, 1], touched[:, 0], volume)
            return
        size = len(self.volumes)
        # bincount adds in the order of its input: candle by candle, as add() does.
        self.volumes[:] = np.bincount(touched.ravel(), parts.ravel(), size)
        if self.tpo:
            once = np.ones(touched.shape, dtype=bool)
            for i in range(1, touched.shape[1]):
                for j in range(i):
                    once[:, i] &= touched[:, i] != touched[:, j]
            self.weights[:] = np.bincount(touched[once], minlength=size)

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
        if self._occupied is not None:
            self._fresh += (at_low, at_high, at_close)
        at_high, at_low, at_close = at_high - base, at_low - base, at_close - base
        if self._distribution == "UniformOHLC":
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
        spare = 32 + (high - low) // 4
        before = self._base
        self._base = low - spare
        same = self.weights is self.volumes
        self.volumes = _moved(self.volumes, before - self._base, high - low + 1 + 2 * spare)
        if same and not self.tpo:
            self.weights = self.volumes
        else:
            self.weights = _moved(self.weights, before - self._base, len(self.volumes))

    def touched(self) -> tuple[Floats, Floats]:
        """Weights and volumes of the rows ``first..last``, as views."""
        part = slice(self.first - self._base, self.last - self._base + 1)
        return self.weights[part], self.volumes[part]

    def occupied(self) -> Ints:
        """The rows that may have weight, ascending, counted from ``first``; a dense day has all of them."""
        if self._distribution == "UniformOHLC":
            return np.arange(self.last - self.first + 1)
        if self._occupied is None:
            self._occupied = np.flatnonzero(self.touched()[0]) + self.first
        elif self._fresh:
            rows = self._occupied
            fresh = np.array(sorted(set(self._fresh)))
            places = np.searchsorted(rows, fresh)
            known = rows[np.minimum(places, len(rows) - 1)] == fresh
            self._occupied = np.insert(rows, places[~known], fresh[~known])
        self._fresh = []
        return self._occupied - self.first


def _moved(values: Floats, by: int, size: int) -> Floats:
    wider = np.zeros(size)
    if len(values):
        wider[by : by + len(values)] = values
    return wider
