"""Publishes in the partitions of this worker: messages and what a next owner needs, in one transaction.

A session has a producer for each partition. What waits in the outboxes is read up to a moment at which all
of them are complete, so that a minute's message is never published without its bars, and goes to the
publisher of its partition. That publishes up to such a moment in one transaction, together with the position
in the outboxes: whatever happens, the next owner, or this worker after a restart, goes on exactly there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError

from tui_feeder.config import Kafka
from tui_feeder.engine.cluster.partition_publisher import (
    ALERTS,
    DATA,
    STATE,
    Checkpoint,
    Head,
    Identity,
    Moment,
    PartitionPublisher,
)
from tui_feeder.engine.cluster.partitions import partition_of
from tui_feeder.engine.cluster.producer import Fenced, PartitionProducer, ignore_refusals, read_states
from tui_feeder.engine.cluster.records import PartitionState, Published
from tui_feeder.engine.core.event_names import event_name
from tui_feeder.engine.sinks.draining import OutboxCursor, sink_name
from tui_feeder.engine.sinks.kafka_cluster import describe_error
from tui_feeder.engine.sinks.thread import TICK, SessionSink, SinkError
from tui_feeder.engine.storage.outbox_format import QueuedMessage
from tui_feeder.engine.storage.store import Store

#: Payloads read ahead of their transactions, bytes.
_AHEAD = 8 << 20
#: Payloads taken from an outbox in one go, bytes.
_SLICE = 1 << 20
#: The symbols of a partition close a minute within about so long: one transaction takes them all, seconds.
_GATHER_SECONDS = 0.2
#: Producers that begin at the same time.
_FENCED_AT_ONCE = 8
#: A broker that has not answered for so long is reported, seconds.
_SILENT_SECONDS = 3.0
#: How often it is looked whether this worker may publish again, seconds.
_LOOK_SECONDS = 0.1


class Taken(NamedTuple):
    """A partition whose former owner is fenced off."""

    partition: int
    epoch: int
    state: PartitionState


class Events(NamedTuple):
    """What is called when something happens; on the engine's loop."""

    taken: Callable[[Taken], None]
    fenced: Callable[[int], None]  # a partition's producer was refused
    published: Callable[[int], None]  # a partition's first transaction is committed


@dataclass(slots=True)
class _Wanted:
    """A partition that this worker has been given."""

    turn: int  # rises whenever it has to be taken anew
    numbers: Mapping[str, int] | None = None  # publish what comes after these, by topic; None: not yet
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)  # by symbol, to be published


