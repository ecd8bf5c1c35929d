"""Painter of a year as a calendar of days: a column a week, a line a weekday, a cell or two a day. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from textual.strip import Strip

from tui_feeder.day_evidence import DayState, DayView
from tui_feeder.monitor import DAY_MS
from tui_feeder.widgets.palette import Palette, Part, Role

#: Lines of the calendar: heading, months, the days of a week, legend.
LINES = 10
_LABEL = 5  # cells of a weekday
_WEEKS = 53
_WEEKDAYS = ("Mon", "", "Wed", "", "Fri", "", "Sun")
_WORDS = {
    DayState.CERTIFIED: "proved",
    DayState.LIVE: "live only",
    DayState.CORRECTED: "corrected",
    DayState.LACKING: "lacking",
    DayState.UNKNOWN: "unknown",
    DayState.NONE: "none there",
}


def year_of(day: int) -> int:
    """Gives the year of a day.

    Args:
        day: midnight, ms.

    Returns:
        The year, UTC.
    """
    return datetime.fromtimestamp(day / 1000, UTC).year


def first_day(year: int) -> int:
    """Gives the first of January.

    Args:
        year: UTC.

    Returns:
        Midnight, ms.
    """
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000)


def _glyph(state: DayState | None, palette: Palette) -> Part:
    glyphs = palette.glyphs
    match state:
        case DayState.CERTIFIED:
            return glyphs.body, Role.OK
        case DayState.LIVE:
            return glyphs.shade, Role.VALUE_AREA
        case DayState.CORRECTED:
            return "c", Role.WARN
        case DayState.LACKING:
            return "!", Role.ERROR
        case DayState.UNKNOWN:
            return "?", Role.MUTED
        case DayState.NONE:
            return "/", Role.FAINT
        case _:
            return glyphs.track, Role.FAINT


def paint_calendar(
    symbol: str, year: int, days: Mapping[int, DayView], cursor: int, width: int, palette: Palette
) -> list[Strip]:
    """Paints the year of a symbol.

    Args:
        symbol: the symbol.
        year: UTC.
        days: by midnight (ms); of those that are not in it nothing is known yet.
        cursor: midnight of the selected day, ms.
        width: cells.
        palette: styles and symbols.

    Returns:
        :data:`LINES` strips; where a year has no room, the weeks around the cursor.
    """
    first, last = first_day(year), first_day(year + 1)
    begin = first - datetime.fromtimestamp(first / 1000, UTC).weekday() * DAY_MS  # the Monday before
    cell = 2 if width >= _LABEL + 2 * (_WEEKS + 1) else 1
    weeks = min(_WEEKS + 1, (width - _LABEL) // cell)
    whole = -(-(last - begin) // (7 * DAY_MS))
    at = (cursor - begin) // (7 * DAY_MS)
    low = max(0, min(at - weeks // 2, whole - weeks)) if whole > weeks else 0
    shown = min(weeks, whole - low)
    counted = Counter(view.state for view in days.values())
    title: list[Part] = [
        (palette.glyphs.rule * 2, Role.FAINT), (f" {symbol} ", Role.STRONG), (f"{year} ", Role.STRONG),
        (", ".join(f"{counted[state]} {word}" for state, word in _WORDS.items() if counted[state]) + " ",
         Role.MUTED),
    ]  # fmt: skip
    strips = [
        palette.strip(title, width, fill=(palette.glyphs.rule, Role.FAINT)),
        palette.strip([(_months(begin, low, shown, cell, year), Role.MUTED)], width),
    ]
    for weekday in range(7):
        parts: list[list[Part]] = [[(f" {_WEEKDAYS[weekday]:<{_LABEL - 1}}", Role.MUTED)], []]
        selected: Part | None = None
        for week in range(low, low + shown):
            day = begin + (7 * week + weekday) * DAY_MS
            if not first <= day < last:
                piece: Part = (" " * cell, Role.TEXT)
            else:
                view = days.get(day)
                text, role = _glyph(None if view is None else view.state, palette)
                piece = (text * cell, role)
            if day == cursor:
                selected = piece
            else:
                parts[0 if selected is None else 1].append(piece)
        strips.append(_with_cursor(parts, selected, width, palette))
    legend: list[Part] = [("  ", Role.TEXT)]
    for state, word in _WORDS.items():
        text, role = _glyph(state, palette)
        legend += [(text, role), (f" {word}  ", Role.MUTED)]
    return [*strips, palette.strip(legend, width)]


def _with_cursor(parts: list[list[Part]], selected: Part | None, width: int, palette: Palette) -> Strip:
    """A line of days, the selected one in reverse video."""
    if selected is None:
        return palette.strip([*parts[0], *parts[1]], width)
    before = sum(len(text) for text, _ in parts[0])
    size = len(selected[0])
    return Strip.join(
        [
            palette.strip(parts[0], before),
            palette.strip([selected], size, selected=True),
            palette.strip(parts[1], width - before - size),
        ]
    )


def _months(begin: int, low: int, shown: int, cell: int, year: int) -> str:
    """Names of months above the weeks in which they begin."""
    line = [" "] * (_LABEL + shown * cell + 3)
    for month in range(1, 13):
        week = (int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000) - begin) // (7 * DAY_MS) - low
        if 0 <= week < shown:
            name = datetime(year, month, 1, tzinfo=UTC).strftime("%b")
            line[_LABEL + week * cell : _LABEL + week * cell + 3] = name
    return "".join(line)
