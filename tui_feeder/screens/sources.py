"""Sinks & sources: sockets, REST weight, archives, the store, and where the messages go."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from tui_feeder.monitor import Snapshot
from tui_feeder.screens.export import Table, streams_table
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.scrolled_list import ScrolledListScreen, scroll_bindings
from tui_feeder.widgets.palette import Part
from tui_feeder.widgets.sources import source_lines


class SourcesScreen(ScrolledListScreen, inherit_bindings=False):
    """Screen 5."""

    BINDINGS: ClassVar[list[BindingType]] = scroll_bindings("sources")

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host, "sources")

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[list[Part]]:
        """See :meth:`tui_feeder.screens.scrolled_list.ScrolledListScreen.lines`."""
        return source_lines(snapshot, width, self.palette, self.host.hz, height)

    def table(self) -> Table:
        """The sockets."""
        snapshot = self.host.snapshot
        trades = () if snapshot.trades is None else snapshot.trades.streams
        return streams_table([*snapshot.streams, *trades])
