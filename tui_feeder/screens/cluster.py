"""Cluster: the workers, the partitions of this one, its takeovers, and what is wrong."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from tui_feeder.monitor import Snapshot
from tui_feeder.screens.export import Table, workers_table
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.scrolled_list import ScrolledListScreen, scroll_bindings
from tui_feeder.widgets.cluster import cluster_lines
from tui_feeder.widgets.palette import Part


class ClusterScreen(ScrolledListScreen, inherit_bindings=False):
    """Screen 7, of the workers of a cluster only."""

    BINDINGS: ClassVar[list[BindingType]] = scroll_bindings("cluster")

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host, "cluster")

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[list[Part]]:
        """See :meth:`tui_feeder.screens.scrolled_list.ScrolledListScreen.lines`."""
        return cluster_lines(snapshot.cluster, snapshot.receivers, width, self.palette)

    def table(self) -> Table | None:
        """The workers."""
        found = self.host.snapshot.cluster
        return None if found is None else workers_table(found.workers)
