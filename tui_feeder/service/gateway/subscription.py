"""Closed bars of some symbols from a moment on, without a seam: stored ones, coming ones, and corrections.

A subscription has a position for each symbol: the bar that comes next, and the number of the last correction
that it was given. Everything is read from the store, so a reader that is slow or was away goes on where it
was.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows
from tui_feeder.engine.storage.corrections import Correction
from tui_feeder.engine.storage.store import SymbolSummary
from tui_feeder.errors import InputError
from tui_feeder.service.gateway.feeder import FollowedSymbol
from tui_feeder.service.gateway.intervals import Ints
from tui_feeder.service.gateway.series import Series

#: Bars of one message, about, and of all that are read in one go; minutes that are read for one at most.
_MESSAGE_BARS, _MOST_BARS, _READ_MS = 4_000, 16_000, 7 * DAY_MS
#: Corrected bars that are looked for in one go.
_CORRECTED_MS = 31 * DAY_MS
#: A bar that lacks minutes holds up later ones so long (real seconds), as recovery does; then it comes as a
#: correction.
_HOLD_SECONDS = 25.0


class CursorError(InputError, ValueError):
    """A position cannot be read; the text has the reason."""


class Batch(NamedTuple):
    """Bars of a symbol in rising order of time."""

    symbol: str
    rows: Rows  # dtype ROW
    contract_size: float | None  # in the quote asset, where trades are counted in contracts
    revisions: Ints  # of each bar: 0, or the number of the last correction that concerns it


class Message(NamedTuple):
    """Bars, and where a reader that has them goes on."""

    cursor: str
    batches: list[Batch]


@dataclass(slots=True)
class _Position:
    symbol: str
    next: int  # ms
    seen: int  # number of the last correction
    summary: SymbolSummary | None = None
    corrections: tuple[Correction, ...] = ()
    held_since: float | None = None
    begun: bool = False


class Subscription:
    """Closed bars of some symbols.

    Args:
        series: what is stored.
        symbols: that are followed, each once.
        seconds: of the bars; divides a day.
        since: a cursor, or ms, of which bars that begin then or later are wanted; None for those to come.

    Raises:
        CursorError: ``since`` is no position of these symbols.
    """

    def __init__(self, series: Series, symbols: Sequence[str], seconds: int, since: str | int | None) -> None:
        self._series = series
        self._seconds = seconds
        self._frame = seconds * 1_000
        self._turn = 0  # whose bars come first at the next look
        if isinstance(since, str):
            self._first, self._positions = _places(since, symbols, self._frame)
            return
        self._positions = []
        for symbol in symbols:
            present, corrections = series.summary(symbol).present, series.corrections(symbol)
            at = since if since is not None else present.end if present else 0
            # What was corrected before is given as it is now.
            seen = corrections[-1].number if corrections else 0
            self._positions.append(_Position(symbol, -(-at // self._frame) * self._frame, seen))
        #: Bars before it were never wanted, ms.
        self._first = min(position.next for position in self._positions)

    def cursor(self) -> str:
        """Where a reader goes on that has everything up to now.

        Returns:
            For ``since``, with the same symbols in the same order.
        """
        base = min(position.next for position in self._positions)
        parts = []
        for position in self._positions:
            offset = (position.next - base) // self._frame
            parts.append(f"{offset}~{position.seen}" if position.seen else str(offset))
        return f"{base}:{self._first}:{','.join(parts)}"

    def pending(self, followed: Mapping[str, FollowedSymbol]) -> list[Message]:
        """What can be sent now. Blocks.

        Args:
            followed: the symbols as they are.

        Returns:
            In order; empty where nothing is new.

        Raises:
            StoreError: the store is closed.
        """
        messages: list[Message] = []
        batches: list[Batch] = []
        bars = total = 0
        turn = self._turn
        for position in self._positions[turn:] + self._positions[:turn]:
            for batch in self._of_symbol(position, followed.get(position.symbol)):
                batches.append(batch)
                bars += len(batch.rows)
            if bars >= _MESSAGE_BARS:
                messages.append(Message(self.cursor(), batches))
                total += bars
                batches, bars = [], 0
            self._turn = (self._turn + 1) % len(self._positions)
            if total >= _MOST_BARS:
                break
        if batches:
            messages.append(Message(self.cursor(), batches))
        return messages

    def _of_symbol(self, position: _Position, followed: FollowedSymbol | None) -> list[Batch]:
        now = self._series.summary(position.symbol)
        if not self._has_begun(position, now, followed):
            return []
        batches = []
        if now != position.summary:
            position.corrections = self._series.corrections(position.symbol)
            position.summary = now
            batches += self._corrected(position, now)
        if (batch := self._following(position, now, followed)) is not None:
            batches.append(batch)
        return batches

    def _has_begun(self, position: _Position, now: SymbolSummary, followed: FollowedSymbol | None) -> bool:
        """A history begins with its first whole bar, a listing with its first one."""
        start = None if followed is None else followed.start
        if start is None and now.delivery is not None and now.present:
            start = now.present.start  # nothing is read any more of a contract that has ended
        if not position.begun and start is not None:
            listed = now.listed
            begin = -(-start // self._frame) * self._frame
            if listed is not None and listed >= start:
                begin = start // self._frame * self._frame
            position.next = max(position.next, begin)
            position.begun = True
        return position.begun and bool(now.present)

    def _corrected(self, position: _Position, now: SymbolSummary) -> list[Batch]:
        """Bars that were sent, or passed over, and have other values now."""
        batches = []
        frame = self._frame
        fresh = [found for found in position.corrections if found.number > position.seen]
        for low, high in _ranges(fresh, frame, self._first, position.next):
            for at in range(low, high, _CORRECTED_MS):
                batch = self._bars(position, now, at, min(high, at + _CORRECTED_MS), since=position.seen)
                if len(batch.rows):
                    batches.append(batch)
        if fresh:
            position.seen = fresh[-1].number
        return batches

    def _following(
        self, position: _Position, now: SymbolSummary, followed: FollowedSymbol | None
    ) -> Batch | None:
        """The bars that come next, as far as all their minutes are there."""
        frame = self._frame
        while True:
            stored = now.present.end // frame * frame
            until = min(
                stored, position.next + max(frame, min(_READ_MS, _MESSAGE_BARS * frame) // frame * frame)
            )
            if until <= position.next:
                return None
            missing = now.present.missing(max(position.next, min(now.listed or 0, until)), until)
            whole = missing.start // frame * frame if missing else until
            if whole > position.next:
                position.held_since = None
                batch = self._bars(position, now, position.next, whole)
                position.next = whole
                return batch
            if followed is None or not followed.live:
                return None
            if position.held_since is None:
                position.held_since = time.monotonic()
            if time.monotonic() - position.held_since < _HOLD_SECONDS:
                return None
            position.next += frame  # it comes as a correction, once its minutes are there

    def _bars(self, position: _Position, now: SymbolSummary, low: int, high: int, since: int = -1) -> Batch:
        """The whole bars that begin in ``[low, high)`` (ms) and that corrections after ``since`` concern."""
        rows = self._series.stored(position.symbol, low, high)
        if self._seconds > 60:
            made = aggregate(rows, self._seconds, listed=now.listed)
            rows = made.rows[made.minutes * 60 == self._seconds]
        times, revisions = rows["open_time"], np.zeros(len(rows), dtype=np.int64)
        for found in position.corrections:
            if found.end > low and found.start < high:
                concerned = (times + self._frame > found.start) & (times < found.end)
                revisions[concerned] = found.number  # in rising order
        if since >= 0:
            wanted = revisions > since
            rows, revisions = rows[wanted], revisions[wanted]
        return Batch(position.symbol, rows, self._series.contract_size(position.symbol), revisions)


def _ranges(corrections: Sequence[Correction], frame: int, low: int, high: int) -> list[tuple[int, int]]:
    """The bars that corrections concern, of those in ``[low, high)``, each once."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(
        (found.start // frame * frame, -(-found.end // frame) * frame) for found in corrections
    ):
        start, end = max(start, low), min(end, high)
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _places(cursor: str, symbols: Sequence[str], frame: int) -> tuple[int, list[_Position]]:
    """The first bar that was wanted, and the position of each symbol."""
    try:
        base, first, rest = cursor.split(":")
        positions = []
        for symbol, part in zip(symbols, rest.split(","), strict=True):
            offset, _, seen = part.partition("~")
            at = _number(base) + _number(offset) * frame
            positions.append(_Position(symbol, -(-at // frame) * frame, _number(seen) if seen else 0))
        return _number(first), positions
    except ValueError:
        raise CursorError(f"it is no cursor of {len(symbols)} symbols") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise ValueError(text)
    return int(text)


def minutes_of_frame(seconds: int) -> int:
    """Minutes of a bar.

    Args:
        seconds: of the bar.

    Returns:
        How many.
    """
    return seconds * 1_000 // MINUTE_MS
