"""The symbols followed: which they are, and what is known of each beside its candles."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field

from tui_feeder.engine.binance.answers import SymbolInfo
from tui_feeder.engine.candle import Candle
from tui_feeder.engine.day_window import DayWindow
from tui_feeder.engine.decimals import places
from tui_feeder.engine.history import Tracker
from tui_feeder.engine.message import Message
from tui_feeder.engine.pipeline import TimeframeState
from tui_feeder.monitor import TimeframeView


@dataclass(slots=True)
class Tracked:
    """What the engine knows of a symbol beside its candles."""

    symbol: str
    info: SymbolInfo | None = None
    #: waiting, backfill, live, failed; and those that cannot be had for now: "no data" (the exchange shows no
    #: candle, and is asked again), pending (not traded yet), delisted, unknown.
    phase: str = "waiting"
    reason: str = ""
    wake: asyncio.Event = field(default_factory=asyncio.Event)  # ends the wait for its next try
    start: int = 0  # first minute wanted
    tracker: Tracker | None = None  # while it is read
    history: Tracker | None = None  # the same, kept while other symbols are still read
    message: Message | None = None  # of the last committed minute
    last: Candle | None = None  # last committed minute
    before_last: float | None = None  # close of the minute before it
    last_traded: int | None = None  # open time of the last committed minute in which there was trade
    states: tuple[TimeframeState, ...] = ()  # of the timeframes at the last committed minute
    #: The states that a screen saw last, the time up to which bars were due, and how it saw them.
    shown: tuple[object, int, tuple[TimeframeView, ...]] = (None, 0, ())
    day: DayWindow = field(default_factory=DayWindow)
    profile_note: str = ""  # why the rows of its profile do not fit it; "" while they do
    noted: set[str] = field(default_factory=set)  # causes of such notes that were logged
    messages: int = 0
    revisions: int = 0  # minutes published once more since the start
    rebuilding: asyncio.Lock = field(default_factory=asyncio.Lock)

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


def choose_symbols(wanted: Sequence[str], listed: dict[str, SymbolInfo]) -> list[str]:
    """The symbols that names and patterns stand for, each once, in the order wanted.

    ``ALL`` is every trading perpetual; ``*`` and ``?`` match as in file names.
    """
    chosen: dict[str, None] = {}
    for name in wanted:
        if name == "ALL" or "*" in name or "?" in name:
            pattern = "*" if name == "ALL" else name
            found = (i for i in listed.values() if i.perpetual and i.status == "TRADING")
            chosen.update(dict.fromkeys(i.symbol for i in found if fnmatch.fnmatchcase(i.symbol, pattern)))
        else:
            chosen[name] = None
    return list(chosen)
