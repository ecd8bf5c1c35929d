"""``[technical_analysis]``: the bars and what is computed from them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct

from tui_feeder.configuration.forms import EmaPeriods, Timeframes
from tui_feeder.configuration.values import Key


class TechnicalAnalysis(Struct, frozen=True):
    """The bars and what is computed from them."""

    min_history_days: Annotated[int, Key("history to load before values count as warmed up", 1, 3_650)] = 60
    ema_periods: Annotated[EmaPeriods, Key("exponential moving averages", unit="closes")] = (21, 89)
    timeframes: Annotated[
        Timeframes, Key("bars to make; multiples of 60 that divide a day", unit="seconds")
    ] = (60, 300, 900, 3600, 14400)
    volume_lookback_days: Annotated[int, Key("window of maximum volume and volume quantiles", 1, 3_650)] = 60
    trend_rule: Annotated[
        Literal["closes_vs_ema", "ema_cross"],
        Key("last two closes against the slow EMA, or the fast EMA against the slow one"),
    ] = "closes_vs_ema"
