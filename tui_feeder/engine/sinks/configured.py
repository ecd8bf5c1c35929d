"""The sinks of a configuration. What an enabled one needs is imported here, and nothing else is."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from tui_feeder.config import Config
from tui_feeder.engine.core.requirements import unmet_requirements
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.sinks.draining import sink_name, span_text
from tui_feeder.engine.sinks.mirror_plan import mirrored_timeframes
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.outbox_format import Backlog
from tui_feeder.engine.storage.store import Store, StoreError

log = logging.getLogger(__name__)

#: ``sinks check`` and ``doctor`` compare tables with the store for so long at most.
_COMPARE_SECONDS = 20.0


def configured_sinks(config: Config, store: Store) -> list[Sink]:
    """Makes the enabled sinks; an outbox is opened for each topic that one of them takes.

    Args:
        config: the configuration.
        store: the store, open for writing.

    Returns:
        The sinks, not started.

    Raises:
        SinkError: a package cannot be imported, or a file that is named cannot be used.
    """
    sinks: list[Sink] = []
    kafka, file = kafka_topics(config), file_topics(config)
    for section in ("kafka", "file", "database"):
        _refuse(config, section)
    for topic in dict.fromkeys((*kafka, *file)):
        kinds = [kind for kind, topics in (("kafka", kafka), ("file", file)) if topic in topics]
        names = [sink_name(kind, topic) for kind in kinds]
        outbox = store.open_outbox(names, config.kafka.outbox_max_mb, topic)
        if topic in kafka and not config.cluster.enabled:  # there its worker publishes
            from tui_feeder.engine.sinks.kafka import KafkaSink

            sinks.append(KafkaSink(config.kafka, outbox))
        if topic in file:
            from tui_feeder.engine.sinks.file import FileSink

            sinks.append(FileSink(config.file, outbox))
    for text in disabled_backlogs(config, store.backlogs()):
        log.warning("%s", text)
    if config.database.enabled:
        from tui_feeder.engine.sinks.postgres import PostgresSink

        sinks.append(PostgresSink(config, store))
    return sinks


def disabled_backlogs(config: Config, found: Sequence[Backlog]) -> list[str]:
    """Describes what waits for disabled sinks.

    Args:
        config: the configuration.
        found: what waits for each sink.

    Returns:
        One sentence a sink, with the command that drops the messages.
    """
    taken = {("kafka", topic) for topic in kafka_topics(config)}
    taken |= {("file", topic) for topic in file_topics(config)}
    return [
        f"{backlog.sink} is disabled: {backlog.messages:,} messages wait for it, "
        f"the oldest {span_text(backlog.age)} old; they are kept, those made meanwhile are not for it. "
        f"To drop them: feeder-tui sinks discard {backlog.kind}"
        for backlog in found
        if (backlog.kind, backlog.topic) not in taken
    ]


def kafka_topics(config: Config) -> tuple[str, ...]:
    """Lists what is published to Kafka.

    Args:
        config: the configuration.

    Returns:
        Topic suffixes.
    """
    if not config.kafka.enabled:
        return ()
    candles = ("candles",) if config.kafka.candles_topic else ()
    alerts = ("alerts",) if config.alerts.kafka else ()
    return ("data", *candles, *alerts)


def file_topics(config: Config) -> tuple[str, ...]:
    """Lists what is written to files.

    Args:
        config: the configuration.

    Returns:
        Names of the files' topics.
    """
    if not config.file.enabled:
        return ()
    candles = ("candles",) if config.file.candles else ()
    alerts = ("alerts",) if config.alerts.rules else ()
    return ("data", *candles, *alerts)


async def check_sinks(config: Config) -> dict[str, list[str] | SinkError | None]:
    """Checks where each sink would deliver to.

    Args:
        config: the configuration.

    Returns:
        By kind of sink: lines for people, the error that prevents it, or None for a disabled one.
    """
    found: dict[str, list[str] | SinkError | None] = {"kafka": None, "postgres": None, "file": None}
    if config.kafka.enabled:
        try:
            _refuse(config, "kafka")
            from tui_feeder.engine.sinks import kafka_cluster

            topics = [config.kafka.topic_prefix + topic for topic in kafka_topics(config)]
            with _stored(config) as store:
                waiting = {
                    config.kafka.topic_prefix + topic: largest
                    for topic in kafka_topics(config)
                    if store is not None
                    and (largest := store.largest_waiting(topic, sink_name("kafka", topic))) is not None
                }
            found["kafka"] = await kafka_cluster.check_broker(config.kafka, topics, waiting)
        except SinkError as error:
            found["kafka"] = error
    if config.database.enabled:
        try:
            _refuse(config, "database")
            from tui_feeder.engine.sinks import postgres_tables

            with _stored(config) as store:
                compare = None if store is None else partial(_compare, config, store)
                found["postgres"] = await postgres_tables.check_database(config.database, compare)
        except SinkError as error:
            found["postgres"] = error
    if config.file.enabled:
        try:
            _refuse(config, "file")
            from tui_feeder.engine.sinks import file

            found["file"] = file.check_files(config.file, file_topics(config))
        except SinkError as error:
            found["file"] = error
    return found


@contextlib.contextmanager
def _stored(config: Config) -> Iterator[Store | None]:
    """The store for reading, where there is one."""
    try:
        store = Store(config.application.storage_path, read_only=True)
    except StoreError:
        yield None
        return
    with contextlib.closing(store):
        yield store


async def _compare(
    config: Config,
    store: Store,
    connection: Any,  # noqa: ANN401 - of asyncpg
    missing: Sequence[str],
) -> list[str]:
    """Whether the tables have what the store has, the newest days first, as far as the time goes.

    ``missing`` are tables, columns and indexes that a feeder would make: what is there is compared.
    """
    from tui_feeder.engine.sinks import mirror_check, mirror_profiles, postgres_tables

    lacking = {name.partition(".")[0] for name in missing if "." in name}  # tables without a column
    if "feeder_mirror" in lacking.union(missing):
        return []  # nothing is claimed
    mirrored = await postgres_tables.mirrored(connection)
    days = mirror_check.mirrored_days(mirrored)
    timeframes, profiles = mirrored_timeframes(config), mirror_profiles.Profiles(config, store)
    ends = time.monotonic() + _COMPARE_SECONDS
    for count, day in enumerate(days):
        if time.monotonic() >= ends:
            return [f"compared with the store: the newest {count} of {len(days)} days, no difference"]
        found: list[object] = []
        if "candles_1m" not in missing:
            found += await mirror_check.differences(
                connection, store, mirrored, timeframes, day, digests="candles_1m" not in lacking
            )
        if "volume_profiles" not in lacking.union(missing):
            found += await profiles.differing(connection, day, mirror_check.level(store, mirrored, day))
        if found:
            more = f" (and {len(found) - 1} more of this day)" if len(found) > 1 else ""
            raise SinkError(f"{found[0]}{more}: a feeder that runs writes it again")
    return [f"compared with the store: {len(days)} days, no difference"] if days else []


def _refuse(config: Config, section: str) -> None:
    """Raise what a section needs and has not, before its packages are imported."""
    for need in unmet_requirements(config):
        if need.fatal and need.key.startswith(f"{section}."):
            raise SinkError(str(need))
