"""Who may do what on a real Apache Kafka: TLS, SASL by three mechanisms, ACLs; every refusal in words."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from feed import until
from msgspec.structs import replace
from services import Kafka as Broker
from sinking import Queue, at_work, check_nothing_lost, consume

from tui_feeder.config import Kafka, KafkaSecurity
from tui_feeder.safe_text import Secret

pytest.importorskip("aiokafka", reason="the kafka extra is not installed")
pytest.importorskip("confluent_kafka", reason="the consumer needs confluent-kafka")

from tui_feeder.engine.sinks.kafka import KafkaSink

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
ACL = """authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
auto.create.topics.enable=false
super.users=User:ANONYMOUS"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with a listener of each protocol, and access lists."""
    broker = Broker(tmp_path_factory.mktemp("secured"), sasl=("feeder", "right"), tls=True, more=ACL)
    broker.start()
    yield broker
    broker.kill()


def sink_to(queue: Queue, servers: str, prefix: str = "ta_", **security: object) -> KafkaSink:
    chosen = replace(KafkaSecurity(), **security)
    kafka = replace(Kafka(), bootstrap_servers=(servers,), topic_prefix=prefix, security=chosen)
    return KafkaSink(kafka, queue.outbox)


def as_feeder(mechanism: str, password: str = "right") -> dict[str, Any]:
    return {
        "sasl_mechanism": mechanism, "sasl_username": "feeder", "sasl_password": Secret(password),
    }  # fmt: skip


async def arrives(queue: Queue, sink: KafkaSink, broker: Broker) -> None:
    async with at_work(sink):
        await until(lambda: queue.depth() == 0, why=sink.status())
    found = await asyncio.to_thread(consume, broker.servers, sink.topic, len(queue.made))
    check_nothing_lost(found, queue.made)
    assert found.duplicates == 0


async def says(sink: KafkaSink, words: str) -> None:
    try:
        await until(lambda: words in sink.status())
    except AssertionError:
        raise AssertionError(sink.status()) from None


async def told(sink: KafkaSink, words: str) -> None:
    async with at_work(sink) as journal:
        await says(sink, words)
        everything = sink.status() + "".join(event.text for event in journal.events)
    assert "hush-hush" not in everything


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
async def test_a_password_is_refused_in_words_and_taken_once_right(
    broker: Broker, tmp_path: Path, mechanism: str, protocol: str
) -> None:
    assert broker.authority is not None
    tls = {"ssl_cafile": broker.authority.cafile} if protocol == "SASL_SSL" else {}
    servers = broker.sasl_tls_servers if protocol == "SASL_SSL" else broker.sasl_servers
    prefix = f"{mechanism}-{protocol}-"
    queue = Queue(tmp_path / "store")
    await queue.fill(100)
    wrong = sink_to(queue, servers, prefix, protocol=protocol, **tls, **as_feeder(mechanism, "hush-hush"))
    await told(wrong, "it refuses kafka.security.sasl_username and sasl_password")
    assert queue.depth() == 100
    right = sink_to(queue, servers, prefix, protocol=protocol, **tls, **as_feeder(mechanism))
    await arrives(queue, right, broker)
    queue.store.close()


async def test_tls_is_spoken_and_verified(broker: Broker, tmp_path: Path) -> None:
    assert broker.authority is not None
    cafile = broker.authority.cafile
    queue = Queue(tmp_path / "store")
    await queue.fill(100)
    stranger = sink_to(queue, broker.tls_servers, "tls-", protocol="SSL")
    await told(stranger, "TLS failed (CERTIFICATE_VERIFY_FAILED)")
    by_name = broker.tls_servers.replace("127.0.0.1", "localhost")  # which the certificate does not name
    await told(sink_to(queue, by_name, "tls-", protocol="SSL", ssl_cafile=cafile), "TLS failed")
    missing = sink_to(queue, broker.tls_servers, "tls-", protocol="SSL", ssl_cafile=tmp_path / "none.pem")
    await told(missing, "kafka.security.ssl_cafile")
    assert queue.depth() == 100
    await arrives(
        queue, sink_to(queue, broker.tls_servers, "tls-", protocol="SSL", ssl_cafile=cafile), broker
    )
    queue.store.close()


async def test_the_wrong_listener_is_told(broker: Broker, tmp_path: Path) -> None:
    assert broker.authority is not None
    cafile = broker.authority.cafile
    queue = Queue(tmp_path / "store")
    question = "is this listener one for protocol"
    await told(sink_to(queue, broker.sasl_servers), f"{question} PLAINTEXT?")
    await told(sink_to(queue, broker.tls_servers), f"{question} PLAINTEXT?")
    plain = sink_to(queue, broker.servers, protocol="SSL", ssl_cafile=cafile)
    await told(plain, f"{question} SSL?")
    no_sasl = sink_to(queue, broker.servers, protocol="SASL_PLAINTEXT", **as_feeder("SCRAM-SHA-256"))
    await told(no_sasl, f"{question} SASL_PLAINTEXT?")
    queue.store.close()


async def test_a_topic_that_may_not_be_created_or_written_is_told(broker: Broker, tmp_path: Path) -> None:
    api: Any = importlib.import_module("confluent_kafka.admin")
    admin = api.AdminClient({"bootstrap.servers": broker.servers})
    kinds, does, literal = api.ResourceType, api.AclOperation, api.ResourcePatternType.LITERAL
    allow, deny = api.AclPermissionType.ALLOW, api.AclPermissionType.DENY

    def wait(answers: dict[Any, Any]) -> None:
        for answer in answers.values():
            answer.result(30)

    queue = Queue(tmp_path / "store")
    await queue.fill(100)
    sink = sink_to(
        queue, broker.sasl_servers, "acl-", protocol="SASL_PLAINTEXT", **as_feeder("SCRAM-SHA-512")
    )
    allowed = api.AclBinding(kinds.TOPIC, "acl-data", literal, "User:*", "*", does.DESCRIBE, allow)
    denials = [
        api.AclBinding(kind, name, literal, "User:feeder", "*", operation, deny)
        for kind, name, operation in (
            (kinds.TOPIC, "acl-data", does.CREATE),
            (kinds.TOPIC, "acl-data", does.WRITE),
            (kinds.BROKER, "kafka-cluster", does.CREATE),
        )
    ]
    wait(admin.create_acls([allowed, *denials]))
    try:
        async with at_work(sink):
            await says(sink, "acl-data does not exist and cannot be created")
            wait(admin.create_topics([api.NewTopic("acl-data", 3, 1)]))
            await says(sink, "we may not write to the topic acl-data")
            assert queue.depth() == 100
            anywhere = api.ResourcePatternType.ANY
            every = api.AclBindingFilter(
                kinds.ANY, None, anywhere, None, None, does.ANY, api.AclPermissionType.ANY
            )
            wait(admin.delete_acls([every]))
            await until(lambda: queue.depth() == 0, 60, sink.status())
    finally:
        queue.store.close()
    check_nothing_lost(await asyncio.to_thread(consume, broker.servers, "acl-data", 100), queue.made)
