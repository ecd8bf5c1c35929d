"""What a screen may use of the app that shows it: choices, the newest snapshot, and a few actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

from tui_feeder.monitor import ConfiguredValue, Monitor, Snapshot
from tui_feeder.scanner.watchlists import UserLists
from tui_feeder.widgets.color_themes.themes import Themes
from tui_feeder.widgets.overview_grid import Grid
from tui_feeder.widgets.palette import Palette, Part
from tui_feeder.widgets.popup import Overlay


class ScreenHost(Protocol):
    """The app as its screens see it."""

    monitor: Monitor
    snapshot: Snapshot  # the one shown
    grid: Grid  # order, filter and selection of the symbols, for all screens
    timeframe: int  # of the chart, seconds
    hz: float  # ticks a second
    mouse: bool  # clicks, drags and the wheel are taken
    frozen: bool  # the display is held still
    beside: str | None  # a second symbol whose charts are shown beside those of the selected one
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
        """Selects a symbol, and clears a filter that hides it.

        Args:
            symbol: the symbol.
        """
        ...

    @property
    def market(self) -> Sequence[Sequence[Part]]:
        """Breadth and movers for the first line."""
        ...

    def sort_by(self, field: str) -> None:
        """Sorts the overview.

        Args:
            field: name of the sort key; empty for the order of the configuration.
        """
        ...

    def then_by(self, field: str) -> None:
        """Sets the second sort key.

        Args:
            field: name of the sort key.
        """
        ...

    def set_filter(self, text: str) -> str | None:
        """Shows only the symbols that pass a filter.

        Args:
            text: the filter.

        Returns:
            What is wrong with it; None if it was taken.
        """
        ...

    def change_lists(self, change: Callable[[UserLists], UserLists]) -> str | None:
        """Changes watchlists, pins or notes and saves them.

        Args:
            change: makes the new lists of the present ones.

        Returns:
            What is wrong; None if they are saved.
        """
        ...

    def open_overlay(self, overlay: Overlay) -> None:
        """Opens something over the screen in front.

        Args:
            overlay: what to open.
        """
        ...

    def copy(self, text: str) -> None:
        """Copies a text to the terminal's clipboard.

        Args:
            text: one line or several.
        """
        ...

    def close_overlay(self, overlay: Overlay) -> None:
        """Takes something away that lies over the screen in front, if it still does.

        Args:
            overlay: what to take away.
        """
        ...

    def when_done(self, change: Future[str], then: Callable[[str], None]) -> None:
        """Waits for a change without holding up the screen.

        Args:
            change: that was asked of the monitor.
            then: called with its result, or with the error it ended with.
        """
        ...

    def acknowledge_alerts(self) -> None:
        """Acknowledge every alert."""
        ...

    def set_timeframe(self, timeframe: int) -> None:
        """Shows another timeframe.

        Args:
            timeframe: seconds.
        """
        ...

    def step_timeframe(self, step: int) -> None:
        """Shows a longer or shorter timeframe.

        Args:
            step: timeframes up; below 0 down.
        """
        ...

    def show_screen(self, mode: str) -> None:
        """Goes to a screen.

        Args:
            mode: its name, as ``overview``.
        """
        ...

    def set_theme(self, name: str) -> None:
        """Switches to another theme.

        Args:
            name: of the theme.
        """
        ...