class Publisher(SessionSink):
    """The sink of a cluster worker: takes partitions, and publishes in those that are open.

    Args:
        config: the section ``[kafka]``.
        partitions: how many each topic has.
        identity: who publishes.
        store: whose outboxes.
        cursors: of this sink in the outbox of each topic.
        holds: whether the group has certainly not given this worker's partitions to others; from any thread.
        events: what is called when something happens.
    """

    name = "kafka"

    def __init__(
        self,
        config: Kafka,
        partitions: int,
        identity: Identity,
        store: Store,
        cursors: Sequence[OutboxCursor],
        holds: Callable[[], bool],
        events: Events,
    ) -> None:
        super().__init__()
        self.fenced = 0  # producers that were refused, since the start
        self.transactions: dict[int, int] = {}  # committed, by partition that is open
        self._config = config
        self._partitions = partitions
        self._identity = identity
        self._store = store
        self._cursors = {cursor.outbox.topic: cursor for cursor in cursors}
        self._holds = holds
        self._events = events
        self._wanted: dict[int, _Wanted] = {}
        self._known = False  # the group has given this worker its partitions
        self._changing = threading.Lock()
        self._turn = 0
        # Of a session, see _begin:
        self._publishers: dict[int, PartitionPublisher] = {}  # by partition
        self._joining: list[PartitionPublisher] = []  # open, and to be read for from the next pass on
        self._ended: dict[int, dict[str, int]] = {}  # by partition, of ended publishers: what they published
        self._turns: set[int] = set()  # those that were begun with, or whose producer was refused
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving: set[asyncio.Task[None]] = set()  # publishers that are ending
        self._read: dict[str, int] = {}  # by topic: given to the publishers up to here
        self._caught_up = False  # all that waits is published, as of the last look
        self._done = False  # the same, by a look that began when it was closing
        self._ahead = 0  # bytes in the publishers' queues
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._fencing = asyncio.Semaphore(_FENCED_AT_ONCE)
        self.replace_after_seconds = max(
            60.0, (config.delivery_timeout_ms + 2 * config.request_timeout_ms) / 1000
        )
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        for cursor in cursors:
            cursor.outbox.subscribe(self._wake)

    # --- the engine's side ----------------------------------------------------------------------

    def own(self, partitions: Collection[int]) -> None:
        """Sets this worker's partitions: new ones are taken, those not among them are let go.

        Args:
            partitions: all that are this worker's from now on.
        """
        with self._changing:
            self._known = True
            for partition in [at for at in self._wanted if at not in partitions]:
                del self._wanted[partition]
            for partition in partitions:
                if partition not in self._wanted:
                    self._wanted[partition] = self._next_turn()
        self._wake()

    def take_again(self, partition: int) -> None:
        """Takes a partition anew: its state is read again, and it waits to be opened.

        Args:
            partition: its number.
        """
        with self._changing:
            if partition in self._wanted:
                self._wanted[partition] = self._next_turn()
        self._wake()

    def open(self, partition: int, numbers: Mapping[str, int]) -> None:
        """Publish in a partition that was taken.

        Args:
            partition: which.
            numbers: by topic, the last message of the outbox that is not to be published in it.
        """
        with self._changing:
            if (wanted := self._wanted.get(partition)) is not None:
                wanted.numbers = dict(numbers)
        self._wake()

    def checkpoint(self, symbol: str, made: Checkpoint) -> None:
        """Publishes a checkpoint with the symbol's next messages, if it is of what was published.

        Args:
            symbol: whose.
            made: the checkpoint.
        """
        with self._changing:
            wanted = self._wanted.get(partition_of(symbol.encode(), self._partitions))
            if wanted is not None:
                wanted.checkpoints[symbol] = made

    def _next_turn(self) -> _Wanted:
        self._turn += 1
        return _Wanted(self._turn)

    def status(self) -> str:
        """``ok``, or what is wrong and how much waits."""
        trouble = self.wrong()
        if not trouble and (seconds := self._silence()) >= _SILENT_SECONDS:
            trouble = f"the broker has not answered for {seconds:.0f} s"
        cursor = self._cursors[DATA]
        if not trouble and not self._known:
            trouble = "waiting for the group"
        return cursor.text(trouble)

    def lag_seconds(self) -> float:
        """Seconds since the oldest message that waits was written; 0.0 without one."""
        return max(cursor.outbox.status(cursor.sink).age for cursor in self._cursors.values())

    def _silence(self) -> float:
        since = [
            at for publisher in list(self._publishers.values()) if (at := publisher.busy_since) is not None
        ]
        return time.monotonic() - min(since) if since else 0.0

    # --- the session's side ---------------------------------------------------------------------

    async def session(self) -> None:
        """Take what is wanted, publish what waits, until it fails or closes."""
        self._begin()
        asyncio.get_running_loop().set_exception_handler(ignore_refusals)
        try:
            who = f"worker {self._identity.worker} of group {self._identity.group}"
            self.connected(f"publishes as {who} in the partitions that the group gives it")
            self._start(self._read_on())
            while True:
                self._take_wanted()
                self._news.set()
                await self.woken(TICK)
                for task in [task for task in self._tasks if task.done()]:
                    self._tasks.discard(task)
                    if not task.cancelled():
                        task.result()
                self._acknowledge()
                for cursor in self._cursors.values():
                    cursor.report_dropped(self)
                if not self._resolved or not self._holds():
                    self.expect_idle(2 * TICK)
                elif self._caught_up:
                    self.progress()
                if self.over(idle=self._done or not self._resolved):
                    break
            for cursor in self._cursors.values():
                await cursor.flush()
        except (KafkaError, TimeoutError) as error:
            raise SinkError(describe_error(error, self._identity.prefix + DATA)) from error
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.gather(
                *self._leaving, *(publisher.close() for publisher in self._publishers.values())
            )
            self._publishers = {}

    def _begin(self) -> None:
        """A session knows nothing of the one before: every partition is taken anew."""
        self._publishers, self._joining, self._turns, self._tasks = {}, [], set(), set()
        self._ended, self._leaving = {}, set()
        self._ahead, self._caught_up, self._done = 0, False, False
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._fencing = asyncio.Semaphore(_FENCED_AT_ONCE)
        self._read = {topic: cursor.taken for topic, cursor in self._cursors.items()}
        with self._changing:
            for partition in self._wanted:
                self._wanted[partition] = self._next_turn()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside the session; its failure is the session's."""
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._wake())
        self._tasks.add(task)
        return task

    @property
    def _resolved(self) -> bool:
        """Whether it is known of every message in the outboxes what becomes of it."""
        publishers = {at: publisher.turn for at, publisher in self._publishers.items() if publisher.open}
        with self._changing:
            return self._known and publishers == {at: wanted.turn for at, wanted in self._wanted.items()}

    # --- taking partitions ----------------------------------------------------------------------

    def _take_wanted(self) -> None:
        """End publishers that are not wanted any more, begin those that are, open those that may publish."""
        with self._changing:
            wanted = dict(self._wanted)
        for partition, publisher in list(self._publishers.items()):
            if partition not in wanted or wanted[partition].turn != publisher.turn:
                self._leave(publisher)
        new = {at: assigned.turn for at, assigned in wanted.items() if assigned.turn not in self._turns}
        if new:
            self._turns |= set(new.values())
            self._start(self._take(new))
        for partition, publisher in self._publishers.items():
            if not publisher.open and (numbers := wanted[partition].numbers) is not None:
                self._open(publisher, numbers)

    async def _take(self, turns: Mapping[int, int]) -> None:
        """Fence the former owners of partitions off, and read what they published."""
        who = self._identity
        producers = {
            at: PartitionProducer(self._config, f"{who.group}-{who.prefix}-p{at}", at) for at in turns
        }
        try:
            # One by one where they are many: what is given to another meanwhile is not taken from it.
            begun = await asyncio.gather(*(self._fence(producers[at], turn) for at, turn in turns.items()))
            states = await read_states(
                self._config,
                who.prefix + STATE,
                [at for at, fenced in zip(turns, begun, strict=True) if fenced],
            )
        except BaseException:
            await asyncio.gather(*(producer.close() for producer in producers.values()))
            raise
        for partition, state in states.items():
            if (other := self._publishers.get(partition)) is not None:  # of an earlier turn
                self._leave(other)
            producer = producers.pop(partition)
            self._publishers[partition] = PartitionPublisher(producer, state, who, turns[partition])
            self._report(self._events.taken, Taken(partition, producer.epoch, state))
        await asyncio.gather(*(producer.close() for producer in producers.values()))

    async def _fence(self, producer: PartitionProducer, turn: int) -> bool:
        """Begin a producer, unless its partition is another's by now; whether it has begun."""
        async with self._fencing:
            with self._changing:
                wanted = self._wanted.get(producer.partition)
            if wanted is None or wanted.turn != turn:
                return False
            await producer.start()
            return True

    def _leave(self, publisher: PartitionPublisher) -> None:
        """End a partition's publisher; what it had not committed is not published by it."""
        if self._publishers.get(publisher.partition) is publisher:
            del self._publishers[publisher.partition]
        self.transactions.pop(publisher.partition, None)
        if publisher.open:
            self._ended[publisher.partition] = publisher.numbers
        publisher.open = publisher.pending = False
        self._ahead -= publisher.bytes
        publisher.bytes = 0
        self._room.set()
        if publisher.task is not None and publisher.task is not asyncio.current_task():
            publisher.task.cancel()
        self._leaving.add(closing := asyncio.create_task(publisher.close()))
        closing.add_done_callback(self._leaving.discard)

    def _report(self, event: Callable[[Any], None], what: object) -> None:
        loop = self._engine_loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the engine has ended
                loop.call_soon_threadsafe(event, what)

    def _open(self, publisher: PartitionPublisher, numbers: Mapping[str, int]) -> None:
        """Publish in a partition from now on; what waits for it is read again from where it is."""
        publisher.begin({topic: max(at.taken, numbers.get(topic, 0)) for topic, at in self._cursors.items()})
        publisher.task = self._start(self._publish_on(publisher))
        self._joining.append(publisher)

    # --- from the outboxes to the publishers ---------------------------------------------------------

    async def _read_on(self) -> None:
        """Give the publishers what the outboxes have, until the session is over.

        A minute's message, its bars and alerts are not of one outbox: what is read at once ends at one moment
        in all of them.
        """
        while True:
            await self._news.wait()
            self._news.clear()
            ending = self.ending
            ends = self._store.outbox_ends()
            if self._publishers and not self.ending and self._left(ends):
                await asyncio.sleep(_GATHER_SECONDS)
                ends = self._store.outbox_ends()
            await self._read_to(ends)
            pending = any(publisher.pending for publisher in self._publishers.values())
            self._caught_up = not pending and not self._left(self._store.outbox_ends())
            self._done = ending and self._caught_up
            if ending and self._caught_up:
                self._wake()

    def _left(self, ends: Mapping[str, int]) -> bool:
        """Whether the outboxes have what no publisher was given."""
        return bool(self._joining) or any(ends.get(topic, 0) > read for topic, read in self._read.items())

    async def _read_to(self, ends: Mapping[str, int]) -> None:
        """Give the publishers everything up to these numbers, by topic."""
        joining, self._joining = self._joining, []
        for publisher in joining:
            for topic, number in publisher.read.items():
                self._read[topic] = min(self._read[topic], number)
        publishers = {
            at: publisher
            for at, publisher in self._publishers.items()
            if publisher.open and publisher not in self._joining
        }
        touched: set[int] = set()
        for topic, cursor in self._cursors.items():
            end = ends.get(topic, 0)
            while self._read[topic] < end:
                found = cursor.outbox.read_after(self._read[topic], _SLICE)
                found = [message for message in found if message.number <= end]
                for message in found:
                    chosen = self._publisher_of(topic, message, publishers)
                    if chosen is not None and chosen.open and (size := chosen.put(topic, message)):
                        self._ahead += size
                        touched.add(chosen.partition)
                self._read[topic] = found[-1].number if found else end
                while self._ahead > _AHEAD:
                    self._room.clear()
                    await self._room.wait()
        for partition, publisher in publishers.items():
            if partition in touched:
                publisher.put_end(Moment({topic: ends.get(topic, 0) for topic in self._cursors}))
            elif publisher in joining:
                publisher.pending = False  # nothing waited for it

    def _publisher_of(
        self, topic: str, message: QueuedMessage, publishers: Mapping[int, PartitionPublisher]
    ) -> PartitionPublisher | None:
        """Finds the publisher of a message by its key; alerts about this worker go to any of them."""
        if topic == ALERTS and Head.of(message.payload).of_no_symbol:
            return publishers[min(publishers)] if publishers else None
        return publishers.get(partition_of(message.symbol.encode(), self._partitions))

    def _acknowledge(self) -> None:
        """Let the outboxes delete what is published, and what never will be by this worker."""
        if not self._resolved:
            return
        self._count_discarded()
        pending = [publisher for publisher in self._publishers.values() if publisher.pending]
        for topic, cursor in self._cursors.items():
            done = min([self._read[topic], *(publisher.numbers[topic] for publisher in pending)])
            if done > cursor.taken:
                cursor.take(done)

    def _count_discarded(self) -> None:
        """Of partitions that were let go, what waits here is not published: their new owners make it."""
        gone = {at: numbers for at, numbers in self._ended.items() if at not in self._publishers}
        self._ended = {}
        for topic, cursor in self._cursors.items() if gone else ():
            at = cursor.taken
            while at < self._read[topic] and (found := cursor.outbox.read_after(at, _SLICE)):
                at = found[-1].number
                places = [
                    (partition_of(message.symbol.encode(), self._partitions), message.number)
                    for message in found
                ]
                many = sum(place in gone and number > gone[place][topic] for place, number in places)
                self.count("cluster_messages_discarded", many)

    # --- from the publishers to the broker -----------------------------------------------------------

    async def _publish_on(self, publisher: PartitionPublisher) -> None:
        """Publish what waits for a partition, one transaction after the other."""
        try:
            while True:
                counted = await publisher.transaction(self._permission, self._due_checkpoint, self._freed)
                self.transactions[publisher.partition] = self.transactions.get(publisher.partition, 0) + 1
                self.progress()
                for topic, count in counted.items():
                    self.count(event_name(sink_name("kafka", topic), "messages"), count)
                self.count("cluster_transactions", 1)
                if publisher.transactions == 1:
                    self._report(self._events.published, publisher.partition)
                self._wake()
        except Fenced:
            self.fenced += 1
            self.count("cluster_fenced_writes", 1)
            text = "another worker publishes there, or a transaction took too long"
            self.note("warning", f"partition {publisher.partition}: the broker refuses our producer: {text}")
            self._leave(publisher)
            self._report(self._events.fenced, publisher.partition)

    def _freed(self, size: int) -> None:
        self._ahead -= size
        self._room.set()

    async def _permission(self) -> None:
        """Wait until the group has certainly not given this worker's partitions to others."""
        while not self._holds():  # noqa: ASYNC110 - what it waits for happens on another thread
            await asyncio.sleep(_LOOK_SECONDS)

    def _due_checkpoint(self, symbol: str, published: Published) -> Checkpoint | None:
        """The symbol's checkpoint that waits, if it is of what was published; one that is not is dropped."""
        with self._changing:
            wanted = self._wanted.get(partition_of(symbol.encode(), self._partitions))
            made = None if wanted is None else wanted.checkpoints.get(symbol)
            if wanted is None or made is None:
                return None
            alerted = made.alerted if ALERTS in self._cursors else {}
            fits = published.fits(made.minute, made.check, alerted)
            if fits is not None:
                del wanted.checkpoints[symbol]
        if fits:
            self.count("cluster_checkpoints", 1)
        return made if fits else None
