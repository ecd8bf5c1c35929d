"""How the outbox of a topic is stored, and what can be read of it without opening it for a sink.

A database ``outbox`` (or ``outbox candles``, ...) maps the number of a message, u64, to its time, the time it
was written, its key and its JSON. The cursors of the sinks are in ``meta``.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import lmdb

from tui_feeder.engine.storage.environment import Environment

HEAD = struct.Struct(">qqH")  # timestamp and time of writing (ms), bytes of the symbol
#: Every topic there may be an outbox of.
TOPICS = ("data", "candles", "alerts")


class QueuedMessage(NamedTuple):
    """A message that waits."""

    number: int
    symbol: str  # its key
    timestamp: int  # of a minute's message and of a bar its close time, ms
    payload: bytes


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


class Cursor(NamedTuple):
    """How far a sink is."""

    taken: int  # number of the last message it has
    until: int | None  # of a disabled one: the last message made for it

    def encode(self, key: bytes) -> bytes:
        """Encodes the cursor with a checksum: a wrong one would drop what still waits.

        Args:
            key: the key it is stored under.

        Returns:
            Bytes.
        """
        body = message_key(self.taken) + (b"" if self.until is None else message_key(self.until))
        return body + _checksum(key, body)

    @classmethod
    def decode(cls, key: bytes, raw: bytes) -> Cursor | None:
        """Decodes a stored cursor.

        Args:
            key: the key it is stored under.
            raw: what :meth:`encode` returned.

        Returns:
            The cursor; None if it is damaged.
        """
        body, check = (raw, None) if len(raw) in (8, 16) else (raw[:-4], raw[-4:])  # once there was none
        if len(body) not in (8, 16) or (check is not None and check != _checksum(key, body)):
            return None
        return cls(int.from_bytes(body[:8], "big"), int.from_bytes(body[8:], "big") if body[8:] else None)


def _checksum(key: bytes, body: bytes) -> bytes:
    return zlib.crc32(body, zlib.crc32(key)).to_bytes(4, "big")


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
) -> tuple[dict[str, Cursor], dict[str, bytes]]:
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
    found, damaged = dict[str, Cursor](), dict[str, bytes]()
    at = cursor.set_range(prefix)
    while at and (key := bytes(cursor.key())).startswith(prefix):
        sink = key[len(prefix) :].decode(errors="replace")
        known = Cursor.decode(key, bytes(cursor.value()))
        if known is None or sink.encode() != key[len(prefix) :]:
            damaged[sink] = key
            known = Cursor(oldest - 1, None)
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
            last = last_number(txn, database)
            cursors, _ = stored_cursors(txn, environment.meta, database_of(topic) + b"\0", database)
            for sink, cursor in cursors.items():
                count = count_messages(txn, database, cursor.taken, cursor.until or last)
                if count:
                    first = txn.cursor(database)
                    first.set_range(message_key(cursor.taken + 1))
                    age = time.time() - written_at(first.value()) / 1000
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
        more = cursor.set_range(message_key(cursors[sink].taken + 1))
        while more:
            if len(cursor.value()) > size:
                best, size = bytes(cursor.key()), len(cursor.value())
            more = cursor.next()
        try:
            return decode_message(best, txn.get(best, db=database) or b"") if best else None
        except (struct.error, UnicodeDecodeError):  # damaged: it is not sent
            return None


def last_number(txn: lmdb.Transaction, entries: lmdb._Database) -> int:
    """Finds the number of the newest message.

    Args:
        txn: to read in.
        entries: the messages.

    Returns:
        0 where there is none.
    """
    cursor = txn.cursor(entries)
    return int.from_bytes(cursor.key(), "big") if cursor.last() else 0


def count_messages(txn: lmdb.Transaction, entries: lmdb._Database, taken: int, until: int) -> int:
    """Counts the messages in ``(taken, until]``.

    Args:
        txn: the transaction.
        entries: the outbox.
        taken: number of the last message not to count.
        until: number of the last message to count.

    Returns:
        How many there are.
    """
    cursor, count = txn.cursor(entries), 0
    last = message_key(until)
    more = cursor.set_range(message_key(taken + 1))
    while more and bytes(cursor.key()) <= last:
        count += 1
        more = cursor.next()
    return count


def message_key(number: int) -> bytes:
    """Makes the key of a message: its number, u64, big-endian.

    Args:
        number: of the message.

    Returns:
        Eight bytes.
    """
    return number.to_bytes(8, "big")


def decode_message(key: bytes | memoryview[int], value: bytes | memoryview[int]) -> QueuedMessage:
    """Reads a stored message.

    Args:
        key: its number.
        value: time, time of writing, key and payload.

    Returns:
        The message.

    Raises:
        struct.error: it is cut short.
        UnicodeDecodeError: its key is no UTF-8.
    """
    timestamp, _, length = HEAD.unpack_from(value)
    start = HEAD.size + length
    if len(value) <= start:
        raise struct.error(f"it has {len(value)} bytes")
    symbol = bytes(value[HEAD.size : start]).decode()
    return QueuedMessage(int.from_bytes(key, "big"), symbol, timestamp, bytes(value[start:]))


def written_at(value: bytes | memoryview[int]) -> int:
    """Gives the time a message was written.

    Args:
        value: the stored message.

    Returns:
        ms; now for a damaged one.
    """
    return int(HEAD.unpack_from(value)[1]) if len(value) >= HEAD.size else int(time.time() * 1000)


def bytes_of(txn: lmdb.Transaction, database: lmdb._Database) -> int:
    """Gives the file space of a named database.

    Args:
        txn: the transaction.
        database: the database.

    Returns:
        Bytes of all its pages.
    """
    stat = txn.stat(database)
    return int((stat["leaf_pages"] + stat["branch_pages"] + stat["overflow_pages"]) * stat["psize"])
