"""The store: every candle with its source, and what is known to be complete, in one LMDB environment.

Layout (keys begin with the symbol in UTF-8 and a NUL byte):

- ``days``: + u32 day -> block of :mod:`~tui_feeder.engine.codec`
- ``tail``: + u64 minute -> one row and its source; the live day, folded into its block later
- ``state``: + name -> ``present`` and ``certified`` intervals, ``listed``, ``watermark``, ``unavailable``
- ``quarantine``: + u64 minute, u8 source -> a refused candle as JSON
- ``meta``: ``format``, ``exchange``

One thread writes. All jobs that wait go into one transaction (group commit), so rows, coverage
and certification are always of one piece, and a crash can never certify what is not stored.
"""

from __future__ import annotations

import logging
import queue
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import numpy as np

from tui_feeder.engine import codec
from tui_feeder.engine.candle import DAY_MS, MINUTE_MS, ROW, Candle, Rows, Source
from tui_feeder.engine.coverage import EMPTY, Coverage
from tui_feeder.engine.lock import StorageLock, StoreError

log = logging.getLogger(__name__)

FORMAT = 1
_TAIL_ROW = struct.Struct("<q5dd q2d B".replace(" ", ""))
_STATES = (b"present", b"certified", b"listed", b"watermark", b"unavailable")


class Unavailable(msgspec.Struct, frozen=True):
    """Minutes no source could give: recorded with the reason, asked for again at ``next_try``."""

    start: int
    end: int
    reason: str
    tries: int
    next_try: int


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did to a symbol."""

    added: int = 0  # minutes that were not there before
    changed: tuple[int, ...] = ()  # open times whose values were replaced by a better source
    conflicts: int = 0  # rows that disagreed with what is stored, whichever won


@dataclass(slots=True)
class _Symbol:
    """In-memory copy of a symbol's committed state."""

    present: Coverage = EMPTY
    certified: Coverage = EMPTY
    listed: int | None = None
    watermark: int | None = None
    unavailable: tuple[Unavailable, ...] = ()
    tail_days: set[int] = field(default_factory=set)

    def copy(self) -> _Symbol:
        return _Symbol(
            self.present, self.certified, self.listed, self.watermark, self.unavailable, set(self.tail_days)
        )


class _Write:
    """One transaction's view of the symbols it touches; thrown away if the transaction fails."""

    def __init__(self, store: Store, txn: lmdb.Transaction) -> None:
        self.store = store
        self.txn = txn
        self.touched: dict[str, _Symbol] = {}

    def of(self, symbol: str) -> _Symbol:
        state = self.touched.get(symbol)
        if state is None:
            state = self.touched[symbol] = self.store._state(symbol).copy()
        return state


_Job = tuple[Callable[[_Write], Any], "Future[Any]"]


