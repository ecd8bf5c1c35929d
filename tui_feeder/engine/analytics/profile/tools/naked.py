"""Naked points of control: those of days that are over at which no later minute has traded.

A level is touched by the first minute of a later day whose prices from low to high include it. Prices that
jump over it do not touch it: nothing was traded there.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from tui_feeder.engine.core.candle import DAY_MS, Candle, Rows

#: Levels that are watched at a time; beyond it the oldest are dropped.
MOST_LEVELS = 400


class NakedLevel(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The point of control of a day, and when it was touched."""

    day: int  # ms, midnight UTC
    price: float
    touched_at: int | None = None  # open time (ms) of the minute that touched it; None: it is naked


def touched_levels(levels: Iterable[tuple[int, float]], rows: Rows) -> list[NakedLevel]:
    """Finds which points of control were touched, and when.

    Args:
        levels: day (ms) and point of control of days that are over, ascending.
        rows: shape (n,), dtype ROW, in order: minutes of those days and later.

    Returns:
        Every level, in the order given.
    """
    times, lows, highs = (np.ascontiguousarray(rows[name]) for name in ("open_time", "low", "high"))
    found = []
    for day, price in levels:
        begin = int(np.searchsorted(times, day + DAY_MS))
        inside = (lows[begin:] <= price) & (price <= highs[begin:])
        place = int(inside.argmax()) if len(inside) else 0
        hit = bool(len(inside)) and bool(inside[place])
        found.append(NakedLevel(day, price, int(times[begin + place]) if hit else None))
    return found


class NakedLevels:
    """The naked levels of a symbol, minute by minute.

    Args:
        levels: day (ms) and price of those that are naked at the beginning, ascending.
    """

    def __init__(self, levels: Iterable[tuple[int, float]] = ()) -> None:
        self._levels = dict(levels)
        self._day = -1
        self._poc: float | None = None

    @property
    def levels(self) -> list[tuple[int, float]]:
        """Day and price of those that are naked, ascending."""
        return list(self._levels.items())

    def add(self, candle: Candle, poc: float | None) -> list[NakedLevel]:
        """Adds a minute.

        Args:
            candle: the minute, later than all before.
            poc: the point of control of its day, this minute included; None without one.

        Returns:
            The levels that it touched.
        """
        day = candle.open_time - candle.open_time % DAY_MS
        if day != self._day:
            if self._poc is not None and self._day < day:
                self._levels[self._day] = self._poc
                while len(self._levels) > MOST_LEVELS:
                    del self._levels[next(iter(self._levels))]
            self._day = day
        self._poc = poc
        touched = [
            NakedLevel(at, price, candle.open_time)
            for at, price in self._levels.items()
            if at < day and candle.low <= price <= candle.high
        ]
        for level in touched:
            del self._levels[level.day]
        return touched
