"""What is derived for a symbol: timeframes, EMAs, windows and the profile."""

from __future__ import annotations

from dataclasses import dataclass, field

from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.trend import RULES
from tui_feeder.engine.core.candle import is_timeframe
from tui_feeder.engine.core.coverage import EMPTY, Coverage


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """What is derived for a symbol.

    Raises:
        ValueError: a value that cannot work.
    """

    timeframes: tuple[int, ...]  # seconds, ascending
    ema_periods: tuple[int, ...]  # none: neither indicators nor trends
    trend_rule: str  # one of trend.RULES
    volume_lookback_days: int  # 0: neither maximum volume nor quantiles
    profile: ProfileSettings | None  # None: no volume profile
    #: Minutes of which the exchange has no candle, for good: no bar lacks them.
    omitted: Coverage = field(default=EMPTY, repr=False)
    listed: int | None = None  # ms, the first minute the exchange has of the symbol, where that is known

    def __post_init__(self) -> None:
        if not self.timeframes:
            raise ValueError("there is at least one of timeframes")
        for timeframe in self.timeframes:
            if not is_timeframe(timeframe):
                raise ValueError(f"{timeframe} s is no multiple of a minute that divides a day")
        if list(self.timeframes) != sorted(set(self.timeframes)):
            raise ValueError("timeframes ascend and are all different")
        if min(self.ema_periods, default=1) < 1 or len(set(self.ema_periods)) < len(self.ema_periods):
            raise ValueError("ema_periods are positive and all different")
        if self.trend_rule not in RULES:
            raise ValueError(f"trend_rule is one of {', '.join(RULES)}, not {self.trend_rule!r}")
        if self.trend_rule == "ema_cross" and len(self.ema_periods) == 1:
            raise ValueError("ema_cross needs two ema_periods")
        if self.volume_lookback_days < 0:
            raise ValueError("volume_lookback_days is not negative")
