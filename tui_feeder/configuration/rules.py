"""Rules that concern more than one key, keys of the older program, and keys that await their part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tui_feeder.configuration.sections import Config, KafkaSecurity, VolumeProfile
from tui_feeder.configuration.text import show
from tui_feeder.configuration.values import (
    is_loopback,
)

#: Keys this version accepts and does not act on yet: setting one to another value than its default is told.
NOT_YET: dict[str, str] = {
    "kafka.retries": "a message is sent again until the broker has it",
    "kafka.max_in_flight_requests_per_connection": "a partition has one batch under way, in order",
    "database.max_connections": "one connection carries everything",
    "application.health_server_port": "this version does not serve health over HTTP yet",
    "application.timeframes": "one-minute candles are stored, all others made of them",
    "application.reconnection_gap_threshold_minutes": "every missing minute is filled, a single one included",
    "application.reconnection_gap_check_delay_seconds": "gaps are filled as soon as they are seen",
}

_RESOURCES = "leave it out: threads and buffers need no setting"
_LOG_FILES = "leave it out: the log goes to standard error, for a journal or a log rotation to keep"
#: Keys of the older program and what to do instead; the longest name that matches counts.
_REPLACED: dict[str, str] = {
    "adaptive": _RESOURCES,
    "historical_validation": "leave it out: missing minutes are always found, and certified ones kept",
    "historical_validation.validation_days": "use volume_profile.historical_days",
    "logging": _LOG_FILES,
    "logging.level": "use service.log_level",
    "logging.level_filter": "use service.log_level",
    "logging.format": "use service.log_format",
    "logging.file_json_format": 'use service.log_format = "json"',
    "volume_profile.reprocessing.enabled": "use volume_profile.reprocessing.mode, which always holds",
    "volume_profile.reprocessing.batch_size": "leave it out: days are built one by one",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that the values of ``keys``, taken together, break."""

    keys: tuple[str, ...]
    message: str
    hint: str | None = None
    value: str | None = None


def replacement(key: str) -> str | None:
    """What takes the place of a key of the older program, or None if ``key`` is not one."""
    while key:
        if key in _REPLACED:
            return _REPLACED[key]
        key = key.rpartition(".")[0]
    return None


def contradictions(config: Config) -> list[Finding]:
    """What can't hold together."""
    return [
        *_increments(config.volume_profile),
        *_kafka(config),
        *_sasl(config.kafka.security),
        *_trend(config),
    ]


def _increments(profile: VolumeProfile) -> Iterator[Finding]:
    names = ("min_price_increment", "max_price_increment")
    general = tuple(f"volume_profile.{name}" for name in names)
    if profile.min_price_increment > profile.max_price_increment:
        value = (
            f"{profile.min_price_increment} is more than max_price_increment = {profile.max_price_increment}"
        )
        yield Finding(general, f"(or its default): {value}", "swap them")
        return
    for symbol in profile.asset_overrides:
        resolved = profile.for_symbol(symbol)
        if resolved.min_price_increment > resolved.max_price_increment:
            keys = tuple(f"volume_profile.asset_overrides.{symbol}.{name}" for name in names)
            yield Finding(
                keys + general,
                f"does not fit: for {symbol} min_price_increment {resolved.min_price_increment} is above "
                f"max_price_increment {resolved.max_price_increment}",
                "set both for the symbol",
            )


def _kafka(config: Config) -> Iterator[Finding]:
    kafka = config.kafka
    least = kafka.linger_ms + kafka.request_timeout_ms
    if kafka.delivery_timeout_ms < least:
        yield Finding(
            ("kafka.delivery_timeout_ms", "kafka.request_timeout_ms", "kafka.linger_ms"),
            f"does not fit: delivery_timeout_ms {kafka.delivery_timeout_ms} is less than linger_ms + "
            f"request_timeout_ms, {least}",
            f"set delivery_timeout_ms to {least} or more",
        )


def _sasl(security: KafkaSecurity) -> Iterator[Finding]:
    above = "kafka.security"
    if security.protocol.startswith("SASL_"):
        for name in ("sasl_username", "sasl_password"):
            if getattr(security, name) is None:
                yield Finding(
                    (f"{above}.protocol", f"{above}.{name}"),
                    f"needs {above}.{name}",
                    None,
                    show(security.protocol),
                )
    if security.ssl_keyfile is not None and security.ssl_certfile is None:
        yield Finding((f"{above}.ssl_keyfile", f"{above}.ssl_certfile"), f"needs {above}.ssl_certfile")


def _trend(config: Config) -> Iterator[Finding]:
    analysis = config.technical_analysis
    if analysis.trend_rule == "ema_cross" and len(analysis.ema_periods) < 2:
        keys = ("technical_analysis.trend_rule", "technical_analysis.ema_periods")
        yield Finding(keys, "needs two ema_periods, a fast and a slow one", None, show(analysis.trend_rule))


def doubts(config: Config) -> list[Finding]:
    """What holds, but was hardly meant so."""
    return [*_start_date(config), *_addresses(config), *_unused_security(config.kafka.security)]


def _start_date(config: Config) -> Iterator[Finding]:
    application = config.application
    if application.respect_config_start_date and application.start_date is None:
        key = "application.respect_config_start_date"
        yield Finding((key,), "has no effect without application.start_date", "set application.start_date")


def _addresses(config: Config) -> Iterator[Finding]:
    exchange = config.exchange
    for name in ("rest_url", "stream_url", "archive_url"):
        url: str = getattr(exchange, name)
        if url.startswith(("http://", "ws://")) and not is_loopback(url):
            secure = url.replace("://", "s://", 1)
            yield Finding(
                (f"exchange.{name}",), "is not encrypted, so anyone on the way can change the data",
                f"use {secure} if it is served", show(url),
            )  # fmt: skip
    if exchange.clock_rate != 1.0 and not is_loopback(exchange.rest_url):
        hint = "leave it at 1.0 but for a simulated exchange"
        yield Finding(
            ("exchange.clock_rate",), "is not the pace of a real exchange", hint, show(exchange.clock_rate)
        )


def _unused_security(security: KafkaSecurity) -> Iterator[Finding]:
    above = "kafka.security"
    for name in ("sasl_username", "sasl_password", "ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        protocols = ("SASL_PLAINTEXT", "SASL_SSL") if name.startswith("sasl") else ("SSL", "SASL_SSL")
        if getattr(security, name) is not None and security.protocol not in protocols:
            message = f"has no effect with {above}.protocol = {show(security.protocol)}"
            yield Finding((f"{above}.{name}",), message, f"set the protocol to {' or '.join(protocols)}")
