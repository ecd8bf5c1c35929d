"""Coverage of a symbol day by day: a line a UTC day, the newest first, its minutes from left to right."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from textual.strip import Strip

from tui_feeder.monitor import DAY_MS, MinuteState, Monitor
from tui_feeder.widgets import cells
from tui_feeder.widgets.coverage import state_parts
from tui_feeder.widgets.palette import Palette, Part, Role

_LABEL = 8  # cells of a date
#: Cells asked for at once.
_ASKED = 2_000
#: Hours of the day that are labelled.
_HOURS = 6


class DayCoverage:
    """Fetches the states of the days that are shown: today's when a minute closes, others when they change.

    Args:
        monitor: asked for them.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._known: dict[tuple[int, int], tuple[Hashable, tuple[MinuteState, ...]]] = {}
        self._of: tuple[str, int] | None = None  # symbol and cells of a day of what is known

    def days(
        self, symbol: str, today: int, count: int, width: int, now: Hashable, changed: Hashable
    ) -> list[tuple[int, tuple[MinuteState, ...]]]:
        """Gives the states of days.

        Args:
            symbol: the symbol.
            today: midnight UTC, ms.
            count: days, today included.
            width: cells of a line.
            now: differs whenever today's states may.
            changed: differs whenever those of earlier days may.

        Returns:
            Midnight and states of each day, the newest first.
        """
        parts = day_cells(width)
        if self._of != (symbol, parts):
            self._of = (symbol, parts)
            self._known.clear()
        at_once = max(1, _ASKED // parts)
        blocks = [(today, 1)]
        for first in range(1, count, at_once):
            size = min(at_once, count - first)
            blocks.append((today - (first + size - 1) * DAY_MS, size))
        self._known = {block: self._states(symbol, block, parts, now if block[0] == today else changed)
                       for block in blocks}  # fmt: skip
        return [
            (start + day * DAY_MS, self._known[start, size][1][day * parts : (day + 1) * parts])
            for start, size in blocks
            for day in reversed(range(size))
        ]

    def _states(
        self, symbol: str, block: tuple[int, int], parts: int, key: Hashable
    ) -> tuple[Hashable, tuple[MinuteState, ...]]:
        known = self._known.get(block)
        if known is not None and known[0] is not None and known[0] == key:
            return known
        start, size = block
        states = self._monitor.coverage(symbol, start, start + size * DAY_MS, size * parts)
        return key if any_known(states) else None, states


def any_known(states: Sequence[MinuteState]) -> bool:
    """Checks whether states are an answer; an attached feeder's may come later.

    Args:
        states: of a range.

    Returns:
        False where all of it is outside of what is wanted.
    """
    return any(state is not MinuteState.OUTSIDE for state in states)


def day_cells(width: int) -> int:
    """Chooses how many cells stand for a day: an hour is a whole number of them.

    Args:
        width: cells of a line.

    Returns:
        The most that have room.
    """
    return 24 * max(1, (width - _LABEL - 2) // 24)


def paint_days(
    symbol: str,
    days: Sequence[tuple[int, Sequence[MinuteState]]],
    width: int,
    height: int,
    palette: Palette,
) -> list[Strip]:
    """Paints a heading with hours, and a line a day.

    Args:
        symbol: the symbol.
        days: midnight and states of each, the newest first.
        width: cells.
        height: lines.
        palette: styles and symbols.

    Returns:
        ``height`` strips of ``width`` cells.
    """
    parts = day_cells(width)
    hours = "".join(cells.fit(f"{hour:02}:00", parts * _HOURS // 24) for hour in range(0, 24, _HOURS))
    title: list[Part] = [(palette.glyphs.rule * 2, Role.FAINT), (f" {symbol} ", Role.STRONG),
                         ("day by day, UTC ", Role.MUTED)]  # fmt: skip
    strips = [
        palette.strip(title, width, fill=(palette.glyphs.rule, Role.FAINT)),
        palette.strip([(" " * _LABEL + hours, Role.MUTED)], width),
    ]
    for day, states in days:
        label = cells.fit(f"  {cells.date_text(day)[5:]}", _LABEL)
        strips.append(palette.strip([(label, Role.MUTED), *state_parts(states, palette)], width))
    return (strips + [palette.strip([], width)] * (height - len(strips)))[:height]
