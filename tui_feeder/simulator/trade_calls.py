"""The REST request for aggregate trades: by id, by time, or the newest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tui_feeder.simulator.clock import SkewedClock
from tui_feeder.simulator.dialect import USDM, Dialect
from tui_feeder.simulator.faults import Faults
from tui_feeder.simulator.market import DAY, HOUR, MINUTE, Instrument
from tui_feeder.simulator.trade_faults import changed, wrongs
from tui_feeder.simulator.trade_forms import rest_body
from tui_feeder.simulator.trades import AGGREGATED, AggTrades, Trades, together

_USUAL_ROWS, _MOST_ROWS = 500, 1_000
#: Futures answer of the last year alone.
_OLDEST = 365 * DAY


class TradeQuery(NamedTuple):
    """What was asked for; times in ms."""

    from_id: int | None
    start: int | None
    end: int | None
    limit: int | None


class TradeCalls:
    """Makes the answers. Threads may share it.

    Args:
        trades: of the market.
        clock: exchange time.
        faults: which are on.
        dialect: of the market.
    """

    def __init__(self, trades: Trades, clock: SkewedClock, faults: Faults, dialect: Dialect) -> None:
        self._trades = trades
        self._clock = clock
        self._faults = faults
        self._dialect = dialect

    def rows(self, instrument: Instrument, asked: TradeQuery) -> bytes | tuple[int, str]:
        """Answers a request.

        Args:
            instrument: the symbol.
            asked: as it came.

        Returns:
            The body, or code and message of a refusal.
        """
        limit = _USUAL_ROWS if asked.limit is None else asked.limit
        start, end, now = asked.start, asked.end, self._clock.now()
        if not 1 <= limit <= _MOST_ROWS:
            return -1130, "Data sent for parameter 'limit' is not valid."
        if asked.from_id is not None and (start is not None or end is not None):
            return -1128, "Combination of optional parameters invalid."
        if start is not None and end is not None and start > end:
            return -1023, "Start time is greater than end time."
        if start is not None and end is not None and end - start >= HOUR:
            return -1127, "More than 1 hours between startTime and endTime."
        wanted = wrongs(self._faults, instrument.symbol, "rest")
        oldest = max(instrument.onboard, now - _OLDEST if self._dialect.name == USDM.name else 0)
        if asked.from_id is not None:
            found = self._from(instrument.symbol, asked.from_id, limit, oldest, now)
        else:
            last = now if end is None else min(end, now)
            newest = start is None
            first = last - HOUR + 1 if start is None else start
            found = self._between(instrument.symbol, max(first, oldest), last, limit, newest=newest)
        found = changed(found, wanted)
        found = found.where(found.times <= now - AGGREGATED)
        if asked.from_id is None:
            inside = found.times >= (oldest if start is None else start)
            found = found.where(inside & (found.times <= (now if end is None else end)))
        else:
            found = found.where(found.ids >= asked.from_id)
        chosen = slice(-limit, None) if asked.from_id is None and start is None else slice(limit)
        return rest_body(found.where(chosen), instrument, self._dialect)

    def _from(self, symbol: str, number: int, limit: int, oldest: int, now: int) -> AggTrades:
        """Whole minutes from that of an id on, until they hold more than the limit."""
        minute = self._trades.minute_of(symbol, number)
        if minute is None:
            return together([])
        return self._between(symbol, max(minute, oldest), now, 2 * limit, newest=False)

    def _between(self, symbol: str, first: int, last: int, limit: int, *, newest: bool) -> AggTrades:
        """Whole minutes of a span, from its beginning or its end on, until they hold more than the limit.

        A minute more at either side, for a trade that a fault puts into the next one.
        """
        if not newest:
            last = min(last, first + DAY)  # where nothing is traded the search ends too
        begin, end = first - first % MINUTE - MINUTE, last - last % MINUTE
        parts: list[AggTrades] = []
        held = 0
        spare = 2
        for minute in range(end, begin - 1, -MINUTE) if newest else range(begin, end + 1, MINUTE):
            part = self._trades.minute(symbol, minute)
            parts.append(part)
            inside = (part.times >= first) & (part.times <= last)
            held += int(np.count_nonzero(inside))
            spare -= held > 2 * limit
            if not spare:
                break
        return together(parts[::-1] if newest else parts)
