"""One line of the log for each closed minute, whatever the number of symbols."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence

from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.journal import shortened
from tui_feeder.time_format import format_second

log = logging.getLogger(__name__)

#: Symbols whose price a line shows.
_PRICES = 4
#: Minutes that wait for their last symbols; the oldest beyond it is logged without them.
_MINUTES_OPEN = 2
#: A minute that ended longer ago is being caught up on, one symbol after the other: it has no line.
_CAUGHT_UP_MS = 10 * MINUTE_MS


class MinuteLog:
    """Logs a minute once every live symbol has closed it, or once later minutes are closed.

    Args:
        clock: the exchange's.
    """

    def __init__(self, clock: ExchangeClock) -> None:
        self._clock = clock
        self._closed: dict[int, set[str]] = {}  # of the last few minutes: the symbols that have closed each
        self._logged = 0  # open time of the newest minute logged, ms

    def closed(self, symbol: str, minute: int, tracked: Iterable[TrackedSymbol]) -> None:
        """A symbol has closed a minute.

        Args:
            symbol: which.
            minute: its open time, ms.
            tracked: every symbol, live or not.
        """
        if minute <= self._logged:
            return
        closed = self._closed.setdefault(minute, set())
        closed.add(symbol)
        live = [
            other for other in tracked if other.phase == "live" and (other.end is None or minute < other.end)
        ]
        whole = all(other.symbol in closed for other in live)
        if not whole:
            if len(self._closed) <= _MINUTES_OPEN:
                return
            minute = min(self._closed)
            closed = self._closed[minute]
        self._logged = minute
        for old in [at for at in self._closed if at <= minute]:
            del self._closed[old]
        now = self._clock.now()
        if whole or now - minute < self._clock.at_least(_CAUGHT_UP_MS, 10.0):
            log.info("%s", minute_line(minute, closed, live, now))


def minute_line(open_time: int, closed: Collection[str], live: Sequence[TrackedSymbol], now: int) -> str:
    """Formats the log line of a minute: symbols that closed it, delay, first prices, symbols missing.

    Args:
        open_time: of the minute, ms.
        closed: the symbols that have closed it.
        live: every symbol that is live.
        now: exchange ms.

    Returns:
        The line.
    """
    lag = (now - open_time - MINUTE_MS) / 1000
    prices = "  ".join(
        f"{tracked.symbol} {tracked.last.close:.{tracked.price_decimals}f}"
        for tracked in live[:_PRICES]
        if tracked.last
    )
    more = f"  and {len(live) - _PRICES} more" if len(live) > _PRICES else ""
    lacking = [tracked.symbol for tracked in live if tracked.symbol not in closed]
    without = f"; not closed: {shortened(lacking)}" if lacking else ""
    count = f"{len(live) - len(lacking)} of {len(live)}"
    return (
        f"minute {format_second(open_time)[11:16]} closed: {count} symbols, "
        f"{lag:.1f} s after its end: {prices}{more}{without}"
    )
