"""What Kafka refuses, in words that have the remedy."""

from __future__ import annotations

import pytest
from aiokafka import errors

from tui_feeder.engine.sinks.kafka_cluster import describe_error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.UnknownTopicOrPartitionError(), "the topic ta_data does not exist and the broker does not"),
        (errors.GroupCoordinatorNotAvailableError("Unable to get coordinator"), "try again"),
        (errors.GroupAuthorizationFailedError("feeder"), "ACL Read on the group"),
        (errors.InconsistentGroupProtocolError(), "give the workers another cluster.group"),
        (errors.TransactionalIdAuthorizationFailed(), "transactional ids that begin with cluster.group"),
        (errors.NotEnoughReplicasError(), "copy of the topic ta_data"),
        (errors.TopicAuthorizationFailedError({"ta_state"}), "to the topic ta_state, or not read"),
        (errors.TopicAuthorizationFailedError("ta_work"), "to the topic ta_work, or"),
        (errors.TopicAuthorizationFailedError(), "to the topic ta_data, or"),
        (TimeoutError(), "did not answer in time"),
    ],
)
def test_an_error_is_described_with_its_remedy(error: Exception, text: str) -> None:
    described = describe_error(error, "ta_data")
    assert text in described
    assert "[Error" not in described
