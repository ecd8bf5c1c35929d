"""The symbols followed: which they are, and what is known of each beside its candles."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.analytics.timeframe_state import TimeframeState
from tui_feeder.engine.core.candle import MINUTE_MS, Candle
from tui_feeder.engine.core.day_window import DayWindow
from tui_feeder.engine.core.decimals import places
from tui_feeder.engine.exchanges.base import SymbolInfo
from tui_feeder.monitor import TimeframeView

#: The last minute of a contract is waited for so long.
_LAST_MINUTE_MS = 10 * MINUTE_MS


@dataclass(slots=True)
class TrackedSymbol:
    """What the engine knows of a symbol beside its candles."""

    symbol: str
    info: SymbolInfo | None = None
    #: waiting, backfill, live, failed; and those that cannot be had for now: "no data" (the exchange shows no
    #: candle, and is asked again), pending (not traded yet), delisted, delivered, unknown.
    phase: str = "waiting"
    reason: str = ""
    wake: asyncio.Event = field(default_factory=asyncio.Event)  # ends the wait for its next try
    start: int = 0  # first minute wanted
    tracker: FillProgress | None = None  # while it is read
    history: FillProgress | None = None  # the same, kept while other symbols are still read
    message: Message | None = None  # of the last committed minute
    last: Candle | None = None  # last committed minute
    before_last: float | None = None  # close of the minute before it
    last_traded: int | None = None  # open time of the last committed minute in which there was trade
    states: tuple[TimeframeState, ...] = ()  # of the timeframes at the last committed minute
    relative_volume: float | None = None  # of the last 15 min, in medians of that time of day
    day_delta: tuple[float, float] | None = None  # CVD and volume of the UTC day, base asset
    #: The states that a screen saw last, the time up to which bars were due, and how it saw them.
    shown: tuple[object, int, tuple[TimeframeView, ...]] = (None, 0, ())
    day: DayWindow = field(default_factory=DayWindow)
    profile_note: str = ""  # why the rows of its profile do not fit it; "" while they do
    noted: set[str] = field(default_factory=set)  # causes of such notes that were logged
    messages: int = 0
    revisions: int = 0  # minutes published once more since the start
    rebuilding: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def end(self) -> int | None:
        """Where its minutes end, ms, exclusive, as those of a contract do; None where they do not."""
        return None if self.info is None else self.info.end

    def has_ended(self, now: int) -> bool:
        """Checks whether its contract is over and its last minute has come.

        Args:
            now: exchange ms.

        Returns:
            False while its history is read; True also where that minute has not come in ten minutes.
        """
        if (end := self.end) is None or now < end or self.phase in ("waiting", "backfill"):
            return False
        last = self.last is not None and self.last.open_time + MINUTE_MS >= end
        return last or self.phase != "live" or now >= end + _LAST_MINUTE_MS

    @property
    def price_decimals(self) -> int:
        """Decimals of its prices: of the tick size, or where it is not known, those of the last minute."""
        if self.info is not None:
            return self.info.price_decimals
        last = self.last
        return (
            2
            if last is None
            else max(places(price) for price in (last.open, last.high, last.low, last.close))
        )
