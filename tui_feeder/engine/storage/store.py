"""The store: every candle with its source, and what is known to be complete, in one LMDB environment.

Layout (keys begin with the symbol in UTF-8 and a NUL byte):

Every value lies behind a checksum of :mod:`~tui_feeder.engine.storage.checked_records`, except the format,
the exchange, and what belongs to an outbox.

- ``days``: + u32 day -> block of :mod:`~tui_feeder.engine.storage.codec`
- ``tail``: + u64 minute -> one row and its source; the live day, folded into its block later
- ``state``: + name -> a part of :mod:`~tui_feeder.engine.storage.symbol_state`
- ``quarantine``: + u64 minute, u8 source -> a refused candle as JSON
- ``files``: path of an archive file -> what it was when it was read
- ``profiles``: + u32 day -> volume profile of :mod:`~tui_feeder.engine.derived.stored_profiles`
- ``meta``: ``format``, ``exchange``, notes, and the cursors of the outbox
- ``outbox``, ``outbox candles``, ..., where a sink needs one: of :mod:`~tui_feeder.engine.storage.outbox`

One thread writes. All jobs that wait go into one transaction (group commit), so rows, coverage
and certification are always consistent, and a crash can never certify what is not stored.
Readers on any thread see what is committed, and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Rows, Source
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.trade_ids import TradeIds
from tui_feeder.engine.storage.damage import DamagedDay
from tui_feeder.engine.storage.group_commit import GroupCommit
from tui_feeder.engine.storage.inheritance import Inheritance
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.engine.storage.outbox import Outbox, OutgoingMessage
from tui_feeder.engine.storage.outbox_format import (
    database_of,
)
from tui_feeder.engine.storage.outbox_write import OutboxWrite
from tui_feeder.engine.storage.records import FileRecord, Quarantined
from tui_feeder.engine.storage.rest_reads import RestRead
from tui_feeder.engine.storage.store_reader import StoreReader
from tui_feeder.engine.storage.store_write import Write, Written
from tui_feeder.engine.storage.stored_states import SymbolSummary
from tui_feeder.engine.storage.symbol_state import (
    Unavailable,
    number,
    stored_size,
)

__all__ = [
    "DamagedDay",
    "FileRecord",
    "Quarantined",
    "Store",
    "StoreError",
    "SymbolSummary",
    "Unavailable",
    "Written",
]

log = logging.getLogger(__name__)


class Store(StoreReader):
    """The candles of every symbol, to be read and, by one process, written.

    Args:
        path: directory of the environment; made when absent.
        exchange: which exchange's candles it holds; a store never mixes two.
        read_only: open beside a running engine, for reading alone.
        map_size: bytes of address space to begin with; grows by itself.

    Raises:
        StoreError: locked by another engine, of another exchange or format, or not writable; from
            any method, once the store is closed.
    """

    def __init__(
        self, path: Path, *, exchange: str = "", read_only: bool = False, map_size: int = 1 << 30
    ) -> None:
        super().__init__(path, exchange=exchange, read_only=read_only, map_size=map_size)
        self.outboxes: dict[str, Outbox] = {}  # by topic; see open_outbox
        #: Called by the writer, on its thread, when the minutes of a damaged day have become missing.
        self.on_damaged_day: Callable[[DamagedDay], None] = _log_damaged_day
        #: Exchange time, ms, for the writer's thread; without it nothing is noted of what is published live.
        self.now: Callable[[], int] | None = None
        self._writer: GroupCommit[Write] | None = None
        if not read_only:
            self._writer = GroupCommit(self._environment, self._begin, self._publish)

    @property
    def pausing(self) -> str | None:
        """Why writes wait, when they do: a full disk."""
        return self._writer.pausing if self._writer is not None else None

    def paused(self) -> bool:
        """Whether writes wait for room on the disk."""
        return self.pausing is not None

    @property
    def paused_seconds(self) -> float:
        """For how long writes have waited for room on the disk; 0 where they do not."""
        writer = self._writer
        return time.monotonic() - writer.paused_at if writer is not None and writer.pausing else 0.0

    def close(self) -> None:
        """Commit what waits, end the writer, release the lock. A second call does nothing."""
        if self._writer is not None:
            self._writer.close()
        super().close()

    def _begin(self, txn: lmdb.Transaction) -> Write:
        return Write(
            txn, self._environment, self._day_blocks, self.outboxes, self._state, self._evidence, self.now
        )

    def _publish(self, write: Write) -> None:
        with self._loading:
            self._symbols.update(write.touched)
        for outbox in write.outboxes.values():
            outbox.committed()
        for symbol, day in write.sound:
            self._damaged.remove(symbol, day)
        for loss in write.damaged_days:
            self._damaged.add(loss.symbol, loss.day, loss.minutes)
        for symbol, state in write.touched.items():
            self._damaged.written(symbol, state.present)
        for loss in write.damaged_days:
            self.on_damaged_day(loss)
        self._published += 1

    def _report_damage(self, symbol: str, day: int, lacking: Coverage) -> bool:
        fresh = super()._report_damage(symbol, day, lacking)
        if fresh and self._writer is not None:
            with contextlib.suppress(StoreError):  # it is being closed: the next run finds it
                self._submit(partial(_mark_damaged, symbol, day))
        return fresh

    # A future that is cancelled before its job began takes the job with it, later it can't be.

    def open_outbox(self, sinks: Sequence[str], max_mb: float, topic: str = "data") -> Outbox:
        """Keeps the messages of a topic from now on until sinks have them.

        What waits for other sinks stays for them; see :meth:`Outbox.discard`.

        Args:
            sinks: names of the sinks.
            max_mb: limit of the outbox; the oldest messages are dropped beyond it.
            topic: the topic.

        Returns:
            The outbox.
        """

        def submit(job: Callable[[OutboxWrite], Any]) -> Future[Any]:
            return self._submit(lambda write: job(write.outboxes[topic]))

        name = database_of(topic)
        entries = self._submit(lambda write: self._environment.named(name, write.txn)).result()
        opened = Outbox(self._environment, submit, sinks, max_mb, entries, topic)
        self.outboxes = {**self.outboxes, topic: opened}  # the writer may be going through the others
        opened.begin()
        return opened

    def outbox_ends(self) -> dict[str, int]:
        """Returns by topic the number of the last message that waits, all as of the same moment."""
        with self._environment.reading() as txn:
            return {topic: outbox.end(txn) for topic, outbox in self.outboxes.items()}

    def send(self, topic: str, key: str, timestamp: int, payload: bytes) -> Future[bool]:
        """Adds a message to the outbox of a topic.

        Args:
            topic: the topic.
            key: key of the message.
            timestamp: ms.
            payload: the message.

        Returns:
            Done when committed: False, and nothing kept, if the topic has no outbox.
        """

        def job(write: Write) -> bool:
            outbox = write.outboxes.get(topic)
            if outbox is not None:
                outbox.add(key, timestamp, payload)
            return outbox is not None

        return self._submit(job)

    def append(
        self,
        symbol: str,
        candle: Candle,
        source: Source,
        *,
        watermark: bool = True,
        payload: bytes | None = None,
        more: Sequence[OutgoingMessage] = (),
    ) -> Future[Written]:
        """Stores one closed minute.

        A minute already there is replaced only by a source that ranks at least as high. Messages are
        written to the outboxes of their topics in the same transaction.

        Args:
            symbol: the symbol.
            candle: the minute.
            source: where it comes from.
            watermark: its message counts as made.
            payload: the minute's message.
            more: other messages that it caused.

        Returns:
            What was written, when committed.
        """

        def job(write: Write) -> Written:
            written = write.append(symbol, candle, source)
            if watermark:
                write.set_watermark(symbol, candle.open_time, payload, more)
                if written.conflicts and not written.changed:  # a better source came first
                    write.published_otherwise(symbol, candle, source)
                    write.set_stale_published(symbol, span(candle.open_time, candle.open_time + MINUTE_MS))
            return written

        return self._submit(job)

    def put(
        self,
        symbol: str,
        rows: Rows,
        source: Source,
        *,
        certify: Coverage = EMPTY,
        reject_archives: Coverage = EMPTY,
        read: RestRead | None = None,
    ) -> Future[Written]:
        """Stores many closed minutes.

        A minute already there is replaced only by a source that ranks at least as high.

        Args:
            symbol: the symbol.
            rows: shape (n,), dtype ROW, sorted, unique.
            source: where they come from.
            certify: minutes to certify; one that ``rows`` lacks is not certified, though it may be stored.
            reject_archives: minutes about which archives are wrong: no archive replaces those of ``rows``
                later.
            read: of REST: the window that was read, and when; the newest of a symbol are kept.

        Returns:
            What was written, when committed.
        """

        def job(write: Write) -> Written:
            if read is not None:
                write.add_rest_read(symbol, read)
            return write.put(symbol, rows, source, certify, reject_archives)

        return self._submit(job)

    def set_omitted(self, symbol: str, minutes: Coverage) -> Future[None]:
        """Records minutes of which the exchange has no candle, for good.

        Messages made before that was known marked bars over them partial: those from the first minute after
        each range on become :meth:`stale_published`.

        Args:
            symbol: the symbol.
            minutes: those stored among them are ignored.

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            state = write.of(symbol)
            if new := minutes.subtract(state.present).subtract(state.omitted):
                state.omitted = state.omitted.union(new)
                write.save_minutes(symbol, "omitted")
                write.set_stale_published(symbol, Coverage((end, end + MINUTE_MS) for _, end in new))

        return self._submit(job)

    def set_contract(self, symbol: str, size: float, delivery: int | None = None) -> Future[None]:
        """Records what a contract of a symbol is worth, and when it ends.

        Args:
            symbol: the symbol.
            size: in the quote asset; 0 where trades are not counted in contracts.
            delivery: ms, the first whole minute of which there is no candle; None where it has no end.

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            state = write.of(symbol)
            if size and size != state.contract_size:
                state.contract_size = size
                write.save(symbol, b"contract_size", stored_size(size))
            if delivery is not None and delivery != state.delivery:
                state.delivery = delivery
                write.save(symbol, b"delivery", number(delivery))

        return self._submit(job)

    def set_listed(self, symbol: str, first_minute: int) -> Future[None]:
        """Records the first minute the exchange has of the symbol.

        If it was not known when its first minutes were published, they become :meth:`stale_published`: they
        marked the bar in which it was listed partial.

        Args:
            symbol: the symbol.
            first_minute: ms.

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            known, write.of(symbol).listed = write.of(symbol).listed, first_minute
            write.save(symbol, b"listed", number(first_minute))
            if known != first_minute:
                write.set_stale_published(symbol, span(first_minute, first_minute + MINUTE_MS))

        return self._submit(job)

    def set_watermark(
        self,
        symbol: str,
        open_time: int,
        payload: bytes | None = None,
        more: Sequence[OutgoingMessage] = (),
        edition: int | None = None,
        candle: Candle | None = None,
        source: Source = Source.STREAM,
    ) -> Future[None]:
        """Records that messages are made up to and including a minute; it never goes back.

        Args:
            symbol: whose.
            open_time: of the minute, ms.
            payload: the minute's message, for its outbox.
            more: other messages that it caused, for theirs.
            edition: :meth:`edition` before the minute was read: if stored values were replaced since, the
                message may rest on the old ones, and the minute is :meth:`stale_published`.
            candle: the minute that the message was made of.
            source: where that came from.

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            write.set_watermark(symbol, open_time, payload, more)
            if edition is not None and write.of(symbol).edition != edition:
                if candle is not None:
                    write.published_otherwise(symbol, candle, source)
                write.set_stale_published(symbol, span(open_time, open_time + MINUTE_MS))

        return self._submit(job)

    def put_trade_ids(self, found: Sequence[tuple[str, int, TradeIds]]) -> Future[None]:
        """Keeps the trade ids that closing frames stated, for ten days.

        Args:
            found: symbol, open time of the minute (ms), and ids of its first and last trade.

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            for symbol, open_time, ids in found:
                write.put_trade_ids(symbol, open_time, ids)

        return self._submit(job)

    def revise(
        self,
        symbol: str,
        again: Sequence[tuple[int, bytes, Sequence[OutgoingMessage]]],
        name: str,
        note: bytes,
    ) -> Future[None]:
        """Publishes minutes again and stores a note that they are, both or neither.

        Args:
            symbol: the symbol.
            again: open time (ms) of each minute, its message, and other messages that it caused.
            name: name of the note.
            note: the note.

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            for open_time, payload, more in again:
                write.set_watermark(symbol, open_time, payload, more)
            self._records.set_note(write.txn, name, note)

        return self._submit(job)

    def add_outage(self, symbol: str, minutes: Coverage) -> Future[None]:
        """Records minutes without trades that REST confirmed.

        Args:
            symbol: the symbol.
            minutes: the minutes.

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            state = write.of(symbol)
            state.outages = state.outages.union(minutes)
            write.save_minutes(symbol, "outages")

        return self._submit(job)

    def forget_altered(self, symbol: str, seen: Coverage) -> Future[None]:
        """Clears altered minutes once a mirror has their values; nothing is cleared if there are more by now.

        Args:
            symbol: the symbol.
            seen: the altered minutes that the mirror has read.

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            state = write.of(symbol)
            if state.altered == seen:
                state.altered = EMPTY
                write.save_minutes(symbol, "altered")

        return self._submit(job)

    def mark_unconfirmed(self, symbol: str, minutes: Coverage) -> Future[None]:
        """Marks stored minutes as possibly wrong until something certifies them.

        Args:
            symbol: the symbol.
            minutes: the minutes.

        Returns:
            Done when committed.
        """
        return self._submit(lambda write: write.mark_unconfirmed(symbol, minutes))

    def mark_republished(self, symbol: str, minutes: Coverage) -> Future[None]:
        """Records that all messages computed from some minutes are published again.

        Args:
            symbol: the symbol.
            minutes: the minutes.

        Returns:
            Done when committed.
        """
        return self._submit(lambda write: write.mark_republished(symbol, minutes))

    def mark_published_without_lost(self, symbol: str) -> Future[None]:
        """Records that messages were made without the lost minutes; they are revised when these come back.

        Args:
            symbol: the symbol.

        Returns:
            Done when committed.
        """
        return self._submit(lambda write: write.mark_published_without_lost(symbol))

    def mark_stale_published(self, symbol: str, minutes: Coverage) -> Future[None]:
        """Records that the messages of minutes may be computed from other values than are stored.

        Args:
            symbol: the symbol.
            minutes: the minutes.

        Returns:
            Done when committed.
        """
        return self._submit(lambda write: write.set_stale_published(symbol, minutes))

    def inherit(self, symbol: str, given: Inheritance) -> Future[None]:
        """Take over what was made of a symbol elsewhere, in place of what was known of its messages.

        Args:
            symbol: whose.
            given: what was made; the minutes of it that are not stored become :meth:`inherited`.

        Returns:
            Done once all of it is committed.
        """

        def job(write: Write) -> None:
            write.inherit(symbol, given)
            for name, value in given.notes.items():
                self._records.set_note(write.txn, name, value)

        return self._submit(job)

    def compare_inherited(self, symbol: str, day: int) -> Future[None]:
        """Compares a day that was taken over, if all of it is stored.

        Messages that rest on other values are :meth:`stale_published` then.

        Args:
            symbol: the symbol.
            day: midnight, ms.

        Returns:
            Done when committed.
        """
        return self._submit(lambda write: write.compare_inherited(symbol, day))

    def forget_inherited(self, symbol: str) -> Future[None]:
        """Counts what is :meth:`inherited` as :meth:`lost_published` from now on.

        Args:
            symbol: the symbol.

        Returns:
            Done when committed.
        """
        return self._submit(lambda write: write.forget_inherited(symbol))

    def put_checkpoint(self, symbol: str, block: bytes) -> Future[None]:
        """Replaces a symbol's checkpoint (:mod:`~tui_feeder.engine.derived.checkpoint`).

        Args:
            symbol: the symbol.
            block: the encoded checkpoint.

        Returns:
            Done when committed.
        """
        return self._submit(lambda write: write.save(symbol, b"numbers", block))

    def set_unavailable(self, symbol: str, ranges: tuple[Unavailable, ...]) -> Future[None]:
        """Replaces the record of ranges that no source can give.

        Args:
            symbol: the symbol.
            ranges: the ranges.

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            write.of(symbol).unavailable = ranges
            write.save(symbol, b"unavailable", msgspec.json.encode(ranges))

        return self._submit(job)

    def quarantine(self, symbol: str, open_time: int, source: Source, record: bytes) -> Future[None]:
        """Quarantines a candle; the last record of a minute and source is kept.

        Args:
            symbol: the symbol.
            open_time: of the minute; may be any number.
            source: where it comes from.
            record: JSON with raw text and reason.

        Returns:
            Done when committed.
        """
        return self._submit(lambda write: self._records.refuse(write.txn, symbol, open_time, source, record))

    def set_file(self, path: str, record: FileRecord) -> Future[None]:
        """Records what an archive file was when it was read.

        Args:
            path: its path below the archive's root.
            record: the record.

        Returns:
            Done when committed.
        """
        return self._submit(lambda write: self._records.set_file(write.txn, path, record))

    def put_profiles(self, symbol: str, blocks: Mapping[int, bytes]) -> Future[None]:
        """Replaces the volume profiles of days.

        Args:
            symbol: the symbol.
            blocks: encoded profiles by midnight (ms).

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            for day, block in blocks.items():
                self._records.set_profile(write.txn, symbol, day, block)

        return self._submit(job)

    def drop_damaged_records(self) -> Future[None]:
        """Remove them, or write what is taken for them; notes are left to the next run of the feeder."""

        def job(write: Write) -> None:
            for database, low in self._record_databases():
                for key in [key for key, value in database.with_prefix(write.txn, low) if value is None]:
                    raw, _, name = key.partition(b"\0")
                    symbol = raw.decode(errors="replace")
                    if symbol.encode() != raw and database is not self._environment.notes:
                        database.delete(write.txn, key)  # of no symbol: nothing is taken for it
                    elif database is self._environment.state and name == b"present":
                        write.save_minutes(symbol, "present")
                    elif database is self._environment.state and name == b"edition":
                        write.save(symbol, name, number(write.of(symbol).edition))
                    elif database is not self._environment.notes:
                        database.delete(write.txn, key)

        return self._submit(job)

    def put_note(
        self, name: str, value: bytes | None, *, symbol: str = "", stale: Coverage = EMPTY
    ) -> Future[None]:
        """Stores a note for the next run in place of the one of the same name.

        Args:
            name: name of the note.
            value: the note; None deletes it.
            symbol: the symbol whose messages become stale with it.
            stale: minutes of ``symbol`` that become :meth:`stale_published`.

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            self._records.set_note(write.txn, name, value)
            if stale:
                write.set_stale_published(symbol, stale)

        return self._submit(job)

    def update_note(self, name: str, change: Callable[[bytes | None], bytes | None]) -> Future[None]:
        """Replaces a note by what follows from it, in one transaction.

        Args:
            name: name of the note.
            change: makes the new note of the present one, in the writer's thread; None is no note.

        Returns:
            Done when committed.
        """

        def job(write: Write) -> None:
            self._records.set_note(write.txn, name, change(self._records.note(write.txn, name)))

        return self._submit(job)

    def flushed(self) -> Future[None]:
        """Done once all that was handed over before is committed or has failed."""
        return self._submit(lambda write: None)

    def _submit(self, job: Callable[[Write], Any]) -> Future[Any]:
        if self._writer is None:
            raise StoreError(f"{self.path} is open for reading only")
        return self._writer.submit(job)


def _mark_damaged(symbol: str, day: int, write: Write) -> None:
    write.mark_damaged(symbol, day)


def _log_damaged_day(loss: DamagedDay) -> None:
    log.error("%s: %s", loss.symbol, loss.text)
