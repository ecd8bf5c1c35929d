"""The whole configuration, typed, with the origin of every value.

What reads a whole configuration imports it from here: the sections as frozen values, :func:`load` and
:func:`find_config` to read them from file, environment and flags, :func:`render`, :func:`example` and
:func:`init_file` to show and write them. One section alone is at hand in ``configuration.sections`` too.
"""

from __future__ import annotations

from tui_feeder.configuration.documents import example
from tui_feeder.configuration.files import find_config
from tui_feeder.configuration.printing import init_file, render
from tui_feeder.configuration.problems import ConfigError, InitError, Problem
from tui_feeder.configuration.reading import LoadedConfig, load
from tui_feeder.configuration.sections import (
    AlertRule,
    Alerts,
    Application,
    AssetOverrides,
    Cluster,
    Config,
    Database,
    Exchange,
    File,
    Kafka,
    KafkaSecurity,
    Proof,
    Reprocessing,
    Service,
    TechnicalAnalysis,
    Trades,
    Ui,
    VolumeProfile,
)
from tui_feeder.safe_text import Secret

__all__ = [
    "AlertRule",
    "Alerts",
    "Application",
    "AssetOverrides",
    "Cluster",
    "Config",
    "ConfigError",
    "Database",
    "Exchange",
    "File",
    "InitError",
    "Kafka",
    "KafkaSecurity",
    "LoadedConfig",
    "Problem",
    "Proof",
    "Reprocessing",
    "Secret",
    "Service",
    "TechnicalAnalysis",
    "Trades",
    "Ui",
    "VolumeProfile",
    "example",
    "find_config",
    "init_file",
    "load",
    "render",
]
