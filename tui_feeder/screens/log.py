"""Log: what happened, the newest at the bottom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.monitor import Event, Snapshot
from tui_feeder.screens.base import FeederScreen
from tui_feeder.screens.export import Table, events_table
from tui_feeder.widgets.ink import Part, Role
from tui_feeder.widgets.lists import paint_events
from tui_feeder.widgets.panel import Panel

_SHOWN = (
    ("everything", ("info", "warning", "error")),
    ("warnings", ("warning", "error")),
    ("errors", ("error",)),
)
_FIRST = 1_000_000


class LogScreen(FeederScreen, inherit_bindings=False):
    """Screen 6."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll(1)", "scroll", key_display="↑", id="log.up", tooltip="Older"),
        Binding("down", "scroll(-1)", "scroll", key_display="↓", id="log.down", tooltip="Newer"),
        Binding("pageup", "page(1)", "page", show=False, key_display="PgUp", id="log.page_up",
                tooltip="A page older"),
        Binding("pagedown", "page(-1)", "page", show=False, key_display="PgDn", id="log.page_down",
                tooltip="A page newer"),
        Binding("home", f"scroll({_FIRST})", "oldest", show=False, key_display="Home", id="log.oldest",
                tooltip="The oldest"),
        Binding("end", f"scroll(-{_FIRST})", "follow", key_display="End", id="log.follow",
                tooltip="The newest, and follow"),
        Binding("l", "level", "level", id="log.level", tooltip="Everything, warnings, or errors only"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._list = Panel(id="events")
        self._state = Panel(id="state")
        self._level = 0
        self._above = 0  # newer events that are out of sight
        self._newest: Event | None = None

    def panels(self) -> Iterable[Panel]:
        """The list."""
        return (self._list, self._state)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """The list, and below it which part of it is shown."""
        return {
            self._list: Region(0, 1, size.width, size.height - 3),
            self._state: Region(0, size.height - 2, size.width, 1),
        }

    def _events(self, snapshot: Snapshot) -> list[Event]:
        return [event for event in snapshot.events if event.level in _SHOWN[self._level][1]]

    def paint(self, snapshot: Snapshot) -> None:
        """The events in sight; what is being read stays where it is while newer ones come."""
        events = self._events(snapshot)
        if self._above and self._newest in events:
            self._above += len(events) - 1 - events.index(self._newest)
        self._newest = events[-1] if events else None
        self._above = min(self._above, max(0, len(events) - self._height))
        width = self.app.size.width
        self._list.show(paint_events(events, self._above, width, self._height, self.ink))
        shown: list[Part] = [(f" {_SHOWN[self._level][0]}", Role.STRONG)]
        shown.append((f", {self._above} newer below" if self._above else ", the newest last", Role.MUTED))
        self._state.show([self.ink.strip(shown, width)])

    @property
    def _height(self) -> int:
        return self.app.size.height - 3

    def selected_text(self) -> str:
        """The newest line in sight."""
        events = self._events(self.feeder.snapshot)
        shown = events[: len(events) - self._above]
        return "  ".join(str(value) for value in events_table(shown[-1:]).rows[0] if value) if shown else ""

    def table(self) -> Table:
        """The events of the chosen levels."""
        return events_table(self._events(self.feeder.snapshot))

    def action_scroll(self, lines: int) -> None:
        """Older events."""
        most = max(0, len(self._events(self.feeder.snapshot)) - self._height)
        self._above = min(max(0, self._above + lines), most)
        self.draw()

    def action_page(self, pages: int) -> None:
        """A screenful of older events."""
        self.action_scroll(pages * self._height)

    def action_level(self) -> None:
        """More or fewer levels."""
        self._level = (self._level + 1) % len(_SHOWN)
        self._above, self._newest = 0, None
        self.draw()
