"""What lies over a screen: a list to choose from (commands, faults, formats), or a text to read.

It takes every key while it is open; the screen below goes on living.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rich.cells import cell_len
from textual.geometry import Region, Size
from textual.strip import Strip

from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.text_line import TextLine

_WIDEST, _MOST_ROWS = 64, 14
_LABEL = 7  # cells before a paragraph


class Overlay(Protocol):
    """Something that lies over a screen."""

    def press(self, key: str, character: str | None) -> Choice | bool:
        """Handles a key.

        Args:
            key: Textual's name of the key.
            character: what it types, if anything.

        Returns:
            The choice made, else True to stay open and False to close.
        """
        ...

    def region(self, size: Size) -> Region:
        """Computes where it lies.

        Args:
            size: of the screen, cells.

        Returns:
            The region.
        """
        ...

    def paint(self, width: int, height: int, palette: Palette) -> list[Strip]:
        """Paints frame and content.

        Args:
            width: cells of a strip.
            height: number of strips.
            palette: styles and symbols.

        Returns:
            The strips.
        """
        ...


@runtime_checkable
class Pressable(Protocol):
    """An overlay that a press beside it takes away, and whose lines can be pressed."""

    def press_at(self, row: int) -> Choice | bool:
        """Handles a press of the mouse.

        Args:
            row: from the top of the overlay.

        Returns:
            As of :meth:`Overlay.press`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """One line to choose."""

    key: str  # the key that stands for it, shown at its left; in a list that is searched only a reminder
    text: str
    run: Callable[[], object]
    also: str = ""  # more words that a search finds it by
    on_tab: Callable[[], object] | None = None  # what Tab does with it
    on_delete: Callable[[], object] | None = None  # what Delete does with it


def framed(title: str, lines: Iterable[Strip], foot: str, width: int, palette: Palette) -> list[Strip]:
    """Puts a frame around lines, with a title above and a hint below.

    Args:
        title: the title.
        lines: strips of ``width - 4`` cells.
        foot: the hint.
        width: cells of the frame.
        palette: styles and symbols.

    Returns:
        The strips.
    """
    glyphs = palette.glyphs
    head = f"{glyphs.rule * 2} {title} "
    left: list[Part] = [(glyphs.wall, Role.ACCENT), (" ", Role.TEXT)]
    sides = palette.strip(left, 2), palette.strip(left[::-1], 2)
    return [
        palette.strip([(glyphs.top_left, Role.ACCENT), (head, Role.STRONG),
                   (glyphs.rule * (width - 2 - cell_len(head)) + glyphs.top_right, Role.ACCENT)], width),
        *(Strip.join([sides[0], line, sides[1]]) for line in lines),
        palette.strip([(glyphs.corner + glyphs.rule * 2, Role.ACCENT), (foot, Role.MUTED),
                   (glyphs.rule * (width - 4 - cell_len(foot)) + glyphs.bottom_right, Role.ACCENT)], width),
    ]  # fmt: skip


