"""The chart of one symbol: candles with EMA lines and the day's profile on one price axis.

What it draws is fetched from the monitor when a bar or minute closes, or when it is asked for another symbol,
timeframe, size or stretch of time; in between only the last price and the bar in progress move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from textual.strip import Strip

from tui_feeder.monitor import (
    DAY_MS,
    MINUTE_MS,
    PATIENCE_SECONDS,
    MinuteState,
    Monitor,
    ProfileView,
    Rows,
    Snapshot,
    SymbolView,
    timeframe_label,
)
from tui_feeder.scanner.measures import timeframe_of
from tui_feeder.widgets import cells
from tui_feeder.widgets.axes import paint_price_axis, paint_time_axis
from tui_feeder.widgets.basis_pane import BasisPane
from tui_feeder.widgets.candles import (
    MARGIN,
    Canvas,
    Line,
    Pin,
    Slots,
    draw_candle,
    draw_candles,
    draw_cursor,
    draw_pins,
    draw_volume,
    price_range,
)
from tui_feeder.widgets.chart_tools import ChartTools
from tui_feeder.widgets.comparison import aligned_closes, basis_pair, first_common, rescaled
from tui_feeder.widgets.delta_pane import DeltaPane
from tui_feeder.widgets.histogram import paint_profile, profile_levels
from tui_feeder.widgets.lines import EMA_ROLES, BarInSight, chart_title, unread_text
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.panel import JoinedStrips
from tui_feeder.widgets.read_out import BarValues, bar_groups, closed_bar, flowed, labelled, number_or_none
from tui_feeder.widgets.scale import PriceScale, price_scale

#: Alerts that are drawn, the newest.
_PINS = 20
#: Columns between candles that a zoom can choose.
_PITCHES = (1, 4)


@dataclass(frozen=True, slots=True)
class ChartSize:
    """Cells of a chart."""

    width: int  # of the price axis, the candles and the edge
    profile: int
    height: int  # rows of all of them, the time axis included, the title not
    volume: int = 0  # of these, for volume bars
    basis: int = 0  # of these, for the basis of the future over spot
    delta: int = 0  # of these, for CVD and delta bars


@dataclass(slots=True)
class ChartStrips:
    """A painted chart. Side by side: ``chart``, ``edge``, ``profile``, each as high as asked for."""

    title: list[Strip] = field(default_factory=list)
    chart: list[Strip] = field(default_factory=list)  # price axis and completed bars
    edge: list[Strip] = field(default_factory=list)  # the bar in progress, which moves all the time
    profile: list[Strip] = field(default_factory=list)


class Chart:
    """Fetches and paints; holds what it fetched last, and which stretch of time is looked at."""

    def __init__(self, monitor: Monitor) -> None:
        self.pitch = 2  # columns from one candle to the next
        self.cursor: int | None = None  # open time of the slot under the crosshair
        self.end: int | None = None  # exclusive end of the stretch looked at; None follows the newest
        self.log = False  # equal distances on the price axis are equal ratios
        self.compared: str | None = None  # another symbol, whose change in percent is drawn too
        self.bars: Rows = np.empty(0)
        self.lines: tuple[Line, ...] = ()
        self.partial: frozenset[int] = frozenset()  # open times of bars in sight that lack minutes
        self.basis = BasisPane(monitor)
        self.delta = DeltaPane(monitor)
        self.tools = ChartTools(monitor)
        self._monitor = monitor
        self._others: NDArray[np.float64] = np.empty(0)  # closes of the symbol compared with
        self._fetched: object = None
        self._answered = True  # bars of other symbols were there; an attached feeder's may come later
        self._painted: object = None
        self._profile: ProfileView | None = None
        self._open: Rows = np.empty(0)
        self._canvas = Canvas(0, 0)
        self._volume = Canvas(0, 0)
        self._basis = Canvas(0, 0)
        self._delta = Canvas(0, 0)
        self._body: list[Strip] = []
        self._edge_painted: tuple[object, list[Strip]] = (None, [])  # what it follows from, and the strips
        self._volume_axis: list[Strip] = []
        self._times: Strip | None = None
        self._histogram: list[Strip] = []
        self._scale: PriceScale | None = None
        self._slots = Slots(3_600, 2, MARGIN + 3, 0)
        self._pins: tuple[Pin, ...] = ()  # where alerts of the symbol went off that nobody acknowledged
        self._axis = 0  # cells of the price axis
        self._until = 0  # exclusive end of the newest completed bar
        self._joined = JoinedStrips()
        self._titled: tuple[object, Strip] = (None, Strip([]))

    @property
    def edge(self) -> int:
        """Columns of the edge."""
        return MARGIN + self.pitch

    @property
    def following(self) -> bool:
        """Whether the newest bar is in sight at the right."""
        return self.end is None

    def paint(
        self, snapshot: Snapshot, view: SymbolView | None, timeframe: int, size: ChartSize, palette: Palette
    ) -> ChartStrips:
        """Paints the chart of a symbol.

        Args:
            snapshot: the newest one.
            view: the symbol in it, None if there is none to show.
            timeframe: seconds.
            size: of the parts.
            palette: styles and symbols.

        Returns:
            The strips of its parts.
        """
        if view is None or size.height < 2 + size.volume + size.basis + size.delta:
            return self._notice("no symbol selected", size, palette)
        axis = self._axis = axis_width(view)
        room = size.width - axis
        key = self._fetch(snapshot, view, timeframe, room, size.basis > 0, size.delta > 0)
        result = ChartStrips(title=[self._title(snapshot, view, timeframe, size, palette)])
        if not len(self.bars):
            where = f"{timeframe_label(timeframe)} bar"
            text = f"no completed {where} yet" if self.following else f"no {where} is stored here"
            unread = unread_text(view)
            if unread:
                text = unread if len(unread) < size.width - self.edge else view.state.value
            notice = self._notice(text, size, palette)
            self._painted = None
            result.chart, result.edge, result.profile = notice.chart, notice.edge, notice.profile
            return result
        mine = (a for a in snapshot.alerts if a.symbol == view.symbol and not a.acknowledged)
        self._pins = tuple(Pin(a.at, a.price) for a in mine)[-_PINS:]
        painting = (
            key,
            size,
            id(palette),
            self.cursor,
            self._pins,
            self.log,
            self._answered,
            self.tools.lines,
        )
        basis = self.basis.now(snapshot) if self.following else math.nan
        if painting != self._painted or self._left(view.price) or self.basis.left(basis):
            self._paint_body(view, size, room, palette, basis)
            self._painted = painting
        if self._scale is not None and self._times is not None:
            at = self.bar_at(self.cursor)
            pointed = None if at is None else float(self.bars["close"][at])
            prices = paint_price_axis(
                self._scale, view.price, view.price_decimals, axis, palette, pointed, self._base
            )
            left = [*prices, *self._volume_axis]
            left += self.basis.axis(snapshot, axis, size.basis, palette, self.following)
            left += self.delta.axis(axis, size.delta, palette)
            corner = palette.line(((" " * (axis - 1), Role.TEXT), (palette.glyphs.corner, Role.FAINT)), axis)
            body = [*self._body, self._times.crop(0, room - self.edge)]
            result.chart = self._joined.join([*left, corner], body)
            result.edge = [*self._paint_edge(view, palette, basis), self._times.crop(room - self.edge, room)]
        result.profile = [*self._histogram, self._caption(snapshot, size.profile, palette)]
        return result

    def _title(
        self, snapshot: Snapshot, view: SymbolView, timeframe: int, size: ChartSize, palette: Palette
    ) -> Strip:
        """The title, written again when a bar completes or something else of it changes."""
        width, state = size.width + size.profile, timeframe_of(view, timeframe)
        newest = None
        if self.end is not None and len(self.bars):
            emas = tuple((line.name, number_or_none(line.values[-1])) for line in self.lines)
            newest = BarInSight(int(self.bars["open_time"][-1]), emas)
        key = (view.symbol, state, self.end, width, id(palette), view.profile_note, view.price_decimals,
               view.state, self.log, self.compared, newest)  # fmt: skip
        if key != self._titled[0]:
            how = [f"vs {self.compared}"] if self.compared is not None else []
            how += ["log scale"] if self.log else []
            title = chart_title(snapshot, view, timeframe, self.end, width, palette, ", ".join(how), newest)
            self._titled = key, title
        return self._titled[1]

    def _fetch(
        self,
        snapshot: Snapshot,
        view: SymbolView,
        timeframe: int,
        room: int,
        with_basis: bool,
        with_delta: bool,
    ) -> object:
        """Get the bars of the stretch looked at, if they may differ from those there are."""
        frame = timeframe * 1000
        self._until = ((view.last_closed or 0) + 60_000) // frame * frame
        if self.end is not None:
            self.end = -(-self.end // frame) * frame
            if self.end >= self._until:
                self.end = None
        end = self._until if self.end is None else self.end
        self._slots = Slots(timeframe, self.pitch, room, end - frame, ahead=self.pitch)
        if self.cursor is not None:
            self.cursor -= self.cursor % frame
            if not 0 <= self._slots.column(self.cursor) <= self._slots.last:
                self.cursor = None
        state = timeframe_of(view, timeframe)
        names = {v.symbol for v in snapshot.symbols} if with_basis else ()
        others = {self.compared, *(basis_pair(view.symbol, names) or ())} - {None, view.symbol}
        theirs = tuple(v for v in snapshot.symbols if v.symbol in others) if others else ()
        key = (view.symbol, self._slots, self.end, view.last_closed, state and state.bar_time,
               view.poc, view.vah, view.missing_minutes, view.stored, with_basis, with_delta,
               self.tools.state, self.compared,
               tuple((v.symbol, v.last_closed, v.stored) for v in theirs))  # fmt: skip
        if key == self._fetched and len(self.bars):
            if not self._answered:
                self._fetch_others(snapshot, view, end, with_basis)
            if not self.tools.whole:
                self.tools.follow(view.symbol, self.bars, frame)
            return key
        self._fetched = key
        # The end is always stated: the engine may have closed another bar since the snapshot was taken.
        self.bars = self._monitor.bars(view.symbol, timeframe, self._slots.count, end)
        values = (
            self._monitor.ema_lines(view.symbol, timeframe, self._slots.count, end) if len(self.bars) else ()
        )
        self.lines = tuple(
            Line(f"e{period}", series.tolist(), role)
            for period, series, role in zip(snapshot.ema_periods, values, EMA_ROLES, strict=False)
            if len(series) == len(self.bars)
        )
        self._fetch_others(snapshot, view, end, with_basis)
        if with_delta:
            self.delta.fetch(view.symbol, self.bars, self._slots)
        else:
            self.delta.clear()
        self.tools.fetch(view.symbol, self.bars, self._slots, end)
        self.partial = self._lacking(view.symbol, end, frame)
        day = None if self.end is None else (self.end - 1) // DAY_MS * DAY_MS
        self._profile = self.tools.range or self._monitor.profile(view.symbol, day, PATIENCE_SECONDS)
        self._open = self._monitor.open_bar(view.symbol, timeframe)
        return key

    def _fetch_others(self, snapshot: Snapshot, view: SymbolView, end: int, with_basis: bool) -> None:
        """Gets the bars of the symbol compared with, and of the other market for the basis."""
        self._others, self._answered = np.empty(0), True
        if self.compared is not None:
            slots = self._slots
            others = self._monitor.bars(self.compared, slots.timeframe, slots.count, end)
            self._others = aligned_closes(self.bars, others)
            self._answered = len(others) > 0
        if with_basis:
            self._answered &= self.basis.fetch(snapshot, view.symbol, self.bars, self._slots, end)
        else:
            self.basis.clear()

    def _lacking(self, symbol: str, end: int, frame: int) -> frozenset[int]:
        """The bars in sight some of whose minutes are not stored."""
        if frame <= MINUTE_MS or not len(self.bars):
            return frozenset()
        slots = self._slots.count
        states = self._monitor.coverage(symbol, end - slots * frame, end, slots)
        lacking = (MinuteState.MISSING, MinuteState.FILLING, MinuteState.UNAVAILABLE)
        times = {end - (slots - i) * frame for i, state in enumerate(states) if state in lacking}
        return frozenset(times.intersection(self.bars["open_time"].tolist()))

    @property
    def _base(self) -> float | None:
        """The close that the axis counts from in percent, where another symbol is compared with."""
        first = first_common(self.bars, self._others) if len(self._others) else None
        return None if first is None else float(self.bars["close"][first])

    def bar_at(self, time: int | None) -> int | None:
        """Finds a bar.

        Args:
            time: its open time, ms; None for none.

        Returns:
            Its index in ``bars``; None if it is not there.
        """
        if time is None or not len(self.bars):
            return None
        at = int(np.searchsorted(self.bars["open_time"], time))
        return at if at < len(self.bars) and int(self.bars["open_time"][at]) == time else None

    def forming(self, view: SymbolView) -> tuple[float, float, float, float, float] | None:
        """Computes the bar in progress, where it follows the newest completed one.

        Args:
            view: the symbol.

        Returns:
            Open, high, low, close and volume; None without one.
        """
        frame = self._slots.frame
        parts: list[tuple[float, ...]] = []
        if len(self._open) and int(self._open["open_time"][0]) == self._until:
            parts.append(
                tuple(float(self._open[name][0]) for name in ("open", "high", "low", "close", "volume"))
            )
        minute = view.forming
        if minute is not None and self._until <= minute.open_time < self._until + frame:
            parts.append((minute.open, minute.high, minute.low, minute.close, minute.volume))
        if not parts or self.end is not None:
            return None
        opened, highs, lows, closes, volumes = zip(*parts, strict=True)
        return opened[0], max(highs), min(lows), closes[-1], sum(volumes)

    # Looking elsewhere

    def look_like(self, other: Chart) -> None:
        """Shows the stretch of time that another chart does, with its crosshair, zoom and scale.

        Args:
            other: the other chart.
        """
        self.pitch, self.end, self.cursor, self.log = other.pitch, other.end, other.cursor, other.log

    def zoom(self, step: int) -> None:
        """Changes the width of a candle.

        Args:
            step: cells more; below 0 less.
        """
        self.pitch = min(max(self.pitch + step, _PITCHES[0]), _PITCHES[1])

    def point(self, step: int, first: int | None) -> None:
        """Move the crosshair by so many slots; at an end the chart moves along.

        Args:
            step: slots, negative for older.
            first: where the history begins, ms; None if not known.
        """
        slots = self._slots
        frame = slots.frame
        if self.cursor is None:
            self.cursor = slots.newest
            return
        floor = self._until if first is None else -(-first // frame) * frame
        self.cursor = min(max(self.cursor + step * frame, min(floor, slots.newest)), self._until - frame)
        behind = -(slots.column(self.cursor) // self.pitch) if slots.column(self.cursor) < 0 else 0
        if behind:
            self.end = slots.newest + frame - behind * frame
        elif self.cursor > slots.newest:
            self.end = self.cursor + frame

    def point_at(self, cell: int) -> None:
        """Puts the crosshair on the slot nearest to a cell.

        Args:
            cell: from the left edge of the price axis.
        """
        slots = self._slots
        column = cell - self._axis
        behind = round((slots.last - column) / slots.pitch)
        self.cursor = slots.newest - min(max(behind, 0), slots.count - 1) * slots.frame

    def pan(self, pages: float, first: int | None) -> None:
        """Moves to older or newer bars; beyond the newest one the chart follows it again.

        Args:
            pages: share of the visible range; below 0 older.
            first: the oldest minute there is, ms; None if unknown.
        """
        slots = self._slots
        end = slots.newest + slots.frame + round(pages * slots.count) * slots.frame
        if first is not None:
            end = max(end, first // slots.frame * slots.frame + slots.count * slots.frame)
        self.end = None if end >= self._until else end
        self.cursor = None

    def go_to(self, moment: int, first: int | None) -> str | None:
        """Moves the crosshair to the bar of a moment, in the middle of the chart.

        Args:
            moment: ms.
            first: the oldest minute there is, ms; None if unknown.

        Returns:
            What is wrong with the moment; None if the chart is there.
        """
        slots = self._slots
        at = moment - moment % slots.frame
        if at >= self._until:
            return "there is no completed bar of that time yet"
        if first is not None and at < first - first % slots.frame:
            return "that is before the first candle"
        self.pan((at - slots.newest) / slots.frame / slots.count + 0.5, first)
        self.cursor = at
        return None

    def pan_to_start(self, first: int | None) -> None:
        """Moves to the oldest bars.

        Args:
            first: the oldest minute there is, ms; None if unknown.
        """
        if first is not None:
            self.pan(-(self._until - first) / self._slots.frame, first)

    def follow(self) -> None:
        """Look at the newest bars again, without a crosshair."""
        self.end = self.cursor = None

    # Painting

    def _left(self, price: float | None) -> bool:
        """Whether the last price went off the axis, yet not so far that a wider axis would not hold it."""
        if self._scale is None or price is None or self.end is not None or self._scale.row(price) is not None:
            return False
        low, high = price_range(self.bars)
        return price_scale(low, high, self._scale.rows, [price], self.log).row(price) is not None

    def _paint_body(
        self, view: SymbolView, size: ChartSize, room: int, palette: Palette, basis: float
    ) -> None:
        rows = size.height - size.volume - size.basis - size.delta - 1
        levels = profile_levels(self._profile) if self._profile is not None else []
        low, high = price_range(self.bars)
        drawn = [*self.lines, *self.tools.lines]
        if self.compared is not None and len(self._others):
            prices = rescaled(self.bars, self._others)
            known = prices[~np.isnan(prices)]
            if len(known):  # in sight in any case: it is what was asked for
                low, high = min(low, float(known.min())), max(high, float(known.max()))
            drawn.append(Line(short_name(self.compared), prices.tolist(), Role.VWAP))
        ends = [v for line in (*self.lines, *self.tools.lines[:1]) for v in line.values if not math.isnan(v)]
        held = [*ends, *(price for _, price, _ in levels)]
        if self.end is None and view.price is not None and not low <= view.price <= high:
            room_to_move = (high - low) * 0.05  # so that a price on its way out moves the axis seldom
            held += [view.price, view.price + (room_to_move if view.price > high else -room_to_move)]
        self._scale = scale = price_scale(low, high, rows, held, self.log)
        lines = [(price, role) for name, price, role in reversed(levels) if name != "VWAP"]
        self._canvas = draw_candles(self.bars, drawn, lines, scale, self._slots, palette)
        self.tools.draw(self._canvas, scale, self._slots, view.price, palette)
        draw_pins(self._canvas, self._pins, scale, self._slots)
        self._volume = Canvas(room, size.volume)
        columns = self._slots.columns(self.bars)
        draw_volume(self._volume, columns, self.bars, self._most_volume, palette)
        self._volume_axis = self._paint_volume_axis(self._axis, size.volume, palette)
        self._basis = self.basis.paint(columns, room, size.basis, self._slots, palette, basis)
        self._delta = self.delta.paint(columns, room, size.delta, self._slots, palette)
        if self.cursor is not None:
            at = self.bar_at(self.cursor)
            row = None if at is None else scale.row(float(self.bars["close"][at]))
            draw_cursor(self._canvas, self._slots.column(self.cursor), row, palette)
            for canvas in (self._volume, self._basis, self._delta):
                draw_cursor(canvas, self._slots.column(self.cursor), None, palette)
        split = room - self.edge
        self._body = [
            *self._canvas.part(0, split).strips(palette),
            *self._volume.part(0, split).strips(palette),
            *self._basis.part(0, split).strips(palette),
            *self._delta.part(0, split).strips(palette),
        ]
        self._times = paint_time_axis(self.bars, self._slots, palette, self.cursor, self.partial)
        wall = palette.strip([(palette.glyphs.wall, Role.FAINT)], 1)
        blank = palette.strip([(palette.glyphs.wall, Role.FAINT)], size.profile)
        if self._profile is None or not size.profile:
            self._histogram = [blank] * (size.height - 1)
        else:
            bars = paint_profile(self._profile, scale, view.price_decimals, size.profile - 1, palette)
            self._histogram = [
                *(Strip.join([wall, bar]) for bar in bars),
                *[blank] * (size.height - 1 - rows),
            ]

    @property
    def _most_volume(self) -> float:
        return float(np.max(self.bars["volume"], initial=0.0)) or 1.0

    def _paint_edge(self, view: SymbolView, palette: Palette, basis: float) -> list[Strip]:
        """The bar in progress, painted again when it moved or the others were painted."""
        forming = self.forming(view)
        follows = (self._canvas, forming, None if math.isnan(basis) else basis)
        if follows == self._edge_painted[0]:
            return self._edge_painted[1]
        start = self._canvas.width - self.edge
        edge, volume = (canvas.part(start, self._canvas.width) for canvas in (self._canvas, self._volume))
        if forming is not None and self._scale is not None:
            at = self.pitch - 1
            draw_candle(edge, at, forming[:4], self._scale, palette)
            bar = np.zeros(1, dtype=self.bars.dtype)
            bar["open"], bar["close"], bar["volume"] = forming[0], forming[3], forming[4]
            draw_volume(volume, [at], bar, self._most_volume, palette)
            draw_pins(edge, self._pins, self._scale, self._slots, start)
        below, delta = (canvas.part(start, self._canvas.width) for canvas in (self._basis, self._delta))
        if forming is not None:
            self.basis.paint_present(below, self.pitch - 1, self.pitch, basis, palette)
        strips = [strip for canvas in (edge, volume, below, delta) for strip in canvas.strips(palette)]
        self._edge_painted = follows, strips
        return strips

    def _paint_volume_axis(self, width: int, rows: int, palette: Palette) -> list[Strip]:
        """The largest volume beside the highest bar."""
        wall = palette.line(((" " * (width - 1), Role.TEXT), (palette.glyphs.wall, Role.FAINT)), width)
        most = cells.count_text(self._most_volume)
        text = f"vol {most}" if len(most) + 4 < width else most  # a number is never cut
        text = cells.fit(text, width - 1, right=True)
        top = palette.line(((text, Role.MUTED), (palette.glyphs.tick, Role.FAINT)), width)
        return [top, *[wall] * (rows - 1)][:rows]

    def read_out(
        self, snapshot: Snapshot, view: SymbolView, palette: Palette, width: int, rows: int = 1
    ) -> list[Strip]:
        """Describes the bar under the crosshair, else the one in progress, else the newest.

        Args:
            snapshot: the newest one.
            view: the symbol.
            palette: styles and symbols.
            width: cells.
            rows: lines; what does not fit in them is left out.

        Returns:
            ``rows`` strips.
        """
        at = self.bar_at(self.cursor)
        forming = self.forming(view) if self.cursor is None else None
        if at is None and forming is None:
            at = None if self.cursor is not None or not len(self.bars) else len(self.bars) - 1
        if forming is not None:
            bar = BarValues(self._until, *forming, "in progress")
        elif at is not None:
            row = self.bars[at]
            bar = closed_bar(row, int(row["open_time"]) in self.partial)
        else:
            text = "no bar is stored here" if self.cursor is not None else ""
            when = cells.moment_text(self.cursor, palette.zone) if self.cursor is not None else ""
            return flowed([[(when, Role.ACCENT)], [(text, Role.WARN)]], width, rows, palette)
        main, more = bar_groups(bar, view.price, view.price_decimals, palette)
        newest = len(self.bars) - 1 if at is None else at
        for line in self.lines if at is not None else ():
            text = cells.price_text(number_or_none(line.values[newest]), view.price_decimals)
            main.append(labelled(line.name, text, line.role))
        compared = self._compared_groups(newest)
        if len(self.delta.deltas) and at is not None:
            compared.append(labelled("delta", cells.signed_text(float(self.delta.deltas[at]))))
            compared.append(labelled("CVD", cells.signed_text(float(self.delta.cvd[at]))))
        compared += self.tools.groups(newest, view.price_decimals) if at is not None else []
        if self.basis.pair is not None:
            value = self.basis.now(snapshot) if at is None else float(self.basis.values[newest])
            text = cells.UNKNOWN if math.isnan(value) else f"{value:+z.1f} bp"
            compared.append(labelled("basis", text, Role.ACCENT))
        return flowed([*main, *compared, *more, [(bar.state, Role.MUTED)]], width, rows, palette)

    def _compared_groups(self, at: int) -> list[list[Part]]:
        """The changes of both symbols since the first common bar in sight."""
        first = first_common(self.bars, self._others) if len(self._others) else None
        if first is None or self.compared is None:
            return []
        closes = self.bars["close"]
        changes = (closes[at] / closes[first], self._others[at] / self._others[first])
        mine, theirs = (
            cells.UNKNOWN if math.isnan(change) else f"{cells.percent_text((change - 1) * 100)}%"
            for change in changes
        )
        return [labelled("since left", mine), labelled(self.compared, theirs, Role.VWAP)]

    def _caption(self, snapshot: Snapshot, width: int, palette: Palette) -> Strip:
        """What the profile is of, and how exactly it is known; that is there at any width."""
        profile = self._profile
        if profile is None:
            words = ["no profile yet"]
        elif self.tools.range is not None:
            words = ["marks 1-2, ", f"{profile.candles} min"]
        else:
            today = cells.date_text(profile.day) == cells.date_text(snapshot.exchange_time)
            words = ["profile, ", "today" if today else cells.date_text(profile.day), " UTC"]
        known = ""
        if profile is not None and profile.bought is not None:
            known = cells.known_text(profile.exact_share, profile.known_share)
        texts = ["".join(words), "".join(words[1:]), *words[1:2], ""]
        texts = [", ".join(filter(None, (text, known))) for text in texts]
        text = next((text for text in texts if len(text) <= width - 2), "")
        return palette.strip([(palette.glyphs.corner, Role.FAINT), (" " + text, Role.MUTED)], width)

    def _notice(self, text: str, size: ChartSize, palette: Palette) -> ChartStrips:
        width = size.width - self.edge
        indent = " " * ((width - len(text)) // 2)
        chart = [palette.strip([], width)] * size.height
        if size.height:
            chart[size.height // 2] = palette.strip([(indent + text, Role.MUTED)], width)
        blanks = [[palette.strip([], cells_wide)] * size.height for cells_wide in (self.edge, size.profile)]
        return ChartStrips([palette.strip([], size.width + size.profile)], chart, *blanks)


def short_name(symbol: str) -> str:
    """Shortens the name of a symbol to what is written at the end of its line.

    Args:
        symbol: its name.

    Returns:
        Three letters.
    """
    return symbol.rpartition(":")[2].lstrip("0123456789")[:3] or symbol[:3]


def axis_width(view: SymbolView) -> int:
    """Computes the width of the price axis.

    Args:
        view: the symbol.

    Returns:
        Cells for its longest price and the axis line.
    """
    longest = max(
        len(cells.price_text(p, view.price_decimals)) for p in (view.price, view.poc, view.vwap, 1.0)
    )
    return min(max(longest, 7), 10) + 2
