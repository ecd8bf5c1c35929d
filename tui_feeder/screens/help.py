"""Help: every key of the screen behind it, made from the bindings, and what stands on it, in full."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.monitor import Snapshot
from tui_feeder.screens.base import FeederScreen, Keys
from tui_feeder.screens.glossary import Entry
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.mouse import WHEEL_ROWS
from tui_feeder.screens.scanner_layout import LIST_HEIGHT, LIST_WIDTH
from tui_feeder.widgets.cells import fit
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.panel import Panel

_TERM = 13  # cells of a key or term; a longer one has a line of its own
_COLUMN = 70  # cells from which a column of text is read well


class HelpScreen(FeederScreen, inherit_bindings=False):
    """The page behind ``?``.

    Args:
        host: the app.
        keys: of the screen behind it.
        terms: that stand on it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "back", key_display="Esc", id="help.close", tooltip="Back to the screen"),
        Binding("up", "scroll(-1)", "scroll", key_display="↑", id="help.up", tooltip="A line up"),
        Binding("down", "scroll(1)", "scroll", key_display="↓", id="help.down", tooltip="A line down"),
        Binding("pageup", "page(-1)", "page", show=False, key_display="PgUp", id="help.page_up",
                tooltip="A page up"),
        Binding("pagedown", "page(1)", "page", show=False, key_display="PgDn", id="help.page_down",
                tooltip="A page down"),
        Binding("home", "scroll(-100000)", "ends", show=False, key_display="Home", id="help.first",
                tooltip="The beginning"),
        Binding("end", "scroll(100000)", "ends", show=False, key_display="End", id="help.last",
                tooltip="the end"),
    ]  # fmt: skip

    def __init__(self, host: ScreenHost, keys: Sequence[Keys], terms: Sequence[Entry]) -> None:
        super().__init__(host)
        self._listed = keys
        self._terms = terms
        self._text = Panel(id="help")
        self._top = 0

    @property
    def minimum(self) -> Size:
        """It scrolls, so it needs no more than a list."""
        return Size(LIST_WIDTH, LIST_HEIGHT)

    def panels(self) -> Iterable[Panel]:
        """One page of text."""
        return (self._text,)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """See :meth:`tui_feeder.screens.base.FeederScreen.place`."""
        return {self._text: Region(0, 1, size.width, size.height - 2)}

    def paint(self, snapshot: Snapshot) -> None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.paint`."""
        width, height = self.app.size.width, self.app.size.height - 2
        sections = self._sections()
        columns = min(len(sections), max(1, width // _COLUMN))
        across = width // columns
        texts = [self._lines(entries, across) for entries in sections]
        if columns < len(texts):
            texts = [[line for text in texts for line in (*text, [])]]
        longest = max(map(len, texts))
        rows = height - 1 if longest > height else height
        self._top = min(self._top, max(0, longest - rows))
        strips = []
        for y in range(self._top, self._top + rows):
            parts: list[Part] = []
            for text in texts:
                line = text[y] if y < len(text) else []
                used = 0
                for part, role in line:
                    parts.append((part, role))
                    used += len(part)
                parts.append((" " * max(0, across - used), Role.TEXT))
            strips.append(self.palette.strip(parts, width))
        if longest > height:
            place = f"  {self._top + 1}-{min(self._top + rows, longest)} of {longest} lines"
            strips.append(self.palette.strip([(place, Role.MUTED)], width))
        self._text.show(strips)

    def _sections(self) -> list[list[Entry]]:
        keys = [("KEYS", ""), *((group.keys, group.tooltip) for group in self._listed)]
        return [keys, [("ON THIS SCREEN", ""), *self._terms]]

    @staticmethod
    def _lines(entries: Sequence[Entry], width: int) -> list[list[Part]]:
        """Each entry wrapped, its term at the left."""
        lines: list[list[Part]] = []
        for term, text in entries:
            if not text:
                lines.append([(f"  {term}", Role.MUTED)])
                continue
            wrapped = textwrap.wrap(text, max(10, width - _TERM - 4))
            if len(term) > _TERM - 1:
                lines.append([(f"  {term}", Role.ACCENT)])
                term = ""
            for number, line in enumerate(wrapped):
                head = fit("  " + (term if not number else ""), _TERM + 2)
                lines.append([(head, Role.ACCENT), (line, Role.TEXT)])
        return lines

    def wheel_at(self, x: int, y: int, step: int, sideways: bool) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.wheel_at`; scrolls."""
        self.action_scroll(step * WHEEL_ROWS)

    def action_scroll(self, lines: int) -> None:
        """Further up or down."""
        self._top = max(0, self._top + lines)
        self.draw()

    def action_page(self, pages: int) -> None:
        """A screenful further up or down."""
        self.action_scroll(pages * max(1, self.app.size.height - 3))

    def action_close(self) -> None:
        """Back to the screen."""
        self.app.pop_screen()
