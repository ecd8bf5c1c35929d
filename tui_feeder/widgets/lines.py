"""The single lines of the screens: status at the top, the news line, and the keys at the bottom. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from operator import attrgetter

from rich.cells import cell_len
from textual.strip import Strip

from tui_feeder.monitor import AlertView, GapView, Snapshot, SymbolState, SymbolView, timeframe_label
from tui_feeder.scanner.measures import timeframe_of
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Glyphs, Palette, Part, Role
from tui_feeder.widgets.progress_bars import bar_text
from tui_feeder.widgets.text_line import whole

_STATES = {
    "starting": ("loading", Role.ACCENT),
    "backfill": ("loading", Role.ACCENT),
    "live": ("live", Role.OK),
    "degraded": ("buy", Role.WARN),
    "stopping": ("off", Role.WARN),
    "stopped": ("off", Role.WARN),
    "failed": ("neutral", Role.ERROR),
    "replay": ("live", Role.ACCENT),
    "paused": ("off", Role.ACCENT),
    "seeking": ("loading", Role.ACCENT),
}
_SINKS = {"kafka": "kfk", "postgres": "pg"}
_RECENT_MS = 120_000
_BAR = 20  # cells of the bar of a history
_DETAILS = re.compile(r"https?://\S+ is unreachable: |\[Errno \d+\] ")
#: Begins what a line of news can do without.
_MORE = " · "
#: Of the fast and the slow line.
EMA_ROLES = (Role.EMA_FAST, Role.EMA_SLOW)


def status_line(
    snapshot: Snapshot,
    shown: int,
    frozen: bool,
    title: str,
    width: int,
    glyphs: Glyphs,
    market: Sequence[Sequence[Part]] = (),
    zone: tzinfo | None = UTC,
) -> list[Part]:
    """Writes the first line: is my data complete and live, which way does the market go.

    Args:
        snapshot: the newest one.
        shown: symbols that pass the filter.
        frozen: the display stands still.
        title: of the program, shown where there is room.
        width: cells.
        glyphs: symbols.
        market: breadth, and a group for each mover.
        zone: time zone; None for this machine's.

    Returns:
        The groups that have room; the least important give way.
    """
    sign, role = _STATES.get(snapshot.state, ("neutral", Role.WARN))
    state = snapshot.state.upper()
    if snapshot.state == "live" and not any(stream.state == "live" for stream in snapshot.streams):
        sign, role, state = "buy", Role.WARN, "NO STREAM"  # minutes may still close by REST
    fraction = snapshot.history_fraction
    if snapshot.state == "backfill" and fraction is not None:
        state += f" {fraction * 100:.0f}%"
    if snapshot.replayed:
        at, doing = snapshot.exchange_time, "" if snapshot.state == "replay" else f" {snapshot.state}"
        state = f"REPLAY{doing} {cells.date_text(at, zone)} {cells.clock_text(at, zone=zone)}"
        state += f" {snapshot.clock_rate:g}x"
    total = len(snapshot.symbols)
    count = f"{total}" if shown == total else f"{shown}/{total}"
    groups: list[Sequence[Part]] = [
        [(f"{getattr(glyphs, sign)} {state}", role), (f" {count} sym", Role.TEXT)]
    ]
    if frozen:
        groups.append([("FROZEN", Role.WARN)])
    alerts = sum(not alert.acknowledged for alert in snapshot.alerts)
    if alerts:
        groups.append([(f"alerts {alerts}!", Role.WARN)])
    gaps, (bad, well) = _gaps(snapshot), _stores(snapshot)
    streams = [] if snapshot.replayed else [_streams(snapshot)]
    breadth, moved = market[:1], market[1:]
    if snapshot.state == "lost":  # nothing of it is known to be so still
        groups += [[("all as it was last", Role.WARN)], *breadth]
    elif gaps[0][1] is Role.WARN:
        groups += [gaps, *streams, *bad, *breadth, *well]
    else:
        groups += [*streams, *bad, *breadth, *well, gaps]
    groups += moved
    if snapshot.weight_limit and snapshot.state != "lost":
        role = Role.WARN if snapshot.weight_used > 0.8 * snapshot.weight_limit else Role.MUTED
        of_market = f"{snapshot.weight_market} " if snapshot.weight_market else ""
        groups.append([(f"rest {of_market}{snapshot.weight_used}/{snapshot.weight_limit}", role)])
    if snapshot.exchange:
        groups.append([(snapshot.exchange, Role.MUTED)])
    groups.append([(title, Role.MUTED)])
    parts: list[Part] = []
    used = 0
    for group in groups:
        size = sum(cell_len(text) for text, _ in group)
        between = 3 if parts else 0
        if not size or used + between + size > width:
            continue
        if parts:
            parts.append((f" {glyphs.wall} ", Role.FAINT))
        parts += group
        used += between + size
    return parts


def _streams(snapshot: Snapshot) -> list[Part]:
    live = [stream for stream in snapshot.streams if stream.state == "live"]
    if not snapshot.streams:
        return [(f"ws {cells.UNKNOWN}", Role.MUTED)]
    complete = len(live) == len(snapshot.streams)
    parts = [(f"ws {len(live)}/{len(snapshot.streams)}", Role.TEXT if complete else Role.WARN)]
    known = [stream.latency_ms for stream in live if stream.latency_ms is not None]
    if not complete:
        parts.append(("!", Role.WARN))
    if known:
        slowest = max(known)
        text = f" {slowest:.0f}ms" if slowest < 9_999.5 else f" {slowest / 1000:.0f}s"
        parts.append((text, Role.MUTED if slowest < 1_000 * max(1.0, snapshot.clock_rate) else Role.WARN))
    return parts


def _stores(snapshot: Snapshot) -> tuple[list[list[Part]], list[list[Part]]]:
    """Store and sinks in which something is wrong, and those that are well."""
    words: list[tuple[str, str]] = []
    store = snapshot.parts.get("store")
    if store is not None:
        words.append(
            ("lmdb", "ok" if store == "running" else store)
        )  # "paused": its disk is full; "degraded": see store_troubles
    words += [(_SINKS.get(name, name), word) for name, word in snapshot.sinks.items() if word != "off"]
    well = [name for name, word in words if word == "ok"]
    bad: list[list[Part]] = [
        [(f"{name} ", Role.TEXT), (word[:12] + "!", Role.WARN)] for name, word in words if word != "ok"
    ]
    return bad, [[(" ".join(well), Role.TEXT), (" ok", Role.TEXT)]] if well else []


def _gaps(snapshot: Snapshot) -> list[Part]:
    open_gaps = sum(gap.state != "filled" for gap in snapshot.gaps)
    if open_gaps:
        return [(f"gaps {open_gaps}!", Role.WARN)]
    return [("gaps 0", Role.TEXT)]


def news_line(
    snapshot: Snapshot, view: SymbolView | None, glyphs: Glyphs, zone: tzinfo | None = UTC
) -> list[Part]:
    """Writes the one thing to know now: an alert, history, a gap, a late symbol, or that all is well.

    Args:
        snapshot: the newest one.
        view: of the selected symbol.
        glyphs: symbols.
        zone: time zone; None for this machine's.

    Returns:
        The parts of the line.
    """
    open_gaps = [gap for gap in snapshot.gaps if gap.state != "filled"]
    if snapshot.state in ("failed", "stopped", "stopping", "lost"):
        return _news(snapshot, zone, any_age=True) or [(f" the engine is {snapshot.state}", Role.WARN)]
    if snapshot.not_ready:
        return [
            ("! ", Role.WARN),
            ("the exchange is not reached yet: ", Role.STRONG),
            (snapshot.not_ready, Role.MUTED),
        ]
    if snapshot.store_pausing:
        return [
            ("! ", Role.ERROR), (f"{snapshot.store_pausing}: writes are paused, candles wait", Role.STRONG),
            (f"; free space at {snapshot.store_path}", Role.TEXT),
        ]  # fmt: skip
    if snapshot.store_troubles:
        return [("! ", Role.ERROR), (list(snapshot.store_troubles.values())[-1], Role.STRONG)]
    alert = _alert(snapshot, zone, recent=True)
    if alert:
        return alert
    if snapshot.history_fraction is not None and (snapshot.state == "backfill" or not open_gaps):
        return history_parts(snapshot, glyphs)
    if open_gaps:
        first = next(
            (gap for gap in open_gaps if view is not None and gap.symbol == view.symbol), open_gaps[0]
        )
        return gap_parts(first, snapshot.exchange_time, snapshot.clock_rate, len(open_gaps) - 1, zone)
    cut = next((stream for stream in snapshot.streams if stream.state != "live"), None)
    if cut is not None:
        return _cut_parts(f"{cut.name} {cut.state}", cut.reason)
    trades = snapshot.trades
    if trades is not None and trades.state != "live":
        return _cut_parts(f"live trades {trades.state}", trades.reason)
    if alert := _alert(snapshot, zone):
        return alert
    if view is not None and view.reason and view.state is not SymbolState.LIVE:
        return [
            ("! ", Role.WARN),
            (f"{view.symbol} {view.state.value}: ", Role.TEXT),
            (view.reason, Role.MUTED),
        ]
    news = _filled(snapshot, zone) or _news(snapshot, zone)
    if news:
        return news
    if view is not None and view.profile_note:
        return [("! ", Role.WARN), (f"{view.symbol}: ", Role.TEXT), (view.profile_note, Role.MUTED)]
    missing = sum(map(attrgetter("missing_minutes"), snapshot.symbols))
    if missing:
        return [("! ", Role.WARN), (f"{missing:,} minutes missing", Role.TEXT)]
    if snapshot.state == "live" and snapshot.store_candles:
        size = f", {cells.bytes_text(snapshot.store_bytes)}" if snapshot.store_bytes else ""
        return [
            ("  no minute missing", Role.OK),
            (f"{_MORE}{snapshot.store_candles:,} candles{size}", Role.MUTED),
        ]
    return []


def without_excess(parts: Sequence[Part], width: int) -> list[Part]:
    """Leaves out what a line of news can do without, where it has no room for all of it.

    Args:
        parts: of :func:`news_line`.
        width: cells.

    Returns:
        The parts, those of them that can be left out only where they are in sight as a whole.
    """
    needed = sum(cell_len(text) for text, _ in parts if not text.startswith(_MORE))
    found: list[Part] = []
    for text, role in parts:
        size = cell_len(text) if text.startswith(_MORE) else 0
        if size == 0 or needed + size <= width:
            needed += size
            found.append((text, role))
    return found


def _cut_parts(what: str, reason: str) -> list[Part]:
    why = f": {short_reason(reason)}" if reason else ""
    return [("! ", Role.WARN), (what, Role.STRONG), (why, Role.MUTED)]


def state_parts(view: SymbolView) -> list[Part]:
    """Warns of a symbol whose numbers are not live, in a title over them.

    Args:
        view: of the symbol.

    Returns:
        A part, or none.
    """
    bad = (SymbolState.LATE, SymbolState.STALE, SymbolState.FAILED, SymbolState.DELISTED)
    return [(f"! {view.state.value} ", Role.WARN)] if view.state in bad else []


def unread_text(view: SymbolView) -> str:
    """Explains why no minute of a symbol is known yet, where a screen would show them.

    Args:
        view: of the symbol.

    Returns:
        State and reason, such as ``waiting: its candles are being read``; "" where minutes are known, or
        nothing is the matter.
    """
    return f"{view.state.value}: {view.reason}" if view.last_closed is None and view.reason else ""


def history_parts(snapshot: Snapshot, glyphs: Glyphs) -> list[Part]:
    """Writes how much of all history is read: one bar over every symbol, which never goes back.

    Args:
        snapshot: with a ``history_fraction``.
        glyphs: symbols.

    Returns:
        The parts of the line.
    """
    fraction = snapshot.history_fraction or 0.0
    waiting = (SymbolState.WAITING, SymbolState.BACKFILL)
    read = sum(v.state not in waiting and v.progress is None for v in snapshot.symbols)
    text = f" history: {read} of {len(snapshot.symbols)} symbols read"
    notes = [v.progress.note for v in snapshot.symbols if v.progress is not None]
    if snapshot.history_eta is not None:
        text += f", {cells.duration_text(snapshot.history_eta)} to go"
    elif notes and all(notes):
        text += f", {notes[0]}"
    return [
        (f"{glyphs.loading} {fraction * 100:3.0f}% ", Role.ACCENT),
        (bar_text(fraction, _BAR, glyphs), Role.ACCENT), (text, Role.TEXT),
    ]  # fmt: skip


def _alert(snapshot: Snapshot, zone: tzinfo | None, recent: bool = False) -> list[Part]:
    """The newest alert that nobody has acknowledged, and how many more there are."""
    waiting = [alert for alert in snapshot.alerts if not alert.acknowledged]
    if not waiting:
        return []
    newest = waiting[-1]
    age = snapshot.exchange_time - newest.at
    if recent and age > _RECENT_MS * max(1.0, snapshot.clock_rate):
        return []
    more = [(f"{_MORE}{len(waiting) - 1} more", Role.WARN)] if len(waiting) > 1 else []
    symbol = f"{newest.symbol} " if newest.symbol is not None and newest.symbol not in newest.text else ""
    named = rule_of(snapshot, newest)
    rule = [(f"{_MORE}rule {named}", Role.MUTED)] if named else []
    return [
        ("! ", Role.ERROR), (f"alert {cells.clock_text(newest.at, zone=zone)} ", Role.WARN),
        (f"{symbol}{newest.text}", Role.STRONG), *rule, *more, (f"{_MORE}a lists them", Role.MUTED),
    ]  # fmt: skip


def rule_of(snapshot: Snapshot, alert: AlertView) -> str:
    """Names the rule of an alert where another one could have raised it too.

    Args:
        snapshot: that has the rules.
        alert: that went off.

    Returns:
        The name; empty where no other rule of the kind watches the symbol.
    """
    alike = (rule for rule in snapshot.alert_rules.rules if rule.kind == alert.kind and not rule.fault)
    others = (rule for rule in alike if alert.symbol is None or rule.concerns(alert.symbol))
    return alert.rule if any(rule.name != alert.rule for rule in others) else ""


def _filled(snapshot: Snapshot, zone: tzinfo | None) -> list[Part]:
    """The gap that was filled last, unless that is long ago or something else happened since."""
    closed = [(gap.closed_at, gap) for gap in snapshot.gaps if gap.closed_at is not None]
    if not closed:
        return []
    at, gap = max(closed, key=lambda pair: pair[0])
    since = max((e.at for e in snapshot.events if e.level in ("warning", "error")), default=0)
    recent = _RECENT_MS * max(1.0, snapshot.clock_rate)
    if snapshot.exchange_time - at > recent or since > at:
        return []
    others = sum(closed_at > at - recent for closed_at, _ in closed) - 1
    more = f"{_MORE}{others} more closed before" if others else ""
    tries = f"{gap.tries} {'try' if gap.tries == 1 else 'tries'}"
    return [
        ("  ", Role.OK), (f"gap {gap.symbol} {_span(gap.start, gap.end, zone)} filled", Role.OK),
        (f" from {gap.source} at {cells.clock_text(at, True, zone)}, {tries}{more}", Role.MUTED),
    ]  # fmt: skip


def short_reason(reason: str) -> str:
    """Removes the addresses and numbers that only the log needs.

    Args:
        reason: a reason.

    Returns:
        The short form.
    """
    return _DETAILS.sub("", reason)


def gap_parts(
    gap: GapView, now: int, clock_rate: float, others: int = 0, zone: tzinfo | None = UTC
) -> list[Part]:
    """Describes a gap: where, how long, what is done about it, when the next try is, how many more.

    Args:
        gap: the gap.
        now: exchange time, ms.
        clock_rate: exchange seconds per real second.
        others: number of other open gaps.
        zone: time zone; None for this machine's.

    Returns:
        Texts with their roles.
    """
    candles = f"{gap.minutes:,} candle{'s' if gap.minutes != 1 else ''}"
    parts: list[Part] = [
        ("! ", Role.WARN),
        (f"gap {gap.symbol} {_span(gap.start, gap.end, zone)}", Role.STRONG),
        (f" ({candles}) ", Role.TEXT),
    ]
    filled = (gap.minutes - gap.missing) / gap.minutes if gap.minutes else 0.0
    doing = f"backfilling {filled * 100:.0f}%" if gap.state == "filling" else gap.state
    parts.append((doing, Role.WARN if gap.state == "unavailable" else Role.ACCENT))
    if others:
        parts.append((f"{_MORE}{others} more", Role.WARN))
    if gap.source:
        parts.append((f"{_MORE}{gap.source}", Role.MUTED))
    if gap.next_try is not None:
        wait = max(0.0, (gap.next_try - now) / 1000 / clock_rate)
        parts.append((f"{_MORE}next try {cells.duration_text(wait)}", Role.MUTED))
    if gap.reason:
        parts.append((f"{_MORE}{short_reason(gap.reason)}", Role.MUTED))
    return parts


def _span(start: int, end: int, zone: tzinfo | None) -> str:
    """Two times, with their dates where they are not of one day."""
    if cells.date_text(start, zone) == cells.date_text(end, zone):
        return f"{cells.clock_text(start, zone=zone)}→{cells.clock_text(end, zone=zone)}"
    return f"{cells.moment_text(start, zone)}→{cells.moment_text(end, zone)}"


def _news(snapshot: Snapshot, zone: tzinfo | None, any_age: bool = False) -> list[Part]:
    """The newest warning or error, unless it is old."""
    for event in reversed(snapshot.events):
        if event.level in ("warning", "error"):
            if not any_age and snapshot.exchange_time - event.at > _RECENT_MS * max(1.0, snapshot.clock_rate):
                return []
            role = Role.ERROR if event.level == "error" else Role.WARN
            time = cells.clock_text(event.at, True, zone)
            text = f"{event.symbol} {event.text}" if event.symbol else event.text
            return [("! ", role), (f"{time} ", Role.MUTED), (text, Role.TEXT)]
    return []


@dataclass(frozen=True, slots=True)
class BarInSight:
    """A bar of a chart, for its title."""

    time: int  # open time, ms
    emas: tuple[tuple[str, float | None], ...]  # name and value of each line, the fast one first


def chart_title(
    snapshot: Snapshot,
    view: SymbolView,
    timeframe: int,
    end: int | None,
    width: int,
    palette: Palette,
    how: str = "",
    newest: BarInSight | None = None,
) -> Strip:
    """Paints the line over a chart: symbol, timeframe, trend and EMAs with their bar.

    Of a stretch of the past it has the EMAs of the newest bar in sight, no trend.

    Args:
        snapshot: the newest one.
        view: the symbol in it.
        timeframe: seconds.
        end: exclusive end of the stretch in sight, ms; None where that is the present.
        width: cells.
        palette: styles and symbols.
        how: what is special about the chart, such as its scale.
        newest: bar in sight, where the stretch is not the present; None where it has none.

    Returns:
        One strip.
    """
    rule = palette.glyphs.rule
    parts: list[Part] = [
        (rule * 2, Role.FAINT),
        (f" {view.symbol} {timeframe_label(timeframe)} ", Role.STRONG),
        *state_parts(view),
        (f"{how} " if how else "", Role.ACCENT),
    ]
    if end is not None:
        until = f"{cells.date_text(end, palette.zone)} {cells.clock_text(end, zone=palette.zone)}"
        parts.append((f"up to {until} ", Role.WARN))
    state = timeframe_of(view, timeframe)
    glyphs = palette.glyphs
    if end is not None:
        if newest is not None:
            when = cells.clock_text(newest.time, zone=palette.zone)
            if cells.date_text(newest.time, palette.zone) != cells.date_text(end - 1, palette.zone):
                when = cells.moment_text(newest.time, palette.zone)
            parts.append((f" bar of {when} ", Role.MUTED))
            for (name, value), role, sign in zip(newest.emas, EMA_ROLES, glyphs.dots, strict=False):
                parts.append(_ema_part(name, value, role, sign, view, glyphs))
    elif state is not None and state.trend is not None and state.bar_time is not None:
        sign, role = {
            "Buy": (palette.glyphs.buy, Role.UP),
            "Sell": (palette.glyphs.sell, Role.DOWN),
        }.get(state.trend, (palette.glyphs.neutral, Role.FLAT))
        parts += [
            (f" {sign} ", role),
            (f"bar of {cells.clock_text(state.bar_time, zone=palette.zone)} ", Role.MUTED),
        ]
        drawn = [pair for pair in snapshot.values_of(state) if pair[0].kind == "ema"]
        for (indicator, value), role, sign in zip(drawn, EMA_ROLES, glyphs.dots, strict=False):
            parts.append(_ema_part(indicator.label, value, role, sign, view, glyphs))
        marks = ("warming~" if state.warming else "", "partial*" if state.partial else "")
        parts.append((" " + " ".join(filter(None, marks)), Role.PARTIAL if state.partial else Role.WARN))
    if view.profile_note:
        # Without room for what would fit, what is wrong, or of what; `w` has all of it.
        room = width - 1 - sum(cell_len(text) for text, _ in parts)
        forms = (view.profile_note, view.profile_note.partition(": ")[0], "profile rows")
        note = next((form for form in forms if cell_len(form) + 3 <= room), forms[-1])
        parts.append((f" ! {note}", Role.WARN))
    return palette.strip([*whole(parts, width - 1), (" ", Role.TEXT)], width, fill=(rule, Role.FAINT))


def _ema_part(
    name: str, value: float | None, role: Role, sign: str, view: SymbolView, glyphs: Glyphs
) -> Part:
    text = cells.price_text(value, view.price_decimals, 10)
    drawn_as = "" if glyphs.braille else f" {sign}"
    return f"{drawn_as} {name} {text}", role if value is not None else Role.MUTED


def key_line(keys: Sequence[tuple[str, str]], width: int) -> list[Part]:
    """Writes keys and what they do.

    Where there is no room, the blanks between go first, then those between the digit of a screen and its
    name; then keys from the end, but for the last two (help and quit).

    Args:
        keys: as they are written, and what they do in a word or two.
        width: cells.

    Returns:
        The parts of the line.
    """
    texts = [(" " + key, f" {text} ") for key, text in keys]
    if _cells(texts) > width:
        texts = [(" " + key, " " + text) for key, text in keys]
    if _cells(texts) > width:
        texts = [(" " + key, text if key.isdigit() else " " + text) for key, text in keys]
    room = width - _cells(texts[-2:])
    parts: list[Part] = []
    for index, (key, text) in enumerate(texts):
        if index < len(texts) - 2:
            size = _cells([(key, text)])
            if size > room:
                continue
            room -= size
        parts += [(key, Role.ACCENT), (text, Role.MUTED)]
    return parts


def _cells(texts: Sequence[tuple[str, str]]) -> int:
    return sum(cell_len(key) + cell_len(text) for key, text in texts)
