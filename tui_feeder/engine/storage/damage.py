"""Which stored days were found damaged: what whoever reads has met, until the day is written again."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.time_format import format_day


@dataclass(frozen=True, slots=True)
class DamagedDay:
    """Minutes of a damaged day that count as missing from now on."""

    symbol: str
    day: int  # ms
    minutes: Coverage
    reason: str

    @property
    def text(self) -> str:
        """A line about it, without the symbol."""
        return (
            f"the stored day {format_day(self.day)} is damaged ({self.reason}): "
            f"its {self.minutes.minutes:,} minutes count as missing and are read again"
        )


class DamagedDays:
    """Damaged days by symbol, with the minutes they lack. Days are ms of a UTC midnight. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._days: dict[str, dict[int, Coverage]] = {}

    def add(self, symbol: str, day: int, lacking: Coverage) -> bool:
        """Records a damaged day.

        Args:
            symbol: its symbol.
            day: midnight, ms.
            lacking: its minutes that cannot be read.

        Returns:
            True if it was not known.
        """
        with self._lock:
            known = self._days.setdefault(symbol, {})
            fresh = day not in known
            known[day] = known.get(day, EMPTY).union(lacking)
            return fresh

    def remove(self, symbol: str, day: int) -> None:
        """Records that a day is not damaged.

        Args:
            symbol: its symbol.
            day: midnight, ms.
        """
        with self._lock:
            if (known := self._days.get(symbol)) is not None:
                known.pop(day, None)
                if not known:
                    del self._days[symbol]

    def written(self, symbol: str, present: Coverage) -> None:
        """Removes damaged days of which no minute is missing any more.

        Args:
            symbol: the symbol.
            present: the minutes stored now.
        """
        for day in [day for day, lacking in self._of(symbol).items() if not lacking.subtract(present)]:
            self.remove(symbol, day)

    def of(self, symbol: str) -> Coverage:
        """Gives the damaged days of a symbol.

        Args:
            symbol: the symbol.

        Returns:
            Whole days.
        """
        return Coverage((day, day + DAY_MS) for day in self._of(symbol))

    def _of(self, symbol: str) -> dict[int, Coverage]:
        with self._lock:
            return dict(self._days.get(symbol, {}))
