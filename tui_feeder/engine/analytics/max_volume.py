"""The completed 5-minute candle with the largest volume in a sliding window; the earliest on ties."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS

#: Timeframe in seconds of the candles that compete.
TIMEFRAME = 300


class MaxVolume:
    """Keeps only the candles that can still become the largest: later ones are never larger.

    The window after the minute that opens at ``t`` holds the candles with ``open_time > t + 59_999 -
    days * 86_400_000``, so it ends with that minute and is exactly ``days`` long.
    """

    __slots__ = ("_candidates", "_length")

    def __init__(self, days: int) -> None:
        self._length = days * DAY_MS
        self._candidates: deque[tuple[int, float, float]] = deque()

    def add(self, open_time: int, volume: float, close: float) -> None:
        """Adds a completed 5-minute candle, later than all before.

        Args:
            open_time: of the candle, ms.
            volume: of the candle, base asset.
            close: of the candle, quote currency.
        """
        candidates = self._candidates
        while candidates and candidates[-1][1] < volume:
            candidates.pop()
        candidates.append((open_time, volume, close))

    def slide(self, minute: int) -> None:
        """Moves the window.

        Args:
            minute: open time of the minute the window ends with, ms.
        """
        first = minute + MINUTE_MS - self._length
        candidates = self._candidates
        while candidates and candidates[0][0] < first:
            candidates.popleft()

    def load(
        self,
        open_times: NDArray[np.int64],
        volumes: NDArray[np.float64],
        closes: NDArray[np.float64],
        minute: int,
    ) -> None:
        """Starts again with many candles, equal to adding them in order, then slides the window.

        Args:
            open_times: shape (n,), ms, ascending.
            volumes: shape (n,), base asset.
            closes: shape (n,), quote currency.
            minute: open time of the minute the window ends with, ms.
        """
        later = np.maximum.accumulate(volumes[::-1])[::-1]
        kept = np.append(volumes[:-1] >= later[1:], True) if len(volumes) else np.zeros(0, dtype=bool)
        self._candidates = deque(
            zip(open_times[kept].tolist(), volumes[kept].tolist(), closes[kept].tolist(), strict=True)
        )
        self.slide(minute)

    def state(self) -> list[tuple[int, float, float]]:
        """The candles that can still become the largest: open time, volume, close."""
        return list(self._candidates)

    def restore(self, state: list[tuple[int, float, float]]) -> None:
        """Continues from a saved state.

        Args:
            state: what :meth:`state` returned.
        """
        self._candidates = deque(state)

    @property
    def largest(self) -> tuple[int, float, float] | None:
        """Open time, volume (base asset) and close of the largest, or None."""
        return self._candidates[0] if self._candidates else None
