"""The store: every candle with its source, and what is known to be complete, in one LMDB environment.

Layout (keys begin with the symbol in UTF-8 and a NUL byte):

- ``days``: + u32 day -> block of :mod:`~tui_feeder.engine.codec`
- ``tail``: + u64 minute -> one row and its source; the live day, folded into its block later
- ``state``: + name -> a part of :mod:`~tui_feeder.engine.symbol_state`
- ``quarantine``: + u64 minute, u8 source -> a refused candle as JSON
- ``files``: path of an archive file -> what it was when it was read
- ``profiles``: + u32 day -> volume profile of :mod:`~tui_feeder.engine.profile_days`
- ``meta``: ``format``, ``exchange``, notes, and the cursors of the outbox
- ``outbox``, only where a sink needs it: messages of :mod:`~tui_feeder.engine.sinks.outbox`

One thread writes. All jobs that wait go into one transaction (group commit), so rows, coverage
and certification are always of one piece, and a crash can never certify what is not stored.
Readers on any thread see what is committed, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import numpy as np

from tui_feeder.engine.candle import DAY_MS, MINUTE_MS, Candle, Rows, Source, to_candles, to_rows
from tui_feeder.engine.codec import Sources
from tui_feeder.engine.coverage import EMPTY, Coverage, span
from tui_feeder.engine.daybook import Daybook, merge, prefix_of, without_archives
from tui_feeder.engine.environment import Environment
from tui_feeder.engine.group_commit import GroupCommit
from tui_feeder.engine.lock import StoreError
from tui_feeder.engine.records import FileRecord, Quarantined, Records
from tui_feeder.engine.sinks.outbox import Outbox, OutboxWrite
from tui_feeder.engine.symbol_state import NAMES, SymbolState, Unavailable, intervals, number, state_of

__all__ = ["FileRecord", "Quarantined", "Store", "StoreError", "Unavailable", "Written"]

#: So many new minutes of the live day, put at once, still go to its tail.
_TAIL_MINUTES = 10


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did to a symbol."""

    added: int = 0  # minutes that were not there before
    changed: tuple[int, ...] = ()  # open times whose values were replaced, by a source at least as good
    conflicts: int = 0  # rows that disagreed with what is stored, whichever won


class _Write:
    """One transaction's view of the symbols it touches; thrown away if the transaction fails."""

    def __init__(self, store: Store, txn: lmdb.Transaction) -> None:
        self.txn = txn
        self.touched: dict[str, SymbolState] = {}
        self.outbox = store.outbox.write(txn) if store.outbox is not None else None
        self._store = store

    def of(self, symbol: str) -> SymbolState:
        """The state of ``symbol``, to be changed."""
        state = self.touched.get(symbol)
        if state is None:
            state = self.touched[symbol] = self._store._state(symbol).copy()
        return state


