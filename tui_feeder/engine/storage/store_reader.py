"""Reading a store: candles with their sources, coverage, notes, profiles and what waits in outboxes."""

from __future__ import annotations

from pathlib import Path

from tui_feeder.engine.core.candle import DAY_MS, Rows
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.engine.core.trade_ids import TradeIds
from tui_feeder.engine.storage.checked_records import CheckedDatabase
from tui_feeder.engine.storage.codec import Sources
from tui_feeder.engine.storage.damage import DamagedDays
from tui_feeder.engine.storage.day_blocks import prefix_of
from tui_feeder.engine.storage.evidence import Evidence
from tui_feeder.engine.storage.live_agreement import LiveAgreement
from tui_feeder.engine.storage.outbox_format import (
    Backlog,
    QueuedMessage,
    backlogs,
    largest_waiting,
)
from tui_feeder.engine.storage.records import NOTE, FileRecord, Quarantined, Records
from tui_feeder.engine.storage.replaced_values import ReplacedValue
from tui_feeder.engine.storage.stored_states import StoredStates

_CHECKED_MS = 30 * DAY_MS  # checked in one transaction


class StoreReader(StoredStates):
    """What is stored, as of the last commit. May be used from any thread.

    Args:
        path: directory of the environment.
        exchange: which exchange's candles it holds; "" for whichever.
        read_only: another process may write; else the states of symbols are held in memory.
        map_size: bytes of address space to begin with; grows by itself.

    Raises:
        StoreError: there is none, it is of another exchange or format, or cannot be read; from any method,
            once the store is closed.
    """

    def __init__(
        self, path: Path, *, exchange: str = "", read_only: bool = True, map_size: int = 1 << 30
    ) -> None:
        super().__init__(path, exchange=exchange, read_only=read_only, map_size=map_size)
        self._damaged = DamagedDays()
        self._records = Records(self._environment, self._unusable)
        self._evidence = Evidence(self._environment.state, self.report_unusable)

    def close(self) -> None:
        """Release the files. A second call does nothing."""
        self._environment.close()

    def checkpoint(self, symbol: str) -> bytes | None:
        """Reads what :meth:`Store.put_checkpoint` stored.

        Args:
            symbol: the symbol.

        Returns:
            The checkpoint; None without one.
        """
        with self._environment.reading() as txn:
            return self._environment.state.get(txn, prefix_of(symbol) + b"numbers")

    def read(self, symbol: str, start: int, end: int) -> Rows:
        """Reads stored minutes.

        A damaged day is left out like a missing one, and recorded: see :meth:`damaged`. A store that is
        open for writing counts its minutes as missing from then on, so that they are read again.

        Args:
            symbol: the symbol.
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            Shape (n,), dtype ROW, sorted.
        """
        return self.read_sourced(symbol, start, end)[0]

    def read_sourced(self, symbol: str, start: int, end: int) -> tuple[Rows, Sources]:
        """Reads stored minutes with their sources; see :meth:`read`.

        Args:
            symbol: the symbol.
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            Rows of dtype ROW, and their sources (uint8, see ``Source``).
        """
        with self._environment.reading() as txn:
            rows, sources, damaged = self._day_blocks.read(txn, prefix_of(symbol), start, end)
        if damaged:
            lacking = self.present(symbol).clip(start, end).subtract(Coverage.of_times(rows["open_time"]))
            for day in damaged:
                if gone := lacking.clip(day, day + DAY_MS):
                    self._report_damage(symbol, day, gone)
        return rows, sources

    def check(self, symbol: str, start: int, end: int) -> Coverage:
        """Checks stored days for damage, as reading them would.

        Args:
            symbol: the symbol.
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            The damaged days.
        """
        found = EMPTY
        for at in range(start // DAY_MS * DAY_MS, end, _CHECKED_MS):
            until = min(at + _CHECKED_MS, end)
            wanted = self.present(symbol).clip(at, until)
            with self._environment.reading() as txn:
                there, damaged = self._day_blocks.check(txn, prefix_of(symbol), at, until)
            if not self.read_only:  # such as what came to lie under another key
                for day in range(at, until, DAY_MS):
                    if gone := wanted.clip(day, day + DAY_MS).subtract(there):
                        self._report_damage(symbol, day, gone)
            for day in sorted(damaged):
                self.read_sourced(symbol, day, day + DAY_MS)
                found = found.union(self.damaged(symbol).clip(day, day + DAY_MS))
        return found

    def damaged(self, symbol: str) -> Coverage:
        """Gives the days found damaged by any reader and not written again since.

        Args:
            symbol: the symbol.

        Returns:
            Whole days.
        """
        return self._damaged.of(symbol).union(_whole_days(self.damaged_missing(symbol)))

    def damaged_days(self) -> dict[str, tuple[int, ...]]:
        """The days (ms) found damaged and not written again since, of every symbol that has some.

        One that is open for writing knows the symbols it has read or written.
        """
        met = self.symbols() if self.read_only else sorted(set(self._symbols))
        found = {symbol: self.damaged(symbol) for symbol in met}
        return {
            symbol: tuple(day for start, end in days for day in range(start, end, DAY_MS))
            for symbol, days in found.items()
            if days
        }

    def live_agreement(self, symbol: str, day: int) -> LiveAgreement:
        """Counts what was published live of a day, and what became of it.

        Args:
            symbol: the symbol.
            day: midnight, ms; the trade ids of days more than ten days ago are not kept.

        Returns:
            The counts, in minutes.
        """
        certified = self.certified(symbol)
        with self._environment.reading() as txn:
            return self._evidence.agreement(txn, symbol, day, certified)

    def publications(self, symbol: str, day: int) -> bytes:
        """Reads what became of the first message of each minute of a day.

        Args:
            symbol: the symbol.
            day: midnight, ms.

        Returns:
            A :class:`~tui_feeder.engine.storage.live_agreement.Publication` a minute, 1,440 of them.
        """
        with self._environment.reading() as txn:
            return self._evidence.publications(txn, symbol, day)

    def trade_ids(self, symbol: str, start: int, end: int) -> dict[int, TradeIds]:
        """Reads the ids of the first and last trade of live minutes, of the newest ten days.

        Args:
            symbol: the symbol.
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            By open time (ms), ascending; without the minutes of which none are kept.
        """
        with self._environment.reading() as txn:
            return self._evidence.trade_ids(txn, symbol, start, end)

    def replaced_values(self, symbol: str, open_time: int) -> tuple[ReplacedValue, ...]:
        """Reads the values that a minute had before its present ones, or that were published of it.

        Args:
            symbol: the symbol.
            open_time: of the minute, ms.

        Returns:
            In the order in which they were replaced; of the newest 2,000 minutes of a symbol that had some.
        """
        with self._environment.reading() as txn:
            return self._evidence.replaced_values(txn, symbol, open_time)

    def quarantined(self, symbol: str) -> list[Quarantined]:
        """Reads the quarantined candles of a symbol.

        Args:
            symbol: the symbol.

        Returns:
            The candles by minute and source.
        """
        with self._environment.reading() as txn:
            return self._records.refused(txn, symbol)

    def file(self, path: str) -> FileRecord | None:
        """Reads what an archive file was when it was last read.

        Args:
            path: its path below the archive's root.

        Returns:
            The record; None if it was not read.
        """
        with self._environment.reading() as txn:
            return self._records.file(txn, path)

    def note(self, name: str) -> bytes | None:
        """Reads what :meth:`Store.put_note` stored.

        Args:
            name: name of the note.

        Returns:
            The note; None without one.
        """
        with self._environment.reading() as txn:
            return self._records.note(txn, name)

    def notes(self, prefix: str) -> dict[str, bytes]:
        """Reads the notes whose names have a prefix.

        Args:
            prefix: the prefix.

        Returns:
            Notes by the rest of their names.
        """
        with self._environment.reading() as txn:
            return self._records.notes(txn, prefix)

    def profiles(self, symbol: str, start: int, end: int) -> list[tuple[int, bytes]]:
        """Reads what :meth:`Store.put_profiles` stored.

        Args:
            symbol: the symbol.
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            Midnight (ms) and encoded profile, ascending.
        """
        with self._environment.reading() as txn:
            return self._records.profiles(txn, symbol, start, end)

    def backlogs(self) -> list[Backlog]:
        """What waits in the outboxes, for enabled and disabled sinks. Not while an engine writes here."""
        return backlogs(self._environment)

    def largest_waiting(self, topic: str, sink: str) -> QueuedMessage | None:
        """Finds the largest message that waits for a sink; not while an engine writes here in this process.

        Args:
            topic: the topic.
            sink: name of the sink.

        Returns:
            The message; None if none waits.
        """
        return largest_waiting(self._environment, topic, sink)

    def damaged_records(self) -> list[str]:
        """Every record beside days and minutes whose checksum differs, in words. They count as absent."""
        with self._environment.reading() as txn:
            return [
                database.describe(key)
                for database, low in self._record_databases()
                for key, value in database.with_prefix(txn, low)
                if value is None
            ]

    def files_problem(self) -> str | None:
        """What became of the store's files behind its back, in words; None while they are in their place."""
        return self._environment.files_problem()

    def file_bytes(self) -> int:
        """Bytes in use in the file; 0 once closed."""
        return self._environment.file_bytes()

    def copy_to(self, descriptor: int) -> None:
        """Writes a copy of all that is committed to an open file; see :meth:`Environment.copy_to`.

        Args:
            descriptor: of the file.
        """
        self._environment.copy_to(descriptor)

    def _record_databases(self) -> list[tuple[CheckedDatabase, bytes]]:
        here = self._environment
        return [
            (here.state, b""), (here.profiles, b""), (here.files, b""), (here.quarantine, b""),
            (here.notes, NOTE),
        ]  # fmt: skip

    def _report_damage(self, symbol: str, day: int, lacking: Coverage) -> bool:
        """A day (ms) of which minutes cannot be read; whether that was not known before."""
        return self._damaged.add(symbol, day, lacking)


def _whole_days(minutes: Coverage) -> Coverage:
    """The days that hold any of ``minutes``."""
    return Coverage((start // DAY_MS * DAY_MS, -(-end // DAY_MS) * DAY_MS) for start, end in minutes)
