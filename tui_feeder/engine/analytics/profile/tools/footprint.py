"""The footprint of bars: what takers bought and sold at each price of each bar, on one price grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from tui_feeder.engine.analytics.profile.increments import auto_increment
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.decimals import Floats


class BarLevels(NamedTuple):
    """A bar: row ``i`` of the arrays is row ``first + i`` of the price grid."""

    time: int  # open time, ms
    first: int
    bought: Floats  # (n,) base asset
    sold: Floats  # (n,) base asset
    poc: int  # row of most volume
    exact_share: float  # of the volume that is of minutes whose trades are all there, 0..1
    known_share: float  # of the volume that is known by price: also what partial minutes have of trades


class Footprint(NamedTuple):
    """Bars on one grid."""

    increment: float  # quote currency
    bars: tuple[BarLevels, ...]


def footprint(
    bars: Sequence[tuple[int, MinuteVolume]], settings: ProfileSettings, levels: int
) -> Footprint | None:
    """Places bars on a grid as fine as the rows that there is room for allow.

    Args:
        bars: open time (ms) of each and what was traded in it, in order.
        settings: of the distribution, and the tick size.
        levels: rows that all bars together may take.

    Returns:
        Those in which something was traded; None where there are none.
    """
    traded = [(time, part) for time, part in bars if part.minutes and part.volume > 0]
    if not traded:
        return None
    low, high = min(part.low for _, part in traded), max(part.high for _, part in traded)
    # At most twice as many rows as are wanted, and those at the edges are halves.
    shape = dataclasses.replace(
        settings, target_price_levels=max(1, (levels - 1) // 2), price_increment_mode="Auto",
        calculation_mode="Volume",
    )  # fmt: skip
    increment = auto_increment(low, high, Decimal(0), shape)
    made = []
    for time, part in traded:
        placed = part.placed(shape, increment)
        if placed is None or placed.bought is None:
            continue
        sold = np.maximum(placed.weights - placed.bought, 0.0)
        shares = part.exact_share, part.known_share
        made.append(BarLevels(time, placed.first, placed.bought, sold, placed.area[0], *shares))
    return Footprint(increment, tuple(made)) if made else None
