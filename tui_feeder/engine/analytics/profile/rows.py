"""The rows of a volume profile whose candles count at single prices: their close, high and low.

A row's volume is a sum of halves and quarters of decimals. It is kept as a whole number of small units, so
sums are exact: order does not matter, and rows that weigh the same in decimal weigh the same here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from decimal import Decimal
from fractions import Fraction
from typing import Protocol, TypeAlias

import numpy as np

from tui_feeder.engine.analytics.profile.incremental import IncrementalValueArea
from tui_feeder.engine.analytics.profile.value_area import BLOCK, value_area, value_area_of_many
from tui_feeder.engine.core.decimals import Floats
from tui_feeder.price_grid import PriceGrid

#: More rows than this are refused. 100,000 USDT in steps of 0.01 may move by 40 % in a day.
MAX_ROWS = 4_000_000

#: By distribution: units of a candle's volume that its close, high and low get, and what they add up to.
SHARES = {"ClosingPrice": (1, 0, 0, 1), "WeightedOHLC": (2, 1, 1, 4), "HighLowWeighted": (0, 1, 1, 2)}

_MANY_ROWS = 1_000  # from here on sums of blocks find the value area sooner than a loop over all rows
_EXACT = 1e15  # a decimal of fewer units survives the way through a float
_WHOLE = float(1 << 53)  # whole numbers below it are exact floats
_DECIMALS = (3, 8)  # of volumes, tried in turn when many are placed at once


#: What rows come to: the heaviest row (ties: the higher price), the highest and the lowest row of the value
#: area, the percentage of the weight inside, the volume inside and that of all rows. A plain tuple: one is
#: made with every candle.
Area: TypeAlias = tuple[int, int, int, float, float, float]


class Rows(Protocol):
    """Rows of a day: :class:`PointRows`, or ``UniformRows`` of :mod:`.uniform_rows`."""

    grid: PriceGrid
    first: int  # lowest and highest row that a candle touched; first > last while there is none
    last: int
    refused: bool  # there are too many: nothing is kept

    def load(self, high: Floats, low: Floats, close: Floats, volume: Floats) -> None:
        """Places many candles, in order, on empty rows.

        Args:
            high: shape (n,), quote currency.
            low: shape (n,), quote currency.
            close: shape (n,), quote currency.
            volume: shape (n,), base asset.
        """
        ...

    def add(self, high: float, low: float, close: float, volume: float) -> None:
        """Places a candle.

        Args:
            high: quote currency.
            low: quote currency.
            close: quote currency.
            volume: base asset.
        """
        ...

    def area(self) -> Area | None:
        """Point of control and value area; None while no row has weight."""
        ...

    def dense(self) -> Floats:
        """The weights of the rows ``first..last``."""
        ...


class PointRows:
    """Rows that are touched at single prices, with exact sums.

    Args:
        grid: of prices.
        distribution: one of :data:`SHARES`.
        tpo: rows weigh the number of candles that touched them, not their volume.
        step: 1 or 2 rows are compared and added to the value area at once.
        percent: of the weight that the value area holds at least.
    """

    __slots__ = (
        "_area", "_close_share", "_decimals", "_end_share", "_loaded", "_pending", "_scale", "_share",
        "_span", "_step", "_traded", "_units", "_volumes", "_whole", "first", "grid", "last", "refused",
        "tpo",
    )  # fmt: skip

    def __init__(self, grid: PriceGrid, distribution: str, tpo: bool, step: int, percent: float) -> None:
        self.grid = grid
        self.tpo = tpo
        self.refused = False
        self.first, self.last = 1, 0
        self._close_share, self._end_share, _, self._whole = SHARES[distribution]
        self._step = step
        self._share = (Fraction(repr(percent)) / 100).as_integer_ratio()
        self._decimals, self._scale = 0, 1.0  # a unit of volume is 10**-decimals / whole
        self._units = 0  # volume of all candles, 10**-decimals
        self._area = IncrementalValueArea(step, self._share)
        self._volumes: dict[int, int] = {}  # in units; used in TPO alone, where weights are counts
        self._loaded: tuple[Floats, Floats] | None = None  # weights and volumes of first..last, in units
        self._pending: list[tuple[int, int]] = []  # in TPO: volumes added since the last look
        self._span = (1, 0)  # rows whose volumes are in _traded
        self._traded = 0

    def load(self, high: Floats, low: Floats, close: Floats, volume: Floats) -> None:
        """Places many candles, in order, on empty rows.

        Args:
            high: shape (n,), quote currency.
            low: shape (n,), quote currency.
            close: shape (n,), quote currency.
            volume: shape (n,), base asset.
        """
        for self._decimals in _DECIMALS:
            self._scale = 10.0**self._decimals
            units = np.rint(volume * self._scale)
            if bool(((units < _EXACT) & (units / self._scale == volume)).all()):
                break
        else:
            units = np.full(1, _WHOLE)
        total = float(units.sum()) * self._whole
        if not total < _WHOLE:  # no float holds the sum to its last unit
            self._decimals, self._scale = 0, 1.0
            for candle in zip(high.tolist(), low.tolist(), close.tolist(), volume.tolist(), strict=True):
                self.add(*candle)
            return
        index = self.grid.indices
        if not self._end_share:
            touched, parts = index(close)[:, None], units[:, None]
        elif self._close_share:
            touched = index(np.column_stack((close, high, low)))
            parts = units[:, None] * np.array([float(self._close_share), 1.0, 1.0])
        else:
            touched = index(np.column_stack((high, low)))
            parts = np.column_stack((units, units))
        self.first, self.last = int(touched.min()), int(touched.max())
        if self.last - self.first >= MAX_ROWS:
            self.refused = True
            return
        touched -= self.first
        self._units = int(units.sum())
        size = self.last - self.first + 1
        volumes = np.bincount(touched.ravel(), parts.ravel(), size).astype(np.float64, copy=False)
        weights = volumes
        if self.tpo:
            once = np.ones(touched.shape, dtype=bool)
            for i in range(1, touched.shape[1]):
                for j in range(i):
                    once[:, i] &= touched[:, i] != touched[:, j]
            weights = np.bincount(touched[once], minlength=size).astype(np.float64)
        self._loaded = weights, volumes

    def _unfold(self) -> None:
        """From the form of many candles at once to that of one at a time."""
        if self._loaded is None:
            return
        weights, volumes = self._loaded
        self._loaded = None
        # The outermost rows are kept though they may weigh nothing: they are the edges.
        places = np.union1d(np.flatnonzero(weights), (0, len(weights) - 1))
        rows = (places + self.first).tolist()
        self._area.load(dict(zip(rows, map(int, weights[places].tolist()), strict=True)))
        if self.tpo:
            self._volumes = dict(zip(rows, map(int, volumes[places].tolist()), strict=True))
            self._span = (1, 0)

    def add(self, high: float, low: float, close: float, volume: float) -> None:
        """Places a candle.

        Args:
            high: quote currency.
            low: quote currency.
            close: quote currency.
            volume: base asset.
        """
        if self._loaded is not None:
            self._unfold()
        index = self.grid.index
        at_close = at_high = at_low = index(close)
        if self._end_share:
            if high != close:
                at_high = index(high)
            if low != close:
                at_low = index(low)
        if self.first > self.last:
            self.first, self.last = at_low, at_high
        else:
            if at_low < self.first:
                self.first = at_low
            if at_high > self.last:
                self.last = at_high
        if self.refused or self.last - self.first >= MAX_ROWS:
            self._refuse()
            return
        scaled = volume * self._scale
        if not scaled < _EXACT or (units := round(scaled)) / self._scale != volume:
            units = self._units_of(volume)
        self._units += units
        if self.tpo:
            self._count(at_high, at_low, at_close, units)
            return
        grow = self._area.add
        if self._close_share:
            grow(at_close, self._close_share * units)
        if self._end_share:
            grow(at_high, units)
            grow(at_low, units)

    def _count(self, at_high: int, at_low: int, at_close: int, units: int) -> None:
        touched = {at_high, at_low}
        if self._close_share:
            touched.add(at_close)
        for row in touched:
            self._area.add(row, 1)
        shares = (self._close_share, self._end_share, self._end_share)
        for row, share in zip((at_close, at_high, at_low), shares, strict=True):
            if share:
                self._volumes[row] = self._volumes.get(row, 0) + share * units
                self._pending.append((row, share * units))

    def _refuse(self) -> None:
        self.refused = True
        self._area = IncrementalValueArea(self._step, self._share)
        self._volumes.clear()
        self._pending.clear()

    def _units_of(self, volume: float) -> int:
        """A volume that does not fit the units so far: they become smaller if it has more decimals."""
        exact = Decimal(repr(volume))
        exponent = exact.as_tuple().exponent
        assert isinstance(exponent, int)
        if -exponent > self._decimals:
            factor = 10 ** (-exponent - self._decimals)
            self._decimals = -exponent
            self._scale = 10.0**self._decimals if self._decimals <= 22 else float("nan")  # then never exact
            self._units *= factor
            if not self.tpo:
                self._area.scale(factor)
            self._volumes = {row: units * factor for row, units in self._volumes.items()}
            self._span = (1, 0)
        return int(exact.scaleb(self._decimals))

    def area(self) -> Area | None:
        """Point of control and value area; None while no row has weight."""
        if self.refused or self.first > self.last:
            return None
        if self._loaded is not None:
            return self._area_of_loaded()
        live = self._area
        if not live.total:
            return None
        poc, inside = live.settle()
        low = live.low if live.low > self.first else self.first
        high = live.high if live.high < self.last else self.last
        unit = 10**self._decimals * self._whole
        traded = self._traded_between(low, high) if self.tpo else inside
        volume = self._units / 10**self._decimals
        return (poc, high, low, 100 * inside / live.total, traded / unit, volume)

    def _traded_between(self, low: int, high: int) -> int:
        """Volume of the rows ``low..high`` in units; moved on from the rows last asked for."""
        touched, volumes = self._area.touched, self._volumes
        start, end = self._span
        if start > end or low > end or high < start:
            inside = touched[bisect_left(touched, low) : bisect_right(touched, high)]
            self._traded = sum(volumes[row] for row in inside)
        else:
            for row, units in self._pending:
                if start <= row <= end:
                    self._traded += units
            for sign, a, b in (
                (1, low, start), (-1, start, low), (1, end + 1, high + 1), (-1, high + 1, end + 1),
            ):  # fmt: skip
                if a < b:
                    moved = touched[bisect_left(touched, a) : bisect_left(touched, b)]
                    self._traded += sign * sum(volumes[row] for row in moved)
        self._pending.clear()
        self._span = (low, high)
        return self._traded

    def _area_of_loaded(self) -> Area | None:
        assert self._loaded is not None
        weights, volumes = self._loaded
        total = int(weights.sum())
        if not total:
            return None
        part, whole = self._share
        needs = -(-total * part // whole)
        if len(weights) >= _MANY_ROWS:
            poc, low, high = _area_of_many(weights, needs, self._step)
        else:
            poc = point_of_control(weights)
            low, high = value_area(weights, poc, needs, self._step)[:2]
        inside = int(weights[low : high + 1].sum())
        traded = int(volumes[low : high + 1].sum()) if self.tpo else inside
        scale, first = 10**self._decimals, self.first
        return (
            first + poc, first + high, first + low, 100 * inside / total, traded / (scale * self._whole),
            self._units / scale,
        )  # fmt: skip

    def dense(self) -> Floats:
        """The weights of the rows ``first..last``: volume (base asset), or the number of candles in TPO."""
        unit = 1 if self.tpo else 10**self._decimals * self._whole
        if self._loaded is not None:
            return self._loaded[0] / unit
        made = np.zeros(self.last - self.first + 1)
        rows = np.array(self._area.touched, dtype=np.int64) - self.first
        made[rows] = [self._area.weights[row] / unit for row in self._area.touched]
        return made


def _area_of_many(weights: Floats, needs: int, step: int) -> tuple[int, int, int]:
    size = -(-len(weights) // BLOCK) * BLOCK
    padded = np.zeros(size + 2 * BLOCK)
    padded[BLOCK : BLOCK + len(weights)] = weights
    sums = padded.reshape(-1, BLOCK).sum(axis=1)
    poc = point_of_control(padded)
    low, high = value_area_of_many(padded, sums, BLOCK, poc, needs, step)
    return poc - BLOCK, max(low - BLOCK, 0), min(high - BLOCK, len(weights) - 1)


def point_of_control(weights: Floats, noise: float = 0.0) -> int:
    """Finds the heaviest row; on ties the one of the highest price.

    Args:
        weights: shape (n,), by ascending price.
        noise: weights within this of the heaviest count as equal.

    Returns:
        Index of the row.
    """
    if noise == 0.0:
        return len(weights) - 1 - int(weights[::-1].argmax())
    return int((weights >= np.maximum.reduce(weights) - noise).nonzero()[0][-1])
