"""Painters of lists: gaps and events, one a line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from textual.strip import Strip

from tui_feeder.monitor import Event, GapView
from tui_feeder.widgets import cells
from tui_feeder.widgets.coverage import name_width
from tui_feeder.widgets.lines import short_reason
from tui_feeder.widgets.palette import Glyphs, Palette, Part, Role
from tui_feeder.widgets.progress_bars import bar_text

_GAP_HEADINGS = (
    ("  SYMBOL", 14, False), (" FROM→TO", 0, False), ("MIN", 7, True), ("  FILLED", 15, False),
    ("TRIES", 6, True), ("NEXT/ETA", 10, True), ("  WHY", 0, False),
)  # fmt: skip
_LEVELS = {"info": ("  ", Role.MUTED), "warning": ("! ", Role.WARN), "error": ("! ", Role.ERROR)}


def paint_gaps(
    gaps: Sequence[GapView],
    selected: int,
    now: int,
    clock_rate: float,
    width: int,
    height: int,
    palette: Palette,
) -> list[Strip]:
    """Paints a table of gaps under its headings; the visible part contains the selected one.

    Args:
        gaps: as the snapshot has them.
        selected: index of one of them, -1 for none.
        now: exchange time, ms.
        clock_rate: exchange seconds in a real one, for the wait until the next try.
        width: cells.
        height: lines, headings included.
        palette: styles and symbols.

    Returns:
        The strips.
    """
    spans = [_span(gap, now, palette.zone) for gap in gaps]
    sizes = [size for _, size, _ in _GAP_HEADINGS]
    sizes[0] = name_width(gap.symbol for gap in gaps)
    sizes[1] = max(map(len, spans), default=8) + 2
    heading = "".join(
        cells.fit(text, size or len(text), right)
        for (text, _, right), size in zip(_GAP_HEADINGS, sizes, strict=True)
    )
    strips = [palette.strip([(heading, Role.MUTED)], width)]
    if not gaps:
        strips.append(palette.strip([("  no gap", Role.OK)], width))
    rows = height - 1
    top = first_line(selected, len(gaps), rows)
    for index, gap in enumerate(gaps[top : top + rows], top):
        parts = _gap_parts(gap, spans[index], sizes, _when(gap, now, clock_rate), palette.glyphs)
        if index == selected:
            parts[0] = (palette.glyphs.pointer + parts[0][0][1:], parts[0][1])
        strips.append(palette.strip(parts, width, selected=index == selected))
    return (strips + [palette.strip([], width)] * (height - len(strips)))[:height]


def first_line(selected: int, lines: int, rows: int) -> int:
    """Computes where a list begins so that the selected line is in sight.

    Args:
        selected: its index, -1 for none.
        lines: of the list.
        rows: there are.

    Returns:
        Index of the first line in sight.
    """
    return min(max(0, selected - rows + 1), max(0, lines - rows))


def _gap_parts(gap: GapView, span: str, sizes: Sequence[int], when: str, glyphs: Glyphs) -> list[Part]:
    filled = (gap.minutes - gap.missing) / gap.minutes if gap.minutes else 0.0
    role = {"filled": Role.OK, "unavailable": Role.WARN}.get(gap.state, Role.ACCENT)
    state = gap.state if gap.state != "filling" else bar_text(filled, 8, glyphs) + f" {filled * 100:3.0f}%"
    return [
        (cells.fit(f"  {gap.symbol}", sizes[0]), Role.TEXT),
        (cells.fit(f" {span}", sizes[1]), Role.TEXT),
        (cells.fit(f"{gap.minutes:,}", sizes[2], right=True), Role.STRONG),
        (cells.fit(f"  {state}", sizes[3]), role),
        (cells.fit(str(gap.tries), sizes[4], right=True), Role.TEXT),
        (cells.fit(when, sizes[5], right=True), Role.TEXT),
        (f"  {short_reason(gap_reason(gap))}", Role.MUTED),
    ]


def _when(gap: GapView, now: int, clock_rate: float) -> str:
    """Until the next try, or while one is under way until it is filled."""
    if gap.next_try is not None:
        return f"in {cells.duration_text(max(0.0, (gap.next_try - now) / 1000 / clock_rate))}"
    if gap.state == "filling":
        return "now" if gap.eta_seconds is None else f"eta {cells.duration_text(gap.eta_seconds)}"
    return cells.UNKNOWN


def _span(gap: GapView, now: int, zone: tzinfo | None) -> str:
    """First and last minute, without their dates if both are today, with one where it is the same."""
    if len({cells.date_text(moment, zone) for moment in (gap.start, gap.end, now)}) == 1:
        return f"{cells.clock_text(gap.start, zone=zone)}→{cells.clock_text(gap.end, zone=zone)}"
    first, last = (cells.moment_text(moment, zone) for moment in (gap.start, gap.end))
    return f"{first}→{last[6:] if first[:5] == last[:5] else last}"


def gap_reason(gap: GapView) -> str:
    """Gives the reason of an open gap and the source requested last.

    Args:
        gap: the gap.

    Returns:
        The text.
    """
    source = f"asked {gap.source}" if gap.source else ""
    return ", ".join(filter(None, (gap.reason, source)))


def paint_events(
    events: Sequence[Event], above: int, width: int, height: int, palette: Palette
) -> list[Strip]:
    """Paints events, the newest at the bottom.

    Args:
        events: the newest last.
        above: how many of the newest lie below the window; 0 follows.
        width: cells.
        height: lines.
        palette: styles and symbols.

    Returns:
        The strips.
    """
    end = len(events) - min(above, max(0, len(events) - height))
    strips = []
    for event in events[max(0, end - height) : end]:
        sign, role = _LEVELS.get(event.level, ("? ", Role.MUTED))
        when = cells.moment_text(event.at, palette.zone, seconds=True)
        parts: list[Part] = [(f" {when} ", Role.MUTED), (sign, role)]
        if event.symbol:
            parts.append((cells.fit(event.symbol, 13) + " ", Role.STRONG))
        parts.append((event.text, Role.TEXT if event.level == "info" else role))
        strips.append(palette.strip(parts, width))
    return strips + [palette.strip([], width)] * (height - len(strips))
