"""Publishes in one partition of this worker: the queue of what waits for it, and its transactions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from tui_feeder.engine.alerts.rules import OF_NO_SYMBOL
from tui_feeder.engine.cluster import records
from tui_feeder.engine.cluster.producer import PartitionProducer, Record
from tui_feeder.engine.cluster.records import PartitionState, Position, Published
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.sinks.kafka_cluster import too_large
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.outbox_format import QueuedMessage

DATA, ALERTS = "data", "alerts"
#: What follows the prefix in the name of the state topic.
STATE = "state"
#: The first checkpoint of a symbol is made while its first message is published: waited for so long, seconds.
_CHECKPOINT_SECONDS = 2.0
_LOOK_SECONDS = 0.02


class Identity(NamedTuple):
    """Who publishes, and where."""

    group: str
    prefix: str  # of all topics
    worker: str
    store: str  # id of the store that the outboxes are of


class Checkpoint(NamedTuple):
    """What a symbol's pipeline was, for the next owner."""

    minute: int  # the last that it has counted, open time in ms
    check: int  # crc32 of its message of that minute
    since: int  # the first minute (ms) that was ever published
    block: bytes  # of :mod:`.handover`
    alerted: Mapping[
        str, int
    ]  # by rule: the last alert (ms) that its rules have found, to be published before


class Moment(NamedTuple):
    """The end of a transaction: all outboxes up to these numbers, by topic."""

    numbers: dict[str, int]


class _Sent(NamedTuple):
    """Messages that were written to a topic, whose answers are waited for."""

    topic: str
    largest: int  # bytes of the largest payload
    answers: Sequence[Awaitable[object]]


@contextlib.contextmanager
def _sizes(topic: str, largest: int) -> Iterator[None]:
    """A record that the broker takes to be too large: named, with what to do."""
    try:
        yield
    except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
        raise SinkError(too_large(largest, topic)) from error


class Head(msgspec.Struct):
    """What is read of a payload."""

    revision: int = 0
    rule: str = ""
    kind: str = ""

    @classmethod
    def of(cls, payload: bytes) -> Head:
        """Reads a payload: a minute's message, or an alert.

        Args:
            payload: one JSON object.

        Returns:
            What is read of it.
        """
        return msgspec.json.decode(payload, type=cls)

    @property
    def of_no_symbol(self) -> bool:
        """Whether it is an alert about the worker itself."""
        return self.kind in OF_NO_SYMBOL