class Store:
    """The candles of every symbol.

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
        self.path = path
        self.read_only = read_only
        self.outbox: Outbox | None = None  # see open_outbox
        self._symbols: dict[str, SymbolState] = {}
        self._loading = threading.Lock()
        self._environment = Environment(path, exchange=exchange, read_only=read_only, map_size=map_size)
        self.exchange = self._environment.exchange
        self._daybook = Daybook(self._environment)
        self._records = Records(self._environment)
        self._writer: GroupCommit[_Write] | None = None
        if not read_only:
            self._writer = GroupCommit(self._environment, lambda txn: _Write(self, txn), self._publish)

    @property
    def pausing(self) -> str | None:
        """Why writes wait, when they do: a full disk."""
        return self._writer.pausing if self._writer is not None else None

    def close(self) -> None:
        """Commit what waits, end the writer, release the lock. A second call does nothing."""
        if self._writer is not None:
            self._writer.close()
        self._environment.close()

    # --- reading -------------------------------------------------------------------------------

    def symbols(self) -> list[str]:
        """Every symbol that has anything stored, sorted."""
        found = []
        with self._environment.reading() as txn:
            cursor = txn.cursor(self._environment.state)
            at = cursor.first()
            while at:
                name = bytes(cursor.key()).partition(b"\0")[0]
                found.append(name.decode())
                at = cursor.set_range(name + b"\1")
        return sorted(found)

    def _state(self, symbol: str) -> SymbolState:
        state = self._symbols.get(symbol)
        if state is None or self.read_only:
            with self._loading:  # an older state read here must not replace a newer committed one
                state = None if self.read_only else self._symbols.get(symbol)
                if state is None:
                    state = self._symbols[symbol] = self._load(symbol)
        return state

    def _publish(self, write: _Write) -> None:
        if write.outbox is not None:
            write.outbox.committed()
        with self._loading:
            self._symbols.update(write.touched)

    def _load(self, symbol: str) -> SymbolState:
        prefix = prefix_of(symbol)
        with self._environment.reading() as txn:
            found = {name: txn.get(prefix + name, db=self._environment.state) for name in NAMES}
            tail_days = self._daybook.tail_days(txn, prefix)
        raw = {name: None if value is None else bytes(value) for name, value in found.items()}
        return state_of(raw, tail_days)

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

    def outages(self, symbol: str) -> Coverage:
        """Minutes without a trade that REST confirmed: a silent market or exchange, no defect."""
        return self._state(symbol).outages

    def altered(self, symbol: str) -> Coverage:
        """Minutes that were replaced by other values and not yet forgotten by :meth:`forget_altered`."""
        return self._state(symbol).altered

    def unavailable(self, symbol: str) -> tuple[Unavailable, ...]:
        """Ranges no source could give."""
        return self._state(symbol).unavailable

    def read(self, symbol: str, start: int, end: int) -> Rows:
        """The stored minutes of ``[start, end)``, sorted, as rows of dtype ROW.

        Raises:
            BlockError: a block is damaged.
        """
        return self.read_sourced(symbol, start, end)[0]

    def read_sourced(self, symbol: str, start: int, end: int) -> tuple[Rows, Sources]:
        """Like :meth:`read`, with the source of every row (uint8, see ``Source``)."""
        with self._environment.reading() as txn:
            return self._daybook.read(txn, prefix_of(symbol), start, end)

    def quarantined(self, symbol: str) -> list[Quarantined]:
        """The refused candles of a symbol, by minute and source."""
        with self._environment.reading() as txn:
            return self._records.refused(txn, symbol)

    def file(self, path: str) -> FileRecord | None:
        """The archive file of this path as it was when it was last read."""
        with self._environment.reading() as txn:
            return self._records.file(txn, path)

    def recall(self, name: str) -> bytes | None:
        """What :meth:`remember` kept under this name."""
        with self._environment.reading() as txn:
            return self._records.note(txn, name)

    def profiles(self, symbol: str, start: int, end: int) -> list[tuple[int, bytes]]:
        """What :meth:`put_profiles` kept of the days inside ``[start, end)``, ascending."""
        with self._environment.reading() as txn:
            return self._records.profiles(txn, symbol, start, end)

    def candles(self) -> int:
        """Number of candles stored, all symbols."""
        return sum(self.present(symbol).minutes for symbol in self.symbols())

    def file_bytes(self) -> int:
        """Bytes in use in the file; 0 once closed."""
        return self._environment.file_bytes()

    # --- writing -------------------------------------------------------------------------------
    # A future that is cancelled before its job began takes the job with it, later it can't be.

    def open_outbox(self, sinks: Sequence[str], max_mb: float) -> Outbox:
        """From now on keep the messages that :meth:`append` is given until these sinks have them."""
        opened = Outbox(self._environment, self._submit_to_outbox, sinks, max_mb)
        self.outbox = opened
        opened.begin()
        return opened

    def _submit_to_outbox(self, job: Callable[[OutboxWrite], Any]) -> Future[Any]:
        def with_outbox(write: _Write) -> Any:  # noqa: ANN401 - whatever the job gives
            assert write.outbox is not None
            return job(write.outbox)

        return self._submit(with_outbox)

    def append(
        self,
        symbol: str,
        candle: Candle,
        source: Source,
        *,
        watermark: bool = True,
        payload: bytes | None = None,
    ) -> Future[Written]:
        """Store one closed minute; with ``watermark``, its message counts as made.

        A minute already there is replaced only by a source that ranks at least as high. ``payload`` is the
        minute's message: where there is an outbox it is written there in the same transaction.
        """

        def job(write: _Write) -> Written:
            at = candle.open_time
            if at < 0:
                raise ValueError(f"a minute before 1970: {at}")
            written = self._add(write, symbol, [candle], source)
            if written is None:
                written = self._merge_in(write, symbol, to_rows([candle]), source)
            if source == Source.REST:
                self._certify(write, symbol, span(at, at + MINUTE_MS))
            if watermark:
                self._set_watermark(write, symbol, at, payload)
            return written

        return self._submit(job)

    def put(
        self,
        symbol: str,
        rows: Rows,
        source: Source,
        *,
        certify: Coverage = EMPTY,
        overrule: Coverage = EMPTY,
    ) -> Future[Written]:
        """Store many closed minutes (sorted, unique), and certify those of them inside ``certify``.

        A minute already there is replaced only by a source that ranks at least as high. A minute of
        ``certify`` that ``rows`` lacks is not certified, though it may be stored: nothing vouched for it.
        About the minutes of ``rows`` inside ``overrule`` archives are wrong: none wins there from now on.
        """

        def job(write: _Write) -> Written:
            times = Coverage.of_times(rows["open_time"])
            if times.minutes != len(rows) or (times and times.start < 0):
                raise ValueError("rows are stored sorted, each minute once, from 1970 on")
            self._overrule(write, symbol, overrule.intersect(times))
            written = None
            if len(rows) <= _TAIL_MINUTES:
                written = self._add(write, symbol, to_candles(rows), source)
            if written is None:
                written = self._merge_in(write, symbol, rows, source)
            self._certify(write, symbol, certify.intersect(times))
            return written

        return self._submit(job)

    def set_listed(self, symbol: str, first_minute: int) -> Future[None]:
        """Record the first minute the exchange has of the symbol."""

        def job(write: _Write) -> None:
            write.of(symbol).listed = first_minute
            self._save(write, symbol, b"listed", number(first_minute))

        return self._submit(job)

    def set_watermark(self, symbol: str, open_time: int, payload: bytes | None = None) -> Future[None]:
        """Record that messages are made up to and including this minute; it never goes back.

        ``payload`` is the minute's message, for the outbox.
        """
        return self._submit(lambda write: self._set_watermark(write, symbol, open_time, payload))

    def add_outage(self, symbol: str, minutes: Coverage) -> Future[None]:
        """Record minutes without a trade that REST confirmed."""

        def job(write: _Write) -> None:
            state = write.of(symbol)
            state.outages = state.outages.union(minutes)
            self._save(write, symbol, b"outages", intervals(state.outages))

        return self._submit(job)

    def forget_altered(self, symbol: str, seen: Coverage) -> Future[None]:
        """A mirror has the values of the altered minutes ``seen``; nothing is forgotten if there are more."""

        def job(write: _Write) -> None:
            state = write.of(symbol)
            if state.altered == seen:
                state.altered = EMPTY
                self._save(write, symbol, b"altered", intervals(EMPTY))

        return self._submit(job)

    def set_unavailable(self, symbol: str, ranges: tuple[Unavailable, ...]) -> Future[None]:
        """Replace the symbol's record of ranges that no source can give."""

        def job(write: _Write) -> None:
            write.of(symbol).unavailable = ranges
            self._save(write, symbol, b"unavailable", msgspec.json.encode(ranges))

        return self._submit(job)

    def quarantine(self, symbol: str, open_time: int, source: Source, record: bytes) -> Future[None]:
        """Keep a refused candle: ``record`` is JSON with its raw text and the reason.

        ``open_time`` may be anything at all. The last record of a minute and source is kept.
        """
        return self._submit(lambda write: self._records.refuse(write.txn, symbol, open_time, source, record))

    def set_file(self, path: str, record: FileRecord) -> Future[None]:
        """Keep what the archive file of this path was when it was read."""
        return self._submit(lambda write: self._records.set_file(write.txn, path, record))

    def put_profiles(self, symbol: str, blocks: Mapping[int, bytes]) -> Future[None]:
        """Keep the volume profiles of days (ms of a midnight), encoded, in place of what was there."""

        def job(write: _Write) -> None:
            for day, block in blocks.items():
                self._records.set_profile(write.txn, symbol, day, block)

        return self._submit(job)

    def remember(self, name: str, value: bytes) -> Future[None]:
        """Keep a note for the next run, in place of the one of the same name."""
        return self._submit(lambda write: self._records.set_note(write.txn, name, value))

    def _submit(self, job: Callable[[_Write], Any]) -> Future[Any]:
        if self._writer is None:
            raise StoreError(f"{self.path} is open for reading only")
        return self._writer.submit(job)

    def _add(self, write: _Write, symbol: str, candles: list[Candle], source: Source) -> Written | None:
        """New minutes of the live day into its tail; None, and nothing done, where they are not that."""
        state = write.of(symbol)
        if not candles:
            return Written()
        day = candles[0].open_time // DAY_MS * DAY_MS
        newest = (state.present.end - MINUTE_MS) // DAY_MS * DAY_MS if state.present else day
        if day < newest or candles[-1].open_time >= day + DAY_MS:
            return None
        if any(candle.open_time in state.present for candle in candles):
            return None
        prefix = prefix_of(symbol)
        for over in sorted(one for one in state.tail_days if one < day):
            rows, sources = self._daybook.read(write.txn, prefix, over, over + DAY_MS)
            self._write_day(write, symbol, over, rows, sources)
        for candle in candles:
            self._daybook.add_to_tail(write.txn, prefix, candle, source)
        state.tail_days.add(day)
        added = Coverage((candle.open_time, candle.open_time + MINUTE_MS) for candle in candles)
        self._set_present(write, symbol, added)
        return Written(added=len(candles))

    def _merge_in(self, write: _Write, symbol: str, rows: Rows, source: Source) -> Written:
        """Rows into the blocks of their days, minute by minute the better source."""
        added = conflicts = 0
        changed: list[int] = []
        days = rows["open_time"] // DAY_MS
        bounds = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(rows)]
        for a, b in pairwise(bounds):
            part, day = rows[a:b], int(days[a]) * DAY_MS
            old, old_sources = self._daybook.read(write.txn, prefix_of(symbol), day, day + DAY_MS)
            sources = np.full(len(part), source, dtype=np.uint8)
            ranks = old_sources
            # Of minutes about which archives were shown to be wrong they are the worst source.
            proven = write.of(symbol).overruled.clip(day, day + DAY_MS)
            ranks, sources = (
                without_archives(old, old_sources, proven),
                without_archives(part, sources, proven),
            )
            merged, merged_sources, new, replaced, differing = merge(old, ranks, part, sources)
            if new or len(replaced) or not np.array_equal(merged_sources, old_sources):
                self._write_day(write, symbol, day, merged, merged_sources)
            added += new
            conflicts += differing
            changed.extend(replaced.tolist())
        if changed:
            state = write.of(symbol)
            state.altered = state.altered.union(Coverage.of_times(np.array(changed, dtype=np.int64)))
            self._save(write, symbol, b"altered", intervals(state.altered))
        self._set_present(write, symbol, Coverage.of_times(rows["open_time"]))
        return Written(added, tuple(changed), conflicts)

    def _write_day(self, write: _Write, symbol: str, day: int, rows: Rows, sources: Sources) -> None:
        state = write.of(symbol)
        in_tail = day in state.tail_days
        self._daybook.write_day(write.txn, prefix_of(symbol), day, rows, sources, in_tail=in_tail)
        state.tail_days.discard(day)

    def _set_present(self, write: _Write, symbol: str, minutes: Coverage) -> None:
        state = write.of(symbol)
        before = state.present
        state.present = before.union(minutes)
        if state.present != before:
            self._save(write, symbol, b"present", intervals(state.present))

    def _certify(self, write: _Write, symbol: str, minutes: Coverage) -> None:
        state = write.of(symbol)
        before = state.certified
        state.certified = before.union(minutes)
        if state.certified != before:
            self._save(write, symbol, b"certified", intervals(state.certified))

    def _overrule(self, write: _Write, symbol: str, minutes: Coverage) -> None:
        state = write.of(symbol)
        if minutes.subtract(state.overruled):
            state.overruled = state.overruled.union(minutes)
            self._save(write, symbol, b"overruled", intervals(state.overruled))

    def _set_watermark(self, write: _Write, symbol: str, open_time: int, payload: bytes | None) -> None:
        if payload is not None and write.outbox is not None:
            write.outbox.add(symbol, open_time + MINUTE_MS - 1, payload)
        state = write.of(symbol)
        if state.watermark is None or open_time > state.watermark:
            state.watermark = open_time
            self._save(write, symbol, b"watermark", number(open_time))

    def _save(self, write: _Write, symbol: str, name: bytes, value: bytes) -> None:
        write.txn.put(prefix_of(symbol) + name, value, db=self._environment.state)
