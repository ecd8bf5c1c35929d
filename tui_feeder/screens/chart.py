"""The chart screen, and the keys and actions of every screen that has a chart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.monitor import Snapshot, SymbolView
from tui_feeder.screens.base import FeederScreen, detail_binding, split_region
from tui_feeder.screens.chart_panels import ChartPanels
from tui_feeder.screens.export import Table, bars_table
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.time_prompt import time_prompt
from tui_feeder.widgets.chart import Chart, ChartSize
from tui_feeder.widgets.comparison import basis_pair
from tui_feeder.widgets.panel import Panel
from tui_feeder.widgets.popup import Choice, Popup

#: Cells from which all values of a bar have room in one line.
_ONE_LINE = 190
#: Cells of a chart from which a part of it is the profile.
_PROFILE_FROM = 75


def chart_bindings(group: str) -> tuple[Binding, ...]:
    """Makes the bindings of timeframe, zoom and detail.

    Args:
        group: prefix of their ids.

    Returns:
        The bindings.
    """
    return (
        Binding("left_square_bracket", "timeframe(-1)", "tf", key_display="[", id=f"{group}.shorter",
                tooltip="Shorter timeframe"),
        Binding("right_square_bracket", "timeframe(1)", "tf", key_display="]", id=f"{group}.longer",
                tooltip="Longer timeframe"),
        Binding("plus,equals_sign", "zoom(1)", "zoom", show=False, key_display="+", id=f"{group}.zoom_in",
                tooltip="Wider candles"),
        Binding("minus", "zoom(-1)", "zoom", show=False, key_display="-", id=f"{group}.zoom_out",
                tooltip="Narrower candles"),
        detail_binding(group),
    )  # fmt: skip


def beside_bindings(group: str) -> tuple[Binding, ...]:
    """Makes the binding that shows two symbols beside each other.

    Args:
        group: prefix of its id.

    Returns:
        The binding.
    """
    key = Binding("v", "beside", "beside", show=False, id=f"{group}.beside",
                  tooltip="Keep the symbol beside others that are selected, or end that")  # fmt: skip
    return (key,)


class ScreenWithChart(FeederScreen, inherit_bindings=False):
    """A screen with the chart of the selected symbol."""

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self.chart = Chart(host.monitor)

    def action_move(self, rows: int) -> None:
        """Select another symbol."""
        self.host.grid.move(rows)
        self.draw()

    def action_timeframe(self, step: int) -> None:
        """Another timeframe for the chart and the EMA distance."""
        self.host.step_timeframe(step)
        self.replan()

    def action_zoom(self, step: int) -> None:
        """More or less room for a candle."""
        self.chart.zoom(step)
        self.replan()

    @property
    def second(self) -> SymbolView | None:
        """The symbol that stays beside the selected one; None where none does."""
        name = self.host.beside
        return None if name is None else self.host.grid.view_of(name)

    def action_beside(self) -> None:
        """Keeps the charts of the selected symbol beside those of others, or no longer."""
        symbol = self.host.grid.selected
        if self.second is not None:
            self.host.beside = None
            self.host.show_note("charts of the selected symbol only")
        elif symbol is not None:
            self.host.beside = symbol
            self.host.show_note(f"{symbol} stays at the right: select another beside it, v ends this", 6.0)
        self.replan()


class ChartScreen(ScreenWithChart, inherit_bindings=False):
    """Screen 2."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "point(-1)", "bar", key_display="←", id="chart.older",
                tooltip="Crosshair to older bar"),
        Binding("right", "point(1)", "bar", key_display="→", id="chart.newer", tooltip="to newer"),
        Binding("shift+left", "point(-10)", "10 bars", show=False, key_display="⇧←", id="chart.older10",
                tooltip="Crosshair by 10 bars: older"),
        Binding("shift+right", "point(10)", "10 bars", show=False, key_display="⇧→", id="chart.newer10",
                tooltip="newer"),
        Binding("home", "oldest", "ends", show=False, key_display="Home", id="chart.oldest",
                tooltip="The oldest bars"),
        Binding("end,escape", "follow", "ends", show=False, key_display="End", id="chart.follow",
                tooltip="the newest"),
        Binding("up", "move(-1)", "symbol", show=False, key_display="↑", id="chart.up",
                tooltip="Symbol above"),
        Binding("down", "move(1)", "symbol", show=False, key_display="↓", id="chart.down",
                tooltip="Symbol below"),
        Binding("g", "go_to", "time", id="chart.go_to", tooltip="Go to a time"),
        Binding("C", "compare", "vs", id="chart.compare",
                tooltip="Compare with another symbol, in %; again: no longer"),
        Binding("l", "log", "log", show=False, id="chart.log", tooltip="Logarithmic or linear price axis"),
        Binding("b", "basis", "basis", show=False, id="chart.basis",
                tooltip="Show or hide the basis of the future over spot"),
        Binding("d", "delta", "delta", id="chart.delta", tooltip="Delta bars and CVD of the UTC day"),
        Binding("m", "mark", "mark", id="chart.mark",
                tooltip="Mark the bar: VWAP from the first mark, profile between two"),
        Binding("n", "levels", "levels", show=False, id="chart.levels",
                tooltip="Naked POCs, and POC and value area as they developed"),
        *chart_bindings("chart"),
        Binding("pageup", "pan(-0.5)", "pan", key_display="PgUp", id="chart.pan_older",
                tooltip="Half a screen back"),
        Binding("pagedown", "pan(0.5)", "pan", key_display="PgDn", id="chart.pan_newer", tooltip="and forth"),
        *beside_bindings("chart"),
    ]  # fmt: skip

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self._title = Panel(id="title")
        self._read_out = Panel(id="read_out")
        self._candles = Panel(id="chart")
        self._edge = Panel(id="edge")
        self._profile = Panel(id="profile")
        self._with_basis = True
        self._with_delta = False
        self._beside = ChartPanels(Chart(host.monitor), 2)
        self._planned_two = False

    def panels(self) -> Iterable[Panel]:
        """Title, read-out, the three parts of the chart, and those of the second symbol."""
        own = (self._title, self._read_out, self._candles, self._edge, self._profile)
        return (*own, *self._beside.panels)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """See :meth:`tui_feeder.screens.base.FeederScreen.place`."""
        self._planned_two = self.second is not None
        first, second = self._areas(size)
        chart, profile = self._parts(first)
        plan: dict[Widget, Region] = {
            self._title: Region(0, 1, first.width, 1),
            self._read_out: Region(0, 2, size.width, _read_out_rows(size.width)),
            **split_region(self._candles, self._edge, chart, self.chart.edge),
        }
        if profile is not None:
            plan[self._profile] = profile
        if second is not None:
            chart, profile = self._parts(second)
            plan |= self._beside.place(Region(second.x, 1, second.width, 1), chart, profile)
        return plan

    def _areas(self, size: Size) -> tuple[Region, Region | None]:
        """Where the chart lies with its profile, and where that of the second symbol."""
        top = 2 + _read_out_rows(size.width)
        rows = size.height - 1 - top
        if self.second is None:
            return Region(0, top, size.width, rows), None
        half = size.width // 2
        return Region(0, top, half, rows), Region(half, top, size.width - half, rows)

    @staticmethod
    def _parts(area: Region) -> tuple[Region, Region | None]:
        """Where the candles lie, and the profile where it has room."""
        x, y, width, rows = area
        if width < _PROFILE_FROM:
            return area, None
        profile = max(26, width // 4)
        return Region(x, y, width - profile, rows), Region(x + width - profile, y, profile, rows)

    def _size_of(self, area: Region, basis: bool) -> ChartSize:
        chart, profile = self._parts(area)
        rows = area.height
        return ChartSize(
            chart.width, profile.width if profile is not None else 0, rows, volume=max(2, rows // 7),
            basis=max(3, rows // 8) if basis else 0, delta=max(5, rows // 4) if self._with_delta else 0,
        )  # fmt: skip

    def paint(self, snapshot: Snapshot) -> None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.paint`."""
        width = self.app.size.width
        view, second = self.host.grid.view, self.second
        if self._planned_two is not (second is not None):
            self.call_later(self.replan)
        described = _read_out_rows(width)
        area, other = self._areas(self.app.size)
        names = {other.symbol for other in snapshot.symbols}
        paired = view is not None and basis_pair(view.symbol, names) is not None
        if self.chart.compared not in names or (view is not None and self.chart.compared == view.symbol):
            self.chart.compared = None
        size = self._size_of(area, self._with_basis and paired)
        strips = self.chart.paint(snapshot, view, self.host.timeframe, size, self.palette)
        self._title.show(strips.title)
        self._candles.show(strips.chart)
        self._edge.show(strips.edge)
        self._profile.show(strips.profile)
        if other is not None:
            chart = self._beside.chart
            chart.look_like(self.chart)
            size = self._size_of(other, basis=False)
            self._beside.show(chart.paint(snapshot, second, self.host.timeframe, size, self.palette))
        shown = view is not None and len(self.chart.bars)
        read_out = (
            self.chart.read_out(snapshot, view, self.palette, width, described)
            if view and shown
            else [self.palette.strip([], width)] * described
        )
        self._read_out.show(read_out)

    def selected_text(self) -> str:
        """The read-out."""
        view = self.host.grid.view
        text = "  ".join(strip.text.strip() for strip in self._read_out.strips).strip()
        return f"{view.symbol} {text}" if view is not None and text else ""

    def table(self) -> Table | None:
        """The bars in sight."""
        view = self.host.grid.view
        if view is None:
            return None
        lines = [(line.name, line.values) for line in self.chart.lines]
        if len(self.chart.basis.values):
            lines.append(("basis_bp", self.chart.basis.values.tolist()))
        if len(self.chart.delta.deltas):
            lines.append(("delta", self.chart.delta.deltas.tolist()))
            lines.append(("cvd", self.chart.delta.cvd.tolist()))
        return bars_table(view.symbol, self.host.timeframe, self.chart.bars, lines)

    @property
    def _first(self) -> int | None:
        view = self.host.grid.view
        return view.first_minute if view is not None else None

    # The mouse

    def press_at(self, x: int, y: int) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.press_at`; moves the crosshair to the bar."""
        areas = self._areas(self.app.size)
        for area, chart in zip(areas, (self.chart, self._beside.chart), strict=True):
            if area is not None and self._parts(area)[0].contains(x, y):
                chart.point_at(x - area.x)
                self.chart.cursor = chart.cursor
                self.draw()

    def drag_to(self, x: int, y: int) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.drag_to`; moves the crosshair along."""
        self.press_at(x, y)

    def wheel_at(self, x: int, y: int, step: int, sideways: bool) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.wheel_at`.

        Zooms; with Shift or Ctrl pans a tenth of the screen.
        """
        if sideways:
            self.action_pan(step * 0.1)
        else:
            self.action_zoom(-step)

    # What the keys do

    def action_point(self, step: int) -> None:
        """Move the crosshair."""
        self.chart.point(step, self._first)
        self.draw()

    def action_pan(self, pages: float) -> None:
        """Look at an older or newer stretch."""
        self.chart.pan(pages, self._first)
        self.draw()

    def action_oldest(self) -> None:
        """Look at the oldest bars."""
        self.chart.pan_to_start(self._first)
        self.draw()

    def action_follow(self) -> None:
        """Look at the newest bars, without a crosshair."""
        self.chart.follow()
        self.draw()

    def action_go_to(self) -> None:
        """Asks for a time."""
        self.open_popup(time_prompt(self.host, lambda moment: self.chart.go_to(moment, self._first)))

    def action_compare(self) -> None:
        """Asks for the symbol to compare with, or ends the comparison."""
        view = self.host.grid.view
        if self.chart.compared is not None or view is None:
            self._compare(None)
            return
        names = [other.symbol for other in self.host.snapshot.symbols if other.symbol != view.symbol]
        choices = [Choice("", name, partial(self._compare, name)) for name in names]
        self.open_popup(Popup(f"Compare {view.symbol} with", choices, searched=True))

    def _compare(self, symbol: str | None) -> None:
        self.chart.compared = symbol
        self.draw()

    def action_log(self) -> None:
        """A logarithmic or linear price axis."""
        self.chart.log = not self.chart.log
        self.draw()

    def action_delta(self) -> None:
        """Shows or hides delta and CVD."""
        self._with_delta = not self._with_delta
        self.draw()

    def action_mark(self) -> None:
        """Marks the bar under the crosshair, else the newest, or takes its mark away."""
        chart = self.chart
        time = chart.cursor if chart.cursor is not None else None
        if time is None and len(chart.bars):
            time = int(chart.bars["open_time"][-1])
        if time is not None:
            self.host.show_note(chart.tools.mark(time), 4.0)
        self.draw()

    def action_levels(self) -> None:
        """Shows or hides naked points of control and developing levels."""
        self.chart.tools.levels = not self.chart.tools.levels
        self.draw()

    def action_basis(self) -> None:
        """Shows or hides the basis."""
        view = self.host.grid.view
        names = {other.symbol for other in self.host.snapshot.symbols}
        if view is None or basis_pair(view.symbol, names) is None:
            self.host.show_note("a basis needs both markets: follow the future and its pair in spot", 4.0)
            return
        self._with_basis = not self._with_basis
        self.draw()


def _read_out_rows(width: int) -> int:
    """Lines that all values of a bar need."""
    return 1 if width >= _ONE_LINE else 2
