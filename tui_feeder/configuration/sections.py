"""The sections of the configuration as frozen, typed values; every default of the program stands here.

A key is a field; its annotation is its whole rule (see :mod:`.values`). Sections hold only
checked values: make them through :func:`tui_feeder.config.load`, or directly in tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct, field
from msgspec.structs import fields, replace

from tui_feeder.configuration.text import Secret
from tui_feeder.configuration.values import (
    Arguments,
    BandPercent,
    Count,
    Days,
    EmaPeriods,
    Factor,
    Few,
    HostNames,
    HttpUrl,
    Increment,
    Levels,
    Line,
    LogLevels,
    Milliseconds,
    Minutes,
    Months,
    Percentage,
    Port,
    ProxyRoute,
    RefreshRate,
    Seconds,
    ServedPort,
    Servers,
    Speed,
    Symbols,
    Timeframe,
    Timeframes,
    TopicPrefix,
    WaitMilliseconds,
    WaitSeconds,
    WebSocketUrl,
    ZeroOrMore,
)

TrendRule: TypeAlias = Literal["closes_vs_ema", "ema_cross"]
PriceIncrementMode: TypeAlias = Literal["Auto", "Fixed", "Adaptive"]
VolumeDistributionMode: TypeAlias = Literal["ClosingPrice", "WeightedOHLC", "HighLowWeighted", "UniformOHLC"]
ValueAreaCalculationMode: TypeAlias = Literal["Traditional", "Greedy"]
CalculationMode: TypeAlias = Literal["Volume", "TPO"]
UpdateFrequency: TypeAlias = Literal["EveryCandle", "Every5Candles", "Every10Candles", "Batched"]
ReprocessingMode: TypeAlias = Literal["missing_days_only", "today_only", "reprocess_whole_history"]
SslMode: TypeAlias = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]
SymbolSet: TypeAlias = Literal["auto", "braille", "block", "ascii"]
AlertKind: TypeAlias = Literal[
    "trend_flip",
    "ema_cross",
    "price_cross",
    "volume_above",
    "gap_open",
    "stream_stale",
    "sink_lag",
    "disk_full",
]
AlertLevel: TypeAlias = Literal["poc", "vah", "val", "ema"]
Colors: TypeAlias = Literal["auto", "truecolor", "256", "16", "none"]


class Application(Struct, frozen=True, kw_only=True):
    """``[application]``: what is followed, where it is kept, how holes in it are found."""

    symbols: Symbols = ("BTCUSDT",)
    timeframes: Timeframes = (60,)
    storage_path: Path = Path("lmdb_data")
    gap_detection_enabled: bool = True
    start_date: datetime | None = None
    """Aware, UTC; without one the history goes back ``technical_analysis.min_history_days``."""
    respect_config_start_date: bool = False
    monthly_threshold_months: Months = 3
    enable_technical_analysis: bool = True
    health_server_port: ServedPort = 8080
    """0 serves nothing."""
    reconnection_gap_threshold_minutes: Minutes = 1
    reconnection_gap_check_delay_seconds: WaitSeconds = 5.0
    periodic_gap_detection_enabled: bool = True
    periodic_gap_check_interval_minutes: Minutes = 5
    periodic_gap_check_window_minutes: Minutes = 30
    recovery_deadline_seconds: Seconds = 20.0
    """How long a bar that lacks minutes waits for them before it completes as partial."""


class TechnicalAnalysis(Struct, frozen=True, kw_only=True):
    """``[technical_analysis]``: the bars and what is computed from them. Timeframes are in seconds."""

    min_history_days: Days = 60
    ema_periods: EmaPeriods = (21, 89)
    timeframes: Timeframes = (60, 300, 900, 3600, 14400)
    volume_lookback_days: Days = 60
    trend_rule: TrendRule = "closes_vs_ema"


class KafkaSecurity(Struct, frozen=True, kw_only=True):
    """``[kafka.security]``: how to prove who we are to the broker, and it to us."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: Line | None = None
    sasl_password: Secret | None = None
    sasl_password_file: Path | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None


