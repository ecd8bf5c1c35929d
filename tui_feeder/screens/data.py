"""Data: a year of a symbol as a calendar of days, the evidence of a day, and a minute's history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.day_evidence import DayView
from tui_feeder.monitor import DAY_MS, MINUTE_MS, MinuteState, Snapshot, SymbolView
from tui_feeder.screens.base import FeederScreen, detail_binding, text_in_middle
from tui_feeder.screens.export import Table
from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets import cells
from tui_feeder.widgets.day_coverage import any_known
from tui_feeder.widgets.day_minutes import minute_rows, paint_minutes
from tui_feeder.widgets.day_sheet import day_lines, minute_lines
from tui_feeder.widgets.palette import Part
from tui_feeder.widgets.panel import Panel
from tui_feeder.widgets.year_calendar import LINES, first_day, paint_calendar, year_of

#: Days asked for at once, and such parts asked for with one frame: a year costs some 20 ms.
_PART_DAYS, _PARTS_A_FRAME = 31, 2
_DAY_MINUTES = 1_440
_DIGESTS_SECONDS = 5.0
_LEAST_LINES = 13  # kept for day and minute, so that what is below stays where it is


class DataScreen(FeederScreen, inherit_bindings=False):
    """The calendar of screen 4."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "gaps", "gaps", id="data.gaps", tooltip="Gaps and coverage"),
        Binding("left", "days(-7)", "week", show=False, key_display="←", id="data.left",
                tooltip="A week before"),
        Binding("right", "days(7)", "week", show=False, key_display="→", id="data.right",
                tooltip="A week later"),
        Binding("up", "days(-1)", "day", show=False, key_display="↑", id="data.up", tooltip="A day before"),
        Binding("down", "days(1)", "day", show=False, key_display="↓", id="data.down", tooltip="A day later"),
        Binding("pageup", "days(-365)", "year", show=False, key_display="PgUp", id="data.year_before",
                tooltip="A year before"),
        Binding("pagedown", "days(365)", "year", show=False, key_display="PgDn", id="data.year_later",
                tooltip="A year later"),
        Binding("left_square_bracket", "minutes(-1)", "minute", key_display="[", id="data.minute_before",
                tooltip="A minute before"),
        Binding("right_square_bracket", "minutes(1)", "minute", key_display="]", id="data.minute_later",
                tooltip="A minute later"),
        Binding("home", "minutes(-60)", "hour", show=False, key_display="Home", id="data.hour_before",
                tooltip="An hour before"),
        Binding("end", "minutes(60)", "hour", show=False, key_display="End",
                id="data.hour_later", tooltip="An hour later"),
        Binding("n", "noted", "noted", id="data.noted",
                tooltip="Next minute of the day that was corrected or late, or whose trade ids did not join"),
        Binding("left_curly_bracket", "symbols(-1)", "symbol", show=False, key_display="{",
                id="data.symbols_up", tooltip="Symbol above"),
        Binding("right_curly_bracket", "symbols(1)", "symbol", key_display="}", id="data.symbols_down",
                tooltip="Symbol below"),
        detail_binding("data", "Everything about the symbol"),
    ]  # fmt: skip

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self._calendar = Panel(id="calendar")
        self._day = Panel(id="day")
        self._cursor: int | None = None  # open time of the selected minute, ms
        self._digests: tuple[object, Mapping[str, str]] = (None, {})
        self._minutes: tuple[object, tuple[MinuteState, ...]] = (None, ())
        self._known: dict[tuple[str, int], tuple[object, tuple[DayView, ...]]] = {}  # by symbol and first day

    def panels(self) -> Iterable[Panel]:
        """The calendar, and below it the selected day and minute."""
        return (self._calendar, self._day)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """See :meth:`tui_feeder.screens.base.FeederScreen.place`."""
        return {
            self._calendar: Region(0, 1, size.width, LINES),
            self._day: Region(0, 1 + LINES, size.width, size.height - 2 - LINES),
        }

    def paint(self, snapshot: Snapshot) -> None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.paint`."""
        width, height = self.app.size.width, self.app.size.height - 2 - LINES
        view = self.host.grid.view
        blank = self.palette.strip([], width)
        if view is None:
            self._calendar.show([blank] * LINES)
            self._day.show(text_in_middle("no symbol selected", width, height, self.palette))
            return
        minute = self._minute(snapshot)
        day = minute // DAY_MS * DAY_MS
        year = year_of(day)
        days = self._days(view, year, snapshot)
        self._calendar.show(paint_calendar(view.symbol, year, days, day, width, self.palette))
        lines = self._lines(view, minute, days.get(day), snapshot)
        shown = [self.palette.strip(parts, width) for parts in lines[:height]]
        layout = minute_rows(width, height - max(len(shown), _LEAST_LINES))
        below = []
        if layout is not None:
            states = self._states(view, day, layout.rows * layout.cells, snapshot)
            below = paint_minutes(states, layout, minute, width, self.palette)
        self._day.show(shown + [blank] * (height - len(shown) - len(below)) + below)

    def _minute(self, snapshot: Snapshot) -> int:
        """The selected minute, at first the last one that is over."""
        last = snapshot.exchange_time // MINUTE_MS * MINUTE_MS - MINUTE_MS
        return last if self._cursor is None else min(self._cursor, last)

    def _lines(
        self, view: SymbolView, minute: int, day_view: DayView | None, snapshot: Snapshot
    ) -> list[list[Part]]:
        monitor, day = self.host.monitor, minute // DAY_MS * DAY_MS
        end = min(day + DAY_MS, snapshot.exchange_time // MINUTE_MS * MINUTE_MS)
        sources = monitor.sources(view.symbol, day, end) if end > day else {}
        noted = monitor.noted_minutes(view.symbol, day)
        digests = self._digests_of(view.symbol, day)
        return [
            *day_lines(day, day_view, sources, digests, len(noted), self.palette),
            *minute_lines(
                minute,
                monitor.minute(view.symbol, minute),
                view.price_decimals,
                self.app.size.width,
                self.palette,
            ),
        ]

    def _states(self, view: SymbolView, day: int, count: int, snapshot: Snapshot) -> tuple[MinuteState, ...]:
        """Of the minutes of a day, asked for again when they may be others."""
        today = day + DAY_MS > snapshot.exchange_time
        changes = (view.last_closed, view.stored) if today else view.stored[0]
        key = (view.symbol, day, count, view.missing_minutes, view.state, changes)
        if self._minutes[0] != key:
            found = self.host.monitor.coverage(view.symbol, day, day + DAY_MS, count)
            self._minutes = (key if any_known(found) else None, found)
        return self._minutes[1]

    def _digests_of(self, symbol: str, day: int) -> Mapping[str, str]:
        """Read again every few seconds: they are in files."""
        key = (symbol, day, int(self.host.snapshot.taken_at / _DIGESTS_SECONDS))
        if self._digests[0] != key:
            self._digests = (key, self.host.monitor.digests(symbol, day))
        return self._digests[1]

    def _days(self, view: SymbolView, year: int, snapshot: Snapshot) -> dict[int, DayView]:
        """The days of a year that are known; others come with the next frames."""
        found: dict[int, DayView] = {}
        today = snapshot.exchange_time // DAY_MS * DAY_MS
        first, last, asked = first_day(year), min(first_day(year + 1), today + DAY_MS), 0
        if len(self._known) > 64:  # of other symbols and years
            self._known.clear()
        # The newest days first: they are looked at most.
        for start in reversed(range(first, last, _PART_DAYS * DAY_MS)):
            end = min(start + _PART_DAYS * DAY_MS, last)
            changes = view.last_closed if end > today else (view.stored[0], view.missing_minutes)
            key, known = (view.symbol, start), self._known.get((view.symbol, start))
            if (known is None or known[0] != changes or not known[1]) and asked < _PARTS_A_FRAME:
                asked += 1
                known = self._known[key] = (changes, self.host.monitor.days(view.symbol, start, end))
            if known is not None:
                found.update((day.day, day) for day in known[1])
        return found

    def table(self) -> Table | None:
        """The days of the year."""
        view = self.host.grid.view
        if view is None:
            return None
        year = year_of(self._minute(self.host.snapshot))
        days = self._days(view, year, self.host.snapshot)
        rows = [(cells.date_text(day.day), str(day.state), *day[2:]) for _, day in sorted(days.items())]
        return Table(f"{view.symbol}-days", ("date", *tuple(DayView.__annotations__)[1:]), rows)

    def selected_text(self) -> str:
        """The selected day and minute."""
        view = self.host.grid.view
        if view is None:
            return ""
        minute = self._minute(self.host.snapshot)
        return f"{view.symbol} {cells.date_text(minute)} {cells.clock_text(minute)} UTC"

    def action_days(self, days: int) -> None:
        """Select another day, at the same time of day."""
        self._move(days * _DAY_MINUTES)

    def action_minutes(self, minutes: int) -> None:
        """Select another minute."""
        self._move(minutes)

    def _move(self, minutes: int) -> None:
        self._cursor = max(0, self._minute(self.host.snapshot) + minutes * MINUTE_MS)
        self.draw()

    def action_noted(self) -> None:
        """Select the next minute of the day to which something happened; after the last the first."""
        view = self.host.grid.view
        if view is None:
            return
        minute = self._minute(self.host.snapshot)
        noted = self.host.monitor.noted_minutes(view.symbol, minute // DAY_MS * DAY_MS)
        if not noted:
            self.host.show_note("no minute of this day was corrected or late, and all trade ids join")
            return
        self._cursor = next((at for at in noted if at > minute), noted[0])
        self.draw()

    def action_symbols(self, rows: int) -> None:
        """Select another symbol."""
        self.host.grid.move(rows)
        self.draw()

    def action_gaps(self) -> None:
        """Show gaps and coverage."""
        self.host.show_screen("gaps")
