"""Reaching a Kafka cluster: connections as configured, its topic, and what went wrong in plain words."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import errors
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.helpers import create_ssl_context
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tui_feeder.config import Kafka
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.outbox_format import QueuedMessage

_REACH_SECONDS = 10.0
_TOPIC_SECONDS = 10.0
_RETRY_MS = 250
_TOPIC_RESOURCE = 2  # what a description of settings is of
_EXISTS = 36  # the broker's answer to a second creation of a topic


def client_settings(config: Kafka) -> dict[str, Any]:
    """Gives the arguments of every client of aiokafka.

    Args:
        config: the configuration of Kafka.

    Returns:
        Keyword arguments.

    Raises:
        SinkError: a certificate or key cannot be used.
    """
    security = config.security
    password = security.sasl_password
    return {
        "bootstrap_servers": list(config.bootstrap_servers),
        "client_id": config.client_id,
        "retry_backoff_ms": _RETRY_MS,
        "security_protocol": security.protocol,
        "ssl_context": _tls(config),
        "sasl_mechanism": security.sasl_mechanism,
        "sasl_plain_username": security.sasl_username,
        "sasl_plain_password": None if password is None else password.reveal(),
    }


def _tls(config: Kafka) -> ssl.SSLContext | None:
    security = config.security
    if not security.protocol.endswith("SSL"):
        return None
    files = (security.ssl_cafile, security.ssl_certfile, security.ssl_keyfile)
    cafile, certfile, keyfile = (None if file is None else str(file) for file in files)
    try:
        made: ssl.SSLContext = create_ssl_context(cafile=cafile, certfile=certfile, keyfile=keyfile)
    except (OSError, ssl.SSLError) as error:
        raise SinkError(f"kafka.security.ssl_cafile, ssl_certfile or ssl_keyfile: {error}") from error
    return made


async def reach(config: Kafka, topic: str) -> int:
    """Connects to the cluster and finds or creates the topic.

    Args:
        config: the configuration of Kafka.
        topic: the topic.

    Returns:
        Number of its partitions.

    Raises:
        SinkError: the cluster or the topic cannot be used, with the reason.
    """
    async with connected(config, topic) as client:
        return await _partitions(client, topic)


async def check_broker(
    config: Kafka, topics: Sequence[str], waiting: Mapping[str, QueuedMessage]
) -> list[str]:
    """Checks the cluster and its topics. Nothing is changed.

    Args:
        config: where to look.
        topics: what is published to.
        waiting: by topic, the largest message that waits for it.

    Returns:
        What there is and what would be created, lines for people.

    Raises:
        SinkError: the cluster cannot be used, or refuses what waits, with the reason.
    """
    async with connected(config, topics[0]) as client:
        begun = time.perf_counter()
        found = await client.fetch_all_metadata()
        took = (time.perf_counter() - begun) * 1000
        brokers = ", ".join(f"{broker.host}:{broker.port}" for broker in found.brokers())
        lines = [f"brokers: {brokers}, {config.security.protocol}", f"round trip: {took:.1f} ms"]
        for topic in topics:
            partitions = found.partitions_for_topic(topic)
            there = f"{len(partitions)} partitions" if partitions else "not there, would be created"
            lines.append(f"topic {topic}: {there}")
            if partitions and (largest := waiting.get(topic)) is not None:
                most = await _most_bytes(client, topic)
                if most is not None and _batch_bytes(largest, config) > most:
                    raise SinkError(too_large(len(largest.payload), topic, most))
        return lines


@contextlib.asynccontextmanager
async def connected(config: Kafka, topic: str) -> AsyncIterator[AIOKafkaClient]:
    """Connects to all brokers of the cluster; errors inside the context are described for people.

    Args:
        config: the configuration of Kafka.
        topic: the topic that errors are about.

    Yields:
        A connected client.

    Raises:
        SinkError: the cluster cannot be used, with the reason.
    """
    settings = client_settings(config)
    timeout_ms = int(_REACH_SECONDS * 1000)
    await _probe(config, settings, timeout_ms)
    client = AIOKafkaClient(**settings, request_timeout_ms=timeout_ms)
    try:
        try:
            await client.bootstrap()
        except errors.KafkaConnectionError as error:
            servers = ", ".join(config.bootstrap_servers)
            raise SinkError(f"{servers}: {_refusal(error, config)}") from error
        for broker in client.cluster.brokers():
            if not await client.ready(broker.nodeId):
                raise SinkError(
                    f"broker {broker.nodeId} calls itself {broker.host}:{broker.port}, which cannot be "
                    "reached from here: correct its advertised.listeners, or kafka.bootstrap_servers"
                )
        yield client
    except (errors.KafkaError, TimeoutError) as error:
        raise SinkError(describe_error(error, topic)) from error
    finally:
        await client.close()


async def _probe(config: Kafka, settings: dict[str, Any], timeout_ms: int) -> None:
    """Connect to the first server that answers, for the reasons of those that do not."""
    names = ("client_id", "security_protocol", "ssl_context", "sasl_mechanism",
             "sasl_plain_username", "sasl_plain_password")  # fmt: skip
    chosen = {name: settings[name] for name in names}
    reasons: list[str] = []
    for server in config.bootstrap_servers:
        host, _, port = server.rpartition(":")
        try:
            connection = await create_conn(
                host.strip("[]"), int(port), request_timeout_ms=timeout_ms, **chosen
            )
        except (OSError, TimeoutError, errors.KafkaError) as error:
            reasons.append(f"{server}: {_refusal(error, config)}")
        else:
            connection.close()
            return
    raise SinkError("; ".join(reasons))


def _refusal(error: Exception, config: Kafka) -> str:
    protocol = config.security.protocol
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return f"it does not know sasl_mechanism {config.security.sasl_mechanism}: {error}"
    if isinstance(error, errors.SaslAuthenticationFailed | errors.AuthenticationFailedError):
        return "it refuses kafka.security.sasl_username and sasl_password"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error}): check kafka.security.protocol and ssl_cafile"
    if isinstance(error, socket.gaierror):
        return "no such host: correct kafka.bootstrap_servers"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: start the broker, or correct kafka.bootstrap_servers"
    cut = (ConnectionError, EOFError, TimeoutError, errors.KafkaConnectionError, errors.IllegalSaslStateError)
    if isinstance(error, (*cut, errors.IncompatibleBrokerVersion)):
        return f"it hangs up or is silent: is this listener one for protocol {protocol}?"
    return str(error) or type(error).__name__


async def _partitions(client: AIOKafkaClient, topic: str) -> int:
    """The partitions of the topic; a broker may create it by itself, else it is asked to."""
    deadline = time.monotonic() + _TOPIC_SECONDS
    asked = False
    client.set_topics([topic])
    while True:
        await client.force_metadata_update()
        if topic in client.cluster.unauthorized_topics:
            raise errors.TopicAuthorizationFailedError(topic)
        found = client.cluster.partitions_for_topic(topic)
        if found:
            return len(found)
        if time.monotonic() > deadline:
            raise errors.UnknownTopicOrPartitionError(topic)
        if not asked:
            asked = True
            await create_topic(client, topic)
        await asyncio.sleep(_RETRY_MS / 1000)


async def create_topic(
    client: AIOKafkaClient, topic: str, partitions: int = -1, settings: Mapping[str, str] | None = None
) -> None:
    """Asks the cluster for a topic, with the copies it makes by default.

    Args:
        client: connected.
        topic: its name; one that is there stays as it is.
        partitions: how many; -1: as many as the cluster makes by default.
        settings: of the topic, where they differ from the cluster's.

    Raises:
        SinkError: the cluster refuses it, with its reason.
    """
    node = client.cluster.controller
    request = CreateTopicsRequest(
        create_topic_requests=[(topic, partitions, -1, [], list((settings or {}).items()))],
        timeout=int(_TOPIC_SECONDS * 1000),
        validate_only=False,
    )
    chosen = node.nodeId if node is not None else client.get_random_node()
    try:
        answer = await client.send(chosen, request)
    except errors.IncompatibleBrokerVersion:  # a broker that creates topics by itself alone
        return
    for name, code, *reason in answer.topic_errors:
        if code not in (0, _EXISTS):
            why = reason[0] if reason and reason[0] else errors.for_code(code).description
            raise SinkError(f"the topic {name} does not exist and cannot be created: {why}")


async def topic_setting(client: AIOKafkaClient, topic: str, name: str) -> str | None:
    """Reads a setting of a topic.

    Args:
        client: a connected client.
        topic: the topic.
        name: of the setting.

    Returns:
        Its value; None where the cluster does not give it.
    """
    request = DescribeConfigsRequest([(_TOPIC_RESOURCE, topic, [name])])
    try:
        answer = await client.send(client.get_random_node(), request)
    except errors.IncompatibleBrokerVersion:
        return None
    values = [entry[1] for _, _, _, _, entries in answer.resources for entry in entries]
    return values[0] if values else None


async def _most_bytes(client: AIOKafkaClient, topic: str) -> int | None:
    """``max.message.bytes`` of a topic; None where the cluster does not report it."""
    value = await topic_setting(client, topic, "max.message.bytes")
    return int(value) if value is not None and value.isdigit() else None


def _batch_bytes(message: QueuedMessage, config: Kafka) -> int:
    """What a message alone comes to as it is sent: that is what a topic's limit is about."""
    codes = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
    builder = DefaultRecordBatchBuilder(2, codes[config.compression_type], 0, -1, -1, -1, 1 << 30)
    builder.append(0, message.timestamp, message.symbol.encode(), message.payload, [])
    return len(builder.build())


