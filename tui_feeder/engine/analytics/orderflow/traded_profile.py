"""The volume profile of a day whose volume lies where it was traded, as far as that is known. Pure.

Each minute counts with the best there is: its ladder; of a partial one the ladder, and what its candle has
beyond that as candles are spread; without a ladder the candle alone. So the profile's volume and VWAP are
those of the candles, and point of control and value area are found by the same code as ever.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tui_feeder.engine.analytics.orderflow.packing import DaySums
from tui_feeder.engine.analytics.orderflow.reconcile import Known, Reconciled, reconcile
from tui_feeder.engine.analytics.profile.day_profile import (
    DayProfile,
    LiveProfile,
    ProfileFigures,
    empty_rows,
)
from tui_feeder.engine.analytics.profile.increments import DayRange
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, Rows
from tui_feeder.engine.core.decimals import Floats, digits_beside_of


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
    placed = _placed(candles, sums, known)
    live.place(*placed[:4])
    profile = live.profile()
    if profile is None:
        return None
    bought = empty_rows(settings, profile.increment)
    bought.load(*placed[:3], placed[4])
    figures = {name: getattr(profile, name) for name in ProfileFigures.__struct_fields__}
    return TradedProfile(
        **figures,
        low_index=profile.low_index,
        weights=profile.weights,
        bought=bought.dense(),
        exact_share=known.exact_share(np.ascontiguousarray(candles["volume"])),
    )


def _placed(candles: Rows, sums: DaySums, known: Reconciled) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """High, low, close, volume and bought volume of what is placed: prices, then what candles have beyond."""
    rest = known.known != Known.EXACT
    inexact = candles[rest]
    volume = _beyond(inexact["volume"], known.bought[rest] + known.sold[rest])
    bought = np.minimum(_beyond(inexact["taker_buy_volume"], known.bought[rest]), volume)
    high, low, close = (
        np.concatenate((sums.prices, np.ascontiguousarray(inexact[name])))
        for name in ("high", "low", "close")
    )
    return (
        high, low, close, np.concatenate((sums.volumes, volume)),
        np.concatenate((sums.bought, bought)),
    )  # fmt: skip


def _beyond(candles: Floats, ladders: Floats) -> Floats:
    """What candles have that ladders have not, to the exchange's last digit."""
    return np.maximum(digits_beside_of(candles - ladders, candles), 0.0)
