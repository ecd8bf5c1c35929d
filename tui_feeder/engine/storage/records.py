"""What the store keeps besides candles: refused ones, the archive files that were read, and small notes."""

from __future__ import annotations

import logging
from pathlib import Path

import lmdb
import msgspec

from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.storage.checked_records import DAMAGED
from tui_feeder.engine.storage.day_blocks import prefix_of
from tui_feeder.engine.storage.environment import Environment
from tui_feeder.time_format import format_day

log = logging.getLogger(__name__)

#: What the keys of notes begin with; the format, the exchange and the cursors of outboxes lie beside them.
NOTE = b"note\0"
#: Refused candles of a symbol that are kept: a source that sends nonsense for ever must not fill the disk.
_REFUSED_KEPT = 2_000


class Quarantined(msgspec.Struct, frozen=True):
    """A candle that was refused; ``record`` is JSON with its raw text and the reason."""

    open_time: int
    source: int
    record: bytes


class FileRecord(msgspec.Struct, frozen=True):
    """An archive file as it was when it was read. ``read_at`` is exchange ms, ``size`` bytes of the zip."""

    etag: str
    sha256: str
    size: int
    read_at: int
    checksum: str = ""  # the line of its ``.CHECKSUM`` as read; "" without one, or before this was kept
    last_modified: str = ""  # as the archive stated it


class UnusableRecords:
    """Records of a store that are damaged: each is named once, and counts as absent."""

    def __init__(self, path: Path) -> None:
        self.found: dict[str, str] = {}  # which, and why they cannot be used
        self._path = path

    def add(self, what: str, why: str) -> None:
        """Reports a record that cannot be used; each is logged once.

        Args:
            what: the record.
            why: what is wrong with it.
        """
        if what not in self.found:
            self.found[what] = why
            log.error("a record of the store %s is damaged and not used: %s: %s", self._path, what, why)


class Records:
    """Reads and writes them within a transaction it is given."""

    def __init__(self, environment: Environment, unusable: UnusableRecords) -> None:
        self._unusable = unusable.add
        self._notes = environment.notes
        self._files = environment.files
        self._quarantine = environment.quarantine
        self._profiles = environment.profiles
        self._refused: dict[str, int] = {}  # by symbol: about how many candles are in quarantine

    def note(self, txn: lmdb.Transaction, name: str) -> bytes | None:
        """Reads a note.

        Args:
            txn: the transaction.
            name: its name.

        Returns:
            The note; None without one.
        """
        return self._notes.get(txn, NOTE + name.encode())

    def notes(self, txn: lmdb.Transaction, prefix: str) -> dict[str, bytes]:
        """Reads the notes whose names have a prefix.

        Args:
            txn: the transaction.
            prefix: the prefix.

        Returns:
            Notes by the rest of their names.
        """
        start, found = NOTE + prefix.encode(), {}
        for key, value in self._notes.with_prefix(txn, start):
            try:
                found[key[len(start) :].decode()] = DAMAGED if value is None else value
            except UnicodeDecodeError as error:
                self._unusable(f"the note {key!r}", str(error))
        return found

    def set_note(self, txn: lmdb.Transaction, name: str, value: bytes | None) -> None:
        """Replaces a note.

        Args:
            txn: a write transaction.
            name: its name.
            value: the note; None deletes it.
        """
        key = NOTE + name.encode()
        if value is None:
            self._notes.delete(txn, key)
        else:
            self._notes.put(txn, key, value)

    def file(self, txn: lmdb.Transaction, path: str) -> FileRecord | None:
        """Reads what is known of an archive file.

        Args:
            txn: the transaction.
            path: its path below the archive's root.

        Returns:
            The record; None if it was not read.
        """
        found = self._files.get(txn, path.encode())
        if found is None:
            return None
        try:
            return msgspec.msgpack.decode(found, type=FileRecord)
        except UNREADABLE as error:
            self._unusable(f"archive file {path}", str(error))
            return None

    def set_file(self, txn: lmdb.Transaction, path: str, record: FileRecord) -> None:
        """Replaces what is known of an archive file.

        Args:
            txn: a write transaction.
            path: its path below the archive's root.
            record: the record.
        """
        self._files.put(txn, path.encode(), msgspec.msgpack.encode(record))

    def profiles(self, txn: lmdb.Transaction, symbol: str, start: int, end: int) -> list[tuple[int, bytes]]:
        """Reads the volume profiles of days.

        Args:
            txn: the transaction.
            symbol: the symbol.
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            Midnight (ms) and encoded profile, ascending.
        """
        prefix = prefix_of(symbol)
        low = prefix + (max(0, start) // DAY_MS).to_bytes(4, "big")
        found = []
        for key, value in self._profiles.scan(txn, low, prefix + b"\xff" * 4):
            day = int.from_bytes(key[-4:], "big") * DAY_MS
            if day >= end:
                break
            if value is None:  # it counts as missing: it is built again
                self._unusable(f"{symbol}: the volume profile of {format_day(day)}", "its checksum differs")
            else:
                found.append((day, value))
        return found

    def set_profile(self, txn: lmdb.Transaction, symbol: str, day: int, block: bytes) -> None:
        """Replaces the volume profile of a day.

        Args:
            txn: a write transaction.
            symbol: the symbol.
            day: midnight, ms.
            block: the encoded profile.
        """
        self._profiles.put(txn, prefix_of(symbol) + (day // DAY_MS).to_bytes(4, "big"), block)

    def refused(self, txn: lmdb.Transaction, symbol: str) -> list[Quarantined]:
        """Reads the quarantined candles of a symbol.

        Args:
            txn: the transaction.
            symbol: the symbol.

        Returns:
            The candles by minute and source.
        """
        return [
            Quarantined(int.from_bytes(key[-9:-1], "big"), key[-1], value)
            for key, value in self._quarantine.with_prefix(txn, prefix_of(symbol))
            if value is not None
        ]

    def refuse(self, txn: lmdb.Transaction, symbol: str, open_time: int, source: int, record: bytes) -> None:
        """Quarantines a candle; the last record of a minute and source is kept, and about the newest 2,000.

        Args:
            txn: a write transaction.
            symbol: the symbol.
            open_time: of the minute, ms; clamped to what a key can hold.
            source: where it comes from.
            record: JSON with raw text and reason.
        """
        at = min(max(0, open_time), (1 << 64) - 1).to_bytes(8, "big")
        prefix = prefix_of(symbol)
        self._quarantine.put(txn, prefix + at + bytes((source,)), record)
        count = self._refused.get(symbol, _REFUSED_KEPT) + 1  # unknown at first: then it is counted
        if count > _REFUSED_KEPT:
            count = self._thin_out(txn, prefix)
        self._refused[symbol] = count

    def _thin_out(self, txn: lmdb.Transaction, prefix: bytes) -> int:
        """Take away the oldest refused candles beyond the bound, some more at once; how many are left."""
        keys = [key for key, _ in self._quarantine.with_prefix(txn, prefix)]
        over = keys[: len(keys) - _REFUSED_KEPT * 9 // 10] if len(keys) > _REFUSED_KEPT else []
        for key in over:
            self._quarantine.delete(txn, key)
        return len(keys) - len(over)
