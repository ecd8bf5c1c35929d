"""Painter of coverage: what is stored of every symbol in the last day and the last 60, cell by cell. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from textual.strip import Strip

from tui_feeder.monitor import MinuteState
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.text_line import with_place

#: Cells of a symbol at least and at most, and of the minutes it lacks.
_NAME, _LONGEST_NAME, _MISSING = 14, 24, 8
_WORDS = {
    MinuteState.LIVE: "live",
    MinuteState.STORED: "stored",
    MinuteState.MISSING: "missing",
    MinuteState.FILLING: "reading",
    MinuteState.UNAVAILABLE: "unavailable",
    MinuteState.OMITTED: "none",
    MinuteState.OUTSIDE: "not wanted",
}


def name_width(names: Iterable[str]) -> int:
    """Chooses the cells of the column of names, with a mark and blanks around them.

    Args:
        names: of all symbols, so that scrolling moves nothing.

    Returns:
        Cells.
    """
    longest = max((cell_len(name) for name in names), default=0)
    return min(max(_NAME, longest + 3), _LONGEST_NAME)


def strip_widths(width: int, name: int) -> tuple[int, int]:
    """Divides a line between the last day and the last 60 days.

    Args:
        width: cells of the line.
        name: cells of the names.

    Returns:
        Cells of both strips.
    """
    room = width - name - _MISSING - 4
    return room * 3 // 5, room - room * 3 // 5


def _glyph(state: MinuteState, palette: Palette) -> Part:
    glyphs = palette.glyphs
    match state:
        case MinuteState.LIVE:
            return glyphs.fresh, Role.UP
        case MinuteState.STORED:
            return glyphs.stored, Role.VALUE_AREA
        case MinuteState.MISSING:
            return "!", Role.ERROR
        case MinuteState.FILLING:
            return glyphs.shade, Role.ACCENT
        case MinuteState.UNAVAILABLE:
            return "x", Role.WARN
        case MinuteState.OMITTED:
            return "/", Role.FAINT
        case _:
            return glyphs.track, Role.FAINT


def paint_coverage(
    symbols: Sequence[tuple[str, int, Sequence[Sequence[MinuteState]]]],
    selected: str | None,
    widths: tuple[int, int],
    name_cells: int,
    width: int,
    palette: Palette,
) -> list[Strip]:
    """Paints a heading and a line a symbol: name, missing minutes, the last 24 h and the last 60 days.

    Args:
        symbols: name, minutes missing, and the states of the cells of both strips.
        selected: the symbol that is marked.
        widths: cells of the strips.
        name_cells: of the names.
        width: of every line.
        palette: styles and symbols.

    Returns:
        The strips.
    """
    heading = f"{'  COVERAGE':<{name_cells}}{'MISSING':<{_MISSING}}{'last 24 h':<{widths[0] + 2}}last 60 days"
    strips = [palette.strip([(heading, Role.MUTED)], width)]
    for name, missing, lines in symbols:
        mark = palette.glyphs.pointer if name == selected else " "
        parts: list[Part] = [
            (cells.fit(f"{mark} {name}", name_cells), Role.STRONG if name == selected else Role.TEXT),
            (cells.fit(f"{cells.count_text(missing)}! ", _MISSING, right=True), Role.WARN)
            if missing
            else (cells.fit("0  ", _MISSING, right=True), Role.OK),
        ]
        for line in lines:
            parts += [*state_parts(line, palette), ("  ", Role.TEXT)]
        strips.append(palette.strip(parts, width))
    return strips


def state_parts(states: Sequence[MinuteState], palette: Palette) -> list[Part]:
    """Draws states as cells.

    Args:
        states: one a cell.
        palette: styles and symbols.

    Returns:
        The cells, neighbours of one kind as one piece.
    """
    parts: list[Part] = []
    for state in states:
        text, role = _glyph(state, palette)
        if parts and parts[-1][1] is role:
            parts[-1] = (parts[-1][0] + text, role)
        else:
            parts.append((text, role))
    return parts


def legend(width: int, palette: Palette, place: str = "") -> Strip:
    """Explains the cells.

    Args:
        width: cells.
        palette: styles and symbols.
        place: which part of the list is in sight, at the right; "" for all.

    Returns:
        One strip.
    """
    parts: list[Part] = [("  ", Role.TEXT)]
    room = width - 2 - (cell_len(place) + 2 if place else 0)
    for state, word in _WORDS.items():
        text, role = _glyph(state, palette)
        room -= len(word) + 3
        if room < 0:  # those that need it least are the last
            break
        parts += [(text, role), (f" {word} ", Role.MUTED), (" " if room > 0 else "", Role.TEXT)]
        room -= 1
    return with_place(parts, place, width, palette)
