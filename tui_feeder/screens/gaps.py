"""Gaps: every hole in the candles, what fills it, and when it is tried next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.monitor import Snapshot
from tui_feeder.screens.base import FeederScreen
from tui_feeder.widgets.ink import Part, Role
from tui_feeder.widgets.lists import gap_reason, paint_gaps
from tui_feeder.widgets.panel import Panel


class GapsScreen(FeederScreen, inherit_bindings=False):
    """Screen 4."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "select", key_display="↑", id="gaps.up", tooltip="Gap above"),
        Binding("down", "move(1)", "select", key_display="↓", id="gaps.down", tooltip="Gap below"),
        Binding("r", "retry", "retry", id="gaps.retry", tooltip="Try the selected symbol again now"),
        Binding("R", "retry_all", "retry all", id="gaps.retry_all", tooltip="Try all symbols again now"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._list = Panel(id="gaps")
        self._detail = Panel(id="gap")
        self._selected: tuple[str, int] | None = None  # symbol and start of a gap

    def panels(self) -> Iterable[Panel]:
        """The list."""
        return (self._list, self._detail)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """The list, and below it what there is to say of the selected gap."""
        return {
            self._list: Region(0, 1, size.width, size.height - 3),
            self._detail: Region(0, size.height - 2, size.width, 1),
        }

    def paint(self, snapshot: Snapshot) -> None:
        """The list as it is now."""
        width, height = self.app.size
        at = self._index(snapshot)
        rate, now = snapshot.clock_rate, snapshot.exchange_time
        self._list.show(paint_gaps(snapshot.gaps, at, now, rate, width, height - 3, self.ink))
        parts: list[Part] = []
        if at >= 0:
            gap = snapshot.gaps[at]
            parts = [(f"  {gap.symbol} ", Role.STRONG), (gap_reason(gap), Role.TEXT)]
        self._detail.show([self.ink.strip(parts, width)])

    def _index(self, snapshot: Snapshot) -> int:
        keys = [(gap.symbol, gap.start) for gap in snapshot.gaps]
        if self._selected not in keys:
            self._selected = keys[0] if keys else None
        return keys.index(self._selected) if self._selected is not None else -1

    def action_move(self, rows: int) -> None:
        """Select another gap."""
        gaps = self.feeder.snapshot.gaps
        if gaps:
            gap = gaps[min(max(self._index(self.feeder.snapshot) + rows, 0), len(gaps) - 1)]
            self._selected = (gap.symbol, gap.start)
            self.draw()

    def action_retry(self) -> None:
        """Ask for the selected symbol's gaps to be tried now."""
        if self._selected is not None:
            self.feeder.monitor.retry_gaps(self._selected[0])
            self.feeder.tell(f"asked to try {self._selected[0]} again")

    def action_retry_all(self) -> None:
        """Ask for all gaps to be tried now."""
        self.feeder.monitor.retry_gaps()
        self.feeder.tell("asked to try every gap again")
