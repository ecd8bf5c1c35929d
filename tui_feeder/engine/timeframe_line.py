"""One timeframe of a symbol: its bar in progress, and what its completed bars gave. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tui_feeder.engine.aggregate import Bar, LiveBar, LiveBarState, buckets
from tui_feeder.engine.candle import Rows, to_candles
from tui_feeder.engine.indicators.ema import Ema, EmaState
from tui_feeder.engine.indicators.trend import Trend, trend_of
from tui_feeder.engine.message import close_name, ema_name, span_name, trend_name

if TYPE_CHECKING:
    from tui_feeder.engine.pipeline import PipelineSettings


class LineState(msgspec.Struct, frozen=True, array_like=True):
    """What a timeframe needs to go on."""

    bar: LiveBarState
    bar_time: int | None
    closes: list[float]
    partial: bool
    emas: list[EmaState]


class Line:
    """One timeframe: its bar in progress, and what its completed bars gave."""

    __slots__ = (
        "bar", "bar_time", "close_name", "closes", "ema_names", "emas", "longest", "partial", "published",
        "rule", "shortest", "span", "steady", "timeframe", "trend_name",
    )  # fmt: skip

    def __init__(self, timeframe: int, settings: PipelineSettings) -> None:
        self.timeframe = timeframe
        self.published = timeframe in settings.timeframes
        self.rule = settings.trend_rule
        self.span = span_name(timeframe)
        self.close_name = close_name(timeframe)
        self.trend_name = trend_name(timeframe)
        periods = settings.ema_periods if self.published else ()
        self.ema_names = tuple(ema_name(period, timeframe) for period in periods)
        self.clear(periods)

    def clear(self, periods: tuple[int, ...]) -> None:
        """Nothing seen; EMAs of ``periods``."""
        self.bar = LiveBar(self.timeframe)
        self.bar_time: int | None = None
        self.closes: deque[float] = deque(maxlen=3)
        self.partial = False
        self.steady = False  # the last two bars were whole, and no EMA is absent or warming
        self.emas = tuple(Ema(period) for period in periods)
        self.shortest = min(self.emas, key=lambda ema: ema.period, default=None)
        self.longest = max(self.emas, key=lambda ema: ema.period, default=None)

    def complete(self, bar: Bar) -> None:
        """Count a completed bar."""
        close = bar.candle.close
        self.bar_time = bar.candle.open_time
        self.steady = not self.partial
        self.partial = bar.partial
        self.closes.append(close)
        for ema in self.emas:
            if ema.warming or ema.value is None:
                self.steady = False
            ema.add(close)
        self.steady = self.steady and not self.partial

    def load(self, rows: Rows, seed: Rows | None) -> None:
        """Count many candles at once, cleared; ``seed``: bars from before, for the EMAs alone."""
        parts = buckets(rows, self.timeframe)
        closes = np.ascontiguousarray(rows["close"][parts.ends - 1])
        if len(closes):
            self.bar_time = int(parts.open_times[-1])
            self.partial = int(parts.ends[-1] - parts.starts[-1]) * 60 < self.timeframe
            self.closes.extend(closes[-3:].tolist())
        if seed is not None:
            begin = (
                rows["open_time"][0] - rows["open_time"][0] % (self.timeframe * 1000)
                if len(rows)
                else 1 << 62
            )
            earlier = seed["close"][seed["open_time"] < begin]
            closes = np.concatenate((earlier, closes))
        for ema in self.emas:
            ema.load(closes)
        for candle in to_candles(rows[parts.rest :]):
            self.bar.add(candle)

    def state(self) -> LineState:
        """Everything later values follow from."""
        emas = [ema.state() for ema in self.emas]
        return LineState(self.bar.state(), self.bar_time, list(self.closes), self.partial, emas)

    def restore(self, periods: tuple[int, ...], state: LineState) -> None:
        """Go on from what :meth:`state` gave."""
        self.clear(periods)
        self.bar.restore(state.bar)
        self.bar_time, self.partial = state.bar_time, state.partial
        self.closes.extend(state.closes)
        for ema, one in zip(self.emas, state.emas, strict=True):
            ema.restore(one)

    @property
    def trend(self) -> Trend | None:
        """After the last completed bar; None while an EMA it rests on is absent."""
        if self.longest is None or self.shortest is None:
            return None
        return trend_of(self.rule, self.closes, self.shortest.value, self.longest.value)
