"""The ranges of the days before, which the row height of a day's profile rests on."""

from __future__ import annotations

from tui_feeder.engine.analytics.profile.increments import DAYS_BEFORE, DayRange, ranges_of
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.storage.store import Store

_KNOWN_DAYS = 256


def ranges_before(store: Store, symbol: str, day: int) -> tuple[DayRange, ...]:
    """Reads the ranges of the stored days that a day's increment may be computed from.

    Args:
        store: the store.
        symbol: its symbol.
        day: beginning of the day, ms.

    Returns:
        Ranges, ascending.

    Raises:
        BlockError: stored candles are damaged.
    """
    return ranges_of(store.read(symbol, day - DAYS_BEFORE * DAY_MS, day))


class DayRanges:
    """:func:`ranges_before` for a screen, which asks for many days of a symbol: each day is read once.

    A day is read again once another number of its minutes is stored or one of the symbol's was replaced.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, int], tuple[int, int, tuple[DayRange, ...]]] = {}

    def before(self, symbol: str, day: int) -> tuple[DayRange, ...]:
        """Cached form of :func:`ranges_before`.

        Args:
            symbol: its symbol.
            day: beginning of the day, ms.

        Returns:
            Ranges, ascending.
        """
        store, edition, present = self._store, self._store.edition(symbol), self._store.present(symbol)
        found: list[DayRange] = []
        for at in range(day - DAYS_BEFORE * DAY_MS, day, DAY_MS):
            minutes = present.clip(at, at + DAY_MS).minutes
            known = self._known.get((symbol, at))
            if known is None or known[:2] != (edition, minutes):
                known = edition, minutes, ranges_of(store.read(symbol, at, at + DAY_MS))
                if len(self._known) >= _KNOWN_DAYS:
                    self._known.clear()
                self._known[symbol, at] = known
            found += known[2]
        return tuple(found)
