"""The rows of a volume profile whose candles count equally at every price from their low to their high."""

from __future__ import annotations

from array import array
from bisect import bisect_left

import numpy as np

from tui_feeder.digits import fifteen_digits, fifteen_digits_of
from tui_feeder.engine.analytics.profile.rows import MAX_ROWS, Area, point_of_control
from tui_feeder.engine.analytics.profile.value_area import value_area, value_area_of_runs
from tui_feeder.engine.core.decimals import Floats, Ints, Sum
from tui_feeder.price_grid import PriceGrid

#: Weights that differ by less than this part of the whole are equal; the rest is rounding.
NOISE = 1e-12

_ROWS_AT_ONCE = 200_000  # (candle, row) pairs; more are added candle by candle to save memory
_MANY_ROWS = 1_000  # from here on runs of equal rows find the value area sooner than a loop over all rows


class UniformRows:
    """The dense rows of a day, 32 MB at most, or 64 MB in TPO.

    A candle's share of a row has no end of decimals, so weights are floats.

    Args:
        grid: of prices.
        tpo: rows weigh the number of candles that touched them, not their volume.
        step: 1 or 2 rows are compared and added to the value area at once.
        percent: of the weight that the value area holds at least.
    """

    __slots__ = (
        "_base", "_edges", "_percent", "_step", "_total", "_volumes", "_weights", "first", "grid", "last",
        "refused", "tpo",
    )  # fmt: skip

    def __init__(self, grid: PriceGrid, tpo: bool, step: int, percent: float) -> None:
        self.grid = grid
        self.tpo = tpo
        self.refused = False
        self.first, self.last = 1, 0
        self._step = step
        self._percent = percent
        self._total = Sum()  # volume of all candles
        self._base = 0  # row of _weights[0]
        self._weights: Floats = np.zeros(0)
        self._volumes = self._weights  # the same array but in TPO, where weights count candles
        self._edges = array("q")  # rows at which a candle's share begins, or has ended

    def load(self, high: Floats, low: Floats, close: Floats, volume: Floats) -> None:
        """Places many candles, in order, on empty rows.

        Args:
            high: shape (n,), quote currency.
            low: shape (n,), quote currency.
            close: shape (n,), quote currency; not used.
            volume: shape (n,), base asset.
        """
        del close
        self._total.load(volume)
        lows, highs = self.grid.indices(low), self.grid.indices(high)
        self._reserve(int(lows.min()), int(highs.max()))
        if self.refused:
            return
        self._edges = array("q", np.unique(np.concatenate((lows, highs + 1))).astype(np.int64).tobytes())
        self._add_uniform(lows - self._base, highs - self._base, volume)

    def _add_uniform(self, lows: Ints, highs: Ints, volume: Floats) -> None:
        counts = highs - lows + 1
        share = volume / counts
        total = int(counts.sum())
        if total <= _ROWS_AT_ONCE:
            starts = np.cumsum(counts) - counts
            rows = np.arange(total) + np.repeat(lows - starts, counts)
            # bincount adds in the order of its input: candle by candle, as add() does.
            self._volumes[:] = np.bincount(rows, np.repeat(share, counts), len(self._volumes))
            if self.tpo:
                self._weights[:] = np.bincount(rows, minlength=len(self._weights))
            return
        for low, high, part in zip(lows.tolist(), highs.tolist(), share.tolist(), strict=True):
            self._volumes[low : high + 1] += part
            if self.tpo:
                self._weights[low : high + 1] += 1.0

    def add(self, high: float, low: float, close: float, volume: float) -> None:
        """Places a candle.

        Args:
            high: quote currency.
            low: quote currency.
            close: quote currency; not used.
            volume: base asset.
        """
        del close
        self._total.add(volume)
        at_low, at_high = self.grid.index(low), self.grid.index(high)
        if at_low < self.first or at_high > self.last:
            self._reserve(at_low, at_high)
        if self.refused:
            return
        for edge in (at_low, at_high + 1):
            place = bisect_left(self._edges, edge)
            if place == len(self._edges) or self._edges[place] != edge:
                self._edges.insert(place, edge)
        part = slice(at_low - self._base, at_high - self._base + 1)
        self._volumes[part] += volume / (at_high - at_low + 1)
        if self.tpo:
            self._weights[part] += 1.0

    def _reserve(self, low: int, high: int) -> None:
        """Make room for the rows ``low..high``; keep what is there."""
        if self.first <= self.last:
            low, high = min(low, self.first), max(high, self.last)
        if high - low >= MAX_ROWS:
            self.refused = True
            self._weights = self._volumes = np.zeros(0)
        self.first, self.last = low, high
        if self.refused or (low >= self._base and high < self._base + len(self._volumes)):
            return
        # Rows that no candle has touched cost addresses, not memory: be generous, moving is dear.
        spare = 32 + (high - low)
        before, self._base = self._base, low - spare
        size = high + 1 + spare - self._base
        self._volumes = _moved(self._volumes, before - self._base, size)
        self._weights = _moved(self._weights, before - self._base, size) if self.tpo else self._volumes

    def area(self) -> Area | None:
        """Point of control and value area; None while no row has weight."""
        if self.refused or self.first > self.last or (self._total.raw <= 0 and not self.tpo):
            return None
        if self.last - self.first >= _MANY_ROWS:
            return self._area_of_runs()
        part = slice(self.first - self._base, self.last - self._base + 1)
        weights, volumes = self._weights[part], self._volumes[part]
        total = float(weights.sum()) if self.tpo else self._total.raw  # counts are exact in any order
        noise = total * NOISE
        poc = point_of_control(weights, noise)
        enough = total * (self._percent / 100) - noise
        low, high, inside = value_area(weights, poc, enough, self._step, noise)
        traded = float(np.cumsum(volumes[low : high + 1])[-1]) if self.tpo else inside
        return self._made(poc, high, low, inside / total, traded)

    def _area_of_runs(self) -> Area:
        """The same where rows are very many, but neighbours mostly weigh the same."""
        edges = np.array(self._edges) - self.first
        starts, lengths = edges[:-1], np.diff(edges)
        shift = self.first - self._base
        weights = self._weights[starts + shift]
        total = float((weights * lengths).sum()) if self.tpo else self._total.raw
        noise = total * NOISE
        heaviest = int((weights >= weights.max() - noise).nonzero()[0][-1])
        poc = int(edges[heaviest + 1]) - 1
        enough = total * self._percent / 100 - noise
        low, high = value_area_of_runs(edges, weights, poc, enough, self._step, noise)
        low, high = max(low, 0), min(high, self.last - self.first)
        rows = np.diff(np.clip(edges, low, high + 1))
        inside = float((weights * rows).sum())
        traded = float((self._volumes[starts + shift] * rows).sum()) if self.tpo else inside
        return self._made(poc, high, low, inside / total, traded)

    def _made(self, poc: int, high: int, low: int, share: float, traded: float) -> Area:
        first, percent, traded = self.first, min(100.0, fifteen_digits(100 * share)), fifteen_digits(traded)
        return (first + poc, first + high, first + low, percent, traded, self._total.value)

    def dense(self) -> Floats:
        """The weights of the rows ``first..last``: volume (base asset), or the number of candles in TPO."""
        return fifteen_digits_of(self._weights[self.first - self._base : self.last - self._base + 1])


def _moved(values: Floats, by: int, size: int) -> Floats:
    wider = np.zeros(size)
    if len(values):
        wider[by : by + len(values)] = values
    return wider
