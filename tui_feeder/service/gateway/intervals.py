"""The intervals of klines: where their bars begin and end. Pure.

Bars up to three days are counted from the epoch, weeks begin on Monday, months on their first day, all UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS

Ints = NDArray[np.int64]

_HOUR_MS = 60 * MINUTE_MS
#: 1970-01-05 was a Monday.
_MONDAY_MS = 4 * DAY_MS


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of bars.

    Attributes:
        name: as the exchange writes it, ``5m``.
        ms: length of a bar; 0 for months.
        offset: ms after the epoch at which a bar begins.
    """

    name: str
    ms: int
    offset: int = 0

    def floor(self, at: int) -> int:
        """Open time (ms) of the bar in which ``at`` (ms) lies.

        Args:
            at: ms.

        Returns:
            ms.
        """
        if self.ms:
            return at - (at - self.offset) % self.ms
        return self.floors(np.array([at], dtype=np.int64)).tolist()[0]  # type: ignore[no-any-return]

    def ceil(self, at: int) -> int:
        """Open time (ms) of the first bar that begins at ``at`` (ms) or later.

        Args:
            at: ms.

        Returns:
            ms.
        """
        begin = self.floor(at)
        return begin if begin == at else self.later(begin, 1)

    def later(self, begin: int, bars: int) -> int:
        """Open time (ms) of the bar so many bars after the one that begins at ``begin``; negative: before.

        Args:
            begin: open time of a bar, ms.
            bars: how many.

        Returns:
            ms.
        """
        if self.ms:
            return begin + bars * self.ms
        months = np.array([begin], dtype="datetime64[ms]").astype("datetime64[M]") + bars
        return months.astype("datetime64[ms]").astype(np.int64).tolist()[0]  # type: ignore[no-any-return]

    def floors(self, times: Ints) -> Ints:
        """Open times (ms) of the bars in which ``times`` (ms) lie.

        Args:
            times: shape (n,), ms.

        Returns:
            Shape (n,), ms.
        """
        if self.ms:
            return times - (times - self.offset) % self.ms
        months = times.astype("datetime64[ms]").astype("datetime64[M]")
        return months.astype("datetime64[ms]").astype(np.int64)

    def ends(self, begins: Ints) -> Ints:
        """Exclusive ends (ms) of the bars that begin at ``begins`` (ms).

        Args:
            begins: shape (n,), ms.

        Returns:
            Shape (n,), ms.
        """
        if self.ms:
            return begins + self.ms
        months = begins.astype("datetime64[ms]").astype("datetime64[M]") + 1
        return months.astype("datetime64[ms]").astype(np.int64)


INTERVALS: Mapping[str, Interval] = {
    found.name: found
    for found in (
        *(Interval(f"{n}m", n * MINUTE_MS) for n in (1, 3, 5, 15, 30)),
        *(Interval(f"{n}h", n * _HOUR_MS) for n in (1, 2, 4, 6, 8, 12)),
        Interval("1d", DAY_MS),
        Interval("3d", 3 * DAY_MS),
        Interval("1w", 7 * DAY_MS, _MONDAY_MS),
        Interval("1M", 0),
    )
}
