"""Minutes without a trade that look wrong, so that they are read again before they are believed. Pure.

Archives hold well-formed rows without volume for minutes in which trades happened. A quiet symbol has
such minutes by nature; one that normally trades has not three in a row.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows
from tui_feeder.engine.core.coverage import EMPTY, Coverage

#: Zero minutes in a row from which they are doubted.
RUN = 3
#: A run is no accident when chance alone would make fewer of its length than this in the rows at hand.
_CHANCE_RUNS = 0.5


def doubtful(rows: Rows) -> Coverage:
    """Finds minutes that must be read again by REST before certification.

    With a share ``p`` of zero minutes outside the runs in question, chance makes about ``n * p**k`` runs of
    ``k`` in ``n`` minutes. A run is doubted where that is next to none: one of three in a symbol that
    normally trades, one of an hour even in a quiet one.

    Args:
        rows: shape (n,), dtype ROW, sorted, unique.

    Returns:
        The doubted minutes.
    """
    zero = rows["volume"] == 0
    if int(zero.sum()) < RUN:
        return EMPTY
    zeros = Coverage.of_times(rows["open_time"][zero])
    runs = [(start, end) for start, end in zeros if end - start >= RUN * MINUTE_MS]
    while runs:
        doubted = Coverage(runs)
        outside = len(rows) - doubted.minutes
        share = (zeros.minutes - doubted.minutes) / outside if outside else 0.0
        odd = [run for run in runs if len(rows) * share ** ((run[1] - run[0]) // MINUTE_MS) < _CHANCE_RUNS]
        if len(odd) == len(runs):
            return doubted
        runs = odd  # the others are the symbol's own way, and show more of it
    return EMPTY


def inside(rows: Rows, minutes: Coverage) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Selects rows by minute.

    Args:
        rows: shape (n,), dtype ROW, sorted.
        minutes: a set of minutes.

    Returns:
        Shape (n,), True for rows whose minute is in the set.
    """
    times = rows["open_time"]
    mask = np.zeros(len(rows), dtype=np.bool_)
    for start, end in minutes:
        low, high = np.searchsorted(times, (start, end))
        mask[low:high] = True
    return mask


class SharedZeros:
    """Finds minutes in which most symbols had no trade at once, whatever each of them is like alone."""

    #: Fewer symbols than this show nothing about the exchange.
    LEAST = 3

    def __init__(self) -> None:
        self._read: dict[int, int] = {}  # ms of an edge: symbols whose rows begin there, less those that end
        #: By day (ms): of each of its minutes, in how many symbols there was no trade. 3 KB a day.
        self._zero: dict[int, NDArray[np.uint16]] = {}

    def add(self, rows: Rows) -> None:
        """Counts the zero-volume minutes of a symbol.

        Args:
            rows: shape (n,), dtype ROW, sorted, unique.
        """
        times = rows["open_time"][rows["volume"] == 0]
        days = times // DAY_MS
        bounds = np.flatnonzero(np.diff(days, prepend=-1, append=-1)).tolist() if len(times) else []
        for low, high in pairwise(bounds):
            day = int(days[low]) * DAY_MS
            counts = self._zero.get(day)
            if counts is None:
                counts = self._zero[day] = np.zeros(DAY_MS // MINUTE_MS, dtype=np.uint16)
            counts[(times[low:high] - day) // MINUTE_MS] += 1  # each minute is there once
        for start, end in Coverage.of_times(rows["open_time"]):
            for edge, step in ((start, 1), (end, -1)):
                self._read[edge] = self._read.get(edge, 0) + step

    def minutes(self) -> Coverage:
        """The minutes without a trade in more than half of the symbols that were read for them."""
        if not self._zero:
            return EMPTY
        edges = sorted(self._read)
        totals = np.cumsum([self._read[edge] for edge in edges])
        found = []
        for day, counts in sorted(self._zero.items()):
            at = np.flatnonzero(counts)
            times = day + at * MINUTE_MS
            read = totals[np.searchsorted(edges, times, side="right") - 1]
            shared = (read >= self.LEAST) & (counts[at].astype(np.int64) * 2 > read)
            found.append(times[shared])
        return Coverage.of_times(np.concatenate(found).astype(np.int64))
