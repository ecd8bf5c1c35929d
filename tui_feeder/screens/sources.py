"""Sinks & sources: sockets, REST weight, archives, the store, and where the messages go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.monitor import Snapshot
from tui_feeder.screens.base import FeederScreen
from tui_feeder.screens.export import Table, streams_table
from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Role
from tui_feeder.widgets.panel import Panel
from tui_feeder.widgets.sources import source_lines
from tui_feeder.widgets.text_line import with_place

_AGE_SECONDS = 0.95  # ages that change with every frame are of no use


class SourcesScreen(FeederScreen, inherit_bindings=False):
    """Screen 5."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll(-1)", "scroll", key_display="↑", id="sources.up", tooltip="Up"),
        Binding("down", "scroll(1)", "scroll", key_display="↓", id="sources.down", tooltip="Down"),
        Binding("pageup", "scroll(-10)", "page", show=False, key_display="PgUp", id="sources.page_up",
                tooltip="A page up"),
        Binding("pagedown", "scroll(10)", "page", show=False, key_display="PgDn", id="sources.page_down",
                tooltip="A page down"),
    ]  # fmt: skip

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self._list = Panel(id="sources")
        self._top = 0
        self._painted_at = -math.inf  # local seconds
        self._painted: object = None

    def panels(self) -> Iterable[Panel]:
        """One list."""
        return (self._list,)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """See :meth:`tui_feeder.screens.base.FeederScreen.place`."""
        self._painted = None
        return {self._list: Region(0, 1, size.width, size.height - 2)}

    def paint(self, snapshot: Snapshot) -> None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.paint`."""
        width, height = self.app.size.width, self.app.size.height - 2
        key = (self._top, id(self.palette))
        if key == self._painted and snapshot.taken_at - self._painted_at < _AGE_SECONDS:
            return
        lines = source_lines(snapshot, width, self.palette, self.host.hz, height)
        rows = height if len(lines) <= height else height - 1
        self._top = min(self._top, len(lines) - min(rows, len(lines)))
        shown = [self.palette.strip(parts, width) for parts in lines[self._top : self._top + rows]]
        blank = self.palette.strip([], width)
        if rows < height:
            place = cells.range_text(self._top, rows, len(lines))
            blank = with_place([("  arrows scroll", Role.MUTED)], place, width, self.palette)
        self._list.show(shown + [blank] * (height - len(shown)))
        self._painted_at, self._painted = snapshot.taken_at, (self._top, id(self.palette))

    def table(self) -> Table:
        """The sockets."""
        return streams_table(self.host.snapshot.streams)

    def action_scroll(self, lines: int) -> None:
        """Further up or down."""
        self._top = max(0, self._top + lines)
        self.draw()
