"""What a store knows of each symbol: coverage and other sets of minutes, loaded from its records."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

import msgspec

from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.engine.storage.checked_records import DAMAGED
from tui_feeder.engine.storage.corrections import CORRECTIONS, Correction, decode_corrections
from tui_feeder.engine.storage.day_blocks import DayBlocks, prefix_of
from tui_feeder.engine.storage.environment import Environment
from tui_feeder.engine.storage.inheritance import InheritedDay, inherited_key
from tui_feeder.engine.storage.records import UnusableRecords
from tui_feeder.engine.storage.rest_reads import REST_READS, RestRead, decode_rest_reads
from tui_feeder.engine.storage.symbol_state import (
    NAMES,
    SUMMARY_NAMES,
    SymbolState,
    Unavailable,
    state_of,
    summary_of,
)


class SymbolSummary(NamedTuple):
    """What is stored of a symbol, of one moment."""

    present: Coverage
    edition: int  # rises whenever stored values are replaced or lost
    listed: int | None  # first minute (ms) the exchange has, once found out
    unconfirmed: Coverage = EMPTY  # minutes of ``present`` that may still be corrected by their own source
    omitted: Coverage = EMPTY  # minutes of which the exchange has no candle, for good
    delivery: int | None = None  # ms: from this minute on there is none, as its contract ends


def _summary(state: SymbolState) -> SymbolSummary:
    return SymbolSummary(
        state.present, state.edition, state.listed, state.unconfirmed, state.omitted, state.delivery
    )


class StoredStates:
    """The states of symbols, as of the last commit. May be used from any thread.

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
        self.path = path
        self.read_only = read_only
        self._unusable = UnusableRecords(path)
        #: A record counts as absent: which, and why it cannot be used.
        self.report_unusable = self._unusable.add
        self.unusable_records = self._unusable.found  # those, and why they cannot be used
        self._symbols: dict[str, SymbolState] = {}
        self._published = 0  # transactions of this process
        self._loading = threading.Lock()
        self._environment = Environment(path, exchange=exchange, read_only=read_only, map_size=map_size)
        self.exchange = self._environment.exchange
        self._day_blocks = DayBlocks(self._environment)

    def symbols(self) -> list[str]:
        """Every symbol that has anything stored, sorted."""
        found = []
        with self._environment.reading() as txn:
            cursor = txn.cursor(self._environment.state.database)
            at = cursor.first()
            while at:
                name = bytes(cursor.key()).partition(b"\0")[0]
                try:
                    found.append(name.decode())
                except UnicodeDecodeError as error:
                    self.report_unusable(f"the name {name!r}", str(error))
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

    def _load(self, symbol: str) -> SymbolState:
        prefix = prefix_of(symbol)
        with self._environment.reading() as txn:
            states = self._environment.state
            raw = {name: states.get(txn, prefix + name) for name in NAMES}
            tail_days = self._day_blocks.tail_days(txn, prefix)
            if raw[b"present"] is None and self._day_blocks.days(txn, prefix):
                raw[b"present"] = DAMAGED  # it came to lie under another key
        return state_of(
            raw,
            tail_days,
            lambda name, why: self.report_unusable(f"{symbol}: {name}", why),
            lambda: self._stored(symbol),
        )

    def _stored(self, symbol: str) -> Coverage:
        """The minutes that are there, found by reading all of them, a day at a time."""
        found = EMPTY
        with self._environment.reading() as txn:
            for day in self._day_blocks.days(txn, prefix_of(symbol)):
                rows, _, _ = self._day_blocks.read(txn, prefix_of(symbol), day, day + DAY_MS)
                found = found.union(Coverage.of_times(rows["open_time"]))
        return found

    def present(self, symbol: str) -> Coverage:
        """Gives the minutes stored.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        return self._state(symbol).present

    def certified(self, symbol: str) -> Coverage:
        """Gives the minutes certified: from a checked archive, or read by REST after their close.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        return self._state(symbol).certified

    def omitted(self, symbol: str) -> Coverage:
        """Gives the minutes of which the exchange has no candle, for good: archive and REST both skip them.

        Args:
            symbol: the symbol.

        Returns:
            The minutes; none of them is stored.
        """
        return self._state(symbol).omitted

    def settled(self, symbol: str) -> Coverage:
        """Gives the minutes nobody needs to ask for: those stored, and those the exchange has not.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        state = self._state(symbol)
        return state.present.union(state.omitted) if state.omitted else state.present

    def listed(self, symbol: str) -> int | None:
        """Gives the first minute the exchange has of a symbol.

        Args:
            symbol: the symbol.

        Returns:
            ms; None until it is known.
        """
        return self._state(symbol).listed

    def contract_size(self, symbol: str) -> float | None:
        """Gives what a contract of a symbol is worth.

        Args:
            symbol: the symbol.

        Returns:
            In the quote asset; None where trades are not counted in contracts, or it is not known.
        """
        return self._state(symbol).contract_size

    def delivery(self, symbol: str) -> int | None:
        """Gives where the minutes of a contract end.

        Args:
            symbol: the symbol.

        Returns:
            ms, exclusive; None where it has no end, or none is known.
        """
        return self._state(symbol).delivery

    def watermark(self, symbol: str) -> int | None:
        """Gives the last minute whose message was made.

        Args:
            symbol: the symbol.

        Returns:
            Its open time, ms; None before the first.
        """
        return self._state(symbol).watermark

    def outages(self, symbol: str) -> Coverage:
        """Gives the minutes without trades that REST confirmed: a silent market or exchange, no defect.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        return self._state(symbol).outages

    def altered(self, symbol: str) -> Coverage:
        """Gives the minutes replaced by other values and not yet cleared by :meth:`Store.forget_altered`.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        return self._state(symbol).altered

    def unconfirmed(self, symbol: str) -> Coverage:
        """Gives the uncertified minutes that REST gave too soon after their end to be final.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        return self._state(symbol).unconfirmed

    def unpublished(self, symbol: str) -> Coverage:
        """Gives the minutes before the watermark that were stored after it had passed: without a message.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        return self._state(symbol).unpublished

    def lost_published(self, symbol: str) -> Coverage:
        """Gives the minutes at or before the watermark whose day was damaged after their message was made.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        return self._state(symbol).lost_published

    def stale_published(self, symbol: str) -> Coverage:
        """Gives the minutes at or before the watermark whose values differ from those of their message.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        return self._state(symbol).stale_published

    def inherited_days(self, symbol: str) -> dict[int, InheritedDay]:
        """Gives the days that were taken over and are not compared yet.

        Args:
            symbol: the symbol.

        Returns:
            By midnight (ms) what to compare.
        """
        prefix, found = prefix_of(symbol) + inherited_key(None), {}
        with self._environment.reading() as txn:
            for key, value in self._environment.state.with_prefix(txn, prefix):
                if value is not None:
                    day = int.from_bytes(key[len(prefix) :], "big") * DAY_MS
                    found[day] = msgspec.msgpack.decode(value, type=InheritedDay)
        return found

    def inherited(self, symbol: str) -> Coverage:
        """Gives the minutes that numbers computed elsewhere contain and that are not stored here yet.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        return self._state(symbol).inherited

    def edition(self, symbol: str) -> int:
        """Gives a number that rises whenever minutes are stored that contradict stored ones.

        Args:
            symbol: the symbol.

        Returns:
            The edition.
        """
        return self._state(symbol).edition

    def unavailable(self, symbol: str) -> tuple[Unavailable, ...]:
        """Gives the ranges that no source could give.

        Args:
            symbol: the symbol.

        Returns:
            The ranges.
        """
        return self._state(symbol).unavailable

    def damaged_missing(self, symbol: str) -> Coverage:
        """Gives the minutes that were lost with a damaged day and not read again since.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        return self._state(symbol).damaged_missing

    def candles(self) -> int:
        """Number of candles stored, all symbols."""
        return sum(self.present(symbol).minutes for symbol in self.symbols())

    def version(self) -> int:
        """A number that rises with every committed transaction, of whichever process writes.

        Raises:
            StoreError: the store is closed.
        """
        # LMDB's own number is there before the states in this process's memory are.
        return self._environment.last_transaction() if self.read_only else self._published

    def summary(self, symbol: str) -> SymbolSummary:
        """Summarises what is stored of a symbol; cheaper than its single parts where another process writes.

        Args:
            symbol: the symbol.

        Returns:
            Minutes stored, edition and first listed minute.

        Raises:
            StoreError: the store is closed.
        """
        if not self.read_only:
            return _summary(self._state(symbol))
        prefix = prefix_of(symbol)
        with self._environment.reading() as txn:
            raw = {name: self._environment.state.get(txn, prefix + name) for name in SUMMARY_NAMES}
        found = summary_of(raw)
        if found is None:  # a record of it is damaged: what is there has to be found by reading
            return _summary(self._state(symbol))
        return SymbolSummary(*found)

    def rest_reads(self, symbol: str) -> tuple[RestRead, ...]:
        """Lists windows of minutes that were read by REST.

        Args:
            symbol: the symbol.

        Returns:
            In the order they were read; the newest are kept.

        Raises:
            StoreError: the store is closed.
        """
        with self._environment.reading() as txn:
            return decode_rest_reads(self._environment.state.get(txn, prefix_of(symbol) + REST_READS))

    def corrections(self, symbol: str) -> tuple[Correction, ...]:
        """Lists the minutes that were corrected after later ones were stored.

        Args:
            symbol: the symbol.

        Returns:
            By number; the newest are kept.

        Raises:
            StoreError: the store is closed.
        """
        with self._environment.reading() as txn:
            return decode_corrections(self._environment.state.get(txn, prefix_of(symbol) + CORRECTIONS))
