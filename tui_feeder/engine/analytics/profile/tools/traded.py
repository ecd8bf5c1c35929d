"""What was traded at which price: of candles, which guess it, or of price levels, which know it.

A tool takes either through :class:`Traded`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from tui_feeder.engine.analytics.profile.day_profile import empty_rows
from tui_feeder.engine.analytics.profile.rows import MAX_ROWS, Area, point_of_control
from tui_feeder.engine.analytics.profile.rows import Rows as ProfileRows
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.uniform_rows import NOISE
from tui_feeder.engine.analytics.profile.value_area import value_area
from tui_feeder.engine.core.candle import Rows
from tui_feeder.engine.core.decimals import Floats, fifteen_digits
from tui_feeder.price_grid import PriceGrid


class Placed(NamedTuple):
    """Rows of a price grid: row ``i`` of the arrays is row ``first + i`` of the grid."""

    first: int
    weights: Floats  # (n,) base asset, or the number of candles in TPO
    bought: Floats | None  # (n,) base asset, what takers bought; None in TPO, whose rows have no volume
    area: Area  # point of control and value area


class Traded(Protocol):
    """What was traded in some minutes."""

    @property
    def minutes(self) -> int:
        """How many minutes it is of."""
        ...

    @property
    def low(self) -> float:
        """Lowest price, quote currency."""
        ...

    @property
    def high(self) -> float:
        """Highest price, quote currency."""
        ...

    @property
    def volume(self) -> float:
        """Base asset."""
        ...

    @property
    def quote_volume(self) -> float:
        """Quote currency."""
        ...

    @property
    def exact_share(self) -> float:
        """Of the volume that is known by price and not guessed, 0..1."""
        ...

    def placed(self, settings: ProfileSettings, increment: float) -> Placed | None:
        """Places it on a price grid.

        Args:
            settings: of the distribution and the value area.
            increment: row height, quote currency.

        Returns:
            The rows; None where nothing was traded, or rows are too many.
        """
        ...


class CandleVolume:
    """Volume of candles, spread over their prices by the settings.

    Args:
        rows: shape (n,), dtype ROW, in order; of any minutes.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.exact_share = 0.0
        self.minutes = len(rows)
        self.low = float(rows["low"].min()) if len(rows) else 0.0
        self.high = float(rows["high"].max()) if len(rows) else 0.0
        self.volume = float(rows["volume"].sum())
        self.quote_volume = float(rows["quote_volume"].sum())

    def placed(self, settings: ProfileSettings, increment: float) -> Placed | None:
        """Places the candles; see :class:`Traded`.

        Args:
            settings: of the distribution and the value area.
            increment: row height, quote currency.

        Returns:
            The rows; None where nothing was traded, or rows are too many.
        """
        if not self.minutes:
            return None
        rows = empty_rows(settings, increment)
        names = ("high", "low", "close", "volume")
        rows.load(*(np.ascontiguousarray(self._rows[name]) for name in names))
        area = rows.area()
        if area is None:
            return None
        return Placed(rows.first, rows.dense(), self._bought(settings, rows), area)

    def _bought(self, settings: ProfileSettings, rows: ProfileRows) -> Floats | None:
        """What takers bought, spread in the same way over the same rows."""
        if settings.calculation_mode == "TPO":
            return None
        bought = empty_rows(settings, rows.grid.increment)
        names = ("high", "low", "close", "taker_buy_volume")
        bought.load(*(np.ascontiguousarray(self._rows[name]) for name in names))
        found: Floats = np.minimum(bought.dense(), rows.dense())
        return found


class LevelVolume:
    """Volume that is known by price, as ladders of trades have it.

    Args:
        prices: shape (n,), quote currency; a price may be there more than once.
        bought: shape (n,), base asset, what takers bought there.
        sold: shape (n,), base asset.
        minutes: how many minutes it is of.
    """

    def __init__(self, prices: Floats, bought: Floats, sold: Floats, minutes: int) -> None:
        self._prices, self._bought, self._both = prices, bought, bought + sold
        self.exact_share = 1.0
        self.minutes = minutes
        self.low = float(prices.min()) if len(prices) else 0.0
        self.high = float(prices.max()) if len(prices) else 0.0
        self.volume = float(self._both.sum())
        self.quote_volume = float((self._both * prices).sum())

    def placed(self, settings: ProfileSettings, increment: float) -> Placed | None:
        """Places the levels; see :class:`Traded`.

        Args:
            settings: of the value area.
            increment: row height, quote currency.

        Returns:
            The rows; None where nothing was traded, or rows are too many.
        """
        if not len(self._prices) or self.volume <= 0:
            return None
        index = PriceGrid(increment).indices(self._prices)
        first, last = int(index.min()), int(index.max())
        if last - first >= MAX_ROWS:
            return None
        size = last - first + 1
        bought = np.bincount(index - first, self._bought, size).astype(np.float64, copy=False)
        weights = np.bincount(index - first, self._both, size).astype(np.float64, copy=False)
        noise = self.volume * NOISE
        poc = point_of_control(weights, noise)
        enough = self.volume * (settings.value_area_percentage / 100) - noise
        step = 2 if settings.value_area_calculation_mode == "Traditional" else 1
        low, high, inside = value_area(weights, poc, enough, step, noise)
        percent = min(100.0, fifteen_digits(100 * inside / self.volume))
        area = (first + poc, first + high, first + low, percent, fifteen_digits(inside), self.volume)
        return Placed(first, weights, bought, area)
