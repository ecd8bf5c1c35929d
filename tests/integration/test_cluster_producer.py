"""The fence on a real broker: one owner a partition, all of a transaction or nothing, read to the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import confluent_kafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec.structs import replace
from services import Kafka as Broker

from tui_feeder.config import Kafka
from tui_feeder.engine.cluster.producer import Fenced, PartitionProducer, Record, read_states
from tui_feeder.engine.cluster.records import Progress, encode
from tui_feeder.engine.derived.revisions import Revisions

PARTITIONS = 4


def settings(broker: Broker) -> Kafka:
    return replace(Kafka(), bootstrap_servers=(broker.servers,))


@asynccontextmanager
async def owning(broker: Broker, partition: int = 1) -> AsyncIterator[PartitionProducer]:
    producer = PartitionProducer(settings(broker), f"feeder-ta_-p{partition}", partition)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.close()


async def make_topics(broker: Broker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in ("data", "state")])
    await admin.close()


def committed(broker: Broker, topic: str) -> list[bytes]:
    """Everything that a reader of committed records sees in partition 1."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.servers, "group.id": "judge", "isolation.level": "read_committed",
         "enable.partition.eof": True, "enable.auto.commit": False}
    )  # fmt: skip
    consumer.assign([confluent_kafka.TopicPartition(topic, 1, 0)])
    found = []
    while True:
        message = consumer.poll(10.0)
        assert message is not None, "the broker does not answer"
        if message.error():
            consumer.close()
            return found
        found.append(message.value())


def progress(watermark: int) -> bytes:
    return encode(Progress(watermark * 60_000, 0, Revisions(0).encode(), (), {}))


async def publish(producer: PartitionProducer, minute: int) -> None:
    await producer.begin(["data", "state"])
    data = await producer.send("data", [Record(b"S", b"minute %d" % minute)])
    state = await producer.send("state", [Record(b"S", progress(minute))])
    await producer.sent([*data, *state])


@pytest.mark.timeout(120)
async def test_a_new_owner_ends_the_former_one_and_what_it_had_open(kafka: Broker) -> None:
    await make_topics(kafka)
    async with owning(kafka) as former:
        await publish(former, 1)
        await former.commit()
        await publish(former, 2)  # and is not committed
        async with owning(kafka) as owner:
            assert owner.epoch > former.epoch
            states = await read_states(settings(kafka), "state", [0, 1])
            assert states[1].progress["S"].watermark == 60_000
            assert states[0].progress == {}
            with pytest.raises(Fenced):
                await former.commit()
            await publish(owner, 2)
            await owner.commit()
    assert await asyncio.to_thread(committed, kafka, "data") == [b"minute 1", b"minute 2"]


@pytest.mark.timeout(120)
async def test_a_former_owner_is_refused_whatever_it_tries(kafka: Broker) -> None:
    await make_topics(kafka)
    async with owning(kafka) as idle, owning(kafka) as sending:
        await sending.begin(["data"])
        async with owning(kafka) as owner:
            with pytest.raises(Fenced):
                await sending.sent(await sending.send("data", [Record(b"S", b"late")]))
            await idle.begin(["data"])
            with pytest.raises(Fenced):
                await idle.sent(await idle.send("data", [Record(b"S", b"late")]))
            await publish(owner, 1)
            await owner.commit()
            last = owner.epoch
        async with owning(kafka) as again:
            assert again.epoch == last + 1
    assert await asyncio.to_thread(committed, kafka, "data") == [b"minute 1"]


@pytest.mark.timeout(120)
async def test_a_state_that_ends_in_an_aborted_transaction_is_read_to_its_end(kafka: Broker) -> None:
    await make_topics(kafka)
    async with owning(kafka) as first:
        for minute in (1, 2, 3):
            await publish(first, minute)
            await first.commit()
        await publish(first, 4)
    async with owning(kafka):
        states = await read_states(settings(kafka), "state", [1])
        assert states[1].progress["S"].watermark == 3 * 60_000


@pytest.mark.timeout(120)
async def test_records_of_many_batches_are_of_one_transaction(kafka: Broker) -> None:
    await make_topics(kafka)
    values = [b"%06d" % n + bytes(4_000) for n in range(400)]
    async with owning(kafka) as owner:
        await owner.begin([])  # a topic that was not named is taken in when it is first written to
        first = [Record(b"S", value, 1_728_000_000_000) for value in values[:200]]
        await owner.sent(await owner.send("data", first))
        assert await asyncio.to_thread(committed, kafka, "data") == []
        await owner.sent(await owner.send("data", [Record(b"S", value) for value in values[200:]]))
        await owner.commit()
    assert await asyncio.to_thread(committed, kafka, "data") == values
