"""The one kind of widget on the screens: a stack of strips that repaints only what differs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class JoinedStrips:
    """Strips side by side, joined again only where one of a pair is another than before."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Strip, Strip]] = []
        self._joined: list[Strip] = []

    def join(self, left: Sequence[Strip], right: Sequence[Strip]) -> list[Strip]:
        """Joins each strip with the one beside it.

        Args:
            left: as many as ``right``.
            right: beside them.

        Returns:
            A strip for each pair.

        Raises:
            ValueError: one side has more.
        """
        pairs = list(zip(left, right, strict=True))
        known = zip(self._pairs, self._joined, strict=True)
        joined = [
            strip if old[0] is new[0] and old[1] is new[1] else Strip.join(new)
            for new, (old, strip) in zip(pairs, known, strict=False)
        ]
        joined += [Strip.join(pair) for pair in pairs[len(joined) :]]
        self._pairs, self._joined = pairs, joined
        return joined


class Panel(Widget):
    """Shows strips as they are. It knows nothing of what they mean.

    A line is sent to the terminal from its first changed cell up to its last, so what changes by itself
    belongs in a panel of its own.
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.strips: list[Strip] = []
        self.changes: dict[Widget, list[Region]] | None = None

    def show(self, strips: Sequence[Strip]) -> None:
        """Replaces the strips and repaints what differs; a screen that set ``changes`` repaints these.

        Args:
            strips: one a line.
        """
        before, self.strips = self.strips, list(strips)
        if len(before) != len(self.strips):
            self.refresh()
            return
        dirty: list[Region] = []
        for y, (old, new) in enumerate(zip(before, self.strips, strict=True)):
            if old is not new and (changed := difference(old, new)) is not None:
                x, end = changed
                if dirty and dirty[-1].bottom == y and dirty[-1].column_span == changed:
                    dirty[-1] = Region(x, dirty[-1].y, end - x, dirty[-1].height + 1)
                else:
                    dirty.append(Region(x, y, end - x, 1))
        if dirty and self.changes is not None:
            self.changes.setdefault(self, []).extend(dirty)
        elif dirty:
            self.refresh(*dirty)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The strips in ``crop`` as they are: without borders and styles of its own it needs no more."""
        left, right = crop.column_span
        lines = map(self.render_line, crop.line_range)
        return [line if right - left == line.cell_length else line.crop(left, right) for line in lines]

    def render_line(self, y: int) -> Strip:
        """The strip at ``y``, blank below the last."""
        return self.strips[y] if y < len(self.strips) else Strip.blank(self.size.width)


def difference(old: Strip, new: Strip) -> tuple[int, int] | None:
    """Finds the stretch in which two strips differ.

    Args:
        old: a strip.
        new: a strip.

    Returns:
        The first cell and the end of it, by whole pieces of one style; None if they are the same.
    """
    if old.cell_length != new.cell_length:
        return 0, max(old.cell_length, new.cell_length)
    before, after = list(old), list(new)
    begin, end = 0, new.cell_length
    for old_segment, new_segment in zip(before, after, strict=False):
        if old_segment != new_segment:
            break
        begin += new_segment.cell_length
    if begin == end:
        return None
    for old_segment, new_segment in zip(reversed(before), reversed(after), strict=False):
        if old_segment != new_segment:
            break
        end -= new_segment.cell_length
    return begin, end
