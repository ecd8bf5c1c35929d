"""Alerts that have just gone off, for a while in the upper right corner."""

from __future__ import annotations

import math

from textual.geometry import Region, Size
from textual.strip import Strip

from tui_feeder.monitor import AlertView, Snapshot
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.popup import framed

_SECONDS = 10.0
_MOST = 4
_WIDEST = 56


class Toasts:
    """Which alerts are shown; those from before the screen began are not."""

    def __init__(self) -> None:
        self.shown: tuple[AlertView, ...] = ()
        self._known: int | None = None  # number of the newest alert seen
        self._until = -math.inf  # of the newest; local seconds

    def take(self, snapshot: Snapshot) -> bool:
        """Look for new alerts; whether the bell should ring."""
        newest = snapshot.alerts[-1].number if snapshot.alerts else 0
        if self._known is None:
            self._known = newest
        if newest < self._known:  # the feeder has restarted, and counts from one
            self._known = 0
        fresh = tuple(alert for alert in snapshot.alerts if alert.number > self._known)
        self._known = newest
        if fresh:
            self.shown = (*self.shown, *fresh)[-_MOST:]
            self._until = snapshot.taken_at + _SECONDS
        elif self.shown and snapshot.taken_at >= self._until:
            self.shown = ()
        return any(alert.rings for alert in fresh)

    def clear(self) -> None:
        """Take them away."""
        self.shown = ()

    def region(self, size: Size) -> Region:
        """Below the status line, at the right."""
        width = min(_WIDEST, size.width - 20)
        return Region(size.width - width - 1, 1, width, len(self.shown) + 2)

    def paint(self, width: int, palette: Palette) -> list[Strip]:
        """The alerts in a frame, the newest last."""
        lines = []
        for alert in self.shown:
            parts: list[Part] = [("! ", Role.WARN), (cells.clock_text(alert.at) + " ", Role.MUTED)]
            if alert.symbol is not None and alert.symbol not in alert.text:
                parts.append((alert.symbol + " ", Role.STRONG))
            parts.append((alert.text, Role.TEXT))
            lines.append(palette.strip(parts, width - 4))
        return framed("Alert", lines, " 6 for the log ", width, palette)