class Kafka(Struct, frozen=True, kw_only=True):
    """``[kafka]``: the topic of computed messages; the producer's keys mean what they mean in Kafka."""

    enabled: bool = False
    bootstrap_servers: Servers = ("localhost:9092",)
    topic_prefix: TopicPrefix = "ta_"
    client_id: Line = "feeder-tui"
    acks: Literal["all", "-1", "1", "0"] = "all"
    retries: ZeroOrMore = 3
    max_in_flight_requests_per_connection: Count = 1
    compression_type: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "snappy"
    batch_size: ZeroOrMore = 16_384
    """Bytes."""
    linger_ms: WaitMilliseconds = 10
    request_timeout_ms: Milliseconds = 30_000
    delivery_timeout_ms: Milliseconds = 120_000
    outbox_max_mb: Count = 512
    """Bound on what waits, of each topic by itself."""
    candles_topic: bool = False
    """Also publish closed bars of all timeframes, to ``{topic_prefix}candles``."""
    security: KafkaSecurity = field(default_factory=KafkaSecurity)


class Database(Struct, frozen=True, kw_only=True):
    """``[database]``: the PostgreSQL mirror."""

    enabled: bool = False
    host: Line = "localhost"
    port: Port = 5432
    database: Line = "crypto_data"
    username: Line = "postgres"
    password: Secret | None = None
    password_file: Path | None = None
    ssl_mode: SslMode = "prefer"
    ssl_cafile: Path | None = None
    max_connections: Few = 10
    connection_timeout_seconds: Seconds = 30.0
    batch_size: Count = 1_000
    """Candles."""
    batch_timeout_seconds: Seconds = 5.0


class File(Struct, frozen=True, kw_only=True):
    """``[file]``: the messages as JSON lines in files that rotate."""

    enabled: bool = False
    path: Path = Path("messages")
    """A directory."""
    candles: bool = False
    """Also closed bars of all timeframes, in files of their own."""
    rotate_mb: Count = 256
    rotate_minutes: ZeroOrMore = 1_440
    """0: by size alone."""
    keep: ZeroOrMore = 0
    """Files kept beside the newest, of each topic; 0: all."""
    compression: Literal["none", "gzip", "zstd"] = "gzip"
    """Of the files that are over."""


class AssetOverrides(Struct, frozen=True, kw_only=True):
    """``[volume_profile.asset_overrides.SYMBOL]``: what differs from ``[volume_profile]`` for one symbol."""

    enabled: bool | None = None
    price_increment_mode: PriceIncrementMode | None = None
    target_price_levels: Levels | None = None
    fixed_price_increment: Increment | None = None
    min_price_increment: Increment | None = None
    max_price_increment: Increment | None = None
    volume_distribution_mode: VolumeDistributionMode | None = None
    value_area_calculation_mode: ValueAreaCalculationMode | None = None
    calculation_mode: CalculationMode | None = None
    update_frequency: UpdateFrequency | None = None
    batch_size: Count | None = None
    value_area_percentage: Percentage | None = None
    historical_days: Days | None = None


class Reprocessing(Struct, frozen=True, kw_only=True):
    """``[volume_profile.reprocessing]``: which stored days are built again at a start."""

    mode: ReprocessingMode = "missing_days_only"


class VolumeProfile(Struct, frozen=True, kw_only=True):
    """``[volume_profile]``: the profile of a UTC day. Increments are in quote currency."""

    enabled: bool = True
    price_increment_mode: PriceIncrementMode = "Auto"
    """Where only ``fixed_price_increment`` is stated, it is read as ``Fixed``."""
    target_price_levels: Levels = 200
    fixed_price_increment: Increment = 0.01
    min_price_increment: Increment = 0.001
    max_price_increment: Increment = 1.0
    volume_distribution_mode: VolumeDistributionMode = "WeightedOHLC"
    value_area_calculation_mode: ValueAreaCalculationMode = "Traditional"
    calculation_mode: CalculationMode = "Volume"
    update_frequency: UpdateFrequency = "EveryCandle"
    batch_size: Count = 1
    """Candles between two publications when ``update_frequency`` is ``Batched``."""
    value_area_percentage: Percentage = 70.0
    historical_days: Days = 60
    asset_overrides: Mapping[str, AssetOverrides] = field(default_factory=dict)
    reprocessing: Reprocessing = field(default_factory=Reprocessing)

    def for_symbol(self, symbol: str) -> VolumeProfile:
        """These settings as they hold for ``symbol``: its overrides applied, none left over."""
        changes: dict[str, object] = {"asset_overrides": {}}
        overrides = self.asset_overrides.get(symbol)
        if overrides is not None:
            for entry in fields(overrides):
                value = getattr(overrides, entry.name)
                if value is not None:
                    changes[entry.name] = value
        return replace(self, **changes)


