"""Gaps: what is there of every symbol, every hole, what fills it, and when it is tried next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.monitor import DAY_MS, GapView, MinuteState, Snapshot, SymbolView
from tui_feeder.screens.base import FeederScreen, detail_binding
from tui_feeder.screens.details import gap_sheet
from tui_feeder.screens.export import Table, gaps_table
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.mouse import WHEEL_ROWS
from tui_feeder.widgets import cells
from tui_feeder.widgets.coverage import legend, name_width, paint_coverage, strip_widths
from tui_feeder.widgets.day_coverage import DayCoverage, any_known, paint_days
from tui_feeder.widgets.lists import first_line, gap_reason, paint_gaps
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.panel import Panel
from tui_feeder.widgets.popup import Overlay
from tui_feeder.widgets.sheet import wrapped
from tui_feeder.widgets.text_line import with_place

#: What the two strips of a symbol span.
_SPANS = (DAY_MS, 60 * DAY_MS)
#: Lines of the gaps at least; of the days with their headings at least and at most.
_LEAST_GAPS, _LEAST_DAYS, _MOST_DAYS = 4, 5, 62
#: Lines on one gap at most, and cells that the place of the list takes beside them.
_MOST_ABOUT, _PLACE = 4, 22
_LOOK_SECONDS = 2.0  # between two looks at the same strip while no gap changes


class GapsScreen(FeederScreen, inherit_bindings=False):
    """Screen 4."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "select", show=False, key_display="↑", id="gaps.up", tooltip="Gap above"),
        Binding("down", "move(1)", "select", show=False, key_display="↓", id="gaps.down",
                tooltip="Gap below"),
        Binding("r", "retry", "retry", id="gaps.retry", tooltip="Try the selected symbol again now"),
        Binding("d", "days", "calendar", id="gaps.days", tooltip="A year day by day, and a minute's history"),
        Binding("left_curly_bracket", "symbols(-1)", "coverage", key_display="{", id="gaps.symbols_up",
                tooltip="Symbol of the coverage above"),
        Binding("right_curly_bracket", "symbols(1)", "coverage", key_display="}", id="gaps.symbols_down",
                tooltip="below"),
        detail_binding("gaps", "Everything about the gap, without one about the symbol"),
        Binding("R", "retry_all", "retry all", id="gaps.retry_all", tooltip="Try all symbols again now"),
    ]  # fmt: skip

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self._strips = Panel(id="coverage")
        self._known: dict[str, tuple[object, tuple[tuple[MinuteState, ...], ...]]] = {}
        self._list = Panel(id="gaps")
        self._days = Panel(id="days")
        self._by_day = DayCoverage(host.monitor)
        self._detail = Panel(id="gap")
        self._selected: tuple[str, int] | None = None  # symbol and start of a gap

    def panels(self) -> Iterable[Panel]:
        """Coverage, the list, the days of the selected symbol, and a line on the selected gap."""
        return (self._strips, self._list, self._days, self._detail)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """See :meth:`tui_feeder.screens.base.FeederScreen.place`."""
        rows, listed, days, about = self._rows
        plan: dict[Widget, Region] = {
            self._strips: Region(0, 1, size.width, rows),
            self._list: Region(0, 1 + rows, size.width, listed),
            self._detail: Region(0, size.height - 1 - about, size.width, about),
        }
        if days:
            plan[self._days] = Region(0, 1 + rows + listed, size.width, days)
        return plan

    @property
    def _rows(self) -> tuple[int, int, int, int]:
        """Lines of the coverage with heading and legend, the gaps, the days if there is room, and one gap."""
        about = min(len(self._about(self.host.snapshot)), _MOST_ABOUT)
        whole = self.app.size.height - 2 - about
        rows = 2 + min(max(1, len(self.host.grid.order)), whole * 3 // 5 - 2)
        left = whole - rows
        listed = max(_LEAST_GAPS, 1 + len(self.host.snapshot.gaps))
        days = min(left - listed, _MOST_DAYS)
        return (rows, left - days, days, about) if days >= _LEAST_DAYS else (rows, left, 0, about)

    def paint(self, snapshot: Snapshot) -> None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.paint`."""
        width = self.app.size.width
        planned = [self.plan[panel].height if panel in self.plan else 0
                   for panel in (self._strips, self._list, self._days, self._detail)]  # fmt: skip
        if list(self._rows) != planned:
            self.call_later(self.replan)
        rows, room, days, about = planned
        grid = self.host.grid
        views = grid.window(rows - 2)
        named = name_width(grid.order)
        spans = strip_widths(width, named)
        shown = [(view.symbol, view.missing_minutes, self._coverage(view, snapshot, spans)) for view in views]
        lines = paint_coverage(shown, grid.selected, spans, named, width, self.palette)
        below = [self.palette.strip([], width)] * (rows - len(lines) - 1)
        self._strips.show([*lines, *below, legend(width, self.palette, grid.place)])
        at = self._index(snapshot)
        rate, now = snapshot.clock_rate, snapshot.exchange_time
        self._list.show(paint_gaps(snapshot.gaps, at, now, rate, width, room, self.palette))
        first = first_line(at, len(snapshot.gaps), room - 1)
        place = cells.range_text(first, min(room - 1, len(snapshot.gaps)), len(snapshot.gaps))
        described = self._about(snapshot)[: max(1, about)]
        strips = [self.palette.strip(parts, width) for parts in described[:-1]]
        strips.append(with_place(described[-1], place and f"gaps {place}", width, self.palette))
        self._detail.show(strips)
        if days:
            self._paint_days(snapshot, width, days)

    def _about(self, snapshot: Snapshot) -> list[list[Part]]:
        """The selected gap and the whole of its reason, in at least one line."""
        at = self._index(snapshot)
        if at < 0:
            return [[]]
        gap = snapshot.gaps[at]
        parts: list[Part] = [(f"  {gap.symbol} ", Role.STRONG)]
        if gap.closed_at is not None:
            parts.append((f"filled at {cells.clock_text(gap.closed_at, True, self.palette.zone)}; ", Role.OK))
        parts.append((gap_reason(gap), Role.TEXT))
        room = self.app.size.width - (_PLACE if len(snapshot.gaps) > 1 else 0)
        return wrapped(parts, room, 2)

    def _paint_days(self, snapshot: Snapshot, width: int, height: int) -> None:
        """The coverage of the selected symbol, as many days as there are lines."""
        view = self.host.grid.view
        if view is None:
            self._days.show([self.palette.strip([], width)] * height)
            return
        changed = (view.stored[0], view.missing_minutes, view.state, self._changes(view, snapshot))
        today = snapshot.exchange_time // DAY_MS * DAY_MS
        now = (changed, view.last_closed, view.stored)
        days = self._by_day.days(view.symbol, today, height - 2, width, now, changed)
        self._days.show(paint_days(view.symbol, days, width, height, self.palette))

    @staticmethod
    def _changes(view: SymbolView, snapshot: Snapshot) -> tuple[object, int]:
        """Differs whenever the coverage of a symbol may without a minute closing."""
        gaps = tuple((g.start, g.missing, g.state) for g in snapshot.gaps if g.symbol == view.symbol)
        look = int(snapshot.taken_at / _LOOK_SECONDS) if gaps or view.progress is not None else 0
        return gaps, look

    def _coverage(
        self, view: SymbolView, snapshot: Snapshot, widths: tuple[int, int]
    ) -> tuple[tuple[MinuteState, ...], ...]:
        """The strips of a symbol, asked for again when a minute closed or a gap changed."""
        key = (view.last_closed, view.stored, view.state, self._changes(view, snapshot), widths)
        known = self._known.get(view.symbol)
        if known is None or known[0] != key:
            end = snapshot.exchange_time // 60_000 * 60_000
            strips = tuple(
                self.host.monitor.coverage(view.symbol, end - span, end, cells)
                for span, cells in zip(_SPANS, widths, strict=True)
            )
            known = (key if view.last_closed is None or any_known(strips[0]) else None, strips)
            self._known[view.symbol] = known
        return known[1]

    def _selected_gap(self) -> GapView | None:
        at = self._index(self.host.snapshot)
        return self.host.snapshot.gaps[at] if at >= 0 else None

    def detail(self) -> Overlay | None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.detail`."""
        gap = self._selected_gap()
        return super().detail() if gap is None else gap_sheet(self.host, gap)

    def selected_text(self) -> str:
        """The selected gap."""
        gap = self._selected_gap()
        if gap is None:
            return ""
        row = gaps_table([gap])
        return "  ".join(f"{name} {value}" for name, value in zip(row.columns, row.rows[0], strict=True))

    def table(self) -> Table:
        """Every gap."""
        return gaps_table(self.host.snapshot.gaps)

    def _index(self, snapshot: Snapshot) -> int:
        keys = [(gap.symbol, gap.start) for gap in snapshot.gaps]
        if self._selected not in keys:
            self._selected = keys[0] if keys else None
        return keys.index(self._selected) if self._selected is not None else -1

    def press_at(self, x: int, y: int) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.press_at`.

        Selects the gap or the symbol that is pressed; the selected gap as Enter does.
        """
        gaps = self.host.snapshot.gaps
        listed, covered = self.plan[self._list], self.plan[self._strips]
        if listed.contains(x, y):
            at = self._index(self.host.snapshot)
            row = first_line(at, len(gaps), listed.height - 1) + y - listed.y - 1
            if y == listed.y or row >= len(gaps):
                return
            if row == at:
                self.press_key("enter")
            else:
                self.action_move(row - at)
        elif covered.contains(x, y):
            row = self.host.grid.top + y - covered.y - 1
            if covered.y < y < covered.bottom - 1 and row < len(self.host.grid.order):
                self.host.grid.select(self.host.grid.order[row])
                self.draw()

    def wheel_at(self, x: int, y: int, step: int, sideways: bool) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.wheel_at`.

        Moves among the gaps, over the coverage among the symbols.
        """
        if self.plan[self._strips].contains(x, y):
            self.action_symbols(step * WHEEL_ROWS)
        else:
            self.action_move(step)

    def action_move(self, rows: int) -> None:
        """Select another gap."""
        gaps = self.host.snapshot.gaps
        if gaps:
            gap = gaps[min(max(self._index(self.host.snapshot) + rows, 0), len(gaps) - 1)]
            self._selected = (gap.symbol, gap.start)
            self.draw()

    def action_symbols(self, rows: int) -> None:
        """Select another symbol in the coverage."""
        self.host.grid.move(rows)
        self.draw()

    def action_days(self) -> None:
        """Show the calendar of the selected symbol."""
        self.host.show_screen("data")

    def action_retry(self) -> None:
        """Ask for the selected symbol's gaps to be tried now."""
        if self._selected is not None:
            self.host.monitor.retry_gaps(self._selected[0])
            self.host.show_note(f"asked to try {self._selected[0]} again")
        else:
            self.host.show_note("there is no gap to try again")

    def action_retry_all(self) -> None:
        """Ask for all gaps to be tried now."""
        self.host.monitor.retry_gaps()
        self.host.show_note("asked to try every gap again")
