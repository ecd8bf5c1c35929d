"""From the configuration to what a symbol's pipeline needs."""

from __future__ import annotations

import dataclasses

from tui_feeder.config import Config
from tui_feeder.engine.analytics.indicators import IndicatorKind, chosen
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.coverage import EMPTY, Coverage


def profile_settings(config: Config, symbol: str, tick_size: float | None) -> ProfileSettings | None:
    """Selects a symbol's profile settings, its overrides applied.

    Args:
        config: the configuration.
        symbol: the symbol.
        tick_size: of its prices; None if unknown.

    Returns:
        The settings; None where profiles are off.
    """
    chosen = config.volume_profile.for_symbol(symbol)
    if not chosen.enabled or not config.application.enable_technical_analysis:
        return None
    shared = {
        field.name: getattr(chosen, field.name)
        for field in dataclasses.fields(ProfileSettings)
        if hasattr(chosen, field.name)
    }
    if symbol not in config.trades.symbols or chosen.calculation_mode == "TPO":
        shared["source"] = "candles"
    return ProfileSettings(**shared, tick_size=tick_size or None)


def analysed(config: Config) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Selects what is analysed.

    Args:
        config: the configuration.

    Returns:
        Timeframes (seconds) and EMA periods (bars); one minute and none without technical analysis.
    """
    if not config.application.enable_technical_analysis:
        return (60,), ()
    return config.technical_analysis.timeframes, config.technical_analysis.ema_periods


def indicators_of(config: Config) -> tuple[tuple[IndicatorKind, int], ...]:
    """Lists the indicators of each timeframe.

    Args:
        config: the configuration.

    Returns:
        Kind and period (bars), in the order of a message's fields; none without technical analysis.
    """
    return chosen(pipeline_settings(config, "", None))


def pipeline_settings(
    config: Config,
    symbol: str,
    tick_size: float | None,
    listed: int | None = None,
    omitted: Coverage = EMPTY,
) -> PipelineSettings:
    """Selects everything a symbol's pipeline is made with; without analysis messages hold close and delta.

    Args:
        config: the whole configuration.
        symbol: whose.
        tick_size: of its prices, where that is known.
        listed: the first minute (ms) the exchange has of it, where that is known.
        omitted: minutes of which the exchange has no candle, for good.

    Returns:
        The settings.
    """
    analysis = config.technical_analysis
    timeframes, periods = analysed(config)
    return PipelineSettings(
        timeframes=timeframes,
        ema_periods=periods,
        trend_rule=analysis.trend_rule,
        volume_lookback_days=analysis.volume_lookback_days if periods else 0,
        profile=profile_settings(config, symbol, tick_size),
        listed=listed,
        omitted=omitted,
    )
