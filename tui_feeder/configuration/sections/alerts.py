"""``[alerts]``: conditions to watch, and where alerts go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from msgspec import Struct, field

from tui_feeder.configuration.forms import Arguments, EmaPeriods, RuleName, Seconds, Symbols, Timeframe
from tui_feeder.configuration.values import Key
from tui_feeder.safe_text import Secret

AlertKind: TypeAlias = Literal[
    "trend_flip",
    "ema_cross",
    "price_cross",
    "volume_above",
    "naked_poc_touch",
    "anchored_vwap_touch",
    "delta_above",
    "delta_below",
    "cvd_divergence",
    "gap_open",
    "stream_stale",
    "sink_lag",
    "disk_full",
    "cluster_degraded",
]
#: Those that look at the feeder, not at its numbers.
HEALTH_KINDS: tuple[AlertKind, ...] = (
    "gap_open",
    "stream_stale",
    "sink_lag",
    "disk_full",
    "cluster_degraded",
)
_ON_DELTA = ("kind", ("delta_above", "delta_below"))
_ON_BARS = (
    "kind", ("trend_flip", "ema_cross", "price_cross", "delta_above", "delta_below", "cvd_divergence"),
)  # fmt: skip
_ON_LEVELS = ("kind", ("ema_cross", "price_cross", "volume_above", "anchored_vwap_touch"))
_ON_VOLUME = ("kind", ("volume_above",))


class AlertRule(Struct, frozen=True):
    """One condition to watch. Keys that its kind does not use must be left out."""

    kind: Annotated[AlertKind | None, Key("what to watch; every rule states it")] = None
    symbols: Annotated[
        Symbols, Key("names and patterns; sink_lag, disk_full and cluster_degraded ignore them")
    ] = ("ALL",)
    timeframe: Annotated[
        Timeframe | None,
        Key("bars to watch, one of technical_analysis.timeframes", unit="seconds", needs=_ON_BARS),
    ] = None
    level: Annotated[
        Literal["poc", "vah", "val", "ema"] | None,
        Key("the level to cross; none where a price is stated", needs=("kind", ("price_cross",))),
    ] = None
    price: Annotated[
        float | None,
        Key("the price to cross, in the place of a level", 1e-12, 1e12, needs=("kind", ("price_cross",))),
    ] = None
    anchor: Annotated[
        datetime | None,
        Key("where the VWAP begins, a date or time (UTC)", needs=("kind", ("anchored_vwap_touch",))),
    ] = None
    periods: Annotated[
        EmaPeriods | None,
        Key(
            "EMAs to compare; unset: the shortest and the longest of ema_periods",
            unit="closes",
            needs=("kind", ("ema_cross", "price_cross")),
        ),
    ] = None
    quantile: Annotated[
        Literal["q25", "q50", "q75", "q90"] | None, Key("what to exceed; unset: q90", needs=_ON_VOLUME)
    ] = None
    measure: Annotated[
        Literal["volume", "taker_buy_volume", "avg_trade", "trade_count"] | None,
        Key("what to compare; unset: volume", needs=_ON_VOLUME),
    ] = None
    factor: Annotated[
        float | None, Key("multiple of the quantile; unset: 1.0", 1e-6, 1e6, needs=_ON_VOLUME)
    ] = None
    delta: Annotated[
        float | None,
        Key(
            "the delta of a bar to exceed, base asset; for delta_below negative", -1e15, 1e15, needs=_ON_DELTA
        ),
    ] = None
    delta_percent: Annotated[
        float | None,
        Key(
            "the same in percent of the bar's volume; unset: 50, of delta_below -50",
            -100,
            100,
            needs=_ON_DELTA,
        ),
    ] = None
    seconds: Annotated[
        Seconds | None,
        Key(
            "how long the condition lasts first; unset: 300, sink_lag 120, disk_full and cluster_degraded 30",
            needs=("kind", HEALTH_KINDS),
        ),
    ] = None
    hysteresis_percent: Annotated[
        float | None,
        Key("how far a level must be passed, in percent of it; unset: 0.1", 0, 50, needs=_ON_LEVELS),
    ] = None
    cooldown_seconds: Annotated[
        float | None, Key("time between two alerts about a symbol; unset: alerts.cooldown_seconds", 0, 86_400)
    ] = None


class Alerts(Struct, frozen=True):
    """Conditions to watch, and where alerts go."""

    cooldown_seconds: Annotated[
        float, Key("time between two alerts of one rule about the same symbol", 0, 86_400, reload=True)
    ] = 300.0
    bell: Annotated[bool, Key("ring the terminal's bell")] = True
    kafka: Annotated[bool, Key('publish to the topic of kafka.topic_prefix and "alerts" too')] = False
    webhook_url: Annotated[
        Secret | None,
        Key(
            "address to POST each alert to as JSON; better in a variable or the next key",
            example='"https://example.org/hook"',
        ),
    ] = None
    webhook_url_file: Annotated[
        Path | None, Key("file that holds nothing but the address", example='"/run/secrets/webhook"')
    ] = None
    webhook_timeout_seconds: Annotated[Seconds, Key("how long one try may take")] = 10.0
    webhook_retries: Annotated[int, Key("tries after the first", 0, 2_147_483_647)] = 3
    command: Annotated[
        Arguments, Key("a program and arguments, no shell; {text} is the alert, stdin its JSON")
    ] = ()
    command_timeout_seconds: Annotated[Seconds, Key("how long the program may run")] = 10.0
    rules: Annotated[
        Mapping[RuleName, AlertRule],
        Key(
            "a table per rule, with a name of your own; none: nothing is watched",
            reload=True,
            example="""btc-trend = { kind = "trend_flip", symbols = ["BTCUSDT"], timeframe = 3600 }
ema-cross = { kind = "ema_cross", timeframe = 900, periods = [21, 89], hysteresis_percent = 0.05 }
value-area = { kind = "price_cross", level = "vah", hysteresis_percent = 0.1 }  # "poc", "vah", "val"
round-number = { kind = "price_cross", symbols = ["BTCUSDT"], price = 100000.0, hysteresis_percent = 0.05 }
mean-4h = { kind = "price_cross", level = "ema", timeframe = 14400, periods = [89] }
naked-poc = { kind = "naked_poc_touch", symbols = ["BTCUSDT"], cooldown_seconds = 0 }
since-january = { kind = "anchored_vwap_touch", symbols = ["BTCUSDT"], anchor = "2026-01-01" }
big-volume = { kind = "volume_above", symbols = ["BTC*"], quantile = "q90", factor = 5.0 }
takers-sell = { kind = "delta_below", timeframe = 300, delta_percent = -60 }
cvd-divergence = { kind = "cvd_divergence", timeframe = 900 }
long-gap = { kind = "gap_open", seconds = 300 }
no-frames = { kind = "stream_stale", seconds = 300, cooldown_seconds = 3600 }
sink-behind = { kind = "sink_lag", seconds = 120 }
disk-full = { kind = "disk_full", seconds = 30 }
no-group = { kind = "cluster_degraded", seconds = 30 }""",
        ),
    ] = field(default_factory=dict)
