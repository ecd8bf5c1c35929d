"""What members of the consumer group send when they join, and how the leader divides partitions. Pure.

Each worker sends its :class:`Worker` when it joins. The leader answers each with its partitions and an
:class:`Answer`. Both travel as user data of Kafka's own protocol, whose group record has to stay under the
broker's ``max.message.bytes``: an answer has the same few bytes however many workers there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Annotated

import msgspec
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from tui_feeder.engine.cluster.partitions import assign
from tui_feeder.engine.core.decoding import UNREADABLE

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
    topic: _Text = ""  # whose partitions are divided; empty: of a release that did not send it
    partitions: int = 0  # of that topic, as configured; 0 likewise
    symbols: _Text = ""  # digest of the symbols that it names, see digest_of


class Answer(msgspec.Struct, frozen=True):
    """What the leader sends a worker beside its partitions."""

    workers: int = 1  # in the group
    sharing: int = 1  # of them those of its weight pool
    same_name: Worker | None = None  # another worker of its name, that was there before
    later: tuple[Worker, ...] = ()  # others of its name, that came after it
    other_cluster: Worker | None = None  # of the cluster whose group it is, where this worker is of another


def divide(members: Mapping[str, Worker], partitions: int) -> dict[str, tuple[list[int], Answer]]:
    """What each member of the group gets.

    Args:
        members: by member id.
        partitions: of the topic.

    Returns:
        By member id its partitions and answer. Of members of one name the one that works already, or that
        started first, has partitions; the others get none, and an answer that shows it. So it is with those
        of another cluster, whose topics are others.
    """
    if not members:
        return {}
    ordered = sorted(members.items(), key=lambda item: _seniority(*item))
    head = ordered[0][1]
    first: dict[str, str] = {}
    for member, worker in ordered:
        if _are_of_one(head, worker):
            first.setdefault(worker.name, member)
    shares = assign(list(first), partitions)
    sharing = Counter(members[member].pool for member in first.values())
    found: dict[str, tuple[list[int], Answer]] = {}
    for member, worker in members.items():
        if not _are_of_one(head, worker):
            found[member] = [], Answer(len(first), other_cluster=head)
            continue
        owner = first[worker.name]
        mine = owner == member
        others = tuple(
            at
            for other, at in members.items()
            if other != member and at.name == worker.name and _are_of_one(head, at)
        )
        answer = Answer(
            len(first), sharing[worker.pool], None if mine else members[owner], others[:8] if mine else ()
        )
        found[member] = (shares[worker.name] if mine else [], answer)
    return found


def _are_of_one(worker: Worker, other: Worker) -> bool:
    """Whether two workers are of one cluster, as far as is known."""
    return not worker.topic or not other.topic or worker.topic == other.topic


def digest_of(symbols: Iterable[str]) -> str:
    """Makes the digest by which workers see whether they name the same symbols.

    Args:
        symbols: names and patterns, in any order.

    Returns:
        16 characters.
    """
    return blake2b("\n".join(sorted(set(symbols))).encode(), digest_size=8).hexdigest()


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
    except UNREADABLE:
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
        workers = {at: worker for at, member in members.items() if (worker := worker_of(member)) is not None}
        head = min(workers.items(), key=lambda item: _seniority(*item), default=(None, self._me()))[1]
        topic = head.topic or self._topic
        # As configured: where partitions are added under way, a symbol's partition stays the one it was in.
        partitions = head.partitions or len(cluster.partitions_for_topic(topic) or ())
        shares = divide(workers, partitions)
        return {
            member: ConsumerProtocolMemberAssignment(
                _VERSION,
                [(topic, shares[member][0])] if member in shares and shares[member][0] else [],
                msgspec.msgpack.encode(shares[member][1] if member in shares else Answer()),
            )
            for member in members
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Takes what the leader sent this worker."""
        try:
            answer = msgspec.msgpack.decode(assignment.user_data or b"", type=Answer)
        except UNREADABLE:
            answer = Answer()
        self._answered(answer)
