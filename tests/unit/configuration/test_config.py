from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import fields, replace
from places import OLD_CONFIG

from tui_feeder.config import Config, LoadedConfig, load
from tui_feeder.configuration.keys import dotted, kind_at, leaf_names, needing_restart
from tui_feeder.configuration.values import key_of

#: The contract's keys and defaults, copied by hand from the specification, not from the program.
CONTRACT: dict[str, dict[str, Any]] = {
    "application": {
        "symbols": ("BTCUSDT",),
        "timeframes": (60,),
        "storage_path": Path("lmdb_data"),
        "gap_detection_enabled": True,
        "start_date": None,
        "respect_config_start_date": False,
        "monthly_threshold_months": 3,
        "enable_technical_analysis": True,
        "health_server_port": 8080,
        "reconnection_gap_threshold_minutes": 1,
        "reconnection_gap_check_delay_seconds": 5,
        "periodic_gap_detection_enabled": True,
        "periodic_gap_check_interval_minutes": 5,
        "periodic_gap_check_window_minutes": 30,
        "recovery_deadline_seconds": 20,
    },
    "technical_analysis": {
        "min_history_days": 60,
        "ema_periods": (21, 89),
        "timeframes": (60, 300, 900, 3600, 14400),
        "volume_lookback_days": 60,
        "trend_rule": "closes_vs_ema",
    },
    "kafka": {
        "enabled": False,
        "bootstrap_servers": ("localhost:9092",),
        "topic_prefix": "ta_",
        "client_id": "feeder-tui",
        "acks": "all",
        "retries": 3,
        "max_in_flight_requests_per_connection": 1,
        "compression_type": "snappy",
        "batch_size": 16384,
        "linger_ms": 10,
        "request_timeout_ms": 30000,
        "delivery_timeout_ms": 120000,
        "outbox_max_mb": 512,
        "candles_topic": False,
    },
    "kafka.security": {
        "protocol": "PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_username": None,
        "sasl_password": None,
        "sasl_password_file": None,
        "ssl_cafile": None,
        "ssl_certfile": None,
        "ssl_keyfile": None,
    },
    "database": {
        "enabled": False,
        "host": "localhost",
        "port": 5432,
        "database": "crypto_data",
        "username": "postgres",
        "password": None,
        "password_file": None,
        "ssl_mode": "prefer",
        "ssl_cafile": None,
        "max_connections": 10,
        "connection_timeout_seconds": 30,
        "batch_size": 1000,
        "batch_timeout_seconds": 5,
    },
    "file": {
        "enabled": False,
        "path": Path("messages"),
        "candles": False,
        "rotate_mb": 256,
        "rotate_minutes": 1440,
        "keep": 0,
        "compression": "gzip",
    },
    "volume_profile": {
        "enabled": True,
        "price_increment_mode": "Auto",
        "target_price_levels": 200,
        "fixed_price_increment": 0.01,
        "min_price_increment": 0.001,
        "max_price_increment": 1.0,
        "volume_distribution_mode": "WeightedOHLC",
        "value_area_calculation_mode": "Traditional",
        "calculation_mode": "Volume",
        "update_frequency": "EveryCandle",
        "batch_size": 1,
        "value_area_percentage": 70.0,
        "historical_days": 60,
    },
    "volume_profile.reprocessing": {"mode": "missing_days_only"},
    "exchange": {
        "rest_url": "https://fapi.binance.com",
        "stream_url": "wss://fstream.binance.com",
        "archive_url": "https://data.binance.vision",
        "proxy": None,
        "clock_rate": 1.0,
        "request_timeout_seconds": 10,
        "archive_concurrency": 4,
    },
    "ui": {"refresh_hz": 4, "slow": False, "theme": "feeder-dark", "symbol_set": "auto", "colors": "auto"},
    "alerts": {
        "cooldown_seconds": 300,
        "bell": True,
        "kafka": False,
        "webhook_url": None,
        "webhook_url_file": None,
        "webhook_timeout_seconds": 10,
        "webhook_retries": 3,
        "command": (),
        "command_timeout_seconds": 10,
    },
    "service": {
        "log_level": "info",
        "log_levels": (),
        "log_format": "human",
        "log_file": None,
        "log_rotate_mb": 5,
        "log_keep": 3,
        "shutdown_timeout_seconds": 10,
        "socket": "auto",
        "http_host": "127.0.0.1",
        "allowed_hosts": (),
        "ready_sink_lag_seconds": 120,
        "ready_free_mb": 200,
    },
    "gateway": {
        "enabled": False,
        "host": "127.0.0.1",
        "port": 8090,
        "allowed_hosts": (),
        "unfollowed": "refuse",
        "follow_at_most": 20,
        "forward": ("depth", "premiumIndex", "fundingRate", "openInterest", "aggTrades"),
        "forward_cache_ms": 1000,
        "serve_unconfirmed": False,
        "client_requests_per_minute": 120_000,
        "max_connections": 512,
        "cache_mb": 64,
    },
}


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def load_text(folder: Path, text: str, **environ: str) -> LoadedConfig:
    return load(write(folder, text), environ=environ)


