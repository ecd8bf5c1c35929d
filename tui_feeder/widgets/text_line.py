"""Single lines: of text that is being typed, with its cursor, that end in a place, of exact width. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.strip import Strip

from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role


def fitted(parts: Sequence[Part], width: int) -> list[Part]:
    """Cuts or fills up a line, so that something can stand beside it.

    Args:
        parts: of the line.
        width: cells.

    Returns:
        Parts of exactly so many cells.
    """
    found: list[Part] = []
    left = width
    for text, role in parts:
        size = cell_len(text)
        if size > left:
            text, size = cells.fit(text, left), left
        if size:
            found.append((text, role))
        left -= size
    return [*found, (" " * left, Role.TEXT)] if left else found


def whole(parts: Sequence[Part], width: int) -> list[Part]:
    """Leaves out the parts of a line that have no room, so that no number in it is cut.

    Args:
        parts: of the line, each of which can be read by itself; the first is always there.
        width: cells.

    Returns:
        Those that have room.
    """
    found = list(parts[:1])
    used = sum(cell_len(text) for text, _ in found)
    for text, role in parts[1:]:
        size = cell_len(text)
        if used + size <= width:
            found.append((text, role))
            used += size
    return found


def with_place(parts: Sequence[Part], place: str, width: int, palette: Palette) -> Strip:
    """Makes a line at whose right end stands which part of a list is in sight.

    Args:
        parts: of the line, cut where they reach the place.
        place: such as ``31-52 of 600``; "" where all is in sight.
        width: cells.
        palette: styles and symbols.

    Returns:
        One strip.
    """
    if not place:
        return palette.strip(parts, width)
    room = max(0, width - cell_len(place) - 2)
    return Strip.join([palette.strip(parts, room), palette.strip([(f" {place} ", Role.MUTED)], width - room)])


class TextLine:
    """Takes keys as an editor of one line does.

    Args:
        text: to begin with; the cursor stands at its end.
        most: characters that are taken at most; more are ignored.
    """

    def __init__(self, text: str, most: int) -> None:
        self.text = text[:most]
        self.cursor = len(self.text)
        self._most = most

    def replace(self, text: str) -> None:
        """Puts another text in its place, the cursor at the end.

        Args:
            text: cut to what the line can hold.
        """
        self.text = text[: self._most]
        self.cursor = len(self.text)

    def press(self, key: str, character: str | None) -> bool:
        """Takes a key.

        Args:
            key: its name, as Textual has it.
            character: that it types, if any.

        Returns:
            Whether the text is another now.
        """
        before, at = self.text, self.cursor
        match key:
            case "left" | "right":
                self.cursor = min(max(at + (1 if key == "right" else -1), 0), len(before))
            case "home":
                self.cursor = 0
            case "end":
                self.cursor = len(before)
            case "backspace":
                self.text, self.cursor = before[: max(at - 1, 0)] + before[at:], max(at - 1, 0)
            case "ctrl+u":
                self.text, self.cursor = before[at:], 0
            case "delete":
                self.text = before[:at] + before[at + 1 :]
            case _ if character is not None and character.isprintable() and len(before) < self._most:
                self.text, self.cursor = before[:at] + character + before[at:], at + 1
        return self.text != before
