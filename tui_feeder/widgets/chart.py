"""The chart of one symbol: candles with EMA lines and the day's profile on one price axis.

What it draws is fetched from the monitor when a bar or minute closes, or when it is asked for another symbol,
timeframe or size; in between it only moves the last price along the axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from textual.strip import Strip

from tui_feeder.monitor import Monitor, ProfileView, Rows, Snapshot, SymbolView, timeframe_label
from tui_feeder.widgets import cells
from tui_feeder.widgets.candles import (
    MARGIN,
    Line,
    paint_candles,
    paint_price_axis,
    paint_time_axis,
    price_range,
)
from tui_feeder.widgets.columns import timeframe_of
from tui_feeder.widgets.histogram import paint_profile, profile_levels
from tui_feeder.widgets.ink import Ink, Part, Role
from tui_feeder.widgets.scale import PriceScale, price_scale

_LINE_ROLES = (Role.EMA_FAST, Role.EMA_SLOW)


@dataclass(slots=True)
class ChartStrips:
    """A painted chart: its title, the candles with both axes, the profile with its caption."""

    title: list[Strip] = field(default_factory=list)
    chart: list[Strip] = field(default_factory=list)
    profile: list[Strip] = field(default_factory=list)


class Chart:
    """Fetches and paints; holds what it fetched last."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._fetched: object = None
        self._painted: object = None
        self._bars: Rows = np.empty(0)
        self._lines: tuple[Line, ...] = ()
        self._profile: ProfileView | None = None
        self._body: list[Strip] = []
        self._times: Strip | None = None
        self._histogram: list[Strip] = []
        self._scale: PriceScale | None = None
        self.pitch = 2  # columns from one candle to the next

    def paint(
        self,
        snapshot: Snapshot,
        view: SymbolView | None,
        timeframe: int,
        size: tuple[int, int, int],
        ink: Ink,
    ) -> ChartStrips:
        """The chart of ``view``.

        Args:
            snapshot: the newest one.
            view: the symbol in it, None if there is none to show.
            timeframe: seconds.
            size: cells of the chart with its price axis, cells of the profile, and rows of both with the
                time axis but without the title.
            ink: styles and symbols.
        """
        width, profile_width, height = size
        if view is None or height < 2:
            return self._notice("no symbol selected", size, ink)
        rows = height - 1
        axis = _axis_width(view)
        room = width - axis
        state = timeframe_of(view, timeframe)
        key = (
            view.symbol,
            timeframe,
            self.pitch,
            room,
            view.last_closed,
            state and state.bar_time,
            view.poc,
            view.vah,
        )
        if key != self._fetched or not len(self._bars):
            self._fetch(view, snapshot, timeframe, max(1, (room - MARGIN + self.pitch - 1) // self.pitch))
            self._fetched = key
        result = ChartStrips(title=[self._title(snapshot, view, timeframe, width, profile_width, ink)])
        if not len(self._bars):
            notice = self._notice(f"no completed {timeframe_label(timeframe)} bar yet", size, ink)
            self._painted = None
            result.chart, result.profile = notice.chart, notice.profile
            return result
        painting = (key, size, id(ink))
        if painting != self._painted or self._left(view.price):
            self._paint_body(view, timeframe, room, profile_width, rows, ink)
            self._painted = painting
        if self._scale is not None and self._times is not None:
            prices = paint_price_axis(self._scale, view.price, view.price_decimals, axis, ink)
            corner = ink.strip([(" " * (axis - 1), Role.TEXT), (ink.glyphs.corner, Role.FAINT)], axis)
            result.chart = [
                Strip.join(pair)
                for pair in zip([*prices, corner], [*self._body, self._times], strict=True)
            ]  # fmt: skip
        result.profile = [*self._histogram, self._caption(snapshot, profile_width, ink)]
        return result

    def _fetch(self, view: SymbolView, snapshot: Snapshot, timeframe: int, count: int) -> None:
        self._bars = self._monitor.bars(view.symbol, timeframe, count)
        values = self._monitor.ema_lines(view.symbol, timeframe, count) if len(self._bars) else ()
        self._lines = tuple(
            Line(f"e{period}", series.tolist(), role)
            for period, series, role in zip(snapshot.ema_periods, values, _LINE_ROLES, strict=False)
            if len(series) == len(self._bars)
        )
        self._profile = self._monitor.profile(view.symbol)

    def _left(self, price: float | None) -> bool:
        """Whether the last price went off the axis, yet not so far that a wider axis would not hold it."""
        if self._scale is None or price is None or self._scale.row(price) is not None:
            return False
        low, high = price_range(self._bars)
        return price_scale(low, high, self._scale.rows, [price]).row(price) is not None

    def _paint_body(
        self, view: SymbolView, timeframe: int, room: int, profile_width: int, rows: int, ink: Ink
    ) -> None:
        levels = profile_levels(self._profile) if self._profile is not None else []
        low, high = price_range(self._bars)
        ends = [v for line in self._lines for v in line.values if not math.isnan(v)]
        held = [*ends, *(price for _, price, _ in levels)]
        if view.price is not None and not low <= view.price <= high:
            room_to_move = (high - low) * 0.05  # so that a price on its way out moves the axis seldom
            held += [view.price, view.price + (room_to_move if view.price > high else -room_to_move)]
        self._scale = price_scale(low, high, rows, held)
        lines = [(price, role) for name, price, role in reversed(levels) if name != "VWAP"]
        self._body = paint_candles(
            self._bars, self._lines, lines, self._scale, timeframe, self.pitch, room, ink
        )
        self._times = paint_time_axis(self._bars, timeframe, self.pitch, room, ink)
        wall = ink.strip([(ink.glyphs.wall, Role.FAINT)], 1)
        if self._profile is None:
            self._histogram = [ink.strip([(ink.glyphs.wall, Role.FAINT)], profile_width)] * rows
        else:
            bars = paint_profile(self._profile, self._scale, view.price_decimals, profile_width - 1, ink)
            self._histogram = [Strip.join([wall, bar]) for bar in bars]

    def _title(
        self, snapshot: Snapshot, view: SymbolView, timeframe: int, width: int, profile_width: int, ink: Ink
    ) -> Strip:
        rule = ink.glyphs.rule
        parts: list[Part] = [
            (rule * 2, Role.FAINT),
            (f" {view.symbol} {timeframe_label(timeframe)} ", Role.STRONG),
        ]
        state = timeframe_of(view, timeframe)
        if state is not None and state.trend is not None and state.bar_time is not None:
            sign, role = {
                "Buy": (ink.glyphs.buy, Role.UP),
                "Sell": (ink.glyphs.sell, Role.DOWN),
            }.get(state.trend, (ink.glyphs.neutral, Role.FLAT))
            parts += [(f" {sign} ", role), (f"bar of {cells.clock_text(state.bar_time)} ", Role.MUTED)]
            for period, value, role in zip(snapshot.ema_periods, state.emas, _LINE_ROLES, strict=False):
                text = cells.price_text(value, view.price_decimals, 10)
                parts.append((f" e{period} {text}", role if value is not None else Role.MUTED))
            marks = ("warming~" if state.warming else "", "partial*" if state.partial else "")
            parts.append((" " + " ".join(filter(None, marks)), Role.WARN))
        parts.append((" ", Role.TEXT))
        total = width + profile_width
        return ink.strip(parts, total, fill=(rule, Role.FAINT))

    def _caption(self, snapshot: Snapshot, width: int, ink: Ink) -> Strip:
        if self._profile is None:
            text = "no profile yet"
        else:
            today = cells.date_text(self._profile.day) == cells.date_text(snapshot.exchange_time)
            text = f"profile, {'today' if today else cells.date_text(self._profile.day)} UTC"
        return ink.strip([(ink.glyphs.corner, Role.FAINT), (" " + text, Role.MUTED)], width)

    def _notice(self, text: str, size: tuple[int, int, int], ink: Ink) -> ChartStrips:
        width, profile_width, height = size
        indent = " " * ((width - len(text)) // 2)
        chart = [ink.strip([], width)] * height
        if height:
            chart[height // 2] = ink.strip([(indent + text, Role.MUTED)], width)
        blank = ink.strip([], profile_width)
        return ChartStrips([ink.strip([], width + profile_width)], chart, [blank] * height)


def _axis_width(view: SymbolView) -> int:
    """Cells for the longest price of a symbol and the axis line."""
    longest = max(
        len(cells.price_text(p, view.price_decimals)) for p in (view.price, view.poc, view.vwap, 1.0)
    )
    return min(max(longest, 7), 10) + 2
