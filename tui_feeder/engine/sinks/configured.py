"""The sinks of a configuration. What an enabled one needs is imported here, and nothing else is."""

from __future__ import annotations

import importlib

from tui_feeder.config import Config
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.store import Store


def configured_sinks(config: Config, store: Store) -> list[Sink]:
    """Make the enabled sinks; the outbox is opened if one of them needs it.

    Raises:
        SinkError: a package is missing, with the command that installs it.
    """
    sinks: list[Sink] = []
    if config.kafka.enabled:
        _require_kafka(config)
        from tui_feeder.engine.sinks.kafka import KafkaSink

        outbox = store.open_outbox([KafkaSink.name], config.kafka.outbox_max_mb)
        sinks.append(KafkaSink(config.kafka, outbox))
    if config.database.enabled:
        _require("database", "postgres", "asyncpg")
        from tui_feeder.engine.sinks.postgres import PostgresSink

        sinks.append(PostgresSink(config, store))
    return sinks


async def look(config: Config) -> dict[str, list[str] | SinkError | None]:
    """What each sink finds where it would go, or why it cannot; None for one that is off."""
    found: dict[str, list[str] | SinkError | None] = {"kafka": None, "postgres": None}
    if config.kafka.enabled:
        try:
            _require_kafka(config)
            from tui_feeder.engine.sinks import kafka_cluster

            found["kafka"] = await kafka_cluster.look(config.kafka, f"{config.kafka.topic_prefix}data")
        except SinkError as error:
            found["kafka"] = error
    if config.database.enabled:
        try:
            _require("database", "postgres", "asyncpg")
            from tui_feeder.engine.sinks import postgres_tables

            found["postgres"] = await postgres_tables.look(config.database)
        except SinkError as error:
            found["postgres"] = error
    return found


def _require_kafka(config: Config) -> None:
    packed = config.kafka.compression_type in ("snappy", "lz4", "zstd")
    _require("kafka", "kafka", "aiokafka", *(["cramjam"] if packed else []))


def _require(section: str, extra: str, *packages: str) -> None:
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise SinkError(
                f"{section}.enabled needs the package {package}: pip install 'feeder-tui[{extra}]'"
            ) from error
