"""Messages that wait in the store until their sinks have them, in the order in which they were made.

A message is written in the transaction of its candle and deleted once every sink has acknowledged it:
a process that is killed, or a broker that is away, loses nothing. Each sink has a cursor, the number of
the last message it has taken; what is taken twice because a cursor was not yet written is distinguished by
symbol, timestamp and revision.

What waits for a sink stays when that is disabled, until it is enabled again or `feeder-tui sinks discard`
lets it go. Messages that are made meanwhile are not for it: a sink that is disabled for good fills no disk.

There is an outbox for each topic that any sink takes, each with numbers, cursors and a bound of its own, so
that a topic that cannot be delivered holds no other. A topic here is what follows the prefix in Kafka, or the
beginning of a file's name:

- ``data``: the message of a minute, given to ``Store.append`` and ``Store.set_watermark``
- ``candles``: closed bars, given to the same as ``more``
- ``alerts``, or anything else: whoever has something to send calls, on any thread and without waiting,

      store.send(topic: str, key: str, timestamp: int, payload: bytes) -> Future[bool]

  ``key`` is the record's key (a symbol), ``timestamp`` its time in ms, ``payload`` one JSON object. The
  future is done once the message is committed: from then on it gets to every sink of the topic. It is False,
  and nothing is kept, where no sink takes the topic.
"""

from __future__ import annotations

import logging
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import lmdb

from tui_feeder.engine.storage.environment import Environment
from tui_feeder.engine.storage.outbox_format import (
    QueuedMessage,
    bytes_of,
    decode_message,
    last_number,
    message_key,
    written_at,
)
from tui_feeder.engine.storage.outbox_write import OutboxState, OutboxWrite

log = logging.getLogger(__name__)

_MB = 1 << 20


class OutgoingMessage(NamedTuple):
    """A message to be written with a candle."""

    topic: str
    key: str
    timestamp: int  # ms
    payload: bytes  # one JSON object


class OutboxStatus(NamedTuple):
    """How much waits for a sink."""

    depth: int  # messages
    megabytes: float  # of the whole outbox in the file
    age: float  # seconds since the oldest was written, by the local clock
    dropped: int  # since the start: the bound was reached before the sink took them


