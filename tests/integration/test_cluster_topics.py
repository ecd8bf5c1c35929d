"""The topics of a cluster on a real broker: made as they have to be, refused where they are not."""

from __future__ import annotations

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec.structs import replace
from services import Kafka as Broker

from tui_feeder.config import Kafka
from tui_feeder.engine.cluster.topics import prepare, topics_of
from tui_feeder.engine.sinks.kafka_cluster import connected, topic_setting
from tui_feeder.engine.sinks.thread import SinkError

TOPICS = topics_of("ta_", ["data", "alerts"])


def settings(broker: Broker) -> Kafka:
    return replace(Kafka(), bootstrap_servers=(broker.servers,))


async def make(broker: Broker, name: str, partitions: int, policy: str = "delete") -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, partitions, 1, topic_configs={"cleanup.policy": policy})])
    await admin.close()


@pytest.mark.timeout(120)
async def test_they_are_made_with_the_partitions_and_settings_they_need(kafka: Broker) -> None:
    config = settings(kafka)
    told = await prepare(config, TOPICS, 5, create=False)
    assert told == [f"topic ta_{name}: not there, would be created with 5 partitions"
                    for name in ("work", "state", "data", "alerts")]  # fmt: skip
    await prepare(config, TOPICS, 5)
    assert await prepare(config, TOPICS, 5) == [
        f"topic ta_{name}: 5 partitions" for name in ("work", "state", "data", "alerts")
    ]
    async with connected(config, "ta_state") as client:
        assert await topic_setting(client, "ta_state", "cleanup.policy") == "compact"
        assert await topic_setting(client, "ta_data", "cleanup.policy") == "delete"


@pytest.mark.timeout(120)
async def test_other_partitions_are_refused_with_what_to_do(kafka: Broker) -> None:
    await make(kafka, "ta_data", 3)
    with pytest.raises(SinkError, match=r"cluster\.partitions is 5, but the topic ta_data has 3") as refused:
        await prepare(settings(kafka), TOPICS, 5)
    assert "Set cluster.partitions to it" in str(refused.value)


@pytest.mark.timeout(120)
async def test_a_state_that_would_be_deleted_is_refused_with_what_to_do(kafka: Broker) -> None:
    await make(kafka, "ta_state", 5, "compact,delete")
    with pytest.raises(SinkError, match=r"cleanup\.policy=compact,delete") as refused:
        await prepare(settings(kafka), TOPICS, 5)
    assert "--add-config cleanup.policy=compact" in str(refused.value)
