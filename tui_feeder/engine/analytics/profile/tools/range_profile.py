"""The profile of any minutes: a fixed range, a session, a composite of days."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tui_feeder.digits import fifteen_digits
from tui_feeder.engine.analytics.profile.increments import adaptive_increment, auto_increment
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.decimals import Floats
from tui_feeder.price_grid import PriceGrid


class RangeProfile(msgspec.Struct, frozen=True, gc=False):
    """A profile with its rows: row ``i`` of ``weights`` is row ``low_index + i`` of the price grid."""

    increment: float  # quote currency
    poc: float
    vah: float
    val: float
    vwap: float | None  # None while nothing was traded (TPO only)
    total_volume: float  # base asset
    value_area_volume: float  # base asset
    value_area_percent: float  # share of the weight inside, 0..100
    min_price: float
    max_price: float
    minutes: int
    low_index: int
    weights: Floats  # (n,) volume (base asset), or the number of candles in TPO
    bought: Floats | None  # (n,) base asset, what takers bought; None in TPO
    exact_share: float  # of the volume that is of minutes whose trades are all there, 0..1
    known_share: float  # of the volume that is known by price: also what partial minutes have of trades

    @property
    def prices(self) -> Floats:
        """The price of each row, ascending."""
        return PriceGrid(self.increment).prices(self.low_index, len(self.weights))


def increment_of(traded: MinuteVolume, settings: ProfileSettings) -> float:
    """Finds the row height for a span: in Auto and Adaptive it rests on the prices of the span alone.

    Args:
        traded: what was traded.
        settings: mode, levels, limits and tick size.

    Returns:
        The price increment, quote currency.
    """
    if settings.price_increment_mode == "Fixed":
        return settings.fixed_price_increment
    if settings.price_increment_mode == "Adaptive":
        return adaptive_increment(traded.low, traded.high, settings)
    return auto_increment(traded.low, traded.high, Decimal(0), settings)


def range_profile(traded: MinuteVolume, settings: ProfileSettings) -> RangeProfile | None:
    """Computes the profile of what was traded.

    Args:
        traded: of any minutes, adjacent or not.
        settings: what shapes it.

    Returns:
        The profile; None where nothing was traded, or rows are too many.
    """
    if not traded.minutes:
        return None
    increment = increment_of(traded, settings)
    placed = traded.placed(settings, increment)
    if placed is None:
        return None
    poc, high, low, percent, inside, _ = placed.area
    price = PriceGrid(increment).price
    volume = traded.volume
    return RangeProfile(
        increment=increment,
        poc=price(poc),
        vah=price(high),
        val=price(low),
        vwap=traded.quote_volume / volume if volume > 0 else None,
        total_volume=fifteen_digits(volume),
        value_area_volume=inside,
        value_area_percent=percent,
        min_price=traded.low,
        max_price=traded.high,
        minutes=traded.minutes,
        low_index=placed.first,
        weights=placed.weights,
        bought=placed.bought,
        # Rows that count candles know no price of a trade.
        exact_share=0.0 if placed.bought is None else traded.exact_share,
        known_share=0.0 if placed.bought is None else traded.known_share,
    )
