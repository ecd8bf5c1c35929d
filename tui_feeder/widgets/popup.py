"""A small list over the screen: commands to look for, faults to switch on, formats to choose from.

It takes every key while it is open; the screen below goes on living.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.geometry import Region, Size
from textual.strip import Strip

from tui_feeder.widgets import cells
from tui_feeder.widgets.ink import Ink, Part, Role

_WIDEST, _MOST_ROWS = 64, 14


@dataclass(frozen=True, slots=True)
class Choice:
    """One line to choose."""

    key: str  # the key that stands for it, shown at its left; in a list that is searched only a reminder
    text: str
    run: Callable[[], object]


class Popup:
    """The list, what is typed, and which line is selected.

    Args:
        title: in the frame.
        choices: lines, the first is selected.
        searched: keys are typed into a search; without it they choose.
    """

    def __init__(self, title: str, choices: Sequence[Choice], *, searched: bool = False) -> None:
        self.title = title
        self.typed = ""
        self._choices = tuple(choices)
        self._searched = searched
        self._at = 0
        self._top = 0

    @property
    def shown(self) -> list[Choice]:
        """The lines that have every word that is typed, those that begin with it first."""
        words = self.typed.lower().split()
        found = [choice for choice in self._choices if all(word in choice.text.lower() for word in words)]
        if words:
            found.sort(key=lambda choice: not choice.text.lower().startswith(words[0]))
        return found

    def press(self, key: str, character: str | None) -> Choice | bool:
        """Take a key: the choice it makes, else whether the list stays open."""
        shown = self.shown
        match key:
            case "escape":
                return False
            case "enter":
                return shown[self._at] if shown else True
            case "up" | "down":
                self._at = min(max(self._at + (1 if key == "down" else -1), 0), max(0, len(shown) - 1))
            case "backspace":
                self.typed, self._at = self.typed[:-1], 0
            case _ if character is not None and character.isprintable():
                if self._searched:
                    self.typed, self._at = self.typed + character, 0
                else:
                    return next((choice for choice in shown if choice.key == character), True)
        return True

    def region(self, size: Size) -> Region:
        """Where it lies on a screen: in the middle, from the third line on."""
        width = min(_WIDEST, size.width - 8)
        height = min(len(self._choices), _MOST_ROWS, size.height - 8) + (3 if self._searched else 2)
        return Region((size.width - width) // 2, 3, width, height)

    def paint(self, width: int, height: int, ink: Ink) -> list[Strip]:
        """The frame and the lines in it: ``height`` strips of ``width`` cells."""
        glyphs = ink.glyphs
        inside = width - 4
        wall: Part = (glyphs.wall, Role.ACCENT)
        head = f"{glyphs.rule * 2} {self.title} "
        strips = [ink.strip([(glyphs.top_left, Role.ACCENT), (head, Role.STRONG),
                             (glyphs.rule * (width - 2 - cell_len(head)) + glyphs.top_right, Role.ACCENT)],
                            width)]  # fmt: skip
        if self._searched:
            search: list[Part] = [("> ", Role.ACCENT), (self.typed, Role.STRONG), ("█", Role.ACCENT)]
            blank = inside - cell_len(self.typed) - 3
            strips.append(
                ink.strip([wall, (" ", Role.TEXT), *search, (" " * (blank + 1), Role.TEXT), wall], width)
            )
        shown = self.shown
        rows = height - len(strips) - 1
        self._top = min(max(self._top, self._at - rows + 1), self._at)
        keys = max((cell_len(choice.key) for choice in self._choices), default=0)
        for index in range(self._top, self._top + rows):
            parts: list[Part] = [(" " * inside, Role.TEXT)]
            if index < len(shown):
                choice = shown[index]
                parts = [(cells.fit(choice.key, keys) + "  ", Role.ACCENT),
                         (cells.fit(choice.text, inside - keys - 2), Role.TEXT)]  # fmt: skip
            elif index == 0:
                parts = [(cells.fit("nothing of that name", inside), Role.MUTED)]
            chosen = index == self._at and index < len(shown)
            line = ink.strip(parts, inside, selected=chosen)
            strips.append(
                Strip.join([ink.strip([wall, (" ", Role.TEXT)], 2), line,
                            ink.strip([(" ", Role.TEXT), wall], 2)])
            )  # fmt: skip
        foot = " enter, esc " if self._searched else " a key or enter, esc "
        strips.append(
            ink.strip([(glyphs.corner + glyphs.rule * 2, Role.ACCENT), (foot, Role.MUTED),
                       (glyphs.rule * (width - 4 - len(foot)) + glyphs.bottom_right, Role.ACCENT)], width)
        )  # fmt: skip
        return strips
