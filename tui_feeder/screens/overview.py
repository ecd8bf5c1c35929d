"""Overview: every symbol a row, the chart and profile of the selected one, and the one thing to know now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.monitor import Snapshot
from tui_feeder.screens.base import split_region
from tui_feeder.screens.chart import ScreenWithChart, chart_bindings
from tui_feeder.screens.export import Table, symbols_table
from tui_feeder.screens.filter_input import FilterInput
from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets.chart import ChartSize
from tui_feeder.widgets.columns import CellContext, columns_for
from tui_feeder.widgets.grid import Grid
from tui_feeder.widgets.lines import flow_line, gap_line
from tui_feeder.widgets.lists import paint_events, paint_gaps
from tui_feeder.widgets.palette import Role
from tui_feeder.widgets.panel import Panel

#: Columns from which the chart stands beside the grid instead of below it.
SIDE_BY_SIDE = 160

#: Rows from which gaps and events stand below a chart that is beside the grid, and how many they take.
_TALL, _SIDE_ROWS = 50, 12

#: Panels kept for columns; more never fit.
_MOST_COLUMNS = 40

_RESORT_SECONDS = 2.0
_AGE_SECONDS = 0.95  # ages that change with every frame are of no use and cost a third of all bytes


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of the overview go."""

    grid: Region  # headings included
    title: Region
    chart: Region  # with its price axis and time axis
    profile: Region
    news: Region
    side: Region | None  # gaps and events, where there is room


def places(size: Size, symbols: int) -> Places:
    """Divide a terminal of at least 80x24.

    The grid gets the rows it needs up to a share that grows with the height, the chart the rest.
    """
    width, height = size
    news = Region(0, height - 2, width, 1)
    side: Region | None = None
    if width >= SIDE_BY_SIDE:
        left = width // 2
        grid = Region(0, 1, left, height - 3)
        x, y, across, rows = left, 1, width - left, height - 3
        if height >= _TALL:
            rows -= _SIDE_ROWS
            side = Region(x, y + rows, across, _SIDE_ROWS)
    else:
        most = 9 + (height - 24) * 3 // 4
        taken = 1 + min(max(symbols, 1), most)
        grid = Region(0, 1, width, taken)
        x, y, across, rows = 0, 1 + taken, width, height - 3 - taken
    profile = across // 3
    return Places(
        grid=grid,
        title=Region(x, y, across, 1),
        chart=Region(x, y + 1, across - profile, rows - 1),
        profile=Region(x + across - profile, y + 1, profile, rows - 1),
        news=news,
        side=side,
    )


