"""The last 24 hours of a symbol: change against the close a day ago, high, low, what was traded. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, MINUTES_PER_DAY, Candle, Rows

_STEP = 30  # minutes


class _Highest:
    """The largest of the values in a window: those are kept that no later one reaches."""

    __slots__ = ("_times", "_values")

    def __init__(self) -> None:
        self._times = array("q")
        self._values = array("d")  # falling

    def load(self, times: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        later = np.maximum.accumulate(values[::-1])[::-1]
        kept = np.append(values[:-1] > later[1:], True) if len(values) else np.zeros(0, dtype=bool)
        self._times, self._values = array("q", times[kept].tolist()), array("d", values[kept].tolist())

    def add(self, time: int, value: float) -> None:
        values = self._values
        while values and values[-1] <= value:
            values.pop()
            self._times.pop()
        values.append(value)
        self._times.append(time)

    def leave(self, time: int) -> None:
        """Those up to ``time`` are no longer in the window."""
        gone = bisect_right(self._times, time)
        if gone:
            del self._times[:gone], self._values[:gone]

    @property
    def value(self) -> float | None:
        return self._values[0] if self._values else None


class DayWindow:
    """A ring of 1,440 minutes; a minute takes the place of the one a day before it."""

    __slots__ = (
        "_closes",
        "_half_hours",
        "_highs",
        "_last",
        "_lows",
        "_times",
        "_traded",
        "_volumes",
        "day_ago",
    )

    def __init__(self) -> None:
        self.day_ago: float | None = None  # close 24 h before the last minute, if that minute is there
        self._last: int | None = None
        self._half_hours: tuple[int, tuple[float, ...]] = (
            0,
            (),
        )  # the last answer, up to which minute
        self._traded: tuple[int, float] = (-1, 0.0)  # quote_volume, and the minute it reaches up to
        self._times = np.full(MINUTES_PER_DAY, -1, dtype=np.int64)
        self._closes = np.zeros(MINUTES_PER_DAY)
        self._volumes = np.zeros(MINUTES_PER_DAY)
        self._highs, self._lows = _Highest(), _Highest()  # the lows with their sign turned round

    def load(self, rows: Rows) -> None:
        """Starts again with many minutes, of which the last 24 hours and a minute count.

        Args:
            rows: shape (n,), dtype ROW, sorted.
        """
        self.__init__()  # type: ignore[misc]
        if not len(rows):
            return
        last = int(rows["open_time"][-1])
        ago = int(np.searchsorted(rows["open_time"], last - DAY_MS))
        if int(rows["open_time"][ago]) == last - DAY_MS:
            self.day_ago = float(rows["close"][ago])
            ago += 1
        kept = rows[ago:]
        slots = kept["open_time"] // MINUTE_MS % MINUTES_PER_DAY
        self._times[slots], self._closes[slots] = kept["open_time"], kept["close"]
        self._volumes[slots] = kept["quote_volume"]
        self._highs.load(kept["open_time"], kept["high"])
        self._lows.load(kept["open_time"], -kept["low"])
        self._last = last

    def add(self, candle: Candle) -> None:
        """Adds the next closed minute.

        Args:
            candle: the minute, later than all before.
        """
        minute = candle.open_time
        slot = minute // MINUTE_MS % MINUTES_PER_DAY
        there = int(self._times[slot]) == minute - DAY_MS
        self.day_ago = float(self._closes[slot]) if there else None
        self._times[slot], self._closes[slot] = minute, candle.close
        self._volumes[slot] = candle.quote_volume
        for extreme, value in ((self._highs, candle.high), (self._lows, -candle.low)):
            extreme.add(minute, value)
            extreme.leave(minute - DAY_MS)
        self._last = minute

    @property
    def high(self) -> float | None:
        """The highest price of the 24 h up to the last minute; None without a minute."""
        return self._highs.value

    @property
    def low(self) -> float | None:
        """The lowest price of the 24 h up to the last minute; None without a minute."""
        value = self._lows.value
        return None if value is None else -value

    @property
    def half_hours(self) -> tuple[float, ...]:
        """Closes at the ends of the last day's half hours, the newest last, as far as they are there."""
        if self._last is None:
            return ()
        newest = ((self._last // MINUTE_MS + 1) // _STEP) * _STEP - 1
        if self._half_hours[0] != newest:
            wanted = newest - np.arange(MINUTES_PER_DAY // _STEP - 1, -1, -1) * _STEP
            slots = wanted % MINUTES_PER_DAY
            there = self._times[slots] == wanted * MINUTE_MS
            self._half_hours = newest, tuple(self._closes[slots][there].tolist())
        return self._half_hours[1]

    @property
    def quote_volume(self) -> float | None:
        """Quote asset traded in the 24 h up to the last minute; None without a minute."""
        if self._last is None:
            return None
        if self._traded[0] != self._last:  # screens ask many times a minute
            self._traded = self._last, float(self._volumes[self._times > self._last - DAY_MS].sum())
        return self._traded[1]
