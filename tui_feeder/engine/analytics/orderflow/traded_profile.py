"""The volume profile of a day whose volume lies where it was traded, as far as that is known. Pure.

How each minute counts is in :mod:`tui_feeder.engine.analytics.profile.tools.traded`.
"""

from __future__ import annotations

from collections.abc import Iterable

from tui_feeder.engine.analytics.profile.day_profile import DayProfile, LiveProfile, ProfileFigures
from tui_feeder.engine.analytics.profile.increments import DayRange
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.candle import DAY_MS, Rows
from tui_feeder.engine.core.decimals import Floats


class TradedProfile(DayProfile, frozen=True, gc=False, kw_only=True):
    """A profile with what takers bought in each of its rows; the rest of a row's volume they sold."""

    bought: Floats | None  # of each row, base asset; None in TPO, whose rows have no volume
    exact_share: float  # of the volume that is of minutes whose trades are all there, 0..1
    known_share: float  # of the volume that is known by price: also what partial minutes have of trades


def traded_profile(
    candles: Rows, volume: MinuteVolume, settings: ProfileSettings, before: Iterable[DayRange] = ()
) -> TradedProfile | None:
    """Computes the profile of a day from its candles and ladders.

    Args:
        candles: shape (n,), dtype ROW, the minutes of one UTC day, in order.
        volume: of these candles, with their ladders.
        settings: what shapes it; rows that count candles (TPO) are those of candles.
        before: the ranges of the days before, which the increment begins with.

    Returns:
        The profile; None if no row has weight.

    Raises:
        ValueError: the candles span more than one day.
    """
    if len(candles) and int(candles["open_time"][0]) // DAY_MS != int(candles["open_time"][-1]) // DAY_MS:
        raise ValueError("a profile is of one UTC day")
    live = LiveProfile(settings)
    live.load(candles, before)
    rows = volume.rows(settings, live.increment)
    live.place(rows)
    profile = live.profile()
    if profile is None:
        return None
    bought = volume.bought(settings, rows)
    figures = {name: getattr(profile, name) for name in ProfileFigures.__struct_fields__}
    return TradedProfile(
        **figures,
        low_index=profile.low_index,
        weights=profile.weights,
        bought=bought,
        # Rows that count candles know no price of a trade.
        exact_share=0.0 if bought is None else volume.exact_share,
        known_share=0.0 if bought is None else volume.known_share,
    )
