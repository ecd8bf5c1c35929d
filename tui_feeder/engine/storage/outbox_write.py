"""What one transaction does to an outbox: messages added and dropped, cursors moved."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import lmdb

from tui_feeder.engine.storage.outbox_format import (
    HEAD,
    Cursor,
    bytes_of,
    count_messages,
    database_of,
    last_number,
    message_key,
    stored_cursors,
)
from tui_feeder.safe_text import printable

log = logging.getLogger(__name__)

#: Oldest messages deleted in one go once the bound is reached.
_DROPPED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class OutboxState:
    """Numbers of an outbox as of a commit."""

    last: int  # of the newest message
    cursors: Mapping[str, int]  # by sink: the last message it has
    retained: Mapping[str, tuple[int, int]]  # of disabled sinks: what waits is in (first, second]
    dropped: Mapping[str, int]  # by sink, since the start


class OutboxWrite:
    """One transaction's changes to an outbox; thrown away if the transaction fails.

    Args:
        topic: of the outbox.
        sinks: names of those that are enabled.
        state: of the outbox before; not changed.
        txn: the transaction.
        entries: the database of the messages.
        meta: the database of the cursors.
        max_bytes: bound on the file space of all that waits.
        on_commit: takes the state after the commit.
    """

    def __init__(
        self,
        topic: str,
        sinks: Sequence[str],
        state: OutboxState,
        txn: lmdb.Transaction,
        entries: lmdb._Database,
        meta: lmdb._Database,
        max_bytes: int,
        on_commit: Callable[[OutboxState], None],
    ) -> None:
        self._topic = topic
        self._sinks = sinks
        self._prefix = database_of(topic) + b"\0"
        self._txn = txn
        self._entries = entries
        self._meta = meta
        self._max_bytes = max_bytes
        self._on_commit = on_commit
        self._last = state.last
        self._cursors = dict(state.cursors)
        self._retained = dict(state.retained)
        self._dropped = dict(state.dropped)

    def add(self, symbol: str, timestamp: int, payload: bytes) -> None:
        """Adds a message; the oldest are dropped while the outbox is over its limit.

        Args:
            symbol: its key.
            timestamp: ms.
            payload: the message.
        """
        name = symbol.encode()
        self._last += 1
        head = HEAD.pack(timestamp, time.time_ns() // 1_000_000, len(name))
        self._txn.put(message_key(self._last), head + name + payload, db=self._entries, append=True)
        while bytes_of(self._txn, self._entries) > self._max_bytes and self._drop():
            pass

    def _drop(self) -> bool:
        """Delete the oldest messages but the last; whether there were any."""
        cursor = self._txn.cursor(self._entries)
        for _ in range(_DROPPED_AT_ONCE):
            if not cursor.first() or (number := int.from_bytes(cursor.key(), "big")) == self._last:
                return False
            for sink, taken in self._cursors.items():
                self._dropped[sink] += number > taken
            for sink, (taken, until) in self._retained.items():
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

    def load_cursors(self) -> None:
        """See :meth:`Outbox.begin`."""
        found, damaged = stored_cursors(self._txn, self._meta, self._prefix, self._entries)
        newest = last_number(self._txn, self._entries)
        self._last = max([newest, *(max(cursor.taken, cursor.until or 0) for cursor in found.values())])
        for sink, key in damaged.items():
            log.error(
                "outbox %s: the cursor of %s is damaged: all that is still there is sent again",
                self._topic, printable(sink),
            )  # fmt: skip
            self._txn.delete(key, db=self._meta)
        # One that is new begins with what comes next, unless it may be the one whose record is damaged.
        begin = min((found[sink].taken for sink in damaged), default=self._last)
        for sink in self._sinks:
            self._set_cursor(sink, found[sink].taken if sink in found else begin)
        for sink in found.keys() - set(self._sinks):
            taken = found[sink].taken
            until = found[sink].until or self._last
            if count_messages(self._txn, self._entries, taken, until):
                self._retained[sink], self._dropped[sink] = (taken, until), 0
                key = self._prefix + sink.encode()
                self._txn.put(key, Cursor(taken, until).encode(key), db=self._meta)
            else:
                self._txn.delete(self._prefix + sink.encode(), db=self._meta)
        self._clear(self._taken_by_all())

    def discard(self, sink: str) -> None:
        """Drops what waits for a sink; see :meth:`Outbox.discard`.

        Args:
            sink: name of the sink.
        """
        if self._retained.pop(sink, None) is not None:
            self._txn.delete(self._prefix + sink.encode(), db=self._meta)
            self._clear(self._taken_by_all())

    def _taken_by_all(self) -> int:
        """Number of the last message that every enabled sink has."""
        return min(self._cursors.values(), default=self._last)

    def _set_cursor(self, sink: str, number: int) -> None:
        self._cursors[sink] = number
        key = self._prefix + sink.encode()
        self._txn.put(key, Cursor(number, None).encode(key), db=self._meta)

    def _clear(self, number: int) -> None:
        """Delete every message up to ``number`` but those kept for disabled sinks."""
        cursor = self._txn.cursor(self._entries)
        more = cursor.first()
        while more and (at := int.from_bytes(cursor.key(), "big")) <= number:
            kept = [until for taken, until in self._retained.values() if taken < at <= until]
            if kept:
                more = cursor.set_range(message_key(max(kept) + 1))
                continue
            more = cursor.delete() and bool(cursor.key())  # it stands on the next one then

    def committed(self) -> None:
        """The transaction is committed: what it did holds."""
        self._on_commit(OutboxState(self._last, self._cursors, self._retained, self._dropped))
