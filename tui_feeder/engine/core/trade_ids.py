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
    UNKNOWN = "unknown"
    """Nothing, as the minute after it was not seen: REST has to confirm it."""


Judged = list[tuple[int, Link]]
"""Minutes (open time, ms) and what is known of their ends now."""


class TradeIdChain:
    """The ids of one symbol, frame by frame: each end of a minute is judged once, as soon as it can be.

    Minutes without a trade have no ids: the first trade after them judges them together with the minute of
    the last trade before them, as each of their closing frames may have been the one that lacked trades.
    """

    __slots__ = ("_begun", "_judged", "_last", "_run", "_settled", "_since", "_through")

    def __init__(self) -> None:
        self._through: int | None = None  # open time of the newest minute that is closed
        self._run = 0  # open time of the first of those closed one after the other up to it
        self._since = 0  # open time of the first of them that is not judged
        self._settled: int | None = None  # open time of the newest minute that is judged
        self._last: int | None = None  # id of the last trade up to its end; None while none is known
        self._begun = (0, 0)  # the newest minute whose first trade is known, and the id of that
        self._judged = (0, 0)  # the same, of the newest beginning that was compared

    def forming(self, open_time: int, ids: TradeIds) -> Judged:
        """Takes a frame of a minute that is not over.

        Args:
            open_time: of the minute, ms.
            ids: of its trades so far.

        Returns:
            What is proved now of minutes before it.
        """
        if ids.quiet or open_time <= self._begun[0]:
            return []
        self._begun = (open_time, ids.first)
        return self._judge(*self._begun)

    def closed(self, open_time: int, ids: TradeIds) -> Judged:
        """Takes a closing frame.

        Args:
            open_time: of the minute, ms.
            ids: of its trades.

        Returns:
            What is known now: of minutes before this, of this one where the next has begun already, or both.
        """
        through = self._through
        if through is not None and open_time <= through:
            # The same frame again, of which is compared elsewhere whether they agree; or a late one.
            return [] if open_time >= self._run else [(open_time, Link.UNKNOWN)]
        found: Judged = []
        if not ids.quiet:
            if through is not None:
                found += self._judge(open_time, ids.first)
            self._last = ids.last
        adjacent = through == open_time - MINUTE_MS
        if not adjacent:
            self._run = open_time
            if ids.quiet:
                self._last = None  # of the minutes between nothing is known
        if not (adjacent and ids.quiet and self._settled != through):
            found += self._unjudged(Link.UNKNOWN)
            self._since = open_time
        self._through = open_time
        if self._begun[0] == open_time + MINUTE_MS:
            found += self._judge(*self._begun)
        return found

    def overdue(self, ended: int, quiet: int) -> Judged:
        """Gives minutes up that nothing has judged; each is returned once.

        Args:
            ended: those that had ended by then (exchange ms) where no later one was closed.
            quiet: those that had ended by then although minutes without a trade follow; with it all after
                it that had ended by ``ended``.

        Returns:
            The minutes, of whose ends nothing is known.
        """
        if self._through is None or self._settled == self._through:
            return []
        due = self._through + MINUTE_MS <= ended or self._since + MINUTE_MS <= quiet
        found = [(at, link) for at, link in self._unjudged(Link.UNKNOWN) if due and at + MINUTE_MS <= ended]
        if found:
            self._since = found[-1][0] + MINUTE_MS
        return found

    def _unjudged(self, link: Link) -> Judged:
        """Something of every minute that is closed and not judged."""
        if self._through is None or self._settled == self._through:
            return []
        return [(at, link) for at in range(self._since, self._through + MINUTE_MS, MINUTE_MS)]

    def _judge(self, open_time: int, first: int) -> Judged:
        """Compares a minute's first trade with the last one before it, once."""
        if self._last is None or self._through is None or self._judged == (open_time, first):
            return []
        adjacent = self._through == open_time - MINUTE_MS
        joined = first == self._last + 1
        # Minutes that were not seen may have had the trades between: no break, and no proof.
        if open_time <= self._through or not (adjacent or joined):
            return []
        self._judged, self._settled = (open_time, first), None
        found = self._unjudged(Link.JOINED if joined else Link.BROKEN)
        self._settled = self._through
        return found
