"""What screens share that are one list of lines, longer than the terminal or not."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.monitor import Snapshot
from tui_feeder.screens.base import FeederScreen, detail_binding
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.mouse import WHEEL_ROWS
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.panel import Panel
from tui_feeder.widgets.popup import Overlay
from tui_feeder.widgets.sheet import Sheet, wrapped
from tui_feeder.widgets.text_line import with_place

_AGE_SECONDS = 0.95  # ages that change with every frame are of no use
#: Cells of the rules on the sheet of all lines, and by which those that do not fit are set in.
_SHEET, _INDENT = 92, 14


def scroll_bindings(screen: str) -> list[BindingType]:
    """Makes the keys of such a screen.

    Args:
        screen: its name: what the ids of the keys begin with.

    Returns:
        The bindings.
    """
    return [
        detail_binding(screen, "All of it with nothing cut, to read and to copy"),
        Binding("up", "scroll(-1)", "scroll", key_display="↑", id=f"{screen}.up", tooltip="Up"),
        Binding("down", "scroll(1)", "scroll", key_display="↓", id=f"{screen}.down", tooltip="Down"),
        Binding("pageup", "scroll(-10)", "page", show=False, key_display="PgUp", id=f"{screen}.page_up",
                tooltip="A page up"),
        Binding("pagedown", "scroll(10)", "page", show=False, key_display="PgDn", id=f"{screen}.page_down",
                tooltip="A page down"),
    ]  # fmt: skip


class ScrolledListScreen(FeederScreen, inherit_bindings=False):
    """A list of lines, drawn about once a second.

    Args:
        host: the app.
        name: of the panel.
    """

    def __init__(self, host: ScreenHost, name: str) -> None:
        super().__init__(host)
        self._list = Panel(id=name)
        self._title = name.capitalize()
        self._top = 0
        self._painted_at = -math.inf  # local seconds
        self._painted: object = None

    @abstractmethod
    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[list[Part]]:
        """Writes all lines.

        Args:
            snapshot: the newest one.
            width: cells there are.
            height: rows there are.

        Returns:
            The lines from the top.
        """

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
        lines = [row for parts in self.lines(snapshot, width, height) for row in _rows(parts, width)]
        rows = height if len(lines) <= height else height - 1
        self._top = min(self._top, len(lines) - min(rows, len(lines)))
        shown = [self.palette.strip(parts, width) for parts in lines[self._top : self._top + rows]]
        blank = self.palette.strip([], width)
        if rows < height:
            place = cells.range_text(self._top, rows, len(lines))
            blank = with_place([("  arrows scroll", Role.MUTED)], place, width, self.palette)
        self._list.show(shown + [blank] * (height - len(shown)))
        self._painted_at, self._painted = snapshot.taken_at, (self._top, id(self.palette))

    def detail(self) -> Overlay | None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.detail`; of everything on the screen."""
        width = min(_SHEET, self.app.size.width - 8)

        def lines() -> list[list[Part]]:
            return self.lines(self.host.snapshot, width, 1)

        return Sheet(self._title, lines, indent=_INDENT, copy=self.host.copy)

    def wheel_at(self, x: int, y: int, step: int, sideways: bool) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.wheel_at`; scrolls."""
        self.action_scroll(step * WHEEL_ROWS)

    def action_scroll(self, lines: int) -> None:
        """Further up or down."""
        self._top = max(0, self._top + lines)
        self.draw()


def _rows(parts: list[Part], width: int) -> list[list[Part]]:
    """A line on as many rows as it needs."""
    if sum(cell_len(text) for text, _ in parts) <= width:
        return [parts]
    return wrapped(parts, width, _INDENT)
