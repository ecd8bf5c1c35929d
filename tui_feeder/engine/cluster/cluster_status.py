"""A cluster as its broker knows it: the group, and what the state topic has of every partition."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiokafka.errors import KafkaError

from tui_feeder.config import Config
from tui_feeder.engine.cluster.description import describe_group
from tui_feeder.engine.cluster.producer import read_states
from tui_feeder.engine.cluster.records import PartitionState
from tui_feeder.engine.cluster.topics import UnfitTopics, prepare, topics_of
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.journal import shortened
from tui_feeder.engine.sinks.kafka_cluster import connected, describe_error
from tui_feeder.engine.sinks.registry import kafka_topics
from tui_feeder.engine.sinks.thread import SinkError

#: Symbols of a partition that are named.
_NAMED = 20


class WorkerStatus(msgspec.Struct, frozen=True):
    """A worker in the group."""

    name: str
    host: str  # from which it is connected to the broker
    address: str  # of its HTTP service; "" where it has none
    pool: str  # workers of one pool share the exchange's request limit
    started: int  # ms, by its own clock
    partitions: tuple[int, ...]


class PartitionStatus(msgspec.Struct, frozen=True):
    """A partition and what was published in it."""

    partition: int
    worker: str  # that the group has given it to; "" for none
    symbols: int  # that were published
    epoch: int  # of the producer that published last; -1 before the first
    published_at: int | None  # ms, by the clock of the worker that did; None before the first
    former: str  # the worker that published last; "" before the first
    oldest: int | None  # close time (ms) of the last minute of the symbol that is furthest behind


class ClusterStatus(msgspec.Struct, frozen=True):
    """A cluster at one moment."""

    group: str
    state: str  # of Kafka: "Stable", "PreparingRebalance", "Empty", "Dead" ...
    workers: tuple[WorkerStatus, ...]
    partitions: tuple[PartitionStatus, ...]
    problems: tuple[str, ...]  # records that cannot be read, topics that are not there


async def cluster_status(config: Config) -> ClusterStatus:
    """Asks the broker for everything it knows of the configured cluster.

    Args:
        config: the whole configuration.

    Returns:
        The cluster.

    Raises:
        SinkError: the broker cannot be asked, with the reason.
    """
    topics = topics_of(config.kafka.topic_prefix, kafka_topics(config))
    try:
        async with connected(config.kafka, topics.state) as client:
            metadata = await client.fetch_all_metadata()
            there = sorted(metadata.partitions_for_topic(topics.state) or ())
        described = await describe_group(config.kafka, config.cluster.group)
        members = [member for member in described.members if member.worker.topic in ("", topics.work)]
        states = await read_states(config.kafka, topics.state, there)
    except (KafkaError, TimeoutError) as error:
        raise SinkError(describe_error(error, topics.state)) from error
    problems = [] if there else [f"the topic {topics.state} is not there: no worker has begun yet"]
    try:
        await prepare(config.kafka, topics, config.cluster.partitions, create=False)
    except UnfitTopics as error:
        problems.append(str(error))
    for partition, state in states.items():
        if state.newer:
            problems.append(f"partition {partition} is not worked on: {state.newer}")
        problems += [f"partition {partition}: {name} is not worked on: {why}"
                     for name, why in list(state.refused.items())[:_NAMED]]  # fmt: skip
        if state.foreign:
            problems.append(
                f"partition {partition}: {state.foreign:,} records that no feeder has written are ignored, "
                f"such as {state.example}"
            )
    by_list: dict[str, list[str]] = {}
    for member in members:
        if member.worker.symbols:
            by_list.setdefault(member.worker.symbols, []).append(member.worker.name)
    if len(by_list) > 1:
        lists = "; ".join(shortened(names) for names in by_list.values())
        problems.append(f"application.symbols differs between workers ({lists}): give all of them the same")
    owners = {at: member.worker.name for member in members for at in member.partitions}
    return ClusterStatus(
        config.cluster.group,
        described.state,
        tuple(
            WorkerStatus(
                member.worker.name, member.host, member.worker.address, member.worker.pool,
                member.worker.started, member.partitions,
            )
            for member in members
        ),
        tuple(_partition(at, owners.get(at, ""), states) for at in there),
        tuple(problems),
    )  # fmt: skip


def _partition(number: int, worker: str, states: Mapping[int, PartitionState]) -> PartitionStatus:
    state = states[number]
    position = state.position
    return PartitionStatus(
        number,
        worker,
        len(state.progress),
        -1 if position is None else position.epoch,
        None if position is None else position.at,
        "" if position is None else position.worker,
        min((progress.watermark + MINUTE_MS - 1 for progress in state.progress.values()), default=None),
    )
