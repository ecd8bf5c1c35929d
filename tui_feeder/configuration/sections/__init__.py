"""The sections of the configuration as frozen, typed values, with every default.

Those of the keys of an alert rule depend on its kind and stand in ``engine/alerts/settings.py``.

A key is a field: its type, its :class:`~tui_feeder.configuration.values.Key` with sentence, range and unit,
and its default. Nothing else has to be written for it: see docs/contributing.md. Sections hold checked values
only: make them through :func:`tui_feeder.config.load`, or directly in tests.
"""

from __future__ import annotations

from msgspec import Struct

from tui_feeder.configuration.sections.alerts import AlertRule, Alerts
from tui_feeder.configuration.sections.application import Application
from tui_feeder.configuration.sections.cluster import Cluster
from tui_feeder.configuration.sections.exchange import Exchange
from tui_feeder.configuration.sections.file import File
from tui_feeder.configuration.sections.gateway import Gateway
from tui_feeder.configuration.sections.kafka import Kafka, KafkaSecurity
from tui_feeder.configuration.sections.parquet import Parquet
from tui_feeder.configuration.sections.postgres_mirror import Database
from tui_feeder.configuration.sections.proof import Proof
from tui_feeder.configuration.sections.service import Service
from tui_feeder.configuration.sections.technical_analysis import TechnicalAnalysis
from tui_feeder.configuration.sections.trades import Trades
from tui_feeder.configuration.sections.ui import Ui
from tui_feeder.configuration.sections.volume_profile import AssetOverrides, Reprocessing, VolumeProfile

__all__ = [
    "AlertRule",
    "Alerts",
    "Application",
    "AssetOverrides",
    "Cluster",
    "Config",
    "Database",
    "Exchange",
    "File",
    "Gateway",
    "Kafka",
    "KafkaSecurity",
    "Parquet",
    "Proof",
    "Reprocessing",
    "Service",
    "TechnicalAnalysis",
    "Trades",
    "Ui",
    "VolumeProfile",
]


class Config(Struct, frozen=True):
    """The whole configuration, a section a field; attribute names are the keys of the file."""

    application: Application = Application()
    technical_analysis: TechnicalAnalysis = TechnicalAnalysis()
    kafka: Kafka = Kafka()
    cluster: Cluster = Cluster()
    database: Database = Database()
    file: File = File()
    proof: Proof = Proof()
    parquet: Parquet = Parquet()
    volume_profile: VolumeProfile = VolumeProfile()
    trades: Trades = Trades()
    exchange: Exchange = Exchange()
    ui: Ui = Ui()
    alerts: Alerts = Alerts()
    service: Service = Service()
    gateway: Gateway = Gateway()
