"""The volume profile of a day whose volume lies where it was traded, as far as that is known. Pure.

Each minute counts with the best there is: its ladder; of a partial one the ladder, and what its candle has
beyond that as candles are spread; without a ladder the candle alone. So the profile's volume and VWAP are
those of the candles, and point of control and value area are found by the same code as ever.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tui_feeder.engine.analytics.orderflow.packing import DaySums
from tui_feeder.engine.analytics.orderflow.reconcile import Known, reconcile
from tui_feeder.engine.analytics.profile.day_profile import (
    DayProfile,
    LiveProfile,
    ProfileFigures,
    empty_rows,
)
from tui_feeder.engine.analytics.profile.increments import DayRange
from tui_feeder.engine.analytics.profile.rows import MAX_ROWS
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, Rows
from tui_feeder.engine.core.decimals import Floats, digits_beside_of
from tui_feeder.price_grid import PriceGrid


class TradedProfile(DayProfile, frozen=True, gc=False, kw_only=True):
    """A profile with what takers bought in each of its rows; the rest of a row's volume they sold."""

    bought: Floats  # of each row, base asset
    exact_share: float  # of the volume that is of minutes whose trades are all there, 0..1


def traded_profile(
    candles: Rows, sums: DaySums, settings: ProfileSettings, before: Iterable[DayRange] = ()
) -> TradedProfile | None:
    """Computes the profile of a day from its candles and ladders.

    Args:
        candles: shape (n,), dtype ROW, the minutes of one UTC day, in order; every ladder's minute is one.
        sums: of the day's ladders.
        settings: what shapes it; ``calculation_mode`` Volume.
        before: the ranges of the days before, which the increment begins with.

    Returns:
        The profile; None if no row has weight.

    Raises:
        ValueError: the candles span more than one day, rows are to count candles (TPO), or a ladder's minute
            has no candle.
    """
    if settings.calculation_mode == "TPO":
        raise ValueError("a profile of trades counts volume, not candles")
    if len(candles) and int(candles["open_time"][0]) // DAY_MS != int(candles["open_time"][-1]) // DAY_MS:
        raise ValueError("a profile is of one UTC day")
    known = reconcile(candles, sums.minutes)
    if known.strangers:
        raise ValueError(f"{known.strangers} minutes have a ladder and no candle")
    live = LiveProfile(settings)
    live.load(candles, before)
    prices, volumes, bought_volumes = _on_rows(sums, PriceGrid(live.increment))
    rest = known.known != Known.EXACT
    inexact = candles[rest]
    beyond = _beyond(inexact["volume"], known.bought[rest] + known.sold[rest])
    bought_beyond = np.minimum(_beyond(inexact["taker_buy_volume"], known.bought[rest]), beyond)
    high, low, close = (
        np.concatenate((prices, np.ascontiguousarray(inexact[name]))) for name in ("high", "low", "close")
    )
    live.place(high, low, close, np.concatenate((volumes, beyond)))
    profile = live.profile()
    if profile is None:
        return None
    bought = empty_rows(settings, profile.increment)
    bought.load(high, low, close, np.concatenate((bought_volumes, bought_beyond)))
    figures = {name: getattr(profile, name) for name in ProfileFigures.__struct_fields__}
    return TradedProfile(
        **figures,
        low_index=profile.low_index,
        weights=profile.weights,
        bought=bought.dense(),
        exact_share=known.exact_share(np.ascontiguousarray(candles["volume"])),
    )


def _on_rows(sums: DaySums, grid: PriceGrid) -> tuple[Floats, Floats, Floats]:
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
