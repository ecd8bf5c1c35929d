"""The topics of a cluster: all have the same partitions, so that one worker holds a symbol in each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka.client import AIOKafkaClient

from tui_feeder.config import Kafka
from tui_feeder.engine.sinks.kafka_cluster import connected, create_topic, topic_setting
from tui_feeder.engine.sinks.thread import SinkError

#: A new owner reads the state to its end: what is compacted soon is read fast.
STATE_SETTINGS = {
    "cleanup.policy": "compact",
    "segment.ms": "600000",
    "segment.bytes": "33554432",
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": "1200000",
}

_THERE_SECONDS = 10.0
_CHECK_SECONDS = 0.1


class UnfitTopics(SinkError):
    """A topic is not as a cluster needs it; the message has the remedy."""


class Topics(NamedTuple):
    """The names of a cluster's topics."""

    work: str  # whose partitions are divided; it has no records
    state: str
    published: tuple[str, ...]  # data, and others where they are enabled


def topics_of(prefix: str, published: Sequence[str]) -> Topics:
    """Makes the names of a cluster's topics.

    Args:
        prefix: ``kafka.topic_prefix``.
        published: what follows it in the topics that are published to.

    Returns:
        The names.
    """
    return Topics(f"{prefix}work", f"{prefix}state", tuple(prefix + topic for topic in published))


async def prepare(
    config: Kafka, topics: Topics, partitions: int, *, create: bool = True, there: bool = False
) -> list[str]:
    """Makes sure that all topics are there as a cluster needs them.

    Args:
        config: the section ``[kafka]``.
        topics: their names.
        partitions: that each has to have.
        create: make those that are not there; else only list which would be made.
        there: they were there before: one that is not is wrong.

    Returns:
        What was found, as lines for people.

    Raises:
        SinkError: the cluster cannot be reached or refuses a topic.
        UnfitTopics: one is not as it has to be.
    """
    names = (topics.work, topics.state, *topics.published)
    async with connected(config, topics.work) as client:
        # Of all topics: to ask for those that are missing may make them, with other partitions.
        found = await client.fetch_all_metadata()
        lines, wrong, missing = [], [], []
        for name in names:
            count = len(found.partitions_for_topic(name) or ())
            if not count:
                if create:
                    await create_topic(
                        client, name, partitions, STATE_SETTINGS if name == topics.state else None
                    )
                made = "created" if create else "not there, would be created"
                lines.append(f"topic {name}: {made} with {partitions} partitions")
                missing.append(name)
                continue
            lines.append(f"topic {name}: {count} partitions")
            if count != partitions:
                wrong.append(f"{name} has {count}")
        if missing and there:
            raise UnfitTopics(
                f"the topic {', '.join(missing)} is not there any more, or not shown to us: start a worker "
                "again, which makes it"
            )
        if wrong:
            raise UnfitTopics(
                f"cluster.partitions is {partitions}, but the topic {', '.join(wrong)}: all topics of a "
                "cluster have the same number. Set cluster.partitions to it, or make the topic again with "
                f"{partitions} (adding partitions moves symbols, and breaks their order)"
            )
        await _wait_for(client, names if create else ())
        await _check_compaction(client, topics.state, bool(found.partitions_for_topic(topics.state)))
        return lines


async def _wait_for(client: AIOKafkaClient, names: Sequence[str]) -> None:
    """Brokers know a new topic some time after it was made."""
    missing: Sequence[str] = names
    try:
        async with asyncio.timeout(_THERE_SECONDS):
            while missing:
                found = await client.fetch_all_metadata()
                missing = [name for name in names if not found.partitions_for_topic(name)]
                if missing:
                    await asyncio.sleep(_CHECK_SECONDS)
    except TimeoutError:
        raise SinkError(
            f"the broker does not show the topic {', '.join(missing)}, which was created: allow us to "
            "see it (ACL Describe)"
        ) from None


async def _check_compaction(client: AIOKafkaClient, state: str, there: bool) -> None:
    """The state must be kept for good: only compaction does that."""
    policy = await topic_setting(client, state, "cleanup.policy") if there else None
    if policy is not None and policy != "compact":
        raise UnfitTopics(
            f"the topic {state} has cleanup.policy={policy}, which deletes what a new owner needs: "
            f"set it to compact (kafka-configs.sh --alter --entity-type topics --entity-name {state} "
            "--add-config cleanup.policy=compact)"
        )
