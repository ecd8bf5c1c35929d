"""A text that lies over a screen to be read: nothing of it is cut, it scrolls, and it can be copied."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from rich.cells import cell_len, chop_cells
from textual.geometry import Region, Size
from textual.strip import Strip

from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.popup import Choice, framed

_WIDEST = 100
_STEPS = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10, "home": -1_000_000, "end": 1_000_000}
_WORD = re.compile(r"\s+|\S+")


class Sheet:
    """Lines to read: the arrows move them, ``y`` copies all of them, any other key closes the sheet.

    Args:
        title: in the frame.
        lines: made for every painting, so that ages in them are current.
        indent: cells that what does not fit on its line is set in by.
        copy: takes the whole text.
        turn: shows what comes before (-1, the left arrow) or after (1); None where nothing does.
    """

    def __init__(
        self,
        title: str,
        lines: Callable[[], Sequence[Sequence[Part]]],
        *,
        indent: int = 0,
        copy: Callable[[str], None] | None = None,
        turn: Callable[[int], None] | None = None,
    ) -> None:
        self.title = title
        self._lines = lines
        self._indent = indent
        self._copy = copy
        self._turn = turn
        self._top = 0

    @property
    def text(self) -> str:
        """All of it, a line each."""
        return "\n".join("".join(text for text, _ in parts).rstrip() for parts in self._lines())

    def press(self, key: str, character: str | None) -> Choice | bool:
        """See :meth:`~tui_feeder.widgets.popup.Overlay.press`."""
        if key in _STEPS:
            self._top = max(0, self._top + _STEPS[key])
            return True
        if character == "y" and self._copy is not None:
            self._copy(self.text)
            return True
        if key in ("left", "right") and self._turn is not None:
            self._turn(-1 if key == "left" else 1)
            self._top = 0
            return True
        return False

    def press_at(self, row: int) -> bool:
        """See :meth:`~tui_feeder.widgets.popup.Pressable.press_at`; stays open."""
        return True

    def _wrapped(self, width: int) -> list[list[Part]]:
        indent = min(self._indent, width // 3)
        return [line for parts in self._lines() for line in wrapped(parts, width, indent)]

    def region(self, size: Size) -> Region:
        """See :meth:`~tui_feeder.widgets.popup.Overlay.region`; as high as its lines, where there is room."""
        width = min(_WIDEST, size.width - (4 if size.width >= 60 else 0))
        wanted = len(self._wrapped(width - 4)) + 2
        above, below = (2, 3) if size.height >= 24 else (0, 1)
        height = min(wanted, size.height - above - below)
        return Region((size.width - width) // 2, above, width, height)

    def paint(self, width: int, height: int, palette: Palette) -> list[Strip]:
        """See :meth:`~tui_feeder.widgets.popup.Overlay.paint`."""
        lines, rows = self._wrapped(width - 4), height - 2
        self._top = min(self._top, max(0, len(lines) - rows))
        shown = [palette.strip(parts, width - 4) for parts in lines[self._top : self._top + rows]]
        shown += [palette.strip([], width - 4)] * (rows - len(shown))
        keys = (
            (" left and right: older, newer," if self._turn else "")
            + (" y copies," if self._copy else "")
            + " esc "
        )
        place = f" {self._top + 1}-{min(self._top + rows, len(lines))} of {len(lines)} lines,"
        foot = keys if len(lines) <= rows else place + keys
        return framed(self.title, shown, foot, width, palette)


def wrapped(parts: Sequence[Part], width: int, indent: int) -> list[list[Part]]:
    """Breaks a line between words, and inside of words that are longer than a line.

    Args:
        parts: texts with their roles.
        width: cells of a line.
        indent: cells that the second and later lines are set in by.

    Returns:
        The lines; at least one.
    """
    lines: list[list[Part]] = [[]]
    used = 0
    for word in _words(parts):
        size = sum(cell_len(text) for text, _ in word)
        if used + size > width and not word[0][0].isspace():
            lines.append([(" " * indent, Role.TEXT)])
            used = indent
        for text, role in word:
            pieces = [text]
            if used + cell_len(text) > width:
                pieces = chop_cells(text, max(1, width - indent))
            for piece in pieces:
                length = cell_len(piece)
                if used + length > width and not piece.isspace():
                    lines.append([(" " * indent, Role.TEXT)])
                    used = indent
                lines[-1].append((piece, role))
                used = min(used + length, width)  # blanks at the end of a line that is broken are cut
    return lines


def _words(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """The words and the blanks between them; a word may have several roles."""
    word: list[Part] = []
    for text, role in parts:
        for piece in _WORD.findall(text):
            if word and word[0][0].isspace() != piece.isspace():
                yield word
                word = []
            word.append((piece, role))
    if word:
        yield word
