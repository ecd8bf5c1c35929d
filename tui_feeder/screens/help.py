"""Help: every key of the screen behind it, made from the bindings, and what the signs mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.monitor import Snapshot
from tui_feeder.screens.base import FeederScreen, Keys
from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets.cells import fit
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.panel import Panel

_KEY = 12  # cells


class HelpScreen(FeederScreen, inherit_bindings=False):
    """The page behind ``?``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "back", key_display="Esc", id="help.close", tooltip="Back to the screen"),
    ]

    def __init__(self, host: ScreenHost, keys: list[Keys]) -> None:
        super().__init__(host)
        self._listed = keys
        self._text = Panel(id="help")

    def panels(self) -> Iterable[Panel]:
        """One page of text."""
        return (self._text,)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """Everything between the status line and the keys."""
        return {self._text: Region(0, 1, size.width, size.height - 2)}

    def paint(self, snapshot: Snapshot) -> None:
        """Keys on the left, signs and screens on the right."""
        width, height = self.app.size.width, self.app.size.height - 2
        half = width * 5 // 8
        keys: list[list[Part]] = [[("  KEYS", Role.MUTED)]]
        signs: list[list[Part]] = [[("SIGNS", Role.MUTED)], *self._signs()]
        for group in self._listed:
            if group.keys.isdigit():
                signs.append([(fit(group.keys, 8), Role.ACCENT), (group.tooltip, Role.TEXT)])
            else:
                keys.append([(fit("  " + group.keys, _KEY), Role.ACCENT), (group.tooltip, Role.TEXT)])
        palette = self.palette
        strips = []
        for y in range(height):
            left = keys[y] if y < len(keys) else []
            right = signs[y] if y < len(signs) else []
            text = [(fit("".join(text for text, _ in left[1:]), half - _KEY), Role.TEXT)]
            head = left[:1] or [(" " * _KEY, Role.TEXT)]
            strips.append(palette.strip([(fit(head[0][0], _KEY), head[0][1]), *text, *right], width))
        self._text.show(strips)

    def _signs(self) -> list[list[Part]]:
        glyphs = self.palette.glyphs
        pairs = [
            (glyphs.buy, Role.UP, "trend Buy (closed bars)"),
            (glyphs.sell, Role.DOWN, "trend Sell"),
            (glyphs.neutral, Role.FLAT, "trend Neutral"),
            ("?", Role.MUTED, "trend not known yet"),
            (glyphs.unknown, Role.MUTED, "no value yet"),
            ("~", Role.MUTED, "warming up, or bars missing"),
            ("*", Role.WARN, "last bar missing or not whole"),
            ("!", Role.WARN, "late, stale or missing"),
            ("hi", Role.UP, "above the value area"),
            ("in", Role.FLAT, "inside it"),
            ("lo", Role.DOWN, "below it"),
            ("E21-89", Role.TEXT, "distance of the EMAs"),
            ("POC", Role.POC, "price of most volume"),
            ("AGE", Role.TEXT, "seconds since a frame"),
        ]
        return [[(fit(sign, 8), role), (text, Role.TEXT)] for sign, role, text in pairs]

    def action_close(self) -> None:
        """Back to the screen."""
        self.app.pop_screen()
