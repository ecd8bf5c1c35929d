"""Minutes without a trade that look wrong, so that they are read again before they are believed. Pure.

Archives hold well-formed rows without volume for minutes in which trades happened. A quiet symbol has
such minutes by nature; one that normally trades has not three in a row.
"""

from __future__ import annotations

import numpy as np

from tui_feeder.engine.candle import MINUTE_MS, Rows
from tui_feeder.engine.coverage import EMPTY, Coverage

#: Zero minutes in a row from which they are doubted.
RUN = 3
#: A run is no accident when chance alone would make fewer of its length than this in the rows at hand.
_CHANCE_RUNS = 0.5


def doubtful(rows: Rows) -> Coverage:
    """Minutes of ``rows`` (sorted, unique) that must be read again by REST before certification.

    With a share ``p`` of zero minutes outside the runs in question, chance makes about ``n * p**k`` runs of
    ``k`` in ``n`` minutes. A run is doubted where that is next to none: one of three in a symbol that
    normally trades, one of an hour even in a quiet one.
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
        runs = odd  # the others are the symbol's own way, and tell more of it
    return EMPTY


def inside(rows: Rows, minutes: Coverage) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mask of the rows whose minute is in ``minutes``."""
    times = rows["open_time"]
    mask = np.zeros(len(rows), dtype=np.bool_)
    for start, end in minutes:
        low, high = np.searchsorted(times, (start, end))
        mask[low:high] = True
    return mask


class SharedZeros:
    """Finds minutes in which most symbols had no trade at once, whatever each of them is like alone."""

    #: Fewer symbols than this say nothing about the exchange.
    LEAST = 3

    def __init__(self) -> None:
        self._read: dict[int, int] = {}
        self._zero: dict[int, int] = {}

    def add(self, rows: Rows) -> None:
        """Count the rows of one symbol."""
        for minute in rows["open_time"][rows["volume"] == 0].tolist():
            self._zero[minute] = self._zero.get(minute, 0) + 1
        for start, end in Coverage.of_times(rows["open_time"]):
            for edge, step in ((start, 1), (end, -1)):
                self._read[edge] = self._read.get(edge, 0) + step

    def minutes(self) -> Coverage:
        """The minutes without a trade in more than half of the symbols that were read for them."""
        if not self._zero:
            return EMPTY
        edges = sorted(self._read)
        totals = np.cumsum([self._read[edge] for edge in edges])
        zeros = sorted(self._zero)
        symbols = totals[np.searchsorted(edges, zeros, side="right") - 1]
        return Coverage(
            (minute, minute + MINUTE_MS)
            for minute, read in zip(zeros, symbols.tolist(), strict=True)
            if read >= self.LEAST and self._zero[minute] * 2 > read
        )
