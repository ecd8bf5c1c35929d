"""Painter of the minutes of a day, an hour or two a row: which are there, and where they are from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.strip import Strip

from tui_feeder.monitor import DAY_MS, MINUTE_MS, MinuteState
from tui_feeder.widgets.coverage import legend, state_parts
from tui_feeder.widgets.palette import Palette, Part, Role

_LABEL = 9  # cells of an hour
_OTHERS = 3  # lines beside the rows: title, minutes, legend
_HOUR = 60  # cells of a row of an hour, and of two hours where a cell is two minutes


@dataclass(frozen=True, slots=True)
class MinuteRows:
    """How the minutes of a day are laid out."""

    rows: int
    cells: int  # of a row

    @property
    def lines(self) -> int:
        """Lines that the rows take with title, minutes and legend."""
        return self.rows + _OTHERS


def minute_rows(width: int, height: int) -> MinuteRows | None:
    """Chooses how the minutes of a day are laid out.

    Args:
        width: cells of a line.
        height: lines there are.

    Returns:
        An hour a row, a cell a minute; two hours a row where that has no room; None where neither has.
    """
    if width < _LABEL + _HOUR + 1:
        return None
    if height >= 24 + _OTHERS:
        return MinuteRows(24, _HOUR)
    if height >= 12 + _OTHERS:
        return MinuteRows(12, 2 * _HOUR if width > _LABEL + 2 * _HOUR else _HOUR)
    return None


def paint_minutes(
    states: Sequence[MinuteState], layout: MinuteRows, minute: int, width: int, palette: Palette
) -> list[Strip]:
    """Paints the minutes of a day.

    Args:
        states: of its cells, from midnight UTC on.
        layout: how they are laid out.
        minute: the selected one, open time in ms, which is drawn reversed.
        width: cells of a line.
        palette: styles and symbols.

    Returns:
        ``layout.lines`` strips of ``width`` cells.
    """
    hours = 24 // layout.rows
    step = 10 * 60 * hours // layout.cells  # minutes between two labels: ten cells
    marks = "".join(f"+{at // 60}:{at % 60:02}".ljust(10) for at in range(0, 60 * hours, step))
    title: list[Part] = [
        (palette.glyphs.rule * 2, Role.FAINT), (" minutes of the day ", Role.STRONG),
        ("UTC, a cell a minute " if layout.rows * layout.cells == 1_440 else "UTC, a cell two minutes ",
         Role.MUTED),
    ]  # fmt: skip
    strips = [
        palette.strip(title, width, fill=(palette.glyphs.rule, Role.FAINT)),
        palette.strip([(" " * _LABEL + marks, Role.MUTED)], width),
    ]
    chosen = minute % DAY_MS // MINUTE_MS * layout.rows * layout.cells // 1_440
    for row in range(layout.rows):
        label: Part = (f"  {row * hours:02}:00".ljust(_LABEL), Role.MUTED)
        first, last = row * layout.cells, (row + 1) * layout.cells
        if not first <= chosen < last:
            strips.append(palette.strip([label, *state_parts(states[first:last], palette)], width))
            continue
        at = chosen - first
        strips.append(Strip.join([
            palette.strip([label, *state_parts(states[first:chosen], palette)], _LABEL + at),
            palette.strip(state_parts(states[chosen : chosen + 1], palette), 1, selected=True),
            palette.strip(state_parts(states[chosen + 1 : last], palette), width - _LABEL - at - 1),
        ]))  # fmt: skip
    return [*strips, legend(width, palette)]
