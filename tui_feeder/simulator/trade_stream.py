"""Frames of aggregate trades: which are due for a stream at a moment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tui_feeder.simulator.dialect import USDM, Dialect
from tui_feeder.simulator.faults import Faults
from tui_feeder.simulator.klines import Frame
from tui_feeder.simulator.market import MINUTE, Instrument
from tui_feeder.simulator.trade_faults import changed, wrongs
from tui_feeder.simulator.trade_forms import entries
from tui_feeder.simulator.trades import AGGREGATED, AggTrades, Trades

_NAME = "@aggTrade"
_NEVER = 1 << 62
#: An event's time is this long after the trade's at most, ms.
_DELAY = 20


def symbol_of(name: str) -> str | None:
    """Reads the name of a stream of aggregate trades.

    Args:
        name: such as ``btcusdt@aggTrade``.

    Returns:
        Symbol in lower case; None for the name of anything else.
    """
    symbol = name.removesuffix(_NAME)
    return symbol if symbol and symbol != name else None


class TradeStream:
    """The aggregate trades of one symbol, in order.

    Args:
        trades: of the market.
        instrument: the symbol.
        now: exchange time (ms) from which events are wanted.
        faults: which are on.
        dialect: of the market.
    """

    def __init__(
        self, trades: Trades, instrument: Instrument, now: int, faults: Faults, dialect: Dialect = USDM
    ) -> None:
        self.symbol = instrument.symbol
        self._trades = trades
        self._instrument = instrument
        self._faults = faults
        self._dialect = dialect
        self._name = f"{instrument.symbol.lower()}{_NAME}"
        self._open_time = now - now % MINUTE
        self._last = trades.first_id(self.symbol, self._open_time) - 1
        rows = trades.minute(self.symbol, self._open_time)
        self._last += int(np.searchsorted(rows.times, now - AGGREGATED, side="right"))

    def closes_at(self) -> int:
        """Never: no candle closes here."""
        return _NEVER

    def due(self, now: int, *, forming: bool = True) -> Iterator[Frame]:
        """Makes the events since the last call.

        Args:
            now: exchange time, ms.
            forming: not asked for here; events are due whenever somebody looks.

        Yields:
            Frames in order of id.
        """
        while True:
            wanted = wrongs(self._faults, self.symbol, "stream")
            rows = changed(self._trades.minute(self.symbol, self._open_time), wanted)
            begin = int(np.searchsorted(rows.ids, self._last, side="right"))
            shown = begin + int(np.searchsorted(rows.times[begin:], now - AGGREGATED, side="right"))
            yield from self._frames(rows.where(slice(begin, shown)))
            # The last trade of a minute may bear a time in the next one.
            if shown < len(rows.ids) or self._open_time + MINUTE + AGGREGATED > now:
                return
            self._open_time += MINUTE

    def _frames(self, rows: AggTrades) -> Iterator[Frame]:
        if not len(rows.ids):
            return
        self._last = int(rows.ids[-1])
        times = (rows.times + AGGREGATED + rows.ids % _DELAY).tolist()
        kind = ',"st":1' if self._dialect.name == USDM.name else ""
        for time, entry in zip(times, entries(rows, self._instrument, self._dialect), strict=True):
            body = f'{{"e":"aggTrade","E":{time},"s":"{self.symbol}",{entry}{kind}}}'
            yield Frame(self._name, body.encode(), self._open_time + MINUTE, closed=False, trade=True)
