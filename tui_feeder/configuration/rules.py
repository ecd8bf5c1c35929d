"""Rules that concern more than one key, and the keys of the older program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from tui_feeder.addresses import is_loopback, is_web_address
from tui_feeder.configuration.forms import MARKETS_WITHOUT_TRADES
from tui_feeder.configuration.keys import dotted, kind_at, leaf_names, names_in, value_at
from tui_feeder.configuration.sections import AlertRule, Config, KafkaSecurity, VolumeProfile
from tui_feeder.configuration.sections.alerts import HEALTH_KINDS, AlertKind
from tui_feeder.configuration.values import key_of
from tui_feeder.safe_text import MASK, show
from tui_feeder.symbol_name import market_of

_RESOURCES = "leave it out: threads and buffers need no setting"
_LOG_FILES = "use service.log_file, service.log_rotate_mb and service.log_keep"
#: Keys of the older program and what to do instead; the longest name that matches counts.
REPLACED: dict[str, str] = {
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
    """What takes the place of a key of the older program.

    Args:
        key: its dotted name.

    Returns:
        What to do instead; None if it is no key of the older program.
    """
    while key:
        if key in REPLACED:
            return REPLACED[key]
        key = key.rpartition(".")[0]
    return None


#: A key that, stated alone, is meant to hold, and the value of another key that it takes for that.
IMPLIED: dict[str, tuple[str, str]] = {"fixed_price_increment": ("price_increment_mode", "Fixed")}


def _future(config: Config) -> Iterator[Finding]:
    """A first day that is still to come; a simulated exchange may have its own time."""
    start = config.application.start_date
    if start is not None and start > datetime.now(UTC) and not is_simulated(config):
        yield Finding(
            ("application.start_date",), "is in the future", "name a day in the past, or leave it out",
            f"{start:%Y-%m-%d}",
        )  # fmt: skip


def _one_world(config: Config) -> Iterator[Finding]:
    """Followed markets of a simulated exchange beside those of the real one: clock and store are one."""
    followed = followed_markets(config)
    first = next(iter(followed), "")
    for market, url in followed.items():
        there = followed[first]
        if is_loopback(url) != is_loopback(there):
            kinds = ("simulated", "real") if is_loopback(url) else ("real", "simulated")
            other = f"exchange.{first}.rest_url" if first else "exchange.rest_url"
            yield Finding(
                (f"exchange.{market}.rest_url", "application.symbols"),
                f"is a {kinds[0]} exchange, and {other} a {kinds[1]} one: their candles would mix",
                f"point both at one kind, or leave the symbols of {market} out", show(url),
            )  # fmt: skip


def is_simulated(config: Config) -> bool:
    """Checks whether a simulated exchange is followed.

    Args:
        config: its section ``exchange``, and the symbols wanted.

    Returns:
        True if a market that a symbol belongs to is on this machine.
    """
    return any(map(is_loopback, followed_markets(config).values()))


def exchange_label(config: Config) -> str:
    """Names the exchange whose candles a store holds; simulated ones are marked, whatever their port.

    Args:
        config: the configuration.

    Returns:
        The label.
    """
    return "a simulated exchange" if is_simulated(config) else config.exchange.rest_url


def followed_markets(config: Config) -> dict[str, str]:
    """The markets that the configured symbols belong to.

    Args:
        config: its section ``exchange``, and the symbols wanted.

    Returns:
        The address of REST of each, by what names of its symbols begin with; "" comes first if it is among
        them.
    """
    exchange = config.exchange
    names = sorted(set(map(market_of, config.application.symbols)), key=lambda name: (name != "", name))
    return {name: getattr(exchange, name).rest_url if name else exchange.rest_url for name in names}


def contradictions(config: Config) -> list[Finding]:
    """What can't hold together.

    Args:
        config: the whole configuration.

    Returns:
        Each rule that is broken.
    """
    return [
        *_future(config),
        *_one_world(config),
        *_increments(config.volume_profile),
        *_kafka(config),
        *_cluster(config),
        *_sasl(config.kafka.security),
        *_trend(config),
        *_alerts(config),
        *_gateway(config),
        *_proof(config),
        *_parquet(config),
        *(
            finding
            for name, rule in config.alerts.rules.items()
            for finding in rule_findings(config, name, rule)
        ),
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


def _cluster(config: Config) -> Iterator[Finding]:
    """Workers share through Kafka, in transactions."""
    if not config.cluster.enabled:
        return
    if not config.kafka.enabled:
        keys = ("cluster.enabled", "kafka.enabled")
        yield Finding(keys, "needs kafka.enabled", "the workers of a cluster share the symbols through Kafka")
    if config.kafka.acks not in ("all", "-1"):
        keys = ("kafka.acks", "cluster.enabled")
        yield Finding(
            keys, "cannot be with cluster.enabled", 'transactions need acks = "all"', show(config.kafka.acks)
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


def rule_findings(config: Config, name: str, rule: AlertRule) -> Iterator[Finding]:
    """What is wrong with one rule of ``[alerts.rules]``.

    Args:
        config: the rest of the configuration.
        name: of the rule.
        rule: its values, each allowed by itself.

    Yields:
        What they break together, at the keys of the rule.
    """
    above, kind = ("alerts", "rules", name), rule.kind
    keys = {key: key_of(kind_at((*above, key))).needs for key in names_in(above) if key != "kind"}

    def wrong(key: str, message: str, hint: str | None = None) -> Finding:
        return Finding((dotted((*above, key)), dotted((*above, "kind"))), message, hint)

    if kind is None:
        stated = tuple(dotted((*above, key)) for key in keys)
        yield Finding(
            stated, f"is of a rule without a kind: {name}", f"one of {', '.join(get_args(AlertKind))}"
        )
        return
    for key, needs in keys.items():
        if needs is not None and kind not in needs[1] and getattr(rule, key) is not None:
            taken = ", ".join(key for key, needs in keys.items() if needs is None or kind in needs[1])
            yield wrong(key, f"means nothing to {kind}", f"{kind} takes {taken}")
    if kind in HEALTH_KINDS:
        return
    analysis = config.technical_analysis
    timeframes = f"one of {', '.join(map(str, analysis.timeframes))}"
    if not config.application.enable_technical_analysis:
        yield wrong("kind", "needs application.enable_technical_analysis")
        return
    if kind in ("naked_poc_touch", "anchored_vwap_touch"):
        if kind == "anchored_vwap_touch" and rule.anchor is None:
            yield wrong("anchor", "is needed", 'a date or time (UTC), such as "2026-01-01"')
        if not config.volume_profile.enabled and kind == "naked_poc_touch":
            yield wrong("kind", "needs volume_profile.enabled")
        return
    if kind == "price_cross":
        if rule.level is None and rule.price is None:
            either = tuple(dotted((*above, key)) for key in ("kind", "level", "price"))
            hint = "one of poc, vah, val, ema; or price = 100000"
            yield Finding(either, "needs a level, or a price", hint)
        elif rule.level is not None and rule.price is not None:
            yield wrong("price", f"and the level {rule.level} are both given", "keep one of the two")
        elif rule.level != "ema":
            if rule.timeframe is not None or rule.periods is not None:
                key = "periods" if rule.timeframe is None else "timeframe"
                level = "a price" if rule.level is None else f"the level {rule.level}"
                yield wrong(key, f"means nothing to {level}", "leave it out")
            if rule.level is not None and not config.volume_profile.enabled:
                yield wrong("level", "needs volume_profile.enabled")
    if kind in ("delta_above", "delta_below") and rule.delta is not None and rule.delta_percent is not None:
        yield wrong("delta", "and delta_percent are both given", "keep one of the two")
    if kind == "volume_above" or (kind == "price_cross" and rule.level != "ema"):
        return
    if rule.timeframe is None:
        yield wrong("kind", "needs a timeframe", timeframes)
    elif rule.timeframe not in analysis.timeframes:
        message = f"{rule.timeframe} is not one of technical_analysis.timeframes"
        yield wrong("timeframe", message, timeframes)
    if kind in ("delta_above", "delta_below", "cvd_divergence"):
        return
    wanted = 2 if kind == "ema_cross" else 1
    periods = analysis.ema_periods if rule.periods is None else rule.periods
    if rule.periods is not None and len(rule.periods) != wanted:
        yield wrong("periods", f"{kind} compares {'two of them' if wanted == 2 else 'with one'}")
    elif len(periods) < wanted:
        yield wrong("kind", "needs two technical_analysis.ema_periods")
    elif not set(periods) <= set(analysis.ema_periods):
        yield wrong(
            "periods", "are not all technical_analysis.ema_periods",
            f"among {', '.join(map(str, analysis.ema_periods))}",
        )  # fmt: skip


def _alerts(config: Config) -> Iterator[Finding]:
    alerts = config.alerts
    if alerts.kafka and not config.kafka.enabled:
        yield Finding(("alerts.kafka", "kafka.enabled"), "needs kafka.enabled = true")
    if alerts.webhook_url is not None and not is_web_address(alerts.webhook_url.reveal()):
        yield Finding(
            ("alerts.webhook_url",), "is not a web address", 'use the form "https://host/path"', MASK
        )


def _gateway(config: Config) -> Iterator[Finding]:
    if config.gateway.enabled and config.service.socket == "off":
        yield Finding(
            ("gateway.enabled", "service.socket"), "needs the feeder's socket",
            'use socket = "auto", or a path',
        )  # fmt: skip


def _proof(config: Config) -> Iterator[Finding]:
    if config.proof.enabled and config.proof.key_file is None:
        yield Finding(
            ("proof.enabled", "proof.key_file"), "needs a key to sign with",
            "make one with: feeder-tui proof keygen FILE",
        )  # fmt: skip


def _parquet(config: Config) -> Iterator[Finding]:
    settings = config.parquet
    if settings.months_folder is None:
        return
    days, months = settings.folder.absolute(), settings.months_folder.absolute()
    if days == months or days in months.parents or months in days.parents:
        yield Finding(
            ("parquet.months_folder", "parquet.folder"), "a reader of one would find each minute twice",
            "name two folders of which none is in the other",
        )  # fmt: skip


def _exposed(config: Config) -> Iterator[Finding]:
    """What others on the network may read."""
    served = [("service.http_host", config.service.http_host)]
    if config.gateway.enabled:
        served.append(("gateway.host", config.gateway.host))
    for key, host in served:
        if not is_loopback(f"http://{f'[{host}]' if ':' in host else host}"):
            yield Finding(
                (key,), "lets everyone who reaches this machine read what is served, unencrypted",
                "use 127.0.0.1 behind a proxy that asks for a password", show(host),
            )  # fmt: skip
    url = config.alerts.webhook_url
    if url is not None and url.reveal().startswith("http://") and not is_loopback(url.reveal()):
        yield Finding(("alerts.webhook_url",), "is not encrypted", "use https://", MASK)


def doubts(config: Config) -> list[Finding]:
    """What holds, but was hardly meant so.

    Args:
        config: the whole configuration.

    Returns:
        Each value that has no effect, or an unwanted one.
    """
    return [
        *_without_effect(config),
        *_unused_increments(config.volume_profile),
        *_unread_trades(config),
        *_addresses(config),
        *_exposed(config),
    ]


def _without_effect(config: Config) -> Iterator[Finding]:
    """Keys that are accepted and ignored, and those that need another value of a key beside them."""
    usual = Config()
    for key in leaf_names():
        value, stated = value_at(config, key), key_of(kind_at(key))
        if value == value_at(usual, key):
            continue
        if stated.ignored:
            yield Finding((dotted(key),), f"is accepted, but {stated.ignored}", value=show(value))
        if stated.needs is not None:
            name, values = stated.needs
            beside = dotted((*key[:-1], name))
            there = value_at(config, (*key[:-1], name))
            if there is None:
                yield Finding((dotted(key),), f"has no effect without {beside}", f"set {beside}")
            elif values and there not in values:
                message = f"has no effect with {beside} = {show(there)}"
                hint = f"set {beside} to {' or '.join(map(show, values))}"
                yield Finding((dotted(key),), message, hint)


def _unused_increments(profile: VolumeProfile) -> Iterator[Finding]:
    """Increments that the mode does not look at, where they differ from the defaults."""
    modes = {
        "fixed_price_increment": "Fixed",
        "min_price_increment": "Adaptive",
        "max_price_increment": "Adaptive",
    }
    usual = VolumeProfile()
    mode = profile.price_increment_mode
    for name, needed in modes.items():
        value = getattr(profile, name)
        elsewhere = any(
            profile.for_symbol(symbol).price_increment_mode == needed for symbol in profile.asset_overrides
        )
        if mode == "Auto" and value != getattr(usual, name) and not elsewhere:
            yield Finding(
                (f"volume_profile.{name}",), f"has no effect with price_increment_mode = {show(mode)}",
                f'leave it out, or set the mode to "{needed}"', show(value),
            )  # fmt: skip


_MARKET_ADDRESSES = tuple(
    f"{market}.{name}" for market in ("spot", "coinm") for name in ("rest_url", "stream_url", "archive_url")
)


def _unread_trades(config: Config) -> Iterator[Finding]:
    """Symbols of a market whose trades are not read."""
    names = [name for name in config.trades.symbols if market_of(name) in MARKETS_WITHOUT_TRADES]
    if names:
        yield Finding(
            ("trades.symbols",), "is of a market whose trades are not read: they count contracts",
            "take it out; its profiles are those of candles", ", ".join(map(show, names)),
        )  # fmt: skip


def _addresses(config: Config) -> Iterator[Finding]:
    exchange = config.exchange
    for name in ("rest_url", "stream_url", "archive_url", *_MARKET_ADDRESSES):
        url = str(value_at(config, ("exchange", *name.split("."))) or "")
        if url.startswith(("http://", "ws://")) and not is_loopback(url):
            secure = url.replace("://", "s://", 1)
            yield Finding(
                (f"exchange.{name}",), "is not encrypted, so anyone on the way can change the data",
                f"use {secure} if it is served", show(url),
            )  # fmt: skip
    if exchange.clock_rate != 1.0 and not is_simulated(config):
        hint = "leave it at 1.0 but for a simulated exchange"
        yield Finding(
            ("exchange.clock_rate",), "is not the pace of a real exchange", hint, show(exchange.clock_rate)
        )
