"""One symbol: closed minutes in, everything derived from them out, as messages.

A pipeline is a function of the candles it was given: however they are divided between :meth:`load` and
:meth:`update`, the messages are equal to the last bit. Values rest on completed bars only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from tui_feeder.engine.analytics.aggregate import Bar, buckets, sum_in
from tui_feeder.engine.analytics.delta import Divergence, RunningDelta
from tui_feeder.engine.analytics.max_volume import TIMEFRAME as PEAK_TIMEFRAME
from tui_feeder.engine.analytics.max_volume import MaxVolume
from tui_feeder.engine.analytics.message import Message, PeakVolume
from tui_feeder.engine.analytics.orderflow.ladder import Ladder
from tui_feeder.engine.analytics.orderflow.packing import sums_of
from tui_feeder.engine.analytics.orderflow.traded_profile import LiveTradedProfile
from tui_feeder.engine.analytics.profile.day_profile import DayProfile, LiveProfile, ProfileFigures
from tui_feeder.engine.analytics.profile.increments import DAYS_BEFORE, DayRange, Misfit, ranges_of
from tui_feeder.engine.analytics.quantiles import QuantilesState, VolumeQuantiles
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.analytics.time_of_day import TimeOfDayState, TimeOfDayVolume
from tui_feeder.engine.analytics.timeframe_state import (
    TimeframePipeline,
    TimeframePipelineState,
    TimeframeState,
)
from tui_feeder.engine.analytics.trend import Trend, side
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Rows

#: The timeframe whose last three closes are held against the price of the largest volume.
_PEAK_TREND_TIMEFRAME = 14_400


class PipelineState(msgspec.Struct, frozen=True, array_like=True):
    """What a pipeline needs to go on, beside the minutes of its last day."""

    last: int | None  # open time of the last minute counted
    minutes: int  # counted
    timeframes: dict[int, TimeframePipelineState]  # by timeframe, seconds
    peak: list[tuple[int, float, float]]
    quantiles: QuantilesState
    before: tuple[DayRange, ...]  # ranges of the days before that of ``last``
    time_of_day: TimeOfDayState


class SymbolPipeline:
    """All derived values of one symbol.

    Args:
        symbol: as the exchange names it.
        settings: what to derive.
    """

    def __init__(self, symbol: str, settings: PipelineSettings) -> None:
        self.symbol = symbol
        self.settings = settings
        self.last_open_time: int | None = None
        self.minutes = 0  # counted
        self._volumes = settings.volume_lookback_days > 0
        needed = {*settings.timeframes, *((PEAK_TIMEFRAME, _PEAK_TREND_TIMEFRAME) if self._volumes else ())}
        self._by_timeframe = {
            timeframe: TimeframePipeline(timeframe, settings) for timeframe in sorted(needed)
        }
        self._pipelines = tuple(self._by_timeframe.values())
        self._published = tuple(self._by_timeframe[timeframe] for timeframe in settings.timeframes)
        self._peak = MaxVolume(settings.volume_lookback_days)
        self._quantiles = VolumeQuantiles(settings.volume_lookback_days, symbol)
        self._time_of_day = TimeOfDayVolume()
        self._day_delta = RunningDelta()  # of the UTC day of the last minute
        # What the published peak rests on: the largest candle and the last 4 h bar.
        self._peak_known: tuple[tuple[int, float, float], int | None, PeakVolume] | None = None
        self._profile: LiveProfile | None = None
        self._figures: ProfileFigures | None = None
        self._message: Message | None = None
        self._stale = True  # more has changed since the last message than values of the first timeframe
        self.completed: list[Bar] = []  # bars of the settings' timeframes that the last update completed
        if settings.profile is not None:
            traded = settings.profile.source == "trades"
            self._profile = (LiveTradedProfile if traded else LiveProfile)(settings.profile)

    def load(
        self,
        rows: Rows,
        *,
        revision: int = 0,
        seeds: Mapping[int, Rows] | None = None,
        before: Sequence[DayRange] = (),
        ladder: Ladder | None = None,
    ) -> None:
        """Start from scratch with ``rows``, as if each had been passed to :meth:`update`, but at once.

        Args:
            rows: one-minute candles, dtype ROW, sorted, unique; holes are allowed, it may be empty.
            revision: of the last minute's message.
            seeds: by timeframe (seconds), the exchange's own bars from before ``rows``; they only seed the
                indicators of that timeframe.
            before: ranges of the stored days before ``rows`` begins, of which the profile may need some.
            ladder: of the UTC day of the last minute, where there is one and :attr:`counts_trades`.
        """
        seeds = seeds or {}
        self.last_open_time = int(rows["open_time"][-1]) if len(rows) else None
        self.minutes = len(rows)
        for pipeline in self._pipelines:
            pipeline.clear()
            pipeline.load(rows, seeds.get(pipeline.timeframe))
        if self._volumes:
            self._load_peak(rows)
            self._quantiles.load(rows, self.last_open_time or 0)
        self._time_of_day.load(rows)
        day = (self.last_open_time or 0) // DAY_MS * DAY_MS
        first, today = np.searchsorted(rows["open_time"], (day - DAYS_BEFORE * DAY_MS, day))
        self._begin(rows, revision, (*before, *ranges_of(rows[int(first) : int(today)])), ladder)

    def _begin(self, rows: Rows, revision: int, before: Sequence[DayRange], ladder: Ladder | None) -> None:
        last = self.last_open_time or 0
        today = rows[int(np.searchsorted(rows["open_time"], last - last % DAY_MS)) :]
        self._day_delta.load(today)
        self._load_profile(today, before, ladder)
        self._stale = True
        self._peak_known = None
        self._message = None if self.last_open_time is None else self._publish(self.last_open_time, revision)

    def _load_peak(self, rows: Rows) -> None:
        last = self.last_open_time or 0
        # Candles before the window can never count again; whole days keep the bars whole.
        begin = last // DAY_MS * DAY_MS - (self.settings.volume_lookback_days + 1) * DAY_MS
        inside = rows[int(np.searchsorted(rows["open_time"], begin)) :]
        parts = buckets(inside, PEAK_TIMEFRAME)
        volumes = sum_in("volume", inside, parts, PEAK_TIMEFRAME)
        self._peak.load(parts.open_times, volumes, inside["close"][parts.ends - 1], last)

    def _load_profile(self, today: Rows, before: Sequence[DayRange], ladder: Ladder | None) -> None:
        self._figures = None
        if self._profile is None:
            return
        live = self._profile
        _load_day(live, today, before, ladder)
        if live.due:
            self._figures = live.figures()
        elif len(today):
            # The values in force are those of the last candle at which they were due.
            every = live.settings.every
            _load_day(live, today[: max(1, len(today) // every * every)], before, ladder)
            self._figures = live.figures()
            _load_day(live, today, before, ladder)

    def state(self) -> PipelineState:
        """Everything later messages follow from, but the day's profile, which its minutes give."""
        return PipelineState(
            last=self.last_open_time,
            minutes=self.minutes,
            timeframes={pipeline.timeframe: pipeline.state() for pipeline in self._pipelines},
            peak=self._peak.state(),
            quantiles=self._quantiles.state(),
            before=() if self._profile is None else self._profile.before,
            time_of_day=self._time_of_day.state(),
        )

    def restore(
        self, state: PipelineState, today: Rows, *, revision: int = 0, ladder: Ladder | None = None
    ) -> None:
        """Start again from what :meth:`state` of a pipeline of equal settings gave.

        Args:
            state: not changed.
            today: the minutes of the UTC day of ``state.last``, up to it; the same as then.
            revision: of the last minute's message.
            ladder: of the day, where there is one and :attr:`counts_trades`.
        """
        self.last_open_time, self.minutes = state.last, state.minutes
        for pipeline in self._pipelines:
            pipeline.restore(state.timeframes[pipeline.timeframe])
        self._peak.restore(state.peak)
        self._quantiles.restore(state.quantiles)
        self._time_of_day.restore(state.time_of_day)
        self._begin(today, revision, state.before, ladder)

    def leaving(self, minute: int) -> tuple[int, int] | None:
        """Asks for the stored minutes that leave the quantiles' window next.

        The quantiles cover a sliding window whose old candles are not kept in memory. Without handing them to
        :meth:`expire` the quantiles are absent from the messages.

        Args:
            minute: open time of the next minute, ms.

        Returns:
            [start, end) in ms to read before updating ``minute``, four hours or more; mostly None.
        """
        return self._quantiles.leaving(minute) if self._volumes else None

    def expire(self, rows: Rows, end: int) -> None:
        """Takes the stored candles that :meth:`leaving` asked for.

        Args:
            rows: shape (n,), dtype ROW, sorted.
            end: end of the range asked for, ms.
        """
        self._quantiles.expire(rows, end)

    @property
    def counts_trades(self) -> bool:
        """Whether the day's profile is made of ladders where there are any."""
        return isinstance(self._profile, LiveTradedProfile)

    def update(self, candle: Candle, *, revision: int = 0, ladder: Ladder | None = None) -> Message:
        """Count the next closed minute.

        Args:
            candle: its open_time is later than that of any before.
            revision: of the message.
            ladder: of the minute, where there is one and :attr:`counts_trades`.

        Returns:
            The minute's message.

        Raises:
            ValueError: the minute is not later than the last.
        """
        minute = candle.open_time
        if self.last_open_time is not None and minute <= self.last_open_time:
            raise ValueError(f"{self.symbol}: minute {minute} after {self.last_open_time}")
        behind_hole = minute - MINUTE_MS != self.last_open_time
        if self.last_open_time is not None and minute // DAY_MS != self.last_open_time // DAY_MS:
            self._day_delta.clear()
        self._day_delta.add(candle)
        self.last_open_time = minute
        self.minutes += 1
        self.completed = []
        first = self._published[0]
        for pipeline in self._pipelines:
            for bar in pipeline.bar.add(candle):
                pipeline.complete(bar)
                if pipeline.published:
                    self.completed.append(bar)
                if pipeline is not first or not pipeline.steady:
                    self._stale = True
                if pipeline.timeframe == PEAK_TIMEFRAME:
                    self._peak.add(bar.candle.open_time, bar.candle.volume, bar.candle.close)
        if behind_hole:
            self._stale = True
            for pipeline in self._pipelines:
                pipeline.advance_to(minute)
        self._time_of_day.add(candle)
        if self._volumes:
            self._peak.slide(minute)
            self._quantiles.add(candle)
        if self._profile is not None:
            if isinstance(self._profile, LiveTradedProfile):
                sums = None if ladder is None else sums_of(ladder, np.array([minute]))
                self._profile.add_traded(candle, sums)
            else:
                self._profile.add(candle)
            if self._profile.due:
                self._figures = self._profile.figures()
        self._message = self._publish(minute, revision)
        return self._message

    def _publish(self, minute: int, revision: int) -> Message:
        if (last := self._message) is not None and not self._stale:
            # The usual minute: if a timeframe has a new bar, it is the first, and its fields are there.
            closes, values, trends = last.closes, last.indicators, last.trends
            deltas, volumes, divergences = last.deltas, last.volumes, last.divergences
            partial, warming = last.partial, last.warming
            pipeline = self._published[0]
            if pipeline.steady:
                closes, values = closes.copy(), values.copy()
                closes[pipeline.close_name] = pipeline.closes[-1]
                if pipeline.delta is not None and pipeline.volumes is not None:
                    deltas = deltas | {pipeline.delta_name: pipeline.delta}
                    volumes = volumes | {pipeline.delta_name: pipeline.volumes[0]}
                if pipeline.divergence != divergences.get(pipeline.divergence_name):
                    divergences = self._divergences()
                for name, indicator in zip(pipeline.names, pipeline.indicators, strict=True):
                    if indicator.value is not None:
                        values[name] = indicator.value
                if pipeline.longest is not None and trends[pipeline.trend_name] != (
                    trend := pipeline.trend or "Neutral"
                ):
                    trends = trends | {pipeline.trend_name: trend}
        else:
            closes, values, trends, partial, warming = self._all_values()
            deltas = {p.delta_name: p.delta for p in self._published if p.delta is not None}
            volumes = {p.delta_name: p.volumes[0] for p in self._published if p.volumes is not None}
            divergences = self._divergences()
        self._stale = False
        return Message(
            symbol=self.symbol,
            timestamp=minute + MINUTE_MS - 1,
            revision=revision,
            closes=closes,
            indicators=values,
            trends=trends,
            deltas=deltas,
            volumes=volumes,
            divergences=divergences,
            cvd_day=self._day_delta.value,
            peak=self._peak_volume() if self._volumes else None,
            quantiles=self._quantiles.quartets if self._volumes else None,
            profile=self._figures,
            partial=partial,
            warming=warming,
        )

    def _all_values(
        self,
    ) -> tuple[dict[str, float], dict[str, float], dict[str, Trend], tuple[str, ...], tuple[str, ...]]:
        """Closes, indicators and trends of every timeframe, and what is partial and warming."""
        closes: dict[str, float] = {}
        values: dict[str, float] = {}
        trends: dict[str, Trend] = {}
        partial: list[str] = []
        warming: list[str] = []
        for pipeline in self._published:
            if pipeline.bar_time is not None:
                closes[pipeline.close_name] = pipeline.closes[-1]
                if pipeline.partial:
                    partial.append(pipeline.span)
            for name, indicator in zip(pipeline.names, pipeline.indicators, strict=True):
                if indicator.value is not None:
                    values[name] = indicator.value
                    if indicator.warming:
                        warming.append(name)
            if pipeline.longest is not None:
                trends[pipeline.trend_name] = pipeline.trend or "Neutral"
        return closes, values, trends, tuple(partial), tuple(warming)

    def _divergences(self) -> dict[str, Divergence]:
        return {p.divergence_name: p.divergence for p in self._published if p.divergence is not None}

    def _peak_volume(self) -> PeakVolume | None:
        largest, pipeline = self._peak.largest, self._by_timeframe[_PEAK_TREND_TIMEFRAME]
        if largest is None:
            return None
        if self._peak_known is not None and self._peak_known[:2] == (largest, pipeline.bar_time):
            return self._peak_known[2]
        open_time, volume, price = largest
        trend: Trend = side(pipeline.closes, price) if len(pipeline.closes) == 3 else "Neutral"
        made = PeakVolume(volume, price, open_time + PEAK_TIMEFRAME * 1000, trend)
        self._peak_known = (largest, pipeline.bar_time, made)
        return made

    def timeframe_states(self) -> tuple[TimeframeState, ...]:
        """Each timeframe at its last completed bar, in the order of the settings."""
        return tuple(
            TimeframeState(
                pipeline.timeframe,
                pipeline.bar_time,
                pipeline.closes[-1] if pipeline.closes else None,
                pipeline.trend,
                tuple(indicator.value for indicator in pipeline.indicators),
                any(indicator.value is None or indicator.warming for indicator in pipeline.indicators),
                pipeline.minutes_lacking,
                pipeline.bars_lacking,
                pipeline.trend_since,
                None if pipeline.volumes is None else pipeline.volumes[0],
                pipeline.delta,
                pipeline.divergence,
            )
            for pipeline in self._published
        )

    @property
    def day_delta(self) -> tuple[float, float] | None:
        """CVD and volume of the last minute's UTC day, base asset; None before the first minute."""
        return None if self.last_open_time is None else (self._day_delta.value, self._day_delta.volume)

    @property
    def relative_volume(self) -> float | None:
        """Volume of the last 15 minutes in times of the median at that time of day; None while not known."""
        return self._time_of_day.relative

    def profile_now(self) -> DayProfile | None:
        """The profile of the last minute's UTC day with its rows, or None if there is none."""
        return None if self._profile is None else self._profile.profile()

    @property
    def profile_fault(self) -> str:
        """Why there is no profile although there are candles; empty where there is one."""
        return "" if self._profile is None else self._profile.fault

    @property
    def profile_misfit(self) -> Misfit | None:
        """Why the stated price increment does not fit the symbol; None where it does."""
        return None if self._profile is None else self._profile.misfit

    def message(self) -> Message | None:
        """The message of the last minute, or None before the first."""
        return self._message


def _load_day(live: LiveProfile, rows: Rows, before: Sequence[DayRange], ladder: Ladder | None) -> None:
    if isinstance(live, LiveTradedProfile) and ladder is not None:
        live.load(rows, before, sums_of(ladder, rows["open_time"]))
    else:
        live.load(rows, before)
