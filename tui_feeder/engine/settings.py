"""From the configuration to what a symbol's pipeline needs."""

from __future__ import annotations

import dataclasses

from tui_feeder.config import Config
from tui_feeder.engine.pipeline import PipelineSettings
from tui_feeder.engine.profile import ProfileSettings


def profile_settings(config: Config, symbol: str, tick_size: float | None) -> ProfileSettings | None:
    """The symbol's profile settings, its overrides applied; None where profiles are off."""
    chosen = config.volume_profile.for_symbol(symbol)
    if not chosen.enabled or not config.application.enable_technical_analysis:
        return None
    shared = {
        field.name: getattr(chosen, field.name)
        for field in dataclasses.fields(ProfileSettings)
        if hasattr(chosen, field.name)
    }
    return ProfileSettings(**shared, tick_size=tick_size or None)


def pipeline_settings(config: Config, symbol: str, tick_size: float | None) -> PipelineSettings:
    """Everything a symbol's pipeline is made with."""
    analysis = config.technical_analysis
    return PipelineSettings(
        timeframes=analysis.timeframes,
        ema_periods=analysis.ema_periods,
        trend_rule=analysis.trend_rule,
        volume_lookback_days=analysis.volume_lookback_days,
        profile=profile_settings(config, symbol, tick_size),
    )