def leaves(section: object, above: str = "") -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    own: dict[str, object] = {}
    assert isinstance(section, Struct)
    for field in fields(section):
        value = getattr(section, field.name)
        name = f"{above}.{field.name}" if above else field.name
        if isinstance(value, Struct):
            found |= leaves(value, name)
        elif field.name not in ("asset_overrides", "rules"):
            own[field.name] = value
    return found | ({above: own} if above else {})


def test_keys_and_defaults_are_those_of_the_contract() -> None:
    found = leaves(Config())
    for section, keys in CONTRACT.items():
        assert {name: found[section].get(name) for name in keys} == keys


@pytest.mark.parametrize(
    "text",
    ['"2025-01-01"', "2025-01-01", '"2025-01-01T00:00:00"', "2025-01-01T00:00:00", '"2025-01-01 00:00Z"'],
)
def test_history_may_begin_at_a_date_as_on_the_command_line(tmp_path: Path, text: str) -> None:
    loaded = load(write(tmp_path, f"[application]\nstart_date = {text}\n"), environ={})
    assert loaded.config.application.start_date == datetime(2025, 1, 1, tzinfo=UTC)
    loaded = load(None, environ={"FEEDER_APPLICATION__START_DATE": text.strip('"')})
    assert loaded.config.application.start_date == datetime(2025, 1, 1, tzinfo=UTC)


def test_no_file_and_no_environment_give_the_defaults() -> None:
    loaded = load(None, environ={"HOME": "/nowhere", "PATH": "/bin"})
    assert loaded.config == Config()
    assert loaded.warnings == ()
    assert set(loaded.origins.values()) == {"default"}
    names = {f"{section}.{key}" for section, keys in leaves(Config()).items() for key in keys}
    assert set(loaded.origins) == names


def test_keys_that_a_reload_does_not_take_over_are_named(tmp_path: Path) -> None:
    before = Config()
    text = """[application]
symbols = ["ETHUSDT"]
[kafka]
acks = "1"
[kafka.security]
protocol = "SSL"
[volume_profile.asset_overrides]
ETHUSDT = { batch_size = 2 }
[alerts]
cooldown_seconds = 5
[alerts.rules]
gap = { kind = "gap_open" }
[service]
log_level = "debug"
"""
    after = load_text(tmp_path, text).config
    left = ["kafka.acks", "kafka.security.protocol", "volume_profile.asset_overrides"]
    assert needing_restart(before, after) == left
    assert needing_restart(after, after) == []


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Config().application.symbols = ("ETHUSDT",)


def test_values_of_every_kind_are_taken(tmp_path: Path) -> None:
    text = """
[application]
symbols = ["币安人生USDT", "1000PEPEUSDT", "BTCUSDT_260327", "ALL", "*USDT"]
start_date = 2025-01-01T01:00:00+01:00
storage_path = "~/candles"
recovery_deadline_seconds = 2
[technical_analysis]
ema_periods = [89, 21, 5]
[kafka]
bootstrap_servers = ["[::1]:9092", "broker_1.local:9093"]
topic_prefix = ""
[exchange]
rest_url = "http://127.0.0.1:8000/"
stream_url = "ws://localhost:8000/x/"
archive_url = "http://[::1]:1"
clock_rate = 60
[volume_profile.asset_overrides.'币安人生USDT']
value_area_percentage = 100
"""
    loaded = load_text(tmp_path, text)
    config = loaded.config
    assert config.application.symbols == ("币安人生USDT", "1000PEPEUSDT", "BTCUSDT_260327", "ALL", "*USDT")
    assert config.application.start_date == datetime(2025, 1, 1, tzinfo=UTC)
    assert config.application.storage_path == Path.home() / "candles"
    assert type(config.application.recovery_deadline_seconds) is float
    assert config.technical_analysis.ema_periods == (89, 21, 5)
    assert config.kafka.bootstrap_servers[0] == "[::1]:9092"
    assert config.exchange.rest_url == "http://127.0.0.1:8000"
    assert config.exchange.stream_url == "ws://localhost:8000/x"
    assert config.volume_profile.asset_overrides["币安人生USDT"].value_area_percentage == 100.0
    assert loaded.warnings == ()


