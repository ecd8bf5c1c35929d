"""Bars and EMAs of any stretch of a stored history, read from the store as they are asked for."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.ema import ema
from tui_feeder.engine.core.candle import DAY_MS, ROW, SECOND_MS, Rows
from tui_feeder.engine.derived.inputs import inputs_of
from tui_feeder.engine.storage.store import Store

#: Bars before a stretch for each unit of an EMA's period: of its seed about e**-24 is left then.
_BARS_A_PERIOD = 12
#: Days of minutes in memory at once.
_DAYS = 8
#: Stretches kept; a screen looks at one or two at a time.
_CACHE_SIZE = 8

_SUMMED = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")


@dataclass(frozen=True, slots=True)
class Window:
    """Completed bars of ``[start, end)`` (ms), and the EMAs aligned with them."""

    start: int
    end: int
    stored: tuple[int, int]  # edition of the minutes when they were read, and how many up to its end
    bars: Rows
    lines: tuple[NDArray[np.float64], ...]

    def last(self, count: int, end: int, frame: int) -> tuple[Rows, tuple[NDArray[np.float64], ...]]:
        """Selects the newest bars before a moment.

        Args:
            count: frames to look back at most.
            end: exclusive, ms.
            frame: length of a bar, ms.

        Returns:
            Rows of dtype ROW, and the EMAs aligned with them.
        """
        times = self.bars["open_time"]
        low = int(np.searchsorted(times, end - count * frame))
        high = int(np.searchsorted(times, end - frame, side="right"))
        return self.bars[low:high], tuple(line[low:high] for line in self.lines)


class Windows:
    """Reads stretches, and keeps the last few. May be used from any thread.

    Args:
        store: where the minutes are.
        periods: of the EMAs, bars.
    """

    def __init__(self, store: Store, periods: tuple[int, ...]) -> None:
        self._store = store
        self._periods = periods
        self._cache: dict[tuple[str, int], Window] = {}
        self._lock = threading.Lock()  # of what is kept; never held while the store is read

    def bars(
        self, symbol: str, timeframe: int, count: int, end: int, until: int
    ) -> tuple[Rows, tuple[NDArray[np.float64], ...]]:
        """Reads the bars of the last ``count`` frames before ``end``, and their EMAs.

        Args:
            symbol: as the exchange writes it.
            timeframe: seconds.
            count: frames.
            end: exclusive, ms, a multiple of the timeframe.
            until: exclusive end of the newest completed bar.

        Returns:
            Rows of dtype ROW, and one array per EMA aligned with them, NaN where not yet defined.

        Raises:
            StoreError: the store is closed.
        """
        frame = timeframe * SECOND_MS
        end = min(end, until)
        start = end - count * frame
        # Before the minutes are read: what changes meanwhile is another state of them.
        edition, present = self._store.edition(symbol), self._store.present(symbol)
        with self._lock:
            window = self._cache.get((symbol, timeframe))
        if (
            window is None
            or not window.start <= start <= end <= window.end
            or window.stored != (edition, present.clip(0, window.end).minutes)
        ):
            # As much again on either side, so that a step aside reads nothing.
            low, high = start - count * frame, min(end + count * frame, until)
            low = max(low, (present.start if present else end) // frame * frame, 0)
            bars, lines = self._read(symbol, timeframe, low, high)
            stored = (edition, present.clip(0, high).minutes)
            window = Window(min(low, start), high, stored, bars, lines)
        with self._lock:
            self._cache.pop((symbol, timeframe), None)  # the one used last is kept longest
            self._cache[symbol, timeframe] = window
            if len(self._cache) > _CACHE_SIZE:
                self._cache.pop(next(iter(self._cache)))
        return window.last(count, end, frame)

    def _read(
        self, symbol: str, timeframe: int, start: int, end: int
    ) -> tuple[Rows, tuple[NDArray[np.float64], ...]]:
        frame = timeframe * SECOND_MS
        ahead = start - _BARS_A_PERIOD * max(self._periods, default=0) * frame
        present = self._store.present(symbol)
        first = max(ahead, (present.start if present else end) // frame * frame)
        bars = self.aggregated(symbol, timeframe, first, end)
        closes = bars["close"]
        seed = np.empty(0)
        if first > ahead:  # the history begins here: its EMAs rest on the exchange's own bars before it
            before = inputs_of(self._store, symbol).seeds_before(first).get(timeframe)
            seed = seed if before is None else before["close"]
        joined = np.concatenate((seed, closes))
        shown = int(np.searchsorted(bars["open_time"], start))
        lines = tuple(ema(joined, period)[len(seed) + shown :] for period in self._periods)
        return bars[shown:], lines

    def aggregated(self, symbol: str, timeframe: int, start: int, end: int) -> Rows:
        """Aggregates stored minutes to completed bars, a few days in memory at a time.

        Args:
            symbol: a stored symbol.
            timeframe: seconds.
            start: ms, inclusive, a multiple of the timeframe.
            end: ms, exclusive.

        Returns:
            Rows of dtype ROW.
        """
        parts: list[Rows] = []
        carried: Rows = np.empty(0, dtype=ROW)
        for low in range(start, end, _DAYS * DAY_MS):
            minutes = self._store.read(symbol, low, min(low + _DAYS * DAY_MS, end))
            minutes = np.concatenate((carried, minutes))
            bars = aggregate(minutes, timeframe).rows
            done = int(bars["open_time"][-1]) + timeframe * SECOND_MS if len(bars) else start
            carried = minutes[np.searchsorted(minutes["open_time"], done) :]
            parts.append(bars)
        return np.concatenate(parts) if parts else carried

    def open_bar(self, symbol: str, timeframe: int, start: int, end: int) -> Rows:
        """Aggregates the stored minutes of a bar in progress.

        Args:
            symbol: a stored symbol.
            timeframe: seconds.
            start: beginning of the bar, ms.
            end: ms, exclusive.

        Returns:
            One row of dtype ROW; none without minutes.
        """
        minutes = self._store.read(symbol, start, end) if end > start else np.empty(0, dtype=ROW)
        row = np.zeros(min(1, len(minutes)), dtype=ROW)
        if len(row):
            row["open_time"], row["open"] = start, minutes["open"][0]
            row["high"], row["low"] = minutes["high"].max(), minutes["low"].min()
            row["close"] = minutes["close"][-1]
            for name in _SUMMED:
                row[name] = minutes[name].sum()
        return row
