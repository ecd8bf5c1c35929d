"""Quantiles of one-minute volumes over a sliding window, in little memory.

Each field has a histogram whose buckets are the 128 equal parts of every power of two, so a bucket's
middle is within 0.4 % of every value in it. Adding and removing a value is exact, so the result does not
depend on the way that led to it. A quantile lies, as in NumPy's default, between two neighbours in order
(``q * (n - 1)``, linear); being between two values that are right within 0.4 %, it is so too.

The candles that leave the window are not kept: 60 days of them would take ten times the memory of the
histograms. The caller reads them again from its store when :meth:`VolumeQuantiles.leaving` asks for them.
A field whose values span 2**20 takes 5 KB; the four of a symbol stay under 64 KB up to spans of 2**60.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from typing import TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Rows

FIELDS = ("volume", "taker_buy_volume", "avg_trade", "trade_count")
PROBABILITIES = (0.25, 0.5, 0.75, 0.9)
#: Type code and bytes of the counts of a histogram, and the bucket at which they begin.
HistogramState: TypeAlias = tuple[str, bytes, int]
#: First minute of the window, the one before which all candles have left, and the histograms.
QuantilesState: TypeAlias = tuple[int, int | None, list[HistogramState]]
#: q25, q50, q75, q90.
Quartet: TypeAlias = tuple[float, float, float, float]

_PARTS = 7  # 2**7 buckets in every power of two
_NOTHING = -(1 << 30)  # bucket of a value that is left out
_ZERO = _NOTHING + 1  # bucket of 0
_MOST = (1 << 16) - 1  # that two bytes count
#: Leaving candles are asked for this long before they leave, and up to twice as long, by symbol. Asking costs
#: several times a minute's own work, and symbols that started together would all ask in the same minute.
_AHEAD = 240 * MINUTE_MS
#: The longest of these times, ms.
MOST_AHEAD_MS = 2 * _AHEAD


def _bucket(value: float) -> int:
    if value == 0:
        return _ZERO
    mantissa, exponent = math.frexp(value)
    return (exponent << _PARTS) + int(mantissa * (2 << _PARTS))


def _buckets(candle: Candle) -> tuple[int, int, int, int]:
    volume, taker, trades = candle.volume, candle.taker_buy_volume, candle.trades
    if not (volume and taker and trades):
        average = _bucket(volume / trades) if trades else _NOTHING
        return (_bucket(volume), _bucket(taker), average, _bucket(trades))
    # The usual minute: _bucket, written out.
    split = math.frexp
    a, i = split(volume)
    b, j = split(taker)
    c, k = split(volume / trades)
    d, n = split(trades)
    size = 2 << _PARTS
    return (
        (i << _PARTS) + int(a * size),
        (j << _PARTS) + int(b * size),
        (k << _PARTS) + int(c * size),
        (n << _PARTS) + int(d * size),
    )


def _buckets_of(rows: Rows) -> NDArray[np.int32]:
    """The array form of :func:`_buckets`: a line of four for each row."""
    trades = rows["trades"].astype(np.float64)
    average = np.divide(rows["volume"], trades, out=np.zeros(len(rows)), where=trades > 0)
    values = np.column_stack((rows["volume"], rows["taker_buy_volume"], average, trades))
    mantissas, exponents = np.frexp(values)
    found: NDArray[np.int32] = (exponents << _PARTS) + (mantissas * (2 << _PARTS)).astype(np.int32)
    found[values == 0] = _ZERO
    found[trades == 0, 2] = _NOTHING
    return found


def _middle(bucket: int, whole: bool) -> float:
    """What stands for the values of a bucket; the only whole number in it if they are ``whole`` numbers."""
    exponent, part = (bucket >> _PARTS) - 1, bucket & ((1 << _PARTS) - 1)
    low = math.ldexp((1 << _PARTS) + part, exponent - _PARTS - 1)
    width = math.ldexp(1.0, exponent - _PARTS - 1)
    if whole and width <= 1:
        return float(math.ceil(low))
    return low + width / 2


class _Histogram:
    """Counts of one field, and where its quantiles lie."""

    __slots__ = (
        "_at", "_base", "_below", "_counts", "_found", "_lower", "_ranked", "_ranks", "_total", "_values",
        "_whole",
    )  # fmt: skip

    def __init__(self, whole: bool) -> None:
        self._whole = whole
        # Place 0 counts zeros, place i the bucket _base + i - 1. Two bytes each until a count needs more.
        self._counts = array("H", [0])
        self._base = 0
        self._total = 0
        self._at = [0] * len(PROBABILITIES)  # place of each quantile when last looked up
        self._below = [0] * len(PROBABILITIES)  # values in the places before it
        self._values = [0.0] * len(PROBABILITIES)  # what stands for the values in its place
        self._ranks: list[tuple[int, float]] = []  # of each quantile: number of values before, and rest
        self._lower: list[int] = []  # the former alone
        self._ranked = 0  # the total for which _ranks holds
        self._found: Quartet | None = (
            None  # the last result, good as long as each rank lies well inside its place
        )

    def load(self, buckets: NDArray[np.int32]) -> None:
        """Count many at once, on an empty histogram."""
        zeros = int(np.count_nonzero(buckets == _ZERO))
        buckets = buckets[buckets > _ZERO]
        counts = np.array([zeros], dtype=np.int64)
        if len(buckets):
            self._base = int(buckets.min())
            counts = np.concatenate((counts, np.bincount(buckets - self._base)))
        self._counts = array("H" if counts.max() < 1 << 16 else "I", counts.tolist())
        self._total = int(counts.sum())

    def exchange(self, comes: int, goes: int) -> None:
        """Count a value once more and another once less, by their buckets."""
        if comes == goes:
            return
        counts, before = self._counts, self._base - 1
        place, left = comes - before, goes - before
        if left > 0 < place < len(counts) and counts[place] < _MOST:
            counts[place] += 1
            counts[left] -= 1
            # The places ascend: those between the two have one value more, or one less, before them.
            at, below = self._at, self._below
            low, high = bisect_right(at, place), bisect_right(at, left)
            if low < high:
                for i in range(low, high):
                    below[i] += 1
            else:
                for i in range(high, low):
                    below[i] -= 1
            return
        self.change(comes, 1)
        self.change(goes, -1)

    def state(self) -> HistogramState:
        """Everything its quantiles follow from."""
        return (self._counts.typecode, self._counts.tobytes(), self._base)

    def restore(self, state: HistogramState) -> None:
        """Go on from what :meth:`state` gave, on an empty histogram."""
        typecode, counts, self._base = state
        self._counts = array(typecode, counts)
        self._total = sum(self._counts)

    def change(self, bucket: int, by: int) -> None:
        """Count a value once more (``by`` 1) or once less (-1)."""
        if bucket == _NOTHING:
            return
        place = 0
        if bucket != _ZERO:
            place = bucket - self._base + 1
            if not 0 < place < len(self._counts):
                place = self._reach(bucket)
        try:
            self._counts[place] += by
        except OverflowError:
            self._counts = array("I", self._counts)
            self._counts[place] += by
        self._total += by
        at, below = self._at, self._below
        if place < at[3]:  # the places ascend
            below[3] += by
            if place < at[2]:
                below[2] += by
                if place < at[1]:
                    below[1] += by
                    if place < at[0]:
                        below[0] += by

    def _reach(self, bucket: int) -> int:
        counts, spare = self._counts, 1 << _PARTS
        if len(counts) == 1:
            self._base = bucket
        if bucket < self._base:
            more = self._base - bucket + spare
            self._counts = counts[:1] + array(counts.typecode, bytes(more * counts.itemsize)) + counts[1:]
            self._base -= more
            self._at = [at + more if at else 0 for at in self._at]
        place = bucket - self._base + 1
        if place >= len(self._counts):
            self._counts.frombytes(bytes((place - len(self._counts) + spare) * counts.itemsize))
        return place

    def quartet(self) -> Quartet | None:
        """The quantiles, or None while nothing is counted."""
        if self._ranked == self._total and (found := self._found) is not None:
            counts, (i, j, k, n), (a, b, c, d) = self._counts, self._at, self._below
            first, second, third, fourth = self._lower
            if (
                a <= first < a + counts[i] - 1
                and b <= second < b + counts[j] - 1
                and c <= third < c + counts[k] - 1
                and d <= fourth < d + counts[n] - 1
            ):
                return found
        return self._look_up()

    def _look_up(self) -> Quartet | None:
        self._found = None
        if not self._total:
            return None
        if self._ranked != self._total:
            self._ranked = self._total
            ranks = [probability * (self._total - 1) for probability in PROBABILITIES]
            self._ranks = [(int(rank), rank - int(rank)) for rank in ranks]
            self._lower = [lower for lower, _ in self._ranks]
        counts, values, between = self._counts, [], False
        for i, (lower, rest) in enumerate(self._ranks):
            at, below = self._at[i], self._below[i]
            beyond = below + counts[at]
            if not below <= lower < beyond:
                while lower < below:
                    at -= 1
                    below -= counts[at]
                while lower >= below + counts[at]:
                    below += counts[at]
                    at += 1
                self._at[i], self._below[i], self._values[i] = at, below, self._value(at)
                beyond = below + counts[at]
            value = self._values[i]
            if rest and lower + 1 == beyond:
                at += 1
                while not counts[at]:
                    at += 1
                above, between = self._value(at), True
                value = min(above, value + rest * (above - value))
            values.append(value)
        found = (values[0], values[1], values[2], values[3])
        self._found = None if between else found
        return found

    def _value(self, place: int) -> float:
        return _middle(self._base + place - 1, self._whole) if place else 0.0

    @property
    def size(self) -> int:
        """Bytes of the counts."""
        return len(self._counts) * self._counts.itemsize


class VolumeQuantiles:
    """q25, q50, q75 and q90 of :data:`FIELDS` over the closed minutes of the last ``days`` days.

    The window after the minute that opens at ``t`` is ``days * 1440`` minutes long and ends with it.
    ``avg_trade`` is volume / trades; minutes without a trade are left out of it.
    """

    __slots__ = (
        "_ahead", "_found", "_histograms", "_known", "_leaving", "_length", "_next", "_start", "_times",
        "_until",
    )  # fmt: skip

    def __init__(self, days: int, symbol: str = "") -> None:
        self._length = days * DAY_MS
        self._ahead = _AHEAD + crc32(symbol.encode()) % (_AHEAD // MINUTE_MS) * MINUTE_MS
        self._clear()

    def _clear(self) -> None:
        self._histograms = tuple(_Histogram(name == "trade_count") for name in FIELDS)
        self._start = 0  # first minute inside the window
        self._until: int | None = None  # candles before this minute have left or are in _leaving
        self._times = array("q")  # open times of candles about to leave, from _next on
        self._leaving = array("i")  # their buckets, four each
        self._next = 0
        # What was last published, and of what it was made: the same object as long as it is the same.
        self._found: list[Quartet | None] = []
        self._known: dict[str, Quartet] | None = None

    def load(self, rows: Rows, minute: int) -> None:
        """Starts again with many candles, equal to adding them in order.

        Args:
            rows: shape (n,), dtype ROW, one-minute candles, sorted.
            minute: open time of the minute the window ends with, ms.
        """
        self._clear()
        self._start = minute + MINUTE_MS - self._length
        rows = rows[int(np.searchsorted(rows["open_time"], self._start)) :]
        if not len(rows):
            return
        buckets = _buckets_of(rows)
        for histogram, column in zip(self._histograms, buckets.T, strict=True):
            histogram.load(column)
        self._until = max(self._start, int(rows["open_time"][0]))
        self._keep(rows, self._start + self._ahead)

    def state(self) -> QuantilesState:
        """What :meth:`restore` needs to go on; the candles about to leave are read again."""
        until = self._until
        if self._next < len(self._times):
            until = self._times[self._next]
        return (self._start, until, [histogram.state() for histogram in self._histograms])

    def restore(self, state: QuantilesState) -> None:
        """Continues from a saved state on the same candles.

        Args:
            state: what :meth:`state` returned.
        """
        self._clear()
        self._start, self._until, histograms = state
        for histogram, histogram_state in zip(self._histograms, histograms, strict=True):
            histogram.restore(histogram_state)

    def leaving(self, minute: int) -> tuple[int, int] | None:
        """Asks for the stored minutes that leave the window next, in stretches of four to eight hours.

        Args:
            minute: open time of the next minute, ms.

        Returns:
            [start, end) in ms that :meth:`expire` needs before ``minute`` is added; mostly None.
        """
        start = minute + MINUTE_MS - self._length
        if self._until is None or start <= self._until:
            return None
        return self._until, start + self._ahead

    def expire(self, rows: Rows, end: int) -> None:
        """Takes the stored candles that :meth:`leaving` asked for.

        Args:
            rows: shape (n,), dtype ROW, sorted.
            end: end of the range asked for, ms.
        """
        self._keep(rows, end)
        self._slide()

    def _keep(self, rows: Rows, end: int) -> None:
        if self._until is None or end <= self._until:
            return
        times = rows["open_time"]
        part = rows[int(np.searchsorted(times, self._until)) : int(np.searchsorted(times, end))]
        del self._times[: self._next], self._leaving[: 4 * self._next]
        self._next = 0
        self._times.extend(part["open_time"].tolist())
        self._leaving.frombytes(_buckets_of(part).tobytes())
        self._until = end

    def add(self, candle: Candle) -> None:
        """Adds a closed minute and removes what has left the window.

        Args:
            candle: a closed one-minute candle, later than all before.
        """
        if self._until is None:
            self._until = candle.open_time
        comes = _buckets(candle)
        start = self._start = candle.open_time + MINUTE_MS - self._length
        place, times = self._next, self._times
        if place < len(times) and times[place] < start:
            goes = self._leaving[4 * place : 4 * place + 4]
            self._next = place + 1
            for histogram, coming, other in zip(self._histograms, comes, goes, strict=True):
                histogram.exchange(coming, other)
            self._slide()
        else:
            for histogram, coming in zip(self._histograms, comes, strict=True):
                histogram.change(coming, 1)

    def _slide(self) -> None:
        times, place = self._times, self._next
        while place < len(times) and times[place] < self._start:
            for histogram, bucket in zip(
                self._histograms, self._leaving[4 * place : 4 * place + 4], strict=True
            ):
                histogram.change(bucket, -1)
            place += 1
        self._next = place

    @property
    def quartets(self) -> dict[str, Quartet] | None:
        """The quantiles by field; None while nothing is counted, or while leaving candles are missing."""
        if self._until is None or self._start > self._until:
            return None
        quartets = [histogram.quartet() for histogram in self._histograms]
        if quartets != self._found:
            self._found = quartets
            present = {name: q for name, q in zip(FIELDS, quartets, strict=True) if q is not None}
            self._known = present or None
        return self._known

    @property
    def size(self) -> int:
        """Bytes of the histograms and of the candles about to leave."""
        leaving = len(self._times) * self._times.itemsize + len(self._leaving) * self._leaving.itemsize
        return sum(histogram.size for histogram in self._histograms) + leaving
