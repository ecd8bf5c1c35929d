"""Trades of a symbol as they come, kept by minute until their minutes are final. Pure.

They may come in any order, twice, and after their minute is over. Ids of aggregated trades follow each other,
so what is missing between two that came is known; whether it is lost or an id without a trade, is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tui_feeder.engine.analytics.orderflow.ladder import Ladder, LadderBuilder, of_day
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.trades import Ints, Trades, together


class MissingIds(NamedTuple):
    """Ids that no trade came with, between two that came."""

    first: int
    last: int
    begin: int  # open time of the minute (ms) of the trade before them
    end: int  # of that of the trade after them


class KnownIds(NamedTuple):
    """Ids of a minute whose trades are not needed any more."""

    first: int
    last: int
    minute: int  # open time, ms


class LiveMinutes:
    """The trades of one symbol that are not final.

    Args:
        known: ids known from before, ascending.
    """

    def __init__(self, known: Sequence[KnownIds] = ()) -> None:
        self._known = list(known)
        self._parts: dict[int, list[Trades]] = {}  # by open time
        self._ladders: dict[int, Ladder] = {}
        self._seen: tuple[Ints, Ints] | None = None
        self.trades = 0  # kept, those that came twice among them

    @property
    def minutes(self) -> list[int]:
        """Open times (ms) of the minutes of which there are trades, ascending."""
        return sorted(self._parts)

    def add(self, trades: Trades) -> None:
        """Keeps trades.

        Args:
            trades: in any order; some may be here already.
        """
        times = trades.times - trades.times % MINUTE_MS
        for minute in np.unique(times).tolist():
            part = trades.at(times == minute)
            self._parts.setdefault(minute, []).append(part)
            self._ladders.pop(minute, None)
            self.trades += len(part)
        self._seen = None

    def ladder(self, minute: int) -> Ladder | None:
        """Makes the ladder of a minute.

        Args:
            minute: open time, ms.

        Returns:
            The ladder; None where no trade came, or none of a price and quantity.
        """
        parts = self._parts.get(minute)
        if parts is None:
            return None
        made = self._ladders.get(minute)
        if made is None:
            trades = together(parts)
            self._parts[minute] = [trades]
            builder = LadderBuilder(of_day(minute))
            builder.add(trades)
            made = self._ladders[minute] = builder.ladder()
        if not len(made.minutes):
            return None
        ids, seen = np.unique(together(self._parts[minute]).ids), self._ids()[0]
        # The first of all that are known may follow on one that came before anybody listened.
        places = np.searchsorted(seen, ids)
        missing = np.where(places > 0, ids - seen[places - 1] - 1, 0).sum()
        minutes = made.minutes.copy()
        minutes["missing"] = missing
        return replace(made, minutes=minutes)

    def missing(self) -> list[MissingIds]:
        """Lists the ids that are missing, ascending."""
        ids, times = self._ids()
        at = np.flatnonzero(np.diff(ids) > 1)
        if self._known and len(at):  # of a minute that is known the first and the last id alone are here
            known = sorted(self._known)
            firsts, lasts = (np.array([getattr(each, name) for each in known]) for name in ("first", "last"))
            place = np.searchsorted(firsts, ids[at], side="right") - 1
            at = at[(place < 0) | (ids[at + 1] > lasts[np.maximum(place, 0)])]
        columns = ids[at] + 1, ids[at + 1] - 1, times[at], times[at + 1]
        return [MissingIds(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def proved(self, minute: int) -> bool:
        """Finds whether every id of a minute is here.

        Args:
            minute: open time, ms.

        Returns:
            True if one is known of before it and of after it, and none between is missing.
        """
        ids, times = self._ids()
        if not len(ids) or not times[0] < minute < times[-1]:
            return False
        return not any(hole.begin <= minute <= hole.end for hole in self.missing())

    def followed(self, minute: int) -> bool:
        """Finds whether there are trades of a later minute.

        Args:
            minute: open time, ms.

        Returns:
            True if there are.
        """
        return any(other > minute for other in self._parts)

    def drop(self, minute: int) -> None:
        """Drops the trades of a minute of which no ladder can be made.

        Args:
            minute: open time, ms.
        """
        self.trades -= sum(len(part) for part in self._parts.pop(minute, []))
        self._ladders.pop(minute, None)
        self._seen = None

    def forget(self, before: int) -> None:
        """Lets minutes go; the newest of their ids stays known.

        Args:
            before: open time, ms: of minutes earlier than this one.
        """
        gone = [known for known in self._known if known.minute < before]
        self._known = [known for known in self._known if known.minute >= before]
        for minute in [minute for minute in self._parts if minute < before]:
            ids = together(self._parts.pop(minute)).ids
            self._ladders.pop(minute, None)
            self.trades -= len(ids)
            gone.append(KnownIds(int(ids.max()), int(ids.max()), minute))
        if gone:
            newest = max(gone, key=lambda known: (known.minute, known.last))
            self._known.insert(0, newest._replace(first=newest.last))
            self._seen = None

    def _ids(self) -> tuple[Ints, Ints]:
        """Every id that is known, ascending, and the open time of its minute."""
        if self._seen is None:
            kept = [part for parts in self._parts.values() for part in parts]
            ids = [part.ids for part in kept]
            times = [part.times for part in kept]
            for known in self._known:
                ids.append(np.array([known.first, known.last]))
                times.append(np.array([known.minute, known.minute]))
            if not ids:
                none = np.zeros(0, dtype=np.int64)
                return none, none
            all_ids, places = np.unique(np.concatenate(ids), return_index=True)
            found = np.concatenate(times)[places]
            self._seen = all_ids, found - found % MINUTE_MS
        return self._seen
