"""One timeframe of a symbol: its bar in progress, and what its completed bars gave. Pure."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tui_feeder.bars import delta_of
from tui_feeder.engine.analytics.aggregate import (
    Bar,
    Buckets,
    LiveBar,
    LiveBarState,
    buckets,
    minutes_in,
    omitted_in,
    sum_in,
)
from tui_feeder.engine.analytics.delta import DIVERGENCE_BARS, Divergence, DivergenceWindow
from tui_feeder.engine.analytics.ema import Ema, known
from tui_feeder.engine.analytics.ema import ema as series
from tui_feeder.engine.analytics.indicators import chosen
from tui_feeder.engine.analytics.message import (
    close_name,
    delta_name,
    divergence_name,
    indicator_name,
    span_name,
    trend_name,
)
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.analytics.trend import Trend, trend_of
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS, Rows, to_candles


class TimeframeState(msgspec.Struct, frozen=True, gc=False):
    """A timeframe at its last completed bar, and what is missing of it and since."""

    timeframe: int  # seconds
    bar_time: int | None  # open time of that bar; None while there is none
    close: float | None
    trend: Trend | None  # None while the EMA it rests on is absent
    values: tuple[float | None, ...]  # of the indicators, in the order of indicators.chosen
    warming: bool  # an indicator is absent, has not converged, or rests on bars some of which are absent
    minutes_lacking: int  # in that bar
    bars_lacking: int  # that were due after it
    trend_since: int | None = None  # ms, end of the bar with which the trend became that, where known
    volume: float | None = None  # of that bar, base asset
    delta: float | None = None  # what takers bought less what they sold in it, base asset
    divergence: Divergence | None = None  # of price and takers over the last bars


class TimeframePipelineState(msgspec.Struct, frozen=True, array_like=True):
    """What a timeframe needs to go on."""

    bar: LiveBarState
    bar_time: int | None
    due: int | None
    closes: list[float]
    minutes_lacking: int
    indicators: list[Any]  # the state of each, of its kind's type, in the order of indicators.chosen
    trend_since: int | None
    window: list[tuple[float, float, float]]  # of the last bars: close, volume, taker buy volume
    volumes: tuple[float, float] | None  # of the last bar: volume, taker buy volume


class TimeframePipeline:
    """One timeframe: its bar in progress, and what its completed bars gave.

    A bar is due once its end has passed. Bars before the first candle were never due.
    """

    __slots__ = (
        "_chosen", "_frame", "_listed", "_omitted", "bar", "bar_time", "close_name", "closes", "delta",
        "delta_name", "divergence", "divergence_name", "due", "indicators", "longest", "minutes_lacking",
        "names", "published", "rule", "shortest", "span", "steady", "timeframe", "trend", "trend_name",
        "trend_since", "volumes", "window",
    )  # fmt: skip

    def __init__(self, timeframe: int, settings: PipelineSettings) -> None:
        self.timeframe = timeframe
        self._frame = timeframe * SECOND_MS
        self._listed, self._omitted = settings.listed, settings.omitted
        self.published = timeframe in settings.timeframes
        self.rule = settings.trend_rule
        self.span = span_name(timeframe)
        self.close_name = close_name(timeframe)
        self.trend_name = trend_name(timeframe)
        self.delta_name = delta_name(timeframe)
        self.divergence_name = divergence_name(timeframe)
        self._chosen = chosen(settings) if self.published else ()
        #: Of the fields of the indicators.
        self.names = tuple(indicator_name(kind.name, period, timeframe) for kind, period in self._chosen)
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self.bar = LiveBar(self.timeframe, self._listed, self._omitted)
        self.bar_time: int | None = None  # of the last completed bar
        self.due: int | None = None  # the last bar that was due, whether it is there or absent
        self.closes: deque[float] = deque(maxlen=3)
        self.minutes_lacking = 0  # in the last completed bar
        self.steady = False  # the last two bars were whole, and no indicator is absent or warming
        self.indicators = tuple(kind.make(period) for kind, period in self._chosen)
        emas = [indicator for indicator in self.indicators if isinstance(indicator, Ema)]
        self.shortest = min(emas, key=lambda ema: ema.period, default=None)  # trends rest on these two
        self.longest = max(emas, key=lambda ema: ema.period, default=None)
        self.trend: Trend | None = None  # after the last completed bar; None while an EMA it needs is absent
        self.trend_since: int | None = None  # ms, end of the bar with which it became that, where known
        self.window = DivergenceWindow()
        self._take_volumes(None)

    def _take_volumes(self, volumes: tuple[float, float] | None) -> None:
        """Takes volume and taker buy volume of the last completed bar, which the window has already."""
        self.volumes = volumes
        self.delta = None if volumes is None else delta_of(*volumes)
        self.divergence: Divergence | None = self.window.divergence

    def complete(self, bar: Bar) -> None:
        """Adds a completed bar.

        Args:
            bar: the bar, later than all before.
        """
        close, time = bar.candle.close, bar.candle.open_time
        self.steady = not self.minutes_lacking and self.due == self.bar_time
        if self.due is not None and time - self.due > self._frame:
            self._miss(time - self._frame)
        self.bar_time = self.due = time
        self.minutes_lacking = bar.lacking
        self.closes.append(close)
        volumes = (bar.candle.volume, bar.candle.taker_buy_volume)
        self.window.add(close, *volumes)
        self._take_volumes(volumes)
        for indicator in self.indicators:
            if indicator.warming or indicator.value is None:
                self.steady = False
            indicator.add(close)
        self.steady = self.steady and not self.minutes_lacking
        if self.longest is not None and (trend := self._trend_now()) != self.trend:
            self.trend, self.trend_since = trend, time + self._frame

    def advance_to(self, minute: int) -> None:
        """Records that a minute was added behind a hole: bars due before its end may be absent.

        Args:
            minute: open time of the minute, ms.
        """
        due = (minute + MINUTE_MS) // self._frame * self._frame - self._frame
        if self.due is not None and due > self.due:
            self._miss(due)

    def _miss(self, due: int) -> None:
        """All bars behind the last one that was due are absent, up to the one that opened at ``due``."""
        if bars := self._absent(self.due or 0, due):
            self.window.clear()
            self.divergence = None
            for indicator in self.indicators:
                indicator.miss(bars)
        self.due = due

    def _absent(self, after: int, until: int) -> int:
        """How many bars are absent that open after one time and up to another (ms).

        One of which the exchange has no minute at all does not exist there either.
        """
        bars, frame = (until - after) // self._frame, self._frame
        if self._omitted:
            for start, end in self._omitted.clip(after + frame, until + frame):
                bars -= max(0, end // frame - -(-start // frame))
        return bars

    @property
    def bars_lacking(self) -> int:
        """Bars that were due after the last completed one, and are absent."""
        if self.bar_time is None or self.due is None:
            return 0
        return self._absent(self.bar_time, self.due)

    @property
    def partial(self) -> bool:
        """The last bar that was due is absent or lacks minutes."""
        return self.minutes_lacking > 0 or self.bars_lacking > 0

    def load(self, rows: Rows, seed: Rows | None) -> None:
        """Adds many candles to a cleared state.

        Args:
            rows: shape (n,), dtype ROW, one-minute candles, sorted.
            seed: bars of this timeframe from before, for the indicators alone; None without.
        """
        parts = buckets(rows, self.timeframe)
        times, closes = parts.open_times, np.ascontiguousarray(rows["close"][parts.ends - 1])
        if len(closes):
            self.bar_time = int(times[-1])
            minutes = minutes_in(rows, parts, self.timeframe, self._listed)
            none = omitted_in(times[-1:], self.timeframe, self._omitted)
            self.minutes_lacking = self.timeframe // 60 - int(minutes[-1]) - int(none[-1])
            self.closes.extend(closes[-3:].tolist())
            self._load_window(rows, parts)
        own = times  # of the bars in ``rows``
        if seed is not None:
            begin = rows["open_time"][0] - rows["open_time"][0] % self._frame if len(rows) else 1 << 62
            earlier = seed[seed["open_time"] < begin]
            times = np.concatenate((earlier["open_time"], times))
            closes = np.concatenate((earlier["close"], closes))
        if len(times):
            self.due = int(times[-1])
        steps = np.diff(times) // self._frame - 1
        if self._omitted:
            for place in np.flatnonzero(steps).tolist():
                steps[place] = self._absent(int(times[place]), int(times[place + 1]) - self._frame)
        places = np.flatnonzero(steps)
        absent = list(zip((places + 1).tolist(), steps[places].tolist(), strict=True))
        values: dict[int, list[float]] = {}  # by period, of the EMAs
        for indicator in self.indicators:
            loaded = indicator.load(closes, absent)
            if isinstance(indicator, Ema):
                values[indicator.period] = loaded
        self.trend = self._trend_now()
        self.trend_since = self._find_change(own, closes, values)
        for candle in to_candles(rows[parts.rest :]):
            self.bar.add(candle)
        if len(rows):
            self.advance_to(int(rows["open_time"][-1]))

    def _load_window(self, rows: Rows, parts: Buckets) -> None:
        """Takes the last completed bars: only those since bars were absent are compared.

        Args:
            rows: one-minute candles.
            parts: the completed bars in them.
        """
        times, starts, ends = (of[-DIVERGENCE_BARS:] for of in (parts.open_times, parts.starts, parts.ends))
        first = int(starts[0])
        rows, parts = rows[first:], Buckets(times, starts - first, ends - first, parts.rest - first)
        names = ("volume", "taker_buy_volume")
        if self.timeframe == 60:
            rows = rows[: parts.rest]
            volumes, takers = (np.ascontiguousarray(rows[name]) for name in names)
        else:
            volumes, takers = (sum_in(name, rows, parts, self.timeframe) for name in names)
        before = None
        closes = rows["close"][parts.ends - 1]
        bars = (parts.open_times, closes, volumes, takers)
        for time, *values in zip(*(column.tolist() for column in bars), strict=True):
            if before is not None and self._absent(before, time - self._frame):
                self.window.clear()
            before = time
            self.window.add(*values)
        self._take_volumes((float(volumes[-1]), float(takers[-1])))

    def _trend_now(self) -> Trend | None:
        if self.longest is None or self.shortest is None:
            return None
        return trend_of(self.rule, self.closes, self.shortest.value, self.longest.value)

    def _find_change(
        self, own: NDArray[np.int64], closes: NDArray[np.float64], values: dict[int, list[float]]
    ) -> int | None:
        """The end of the bar with which the trend became what it is, as counting each bar would give it.

        Args:
            own: open times of the bars whose closes count for the trend.
            closes: of all bars; those before are seeds, and count for the EMAs alone.
            values: by period, the EMA after each of the last closes.
        """
        if self.longest is None or self.shortest is None or self.trend is None:
            return None
        pair = (self.shortest.period, self.longest.period)
        seeds, whole = len(closes) - len(own), False
        for at in range(len(closes) - 2, seeds - 2, -1):
            ago = len(closes) - at
            if not whole and min(len(values[period]) for period in pair) < ago:
                values, whole = {period: known(series(closes, period)) for period in pair}, True
            shortest, longest = (
                values[period][-ago] if len(values[period]) >= ago else None for period in pair
            )
            if (
                trend_of(self.rule, closes[max(seeds, at - 1) : at + 1].tolist(), shortest, longest)
                != self.trend
            ):
                return int(own[at + 1 - seeds]) + self._frame
        return None

    def state(self) -> TimeframePipelineState:
        """Everything later values follow from."""
        states = [indicator.state() for indicator in self.indicators]
        return TimeframePipelineState(
            self.bar.state(), self.bar_time, self.due, list(self.closes), self.minutes_lacking, states,
            self.trend_since, self.window.state(), self.volumes,
        )  # fmt: skip

    def restore(self, state: TimeframePipelineState) -> None:
        """Continues from a saved state.

        Args:
            state: what :meth:`state` returned, with equal settings.

        Raises:
            msgspec.ValidationError: the state of an indicator is none of its kind.
        """
        self.clear()
        self.bar.restore(state.bar)
        self.bar_time, self.due, self.minutes_lacking = state.bar_time, state.due, state.minutes_lacking
        self.closes.extend(state.closes)
        for (kind, _), indicator, kept in zip(self._chosen, self.indicators, state.indicators, strict=True):
            indicator.restore(msgspec.convert(kept, kind.state))
        self.trend, self.trend_since = self._trend_now(), state.trend_since
        self.window.restore(state.window)
        self._take_volumes(state.volumes)
