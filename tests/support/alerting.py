"""Rules of alerts, minutes made by hand, and a real month replayed through both."""

from __future__ import annotations

from functools import cache

import examples
import numpy as np
from samples import real_month

from tui_feeder.engine.alerts.rule_checks import AlertRules
from tui_feeder.engine.alerts.rules import Alert, Rule
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.profile.day_profile import ProfileFigures
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Rows, to_candles

INCREMENT = 0.01  # ten ticks


PERIODS = (21, 89)


MONTH = "FILUSDT-1m-2024-09"
#: Of it are replayed; with ``--thorough`` all.
DAYS = examples.examples(30, least=12)


def month_rows() -> Rows:
    """The candles of the month that are replayed."""
    return real_month(MONTH)[: DAYS * 1440]


def rules() -> tuple[Rule, ...]:
    return (
        Rule("trend", "trend_flip", timeframe=300, cooldown_ms=3_600_000),
        Rule("cross", "ema_cross", timeframe=300, periods=(21, 89), hysteresis=0.0005, cooldown_ms=1_800_000),
        Rule("mean", "price_cross", level="ema", timeframe=900, periods=(89,), hysteresis=0.001),
        Rule("poc", "price_cross", level="poc", hysteresis=0.002, cooldown_ms=0),
        Rule("vah", "price_cross", level="vah", hysteresis=0.0, cooldown_ms=600_000),
        Rule("val", "price_cross", level="val", hysteresis=0.001, cooldown_ms=600_000),
        Rule("burst", "volume_above", factor=4.0, hysteresis=0.25, cooldown_ms=900_000),
    )


@cache
def replayed() -> tuple[list[Message], dict[str, list[Alert]]]:
    rows = month_rows()
    settings = PipelineSettings(
        timeframes=(60, 300, 900),
        ema_periods=PERIODS,
        trend_rule="closes_vs_ema",
        volume_lookback_days=1,
        profile=ProfileSettings(
            price_increment_mode="Fixed",
            fixed_price_increment=INCREMENT,
            volume_distribution_mode="ClosingPrice",
            value_area_calculation_mode="Greedy",
        ),
    )
    pipeline = SymbolPipeline("FILUSDT", settings)
    watched = AlertRules(rules(), 89)
    found: dict[str, list[Alert]] = {}
    messages = []
    times = rows["open_time"]
    for candle in to_candles(rows):
        if (leaving := pipeline.leaving(candle.open_time)) is not None:
            low, high = np.searchsorted(times, leaving)
            pipeline.expire(rows[low:high], leaving[1])
        message = pipeline.update(candle)
        messages.append(message)
        for alert in watched.minute(candle, message):
            found.setdefault(alert.rule, []).append(alert)
    return messages, found


def minute_message(
    minute: int, close: float, poc: float, day: int = 0, volume: float = 1.0, **more: object
) -> tuple[Candle, Message]:
    at = day * DAY_MS + minute * MINUTE_MS
    candle = Candle(at, close, close, close, close, volume, close * volume, 1, 0.0, 0.0)
    profile = ProfileFigures(
        day=day * DAY_MS, increment=1.0, poc=poc, vah=poc + 2, val=poc - 2, vwap=None, total_volume=1.0,
        value_area_volume=1.0, value_area_percent=70.0, min_price=1.0, max_price=9.0, candles=1,
        last_minute=at,
    )  # fmt: skip
    fields = {"closes": {"close_1m": close}, "indicators": {}, "trends": {}, "profile": profile} | more
    return candle, Message(symbol="BTCUSDT", timestamp=at + MINUTE_MS - 1, revision=0, **fields)
