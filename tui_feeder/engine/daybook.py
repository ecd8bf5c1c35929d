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

from tui_feeder.engine import codec
from tui_feeder.engine.candle import DAY_MS, ROW, Candle, Rows, Source
from tui_feeder.engine.codec import Sources
from tui_feeder.engine.coverage import Coverage
from tui_feeder.engine.environment import Environment

#: A row of the tail and its source, 81 bytes.
_TAIL = np.dtype([("row", ROW), ("source", "u1")])
_LAST_DAY = (1 << 32) - 1
_LAST_MINUTE = (1 << 64) - 1


class Daybook:
    """Reads and writes the minutes of symbols within a transaction it is given.

    ``prefix`` is :func:`prefix_of` the symbol; ``day`` the ms of a UTC midnight.
    """

    def __init__(self, environment: Environment) -> None:
        self._days = environment.days
        self._tail = environment.tail

    def read(
        self, txn: lmdb.Transaction, prefix: bytes, start: int, end: int
    ) -> tuple[Rows, Sources, dict[int, str]]:
        """The stored minutes of ``[start, end)``, sorted, the source of each, and the days left out.

        A day whose block is damaged gives only what its tail has; it is named with the reason.
        """
        rows, sources, damaged = self._read_blocks(txn, prefix, start, end)
        late, late_sources = self._read_tail(txn, prefix, start, end)
        if not len(late):
            return rows, sources, damaged
        if not len(rows) or rows["open_time"][-1] < late["open_time"][0]:
            return *_joined([(rows, sources), (late, late_sources)]), damaged
        return *merge(rows, sources, late, late_sources)[:2], damaged

    def _read_blocks(
        self, txn: lmdb.Transaction, prefix: bytes, start: int, end: int
    ) -> tuple[Rows, Sources, dict[int, str]]:
        parts, damaged = [], {}
        for key, block in _between(
            txn, self._days, _day_key(prefix, start), _day_key(prefix, max(0, end - 1)), end > start
        ):
            day = int.from_bytes(key[-4:], "big") * DAY_MS
            try:
                rows, sources = codec.decode(day, block)
            except codec.BlockError as error:
                damaged[day] = str(error)
                continue
            if day < start or day + DAY_MS > end:
                inside = slice(*np.searchsorted(rows["open_time"], (start, end)))
                rows, sources = rows[inside], sources[inside]
            parts.append((rows, sources))
        return *_joined(parts), damaged

    def check(self, txn: lmdb.Transaction, prefix: bytes, start: int, end: int) -> dict[int, str]:
        """The days of ``[start, end)`` whose block is damaged, each with the reason. Decodes nothing."""
        damaged = {}
        for key, block in _between(
            txn, self._days, _day_key(prefix, start), _day_key(prefix, max(0, end - 1)), end > start
        ):
            try:
                codec.check(block)
            except codec.BlockError as error:
                damaged[int.from_bytes(key[-4:], "big") * DAY_MS] = str(error)
        return damaged

    def take_block(self, txn: lmdb.Transaction, prefix: bytes, day: int) -> bytes:
        """Remove the block of a day and return it, whatever its condition; empty without one."""
        return bytes(txn.pop(_day_key(prefix, day), db=self._days) or b"")

    def _read_tail(self, txn: lmdb.Transaction, prefix: bytes, start: int, end: int) -> tuple[Rows, Sources]:
        low, high = _minute_key(prefix, start), _minute_key(prefix, max(0, end - 1))
        values = b"".join(value for _, value in _between(txn, self._tail, low, high, end > start))
        records = np.frombuffer(values, dtype=_TAIL)
        return records["row"], records["source"]

    def days(self, txn: lmdb.Transaction, prefix: bytes) -> set[int]:
        """The days that have a block, or rows in the tail."""
        found = self.tail_days(txn, prefix)
        cursor = txn.cursor(self._days)
        at = cursor.set_range(prefix)
        while at and (key := bytes(cursor.key())).startswith(prefix):
            found.add(int.from_bytes(key[-4:], "big") * DAY_MS)
            at = cursor.next()
        return found

    def tail_days(self, txn: lmdb.Transaction, prefix: bytes) -> set[int]:
        """The days that have rows in the tail."""
        found = set()
        cursor = txn.cursor(self._tail)
        at = cursor.set_range(prefix)
        while at and (key := bytes(cursor.key())).startswith(prefix):
            day = int.from_bytes(key[-8:], "big") // DAY_MS * DAY_MS
            found.add(day)
            at = cursor.set_range(_minute_key(prefix, day + DAY_MS))
        return found

    def add_to_tail(self, txn: lmdb.Transaction, prefix: bytes, candle: Candle, source: Source) -> None:
        """Write one minute that is not stored yet."""
        record = np.array((candle.as_tuple(), source), dtype=_TAIL)
        txn.put(_minute_key(prefix, candle.open_time), record.tobytes(), db=self._tail)

    def write_day(
        self, txn: lmdb.Transaction, prefix: bytes, day: int, rows: Rows, sources: Sources, *, in_tail: bool
    ) -> None:
        """Write the whole day as a block; with ``in_tail`` its tail rows, now part of it, go."""
        txn.put(_day_key(prefix, day), codec.encode(rows, sources), db=self._days)
        if in_tail:
            cursor = txn.cursor(self._tail)
            last = _minute_key(prefix, day + DAY_MS)
            found = cursor.set_range(_minute_key(prefix, day))
            while found and bytes(cursor.key()) < last:
                found = cursor.delete()


def merge(
    old: Rows, old_sources: Sources, new: Rows, new_sources: Sources
) -> tuple[Rows, Sources, int, NDArray[np.int64], int]:
    """Both sets of rows (each sorted, unique) as one, by minute; the higher source wins, else the new.

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
    """The sources of ``rows``, checked archives ranked as unchecked ones inside ``minutes``."""
    if not minutes:
        return sources
    inside = np.zeros(len(rows), dtype=np.bool_)
    for start, end in minutes:
        inside[slice(*np.searchsorted(rows["open_time"], (start, end)))] = True
    return np.where(inside & (sources > Source.REST), np.uint8(Source.ARCHIVE_UNCHECKED), sources)


def prefix_of(symbol: str) -> bytes:
    """What every key of ``symbol`` begins with.

    Raises:
        ValueError: the name has a NUL, so its keys could be taken for another symbol's.
    """
    if "\0" in symbol:
        raise ValueError(f"not a symbol: {symbol!r}")
    return symbol.encode() + b"\0"


def _between(
    txn: lmdb.Transaction, database: object, low: bytes, high: bytes, wanted: bool
) -> Iterator[tuple[bytes, bytes]]:
    """Entries from ``low`` to ``high``, both included; none unless ``wanted``."""
    cursor = txn.cursor(database)  # type: ignore[arg-type]  # lmdb does not name its type
    if wanted and cursor.set_range(low):
        for raw_key, value in cursor:
            if (key := bytes(raw_key)) > high:
                return
            yield key, bytes(value)


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
