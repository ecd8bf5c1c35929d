"""The volume of minutes, each placed by the best there is: its trades, else its candle, which is spread.

A minute whose trades are all there counts with its ladder; a partial one with its ladder, and with what its
candle has beyond that as candles are spread; one without a ladder with its candle alone. So the volume is
that of the candles, and point of control and value area are found by the code of every profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tui_feeder.digits import digits_beside_of
from tui_feeder.engine.analytics.orderflow.packing import DaySums
from tui_feeder.engine.analytics.orderflow.reconcile import Known, joined_sums, reconcile
from tui_feeder.engine.analytics.profile.day_profile import empty_rows
from tui_feeder.engine.analytics.profile.rows import MAX_ROWS, Area
from tui_feeder.engine.analytics.profile.rows import Rows as ProfileRows
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import Rows
from tui_feeder.engine.core.decimals import Floats
from tui_feeder.price_grid import PriceGrid

#: High, low, close and volume of what is placed on rows.
Columns: TypeAlias = tuple[Floats, Floats, Floats, Floats]


class Placed(NamedTuple):
    """Rows of a price grid: row ``i`` of the arrays is row ``first + i`` of the grid."""

    first: int
    weights: Floats  # (n,) base asset, or the number of candles in TPO
    bought: Floats | None  # (n,) base asset, what takers bought; None in TPO, whose rows have no volume
    area: Area  # point of control and value area


class MinuteVolume:
    """What was traded in some minutes.

    Args:
        rows: shape (n,), dtype ROW, in order; of any minutes.
        sums: of the ladders of any of these minutes, ascending; nothing is counted of other minutes.

    Attributes:
        minutes: how many they are.
        low: lowest price, quote currency; 0 without minutes.
        high: highest price.
        volume: base asset.
        quote_volume: quote currency.
        exact_share: of the volume that is of minutes whose trades are all there, 0..1.
        known_share: of the volume that is known by price: also what partial minutes have of trades.

    Raises:
        ValueError: a minute has a ladder and no candle.
    """

    def __init__(self, rows: Rows, sums: Sequence[DaySums] = ()) -> None:
        self.minutes = len(rows)
        self.low = float(rows["low"].min()) if len(rows) else 0.0
        self.high = float(rows["high"].max()) if len(rows) else 0.0
        self.volume = float(rows["volume"].sum())
        self.quote_volume = float(rows["quote_volume"].sum())
        self.exact_share = self.known_share = 0.0
        self._candles = rows
        self._sums = sums
        self._beyond = _column(rows, "volume"), _column(rows, "taker_buy_volume")
        self._spread: NDArray[np.bool_] | slice = slice(None)  # candles that are spread
        if sums:
            self._reconcile(rows, sums)

    def _reconcile(self, rows: Rows, sums: Sequence[DaySums]) -> None:
        known = reconcile(rows, joined_sums([part.minutes for part in sums]))
        if known.strangers:
            raise ValueError(f"{known.strangers} minutes have a ladder and no candle")
        volume, taker = self._beyond
        self.exact_share = known.exact_share(volume)
        if self.volume > 0:
            self.known_share = float(np.minimum(known.bought + known.sold, volume).sum()) / self.volume
        self._spread = rest = known.known != Known.EXACT
        beyond = _beyond(volume[rest], known.bought[rest] + known.sold[rest])
        self._beyond = beyond, np.minimum(_beyond(taker[rest], known.bought[rest]), beyond)

    def rows(self, settings: ProfileSettings, increment: float) -> ProfileRows:
        """Places the volume on rows.

        Args:
            settings: how candles are spread, and how the value area grows; rows that count candles (TPO)
                count all of them.
            increment: row height, quote currency.

        Returns:
            The rows.
        """
        return self._on_rows(settings, increment, bought=False)

    def bought(self, settings: ProfileSettings, placed: ProfileRows) -> Floats | None:
        """Finds what takers bought in each row; the rest of a row's volume they sold.

        Args:
            settings: those of the rows.
            placed: what :meth:`rows` returned.

        Returns:
            Base asset, of the rows from the lowest to the highest; None for rows that count candles (TPO).
        """
        if settings.calculation_mode == "TPO":
            return None
        bought = self._on_rows(settings, placed.grid.increment, bought=True)
        found: Floats = np.minimum(bought.dense(), placed.dense())
        return found

    def placed(self, settings: ProfileSettings, increment: float) -> Placed | None:
        """Places the volume on a price grid.

        Args:
            settings: of the distribution and the value area.
            increment: row height, quote currency.

        Returns:
            The rows; None where nothing was traded, or rows are too many.
        """
        if not self.minutes:
            return None
        rows = self.rows(settings, increment)
        area = rows.area()
        if area is None:
            return None
        return Placed(rows.first, rows.dense(), self.bought(settings, rows), area)

    def _on_rows(self, settings: ProfileSettings, increment: float, bought: bool) -> ProfileRows:
        rows = empty_rows(settings, increment)
        if settings.calculation_mode == "TPO":
            high, low, close, volume = (_column(self._candles, n) for n in ("high", "low", "close", "volume"))
            columns = high, low, close, volume
        else:
            columns = self.columns(rows.grid, bought=bought)
        if len(columns[0]):
            rows.load(*columns)
        return rows

    def columns(self, grid: PriceGrid, *, bought: bool = False) -> Columns:
        """Gives what is placed: trades, whose high, low and close are one price, and candles that are spread.

        Args:
            grid: of the rows: what was traded in one of them is added up.
            bought: of the volume that which takers bought.

        Returns:
            High, low, close (quote currency) and volume (base asset), shape (n,) each.
        """
        candles = self._candles[self._spread]
        high, low, close = (_column(candles, name) for name in ("high", "low", "close"))
        volume = self._beyond[bought]
        if self._sums:
            parts = [_by_row(part, grid) for part in self._sums]
            prices = [part[0] for part in parts]
            high, low, close = (np.concatenate((*prices, column)) for column in (high, low, close))
            volume = np.concatenate((*(part[1 + bought] for part in parts), volume))
        return high, low, close, volume


def _column(rows: Rows, name: str) -> Floats:
    return np.ascontiguousarray(rows[name])


def _by_row(sums: DaySums, grid: PriceGrid) -> tuple[Floats, Floats, Floats]:
    """The prices of the rows in which there was trade, with volume and bought volume (base asset).

    What is added up are whole numbers, so the digits stay those of the exchange.
    """
    if not len(sums.prices):
        none = np.zeros(0)
        return none, none, none
    rows = grid.indices(sums.prices)
    first = int(rows[0])
    if int(rows[-1]) - first >= MAX_ROWS or int(sums.volumes.sum()) >= 1 << 53:
        return sums.prices, sums.volumes / sums.unit, sums.bought / sums.unit
    volumes, bought = (np.bincount(rows - first, of) for of in (sums.volumes, sums.bought))
    used = np.flatnonzero(volumes)
    prices = grid.prices(first, len(volumes))[used]
    return prices, volumes[used] / sums.unit, bought[used] / sums.unit


def _beyond(candles: Floats, ladders: Floats) -> Floats:
    """What candles have that ladders have not, to the exchange's last digit."""
    return np.maximum(digits_beside_of(candles - ladders, candles), 0.0)
