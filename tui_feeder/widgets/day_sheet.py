"""Painter of a day's evidence and of a minute with every value it had. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from tui_feeder.day_evidence import DayState, DayView, MinuteView
from tui_feeder.monitor import MINUTE_MS
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role

_STATES = {
    DayState.CERTIFIED: ("proved: all from checked archives or final answers of REST", Role.OK),
    DayState.LIVE: ("live only: all minutes are there, some by the stream alone", Role.TEXT),
    DayState.CORRECTED: ("corrected: some were published live with other values", Role.WARN),
    DayState.LACKING: ("lacking: not all minutes are there", Role.ERROR),
    DayState.UNKNOWN: ("unknown: nothing of it is stored", Role.MUTED),
    DayState.NONE: ("none at the exchange, or not yet", Role.MUTED),
}
_PRICES = ("open", "high", "low", "close")
_PUBLISHED = {
    "live": "published live",
    "corrected": "published live, corrected since",
    "late": "published late",
}
_DIGITS = 8  # of a digest that are shown
_WIDE = 104  # cells from which on prices have twelve of them


def day_lines(
    day: int,
    view: DayView | None,
    sources: Mapping[str, int],
    digests: Mapping[str, str],
    noted: int,
    palette: Palette,
) -> list[list[Part]]:
    """Describes a day.

    Args:
        day: midnight, ms.
        view: what is known of it; None while nothing is.
        sources: minutes by name of their source.
        digests: SHA-256, hex, by what it is of.
        noted: minutes that were corrected or came late, or whose trade ids did not join.
        palette: styles and symbols.

    Returns:
        Lines of texts with their roles.
    """
    date = datetime.fromtimestamp(day / 1000, UTC).strftime("%Y-%m-%d %a")
    head: list[Part] = [(palette.glyphs.rule * 2, Role.FAINT), (f" {date} ", Role.STRONG)]
    if view is None:
        return [[*head, ("not known yet", Role.MUTED)]]
    text, role = _STATES[view.state]
    lines = [[*head, (text, role)]]
    held = [
        ("stored", view.present), ("certified", view.certified),
        ("none at the exchange", view.none_at_exchange), ("unavailable", view.unavailable),
        ("damaged", view.damaged), ("missing", view.missing),
    ]  # fmt: skip
    lines.append(_counts("minutes", f"{view.due} due", held))
    published = [("stood", view.stood), ("corrected", view.corrected), ("late", view.late)]
    lines.append(_counts("published", f"{view.live} within 60 s of their end", published))
    chain = [("exact since", view.exact), ("unproved", view.unproved)]
    lines.append(_counts("trade ids", f"{view.joined} join the next minute's", chain))
    lines.append(_counts("sources", "", list(sources.items())))
    if digests:
        shown = ", ".join(f"{name} {digest[:_DIGITS]}" for name, digest in digests.items())
        lines.append([("  digests   ", Role.MUTED), (shown, Role.TEXT)])
    if noted:
        text = f"{noted} minute{'s' if noted != 1 else ''} to look at: n goes to the next one"
        lines.append([("  noted     ", Role.MUTED), (text, Role.WARN)])
    return lines


def _counts(name: str, first: str, counts: list[tuple[str, int]]) -> list[Part]:
    bad = {"unavailable", "damaged", "missing", "corrected", "late", "unproved"}
    parts: list[Part] = [(f"  {name:<10}", Role.MUTED), (first, Role.TEXT)]
    for word, count in counts:
        if count or word in ("stored", "stood"):
            mark = ", " if len(parts) > 2 or first else ""
            parts.append((f"{mark}{count} {word}", Role.WARN if word in bad and count else Role.TEXT))
    return parts


def minute_lines(
    minute: int, view: MinuteView | None, decimals: int, width: int, palette: Palette
) -> list[list[Part]]:
    """Describes a minute and lists every value it had, the newest last.

    Args:
        minute: open time, ms.
        view: what is known of it; None while nothing is.
        decimals: of the symbol's prices.
        width: cells.
        palette: styles and symbols.

    Returns:
        Lines of texts with their roles.
    """
    clock = f"{cells.clock_text(minute)}-{cells.clock_text(minute + MINUTE_MS)} UTC"
    head: list[Part] = [(palette.glyphs.rule * 2, Role.FAINT), (f" {clock} ", Role.STRONG)]
    if view is None:
        return [[*head, ("not known yet", Role.MUTED)]]
    words = [view.state, "certified" if view.certified else "not certified"]
    if view.published:
        words.append(_PUBLISHED.get(view.published, view.published))
    lines = [[*head, (", ".join(words), Role.TEXT)]]
    if view.first_trade is not None:
        ids = f"{view.first_trade} to {view.last_trade}"
        if view.trade_ids:
            ids += (
                ", the next minute's follow"
                if view.trade_ids == "joined"
                else ", the next minute's do not follow"
            )
        lines.append(
            [("  trades    ", Role.MUTED), (ids, Role.TEXT if view.trade_ids != "broken" else Role.WARN)]
        )
    if view.values:
        price = 12 if width >= _WIDE else 9
        source, until = (18, 16) if width >= _WIDE else (14, 12)
        prices = "".join(f"{name.upper():>{price}}" for name in _PRICES)
        lines.append(
            [(f"  {'SOURCE':<{source}}{'UNTIL':<{until}}{prices}{'VOLUME':>8}{'TRADES':>8}", Role.MUTED)]
        )
        for value in view.values:
            ended = "it stands" if value.until is None else "not known"
            if value.until:
                ended = f"{cells.date_text(value.until)[5:]} {cells.clock_text(value.until)}"
            shown = "".join(
                f"{cells.price_text(getattr(value, name), decimals, price - 1):>{price}}" for name in _PRICES
            )
            row = f"  {cells.fit(value.source.replace('_', ' '), source - 1)} {ended:<{until}}{shown}"
            row += f"{cells.count_text(value.volume):>8}{value.trades:>8}"
            lines.append([(row, Role.TEXT if value.until is None else Role.MUTED)])
    return lines
