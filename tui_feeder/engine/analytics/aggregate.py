"""One-minute candles into bars of any timeframe: all at once with NumPy, or one candle at a time.

A bar completes with the candle of its last minute. If that minute is missing, the bar completes, lacking
minutes, when the first candle of a later bar is seen, before that candle has any effect. A stretch of
time without a single candle makes no bar. The bar in which a symbol was listed has all its minutes if it has
those since. Sums keep the exchange's decimal digits (:mod:`.decimals`); :func:`aggregate` and
:class:`LiveBar` give the same bits for the same candles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from tui_feeder.digits import fifteen_digits
from tui_feeder.engine.core.candle import MINUTE_MS, ROW, SECOND_MS, Candle, Rows, is_timeframe
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.engine.core.decimals import sums_of

_SUMMED = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")


_Four: TypeAlias = tuple[float, float, float, float]
#: Exclusive end, candles, trades; open, high, low, close; sums of volumes, and what they lack by rounding.
LiveBarState: TypeAlias = tuple[int, int, int, _Four, _Four, _Four]


@dataclass(frozen=True, slots=True)
class Bars:
    """Completed bars of one timeframe, ascending."""

    timeframe: int  # seconds
    rows: Rows  # dtype ROW; open_time is the start of the bar
    minutes: NDArray[np.int64]  # of each bar that are there, or before the listing: none of those is missing
    omitted: NDArray[np.int64]  # of each bar that the exchange has not, for good: none of those is missing

    @property
    def partial(self) -> NDArray[np.bool_]:
        """Mask of the bars that lack minutes."""
        lacking: NDArray[np.bool_] = self.minutes + self.omitted < self.timeframe // 60
        return lacking


class Bar(msgspec.Struct, frozen=True, gc=False):
    """One completed bar."""

    candle: Candle
    timeframe: int  # seconds
    minutes: int  # that are there, or before the listing: none of those is missing
    omitted: int = 0  # that the exchange has not, for good: none of those is missing

    @property
    def lacking(self) -> int:
        """How many minutes are missing inside."""
        return self.timeframe // 60 - self.minutes - self.omitted

    @property
    def partial(self) -> bool:
        """Whether minutes are missing inside."""
        return self.lacking > 0


@dataclass(frozen=True, slots=True)
class Buckets:
    """Where the completed bars of a timeframe begin and end in rows of candles."""

    open_times: NDArray[np.int64]  # of the bars
    starts: NDArray[np.int64]  # row of the first candle of each bar
    ends: NDArray[np.int64]  # exclusive
    rest: int  # row where the bar in progress begins; the number of rows if there is none


def _check(timeframe: int, source_timeframe: int = 60) -> None:
    if not is_timeframe(timeframe) or source_timeframe < 60 or timeframe % source_timeframe:
        raise ValueError(f"{timeframe} s is not a timeframe that can be made of {source_timeframe} s candles")


def buckets(rows: Rows, timeframe: int, source_timeframe: int = 60) -> Buckets:
    """Divides rows into completed bars.

    Args:
        rows: shape (n,), dtype ROW, sorted by open_time, unique.
        timeframe: seconds of a bar.
        source_timeframe: seconds of a row.

    Returns:
        Open time and row range of each completed bar; rows of a bar still forming are left over.

    Raises:
        ValueError: the timeframe does not divide a day, or is no multiple of the source's.
    """
    _check(timeframe, source_timeframe)
    span = timeframe * SECOND_MS
    times: NDArray[np.int64] = rows["open_time"].astype(np.int64)
    if not len(times):
        none = np.zeros(0, dtype=np.int64)
        return Buckets(none, none, none, 0)
    openings = times - times % span
    starts = np.flatnonzero(np.diff(openings, prepend=openings[0] - span)).astype(np.int64)
    ends = np.append(starts[1:], len(times))
    rest = len(times)
    if times[-1] + source_timeframe * SECOND_MS < openings[-1] + span:
        rest = int(starts[-1])
        starts, ends = starts[:-1], ends[:-1]
    return Buckets(openings[starts], starts, ends, rest)


def sum_in(
    name: str, rows: Rows, parts: Buckets, timeframe: int, source_timeframe: int = 60
) -> NDArray[np.float64]:
    """Sums a field inside each bar, in order of time.

    Args:
        name: a float field of ROW.
        rows: shape (n,), dtype ROW, the rows ``parts`` was made of.
        parts: the bars.
        timeframe: seconds of a bar.
        source_timeframe: seconds of a row.

    Returns:
        One compensated sum per bar (Neumaier, as :func:`sums_of`), bit-equal to adding row by row.
    """
    slots = timeframe // source_timeframe
    matrix = np.zeros((len(parts.starts), slots))
    values = rows[name][: parts.rest]
    if values.size == matrix.size:
        matrix[...] = values.reshape(matrix.shape)
    elif values.size:
        bar = np.repeat(np.arange(len(parts.starts)), parts.ends - parts.starts)
        offset = rows["open_time"][: parts.rest] % (timeframe * SECOND_MS) // (source_timeframe * SECOND_MS)
        matrix[bar, offset] = values
    return sums_of(matrix)


def minutes_in(rows: Rows, parts: Buckets, timeframe: int, listed: int | None) -> NDArray[np.int64]:
    """Counts the minutes of each bar; minutes before the listing count as present.

    Args:
        rows: shape (n,), dtype ROW, one-minute candles, the rows ``parts`` was made of.
        parts: the bars.
        timeframe: seconds of a bar.
        listed: the symbol's first minute, ms; None if unknown.

    Returns:
        Minutes per bar, see :attr:`Bars.minutes`.
    """
    minutes: NDArray[np.int64] = parts.ends - parts.starts
    if listed is not None and len(minutes):
        at = int(np.searchsorted(parts.open_times, listed, side="right")) - 1
        if at >= 0 and rows["open_time"][parts.starts[at]] >= listed:
            before = (listed - int(parts.open_times[at])) // MINUTE_MS
            minutes[at] += before if before * 60 < timeframe else 0
    return minutes


def omitted_in(open_times: NDArray[np.int64], timeframe: int, omitted: Coverage) -> NDArray[np.int64]:
    """Counts the minutes of each bar of which the exchange has no candle, for good.

    Args:
        open_times: of the bars, ms, ascending.
        timeframe: seconds of a bar.
        omitted: those minutes.

    Returns:
        Minutes per bar.
    """
    counts = np.zeros(len(open_times), dtype=np.int64)
    span = timeframe * SECOND_MS
    if len(open_times):
        for start, end in omitted.clip(int(open_times[0]), int(open_times[-1]) + span):
            low, high = np.maximum(open_times, start), np.minimum(open_times + span, end)
            counts += np.maximum(high - low, 0) // MINUTE_MS
    return counts


def aggregate(
    rows: Rows,
    timeframe: int,
    source_timeframe: int = 60,
    *,
    listed: int | None = None,
    omitted: Coverage = EMPTY,
) -> Bars:
    """Completed bars of ``timeframe`` seconds from ``rows`` of ``source_timeframe`` seconds.

    Args:
        rows: dtype ROW, sorted by open_time, unique; holes are allowed.
        timeframe: seconds, a multiple of a minute that divides a day.
        source_timeframe: seconds of the candles in ``rows``; divides ``timeframe``.
        listed: the first minute (ms) the exchange has of the symbol, where that is known and ``rows`` are of
            one minute.
        omitted: minutes of which the exchange has no candle, for good.

    Returns:
        The completed bars, in order.

    Raises:
        ValueError: the timeframes do not fit.
    """
    parts = buckets(rows, timeframe, source_timeframe)
    if timeframe == source_timeframe:
        full = np.full(len(rows), timeframe // 60)
        return Bars(timeframe, rows.copy(), full, np.zeros(len(rows), dtype=np.int64))
    made = np.zeros(len(parts.starts), dtype=ROW)
    if len(made):
        done = rows[: parts.rest]
        made["open_time"] = parts.open_times
        made["open"] = done["open"][parts.starts]
        made["close"] = done["close"][parts.ends - 1]
        made["high"] = np.maximum.reduceat(done["high"], parts.starts)
        made["low"] = np.minimum.reduceat(done["low"], parts.starts)
        made["trades"] = np.add.reduceat(done["trades"], parts.starts)
        for name in _SUMMED:
            made[name] = sum_in(name, rows, parts, timeframe, source_timeframe)
    minutes = minutes_in(rows, parts, timeframe, listed) * (source_timeframe // 60)
    return Bars(timeframe, made, minutes, omitted_in(parts.open_times, timeframe, omitted))


class LiveBar:
    """The bar in progress of one timeframe, fed one closed one-minute candle at a time.

    Args:
        timeframe: seconds.
        listed: the symbol's first minute, ms, where that is known.
        omitted: minutes of which the exchange has no candle, for good.
    """

    __slots__ = (
        "_close", "_end", "_high", "_listed", "_low", "_minutes", "_omitted", "_open", "_quote",
        "_quote_carry", "_span", "_start", "_taker", "_taker_carry", "_taker_quote", "_taker_quote_carry",
        "_trades", "_volume", "_volume_carry", "timeframe",
    )  # fmt: skip

    def __init__(self, timeframe: int, listed: int | None = None, omitted: Coverage = EMPTY) -> None:
        _check(timeframe)
        self.timeframe = timeframe
        self._listed = listed or 0
        self._omitted = omitted
        self._span = timeframe * SECOND_MS
        self._start = self._end = 0
        self._minutes = self._trades = 0
        self._open = self._high = self._low = self._close = 0.0
        self._volume = self._quote = self._taker = self._taker_quote = 0.0
        self._volume_carry = self._quote_carry = self._taker_carry = self._taker_quote_carry = 0.0

    def add(self, candle: Candle) -> tuple[Bar, ...]:
        """Adds a minute.

        Args:
            candle: a closed one-minute candle, later than all before.

        Returns:
            The bars it completes: none, one, or two after a gap.
        """
        if self.timeframe == 60:
            return (Bar(candle, 60, 1),)
        time = candle.open_time
        left: Bar | None = None
        if time >= self._end:
            if self._minutes:
                left = self._complete()
            self._begin(candle)
        else:
            if candle.high > self._high:
                self._high = candle.high
            if candle.low < self._low:
                self._low = candle.low
            self._close = candle.close
            self._minutes += 1
            self._trades += candle.trades
            # Sum.add, written out: five timeframes and four sums each make it the busiest code there is.
            before, value = self._volume, candle.volume
            after = self._volume = before + value
            part = after - before
            self._volume_carry += (before - (after - part)) + (value - part)
            before, value = self._quote, candle.quote_volume
            after = self._quote = before + value
            part = after - before
            self._quote_carry += (before - (after - part)) + (value - part)
            before, value = self._taker, candle.taker_buy_volume
            after = self._taker = before + value
            part = after - before
            self._taker_carry += (before - (after - part)) + (value - part)
            before, value = self._taker_quote, candle.taker_buy_quote_volume
            after = self._taker_quote = before + value
            part = after - before
            self._taker_quote_carry += (before - (after - part)) + (value - part)
        if time + 60 * SECOND_MS == self._end:
            bar = self._complete()
            return (bar,) if left is None else (left, bar)
        return () if left is None else (left,)

    def state(self) -> LiveBarState:
        """The bar in progress."""
        return (
            self._end, self._minutes, self._trades,
            (self._open, self._high, self._low, self._close),
            (self._volume, self._quote, self._taker, self._taker_quote),
            (self._volume_carry, self._quote_carry, self._taker_carry, self._taker_quote_carry),
        )  # fmt: skip

    def restore(self, state: LiveBarState) -> None:
        """Continues from a saved state.

        Args:
            state: what :meth:`state` returned.
        """
        self._end, self._minutes, self._trades, prices, sums, carries = state
        self._start = self._end - self._span
        self._open, self._high, self._low, self._close = prices
        self._volume, self._quote, self._taker, self._taker_quote = sums
        self._volume_carry, self._quote_carry, self._taker_carry, self._taker_quote_carry = carries

    def _begin(self, candle: Candle) -> None:
        self._start = candle.open_time - candle.open_time % self._span
        self._end = self._start + self._span
        self._open, self._high, self._low = candle.open, candle.high, candle.low
        self._close, self._trades, self._minutes = candle.close, candle.trades, 1
        if self._start < self._listed <= candle.open_time:
            self._minutes += (self._listed - self._start) // MINUTE_MS
        self._volume, self._quote = candle.volume, candle.quote_volume
        self._taker, self._taker_quote = candle.taker_buy_volume, candle.taker_buy_quote_volume
        self._volume_carry = self._quote_carry = self._taker_carry = self._taker_quote_carry = 0.0

    def _complete(self) -> Bar:
        candle = Candle(
            self._start,
            self._open,
            self._high,
            self._low,
            self._close,
            fifteen_digits(self._volume + self._volume_carry),
            fifteen_digits(self._quote + self._quote_carry),
            self._trades,
            fifteen_digits(self._taker + self._taker_carry),
            fifteen_digits(self._taker_quote + self._taker_quote_carry),
        )
        omitted = self._omitted.clip(self._start, self._end).minutes if self._omitted else 0
        bar = Bar(candle, self.timeframe, self._minutes, omitted)
        self._minutes = 0
        return bar