def test_overrides_of_a_symbol_hold_for_it_alone(tmp_path: Path) -> None:
    text = """[volume_profile]
target_price_levels = 300
[volume_profile.asset_overrides]
ETHUSDT = { price_increment_mode = "Adaptive" }
[volume_profile.asset_overrides.BTCUSDT]
calculation_mode = "TPO"
"""
    variable = "FEEDER_VOLUME_PROFILE__ASSET_OVERRIDES__BTCUSDT__FIXED_PRICE_INCREMENT"
    loaded = load_text(tmp_path, text, **{variable: "1.0"})
    profile = loaded.config.volume_profile
    plain = replace(profile, asset_overrides={})
    assert profile.for_symbol("SOLUSDT") == plain
    assert profile.for_symbol("ETHUSDT") == replace(plain, price_increment_mode="Adaptive")
    assert profile.for_symbol("BTCUSDT") == replace(
        plain, calculation_mode="TPO", price_increment_mode="Fixed", fixed_price_increment=1.0
    )
    above = "volume_profile.asset_overrides.BTCUSDT"
    assert loaded.origins[f"{above}.fixed_price_increment"] == f"environment {variable}"
    assert loaded.origins[f"{above}.calculation_mode"].endswith(":6")


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", "Auto"),
        ("fixed_price_increment = 0.5", "Fixed"),  # the older program's default mode, stated by what it needs
        ('fixed_price_increment = 0.5\nprice_increment_mode = "Auto"', "Auto"),
        ('fixed_price_increment = 0.5\nprice_increment_mode = "Adaptive"', "Adaptive"),
    ],
)
def test_a_fixed_increment_that_is_stated_alone_holds(tmp_path: Path, text: str, mode: str) -> None:
    loaded = load_text(tmp_path, f"[volume_profile]\n{text}")
    assert loaded.config.volume_profile.price_increment_mode == mode
    if mode == "Fixed":
        assert loaded.origins["volume_profile.price_increment_mode"].endswith(":2")


def test_a_file_of_the_older_program_loads_unchanged() -> None:
    path = OLD_CONFIG
    loaded = load(path, environ={})
    config = loaded.config
    assert config.application.symbols == ("BTCUSDT", "ETHUSDT", "1000PEPEUSDT")
    assert config.application.reconnection_gap_threshold_minutes == 2
    assert config.application.start_date == datetime(2025, 1, 1, tzinfo=UTC)
    assert config.database.host == "db.internal"
    assert config.database.password is not None
    assert config.database.password.reveal() == "your_password"
    assert config.kafka.client_id == "data_feeder_rust"
    assert config.volume_profile.max_price_increment == 1.0
    assert config.volume_profile.for_symbol("BTCUSDT").fixed_price_increment == 10.0
    lines = path.read_text().splitlines()
    dead = [n for n, line in enumerate(lines, 1) if re.match(r"enabled|batch_size|\w+ = ", line)]
    sections = {n: line for n, line in enumerate(lines, 1) if line.startswith("[")}
    unused = {"[logging]", "[historical_validation]", "[adaptive]", "[adaptive.overrides]"}
    expected = [n for n in dead if sections[max(s for s in sections if s < n)] in unused]
    reprocessing = lines.index("[volume_profile.reprocessing]") + 1
    expected += [reprocessing + 1, reprocessing + 3]
    older = [w for w in loaded.warnings if "older program" in w.message]
    assert sorted(w.line or 0 for w in older) == sorted(expected)
    assert all(w.hint for w in older)
    # Keys that this version takes and does not use are told too, and nothing else is.
    assert {w.key for w in loaded.warnings if w not in older} <= {
        dotted(key) for key in leaf_names() if key_of(kind_at(key)).ignored
    }
