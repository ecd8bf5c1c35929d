"""Levels that rest on past days, watched minute by minute: naked points of control and anchored VWAPs. Pure.

What they rest on is read from the store once for a symbol, beside the engine's loop. Minutes that come
meanwhile wait and are looked at then, in order, so nothing is missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.analytics.profile.tools.anchored import AnchoredVwap
from tui_feeder.engine.analytics.profile.tools.naked import NakedLevel, NakedLevels
from tui_feeder.engine.core.candle import Candle

#: Minutes of a symbol that wait; a symbol with more begins anew with what is stored.
MOST_WAITING = 5_000


@dataclass(frozen=True, slots=True)
class LevelsBefore:
    """What a symbol's levels rest on, of the minutes before one."""

    naked: Iterable[tuple[int, float]]  # day (ms) and price of the naked points of control, ascending
    anchored: Mapping[int, AnchoredVwap]  # by anchor, ms


@dataclass(slots=True)
class LevelWatch:
    """The levels of one symbol."""

    anchors: tuple[int, ...]  # that rules of the symbol have, ms
    wanted: int | None = None  # open time (ms) of the minute before which it needs levels; None: it has them
    waiting: list[tuple[Candle, Message]] = field(default_factory=list)
    naked: NakedLevels = field(default_factory=NakedLevels)
    anchored: dict[int, AnchoredVwap] = field(default_factory=dict)
    touched: list[NakedLevel] = field(default_factory=list)  # by the last minute

    def hold(self, candle: Candle, message: Message) -> None:
        """Has a minute wait for the levels.

        Args:
            candle: the minute.
            message: of it.
        """
        if len(self.waiting) >= MOST_WAITING:
            self.waiting.clear()
        if not self.waiting:
            self.wanted = candle.open_time
        self.waiting.append((candle, message))

    def begin(self, levels: LevelsBefore) -> None:
        """Takes the levels it has waited for.

        Args:
            levels: of the minutes before :attr:`wanted`.
        """
        self.wanted = None
        self.naked = NakedLevels(levels.naked)
        self.anchored = dict(levels.anchored)

    def add(self, candle: Candle, message: Message) -> None:
        """Adds a minute.

        Args:
            candle: the minute.
            message: of it.
        """
        self.touched = self.naked.add(candle, None if message.profile is None else message.profile.poc)
        for anchor in self.anchors:
            if candle.open_time >= anchor:
                self.anchored.setdefault(anchor, AnchoredVwap()).add(candle)