class PartitionPublisher:
    """Publishes what waits for a partition that this worker has taken, in transactions.

    Args:
        producer: begun, so that nobody else publishes in the partition.
        state: what was published there.
        identity: who publishes.
        turn: which taking of the partition it is of.
    """

    def __init__(
        self, producer: PartitionProducer, state: PartitionState, identity: Identity, turn: int
    ) -> None:
        self.partition = producer.partition
        self.turn = turn
        self.open = False
        self.numbers: dict[str, int] = {}  # by topic: published up to here, or not to be published
        self.read: dict[str, int] = {}  # by topic: in the queue up to here
        self.bytes = 0  # payloads in the queue
        self.pending = False  # something may be in the queue or in an open transaction
        self.transactions = 0
        self.busy_since: float | None = None  # time.monotonic(), while an answer is waited for
        self.task: asyncio.Task[None] | None = None
        self._producer = producer
        self._state = state
        self._identity = identity
        self._published: dict[str, Published] = {}
        self._checkpointed: set[str] = set()  # symbols that have a checkpoint in the state topic
        self._queue: deque[tuple[str, QueuedMessage] | Moment] = deque()
        self._filled = asyncio.Event()

    def begin(self, starts: Mapping[str, int]) -> None:
        """Publish from now on.

        Args:
            starts: by topic, the last message of the outbox that is not to be published.
        """
        position = self._state.position
        mine = position.numbers if position is not None and position.store == self._identity.store else {}
        self.numbers = {topic: max(number, mine.get(topic, 0)) for topic, number in starts.items()}
        self.read = dict(self.numbers)
        self._published = {symbol: Published(known) for symbol, known in self._state.progress.items()}
        self._checkpointed = set(self._state.checkpoints)
        self._state = PartitionState()  # what it held is not needed any more
        self.open = self.pending = True

    async def close(self) -> None:
        """End its producer; what is not committed is not published."""
        await self._producer.close()

    def put(self, topic: str, message: QueuedMessage) -> int:
        """Queues a message.

        Args:
            topic: of its outbox.
            message: to be published.

        Returns:
            Bytes of its payload; 0 where it is in the queue or published already.
        """
        if message.number <= self.read[topic]:
            return 0
        self.read[topic] = message.number
        self.bytes += len(message.payload)
        self._append((topic, message))
        return len(message.payload)

    def put_end(self, moment: Moment) -> None:
        """Notes that a transaction may end here.

        Args:
            moment: how far all outboxes are.
        """
        self._append(moment)

    def _append(self, entry: tuple[str, QueuedMessage] | Moment) -> None:
        self._queue.append(entry)
        self.pending = True
        self._filled.set()

    def _next(self) -> tuple[list[tuple[str, QueuedMessage]], Moment | None]:
        """Takes everything up to the last moment in the queue; without one, everything."""
        last = next((at for at in reversed(self._queue) if isinstance(at, Moment)), None)
        found: list[tuple[str, QueuedMessage]] = []
        while self._queue:
            entry = self._queue.popleft()
            if entry is last:
                break
            if not isinstance(entry, Moment):
                found.append(entry)
        if not self._queue:
            self._filled.clear()
        return found, last

    async def transaction(
        self,
        permission: Callable[[], Awaitable[None]],
        checkpoint: Callable[[str, Published], Checkpoint | None],
        freed: Callable[[int], None],
    ) -> Counter[str]:
        """Waits for messages and publishes them, up to a moment, in one transaction.

        Args:
            permission: returns once this worker may publish.
            checkpoint: gives a symbol's checkpoint that is due and of what was published.
            freed: called with how many bytes of payloads have left the queue.

        Returns:
            The messages published, by topic.

        Raises:
            Fenced: another producer publishes in this partition, or the broker ended the transaction.
            SinkError: the broker refuses a message for good.
            KafkaError: the broker refuses something.
            TimeoutError: it does not answer; whether the transaction is published is not known.
        """
        await self._filled.wait()
        await permission()
        known = {entry[0] for entry in self._queue if not isinstance(entry, Moment)} | {STATE}
        await self._producer.begin(self._identity.prefix + topic for topic in sorted(known))
        sent: list[_Sent] = []
        touched: set[str] = set()
        counted: Counter[str] = Counter()
        moment: Moment | None = None
        while moment is None:
            await self._filled.wait()
            found, moment = self._next()
            for topic in self.numbers:
                messages = [message for of, message in found if of == topic]
                if messages:
                    sent.append(await self._send(topic, messages))
                    counted[topic] += len(messages)
            touched |= {message.symbol for topic, message in found if self._follow(topic, message)}
            size = sum(len(message.payload) for _, message in found)
            self.bytes -= size
            freed(size)
        numbers = {topic: max(number, moment.numbers[topic]) for topic, number in self.numbers.items()}
        sent.append(await self._send_state(touched, numbers, checkpoint))
        with self._busy():
            for written in sent:
                with _sizes(written.topic, written.largest):
                    await self._producer.sent(written.answers)
        await permission()
        with self._busy():
            await self._producer.commit()
        self.numbers = numbers
        self.pending = bool(self._queue)
        self.transactions += 1
        return counted

    async def _send(self, topic: str, messages: Sequence[QueuedMessage]) -> _Sent:
        written = [
            Record(message.symbol.encode(), message.payload, message.timestamp) for message in messages
        ]
        return await self._write(topic, written)

    async def _write(self, topic: str, written: Sequence[Record]) -> _Sent:
        """Write to a topic; the broker's answers are waited for together."""
        name, largest = self._identity.prefix + topic, max(len(record.value or b"") for record in written)
        with _sizes(name, largest), self._busy():
            return _Sent(name, largest, await self._producer.send(name, written))

    def _follow(self, topic: str, message: QueuedMessage) -> bool:
        """Take note of a message that is published; whether it changes what is known of its symbol."""
        if topic not in (DATA, ALERTS):
            return False
        head = Head.of(message.payload)
        if head.of_no_symbol:
            return False
        published = self._published.setdefault(message.symbol, Published())
        if topic == ALERTS:
            published.alert(head.rule, message.timestamp)
        else:
            published.message(message.timestamp + 1 - MINUTE_MS, head.revision, message.payload)
        return True

    async def _send_state(
        self,
        touched: Collection[str],
        numbers: dict[str, int],
        checkpoint: Callable[[str, Published], Checkpoint | None],
    ) -> _Sent:
        """Write, in the open transaction, what a next owner needs."""
        written: list[Record] = []
        patience = time.monotonic() + _CHECKPOINT_SECONDS
        for symbol in sorted(touched):
            published = self._published[symbol]
            made = checkpoint(symbol, published)
            # Without any a next owner could not go on before it has all candles: the first is waited for.
            while made is None and symbol not in self._checkpointed and time.monotonic() < patience:
                await asyncio.sleep(_LOOK_SECONDS)
                made = checkpoint(symbol, published)
            if made is not None:
                self._checkpointed.add(symbol)
                published.begins(made.since)
                published.checkpoint(made.minute)
                written.append(Record(records.checkpoint_key(symbol), made.block))
            written.append(Record(records.symbol_key(symbol), records.encode(published.progress())))
        at = time.time_ns() // 1_000_000
        who = self._identity
        position = Position(who.store, who.worker, self._producer.epoch, numbers, at)
        written.append(Record(records.POSITION_KEY, records.encode(position)))
        return await self._write(STATE, written)

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        """An answer of the broker is waited for."""
        self.busy_since = time.monotonic()
        try:
            yield
        finally:
            self.busy_since = None
