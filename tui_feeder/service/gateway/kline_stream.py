"""One symbol and interval as a stream: which bars are to be closed next, and which are owed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from tui_feeder.engine.core.candle import MINUTE_MS, Candle
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.storage.store import SymbolSummary
from tui_feeder.service.gateway.frames import Frame, kline_event
from tui_feeder.service.gateway.intervals import INTERVALS, Interval
from tui_feeder.service.gateway.markets import served_market
from tui_feeder.service.gateway.series import Series

_MARK = "@kline_"
#: A bar that lacks minutes holds up later ones so long (real seconds), as recovery does; then it comes late.
_HOLD_SECONDS = 25.0
#: A stream begins with bars that are not longer over than this.
_LATE_MS = 2 * MINUTE_MS
#: Bars that are sent late once their minutes are there, at most.
_MOST_OWED = 500


def stream_of(name: str) -> tuple[str, Interval] | None:
    """What the name of a kline stream stands for.

    Args:
        name: any text.

    Returns:
        The symbol in lower case and the interval, or None for any other name.
    """
    symbol, mark, interval = name.partition(_MARK)
    found = INTERVALS.get(interval)
    return (symbol, found) if mark and symbol and found is not None else None


class Closed(NamedTuple):
    """What a look at a stream found."""

    bars: list[tuple[int, bytes, bool]]  # open time (ms), row, and whether later ones were closed before it
    next: int  # ms
    owed: list[int]  # ms
    seen: SymbolSummary


class KlineStream:
    """The bars of one symbol and interval, in order.

    Args:
        name: of the stream, with its market before it.
        symbol: whose.
        interval: of the bars.
        series: what is rendered of them.

    Attributes:
        next: open time (ms) of the bar that is closed next: every one before it was, or is owed.
        owed: open times (ms) of the bars that are sent late.
    """

    def __init__(self, name: str, symbol: str, interval: Interval, series: Series) -> None:
        self.name = name
        self.symbol = symbol
        self.interval = interval
        self.next = 0
        self.owed: list[int] = []
        self._series = series
        self._seen: SymbolSummary | None = None
        self._held_since: float | None = None
        self._shown: Candle | None = None

    def begin(self, now: int) -> None:
        """Start with the bar in which the first minute lies that is not stored, or that was over lately.

        While history is read, what is stored ends long before now: bars of that time are none of a stream's.

        Args:
            now: exchange ms.
        """
        present = self._series.summary(self.symbol).present
        self.next = self.interval.floor(max(present.end if present else 0, now - _LATE_MS))

    def is_due(self) -> bool:
        """Whether something was stored of its symbol since the last :meth:`look`.

        Returns:
            True also while a bar is held back.
        """
        return self._held_since is not None or self._series.summary(self.symbol) != self._seen

    def look(self) -> Closed:
        """The bars that are over now, in order, then those that were owed. Blocks; changes nothing yet.

        Returns:
            For :meth:`take`, on the loop, together with the sending.

        Raises:
            StoreError: the store is closed.
        """
        now = self._series.summary(self.symbol)
        bars: list[tuple[int, bytes, bool]] = []
        following, owed, held = self.next, list(self.owed), False
        while now.present and (end := self.interval.later(following, 1)) <= now.present.end:
            if self._is_whole(now, following):
                bars += ((begin, row, False) for begin, row in self.rows(following, end))
                self._held_since = None
            elif not self._held_enough():
                held = True
                break
            else:
                owed = [*owed, following][-_MOST_OWED:]
            following = end
        if not held:
            self._held_since = None
        for begin in [begin for begin in owed if self._is_whole(now, begin)]:
            owed.remove(begin)
            bars += ((at, row, True) for at, row in self.rows(begin, begin + 1))
        self._series.load(self.symbol, self.interval, following, following + 1)  # for the bar in progress
        return Closed(bars, following, owed, now)

    def _held_enough(self) -> bool:
        if self._held_since is None:
            self._held_since = time.monotonic()
        return time.monotonic() - self._held_since >= _HOLD_SECONDS

    def take(self, closed: Closed) -> None:
        """Go on behind what a look found.

        Args:
            closed: of this stream.
        """
        self.next, self.owed, self._seen = closed.next, closed.owed, closed.seen

    def rows(self, low: int, high: int) -> Iterator[tuple[int, bytes]]:
        """The whole bars that begin in ``[low, high)`` (ms), read from the store. Blocks.

        Args:
            low: ms.
            high: ms.

        Yields:
            Open time (ms) and row.

        Raises:
            StoreError: the store is closed.
        """
        for chunk in self._series.load(self.symbol, self.interval, low, high):
            yield from chunk.each(low, high)

    def _is_whole(self, now: SymbolSummary, begin: int) -> bool:
        end = self.interval.later(begin, 1)
        return not _lacks(now.present, max(begin, min(now.listed or 0, end)), end)

    def forming(self, candle: Candle | None, event_time: int) -> Frame | None:
        """The frame of the bar in progress.

        Args:
            candle: the newest minute that is known of the symbol.
            event_time: ms.

        Returns:
            None where it is no news, or of a minute that is stored, or minutes before it are not.
        """
        if candle is None or candle is self._shown:
            return None
        now, begin = self._series.summary(self.symbol), self.interval.floor(candle.open_time)
        if not now.present or candle.open_time != now.present.end or begin != self.next:
            return None
        if _lacks(now.present, max(begin, now.listed or 0), candle.open_time):
            return None
        chunks = self._series.ready(self.symbol, self.interval, begin, self.interval.later(begin, 1))
        if chunks is None:  # the bars before it are being read
            return None
        self._shown = candle
        row = self._series.forming(self.symbol, self.interval, chunks[-1], candle)
        return self.frame(row, event_time, closed=False)

    def frame(self, row: bytes, event_time: int, *, closed: bool) -> Frame:
        """The frame of a bar.

        Args:
            row: of a klines answer.
            event_time: ms.
            closed: whether the bar is over.

        Returns:
            The frame.
        """
        market = served_market(self.symbol)
        event = kline_event(market.bare(self.symbol), self.interval.name, row, event_time, closed=closed)
        return Frame(market.bare(self.name), event)


def _lacks(present: Coverage, low: int, high: int) -> bool:
    """Whether minutes of ``[low, high)`` (ms) are not stored."""
    if high <= low:
        return False
    if present:
        start, end = present.intervals[-1]
        if start <= low and high <= end:
            return False
    return bool(present.missing(low, high))
