"""The kinds of sinks, an entry each: start, checks, backlogs, ``doctor`` and ``sinks`` follow from it.

What a kind needs is imported where it is made or checked, and nothing else is. See docs/contributing.md,
"How to add a sink".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tui_feeder.config import Config
from tui_feeder.engine.sinks import StoreSink
from tui_feeder.engine.sinks.draining import DrainingSink, sink_name
from tui_feeder.engine.storage.outbox import Outbox
from tui_feeder.engine.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkKind:
    """A kind of sink, whatever it takes its messages from."""

    name: str  # one small word: its messages wait under it, screens and metrics show it
    title: str  # for people
    section: str  # of the configuration; it has a key "enabled"
    enabled: Callable[[Config], bool]  # that key
    remedy: str  # where it does not work
    #: Reports what is where it would deliver to, a line each, and changes nothing; raises SinkError. The
    #: store is open for reading; None where there is none.
    check: Callable[[Config, Store | None], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSinkKind(SinkKind):
    """A kind whose sinks each drain the outbox of a topic: ``sinks.draining.DrainingSink``."""

    topics: Callable[[Config], tuple[str, ...]]  # "data", "candles", "alerts": which of them it takes
    make: Callable[[Config, Outbox], DrainingSink | None]  # None where another part delivers the messages

    def taken(self, config: Config) -> tuple[str, ...]:
        """Lists the topics that it takes.

        Args:
            config: the configuration.

        Returns:
            Names of topics; none where it is disabled.
        """
        return self.topics(config) if self.enabled(config) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSinkKind(SinkKind):
    """A kind whose one sink reads the store and finds out itself what is missing."""

    make: Callable[[Config, Store], StoreSink]


def kafka_topics(config: Config) -> tuple[str, ...]:
    """Lists what is published to Kafka where it is enabled.

    Args:
        config: the configuration.

    Returns:
        Topics, without their prefix.
    """
    candles = ("candles",) if config.kafka.candles_topic else ()
    alerts = ("alerts",) if config.alerts.kafka else ()
    return ("data", *candles, *alerts)


def _kafka(config: Config, outbox: Outbox) -> DrainingSink | None:
    if config.cluster.enabled:  # there its worker publishes
        return None
    from tui_feeder.engine.sinks.kafka import KafkaSink

    return KafkaSink(config.kafka, outbox)


async def _check_kafka(config: Config, store: Store | None) -> list[str]:
    from tui_feeder.engine.sinks import kafka_cluster

    prefix, topics = config.kafka.topic_prefix, kafka_topics(config)
    waiting = {
        prefix + topic: largest
        for topic in topics
        if store is not None
        and (largest := store.largest_waiting(topic, sink_name("kafka", topic))) is not None
    }
    return await kafka_cluster.check_broker(config.kafka, [prefix + topic for topic in topics], waiting)


def _postgres(config: Config, store: Store) -> StoreSink:
    from tui_feeder.engine.sinks.postgres import PostgresSink

    return PostgresSink(config, store)


async def _check_postgres(config: Config, store: Store | None) -> list[str]:
    from tui_feeder.engine.sinks import mirror_compare

    return await mirror_compare.check(config, store)


def _file_topics(config: Config) -> tuple[str, ...]:
    candles = ("candles",) if config.file.candles else ()
    alerts = ("alerts",) if config.alerts.rules else ()
    return ("data", *candles, *alerts)


def _file(config: Config, outbox: Outbox) -> DrainingSink:
    from tui_feeder.engine.sinks.file import FileSink

    return FileSink(config.file, outbox)


async def _check_file(config: Config, _: Store | None) -> list[str]:
    from tui_feeder.engine.sinks import file

    return file.check_files(config.file, _file_topics(config))


#: Every kind, in the order they are reported.
SINKS: tuple[OutboxSinkKind | StoreSinkKind, ...] = (
    OutboxSinkKind(
        name="kafka",
        title="Kafka",
        section="kafka",
        enabled=lambda config: config.kafka.enabled,
        remedy="check kafka.bootstrap_servers and kafka.security; until then messages are queued in the "
        "outbox",
        check=_check_kafka,
        topics=kafka_topics,
        make=_kafka,
    ),
    StoreSinkKind(
        name="postgres",
        title="PostgreSQL",
        section="database",
        enabled=lambda config: config.database.enabled,
        remedy="check the keys of [database]; the mirror catches up when it is back",
        check=_check_postgres,
        make=_postgres,
    ),
    OutboxSinkKind(
        name="file",
        title="file",
        section="file",
        enabled=lambda config: config.file.enabled,
        remedy="check the keys of [file]",
        check=_check_file,
        topics=_file_topics,
        make=_file,
    ),
)


def outbox_kinds() -> list[OutboxSinkKind]:
    """The kinds that messages wait for."""
    return [kind for kind in SINKS if isinstance(kind, OutboxSinkKind)]
