"""What is rendered of each symbol and interval, kept up to date with the store.

Rows are kept as text, a chunk of bars at a time. A chunk is good as long as the symbol's stored minutes
inside it are the same and none was replaced; new minutes are added to it. Which of that holds is looked at
once for each transaction of the store, so a poll between two of them costs no look at all.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tui_feeder.engine.core.candle import DAY_MS, Candle, Rows, to_rows
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.engine.storage.corrections import Correction
from tui_feeder.engine.storage.store import Store, SymbolSummary
from tui_feeder.service.gateway.bars import (
    NO_BARS,
    Bars,
    Decimals,
    finer,
    fitting,
    joined,
    minutes_of,
    part,
    summed,
    where,
    whole,
)
from tui_feeder.service.gateway.intervals import Interval, Ints
from tui_feeder.service.gateway.rows_text import NO_TEXT, Text, joined_text, text_of

#: Bars of a chunk; of a day and longer all of a symbol are one.
_CHUNK_BARS = 1_440
_EVER = 1 << 60
#: Minutes read in one go, so that threads take turns.
_READ_MS = 4 * DAY_MS


class _Key(NamedTuple):
    symbol: str
    interval: str
    start: int


@dataclass(slots=True, eq=False)  # compared by identity: one that changes is replaced
class Chunk:
    """Rendered bars of ``[start, end)``, as far as minutes before ``until`` are stored."""

    start: int
    end: int
    decimals: Decimals
    edition: int  # of the symbol
    until: int  # ms, exclusive: minutes before it were looked at
    times: Ints  # open times of the bars
    stored: Coverage = EMPTY  # the minutes before ``until`` that are stored
    text: Text = NO_TEXT  # of those
    open: Bars = NO_BARS  # what is stored of the bar in which ``until`` lies: one bar, or none
    version: int = 0  # of the store, when it was found to be good
    last: int = -1  # open time of the last bar, ms

    @property
    def size(self) -> int:
        """Bytes it takes, about."""
        return len(self.text.data) + 16 * len(self.times) + 1_000

    def rows(self, low: int, high: int) -> memoryview:
        """The rows of the bars that begin in ``[low, high)`` (ms), parted by commas.

        Args:
            low: ms.
            high: ms, exclusive.

        Returns:
            JSON lists, parted by commas; empty without any.
        """
        if low > self.last:  # the bar in progress alone is asked for
            return memoryview(b"")
        first, last = np.searchsorted(self.times, (low, high)).tolist()
        return self.text.rows(first, last) if last > first else memoryview(b"")

    def each(self, low: int, high: int) -> Iterator[tuple[int, bytes]]:
        """The bars that begin in ``[low, high)`` (ms), one by one.

        Args:
            low: ms.
            high: ms, exclusive.

        Yields:
            Open time (ms) and row.
        """
        first, last = np.searchsorted(self.times, (low, high)).tolist()
        for place in range(first, last):
            yield int(self.times[place]), bytes(self.text.rows(place, place + 1))


class Series:
    """Rows of klines by symbol and interval. Methods may be called from any thread.

    Args:
        store: read at any time.
        most_bytes: of text kept; what was not asked for longest goes first.
        serve_unconfirmed: whether minutes count that REST gave right after their end, or that are disputed;
            else they count once they are confirmed.
    """

    def __init__(self, store: Store, most_bytes: int, *, serve_unconfirmed: bool = False) -> None:
        self.version = 0  # of the store, as of the last look
        self._store = store
        self._most = most_bytes
        self._serve_unconfirmed = serve_unconfirmed
        self._lock = threading.Lock()
        self._chunks: OrderedDict[_Key, Chunk] = OrderedDict()
        self._size = 0
        self._summaries: dict[str, tuple[int, SymbolSummary]] = {}
        self._decimals: dict[str, Decimals] = {}
        self._contract_sizes: dict[str, float] = {}
        self._forming: dict[tuple[str, str], tuple[Candle, Bars, bytes]] = {}

    def look(self) -> bool:
        """Take notice of what was committed; whether something was.

        Raises:
            StoreError: the store is closed.
        """
        version = self._store.version()
        changed, self.version = version != self.version, version
        return changed

    def summary(self, symbol: str) -> SymbolSummary:
        """What is stored of a symbol, as of the last :meth:`look` or later.

        Args:
            symbol: whose.

        Returns:
            Of one moment.
        """
        known, version = self._summaries.get(symbol), self.version
        if known is None or known[0] != version:
            found = self._store.summary(symbol)
            present = found.present
            if not self._serve_unconfirmed:
                present = present.subtract(found.unconfirmed)
            if found.omitted:  # the exchange answers without them, too
                present = present.union(found.omitted)
            found = found._replace(present=present)
            known = self._summaries[symbol] = version, found
        return known[1]

    def minutes(self, symbol: str, start: int, end: int) -> Rows:
        """The stored minutes of ``[start, end)`` (ms) with the volumes that the exchange states.

        Args:
            symbol: whose.
            start: ms.
            end: ms.

        Returns:
            Rows, sorted, dtype ROW.

        Raises:
            StoreError: the store is closed.
        """
        return self.shown(symbol, self.stored(symbol, start, end))

    def stored(self, symbol: str, start: int, end: int) -> Rows:
        """The stored minutes of ``[start, end)`` (ms), volumes in base coins and in the quote asset.

        Args:
            symbol: whose.
            start: ms.
            end: ms.

        Returns:
            Rows, sorted, dtype ROW.

        Raises:
            StoreError: the store is closed.
        """
        return self._store.read(symbol, start, end)

    def contract_size(self, symbol: str) -> float | None:
        """What a contract is worth, where trades are counted in contracts.

        Args:
            symbol: whose.

        Returns:
            In the quote asset; None where none are counted, or it is not known.

        Raises:
            StoreError: the store is closed.
        """
        return self._store.contract_size(symbol)

    def shown(self, symbol: str, rows: Rows) -> Rows:
        """Rows with the volumes that the exchange states: of some markets contracts beside base coins.

        Args:
            symbol: whose.
            rows: as the store has them, volumes in base coins and quote volumes in the quote asset.

        Returns:
            The same ones where the exchange states these.
        """
        size = self._contract_sizes.get(symbol)
        if not size:
            return rows
        found = rows.copy()
        for assets, contracts in (("volume", "quote_volume"), ("taker_buy_volume", "taker_buy_quote_volume")):
            found[assets], found[contracts] = np.rint(rows[contracts] / size), rows[assets]
        return found

    def corrections(self, symbol: str) -> tuple[Correction, ...]:
        """The minutes that were corrected after later ones were stored.

        Args:
            symbol: whose.

        Returns:
            By number.

        Raises:
            StoreError: the store is closed.
        """
        return self._store.corrections(symbol)

    def set_format(self, symbol: str, decimals: Decimals, contract_size: float) -> None:
        """What the exchange lists of a symbol's numbers. Stored ones that have more digits are never cut.

        Args:
            symbol: whose.
            decimals: at least so many.
            contract_size: what a contract is worth, in the quote asset; 0 where volumes are base coins.
        """
        self._contract_sizes[symbol] = contract_size
        self._set_decimals(symbol, decimals)

    def _set_decimals(self, symbol: str, decimals: Decimals) -> None:
        self._decimals[symbol] = Decimals(*map(max, self._decimals.get(symbol, decimals), decimals))

    def ready(self, symbol: str, interval: Interval, low: int, high: int) -> list[Chunk] | None:
        """The chunks with the bars that begin in ``[low, high)`` (ms), where all are at hand; at once.

        Args:
            symbol: whose.
            interval: of the bars.
            low: ms.
            high: ms, exclusive.

        Returns:
            In order of time, or None.
        """
        found, keys = [], _keys(symbol, interval, low, high)
        for key in keys:
            chunk = self._chunks.get(key)
            if chunk is None or not self._is_good(symbol, chunk, interval.later(interval.floor(high - 1), 1)):
                return None
            found.append(chunk)
        if self._size > self._most // 2:  # else none is dropped soon
            with self._lock:
                for key in keys:
                    if key in self._chunks:
                        self._chunks.move_to_end(key)
        return found

    def _is_good(self, symbol: str, chunk: Chunk, until: int) -> bool:
        """Whether a chunk has what is stored of its bars before ``until`` (ms)."""
        if chunk.version == self.version:
            return True
        now = self.summary(symbol)
        if not self._still_holds(symbol, chunk, now):
            return False
        if not now.present.clip(chunk.until, min(until, chunk.end)):
            chunk.version = self.version
            return True
        return False

    def _still_holds(self, symbol: str, chunk: Chunk, now: SymbolSummary) -> bool:
        return (
            chunk.edition == now.edition
            and chunk.decimals == self._decimals[symbol]
            and chunk.stored == now.present.clip(chunk.start, chunk.until)
        )

    def load(self, symbol: str, interval: Interval, low: int, high: int) -> list[Chunk]:
        """As :meth:`ready`, and what is missing of them is read. Blocks.

        Args:
            symbol: whose.
            interval: of the bars.
            low: ms.
            high: ms, exclusive.

        Returns:
            In order of time.

        Raises:
            StoreError: the store is closed.
        """
        while True:
            wanted = self._decimals[symbol]
            found = [self._loaded(key, interval) for key in _keys(symbol, interval, low, high)]
            if self._decimals[symbol] == wanted:  # else a later chunk has finer numbers than the first
                return found

    def _loaded(self, key: _Key, interval: Interval) -> Chunk:
        version, now = self.version, self.summary(key.symbol)
        chunk = self._chunks.get(key)
        if chunk is None or not self._still_holds(key.symbol, chunk, now):
            chunk = _empty(key.start, interval, self._decimals[key.symbol], now.edition)
        until = min(chunk.end, max(chunk.until, now.present.end if now.present else 0))
        if chunk.until == until and chunk.version:
            chunk.version = version
            return chunk
        while True:
            try:
                made = self._extended(key.symbol, interval, chunk, now, until)
                break
            except _FinerError as error:  # all of the chunk has to be written with as many digits
                self._set_decimals(key.symbol, error.decimals)
                chunk = _empty(key.start, interval, self._decimals[key.symbol], now.edition)
        made.version = version
        with self._lock:
            old = self._chunks.pop(key, None)
            self._size += made.size - (0 if old is None else old.size)
            self._chunks[key] = made
            while self._size > self._most and len(self._chunks) > 1:
                self._size -= self._chunks.popitem(last=False)[1].size
        return made

    def _extended(
        self, symbol: str, interval: Interval, chunk: Chunk, now: SymbolSummary, until: int
    ) -> Chunk:
        """A chunk with the minutes up to ``until`` (ms) too; the one given stays as it is."""
        coming = now.present.clip(chunk.until, until)
        at, opened, text, times = coming.start if coming else until, chunk.open, chunk.text, [chunk.times]
        while at < until:
            end = min(until, at - at % _READ_MS + _READ_MS)
            rows = self.minutes(symbol, at, end)
            if (decimals := fitting(rows, chunk.decimals)) != chunk.decimals:
                raise _FinerError(decimals)
            bars = summed(joined(opened, summed(minutes_of(rows, decimals), interval)), interval)
            over = len(bars.times)
            if over and interval.later(int(bars.times[-1]), 1) > end:
                over -= 1
            opened, done = part(bars, over, len(bars.times)), part(bars, 0, over)
            done = where(done, whole(done, interval, now.listed, now.omitted))
            if len(done.times):
                text = joined_text(text, text_of(done, interval, decimals))
                times.append(done.times)
            at = end
        return replace(
            chunk, until=until, stored=now.present.clip(chunk.start, until), times=np.concatenate(times),
            text=text, open=opened, last=int(times[-1][-1]) if len(times[-1]) else -1,
        )  # fmt: skip

    def loose(self, symbol: str, interval: Interval, low: int, until: int, forming: Candle | None) -> bytes:
        """Rows of the bars from ``low`` (ms) on, of whatever minutes before ``until`` (ms) there are. Blocks.

        Args:
            symbol: whose.
            interval: of the bars.
            low: open time of the first bar.
            until: exclusive.
            forming: the minute at ``until``, where it counts too.

        Returns:
            JSON lists, parted by commas; empty without any.

        Raises:
            StoreError: the store is closed.
        """
        bars = NO_BARS
        for start, end in self.summary(symbol).present.clip(low, until):
            for at in range(start - start % _READ_MS, end, _READ_MS):
                rows = self.minutes(symbol, max(at, start), min(at + _READ_MS, end))
                decimals = fitting(rows, self._decimals[symbol])
                if decimals != self._decimals[symbol]:
                    self._set_decimals(symbol, decimals)
                    return self.loose(symbol, interval, low, until, forming)
                bars = summed(joined(bars, minutes_of(rows, decimals)), interval)
        decimals = self._decimals[symbol]
        if forming is not None:
            bars = summed(joined(bars, self._minute(symbol, forming, decimals)), interval)
        return bytes(text_of(bars, interval, decimals).rows(0, len(bars.times))) if len(bars.times) else b""

    def _minute(self, symbol: str, candle: Candle, decimals: Decimals) -> Bars:
        return minutes_of(self.shown(symbol, to_rows([candle])), decimals)

    def forming(self, symbol: str, interval: Interval, chunk: Chunk, candle: Candle) -> bytes:
        """The row of the bar in progress: the stored minutes of the last chunk, and the forming minute.

        Args:
            symbol: whose.
            interval: of the bar.
            chunk: has the stored minutes before the candle.
            candle: of the minute in progress.

        Returns:
            A JSON list.
        """
        key = symbol, interval.name
        known = self._forming.get(key)
        if known is not None and known[0] is candle and known[1] is chunk.open:
            return known[2]
        decimals = fitting(self.shown(symbol, to_rows([candle])), chunk.decimals)
        opened = chunk.open
        if not len(opened.times) or int(opened.times[0]) != interval.floor(candle.open_time):
            opened = NO_BARS
        elif decimals != chunk.decimals:
            opened = finer(opened, chunk.decimals, decimals)
        bar = summed(joined(opened, self._minute(symbol, candle, decimals)), interval)
        row = bytes(text_of(bar, interval, decimals).rows(0, 1))
        self._forming[key] = candle, chunk.open, row
        return row


class _FinerError(Exception):
    """Stored numbers have more digits than the exchange lists."""

    def __init__(self, decimals: Decimals) -> None:
        super().__init__(decimals)
        self.decimals = decimals


def _span(interval: Interval) -> int:
    return _CHUNK_BARS * interval.ms if 0 < interval.ms < DAY_MS else 0


def _keys(symbol: str, interval: Interval, low: int, high: int) -> list[_Key]:
    span = _span(interval)
    if not span:
        return [_Key(symbol, interval.name, 0)]
    return [_Key(symbol, interval.name, start) for start in range(low - low % span, high, span)]


def _empty(start: int, interval: Interval, decimals: Decimals, edition: int) -> Chunk:
    span = _span(interval)
    return Chunk(start, start + span if span else _EVER, decimals, edition, start, NO_BARS.times)