class Popup:
    """A list, what is typed, and which line is selected.

    Args:
        title: in the frame.
        choices: lines.
        searched: keys are typed into a search; without it they choose.
        text: paragraphs above the choices, each with a label.
        foot: what the keys do; left out, a general text.
        widest: cells of the frame at most.
        selected: number of the line that is selected first.
        empty: in the place of choices where there is none, whatever is typed.
    """

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        *,
        searched: bool = False,
        text: Sequence[tuple[str, str]] = (),
        foot: str = "",
        widest: int = _WIDEST,
        empty: str = "there is none",
        selected: int = 0,
    ) -> None:
        self.title = title
        self.typed = ""
        self._choices = tuple(choices)
        self._searched = searched
        self._text = tuple(text)
        self._foot = foot or (" enter, esc " if searched else " a key or enter, esc ")
        self._widest = widest
        self._empty = empty
        self._at = selected
        self._top = 0
        self._first_row = 0  # of the choices, from the top of the frame

    @property
    def shown(self) -> list[Choice]:
        """The lines that have every word that is typed, those that begin with it first."""
        words = self.typed.lower().split()
        found = [
            choice
            for choice in self._choices
            if all(word in f"{choice.text} {choice.also}".lower() for word in words)
        ]
        if words:
            found.sort(key=lambda choice: not choice.text.lower().startswith(words[0]))
        return found

    def press(self, key: str, character: str | None) -> Choice | bool:
        """See :meth:`Overlay.press`."""
        shown = self.shown
        chosen = shown[self._at] if shown else None
        match key:
            case "escape":
                return False
            case "enter":
                return chosen or True
            case "tab" | "delete":
                other = chosen and (chosen.on_tab if key == "tab" else chosen.on_delete)
                return Choice("", "", other) if other else True
            case "up" | "down" | "pageup" | "pagedown":
                step = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10}[key]
                self._at = min(max(self._at + step, 0), max(0, len(shown) - 1))
            case "backspace":
                self.typed, self._at = self.typed[:-1], 0
            case _ if character is not None and character.isprintable():
                if self._searched:
                    self.typed, self._at = self.typed + character, 0
                else:
                    return next((choice for choice in shown if choice.key == character), True)
        return True

    def press_at(self, row: int) -> Choice | bool:
        """See :meth:`Pressable.press_at`; chooses the line."""
        shown, at = self.shown, self._top + row - self._first_row
        return shown[at] if row >= self._first_row and at < len(shown) else True

    def region(self, size: Size) -> Region:
        """See :meth:`Overlay.region`; in the middle, or the whole of a small terminal."""
        width = min(self._widest, size.width - (8 if size.width >= 60 else 0))
        above = len(self._above(width - 4)) + self._searched
        height = min(max(1, len(self._choices)), _MOST_ROWS) + above + 2
        if height <= size.height - 5:
            return Region((size.width - width) // 2, 3, width, height)
        height = min(height, size.height)
        return Region((size.width - width) // 2, (size.height - height) // 2, width, height)

    def _above(self, width: int) -> list[list[Part]]:
        """The paragraphs, wrapped, and a blank line below them."""
        lines: list[list[Part]] = []
        for label, text in self._text:
            for number, line in enumerate(textwrap.wrap(text, max(10, width - _LABEL))):
                lines.append([(cells.fit("" if number else label, _LABEL), Role.WARN), (line, Role.TEXT)])
        return [*lines, []] if lines else []

    def paint(self, width: int, height: int, palette: Palette) -> list[Strip]:
        """See :meth:`Overlay.paint`."""
        shown = self.shown
        bare = height < min(len(self._choices), 2) + 2  # no room for a frame: what can be chosen goes first
        inside, room = (width, height) if bare else (width - 4, height - 2)
        rows = min(max(1, len(self._choices)), _MOST_ROWS, room - self._searched)
        above = self._above(inside)
        if len(above) > room - rows - self._searched:
            above = above[: max(0, room - rows - self._searched)]
        lines = [palette.strip(parts, inside) for parts in above]
        if self._searched:
            search: list[Part] = [("> ", Role.ACCENT), (self.typed, Role.STRONG), ("█", Role.ACCENT)]
            lines.append(palette.strip(search, inside))
        rows = room - len(lines)
        self._top = min(max(self._top, self._at - rows + 1), self._at)
        self._first_row = len(lines) + (not bare)
        keys = max((cell_len(choice.key) for choice in self._choices), default=0)
        for index in range(self._top, self._top + rows):
            parts: list[Part] = []
            if index < len(shown):
                choice = shown[index]
                parts = [(cells.fit(choice.key, keys) + "  ", Role.ACCENT),
                         (cells.fit(choice.text, max(0, inside - keys - 2)), Role.TEXT)]  # fmt: skip
            elif index == 0:
                none = f'no line has "{self.typed.strip()}"; backspace widens the search'
                parts = [(none if self._choices else self._empty, Role.MUTED)]
            lines.append(palette.strip(parts, inside, selected=index == self._at and index < len(shown)))
        if bare:
            return lines[:height]
        foot = self._foot
        if len(shown) > rows:
            foot = f" {self._top + 1}-{min(self._top + rows, len(shown))} of {len(shown)} {foot.lstrip()}"
        return framed(self.title, lines, foot, width, palette)


class Prompt:
    """One line that is typed in answer to a question.

    Args:
        title: in the frame.
        text: to begin with.
        most: characters of it.
        hint: below the line.
        take: takes the answer; what is wrong with it, in which case it stays open, else None.
    """

    def __init__(
        self, title: str, text: str, most: int, hint: str, take: Callable[[str], str | None]
    ) -> None:
        self.title = title
        self._line = TextLine(text, most)
        self._hint = hint
        self._take = take
        self._fault = ""

    def press(self, key: str, character: str | None) -> Choice | bool:
        """See :meth:`Overlay.press`."""
        if key == "escape":
            return False
        if key == "enter":
            self._fault = self._take(self._line.text) or ""
            return bool(self._fault)
        if self._line.press(key, character):
            self._fault = ""
        return True

    def region(self, size: Size) -> Region:
        """See :meth:`Overlay.region`; in the middle."""
        width = min(_WIDEST, size.width - (8 if size.width >= 60 else 0))
        height = min(4, size.height)
        return Region((size.width - width) // 2, min(3, size.height - height), width, height)

    def paint(self, width: int, height: int, palette: Palette) -> list[Strip]:
        """See :meth:`Overlay.paint`; the line with its cursor, and the hint or the error."""
        inside = width - 4
        text, at = self._line.text, self._line.cursor
        first = max(0, at - inside + 3)  # the cursor stays in sight
        line: list[Part] = [("> ", Role.ACCENT), (text[first:at], Role.STRONG), ("█", Role.ACCENT),
                            (text[at:], Role.STRONG)]  # fmt: skip
        below: Part = (self._fault, Role.WARN) if self._fault else (self._hint, Role.MUTED)
        lines = [palette.strip(line, inside), palette.strip([below], inside)]
        return framed(self.title, lines[: max(1, height - 2)], " enter, esc ", width, palette)[:height]