class Exchange(Struct, frozen=True, kw_only=True):
    """``[exchange]``: where the exchange is. The URLs carry no trailing slash; routes are appended."""

    rest_url: HttpUrl = "https://fapi.binance.com"
    stream_url: WebSocketUrl = "wss://fstream.binance.com"
    archive_url: HttpUrl = "https://data.binance.vision"
    proxy: ProxyRoute | None = None
    """On the way to all three; "none" for none; without it the environment decides."""
    clock_rate: Speed = 1.0
    """Seconds the exchange's clock moves in a second; other than 1 on simulated exchanges only."""
    request_timeout_seconds: Seconds = 10.0
    archive_concurrency: Few = 4


class Ui(Struct, frozen=True, kw_only=True):
    """``[ui]``: the screen."""

    refresh_hz: RefreshRate = 4.0
    slow: bool = False
    theme: Line = "feeder-dark"
    symbol_set: SymbolSet = "auto"
    colors: Colors = "auto"


class AlertRule(Struct, frozen=True, kw_only=True):
    """``[alerts.rules.NAME]``: one thing to watch. What a kind does not use must be left out."""

    kind: AlertKind | None = None
    """Every rule states it."""
    symbols: Symbols = ("ALL",)
    """Names and patterns; of ``sink_lag`` and ``disk_full`` they mean nothing."""
    timeframe: Timeframe | None = None
    """Seconds."""
    level: AlertLevel | None = None
    periods: EmaPeriods | None = None
    quantile: Literal["q25", "q50", "q75", "q90"] | None = None
    measure: Literal["volume", "taker_buy_volume", "avg_trade", "trade_count"] | None = None
    factor: Factor | None = None
    seconds: Seconds | None = None
    """How long trouble lasts before it is told: 300 for gaps and streams, 120 for sinks."""
    hysteresis_percent: BandPercent | None = None
    """How far a level must be passed, in percent of it; 0.1 where nothing is said."""
    cooldown_seconds: WaitSeconds | None = None


class Alerts(Struct, frozen=True, kw_only=True):
    """``[alerts]``: what is worth a call, and whom to call."""

    rules: Mapping[str, AlertRule] = field(default_factory=dict)
    """By name; none: nothing is watched."""
    cooldown_seconds: WaitSeconds = 300.0
    """Exchange time between two alerts of one rule about the same symbol."""
    bell: bool = True
    kafka: bool = False
    """Also to the topic ``{kafka.topic_prefix}alerts``."""
    webhook_url: Secret | None = None
    webhook_url_file: Path | None = None
    webhook_timeout_seconds: Seconds = 10.0
    webhook_retries: ZeroOrMore = 3
    command: Arguments = ()
    """A program and its arguments, run without a shell; none: nothing is run."""
    command_timeout_seconds: Seconds = 10.0


class Service(Struct, frozen=True, kw_only=True):
    """``[service]``: running as a process."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_levels: LogLevels = ()
    """Of single modules and what is below them; others have ``log_level``."""
    log_format: Literal["human", "json"] = "human"
    log_file: Path | None = None
    """Instead of stderr, or with a screen instead of the one in the user's state directory."""
    log_rotate_mb: Count = 5
    log_keep: Few = 3
    """Rotated files beside the one that is written."""
    shutdown_timeout_seconds: Seconds = 10.0
    socket: Line = "auto"
    """Unix socket that ``attach`` and ``status`` find: "auto", "off" or a path."""
    http_host: Line = "127.0.0.1"
    """Address the HTTP of ``application.health_server_port`` is served on."""
    allowed_hosts: HostNames = ()
    """Names it is asked under beside its own, as by Prometheus in a cluster."""
    ready_sink_lag_seconds: Seconds = 120.0
    """A sink further behind than this is not ready."""
    ready_free_mb: Count = 200
    """Less room on the store's disk than this is not ready."""


class Config(Struct, frozen=True, kw_only=True):
    """The whole configuration, a section a field; attribute names are the keys of the file."""

    application: Application = field(default_factory=Application)
    technical_analysis: TechnicalAnalysis = field(default_factory=TechnicalAnalysis)
    kafka: Kafka = field(default_factory=Kafka)
    database: Database = field(default_factory=Database)
    file: File = field(default_factory=File)
    volume_profile: VolumeProfile = field(default_factory=VolumeProfile)
    exchange: Exchange = field(default_factory=Exchange)
    ui: Ui = field(default_factory=Ui)
    alerts: Alerts = field(default_factory=Alerts)
    service: Service = field(default_factory=Service)
