"""Messages that wait in the store until their sinks have them, in the order in which they were made.

A message is written in the transaction of its candle and deleted once every sink has acknowledged it:
a process that is killed, or a broker that is away, loses nothing. Each sink has a cursor, the number of
the last message it has taken; what is taken twice because a cursor was not yet written is told apart by
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
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import lmdb

from tui_feeder.configuration.text import printable
from tui_feeder.engine.storage.environment import Environment

log = logging.getLogger(__name__)

_HEAD = struct.Struct(">qqH")  # timestamp and time of writing (ms), bytes of the symbol
_MB = 1 << 20
#: Every topic there may be an outbox of.
TOPICS = ("data", "candles", "alerts")
#: Oldest messages deleted in one go once the bound is reached.
_DROPPED_AT_ONCE = 64


class OutgoingMessage(NamedTuple):
    """A message to be written with a candle."""

    topic: str
    key: str
    timestamp: int  # ms
    payload: bytes  # one JSON object


class QueuedMessage(NamedTuple):
    """A message that waits."""

    number: int
    symbol: str  # its key
    timestamp: int  # of a minute's message and of a bar its close time, ms
    payload: bytes


class OutboxStatus(NamedTuple):
    """How much waits for a sink."""

    depth: int  # messages
    megabytes: float  # of the whole outbox in the file
    age: float  # seconds since the oldest was written, by the local clock
    dropped: int  # since the start: the bound was reached before the sink took them


class Backlog(NamedTuple):
    """What waits for a sink, whether that is enabled or not."""

    topic: str
    sink: str
    messages: int
    age: float  # seconds since the oldest was written, by the local clock

    @property
    def kind(self) -> str:
        """The section of the configuration the sink is of: ``kafka`` or ``file``."""
        return self.sink.partition(" ")[0]


class _Cursor(NamedTuple):
    """How far a sink is."""

    taken: int  # number of the last message it has
    until: int | None  # of a disabled one: the last message made for it

    def encode(self, key: bytes) -> bytes:
        """As it is kept under ``key``, with a checksum: a wrong one would let go what still waits."""
        body = _key(self.taken) + (b"" if self.until is None else _key(self.until))
        return body + _checksum(key, body)

    @classmethod
    def decode(cls, key: bytes, raw: bytes) -> _Cursor | None:
        """What was kept under ``key``; None where it is damaged."""
        body, check = (raw, None) if len(raw) in (8, 16) else (raw[:-4], raw[-4:])  # once there was none
        if len(body) not in (8, 16) or (check is not None and check != _checksum(key, body)):
            return None
        return cls(int.from_bytes(body[:8], "big"), int.from_bytes(body[8:], "big") if body[8:] else None)


def _checksum(key: bytes, body: bytes) -> bytes:
    return zlib.crc32(body, zlib.crc32(key)).to_bytes(4, "big")


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
        self.last = 0  # number of the newest message committed
        self.cursors: dict[str, int] = {}
        self.kept: dict[str, tuple[int, int]] = {}  # of disabled sinks: what waits is in (first, second]
        self.dropped = dict.fromkeys(sinks, 0)
        self._max_bytes = int(max_mb * _MB)
        self._environment = environment
        self._entries = entries
        self._cursor_prefix = database_of(topic) + b"\0"
        self._subscribers: list[Callable[[], None]] = []
        self._unreadable: deque[int] = deque(maxlen=1_000)  # numbers of messages that were named
        self._meta = environment.meta
        self._submit = submit

    def begin(self) -> None:
        """Read the cursors, and settle those of sinks that are new or disabled."""
        self._submit(lambda write: write.settle()).result()

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
        return OutboxWrite(self, txn, self._entries, self._meta, self._cursor_prefix, self._max_bytes)

    def committed(
        self, last: int, cursors: dict[str, int], kept: dict[str, tuple[int, int]], dropped: dict[str, int]
    ) -> None:
        """Takes over the numbers that a committed transaction left.

        Args:
            last: number of the last message.
            cursors: by sink, the number of the last message it has.
            kept: by sink, messages and bytes that wait.
            dropped: by sink, messages dropped as the outbox was full.
        """
        grown = last > self.last
        self.last, self.cursors, self.kept, self.dropped = last, cursors, kept, dropped
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
        return _last_number(txn, self._entries)

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
            at = cursor.set_range(_key(number + 1))
            while at and most_bytes > 0:
                try:
                    message = _decode(cursor.key(), cursor.value())
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
            waits = cursor.set_range(_key(taken + 1))
            if not waits:
                return OutboxStatus(0, 0.0, 0.0, self.dropped[sink])
            oldest = int.from_bytes(cursor.key(), "big")
            written = _written_at(cursor.value())
            cursor.last()
            # Fewer where messages were made that were not for it: it was disabled.
            depth = int.from_bytes(cursor.key(), "big") - oldest + 1
            depth = min(depth, int(txn.stat(self._entries)["entries"]))
            megabytes = _bytes_of(txn, self._entries) / _MB
        return OutboxStatus(depth, megabytes, max(0.0, time.time() - written / 1000), self.dropped[sink])


class OutboxWrite:
    """One transaction's changes to an outbox; thrown away if the transaction fails."""

    def __init__(
        self,
        outbox: Outbox,
        txn: lmdb.Transaction,
        entries: lmdb._Database,
        meta: lmdb._Database,
        cursor_prefix: bytes,
        max_bytes: int,
    ) -> None:
        self._outbox = outbox
        self._prefix = cursor_prefix
        self._txn = txn
        self._entries = entries
        self._meta = meta
        self._max_bytes = max_bytes
        self._last = outbox.last
        self._cursors = dict(outbox.cursors)
        self._kept = dict(outbox.kept)
        self._dropped = dict(outbox.dropped)

    def add(self, symbol: str, timestamp: int, payload: bytes) -> None:
        """Adds a message; the oldest are dropped while the outbox is over its limit.

        Args:
            symbol: its key.
            timestamp: ms.
            payload: the message.
        """
        name = symbol.encode()
        self._last += 1
        head = _HEAD.pack(timestamp, time.time_ns() // 1_000_000, len(name))
        self._txn.put(_key(self._last), head + name + payload, db=self._entries, append=True)
        while _bytes_of(self._txn, self._entries) > self._max_bytes and self._drop():
            pass

    def _drop(self) -> bool:
        """Delete the oldest messages but the last; whether there were any."""
        cursor = self._txn.cursor(self._entries)
        for _ in range(_DROPPED_AT_ONCE):
            if not cursor.first() or (number := int.from_bytes(cursor.key(), "big")) == self._last:
                return False
            for sink, taken in self._cursors.items():
                self._dropped[sink] += number > taken
            for sink, (taken, until) in self._kept.items():
                self._dropped[sink] += taken < number <= until
            cursor.delete()
        return True

    def acknowledge(self, sink: str, number: int) -> None:
        """Moves a cursor; see :meth:`Outbox.acknowledge`.

        Args:
            sink: name of the sink.
            number: the last message it has.
        """
        if number > self._cursors[sink]:
            self._set_cursor(sink, number)
            self._clear(self._taken_by_all())

    def settle(self) -> None:
        """See :meth:`Outbox.begin`."""
        found, damaged = stored_cursors(self._txn, self._meta, self._prefix, self._entries)
        newest = _last_number(self._txn, self._entries)
        self._last = max([newest, *(max(cursor.taken, cursor.until or 0) for cursor in found.values())])
        for sink, key in damaged.items():
            log.error(
                "outbox %s: the cursor of %s is damaged: all that is still there is sent again",
                self._outbox.topic, printable(sink),
            )  # fmt: skip
            self._txn.delete(key, db=self._meta)
        # One that is new begins with what comes next, unless it may be the one whose record is damaged.
        begin = min((found[sink].taken for sink in damaged), default=self._last)
        for sink in self._outbox.sinks:
            self._set_cursor(sink, found[sink].taken if sink in found else begin)
        for sink in found.keys() - set(self._outbox.sinks):
            taken = found[sink].taken
            until = found[sink].until or self._last
            if _count(self._txn, self._entries, taken, until):
                self._kept[sink], self._dropped[sink] = (taken, until), 0
                key = self._prefix + sink.encode()
                self._txn.put(key, _Cursor(taken, until).encode(key), db=self._meta)
            else:
                self._txn.delete(self._prefix + sink.encode(), db=self._meta)
        self._clear(self._taken_by_all())

    def discard(self, sink: str) -> None:
        """Drops what waits for a sink; see :meth:`Outbox.discard`.

        Args:
            sink: name of the sink.
        """
        if self._kept.pop(sink, None) is not None:
            self._txn.delete(self._prefix + sink.encode(), db=self._meta)
            self._clear(self._taken_by_all())

    def _taken_by_all(self) -> int:
        """Number of the last message that every enabled sink has."""
        return min(self._cursors.values(), default=self._last)

    def _set_cursor(self, sink: str, number: int) -> None:
        self._cursors[sink] = number
        key = self._prefix + sink.encode()
        self._txn.put(key, _Cursor(number, None).encode(key), db=self._meta)

    def _clear(self, number: int) -> None:
        """Delete every message up to ``number`` but those kept for disabled sinks."""
        cursor = self._txn.cursor(self._entries)
        more = cursor.first()
        while more and (at := int.from_bytes(cursor.key(), "big")) <= number:
            kept = [until for taken, until in self._kept.values() if taken < at <= until]
            if kept:
                more = cursor.set_range(_key(max(kept) + 1))
                continue
            more = cursor.delete() and bool(cursor.key())  # it stands on the next one then

    def committed(self) -> None:
        """The transaction is committed: what it did holds."""
        self._outbox.committed(self._last, self._cursors, self._kept, self._dropped)


def database_of(topic: str) -> bytes:
    """Names the database of a topic's outbox, which is also the prefix of its cursors in ``meta``.

    Args:
        topic: the topic.

    Returns:
        The name.
    """
    return b"outbox" if topic == "data" else b"outbox " + topic.encode()


def stored_cursors(
    txn: lmdb.Transaction, meta: lmdb._Database, prefix: bytes, entries: lmdb._Database
) -> tuple[dict[str, _Cursor], dict[str, bytes]]:
    """Reads the cursors of an outbox; damaged ones count as before all messages that are there.

    Args:
        txn: to read in.
        meta: where the cursors are.
        prefix: of their keys.
        entries: the messages.

    Returns:
        The cursors by sink, and the keys of damaged ones.
    """
    first, cursor = txn.cursor(entries), txn.cursor(meta)
    oldest = int.from_bytes(first.key(), "big") if first.first() else 1
    found, damaged = dict[str, _Cursor](), dict[str, bytes]()
    at = cursor.set_range(prefix)
    while at and (key := bytes(cursor.key())).startswith(prefix):
        sink = key[len(prefix) :].decode(errors="replace")
        known = _Cursor.decode(key, bytes(cursor.value()))
        if known is None or sink.encode() != key[len(prefix) :]:
            damaged[sink] = key
            known = _Cursor(oldest - 1, None)
        found[sink] = known
        at = cursor.next()
    return found, damaged


def backlogs(environment: Environment, topics: Sequence[str] = TOPICS) -> list[Backlog]:
    """Lists which sinks have messages waiting. Reads only.

    Args:
        environment: the store's environment.
        topics: the topics to look at.

    Returns:
        One entry for each sink and topic with messages.
    """
    found = []
    with environment.reading() as txn:
        for topic in topics:
            if (database := environment.existing(txn, database_of(topic))) is None:
                continue
            last = _last_number(txn, database)
            cursors, _ = stored_cursors(txn, environment.meta, database_of(topic) + b"\0", database)
            for sink, cursor in cursors.items():
                count = _count(txn, database, cursor.taken, cursor.until or last)
                if count:
                    first = txn.cursor(database)
                    first.set_range(_key(cursor.taken + 1))
                    age = time.time() - _written_at(first.value()) / 1000
                    found.append(Backlog(topic, sink, count, max(0.0, age)))
    return found


def largest_waiting(environment: Environment, topic: str, sink: str) -> QueuedMessage | None:
    """Finds the largest message that waits for a sink. Reads only.

    Args:
        environment: the store's environment.
        topic: the topic.
        sink: name of the sink.

    Returns:
        The message; None if none waits.
    """
    with environment.reading() as txn:
        if (database := environment.existing(txn, database_of(topic))) is None:
            return None
        cursors, _ = stored_cursors(txn, environment.meta, database_of(topic) + b"\0", database)
        if sink not in cursors:
            return None
        cursor, best, size = txn.cursor(database), b"", -1
        more = cursor.set_range(_key(cursors[sink].taken + 1))
        while more:
            if len(cursor.value()) > size:
                best, size = bytes(cursor.key()), len(cursor.value())
            more = cursor.next()
        try:
            return _decode(best, txn.get(best, db=database) or b"") if best else None
        except (struct.error, UnicodeDecodeError):  # damaged: it is not sent
            return None


def _last_number(txn: lmdb.Transaction, entries: lmdb._Database) -> int:
    cursor = txn.cursor(entries)
    return int.from_bytes(cursor.key(), "big") if cursor.last() else 0


def _count(txn: lmdb.Transaction, entries: lmdb._Database, taken: int, until: int) -> int:
    """Messages in ``(taken, until]``."""
    cursor, count = txn.cursor(entries), 0
    last = _key(until)
    more = cursor.set_range(_key(taken + 1))
    while more and bytes(cursor.key()) <= last:
        count += 1
        more = cursor.next()
    return count


def _key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _decode(key: bytes | memoryview[int], value: bytes | memoryview[int]) -> QueuedMessage:
    timestamp, _, length = _HEAD.unpack_from(value)
    start = _HEAD.size + length
    if len(value) <= start:
        raise struct.error(f"it has {len(value)} bytes")
    symbol = bytes(value[_HEAD.size : start]).decode()
    return QueuedMessage(int.from_bytes(key, "big"), symbol, timestamp, bytes(value[start:]))


def _written_at(value: bytes | memoryview[int]) -> int:
    """When (ms) a message was written; now, where it is damaged."""
    return int(_HEAD.unpack_from(value)[1]) if len(value) >= _HEAD.size else int(time.time() * 1000)


def _bytes_of(txn: lmdb.Transaction, database: lmdb._Database) -> int:
    """File space of a named database."""
    stat = txn.stat(database)
    return int((stat["leaf_pages"] + stat["branch_pages"] + stat["overflow_pages"]) * stat["psize"])