class Store:
    """The candles of every symbol.

    Args:
        path: directory of the environment; made when absent.
        exchange: which exchange's candles it holds; a store never mixes two.
        read_only: open beside a running engine, for reading alone.
        map_size: bytes of address space to begin with; grows by itself.

    Raises:
        StoreError: locked by another engine, of another exchange or format, or not writable.
    """

    def __init__(
        self, path: Path, *, exchange: str = "", read_only: bool = False, map_size: int = 1 << 30
    ) -> None:
        self.path = path
        self.read_only = read_only
        self._symbols: dict[str, _Symbol] = {}
        self._loading = threading.Lock()
        self._lock: StorageLock | None = None
        if read_only:
            if not (path / "data.mdb").exists():
                raise StoreError(f"{path} holds no store: run feeder-tui or feeder-tui backfill first")
        else:
            self._lock = StorageLock(path)
        try:
            # The map is never larger than the file needs to be on disk: it only reserves addresses.
            self._env = lmdb.open(
                str(path), max_dbs=8, map_size=map_size, readonly=read_only, max_readers=512, subdir=True
            )
            self._readers = threading.Condition()
            self._reading = 0
            names = (b"meta", b"days", b"tail", b"state", b"quarantine")
            dbs = [self._env.open_db(name, create=not read_only) for name in names]
            self._meta, self._days, self._tail, self._states, self._quarantine = dbs
            self._check_meta(exchange)
        except lmdb.Error as error:
            self._release()
            raise StoreError(f"{path} cannot be opened as a store: {error}") from error
        except StoreError:
            self._release()
            raise
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self.pausing: str | None = None  # why writes wait, when they do
        if not read_only:
            self._writer = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
            self._writer.start()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _check_meta(self, exchange: str) -> None:
        with self._env.begin() as txn:
            found = txn.get(b"format", db=self._meta)
            holds = txn.get(b"exchange", db=self._meta)
        if found is not None and int(found) != FORMAT:
            raise StoreError(
                f"{self.path} is a store of format {int(found)}, this program reads format {FORMAT}: "
                "use the program version that wrote it, or another --storage"
            )
        self.exchange = holds.decode() if holds else exchange
        if exchange and holds is not None and holds.decode() != exchange:
            raise StoreError(
                f"{self.path} holds candles of {holds.decode()}, not of {exchange}: "
                "name another directory with --storage"
            )
        if not self.read_only and found is None:
            with self._env.begin(write=True) as txn:
                txn.put(b"format", str(FORMAT).encode(), db=self._meta)
                txn.put(b"exchange", exchange.encode(), db=self._meta)

    def close(self) -> None:
        """Commit what waits, end the writer, release the lock."""
        if self._writer is not None:
            self._jobs.put(None)
            self._writer.join()
            self._writer = None
        self._env.close()
        self._release()

    # --- reading -------------------------------------------------------------------------------

    @contextmanager
    def _read(self) -> Iterator[lmdb.Transaction]:
        """A read transaction; holds off growing of the map while it lasts."""
        with self._readers:
            self._reading += 1
        try:
            try:
                txn = self._env.begin()
            except lmdb.MapResizedError:  # another process grew the map
                self._env.set_mapsize(0)
                txn = self._env.begin()
            with txn:
                yield txn
        finally:
            with self._readers:
                self._reading -= 1
                self._readers.notify_all()

    def symbols(self) -> list[str]:
        """Every symbol that has anything stored, sorted."""
        with self._read() as txn:
            keys = [bytes(key) for key in txn.cursor(self._states).iternext(values=False)]
        return sorted({key.split(b"\0", 1)[0].decode() for key in keys})

    def _state(self, symbol: str) -> _Symbol:
        state = self._symbols.get(symbol)
        if state is None or self.read_only:
            with self._loading:  # an older state read here must not replace a newer committed one
                state = None if self.read_only else self._symbols.get(symbol)
                if state is None:
                    state = self._symbols[symbol] = self._load(symbol)
        return state

    def _load(self, symbol: str) -> _Symbol:
        prefix = symbol.encode() + b"\0"
        state = _Symbol()
        with self._read() as txn:
            values = {name: txn.get(prefix + name, db=self._states) for name in _STATES}
            cursor = txn.cursor(self._tail)
            if cursor.set_range(prefix):
                for key in cursor.iternext(values=False):
                    if not bytes(key).startswith(prefix):
                        break
                    state.tail_days.add(_minute_of(bytes(key)) // DAY_MS * DAY_MS)
        if (present := values[b"present"]) is not None:
            state.present = _coverage(bytes(present))
        if (certified := values[b"certified"]) is not None:
            state.certified = _coverage(bytes(certified))
        for name in ("listed", "watermark"):
            if (raw := values[name.encode()]) is not None:
                setattr(state, name, int.from_bytes(raw, "big"))
        if (raw := values[b"unavailable"]) is not None:
            state.unavailable = tuple(msgspec.json.decode(raw, type=list[Unavailable]))
        return state

    def present(self, symbol: str) -> Coverage:
        """The minutes stored."""
        return self._state(symbol).present

    def certified(self, symbol: str) -> Coverage:
        """The minutes certified: from a checked archive, or read by REST after their close."""
        return self._state(symbol).certified

    def listed(self, symbol: str) -> int | None:
        """The first minute the exchange has of the symbol, once found out."""
        return self._state(symbol).listed

    def watermark(self, symbol: str) -> int | None:
        """Open time of the last minute whose message was made."""
        return self._state(symbol).watermark

    def unavailable(self, symbol: str) -> tuple[Unavailable, ...]:
        """Ranges no source could give."""
        return self._state(symbol).unavailable

    def read(self, symbol: str, start: int, end: int) -> Rows:
        """The stored minutes of ``[start, end)``, sorted, as rows of dtype ROW."""
        return self.read_sourced(symbol, start, end)[0]

    def read_sourced(self, symbol: str, start: int, end: int) -> tuple[Rows, codec.Sources]:
        """Like :meth:`read`, with the source of every row (uint8, see ``Source``)."""
        with self._read() as txn:
            return self._read_in(txn, symbol, start, end)

    def _read_in(
        self, txn: lmdb.Transaction, symbol: str, start: int, end: int
    ) -> tuple[Rows, codec.Sources]:
        prefix = symbol.encode() + b"\0"
        parts: list[tuple[Rows, codec.Sources]] = []
        cursor = txn.cursor(self._days)
        last = _day_key(prefix, max(0, end - 1))
        if end > start and cursor.set_range(_day_key(prefix, max(0, start))):
            for raw_key, block in cursor:
                if (key := bytes(raw_key)) > last:
                    break
                day = int.from_bytes(key[-4:], "big") * DAY_MS
                rows, sources = codec.decode(day, block)
                if day < start or day + DAY_MS > end:
                    inside = slice(*np.searchsorted(rows["open_time"], (start, end)))
                    rows, sources = rows[inside], sources[inside]
                parts.append((rows, sources))
        tail = self._tail_in(txn, prefix, start, end)
        blocks = _concatenate(parts)
        return merge(*blocks, *tail)[:2] if len(tail[0]) else blocks

    def _tail_in(
        self, txn: lmdb.Transaction, prefix: bytes, start: int, end: int
    ) -> tuple[Rows, codec.Sources]:
        records: list[tuple[Any, ...]] = []
        cursor = txn.cursor(self._tail)
        if end > start and cursor.set_range(_minute_key(prefix, max(0, start))):
            last = _minute_key(prefix, end)
            for key, value in cursor:
                if bytes(key) >= last:
                    break
                records.append(_TAIL_ROW.unpack(value))
        rows = np.array([record[:-1] for record in records], dtype=ROW)
        return rows, np.array([record[-1] for record in records], dtype=np.uint8)

    def candles(self) -> int:
        """Number of candles stored, all symbols."""
        return sum(self.present(symbol).minutes for symbol in self.symbols())

    def file_bytes(self) -> int:
        """Bytes in use in the file."""
        info, stat = self._env.info(), self._env.stat()
        return int((info["last_pgno"] + 1) * stat["psize"])

    # --- writing -------------------------------------------------------------------------------

    def append(
        self, symbol: str, candle: Candle, source: Source, *, watermark: bool = True
    ) -> Future[Written]:
        """Store one closed minute; with ``watermark``, its message counts as made."""

        def job(write: _Write) -> Written:
            state = write.of(symbol)
            prefix = symbol.encode() + b"\0"
            day = candle.open_time // DAY_MS * DAY_MS
            for old in sorted(d for d in state.tail_days if d < day):
                self._fold(write, symbol, old)
            if candle.open_time in state.present:
                return self._put(write, symbol, _one_row(candle), source)
            value = _TAIL_ROW.pack(*candle.as_tuple(), source)
            write.txn.put(_minute_key(prefix, candle.open_time), value, db=self._tail)
            state.tail_days.add(day)
            state.present = state.present.union(Coverage([(candle.open_time, candle.open_time + MINUTE_MS)]))
            self._save(write, prefix, b"present", _intervals(state.present))
            if source == Source.REST:
                self._certify(write, symbol, candle.open_time, candle.open_time + MINUTE_MS)
            if watermark:
                self._set_watermark(write, symbol, candle.open_time)
            return Written(added=1)

        return self._submit(job)

    def put(self, symbol: str, rows: Rows, source: Source, *, certify: Coverage = EMPTY) -> Future[Written]:
        """Store many closed minutes, and certify ``certify`` as far as it is then present.

        A minute already there is replaced only by a source that ranks at least as high.
        """

        def job(write: _Write) -> Written:
            written = self._put(write, symbol, rows, source)
            for start, end in certify.intersect(write.of(symbol).present):
                self._certify(write, symbol, start, end)
            return written

        return self._submit(job)

    def set_listed(self, symbol: str, first_minute: int) -> Future[None]:
        """Record the first minute the exchange has of the symbol."""

        def job(write: _Write) -> None:
            write.of(symbol).listed = first_minute
            self._save(write, symbol.encode() + b"\0", b"listed", first_minute.to_bytes(8, "big"))

        return self._submit(job)

    def set_watermark(self, symbol: str, open_time: int) -> Future[None]:
        """Record that messages are made up to and including this minute."""
        return self._submit(lambda write: self._set_watermark(write, symbol, open_time))

    def set_unavailable(self, symbol: str, ranges: tuple[Unavailable, ...]) -> Future[None]:
        """Replace the symbol's record of ranges that no source can give."""

        def job(write: _Write) -> None:
            write.of(symbol).unavailable = ranges
            self._save(write, symbol.encode() + b"\0", b"unavailable", msgspec.json.encode(ranges))

        return self._submit(job)

    def quarantine(self, symbol: str, open_time: int, source: Source, record: bytes) -> Future[None]:
        """Keep a refused candle: ``record`` is JSON with its raw text and the reason."""
        key = _minute_key(symbol.encode()[:200] + b"\0", max(0, open_time)) + bytes((source,))

        def job(write: _Write) -> None:
            write.txn.put(key, record[:4096], db=self._quarantine)

        return self._submit(job)

    def _set_watermark(self, write: _Write, symbol: str, open_time: int) -> None:
        state = write.of(symbol)
        if state.watermark is None or open_time > state.watermark:
            state.watermark = open_time
            self._save(write, symbol.encode() + b"\0", b"watermark", open_time.to_bytes(8, "big"))

    def _certify(self, write: _Write, symbol: str, start: int, end: int) -> None:
        state = write.of(symbol)
        state.certified = state.certified.union(Coverage([(start, end)]))
        self._save(write, symbol.encode() + b"\0", b"certified", _intervals(state.certified))

    def _save(self, write: _Write, prefix: bytes, name: bytes, value: bytes) -> None:
        write.txn.put(prefix + name, value, db=self._states)

    def _put(self, write: _Write, symbol: str, rows: Rows, source: Source) -> Written:
        if not len(rows):
            return Written()
        state = write.of(symbol)
        added = conflicts = 0
        changed: list[int] = []
        days = rows["open_time"] // DAY_MS
        bounds = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(rows)]
        for a, b in pairwise(bounds):
            part, day = rows[a:b], int(days[a]) * DAY_MS
            sources = np.full(len(part), source, dtype=np.uint8)
            old = self._read_in(write.txn, symbol, day, day + DAY_MS)
            merged, merged_sources, new, replaced, differing = merge(*old, part, sources)
            self._write_day(write, symbol, day, merged, merged_sources)
            added += new
            conflicts += differing
            changed.extend(replaced.tolist())
        state.present = state.present.union(Coverage.of_times(rows["open_time"]))
        self._save(write, symbol.encode() + b"\0", b"present", _intervals(state.present))
        return Written(added, tuple(changed), conflicts)

    def _fold(self, write: _Write, symbol: str, day: int) -> None:
        """Move the tail rows of a day that is over into its block."""
        rows, sources = self._read_in(write.txn, symbol, day, day + DAY_MS)
        self._write_day(write, symbol, day, rows, sources)

    def _write_day(self, write: _Write, symbol: str, day: int, rows: Rows, sources: codec.Sources) -> None:
        prefix = symbol.encode() + b"\0"
        state = write.of(symbol)
        write.txn.put(_day_key(prefix, day), codec.encode(rows, sources), db=self._days)
        if day in state.tail_days:
            cursor = write.txn.cursor(self._tail)
            last = _minute_key(prefix, day + DAY_MS)
            found = cursor.set_range(_minute_key(prefix, day))
            while found and bytes(cursor.key()) < last:
                found = cursor.delete()
            state.tail_days.discard(day)

    def _submit(self, job: Callable[[_Write], Any]) -> Future[Any]:
        if self._writer is None:
            raise StoreError(f"{self.path} is open for reading only")
        future: Future[Any] = Future()
        self._jobs.put((job, future))
        return future

    def _write_loop(self) -> None:
        running = True
        while running:
            first = self._jobs.get()
            if first is None:
                return
            batch = [first]
            while len(batch) < 4096:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    running = False
                    break
                batch.append(job)
            self._commit(batch)

    def _commit(self, batch: list[_Job]) -> None:
        """Run the jobs in one transaction; one that fails takes down none of the others."""
        while True:
            results: list[Any] = []
            try:
                with self._env.begin(write=True) as txn:
                    write = _Write(self, txn)
                    for job, _ in batch:
                        results.append(job(write))
            except lmdb.MapFullError:
                self._grow()
                continue
            except Exception as error:
                if isinstance(error, lmdb.DiskError | OSError) and self._wait_for_disk(error):
                    continue
                if len(batch) > 1:
                    for one in batch:
                        self._commit([one])
                else:
                    batch[0][1].set_exception(error)
                return
            break
        self.pausing = None
        with self._loading:
            self._symbols.update(write.touched)
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)

    def _wait_for_disk(self, error: Exception) -> bool:
        """On a full disk: say so, wait, and let the same transaction be tried again."""
        if "No space left" not in str(error):
            return False
        if self.pausing is None:
            log.error("the disk of %s is full: candles wait until there is room", self.path)
        self.pausing = "disk full"
        threading.Event().wait(1.0)
        return True

    def _grow(self) -> None:
        size = int(self._env.info()["map_size"]) * 2
        with self._readers:  # LMDB moves the map: no reader of ours may be inside
            self._readers.wait_for(lambda: self._reading == 0)
            self._env.set_mapsize(size)
        log.info("store map grown to %d MiB", size >> 20)


