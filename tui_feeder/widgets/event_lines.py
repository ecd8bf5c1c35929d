"""Painter of the log: each event on as many rows as its text needs, the newest at the bottom. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tui_feeder.monitor import Event
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.sheet import wrapped

_LEVELS = {"info": ("  ", Role.MUTED), "warning": ("! ", Role.WARN), "error": ("! ", Role.ERROR)}
_NAME = 13  # cells of a symbol at least, so that texts begin below each other
_SET_IN = 4  # cells of the second row where the text begins too far at the right
_LEAST_TEXT = 40  # cells of text beside time and symbol, from which its rows begin below each other

#: A row of the list: which event it is of, and what stands in it.
EventRow = tuple[int, list[Part]]


def event_rows(event: Event, width: int, palette: Palette) -> list[list[Part]]:
    """Writes an event.

    Args:
        event: to write.
        width: cells of a row.
        palette: symbols and time zone.

    Returns:
        At least one row; nothing is cut.
    """
    sign, role = _LEVELS.get(event.level, ("? ", Role.MUTED))
    parts: list[Part] = [
        (f" {cells.moment_text(event.at, palette.zone, seconds=True)} ", Role.MUTED),
        (sign, role),
    ]
    if event.symbol:
        parts.append((cells.fit(event.symbol, max(_NAME, cell_len(event.symbol))) + " ", Role.STRONG))
    begins = sum(cell_len(text) for text, _ in parts)
    parts.append((event.text, Role.TEXT if event.level == "info" else role))
    if begins + cell_len(event.text) <= width:
        return [parts]
    return wrapped(parts, width, begins if width - begins >= _LEAST_TEXT else min(_SET_IN, width // 3))


def events_in_sight(
    events: Sequence[Event], above: int, width: int, height: int, palette: Palette
) -> list[EventRow]:
    """Chooses and writes the events of a window, the newest at its bottom.

    Args:
        events: the newest last.
        above: how many of the newest lie below the window; 0 follows.
        width: cells of a row.
        height: rows there are.
        palette: symbols and time zone.

    Returns:
        At most ``height`` rows; of the event at the top those that have no room are left out.
    """
    found: list[EventRow] = []
    for at in range(len(events) - 1 - above, -1, -1):
        if len(found) >= height:
            break
        found += [(at, row) for row in reversed(event_rows(events[at], width, palette))]
    return found[:height][::-1]


def most_above(events: Sequence[Event], width: int, height: int, palette: Palette) -> int:
    """Computes how far up the window goes.

    Args:
        events: the newest last.
        width: cells of a row.
        height: rows there are.
        palette: symbols and time zone.

    Returns:
        How many events lie below the window when the oldest stands at its top; 0 where all are in sight.
    """
    used = 0
    for at, event in enumerate(events[: height + 1]):
        used += len(event_rows(event, width, palette))
        if used > height:
            return len(events) - max(1, at)
    return 0
