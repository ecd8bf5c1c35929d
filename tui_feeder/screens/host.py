"""What a screen may use of the app that shows it: choices, the newest snapshot, and a few actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tui_feeder.monitor import ConfiguredValue, Monitor, Snapshot
from tui_feeder.scanner.watchlists import UserLists
from tui_feeder.widgets.grid import Grid
from tui_feeder.widgets.palette import Palette, Part
from tui_feeder.widgets.popup import Overlay
from tui_feeder.widgets.themes import Themes


class ScreenHost(Protocol):
    """The app as its screens see it."""

    monitor: Monitor
    snapshot: Snapshot  # the one shown
    grid: Grid  # order, filter and selection of the symbols, for all screens
    timeframe: int  # of the chart, seconds
    hz: float  # ticks a second
    frozen: bool  # the display is held still
    note: str  # shown instead of the keys; "" for none
    keys_edition: int  # another number whenever the keys have changed

    @property
    def configuration(self) -> Sequence[ConfiguredValue]:
        """Every value in force."""
        ...

    @property
    def palette(self) -> Palette:
        """Styles and symbols in force."""
        ...

    @property
    def themes(self) -> Themes:
        """The themes there are."""
        ...

    def show_note(self, text: str, seconds: float = 2.0) -> None:
        """Show a text in the place of the keys.

        Args:
            text: one line.
            seconds: how long it stays.
        """
        ...

    def select(self, symbol: str) -> None:
        """Select a symbol, and drop a filter that hides it."""
        ...

    @property
    def market(self) -> Sequence[Sequence[Part]]:
        """Breadth and movers for the first line."""
        ...

    def sort_by(self, field: str) -> None:
        """Order the overview by a field; empty for the order of the configuration."""
        ...

    def then_by(self, field: str) -> None:
        """Order those that are equal by another field."""
        ...

    def set_filter(self, text: str) -> str | None:
        """Show the symbols that pass a filter; what is wrong with it, else None."""
        ...

    def change_lists(self, change: Callable[[UserLists], UserLists]) -> str | None:
        """Change watchlists, pins or notes and keep them; what is wrong with that, else None."""
        ...

    def open_overlay(self, overlay: Overlay) -> None:
        """Lay something over the screen in front."""
        ...

    def acknowledge_alerts(self) -> None:
        """Acknowledge every alert."""
        ...

    def set_timeframe(self, timeframe: int) -> None:
        """Show another timeframe, seconds."""
        ...

    def step_timeframe(self, step: int) -> None:
        """The next longer or shorter timeframe."""
        ...

    def set_theme(self, name: str) -> None:
        """Draw with another theme."""
        ...