class OverviewScreen(ScreenWithChart, inherit_bindings=False):
    """Screen 1."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "select", key_display="↑", id="overview.up", tooltip="Symbol above"),
        Binding("down", "move(1)", "select", key_display="↓", id="overview.down", tooltip="Symbol below"),
        Binding("pageup", "page(-1)", "page", show=False, key_display="PgUp", id="overview.page_up",
                tooltip="A page up"),
        Binding("pagedown", "page(1)", "page", show=False, key_display="PgDn", id="overview.page_down",
                tooltip="A page down"),
        Binding("home", "move(-100000)", "ends", show=False, key_display="Home", id="overview.first",
                tooltip="First symbol"),
        Binding("end", "move(100000)", "ends", show=False, key_display="End", id="overview.last",
                tooltip="Last symbol"),
        Binding("s", "sort", "sort", id="overview.sort", tooltip="Sort by the next column"),
        Binding("S", "reverse", "reverse", show=False, id="overview.reverse",
                tooltip="Turn the sort order round"),
        Binding("slash", "filter", "filter", key_display="/", id="overview.filter",
                tooltip="Show symbols that match a pattern"),
        Binding("escape", "clear_filter", "all", show=False, key_display="Esc", id="overview.clear_filter",
                tooltip="Show all symbols"),
        *chart_bindings("overview"),
    ]  # fmt: skip

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self._columns = [Panel(id=f"column{i}") for i in range(_MOST_COLUMNS)]
        self._title = Panel(id="title")
        self._candles = Panel(id="chart")
        self._edge = Panel(id="edge")
        self._profile = Panel(id="profile")
        self._news = Panel(id="news")
        self._side = Panel(id="side")
        self._places: Places | None = None
        self._columns_key: object = None
        self._ticks_since_sort = 0
        self.filter: FilterInput = FilterInput(lambda: self.grid)
        self._aged_at = -math.inf  # local seconds when the ages were last drawn
        self._now = 0  # exchange time then

    @property
    def grid(self) -> Grid:
        """The app's rows."""
        return self.host.grid

    @property
    def timeframe(self) -> int:
        """The app's timeframe, seconds."""
        return self.host.timeframe

    def panels(self) -> Iterable[Panel]:
        """Columns, chart, profile, and the lines between."""
        return (*self._columns, self._title, self._candles, self._edge, self._profile, self._news, self._side)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """Columns side by side in the grid's place, the rest as in :func:`places`."""
        snapshot = self.host.snapshot
        where = self._places = places(size, self.shown_symbols(snapshot))
        self._choose_columns(snapshot)
        plan: dict[Widget, Region] = {
            self._title: where.title,
            **split_region(self._candles, self._edge, where.chart, self.chart.edge),
            self._profile: where.profile,
            self._news: where.news,
        }
        if where.side is not None:
            plan[self._side] = where.side
        x = where.grid.x
        for panel, column in zip(self._columns, self.grid.columns, strict=False):
            plan[panel] = Region(x, where.grid.y, column.width, where.grid.height)
            x += column.width
        return plan

    def shown_symbols(self, snapshot: Snapshot) -> int:
        """Symbols that pass the filter."""
        return len(self.grid.order) if self.grid.total else len(snapshot.symbols)

    def selected_text(self) -> str:
        """The row of the selected symbol."""
        view, known = self.grid.view, self.table()
        if view is None:
            return ""
        row = next(row for row in known.rows if row[0] == view.symbol)
        pairs = zip(known.columns, row, strict=True)
        return "  ".join(f"{name} {value}" for name, value in pairs if value is not None)

    def table(self) -> Table:
        """Every symbol that passes the filter, in the order shown."""
        views = {view.symbol: view for view in self.host.snapshot.symbols}
        return symbols_table(
            [views[name] for name in self.grid.order if name in views], self.host.snapshot.ema_periods
        )

    def paint(self, snapshot: Snapshot) -> None:
        """Rows, chart, news."""
        self._ticks_since_sort += 1
        resort = self._ticks_since_sort >= _RESORT_SECONDS * self.host.hz
        before = len(self.grid.order)
        self.grid.update(snapshot, resort=resort)
        if resort:
            self._ticks_since_sort = 0
        if len(self.grid.order) != before or self._key(snapshot) != self._columns_key:
            self.call_later(self.replan)
        where = self._places
        if where is None:
            return
        palette = self.palette
        self._paint_grid(snapshot, where)
        size = ChartSize(where.chart.width, where.profile.width, where.chart.height)
        strips = self.chart.paint(snapshot, self.grid.view, self.timeframe, size, palette)
        self._title.show(strips.title)
        self._candles.show(strips.chart)
        self._edge.show(strips.edge)
        self._profile.show(strips.profile)
        self._news.show([palette.strip(gap_line(snapshot, self.grid.view, palette.glyphs), where.news.width)])

        if where.side is not None:
            self._paint_side(snapshot, where.side)

    def _paint_side(self, snapshot: Snapshot, side: Region) -> None:
        palette, width = self.palette, side.width
        gaps = [gap for gap in snapshot.gaps if gap.state != "filled"]
        rows = 2 + min(max(len(gaps), 1), (side.height - 4) // 2)
        rule = (palette.glyphs.rule, Role.FAINT)
        table = paint_gaps(gaps, -1, snapshot.exchange_time, snapshot.clock_rate, width, rows - 1, palette)
        news = paint_events(snapshot.events, 0, width, side.height - rows - 3, palette)
        titles = [
            palette.strip(
                [(palette.glyphs.rule * 2, Role.FAINT), (f" {name} ", Role.STRONG)], width, fill=rule
            )
            for name in ("Gaps", "Sinks and sources", "Log")
        ]
        flow = palette.strip(flow_line(snapshot), width)
        self._side.show([titles[0], *table, titles[1], flow, titles[2], *news])

    def _paint_grid(self, snapshot: Snapshot, where: Places) -> None:
        palette = self.palette
        if abs(snapshot.taken_at - self._aged_at) >= _AGE_SECONDS:
            self._aged_at, self._now = snapshot.taken_at, snapshot.exchange_time
        context = CellContext(palette.glyphs, self.timeframe, self._now, tenths=self.host.hz > 1)
        height = where.grid.height - 1
        rows = self.grid.rows(height, context)
        headings = self.grid.headings(palette.glyphs)
        for i, (panel, column) in enumerate(zip(self._columns, self.grid.columns, strict=False)):
            text, role = headings[i]
            strips = [palette.cell(text, role, column.width)]
            strips += [palette.cell(row[i][0], row[i][1], column.width, row[i][2]) for row in rows]
            strips += [palette.cell("", Role.TEXT, column.width)] * (height - len(rows))
            panel.show(strips)

    def _key(self, snapshot: Snapshot) -> object:
        width = self._places.grid.width if self._places is not None else 0
        return width, snapshot.timeframes, snapshot.ema_periods, self.timeframe

    def _choose_columns(self, snapshot: Snapshot) -> None:
        key = self._key(snapshot)
        if key == self._columns_key or self._places is None:
            return
        self._columns_key = key
        width = self._places.grid.width
        self.grid.set_columns(columns_for(width, snapshot.timeframes, snapshot.ema_periods, self.timeframe))

    # What the keys do

    def action_page(self, pages: int) -> None:
        """Select the symbol a screenful away."""
        rows = self._places.grid.height - 2 if self._places is not None else 1
        self.action_move(pages * max(1, rows))

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.grid.cycle_sort()
        self.draw()

    def action_reverse(self) -> None:
        """Turn the sort order round."""
        self.grid.reverse_sort()
        self.draw()

    def action_filter(self) -> None:
        """Begin to type a filter."""
        self.filter.begin()
        self.draw()

    def action_clear_filter(self) -> None:
        """Show every symbol."""
        self.filter.clear()
        self.replan()
