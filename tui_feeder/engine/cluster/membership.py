"""Membership in the consumer group, on a thread and a loop of its own: a busy engine cannot lose it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from tui_feeder.config import Kafka
from tui_feeder.engine.cluster.description import STABLE, GroupMember, describe_group
from tui_feeder.engine.cluster.group import Answer, RendezvousAssignor, Worker
from tui_feeder.engine.cluster.topics import Topics, UnfitTopics, prepare
from tui_feeder.engine.sinks.kafka_cluster import client_settings, describe_error
from tui_feeder.engine.sinks.thread import TICK, SessionSink, SinkError

#: After so many seconds without a heartbeat the group gives a worker's partitions to others.
SESSION_SECONDS = 6.0
HEARTBEAT_SECONDS = 2.0
#: Members have so long to join again when the group changes.
_REBALANCE_SECONDS = 10.0
_REQUEST_SECONDS = 15.0
#: How often it is looked whether the group has refused something.
_LOOK_SECONDS = 0.5
_END_SECONDS = 2.0
#: The group is described so often, and so long after a change.
DESCRIBE_SECONDS, _SOON_SECONDS = 120.0, 0.5
#: So often it is looked whether the topics still are as they have to be.
TOPICS_SECONDS = 60.0
_NEVER_MS = (1 << 31) - 1


class Assignment(NamedTuple):
    """What this worker got when the group changed."""

    generation: int  # rises by one with every change of the group
    member: str  # the member id: another one after the group had let this worker go
    partitions: frozenset[int]
    answer: Answer


class Membership(SessionSink):
    """Keeps this worker in its group. Its thread is begun and ended like a sink's.

    Args:
        config: the section ``[kafka]``.
        group: id of the consumer group.
        topics: of the cluster; the partitions of one of them are divided.
        partitions: that each of them has to have.
        me: this worker.
        assigned: called on the engine's loop whenever the group has changed.
        refused: called there with the reason, where the topics are not as they have to be.
    """

    name = "cluster"

    def __init__(
        self,
        config: Kafka,
        group: str,
        topics: Topics,
        partitions: int,
        me: Worker,
        assigned: Callable[[Assignment], None],
        refused: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.me = me
        self.group = group
        self.topics = topics
        self._partitions = partitions
        self.heartbeats = 0  # answered, since the start
        self.out = ""  # why it stays out of the group for now; set on the engine's loop
        self.members: tuple[GroupMember, ...] = ()  # of the group, as the broker last reported
        self.differing: tuple[str, ...] = ()  # those of them that name other symbols than this worker
        self.unfit = ""  # what has become wrong with the topics since the start
        self._news = asyncio.Event()
        self._config = config
        self._assigned = assigned
        self._refused = refused
        self._answer = Answer()
        self._beat_at = float("-inf")  # time.monotonic() of the last answer of the group
        self._member = False  # the group counts this worker as a member, as far as is known
        # aiokafka logs every failed try, several times a second; what is wrong is logged here, once.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    @property
    def heartbeat_age(self) -> float:
        """Seconds since the group last answered; infinite before that. From any thread."""
        return time.monotonic() - self._beat_at

    @property
    def holds(self) -> bool:
        """Whether the group has certainly not given this worker's partitions to others yet."""
        return self.heartbeat_age < SESSION_SECONDS

    def status(self) -> str:
        """``ok``, or what is wrong, for people."""
        if self.out:
            return f"out of the group: {self.out}"
        if not self.wrong() and self._member and not self.holds:
            return f"no heartbeat answered for {self.heartbeat_age:.0f} s: nothing is published"
        return self.wrong() or self.unfit or "ok"

    async def session(self) -> None:
        """Join, then stay until it fails or closes; the group is notified of the end."""
        while self.out and not self.over(idle=True):
            self.expect_idle(2 * TICK)
            await self.woken(TICK)
        if self.ending:
            return
        try:
            await prepare(self._config, self.topics, self._partitions)
        except UnfitTopics as error:
            self._call(self._refused, str(error))
            raise
        listener = _Listener(self._changed)
        assignor = RendezvousAssignor(lambda: self.me, self.topics.work, self._take_answer)
        consumer = AIOKafkaConsumer(
            **client_settings(self._config),
            group_id=self.group,
            partition_assignment_strategy=(assignor,),
            session_timeout_ms=int(SESSION_SECONDS * 1000),
            heartbeat_interval_ms=int(HEARTBEAT_SECONDS * 1000),
            rebalance_timeout_ms=int(_REBALANCE_SECONDS * 1000),
            request_timeout_ms=int(_REQUEST_SECONDS * 1000),
            max_poll_interval_ms=_NEVER_MS,
            enable_auto_commit=False,
        )
        listener.consumer = consumer
        self._news = asyncio.Event()
        watching = [asyncio.create_task(self._describe()), asyncio.create_task(self._watch_topics())]
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                await consumer.start()
            consumer.subscribe([self.topics.work], listener=listener)
            self._watch_heartbeats(consumer)
            self.connected(f"joining the group {self.group} as {self.me.name}")
            while not self.over(idle=True) and not self.out:
                consumer._coordinator.check_errors()  # raises what the group refuses; no record is fetched
                await self.woken(_LOOK_SECONDS)
        except (KafkaError, TimeoutError) as error:
            raise SinkError(f"group {self.group}: {describe_error(error, self.topics.work)}") from error
        finally:
            self._member = False
            for task in watching:
                task.cancel()
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_END_SECONDS):
                    await consumer.stop()
            if self.out:
                self._beat_at = float("-inf")
                self._call(self._assigned, Assignment(-1, "", frozenset(), Answer(workers=0)))

    def _watch_heartbeats(self, consumer: AIOKafkaConsumer) -> None:
        """See each heartbeat that is answered: the consumer reports none.

        Private to aiokafka; ``tests/integration/test_cluster_membership.py`` fails if it changes.
        """
        coordinator = consumer._coordinator
        send = coordinator._do_heartbeat

        async def heartbeat() -> bool:
            answered: bool = await send()
            if answered:
                self._beat()
                self.heartbeats += 1
            return answered

        coordinator._do_heartbeat = heartbeat

    async def _describe(self) -> None:
        """Know who has which partitions: asked whenever the group has changed, and now and then."""
        while True:
            with contextlib.suppress(KafkaError, TimeoutError):
                description = await describe_group(self._config, self.group)
                if description.state == STABLE:
                    self._take_members(description.members)
                    self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DESCRIBE_SECONDS):
                    await self._news.wait()
                await asyncio.sleep(_SOON_SECONDS)  # others may not have their answers yet

    def _take_members(self, members: Sequence[GroupMember]) -> None:
        self.members = tuple(at for at in members if at.worker.topic in ("", self.topics.work))
        lists = {at.worker.instance: at.worker.symbols for at in self.members if at.worker.symbols}
        mine = lists.get(self.me.instance)
        self.differing = tuple(
            at.worker.name
            for at in self.members
            if mine is not None and lists.get(at.worker.instance, mine) != mine
        )

    async def _watch_topics(self) -> None:
        """See that the topics stay as they have to be: what others change there is reported."""
        while True:
            await asyncio.sleep(TOPICS_SECONDS)
            wrong = ""
            try:
                await prepare(self._config, self.topics, self._partitions, create=False, there=True)
            except UnfitTopics as error:
                wrong = str(error)
            except (SinkError, KafkaError, TimeoutError):
                continue
            if wrong != self.unfit:
                self.note("error" if wrong else "info", f"cluster: {wrong or 'the topics are right again'}")
            self.unfit = wrong

    def _beat(self) -> None:
        self._beat_at = time.monotonic()
        self.progress()

    def _take_answer(self, answer: Answer) -> None:
        self._answer = answer

    def _changed(self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> None:
        """The group has changed; called by the consumer, whose answer was taken just before."""
        self._beat()
        self._member = True
        self._news.set()
        mine = frozenset(assigned.partition for assigned in partitions)
        coordinator = consumer._coordinator
        assignment = Assignment(coordinator.generation, coordinator.member_id, mine, self._answer)
        if self._answer.same_name is None and self._answer.other_cluster is None:
            self.me = msgspec.structs.replace(self.me, working=True)
        self._call(self._assigned, assignment)

    def _call(self, what: Callable[[Any], None], argument: object) -> None:
        """Call something on the engine's loop."""
        loop = self._engine_loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the engine has ended
                loop.call_soon_threadsafe(what, argument)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes assignments on. What is revoked goes on being worked on until the next assignment."""

    consumer: AIOKafkaConsumer

    def __init__(self, changed: Callable[[AIOKafkaConsumer, Collection[TopicPartition]], None]) -> None:
        self._changed = changed

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Nothing is given up yet: most partitions come back with the assignment."""

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """The group has changed. The partitions have no records: nothing is fetched from them."""
        self.consumer.pause(*assigned)
        self._changed(self.consumer, assigned)
