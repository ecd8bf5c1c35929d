"""Painter of coverage: what is stored of every symbol in the last day and the last 60, cell by cell. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from tui_feeder.monitor import MinuteState
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role

_NAME, _MISSING = 14, 8  # cells of a symbol, and of the minutes it lacks
_WORDS = {
    MinuteState.LIVE: "live",
    MinuteState.STORED: "stored",
    MinuteState.MISSING: "missing",
    MinuteState.FILLING: "reading",
    MinuteState.UNAVAILABLE: "unavailable",
    MinuteState.OMITTED: "none",
    MinuteState.OUTSIDE: "not wanted",
}


def strip_widths(width: int) -> tuple[int, int]:
    """Divides a line between the last day and the last 60 days.

    Args:
        width: cells of the line.

    Returns:
        Cells of both strips.
    """
    room = width - _NAME - _MISSING - 4
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
    width: int,
    palette: Palette,
) -> list[Strip]:
    """Paints a heading and a line a symbol: name, missing minutes, the last 24 h and the last 60 days.

    Args:
        symbols: name, minutes missing, and the states of the cells of both strips.
        selected: the symbol that is marked.
        widths: cells of the strips.
        width: of every line.
        palette: styles and symbols.

    Returns:
        The strips.
    """
    heading = f"{'  COVERAGE':<{_NAME}}{'MISSING':<{_MISSING}}{'last 24 h':<{widths[0] + 2}}last 60 days"
    strips = [palette.strip([(heading, Role.MUTED)], width)]
    for name, missing, lines in symbols:
        mark = palette.glyphs.pointer if name == selected else " "
        parts: list[Part] = [
            (cells.fit(f"{mark} {name}", _NAME), Role.STRONG if name == selected else Role.TEXT),
            (cells.fit(f"{cells.count_text(missing)}! ", _MISSING, right=True), Role.WARN)
            if missing
            else (cells.fit("0  ", _MISSING, right=True), Role.OK),
        ]
        for line in lines:
            for state in line:
                text, role = _glyph(state, palette)
                if parts[-1][1] is role:
                    parts[-1] = (parts[-1][0] + text, role)
                else:
                    parts.append((text, role))
            parts.append(("  ", Role.TEXT))
        strips.append(palette.strip(parts, width))
    return strips


def legend(width: int, palette: Palette) -> Strip:
    """Explains the cells.

    Args:
        width: cells.
        palette: styles and symbols.

    Returns:
        One strip.
    """
    parts: list[Part] = [("  ", Role.TEXT)]
    for state, word in _WORDS.items():
        text, role = _glyph(state, palette)
        parts += [(text, role), (f" {word}  ", Role.MUTED)]
    return palette.strip(parts, width)
