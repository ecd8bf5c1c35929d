"""What the store keeps besides candles: refused ones, the archive files that were read, and small notes."""

from __future__ import annotations

import logging
from pathlib import Path

import lmdb
import msgspec

from tui_feeder.engine.binance import UNREADABLE
from tui_feeder.engine.candle import DAY_MS
from tui_feeder.engine.daybook import prefix_of
from tui_feeder.engine.environment import Environment

log = logging.getLogger(__name__)

_NOTE = b"note\0"
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


class OddRecords:
    """Records of a store that are damaged: each is named once, and counts as absent."""

    def __init__(self, path: Path) -> None:
        self.found: dict[str, str] = {}  # which, and why they cannot be used
        self._path = path

    def add(self, what: str, why: str) -> None:
        """A record cannot be used."""
        if what not in self.found:
            self.found[what] = why
            log.error("a record of the store %s is damaged and not used: %s: %s", self._path, what, why)


class Records:
    """Reads and writes them within a transaction it is given."""

    def __init__(self, environment: Environment, odd: OddRecords) -> None:
        self._odd = odd.add
        self._meta = environment.meta
        self._files = environment.files
        self._quarantine = environment.quarantine
        self._profiles = environment.profiles
        self._refused: dict[str, int] = {}  # by symbol: about how many candles are in quarantine

    def note(self, txn: lmdb.Transaction, name: str) -> bytes | None:
        """What was noted under ``name``."""
        found = txn.get(_NOTE + name.encode(), db=self._meta)
        return None if found is None else bytes(found)

    def notes(self, txn: lmdb.Transaction, prefix: str) -> dict[str, bytes]:
        """What was noted under the names that begin with ``prefix``, by what follows it."""
        start, found = _NOTE + prefix.encode(), {}
        cursor = txn.cursor(self._meta)
        at = cursor.set_range(start)
        while at and (key := bytes(cursor.key())).startswith(start):
            try:
                found[key[len(start) :].decode()] = bytes(cursor.value())
            except UnicodeDecodeError as error:
                self._odd(f"the note {key!r}", str(error))
            at = cursor.next()
        return found

    def set_note(self, txn: lmdb.Transaction, name: str, value: bytes | None) -> None:
        """Note ``value`` under ``name``, in place of what was there; None leaves nothing there."""
        key = _NOTE + name.encode()
        if value is None:
            txn.delete(key, db=self._meta)
        else:
            txn.put(key, value, db=self._meta)

    def file(self, txn: lmdb.Transaction, path: str) -> FileRecord | None:
        """The archive file read from ``path``."""
        found = txn.get(path.encode(), db=self._files)
        if found is None:
            return None
        try:
            return msgspec.msgpack.decode(found, type=FileRecord)
        except UNREADABLE as error:
            self._odd(f"archive file {path}", str(error))
            return None

    def set_file(self, txn: lmdb.Transaction, path: str, record: FileRecord) -> None:
        """Keep ``record``, in place of what was there."""
        txn.put(path.encode(), msgspec.msgpack.encode(record), db=self._files)

    def profiles(self, txn: lmdb.Transaction, symbol: str, start: int, end: int) -> list[tuple[int, bytes]]:
        """The volume profiles of the days of ``[start, end)``, each with its midnight in ms, ascending."""
        prefix, found = prefix_of(symbol), []
        cursor = txn.cursor(self._profiles)
        at = cursor.set_range(prefix + (max(0, start) // DAY_MS).to_bytes(4, "big"))
        while at and (key := bytes(cursor.key())).startswith(prefix):
            day = int.from_bytes(key[-4:], "big") * DAY_MS
            if day >= end:
                break
            found.append((day, bytes(cursor.value())))
            at = cursor.next()
        return found

    def set_profile(self, txn: lmdb.Transaction, symbol: str, day: int, block: bytes) -> None:
        """Keep the volume profile of a day, in place of what was there."""
        txn.put(prefix_of(symbol) + (day // DAY_MS).to_bytes(4, "big"), block, db=self._profiles)

    def refused(self, txn: lmdb.Transaction, symbol: str) -> list[Quarantined]:
        """The refused candles of a symbol, by minute and source."""
        prefix, found = prefix_of(symbol), []
        cursor = txn.cursor(self._quarantine)
        at = cursor.set_range(prefix)
        while at and (key := bytes(cursor.key())).startswith(prefix):
            found.append(Quarantined(int.from_bytes(key[-9:-1], "big"), key[-1], bytes(cursor.value())))
            at = cursor.next()
        return found

    def refuse(self, txn: lmdb.Transaction, symbol: str, open_time: int, source: int, record: bytes) -> None:
        """Keep a refused candle; the last record of a minute and source stays, and about the newest 2,000."""
        at = min(max(0, open_time), (1 << 64) - 1).to_bytes(8, "big")
        prefix = prefix_of(symbol)
        txn.put(prefix + at + bytes((source,)), record, db=self._quarantine)
        count = self._refused.get(symbol, _REFUSED_KEPT) + 1  # unknown at first: then it is counted
        if count > _REFUSED_KEPT:
            count = self._thin_out(txn, prefix)
        self._refused[symbol] = count

    def _thin_out(self, txn: lmdb.Transaction, prefix: bytes) -> int:
        """Take away the oldest refused candles beyond the bound, some more at once; how many are left."""
        cursor = txn.cursor(self._quarantine)
        keys, at = [], cursor.set_range(prefix)
        while at and (key := bytes(cursor.key())).startswith(prefix):
            keys.append(key)
            at = cursor.next()
        over = keys[: len(keys) - _REFUSED_KEPT * 9 // 10] if len(keys) > _REFUSED_KEPT else []
        for key in over:
            txn.delete(key, db=self._quarantine)
        return len(keys) - len(over)
