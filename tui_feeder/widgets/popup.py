"""What lies over a screen: a list to choose from (commands, faults, formats), or a sheet to read.

It takes every key while it is open; the screen below goes on living.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.cells import cell_len
from textual.geometry import Region, Size
from textual.strip import Strip

from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role

_WIDEST, _MOST_ROWS = 64, 14
_WIDEST_SHEET = 100


class Overlay(Protocol):
    """Something that lies over a screen."""

    def press(self, key: str, character: str | None) -> Choice | bool:
        """Take a key: the choice it makes, else whether it stays open."""
        ...

    def region(self, size: Size) -> Region:
        """Where it lies on a screen of ``size``."""
        ...

    def paint(self, width: int, height: int, palette: Palette) -> list[Strip]:
        """The frame and the lines in it: ``height`` strips of ``width`` cells."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """One line to choose."""

    key: str  # the key that stands for it, shown at its left; in a list that is searched only a reminder
    text: str
    run: Callable[[], object]


def framed(title: str, lines: Iterable[Strip], foot: str, width: int, palette: Palette) -> list[Strip]:
    """Lines of ``width - 4`` cells in a frame of ``width``, with a title above and a hint below."""
    glyphs = palette.glyphs
    head = f"{glyphs.rule * 2} {title} "
    left: list[Part] = [(glyphs.wall, Role.ACCENT), (" ", Role.TEXT)]
    sides = palette.strip(left, 2), palette.strip(left[::-1], 2)
    return [
        palette.strip([(glyphs.top_left, Role.ACCENT), (head, Role.STRONG),
                   (glyphs.rule * (width - 2 - cell_len(head)) + glyphs.top_right, Role.ACCENT)], width),
        *(Strip.join([sides[0], line, sides[1]]) for line in lines),
        palette.strip([(glyphs.corner + glyphs.rule * 2, Role.ACCENT), (foot, Role.MUTED),
                   (glyphs.rule * (width - 4 - len(foot)) + glyphs.bottom_right, Role.ACCENT)], width),
    ]  # fmt: skip


class Popup:
    """A list, what is typed, and which line is selected.

    Args:
        title: in the frame.
        choices: lines, the first is selected.
        searched: keys are typed into a search; without it they choose.
        text: lines above the choices.
    """

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        *,
        searched: bool = False,
        text: Sequence[Sequence[Part]] = (),
    ) -> None:
        self.title = title
        self.typed = ""
        self._choices = tuple(choices)
        self._searched = searched
        self._text = tuple(text)
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
        """In the middle, from the third line on."""
        width = min(_WIDEST, size.width - 8)
        above = len(self._text) + (1 if self._searched else 0)
        height = min(min(len(self._choices), _MOST_ROWS) + above, size.height - 7) + 2
        return Region((size.width - width) // 2, 3, width, height)

    def paint(self, width: int, height: int, palette: Palette) -> list[Strip]:
        """The frame and the lines in it: ``height`` strips of ``width`` cells."""
        inside = width - 4
        lines = [palette.strip(parts, inside) for parts in self._text]
        if self._searched:
            search: list[Part] = [("> ", Role.ACCENT), (self.typed, Role.STRONG), ("█", Role.ACCENT)]
            lines.append(palette.strip(search, inside))
        shown = self.shown
        rows = height - len(lines) - 2
        self._top = min(max(self._top, self._at - rows + 1), self._at)
        keys = max((cell_len(choice.key) for choice in self._choices), default=0)
        for index in range(self._top, self._top + rows):
            parts: list[Part] = []
            if index < len(shown):
                choice = shown[index]
                parts = [(cells.fit(choice.key, keys) + "  ", Role.ACCENT),
                         (cells.fit(choice.text, inside - keys - 2), Role.TEXT)]  # fmt: skip
            elif index == 0:
                parts = [("nothing of that name", Role.MUTED)]
            lines.append(palette.strip(parts, inside, selected=index == self._at and index < len(shown)))
        foot = " enter, esc " if self._searched else " a key or enter, esc "
        return framed(self.title, lines, foot, width, palette)


class Sheet:
    """Lines to read; the arrows move them, any other key takes the sheet away.

    Args:
        title: in the frame.
        lines: made for every painting, so that ages in them are current.
    """

    def __init__(self, title: str, lines: Callable[[], Sequence[Sequence[Part]]]) -> None:
        self.title = title
        self._lines = lines
        self._top = 0

    def press(self, key: str, character: str | None) -> Choice | bool:
        """Scroll, or close."""
        step = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10}.get(key)
        if step is not None:
            self._top = max(0, self._top + step)
        return step is not None

    def region(self, size: Size) -> Region:
        """In the middle, as wide as there is room and as high as its lines."""
        width = min(_WIDEST_SHEET, size.width - 4)
        height = min(len(self._lines()) + 2, size.height - 5)
        return Region((size.width - width) // 2, 2, width, height)

    def paint(self, width: int, height: int, palette: Palette) -> list[Strip]:
        """The frame and as many lines as it holds."""
        lines, rows = self._lines(), height - 2
        self._top = min(self._top, max(0, len(lines) - rows))
        shown = [palette.strip(parts, width - 4) for parts in lines[self._top : self._top + rows]]
        shown += [palette.strip([], width - 4)] * (rows - len(shown))
        more = len(lines) - rows - self._top
        foot = f" {more} more below, esc " if more > 0 else " esc "
        return framed(self.title, shown, foot, width, palette)
