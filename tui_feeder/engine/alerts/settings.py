"""From ``[alerts]`` to rules in which nothing is left open."""

from __future__ import annotations

from tui_feeder.config import AlertRule, Config
from tui_feeder.engine.alerts.rule_checks import AlertRules
from tui_feeder.engine.alerts.rules import Rule
from tui_feeder.engine.derived.settings import analysed
from tui_feeder.time_format import ceil_to_minute, parse_time

#: Seconds after which trouble is worth an alert, where the rule has none of its own.
_SECONDS = {
    "gap_open": 300.0,
    "stream_stale": 300.0,
    "sink_lag": 120.0,
    "disk_full": 30.0,
    "cluster_degraded": 30.0,
}
_HYSTERESIS_PERCENT = 0.1


def alert_rules(config: Config) -> AlertRules:
    """Makes the rules of a valid configuration.

    Args:
        config: the configuration.

    Returns:
        The rules.
    """
    periods = analysed(config)[1]
    rules = [_rule(config, name, stated) for name, stated in config.alerts.rules.items()]
    return AlertRules(rules, max(periods, default=None))


def _rule(config: Config, name: str, stated: AlertRule) -> Rule:
    assert stated.kind is not None
    every = config.alerts.cooldown_seconds if stated.cooldown_seconds is None else stated.cooldown_seconds
    percent = _HYSTERESIS_PERCENT if stated.hysteresis_percent is None else stated.hysteresis_percent
    return Rule(
        name=name,
        kind=stated.kind,
        symbols=stated.symbols,
        cooldown_ms=int(every * 1000),
        timeframe=stated.timeframe or 60,
        level=stated.level or "",
        price=stated.price,
        anchor=None if stated.anchor is None else ceil_to_minute(parse_time(stated.anchor)),
        periods=_periods(stated, analysed(config)[1]),
        quantile=stated.quantile or "q90",
        measure=stated.measure or "volume",
        factor=stated.factor or 1.0,
        delta=stated.delta,
        delta_percent=_delta_percent(stated),
        seconds=stated.seconds or _SECONDS.get(stated.kind, 0.0),
        hysteresis=percent / 100,
    )


def _delta_percent(stated: AlertRule) -> float:
    if stated.delta_percent is not None:
        return stated.delta_percent
    return -50.0 if stated.kind == "delta_below" else 50.0


def _periods(stated: AlertRule, periods: tuple[int, ...]) -> tuple[int, ...]:
    """The periods a rule compares: the shortest with the longest, or the price with the longest."""
    if stated.periods is not None or not periods:
        return stated.periods or ()
    return (min(periods), max(periods)) if stated.kind == "ema_cross" else (max(periods),)