def too_large(size: int, topic: str, most: int | None = None) -> str:
    """Describes that a message is refused for its size.

    Args:
        size: bytes of the message.
        topic: the topic.
        most: the topic's limit in bytes, if known.

    Returns:
        A sentence with the remedy.
    """
    limit = "" if most is None else f" (now {most:,})"
    return (
        f"the broker refuses a message of {size:,} bytes as too large: raise "
        f"max.message.bytes of the topic {topic}{limit}; all wait until then"
    )


def describe_error(error: BaseException, topic: str) -> str:
    """Describes an error of aiokafka for people.

    Args:
        error: the exception.
        topic: the topic.

    Returns:
        A sentence with the remedy where there is one.
    """
    if isinstance(error, errors.UnknownTopicOrPartitionError):
        return f"the topic {topic} does not exist and the broker does not create it: create it"
    if isinstance(error, errors.TopicAuthorizationFailedError):
        which = _named_topics(error) or topic
        return f"we may not write to the topic {which}, or not read or create it (ACL Write, Read, Create)"
    if isinstance(error, errors.ClusterAuthorizationFailedError):
        return (
            'the broker does not allow idempotent writing: allow it (ACL IdempotentWrite), or set acks = "1"'
        )
    if isinstance(error, errors.GroupAuthorizationFailedError):
        return "we may not use the consumer group of cluster.group: allow it (ACL Read on the group)"
    if isinstance(error, errors.InconsistentGroupProtocolError):
        return "another program's consumers are in the group: give the workers another cluster.group"
    if isinstance(error, errors.TransactionalIdAuthorizationFailed):
        ids = "transactional ids that begin with cluster.group, a hyphen and kafka.topic_prefix"
        return f"we may not begin a transaction: allow it (ACL Write, Describe on {ids})"
    if isinstance(error, errors.NotEnoughReplicasError | errors.NotEnoughReplicasAfterAppendError):
        few = f"too few brokers have a copy of the topic {topic}, or of the broker's own topics"
        return f"{few}: start the others, or lower min.insync.replicas"
    if isinstance(error, errors.GroupCoordinatorNotAvailableError):
        return "the brokers have no coordinator of groups yet, as right after their first start: try again"
    if isinstance(error, TimeoutError):
        return "the broker did not answer in time"
    return str(error) or type(error).__name__


def _named_topics(error: errors.KafkaError) -> str:
    """The topics that an error of aiokafka is about, where it names any."""
    named = error.args[0] if error.args else ""
    if isinstance(named, str):
        return named if named and " " not in named else ""
    return ", ".join(sorted(map(str, named))) if isinstance(named, set | frozenset) else ""
