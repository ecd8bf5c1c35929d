"""Overview: every symbol a row, charts and profile of the selected one, and the one thing to know now."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui_feeder.monitor import Snapshot
from tui_feeder.scanner.measures import spot_of
from tui_feeder.screens.chart import ScreenWithChart, beside_bindings, chart_bindings
from tui_feeder.screens.chart_panels import ChartPanels
from tui_feeder.screens.export import Table, symbols_table
from tui_feeder.screens.filtered_symbols import FilteredSymbolsScreen, filter_bindings
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.mouse import WHEEL_ROWS
from tui_feeder.screens.scanner_layout import (
    CHARTS,
    Places,
    charts_go_below,
    places,
    with_notice,
)
from tui_feeder.screens.scanner_menus import note_prompt, sort_list
from tui_feeder.widgets.chart import Chart, ChartSize
from tui_feeder.widgets.day_profile import DayProfile
from tui_feeder.widgets.lines import news_line, without_excess
from tui_feeder.widgets.overview_columns import (
    CellContext,
    ColumnNeeds,
    columns_for,
    full_width,
    longest_name,
)
from tui_feeder.widgets.overview_grid import Cell
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.panel import Panel
from tui_feeder.widgets.text_line import with_place

#: Panels kept for columns; more never fit.
_MOST_COLUMNS = 40

_RESORT_SECONDS = 2.0
_AGE_SECONDS = 0.95  # ages that change with every frame are of no use and cost a third of all bytes
_ADVICE = (
    "Check the network, a proxy (HTTPS_PROXY, [exchange] proxy) and exchange.rest_url; "
    "feeder-tui doctor tries each of them. The feeder keeps trying; stored candles stay."
)


class OverviewScreen(FilteredSymbolsScreen, ScreenWithChart, inherit_bindings=False):
    """Screen 1."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "select", show=False, key_display="↑", id="overview.up",
                tooltip="Symbol above"),
        Binding("down", "move(1)", "select", show=False, key_display="↓", id="overview.down",
                tooltip="Symbol below"),
        Binding("pageup", "page(-1)", "page", show=False, key_display="PgUp", id="overview.page_up",
                tooltip="A page up"),
        Binding("pagedown", "page(1)", "page", show=False, key_display="PgDn", id="overview.page_down",
                tooltip="A page down"),
        Binding("home", "move(-100000)", "ends", show=False, key_display="Home", id="overview.first",
                tooltip="First symbol"),
        Binding("end", "move(100000)", "ends", show=False, key_display="End", id="overview.last",
                tooltip="Last symbol"),
        Binding("s", "sort", "sort", id="overview.sort", tooltip="Sort by any field, by two"),
        Binding("S", "reverse", "reverse", show=False, id="overview.reverse",
                tooltip="Turn the sort order round"),
        *filter_bindings("overview"),
        Binding("p", "pin", "pin", show=False, id="overview.pin", tooltip="Pin the symbol to the top"),
        Binding("n", "note", "note", show=False, id="overview.note", tooltip="Note on the symbol"),
        *chart_bindings("overview"),
        *beside_bindings("overview"),
    ]  # fmt: skip

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self._columns = [Panel(id=f"column{i}") for i in range(_MOST_COLUMNS)]
        charts = (self.chart, *(Chart(host.monitor) for _ in range(CHARTS - 1)))
        self._charts = tuple(ChartPanels(chart, number) for number, chart in enumerate(charts))
        self._day_profile = DayProfile(host.monitor)
        self._tall_profile = Panel(id="day-profile")
        self._notice = Panel(id="notice")
        self._news = Panel(id="news")
        self._places: Places | None = None
        self._painted_rows: tuple[object, dict[str, tuple[list[Cell], list[Strip]]]] = (None, {})
        self._planned_for: object = None  # what places and columns follow from, beside the size
        self._ticks_since_sort = 0
        self._aged_at = -math.inf  # local seconds when the ages were last drawn
        self._now = 0  # exchange time then

    @property
    def timeframe(self) -> int:
        """The app's timeframe, seconds."""
        return self.host.timeframe

    def panels(self) -> Iterable[Panel]:
        """Columns, charts, profile, and the lines between."""
        charts = (panel for shown in self._charts for panel in shown.panels)
        return (*self._columns, *charts, self._tall_profile, self._notice, self._news)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """See :meth:`tui_feeder.screens.base.FeederScreen.place`."""
        snapshot = self.host.snapshot
        self.grid.update(snapshot, resort=False)
        self._planned_for = self._plan_key(snapshot)
        count = len(snapshot.symbols)
        names = {view.symbol for view in snapshot.symbols}
        needs = ColumnNeeds(
            snapshot.timeframes, snapshot.indicators, self.timeframe,
            longest_name(names),
            tuple(key.field for key in self.grid.sort), more=charts_go_below(size, count),
            basis=any(spot_of(name) in names for name in names),
        )  # fmt: skip
        where = places(size, count, full_width(needs), two=self.second is not None)
        notice: Region | None = None
        if snapshot.not_ready:
            where, notice = with_notice(where, size, count)
        self._places = where
        self.grid.set_columns(columns_for(where.grid.width, needs))
        plan: dict[Widget, Region] = {}
        for shown, place in zip(self._charts, where.charts, strict=False):
            plan |= shown.place(place.title, place.chart, place.profile)
        if where.news is not None:
            plan[self._news] = where.news
        if where.profile is not None:
            plan[self._tall_profile] = where.profile
        if notice is not None:
            plan[self._notice] = notice
        x = where.grid.x
        for panel, column in zip(self._columns, self.grid.columns, strict=False):
            plan[panel] = Region(x, where.grid.y, column.width, where.grid.height)
            x += column.width
        return plan

    def _plan_key(self, snapshot: Snapshot) -> object:
        """What places and columns follow from: never the filter, so that typing it moves nothing."""
        return (
            bool(snapshot.not_ready),
            self.grid.configured,
            snapshot.timeframes,
            snapshot.indicators,
            self.timeframe,
            self.grid.sort,
            self.second is not None,
        )

    def table(self) -> Table:
        """Every symbol that passes the filter, in the order shown."""
        views = {view.symbol: view for view in self.host.snapshot.symbols}
        return symbols_table(
            [views[name] for name in self.grid.order if name in views], self.host.snapshot.indicators
        )

    def paint(self, snapshot: Snapshot) -> None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.paint`."""
        self._ticks_since_sort += 1
        resort = self._ticks_since_sort >= _RESORT_SECONDS * self.host.hz
        self.grid.update(snapshot, resort=resort)
        if resort:
            self._ticks_since_sort = 0
        if self._plan_key(snapshot) != self._planned_for:
            self.call_later(self.replan)
        where = self._places
        if where is None:
            return
        self._paint_grid(snapshot, where)
        self._paint_not_ready(snapshot)
        if where.charts:
            self._paint_charts(snapshot, where)
        if where.news is not None:
            width = where.news.width
            place = self.grid.place if self.typed_filter.typed is None else ""
            parts = self._news_parts(snapshot, width - (len(place) + 2 if place else 0))
            self._news.show([with_place(parts, place, width, self.palette)])

    def _news_parts(self, snapshot: Snapshot, width: int) -> list[Part]:
        if self.typed_filter.typed is not None:
            return self.typed_filter.help(width)
        note = self.grid.lists.notes.get(self.grid.selected or "")
        news = news_line(snapshot, self.grid.view, self.palette.glyphs, self.palette.zone)
        if note and not any(role in (Role.WARN, Role.ERROR) for _, role in news):
            return [(f"{self.palette.glyphs.note} {self.grid.selected}: ", Role.ACCENT), (note, Role.TEXT)]
        return without_excess(news, width)

    def _paint_charts(self, snapshot: Snapshot, where: Places) -> None:
        view, palette, second = self.grid.view, self.palette, self.second
        frames = self._timeframes(snapshot, where)
        views = (view,) if second is None else (view, second)
        for number, (shown, place) in enumerate(zip(self._charts, where.charts, strict=False)):
            profile = 0 if place.profile is None else place.profile.width
            size = ChartSize(place.chart.width, profile, place.chart.height)
            shown.show(shown.chart.paint(snapshot, views[number % len(views)], frames[number], size, palette))
        if where.profile is not None:
            width, height = where.profile.size
            self._tall_profile.show(self._day_profile.paint(view, width, height, palette))

    def _timeframes(self, snapshot: Snapshot, where: Places) -> Sequence[int]:
        """Of the charts: the one chosen, or the longest there are, the shortest of them first.

        Of two symbols the chosen one and the next longer; of the longest the next shorter.
        """
        known, count = snapshot.timeframes, len(where.charts)
        if self.second is not None:
            at = known.index(self.timeframe) if self.timeframe in known else 0
            pair = known[max(0, min(at, len(known) - 2)) :][:2]
            return (
                (pair[0], pair[0], *pair[1:] * 2)
                if count > 2 and len(pair) == 2
                else (self.timeframe,) * count
            )
        if count == 1 or len(known) < count:
            return (self.timeframe, *(frame for frame in known if frame != self.timeframe))
        return known[-count:]

    def _paint_not_ready(self, snapshot: Snapshot) -> None:
        """In the place of the charts: why there is nothing yet, in full, and what to do."""
        region = self.plan.get(self._notice)
        if region is None:
            return
        width = region.width
        text: list[Part] = [("The exchange is not reached yet", Role.STRONG), ("", Role.TEXT)]
        text += [(line, Role.WARN) for line in textwrap.wrap(snapshot.not_ready, width - 3)]
        text += [("", Role.TEXT), *((line, Role.TEXT) for line in textwrap.wrap(_ADVICE, width - 3))]
        lines = [self.palette.strip([(f"  {part}", role)], width) for part, role in text[: region.height]]
        self._notice.show([*lines, *[self.palette.strip([], width)] * (region.height - len(lines))])

    def _paint_grid(self, snapshot: Snapshot, where: Places) -> None:
        palette = self.palette
        if abs(snapshot.taken_at - self._aged_at) >= _AGE_SECONDS:
            self._aged_at, self._now = snapshot.taken_at, snapshot.exchange_time
        context = CellContext(palette.glyphs, self.timeframe, self._now, tenths=self.host.hz > 1)
        height = where.grid.height - 1
        rows = self._strips_of_rows(self.grid.rows(height, context))
        cells_of: Iterable[Sequence[Strip]] = zip(*rows, strict=True)
        if not rows:
            cells_of = self._nothing_in_columns(height)
        headings = self.grid.headings(palette.glyphs)
        shown = zip(self._columns, self.grid.columns, headings, cells_of, strict=False)
        for panel, column, (text, role), below in shown:
            strips = [palette.cell(text, role, column.width), *below]
            if len(rows) < height:
                strips += [palette.cell("", Role.TEXT, column.width)] * (height - len(rows))
            if strips != panel.strips:
                panel.show(strips)

    def _nothing_in_columns(self, height: int) -> Sequence[Sequence[Strip]]:
        """Why there are no rows, cut at the edges of the columns."""
        if not self.grid.total:
            return ((),) * len(self.grid.columns)
        edges = list(accumulate(column.width for column in self.grid.columns))
        rows = [strip.divide(edges) for strip in self.nothing_shown(edges[-1], height)]
        return list(zip(*rows, strict=True))

    def _strips_of_rows(self, rows: Sequence[list[Cell]]) -> list[list[Strip]]:
        """The strips of the rows, those of rows that have not changed as they were."""
        palette, columns, cell = self.palette, self.grid.columns, self.palette.cell
        follows = (palette, columns)
        known = self._painted_rows[1] if self._painted_rows[0] == follows else {}
        painted: dict[str, tuple[list[Cell], list[Strip]]] = {}
        for symbol, row in zip(self.grid.shown, rows, strict=True):
            before = known.get(symbol)
            if before is None:
                strips = [
                    cell(c[0], c[1], column.width, c[2]) for c, column in zip(row, columns, strict=True)
                ]
            elif before[0] is row:
                strips = before[1]
            else:
                strips = [
                    strip if c is was else cell(c[0], c[1], column.width, c[2])
                    for c, was, strip, column in zip(row, *before, columns, strict=True)
                ]
            painted[symbol] = row, strips
        self._painted_rows = follows, painted
        return [strips for _, strips in painted.values()]

    # The mouse

    def press_at(self, x: int, y: int) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.press_at`.

        Selects a row, the selected one as Enter does; sorts by a heading; opens a chart on screen 2.
        """
        where = self._places
        if where is None:
            return
        if where.grid.contains(x, y):
            if y == where.grid.y:
                self._press_heading(x - where.grid.x)
            else:
                self._press_row(y - where.grid.y - 1)
            return
        second = self.second
        pairs = zip(where.charts, self._timeframes(self.host.snapshot, where), strict=False)
        for number, (place, timeframe) in enumerate(pairs):
            if place.title.contains(x, y) or place.chart.contains(x, y):
                if second is not None and number % 2:
                    self.host.select(second.symbol)
                self.host.set_timeframe(timeframe)
                self.host.show_screen("chart")

    def _press_heading(self, x: int) -> None:
        for column in self.grid.columns:
            if x < column.width:
                if column.field:
                    self.host.sort_by(column.field)
                return
            x -= column.width

    def _press_row(self, row: int) -> None:
        at = self.grid.top + row
        if at < len(self.grid.order):
            symbol = self.grid.order[at]
            if symbol == self.grid.selected:
                self.press_key("enter")
            else:
                self.grid.select(symbol)
                self.draw()

    def wheel_at(self, x: int, y: int, step: int, sideways: bool) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.wheel_at`.

        Moves the selection, or zooms a chart.
        """
        if self._places is not None and self._places.grid.contains(x, y):
            self.action_move(step * WHEEL_ROWS)
        else:
            self.action_zoom(-step)

    # What the keys do

    def action_page(self, pages: int) -> None:
        """Selects the symbol a screenful away."""
        rows = self._places.grid.height - 2 if self._places is not None else 1
        self.action_move(pages * max(1, rows))

    def action_sort(self) -> None:
        """Everything to sort by."""
        self.open_popup(sort_list(self.host))

    def action_reverse(self) -> None:
        """Turn the sort order round."""
        self.grid.reverse_sort()
        self.replan()

    def action_pin(self) -> None:
        """Keeps the selected symbol at the top, or no longer."""
        symbol = self.grid.selected
        if symbol is not None and (fault := self.host.change_lists(lambda lists: lists.toggled_pin(symbol))):
            self.host.show_note(fault, 5.0)

    def action_note(self) -> None:
        """Writes a note on the selected symbol."""
        if self.grid.selected is not None:
            self.open_popup(note_prompt(self.host, self.grid.selected))

    def action_beside(self) -> None:
        """Keeps the charts of the selected symbol beside those of others, where there are charts."""
        if self._places is not None and not self._places.charts:
            self.host.show_note("charts need a terminal of 80x24", 4.0)
        else:
            super().action_beside()

    def action_zoom(self, step: int) -> None:
        """More or less room for a candle, in every chart."""
        for shown in self._charts:
            shown.chart.zoom(step)
        self.replan()