class Outbox:
    """The messages of one topic that wait for their sinks.

    Args:
        environment: of the store, open for writing.
        submit: runs a job in the store's next transaction, with that transaction's :class:`OutboxWrite`.
        sinks: names of the sinks that take messages; one seen for the first time begins with what is
            written next. What waits for others is kept for them, and nothing more is.
        max_mb: bound on the file space of all that waits; beyond it the oldest are dropped and counted.
        entries: the database of the messages.
        topic: ``data`` has the names of the time when there was no other.
    """

    def __init__(
        self,
        environment: Environment,
        submit: Callable[[Callable[[OutboxWrite], Any]], Future[Any]],
        sinks: Sequence[str],
        max_mb: float,
        entries: lmdb._Database,
        topic: str,
    ) -> None:
        self.topic = topic
        self.sinks = tuple(sinks)
        self._state = OutboxState(0, {}, {}, dict.fromkeys(sinks, 0))
        self._max_bytes = int(max_mb * _MB)
        self._environment = environment
        self._entries = entries
        self._subscribers: list[Callable[[], None]] = []
        self._unreadable: deque[int] = deque(maxlen=1_000)  # numbers of messages that were named
        self._meta = environment.meta
        self._submit = submit

    @property
    def last(self) -> int:
        """Number of the newest message committed."""
        return self._state.last

    @property
    def cursors(self) -> Mapping[str, int]:
        """By enabled sink: number of the last message it has."""
        return self._state.cursors

    @property
    def retained(self) -> Mapping[str, tuple[int, int]]:
        """Of disabled sinks: what waits for them is in (first, second]."""
        return self._state.retained

    @property
    def dropped(self) -> Mapping[str, int]:
        """By sink: messages that the bound cost it since the start."""
        return self._state.dropped

    def begin(self) -> None:
        """Read the cursors, and settle those of sinks that are new or disabled."""
        self._submit(lambda write: write.load_cursors()).result()

    def discard(self, sink: str) -> None:
        """Drops the messages that wait for a disabled sink; blocks until committed.

        Args:
            sink: name of the sink.
        """
        self._submit(lambda write: write.discard(sink)).result()

    def subscribe(self, on_new: Callable[[], None]) -> None:
        """Registers a callback for newly committed messages.

        Args:
            on_new: called on the store's writer thread; must not block.
        """
        self._subscribers.append(on_new)

    def write(self, txn: lmdb.Transaction) -> OutboxWrite:
        """Starts the changes of a transaction; :meth:`OutboxWrite.committed` follows its commit.

        Args:
            txn: a write transaction.

        Returns:
            The changes.
        """
        return OutboxWrite(
            self.topic, self.sinks, self._state, txn, self._entries, self._meta, self._max_bytes,
            self._committed,
        )  # fmt: skip

    def _committed(self, state: OutboxState) -> None:
        grown = state.last > self._state.last
        self._state = state
        if grown:
            for subscriber in self._subscribers:
                subscriber()

    def end(self, txn: lmdb.Transaction) -> int:
        """Gives the number of the last message that waits.

        Args:
            txn: the transaction to look from.

        Returns:
            The number; 0 if none waits.
        """
        return last_number(txn, self._entries)

    def read_after(self, number: int, most_bytes: int) -> list[QueuedMessage]:
        """Reads waiting messages in order.

        Args:
            number: read the messages after this one.
            most_bytes: stop when the payloads reach this size.

        Returns:
            The messages.
        """
        found: list[QueuedMessage] = []
        with self._environment.reading() as txn:
            cursor = txn.cursor(self._entries)
            at = cursor.set_range(message_key(number + 1))
            while at and most_bytes > 0:
                try:
                    message = decode_message(cursor.key(), cursor.value())
                except (struct.error, UnicodeDecodeError) as error:
                    self._unusable(int.from_bytes(cursor.key(), "big"), error)
                else:
                    most_bytes -= len(message.payload)
                    found.append(message)
                at = cursor.next()
        return found

    def _unusable(self, number: int, error: Exception) -> None:
        """A message cannot be read: it is left out, those behind it are not held up."""
        if number not in self._unreadable:
            self._unreadable.append(number)
            log.error("message %d of the outbox %s is damaged and not sent: %s", number, self.topic, error)

    def acknowledge(self, sink: str, number: int) -> Future[None]:
        """Moves a sink's cursor; messages that every sink has are deleted.

        Args:
            sink: name of the sink.
            number: the last message it has.

        Returns:
            Done when committed.
        """
        return self._submit(lambda write: write.acknowledge(sink, number))

    def status(self, sink: str) -> OutboxStatus:
        """Measures how much waits for a sink.

        Args:
            sink: name of the sink.

        Returns:
            Messages, megabytes, age, and messages dropped.
        """
        taken = self.cursors[sink]
        with self._environment.reading() as txn:
            cursor = txn.cursor(self._entries)
            waits = cursor.set_range(message_key(taken + 1))
            if not waits:
                return OutboxStatus(0, 0.0, 0.0, self.dropped[sink])
            oldest = int.from_bytes(cursor.key(), "big")
            written = written_at(cursor.value())
            cursor.last()
            # Fewer where messages were made that were not for it: it was disabled.
            depth = int.from_bytes(cursor.key(), "big") - oldest + 1
            depth = min(depth, int(txn.stat(self._entries)["entries"]))
            megabytes = bytes_of(txn, self._entries) / _MB
        return OutboxStatus(depth, megabytes, max(0.0, time.time() - written / 1000), self.dropped[sink])
