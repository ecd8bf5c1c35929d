"""Ids of the first and last trade of live minutes, and whether those of neighbours join. Pure.

Trades of a symbol are numbered one after the other. So where the first id of a minute follows the last id
that the closing frame of the minute before it showed, that frame was the minute's last state, and nothing
lies between the two. Where it does not, nothing is proved: REST decides.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from tui_feeder.engine.core.candle import MINUTE_MS

#: No exchange has counted so far; a number beyond it is none.
_MOST = 1 << 53


class TradeIds(NamedTuple):
    """Ids of the first and the last trade of a minute; both -1 in a minute without a trade."""

    first: int
    last: int

    @property
    def quiet(self) -> bool:
        """Whether there was no trade."""
        return self.last < 0


QUIET = TradeIds(-1, -1)


def trade_ids(first: int, last: int, trades: int) -> TradeIds | None:
    """Checks the ids that a frame states.

    Args:
        first: id of the first trade, -1 where there is none.
        last: id of the last trade, -1 where there is none.
        trades: number of trades; some ids between may be hidden.

    Returns:
        The ids; None where they make no sense, or the frame has none.
    """
    if first == last == -1 and not trades:
        return QUIET
    sound = 0 <= first <= last < _MOST and 0 < trades <= last - first + 1
    return TradeIds(first, last) if sound else None


class Link(Enum):
    """What the ids on both sides of a minute's end prove."""

    JOINED = "joined"
    """The closing frame was the minute's last state, and no trade lies between."""
    BROKEN = "broken"
    """Nothing: the minute has to be read by REST."""


class TradeIdChain:
    """The ids of one symbol, frame by frame: each end of a minute is judged once, as soon as it can be."""

    __slots__ = ("_begun", "_judged", "_last", "_through")

    def __init__(self) -> None:
        self._through: int | None = None  # open time of the newest minute that is closed
        self._last: int | None = None  # id of the last trade up to its end; None while none is known
        self._begun = (0, 0)  # the newest minute whose first trade is known, and the id of that
        self._judged = (0, 0)  # the same, of the newest beginning that was compared

    def forming(self, open_time: int, ids: TradeIds) -> Link | None:
        """Takes a frame of a minute that is not over.

        Args:
            open_time: of the minute, ms.
            ids: of its trades so far.

        Returns:
            What is proved of the end of the minute before it; None where nothing new is.
        """
        if ids.quiet or open_time <= self._begun[0]:
            return None
        self._begun = (open_time, ids.first)
        return self._judge(*self._begun)

    def closed(self, open_time: int, ids: TradeIds) -> list[tuple[int, Link]]:
        """Takes a closing frame.

        Args:
            open_time: of the minute, ms.
            ids: of its trades.

        Returns:
            Minutes (open time, ms) of whose ends something is proved now: of the one before this, of this one
            where the next has begun already, or both.
        """
        found: list[tuple[int, Link]] = []
        through = self._through
        if through is not None and open_time <= through:
            return found  # the same frame again, or a late one: whether they agree is compared elsewhere
        if not ids.quiet:
            if through is not None and (link := self._judge(open_time, ids.first)) is not None:
                found.append((through, link))
            self._last = ids.last
        elif through != open_time - MINUTE_MS:
            self._last = None  # of the minutes between nothing is known
        self._through = open_time
        if self._begun[0] == open_time + MINUTE_MS and (link := self._judge(*self._begun)) is not None:
            found.append((open_time, link))
        return found

    def _judge(self, open_time: int, first: int) -> Link | None:
        """Compares a minute's first trade with the last one before it, once."""
        if self._last is None or self._through is None or self._judged == (open_time, first):
            return None
        adjacent = self._through == open_time - MINUTE_MS
        joined = first == self._last + 1
        # Minutes that were not seen may have had the trades between: no break, and no proof.
        if open_time <= self._through or not (adjacent or joined):
            return None
        self._judged = (open_time, first)
        return Link.JOINED if joined else Link.BROKEN
