"""Painters of lists: gaps and events, one a line. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from tui_feeder.monitor import Event, GapView
from tui_feeder.widgets import cells
from tui_feeder.widgets.grid import bar_text
from tui_feeder.widgets.ink import Glyphs, Ink, Part, Role

_GAP_HEADINGS = (
    ("  SYMBOL", 14, False), (" FROM→TO", 25, False), ("MIN", 7, True), ("  FILLED", 15, False),
    ("TRIES", 6, True), ("NEXT", 8, True), ("  WHY", 0, False),
)  # fmt: skip
_LEVELS = {"info": ("  ", Role.MUTED), "warning": ("! ", Role.WARN), "error": ("! ", Role.ERROR)}


def paint_gaps(
    gaps: Sequence[GapView], selected: int, now: int, clock_rate: float, width: int, height: int, ink: Ink
) -> list[Strip]:
    """A table of gaps under its headings; the window holds the selected one.

    Args:
        gaps: as the snapshot has them.
        selected: index of one of them, -1 for none.
        now: exchange time, ms.
        clock_rate: exchange seconds in a real one, for the wait until the next try.
        width: cells.
        height: lines, headings included.
        ink: styles and symbols.
    """
    heading = "".join(cells.fit(text, size or len(text), right) for text, size, right in _GAP_HEADINGS)
    strips = [ink.strip([(heading, Role.MUTED)], width)]
    if not gaps:
        strips.append(ink.strip([("  no gap", Role.OK)], width))
    rows = height - 1
    top = min(max(0, selected - rows + 1), max(0, len(gaps) - rows))
    for index, gap in enumerate(gaps[top : top + rows], top):
        parts = _gap_parts(gap, now, clock_rate, ink.glyphs)
        if index == selected:
            parts[0] = (ink.glyphs.pointer + parts[0][0][1:], parts[0][1])
        strips.append(ink.strip(parts, width, selected=index == selected))
    return (strips + [ink.strip([], width)] * (height - len(strips)))[:height]


def _gap_parts(gap: GapView, now: int, clock_rate: float, glyphs: Glyphs) -> list[Part]:
    sizes = [size for _, size, _ in _GAP_HEADINGS]
    filled = (gap.minutes - gap.missing) / gap.minutes if gap.minutes else 0.0
    role = {"filled": Role.OK, "unavailable": Role.WARN}.get(gap.state, Role.ACCENT)
    state = gap.state if gap.state != "filling" else bar_text(filled, 8, glyphs) + f" {filled * 100:3.0f}%"
    wait = None if gap.next_try is None else max(0.0, (gap.next_try - now) / 1000 / clock_rate)
    return [
        (cells.fit(f"  {gap.symbol}", sizes[0]), Role.TEXT),
        (cells.fit(f" {_span(gap)}", sizes[1]), Role.TEXT),
        (cells.fit(f"{gap.minutes:,}", sizes[2], right=True), Role.STRONG),
        (cells.fit(f"  {state}", sizes[3]), role),
        (cells.fit(str(gap.tries), sizes[4], right=True), Role.TEXT),
        (cells.fit(cells.duration_text(wait), sizes[5], right=True), Role.TEXT),
        (f"  {gap_reason(gap)}", Role.MUTED),
    ]


def _span(gap: GapView) -> str:
    """First and last minute with their dates, one date where it is the same."""
    first, last = (f"{cells.date_text(t)[5:]} {cells.clock_text(t)}" for t in (gap.start, gap.end))
    return f"{first}→{last[6:] if first[:5] == last[:5] else last}"


def gap_reason(gap: GapView) -> str:
    """Why a gap is open, and who was asked for it last."""
    source = f"asked {gap.source}" if gap.source else ""
    return ", ".join(filter(None, (gap.reason, source)))


def paint_events(events: Sequence[Event], above: int, width: int, height: int, ink: Ink) -> list[Strip]:
    """Events, the newest at the bottom.

    Args:
        events: the newest last.
        above: how many of the newest lie below the window; 0 follows.
        width: cells.
        height: lines.
        ink: styles and symbols.
    """
    end = len(events) - min(above, max(0, len(events) - height))
    strips = []
    for event in events[max(0, end - height) : end]:
        sign, role = _LEVELS.get(event.level, ("? ", Role.MUTED))
        when = f"{cells.date_text(event.at)[5:]} {cells.clock_text(event.at, seconds=True)}"
        parts: list[Part] = [(f" {when} ", Role.MUTED), (sign, role)]
        if event.symbol:
            parts.append((cells.fit(event.symbol, 13) + " ", Role.STRONG))
        parts.append((event.text, Role.TEXT if event.level == "info" else role))
        strips.append(ink.strip(parts, width))
    return strips + [ink.strip([], width)] * (height - len(strips))
