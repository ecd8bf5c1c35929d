"""What members of the consumer group send when they join, and how the leader divides partitions. Pure.

Each worker sends its :class:`Worker` when it joins. The leader answers each with its partitions and an
:class:`Answer`. Both travel as user data of Kafka's own protocol, whose group record has to stay under the
broker's ``max.message.bytes``: an answer has the same few bytes however many workers there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

import msgspec
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from tui_feeder.engine.cluster.partitions import assign

#: The name of the protocol in the group: all members have to know it.
PROTOCOL = "feeder-rendezvous"
_VERSION = 1
_Text = Annotated[str, msgspec.Meta(max_length=256)]


class Worker(msgspec.Struct, frozen=True):
    """A worker as it joins."""

    name: _Text  # stable: its partitions follow from it
    instance: _Text  # of this run of it
    started: int  # ms, by its own clock
    address: _Text = ""  # where its HTTP service can be reached; empty: nowhere
    pool: _Text = ""  # workers of one pool share the exchange's request weight
    working: bool = False  # it has had partitions before


class Answer(msgspec.Struct, frozen=True):
    """What the leader sends a worker beside its partitions."""

    workers: int = 1  # in the group
    sharing: int = 1  # of them those of its weight pool
    same_name: Worker | None = None  # another worker of its name, that was there before
    later: tuple[Worker, ...] = ()  # others of its name, that came after it


def divide(members: Mapping[str, Worker], partitions: int) -> dict[str, tuple[list[int], Answer]]:
    """What each member of the group gets.

    Args:
        members: by member id.
        partitions: of the topic.

    Returns:
        By member id its partitions and answer. Of members of one name the one that works already, or that
        started first, has partitions; the others get none, and an answer that shows it.
    """
    first: dict[str, str] = {}
    for member, worker in sorted(members.items(), key=lambda item: _seniority(*item)):
        first.setdefault(worker.name, member)
    shares = assign(list(first), partitions)
    sharing = Counter(members[member].pool for member in first.values())
    found = {}
    for member, worker in members.items():
        owner = first[worker.name]
        mine = owner == member
        others = tuple(members[at] for at in members if at != member and members[at].name == worker.name)
        answer = Answer(
            len(first), sharing[worker.pool], None if mine else members[owner], others[:8] if mine else ()
        )
        found[member] = (shares[worker.name] if mine else [], answer)
    return found


def _seniority(member: str, worker: Worker) -> tuple[bool, int, str, str]:
    return not worker.working, worker.started, worker.instance, member


def worker_of(metadata: ConsumerProtocolMemberMetadata) -> Worker | None:
    """Decodes what a member of the group sent when it joined.

    Args:
        metadata: of the member.

    Returns:
        Its worker; None for a member that is no feeder.
    """
    try:
        return msgspec.msgpack.decode(metadata.user_data or b"", type=Worker)
    except msgspec.DecodeError:
        return None


class RendezvousAssignor:
    """Divides the partitions of the topic between workers; the consumer calls it for its own ones.

    An object, where those of aiokafka are classes: several workers may run in one process.

    Args:
        me: gives this worker as it is now.
        topic: whose partitions are divided.
        answered: called with what the leader sent this worker, before the consumer's own callback.
    """

    name = PROTOCOL

    def __init__(self, me: Callable[[], Worker], topic: str, answered: Callable[[Answer], None]) -> None:
        self._me = me
        self._topic = topic
        self._answered = answered

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Makes what is sent to the group when joining.

        Args:
            topics: that the member subscribes to.

        Returns:
            The metadata, this worker in its user data.
        """
        return ConsumerProtocolMemberMetadata(_VERSION, list(topics), msgspec.msgpack.encode(self._me()))

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Divides the partitions; called on the leader alone.

        Args:
            cluster: knows how many partitions the topic has.
            members: by member id what each joined with.

        Returns:
            By member id what it gets; a member that is no worker gets nothing.
        """
        partitions = len(cluster.partitions_for_topic(self._topic) or ())
        workers = {at: worker for at, member in members.items() if (worker := worker_of(member)) is not None}
        shares = divide(workers, partitions)
        return {
            member: ConsumerProtocolMemberAssignment(
                _VERSION,
                [(self._topic, shares[member][0])] if member in shares else [],
                msgspec.msgpack.encode(shares[member][1] if member in shares else Answer()),
            )
            for member in members
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Takes what the leader sent this worker."""
        try:
            answer = msgspec.msgpack.decode(assignment.user_data or b"", type=Answer)
        except msgspec.DecodeError:
            answer = Answer()
        self._answered(answer)
