"""Painter of the list of gaps, one a line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from rich.cells import cell_len
from textual.strip import Strip

from tui_feeder.monitor import GapView
from tui_feeder.widgets import cells
from tui_feeder.widgets.coverage import name_width
from tui_feeder.widgets.lines import short_reason
from tui_feeder.widgets.palette import Glyphs, Palette, Part, Role
from tui_feeder.widgets.progress_bars import bar_text

_GAP_HEADINGS = (
    ("  SYMBOL", 14, False), (" FROM→TO", 0, False), ("MIN", 7, True), ("  FILLED", 15, False),
    ("TRIES", 6, True), ("NEXT/ETA", 10, True), ("  WHY", 0, False),
)  # fmt: skip
_BAR = 8  # cells


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
    reasons = [short_reason(gap_reason(gap)) for gap in gaps]
    wanted = max(map(cell_len, reasons), default=0) + 2
    if sum(sizes) + wanted > width:  # the reasons are worth more than blanks and the bar
        sizes[0] = 3 + max(len("SYMBOL"), *(cell_len(gap.symbol) for gap in gaps))
        sizes[2] = 2 + max(3, *(len(f"{gap.minutes:,}") for gap in gaps))
        sizes[3] = 2 + max(len("FILLED"), *(len(gap.state) for gap in gaps if gap.state != "filling"), 0)
        sizes[5] = 9
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
        when = _when(gap, now, clock_rate)
        parts = _gap_parts(gap, spans[index], reasons[index], sizes, when, palette.glyphs)
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


def _gap_parts(
    gap: GapView, span: str, reason: str, sizes: Sequence[int], when: str, glyphs: Glyphs
) -> list[Part]:
    filled = (gap.minutes - gap.missing) / gap.minutes if gap.minutes else 0.0
    role = {"filled": Role.OK, "unavailable": Role.WARN}.get(gap.state, Role.ACCENT)
    state = gap.state
    if state == "filling":
        bar = bar_text(filled, _BAR, glyphs) + " " if sizes[3] >= _BAR + 7 else ""
        state = f"{bar}{filled * 100:3.0f}%"
    return [
        (cells.fit(f"  {gap.symbol}", sizes[0]), Role.TEXT),
        (cells.fit(f" {span}", sizes[1]), Role.TEXT),
        (cells.fit(f"{gap.minutes:,}", sizes[2], right=True), Role.STRONG),
        (cells.fit(f"  {state}", sizes[3]), role),
        (cells.fit(str(gap.tries), sizes[4], right=True), Role.TEXT),
        (cells.fit(when, sizes[5], right=True), Role.TEXT),
        (f"  {reason}", Role.MUTED),
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