def merge(
    old: Rows, old_sources: codec.Sources, new: Rows, new_sources: codec.Sources
) -> tuple[Rows, codec.Sources, int, Any, int]:
    """Both sets of rows as one, by minute; where they disagree the higher source wins.

    Returns:
        rows, sources, minutes added, open times whose values changed, rows that disagreed.
    """
    if not len(old):
        return new, new_sources, len(new), np.empty(0, np.int64), 0
    if not len(new):
        return old, old_sources, 0, np.empty(0, np.int64), 0
    times = np.union1d(old["open_time"], new["open_time"])
    rows, sources = np.empty(len(times), dtype=ROW), np.zeros(len(times), dtype=np.uint8)
    at = np.searchsorted(times, old["open_time"])
    rows[at], sources[at] = old, old_sources
    at = np.searchsorted(times, new["open_time"])
    there = sources[at] > 0
    wins = ~there | (new_sources >= sources[at])
    differs = there & (rows[at] != new)
    changed = new["open_time"][differs & wins]
    rows[at[wins]], sources[at[wins]] = new[wins], new_sources[wins]
    return rows, sources, int((~there).sum()), changed, int(differs.sum())


def _concatenate(parts: list[tuple[Rows, codec.Sources]]) -> tuple[Rows, codec.Sources]:
    if not parts:
        return np.empty(0, dtype=ROW), np.empty(0, dtype=np.uint8)
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([s for _, s in parts])


def _one_row(candle: Candle) -> Rows:
    return np.array([candle.as_tuple()], dtype=ROW)


def _day_key(prefix: bytes, at: int) -> bytes:
    return prefix + (at // DAY_MS).to_bytes(4, "big")


def _minute_key(prefix: bytes, at: int) -> bytes:
    return prefix + at.to_bytes(8, "big")


def _minute_of(key: bytes) -> int:
    return int.from_bytes(key[-8:], "big")


def _intervals(coverage: Coverage) -> bytes:
    return np.array(coverage.intervals, dtype="<i8").tobytes()


def _coverage(raw: bytes) -> Coverage:
    return Coverage((int(a), int(b)) for a, b in np.frombuffer(raw, "<i8").reshape(-1, 2))
