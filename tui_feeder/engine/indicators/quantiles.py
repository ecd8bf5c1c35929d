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
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.candle import DAY_MS, MINUTE_MS, Candle, Rows

FIELDS = ("volume", "taker_buy_volume", "avg_trade", "trade_count")
PROBABILITIES = (0.25, 0.5, 0.75, 0.9)
#: q25, q50, q75, q90.
Quartet: TypeAlias = tuple[float, float, float, float]

_PARTS = 7  # 2**7 buckets in every power of two
_NOTHING = -(1 << 30)  # bucket of a value that is left out
_ZERO = _NOTHING + 1  # bucket of 0
_AHEAD = 120 * MINUTE_MS  # leaving candles are asked for this long before they leave


def _bucket(value: float) -> int:
    if value == 0:
        return _ZERO
    mantissa, exponent = math.frexp(value)
    return (exponent << _PARTS) + int(mantissa * (2 << _PARTS))


def _buckets(candle: Candle) -> tuple[int, int, int, int]:
    trades = candle.trades
    return (
        _bucket(candle.volume),
        _bucket(candle.taker_buy_volume),
        _bucket(candle.volume / trades) if trades else _NOTHING,
        _bucket(trades),
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

    __slots__ = ("_at", "_base", "_below", "_counts", "_ranked", "_ranks", "_total", "_values", "_whole")

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
        self._ranked = 0  # the total for which _ranks holds

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
        if not self._total:
            return None
        if self._ranked != self._total:
            self._ranked = self._total
            ranks = [probability * (self._total - 1) for probability in PROBABILITIES]
            self._ranks = [(int(rank), rank - int(rank)) for rank in ranks]
        counts, found = self._counts, []
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
                above = self._value(at)
                value = min(above, value + rest * (above - value))
            found.append(value)
        return (found[0], found[1], found[2], found[3])

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

    __slots__ = ("_histograms", "_leaving", "_length", "_next", "_start", "_times", "_until")

    def __init__(self, days: int) -> None:
        self._length = days * DAY_MS
        self._clear()

    def _clear(self) -> None:
        self._histograms = tuple(_Histogram(name == "trade_count") for name in FIELDS)
        self._start = 0  # first minute inside the window
        self._until: int | None = None  # candles before this minute have left or are in _leaving
        self._times = array("q")  # open times of candles about to leave, from _next on
        self._leaving = array("i")  # their buckets, four each
        self._next = 0

    def load(self, rows: Rows, minute: int) -> None:
        """Start again with ``rows``, as if each had been added in order; the window ends with ``minute``."""
        self._clear()
        self._start = minute + MINUTE_MS - self._length
        rows = rows[int(np.searchsorted(rows["open_time"], self._start)) :]
        if not len(rows):
            return
        buckets = _buckets_of(rows)
        for histogram, column in zip(self._histograms, buckets.T, strict=True):
            histogram.load(column)
        self._until = max(self._start, int(rows["open_time"][0]))
        self._keep(rows, self._start + _AHEAD)

    def leaving(self, minute: int) -> tuple[int, int] | None:
        """Which stored minutes, [start, end) in ms, :meth:`expire` needs before ``minute`` can be added.

        They are asked for in stretches of two hours and more; mostly the answer is None.
        """
        start = minute + MINUTE_MS - self._length
        if self._until is None or start <= self._until:
            return None
        return self._until, start + _AHEAD

    def expire(self, rows: Rows, end: int) -> None:
        """Take the stored candles of the range that :meth:`leaving` gave; ``end`` is its end."""
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
        """Count the closed minute ``candle``, later than all before, and let leave what is too old."""
        if self._until is None:
            self._until = candle.open_time
        volume, taker, average, trades = self._histograms
        buckets = _buckets(candle)
        volume.change(buckets[0], 1)
        taker.change(buckets[1], 1)
        average.change(buckets[2], 1)
        trades.change(buckets[3], 1)
        self._start = candle.open_time + MINUTE_MS - self._length
        self._slide()

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
        found = {}
        for name, histogram in zip(FIELDS, self._histograms, strict=True):
            quartet = histogram.quartet()
            if quartet is not None:
                found[name] = quartet
        return found or None

    @property
    def size(self) -> int:
        """Bytes of the histograms and of the candles about to leave."""
        leaving = len(self._times) * self._times.itemsize + len(self._leaving) * self._leaving.itemsize
        return sum(histogram.size for histogram in self._histograms) + leaving
