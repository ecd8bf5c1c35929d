"""The rows of the store: packed blocks of days, and single rows at the tail of the live day.

A block is small and quick to read, but written whole; a tail row is large and written alone. So
new minutes of the live day wait in the tail, and are folded into a block when the day is over, or
earlier when something in the middle of it changes. Where both have a minute, the better source wins.
"""

from __future__ import annotations

from collections.abc import Iterator

import lmdb
import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import DAY_MS, ROW, Candle, Rows, Source
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.storage import codec
from tui_feeder.engine.storage.codec import Sources
from tui_feeder.engine.storage.environment import Environment

#: A row of the tail and its source, 81 bytes.
_TAIL = np.dtype([("row", ROW), ("source", "u1")])
_DIFFERS = "its checksum differs"
_LAST_DAY = (1 << 32) - 1
_LAST_MINUTE = (1 << 64) - 1


class DayBlocks:
    """Reads and writes the minutes of symbols within a transaction it is given.

    ``prefix`` is :func:`prefix_of` the symbol; ``day`` the ms of a UTC midnight.
    """

    def __init__(self, environment: Environment) -> None:
        self._days = environment.days
        self._tail = environment.tail

    def read(
        self, txn: lmdb.Transaction, prefix: bytes, start: int, end: int
    ) -> tuple[Rows, Sources, dict[int, str]]:
        """Reads stored minutes.

        A day whose block is damaged gives only what its tail has; it is named with the reason.

        Args:
            txn: the transaction.
            prefix: see :func:`prefix_of`.
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            Rows (dtype ROW, sorted), their sources (uint8), and the reason by damaged day (ms).
        """
        damaged: dict[int, str] = {}
        rows, sources = self._read_blocks(txn, prefix, start, end, damaged)
        late, late_sources = self._read_tail(txn, prefix, start, end, damaged)
        if not len(late):
            return rows, sources, damaged
        if not len(rows) or rows["open_time"][-1] < late["open_time"][0]:
            return *_joined([(rows, sources), (late, late_sources)]), damaged
        return *merge(rows, sources, late, late_sources)[:2], damaged

    def _read_blocks(
        self, txn: lmdb.Transaction, prefix: bytes, start: int, end: int, damaged: dict[int, str]
    ) -> tuple[Rows, Sources]:
        parts = []
        for day, block in self._blocks(txn, prefix, start, end):
            try:
                if block is None:
                    raise codec.BlockError(_DIFFERS)
                rows, sources = codec.decode(day, block)
            except codec.BlockError as error:
                damaged[day] = str(error)
                continue
            if day < start or day + DAY_MS > end:
                inside = slice(*np.searchsorted(rows["open_time"], (start, end)))
                rows, sources = rows[inside], sources[inside]
            parts.append((rows, sources))
        return _joined(parts)

    def _blocks(
        self, txn: lmdb.Transaction, prefix: bytes, start: int, end: int
    ) -> Iterator[tuple[int, bytes | None]]:
        if end > start:
            low, high = _day_key(prefix, start), _day_key(prefix, max(0, end - 1))
            for key, block in self._days.scan(txn, low, high):
                yield int.from_bytes(key[-4:], "big") * DAY_MS, block

    def check(
        self, txn: lmdb.Transaction, prefix: bytes, start: int, end: int
    ) -> tuple[Coverage, dict[int, str]]:
        """Checks stored days without decoding their blocks: a sound block counts as its whole day.

        Args:
            txn: the transaction.
            prefix: see :func:`prefix_of`.
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            The minutes that seem to be there, and the reason by damaged day (ms).
        """
        whole: list[tuple[int, int]] = []
        damaged: dict[int, str] = {}
        for day, block in self._blocks(txn, prefix, start, end):
            whole.append((day, day + DAY_MS))
            try:
                if block is None:
                    raise codec.BlockError(_DIFFERS)
                codec.check(block)
            except codec.BlockError as error:
                damaged[day] = str(error)
        late = self._read_tail(txn, prefix, start, end, damaged)[0]
        return Coverage(whole).union(Coverage.of_times(late["open_time"])), damaged

    def drop_damaged(self, txn: lmdb.Transaction, prefix: bytes, day: int) -> bytes:
        """Deletes what is damaged of a day.

        Args:
            txn: a write transaction.
            prefix: see :func:`prefix_of`.
            day: midnight, ms.

        Returns:
            The damaged block as it was; empty if the block is sound or absent.
        """
        end = day + DAY_MS
        for key, record in list(self._tail.scan(txn, _minute_key(prefix, day), _minute_key(prefix, end - 1))):
            if record is None:
                self._tail.delete(txn, key)
        damaged: dict[int, str] = {}
        self._read_blocks(txn, prefix, day, end, damaged)
        kept = txn.pop(_day_key(prefix, day), db=self._days.database) if damaged else None
        return self._days.unchecked(bytes(kept)) if kept is not None else b""

    def _read_tail(
        self, txn: lmdb.Transaction, prefix: bytes, start: int, end: int, damaged: dict[int, str]
    ) -> tuple[Rows, Sources]:
        values = []
        if end > start:
            low, high = _minute_key(prefix, start), _minute_key(prefix, max(0, end - 1))
            for key, value in self._tail.scan(txn, low, high):
                if value is None or len(value) != _TAIL.itemsize:
                    minute = int.from_bytes(key[-8:], "big")
                    damaged[minute // DAY_MS * DAY_MS] = f"a minute of it is damaged: {_DIFFERS}"
                else:
                    values.append(value)
        records = np.frombuffer(b"".join(values), dtype=_TAIL)
        return records["row"], records["source"]

    def days(self, txn: lmdb.Transaction, prefix: bytes) -> set[int]:
        """Lists the days that have a block or rows in the tail.

        Args:
            txn: the transaction.
            prefix: see :func:`prefix_of`.

        Returns:
            Midnights, ms.
        """
        found = self.tail_days(txn, prefix)
        cursor = txn.cursor(self._days.database)
        at = cursor.set_range(prefix)
        while at and (key := bytes(cursor.key())).startswith(prefix):
            found.add(int.from_bytes(key[-4:], "big") * DAY_MS)
            at = cursor.next()
        return found

    def tail_days(self, txn: lmdb.Transaction, prefix: bytes) -> set[int]:
        """Lists the days that have rows in the tail.

        Args:
            txn: the transaction.
            prefix: see :func:`prefix_of`.

        Returns:
            Midnights, ms.
        """
        found = set()
        cursor = txn.cursor(self._tail.database)
        at = cursor.set_range(prefix)
        while at and (key := bytes(cursor.key())).startswith(prefix):
            day = int.from_bytes(key[-8:], "big") // DAY_MS * DAY_MS
            found.add(day)
            at = cursor.set_range(_minute_key(prefix, day + DAY_MS))
        return found

    def add_to_tail(self, txn: lmdb.Transaction, prefix: bytes, candle: Candle, source: Source) -> None:
        """Writes one minute that is not stored yet.

        Args:
            txn: a write transaction.
            prefix: see :func:`prefix_of`.
            candle: the minute.
            source: where it comes from.
        """
        record = np.array((candle.as_tuple(), source), dtype=_TAIL)
        self._tail.put(txn, _minute_key(prefix, candle.open_time), record.tobytes())

    def write_day(
        self, txn: lmdb.Transaction, prefix: bytes, day: int, rows: Rows, sources: Sources, *, in_tail: bool
    ) -> None:
        """Writes a whole day as a block.

        Args:
            txn: a write transaction.
            prefix: see :func:`prefix_of`.
            day: midnight, ms.
            rows: all minutes of the day, dtype ROW, sorted.
            sources: shape (n,), uint8.
            in_tail: the day has rows in the tail; they are deleted, as they are part of the block now.
        """
        self._days.put(txn, _day_key(prefix, day), codec.encode(rows, sources))
        if in_tail:
            cursor = txn.cursor(self._tail.database)
            last = _minute_key(prefix, day + DAY_MS)
            found = cursor.set_range(_minute_key(prefix, day))
            while found and bytes(cursor.key()) < last:
                found = cursor.delete()


def merge(
    old: Rows, old_sources: Sources, new: Rows, new_sources: Sources
) -> tuple[Rows, Sources, int, NDArray[np.int64], int]:
    """Merges two sets of rows by minute; the higher source wins, of equal ones the new row.

    Args:
        old: stored rows, dtype ROW, sorted, unique.
        old_sources: their sources.
        new: new rows, dtype ROW, sorted, unique.
        new_sources: their sources.

    Returns:
        rows, sources, minutes added, open times whose values changed, rows that disagreed.
    """
    nothing = np.empty(0, dtype=np.int64)
    if not len(old):
        return new, new_sources, len(new), nothing, 0
    if not len(new):
        return old, old_sources, 0, nothing, 0
    times = np.union1d(old["open_time"], new["open_time"])
    rows, sources = np.empty(len(times), dtype=ROW), np.zeros(len(times), dtype=np.uint8)
    at = np.searchsorted(times, old["open_time"])
    rows[at], sources[at] = old, old_sources
    at = np.searchsorted(times, new["open_time"])
    there = sources[at] > 0
    wins = ~there | (new_sources >= sources[at])
    differs = there & (rows[at] != new)
    changed: NDArray[np.int64] = new["open_time"][differs & wins]
    rows[at[wins]], sources[at[wins]] = new[wins], new_sources[wins]
    return rows, sources, int((~there).sum()), changed, int(differs.sum())


def without_archives(rows: Rows, sources: Sources, minutes: Coverage) -> Sources:
    """Ranks checked archives as unchecked ones inside some minutes.

    Args:
        rows: shape (n,), dtype ROW, sorted.
        sources: shape (n,), uint8.
        minutes: where archives were shown to be wrong.

    Returns:
        The sources with lower ranks there.
    """
    if not minutes:
        return sources
    inside = np.zeros(len(rows), dtype=np.bool_)
    for start, end in minutes:
        inside[slice(*np.searchsorted(rows["open_time"], (start, end)))] = True
    return np.where(inside & (sources > Source.REST), np.uint8(Source.ARCHIVE_UNCHECKED), sources)


def prefix_of(symbol: str) -> bytes:
    """Gives what every key of a symbol begins with.

    Args:
        symbol: the symbol.

    Returns:
        Its name and a NUL.

    Raises:
        ValueError: the name has a NUL, so its keys could be taken for another symbol's.
    """
    if "\0" in symbol:
        raise ValueError(f"not a symbol: {symbol!r}")
    return symbol.encode() + b"\0"


def _joined(parts: list[tuple[Rows, Sources]]) -> tuple[Rows, Sources]:
    if not parts:
        return np.empty(0, dtype=ROW), np.empty(0, dtype=np.uint8)
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([s for _, s in parts])


def _day_key(prefix: bytes, at: int) -> bytes:
    return prefix + min(max(0, at) // DAY_MS, _LAST_DAY).to_bytes(4, "big")


def _minute_key(prefix: bytes, at: int) -> bytes:
    return prefix + min(max(0, at), _LAST_MINUTE).to_bytes(8, "big")
