"""Log: what happened, the newest at the bottom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.monitor import Event, Snapshot
from tui_feeder.screens.base import FeederScreen, detail_binding, text_in_middle
from tui_feeder.screens.details import event_sheet
from tui_feeder.screens.export import Table, events_table
from tui_feeder.screens.filter_input import FilterInput
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.mouse import WHEEL_ROWS
from tui_feeder.widgets import cells
from tui_feeder.widgets.event_lines import events_in_sight, most_above
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.panel import Panel
from tui_feeder.widgets.pattern import matching
from tui_feeder.widgets.popup import Overlay
from tui_feeder.widgets.text_line import with_place

_SHOWN = (
    ("everything", ("info", "warning", "error")),
    ("warnings", ("warning", "error")),
    ("errors", ("error",)),
)
_FIRST = 1_000_000


class LogScreen(FeederScreen, inherit_bindings=False):
    """Screen 6."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll(1)", "scroll", show=False, key_display="↑", id="log.up",
                tooltip="Older"),
        Binding("down", "scroll(-1)", "scroll", show=False, key_display="↓", id="log.down",
                tooltip="Newer"),
        Binding("pageup", "page(1)", "page", show=False, key_display="PgUp", id="log.page_up",
                tooltip="A page older"),
        Binding("pagedown", "page(-1)", "page", show=False, key_display="PgDn", id="log.page_down",
                tooltip="A page newer"),
        Binding("home", f"scroll({_FIRST})", "oldest", show=False, key_display="Home", id="log.oldest",
                tooltip="The oldest"),
        Binding("end", f"scroll(-{_FIRST})", "follow", key_display="End", id="log.follow",
                tooltip="The newest, and follow"),
        detail_binding("log", "The newest line in sight in full; then left and right turn to others"),
        Binding("slash", "filter", "filter", key_display="/", id="log.filter",
                tooltip="Lines whose symbol or text matches"),
        Binding("o", "only", "only", id="log.only", tooltip="Only the selected symbol, or all"),
        Binding("escape", "clear_filter", "all", show=False, key_display="Esc", id="log.clear_filter",
                tooltip="Every symbol and text"),
        Binding("l", "level", "level", id="log.level", tooltip="Everything, warnings, or errors only"),
    ]  # fmt: skip

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self._list = Panel(id="events")
        self._state = Panel(id="state")
        self._level = 0
        self._above = 0  # newer events that are out of sight
        self._newest: Event | None = None
        self.pattern = ""
        self._only: str | None = None  # symbol
        self.filter: FilterInput = FilterInput(lambda: self)

    def panels(self) -> Iterable[Panel]:
        """The list."""
        return (self._list, self._state)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """See :meth:`tui_feeder.screens.base.FeederScreen.place`."""
        return {
            self._list: Region(0, 1, size.width, size.height - 3),
            self._state: Region(0, size.height - 2, size.width, 1),
        }

    def _events(self, snapshot: Snapshot) -> list[Event]:
        levels, matches = _SHOWN[self._level][1], matching(self.pattern)
        return [
            event
            for event in snapshot.events
            if event.level in levels
            and self._only in (None, event.symbol)
            and matches(f"{event.symbol or ''} {event.text}")
        ]

    def paint(self, snapshot: Snapshot) -> None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.paint`."""
        events = self._events(snapshot)
        if self._above and self._newest in events:
            self._above += len(events) - 1 - events.index(self._newest)
        self._newest = events[-1] if events else None
        self._above = min(self._above, self._most_above(events))
        width, height = self.app.size.width, self._height
        listed = events_in_sight(events, self._above, width, height, self.palette)
        strips = [self.palette.strip(parts, width) for _, parts in listed]
        if not events and (self.pattern or self._only is not None):
            of = f" of {self._only}" if self._only is not None else ""
            words = f' matches "{self.pattern}"' if self.pattern else ""
            end = "" if self.filter.typed is not None else "; Esc shows all"
            text = f"no line{of}{words}{end}"
            strips = text_in_middle(text, width, height, self.palette)
        self._list.show(strips + [self.palette.strip([], width)] * (height - len(strips)))
        what = _SHOWN[self._level][0] + (f" of {self._only}" if self._only is not None else "")
        shown: list[Part] = [(f" {what}", Role.STRONG)]
        if not events:
            shown.append((f", none of the {len(snapshot.events)} lines kept", Role.MUTED))
            self._state.show([self.palette.strip(shown, width)])
            return
        shown.append((f", {self._above} newer below" if self._above else ", the newest last", Role.MUTED))
        first, last = listed[0][0], listed[-1][0]
        place = cells.range_text(first, last - first + 1, len(events))
        self._state.show([with_place(shown, place, width, self.palette)])

    @property
    def _height(self) -> int:
        return self.app.size.height - 3

    def _most_above(self, events: Sequence[Event]) -> int:
        return most_above(events, self.app.size.width, self._height, self.palette)

    def detail(self) -> Overlay | None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.detail`; of the newest line in sight."""
        events = self._events(self.host.snapshot)
        return event_sheet(self.host, events, len(events) - 1 - self._above) if events else None

    def selected_text(self) -> str:
        """The newest line in sight."""
        events = self._events(self.host.snapshot)
        shown = events[: len(events) - self._above]
        return "  ".join(str(value) for value in events_table(shown[-1:]).rows[0] if value) if shown else ""

    def table(self) -> Table:
        """The events of the chosen levels."""
        return events_table(self._events(self.host.snapshot))

    def press_at(self, x: int, y: int) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.press_at`; opens the line that is pressed."""
        events, listed = self._events(self.host.snapshot), self.plan[self._list]
        rows = events_in_sight(events, self._above, listed.width, listed.height, self.palette)
        if listed.contains(x, y) and y - listed.y < len(rows):
            self.open_popup(event_sheet(self.host, events, rows[y - listed.y][0]))

    def wheel_at(self, x: int, y: int, step: int, sideways: bool) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.wheel_at`; scrolls."""
        self.action_scroll(-step * WHEEL_ROWS)

    def action_scroll(self, lines: int) -> None:
        """Older events."""
        most = self._most_above(self._events(self.host.snapshot))
        self._above = min(max(0, self._above + lines), most)
        self.draw()

    def action_page(self, pages: int) -> None:
        """A screenful of older or newer events."""
        events, width = self._events(self.host.snapshot), self.app.size.width
        listed = events_in_sight(events, self._above, width, self._height, self.palette)
        self.action_scroll(pages * len({at for at, _ in listed}))

    def set_filter(self, pattern: str) -> str | None:
        """See :meth:`tui_feeder.screens.filter_input.Filterable.set_filter`."""
        try:
            matching(pattern)
        except ValueError as fault:
            return str(fault)
        self.pattern = pattern
        self._follow()
        return None

    def action_level(self) -> None:
        """More or fewer levels."""
        self._level = (self._level + 1) % len(_SHOWN)
        self._follow()
        self.draw()

    def action_filter(self) -> None:
        """Begin to type a pattern."""
        self.filter.begin()
        self.draw()

    def action_only(self) -> None:
        """The events of the selected symbol, or of all."""
        self._only = self.host.grid.selected if self._only is None else None
        self._follow()
        self.draw()

    def action_clear_filter(self) -> None:
        """Every symbol and text."""
        self._only = None
        self.filter.clear()
        self.draw()

    def _follow(self) -> None:
        self._above, self._newest = 0, None
