"""What the broker reports of a group of workers: its members, and which partitions each has."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError, for_code

from tui_feeder.config import Kafka
from tui_feeder.engine.cluster.group import PROTOCOL, Worker, worker_of
from tui_feeder.engine.sinks.kafka_cluster import client_settings

STABLE = "Stable"
_REQUEST_SECONDS = 10.0


class GroupMember(NamedTuple):
    """A worker in the group."""

    worker: Worker
    host: str  # from which it is connected to the broker
    partitions: tuple[int, ...]


class GroupDescription(NamedTuple):
    """A group at one moment."""

    state: str  # of Kafka: "Stable", "PreparingRebalance", "Empty", "Dead" ...
    members: tuple[GroupMember, ...]  # by name


async def describe_group(config: Kafka, group: str) -> GroupDescription:
    """Asks the broker for a group.

    Args:
        config: the section ``[kafka]``.
        group: id of the consumer group.

    Returns:
        What the broker reports; members that are no workers are left out.

    Raises:
        KafkaError: the cluster cannot be asked, or refuses.
        TimeoutError: it does not answer.
    """
    client = AIOKafkaAdminClient(**client_settings(config), request_timeout_ms=int(_REQUEST_SECONDS * 1000))
    try:
        async with asyncio.timeout(2 * _REQUEST_SECONDS):
            await client.start()
            answers = await client.describe_consumer_groups([group])
    finally:
        with contextlib.suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(1.0):
                await client.close()
    code, _, state, _, protocol, members, *_ = answers[0].groups[0]
    if code:
        raise for_code(code)(group)
    found = []
    for _, _, host, metadata, assignment in members if protocol in (PROTOCOL, "") else ():
        try:
            worker = worker_of(ConsumerProtocolMemberMetadata.decode(metadata)) if metadata else None
            given = ConsumerProtocolMemberAssignment.decode(assignment).partitions() if assignment else ()
        except (ValueError, struct.error):  # of another program
            continue
        if worker is None:
            continue
        found.append(GroupMember(worker, host.lstrip("/"), tuple(sorted(at.partition for at in given))))
    return GroupDescription(state, tuple(sorted(found, key=lambda member: member.worker.name)))
