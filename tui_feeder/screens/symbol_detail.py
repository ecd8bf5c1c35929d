"""Everything that is known of a symbol, on a sheet: Enter opens it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

from tui_feeder.monitor import (
    DAY_MS,
    MINUTE_MS,
    PATIENCE_SECONDS,
    GapView,
    ProfileView,
    Snapshot,
    SymbolNumbers,
    SymbolView,
    TimeframeView,
    timeframe_label,
)
from tui_feeder.scanner.measures import alignment, delta_percent, level_price, range_percent
from tui_feeder.screens.alert_rules import rule_text
from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets import cells
from tui_feeder.widgets.lists import gap_reason
from tui_feeder.widgets.palette import Glyphs, Part, Role
from tui_feeder.widgets.sheet import Sheet

_LABEL = 11  # cells
_ALERTS, _LINES, _TOP_ROWS = 10, 10, 3
_MEASURES = {"volume": "volume", "taker_buy_volume": "taker buy", "avg_trade": "per trade",
             "trade_count": "trades"}  # fmt: skip
Line = list[Part]


def row(label: str, *parts: Part | str) -> Line:
    """Makes a line of a sheet.

    Args:
        label: at the left.
        parts: what follows; a text alone is usual text.

    Returns:
        The line.
    """
    texts = [(part, Role.TEXT) if isinstance(part, str) else part for part in parts]
    return [(cells.fit(label, _LABEL), Role.MUTED), *texts]


def heading(text: str) -> list[Line]:
    """Begins a section of a sheet.

    Args:
        text: what it is about.

    Returns:
        An empty line and the heading.
    """
    return [[], [(text, Role.ACCENT)]]


def symbol_sheet(host: ScreenHost, symbol: str) -> Sheet:
    """Makes the sheet of a symbol; it goes on with every snapshot.

    Args:
        host: the app.
        symbol: its name.

    Returns:
        The sheet.
    """
    read: dict[object, tuple[SymbolNumbers | None, ProfileView | None, Mapping[str, int]]] = {}

    def lines() -> list[Line]:
        snapshot = host.snapshot
        view = next((view for view in snapshot.symbols if view.symbol == symbol), None)
        if view is None:
            return [[(f"{symbol} is no longer followed", Role.WARN)]]
        key = (view.last_closed, view.stored)  # an attached feeder answers a moment later
        if key not in read or None in read[key][:2]:
            read.clear()
            read[key] = _asked(host, view)
        numbers, profile, sources = read[key]
        zone, glyphs = host.palette.zone, host.palette.glyphs
        return [
            *_now(view, snapshot, zone),
            *_user(host, symbol),
            *_timeframes(view, snapshot, glyphs, zone),
            *_levels(view, profile),
            *_volumes(view, numbers, zone),
            *_minutes(view, snapshot, numbers, sources, zone),
            *_alerts(snapshot, symbol, zone),
            *_log(snapshot, symbol, zone),
        ]

    return Sheet(symbol, lines, indent=_LABEL, copy=host.copy)


def _asked(
    host: ScreenHost, view: SymbolView
) -> tuple[SymbolNumbers | None, ProfileView | None, Mapping[str, int]]:
    """What is read of the store, once a minute."""
    if view.last_closed is None:
        return None, None, {}
    until = view.last_closed + MINUTE_MS
    sources = host.monitor.sources(view.symbol, view.last_closed // DAY_MS * DAY_MS, until)
    profile = host.monitor.profile(view.symbol, patience=PATIENCE_SECONDS)
    return host.monitor.numbers(view.symbol), profile, sources


def _price(view: SymbolView, value: float | None) -> str:
    return cells.price_text(value, view.price_decimals, 24)


def _change(value: float | None) -> str:
    return cells.UNKNOWN if value is None else f"{cells.percent_text(value, 12).strip()}%"


def _now(view: SymbolView, snapshot: Snapshot, zone: tzinfo | None) -> list[Line]:
    state: list[Part] = [(view.state.value, Role.STRONG)]
    state += [(f": {view.reason}", Role.WARN)] if view.reason else []
    lines = [row("state", *state)]
    if (progress := view.progress) is not None:
        files = f", {progress.files_done}/{progress.files_total} files" if progress.files_total else ""
        eta = f", {cells.duration_text(progress.eta_seconds)} to go" if progress.eta_seconds else ""
        note = f", {progress.note}" if progress.note else ""
        text = f"{progress.fraction * 100:.0f}% of {progress.rows_total:,} minutes from {progress.source}"
        lines.append(row("history", text + files + eta + note))
    if view.price is None:
        return [*lines, row("price", "none yet")]
    lines.append(row("price", (_price(view, view.price), Role.STRONG),
                     f"  1 min {_change(view.change_1m)}  24 h {_change(view.change_24h)}"))  # fmt: skip
    if (forming := view.forming) is not None:
        text = f"minute {cells.clock_text(forming.open_time, zone=zone)} in progress: "
        text += " ".join(f"{name} {_price(view, value)}" for name, value in (
            ("O", forming.open), ("H", forming.high), ("L", forming.low), ("C", forming.close)
        ))  # fmt: skip
        lines.append(row("", f"{text} vol {cells.count_text(forming.volume)} (base asset)"))
    high, low = level_price(view, "high"), level_price(view, "low")
    reach = range_percent(view)
    text = f"{_price(view, low)} to {_price(view, high)}"
    lines.append(row("24 h", text + ("" if reach is None else f", {reach:.2f}% of the low"),
                     f"; volume {cells.count_text(view.volume_24h)} (quote asset)"))  # fmt: skip
    return lines


def _user(host: ScreenHost, symbol: str) -> list[Line]:
    lists = host.grid.lists
    lines = [row("pinned", "yes")] if symbol in lists.pins else []
    return [*lines, row("note", lists.notes[symbol])] if symbol in lists.notes else lines


def _timeframes(view: SymbolView, snapshot: Snapshot, glyphs: Glyphs, zone: tzinfo | None) -> list[Line]:
    lines = heading("Timeframes, each at its last closed bar")
    for state in view.timeframes:
        lines += _timeframe(state, view, snapshot, glyphs, zone)
    found = alignment(view)
    if found is not None:
        known = "" if found.complete else f", {found.known} of {found.total} trends known"
        held = "" if found.since is None else (
            f"; no trend has changed for {cells.minutes_text(snapshot.exchange_time - found.since)}"
        )  # fmt: skip
        lines.append(row("alignment", (f"{found.score:+d}", Role.STRONG), f" of {found.total}{known}{held}"))
    return lines if view.timeframes else []


def _timeframe(
    state: TimeframeView, view: SymbolView, snapshot: Snapshot, glyphs: Glyphs, zone: tzinfo | None
) -> list[Line]:
    signs = {"Buy": (glyphs.buy, Role.UP), "Sell": (glyphs.sell, Role.DOWN),
             "Neutral": (glyphs.neutral, Role.FLAT)}  # fmt: skip
    label = timeframe_label(state.timeframe)
    if state.bar_time is None:
        return [row(label, "no bar yet")]
    sign, role = signs.get(state.trend or "", ("?", Role.MUTED))
    since = ""
    if state.trend_since is not None and state.trend is not None:
        age = cells.minutes_text(snapshot.exchange_time - state.trend_since)
        since = f" since {cells.moment_text(state.trend_since, zone)} ({age})"
    parts: list[Part] = [(f"{sign} {state.trend or 'trend unknown'}", role), (since, Role.TEXT)]
    bar = f"; bar {cells.moment_text(state.bar_time, zone)} closed at {_price(view, state.close)}"
    parts.append((bar, Role.TEXT))
    for indicator, value in snapshot.values_of(state):
        digits = view.price_decimals if indicator.on_price else 2
        parts.append((f"; {indicator.title} {indicator.period} ", Role.MUTED))
        parts.append((cells.price_text(value, digits, 24), Role.STRONG))
        if indicator.on_price and value and view.price is not None:
            parts.append((f" (price {_change((view.price - value) / value * 100)} from it)", Role.TEXT))
    if state.warming:
        parts.append(("; ~ warming up: an indicator has not converged, or lacks bars", Role.WARN))
    if state.bars_lacking:
        parts.append((f"; * {state.bars_lacking} bars after it are missing", Role.WARN))
    if state.minutes_lacking:
        parts.append((f"; * {state.minutes_lacking} of its minutes are missing", Role.WARN))
    return [row(label, *parts)]


def _levels(view: SymbolView, profile: ProfileView | None) -> list[Line]:
    if view.poc is None:
        return [*heading("Levels"), row("", "no profile yet")]
    day = "" if profile is None else f" of {cells.date_text(profile.day)} UTC"
    lines = heading(f"Levels{day}, and how far the price is from them")
    for name in ("vah", "poc", "vwap", "val"):
        value = level_price(view, name)
        away = "" if not value or view.price is None else _change((view.price - value) / value * 100)
        lines.append(row(name.upper(), (_price(view, value), Role.STRONG), f"  {away}"))
    if profile is not None and profile.weights:
        total = sum(profile.weights)
        best = sorted(range(len(profile.weights)), key=lambda at: -profile.weights[at])[:_TOP_ROWS]
        prices = profile.prices
        text = ", ".join(f"{_price(view, float(prices[at]))} {profile.weights[at] / total:.1%}"
                         for at in best if profile.weights[at])  # fmt: skip
        counted = f"{profile.candles:,} minutes, volume {cells.count_text(profile.total_volume)} (base asset)"
        rows = f"{len(profile.weights):,} rows of {profile.increment:.12g}"
        lines += [row("profile", f"{counted}, {rows}"), row("largest", text)]
    if view.profile_note:
        lines.append(row("", (view.profile_note, Role.WARN)))
    return lines


def _volumes(view: SymbolView, numbers: SymbolNumbers | None, zone: tzinfo | None) -> list[Line]:
    lines: list[Line] = []
    if view.relative_volume is not None:
        text = "the last 15 min in times of the median at that time of day, of up to 14 days"
        lines.append(row("RVOL", (cells.ratio_text(view.relative_volume), Role.STRONG), f"  {text}"))
    if view.cvd_day is not None and (share := delta_percent(view.cvd_day, view.day_volume)) is not None:
        sign = "-" if view.cvd_day < 0 else "+"
        value = f"{sign}{cells.count_text(abs(view.cvd_day))} ({cells.percent_text(share)}%)"
        lines.append(row("CVD", (value, Role.STRONG), "  base asset: takers bought less sold on the UTC day"))
    if numbers is not None and numbers.quantiles:
        lines.append(row("", (f"{'q25':>10}{'q50':>10}{'q75':>10}{'q90':>10}  of a minute", Role.MUTED)))
        for name, quartet in numbers.quantiles.items():
            values = "".join(f"{cells.count_text(value):>10}" for value in quartet)
            unit = "" if name == "trade_count" else "  base asset"
            lines.append(row(_MEASURES.get(name, name), values + unit))
    if numbers is not None and (peak := numbers.peak) is not None:
        text = f"{cells.count_text(peak.volume)} in the 5m bar to {cells.moment_text(peak.end, zone)}"
        text += f", close {_price(view, peak.price)}; 4h closes against it: {peak.trend}"
        lines.append(row("peak", text))
    return [*heading("Volume of the look-back window"), *lines] if lines else []


def _minutes(
    view: SymbolView,
    snapshot: Snapshot,
    numbers: SymbolNumbers | None,
    sources: Mapping[str, int],
    zone: tzinfo | None,
) -> list[Line]:
    lines = heading("Minutes")
    if view.last_closed is not None:
        age = cells.age_text(None if view.last_frame is None else snapshot.exchange_time - view.last_frame)
        closed = cells.moment_text(view.last_closed, zone)
        lines.append(
            row("newest", f"{closed} closed; last frame {age} s ago; {view.messages:,} messages sent")
        )
    if view.first_minute is not None:
        first = f"{cells.date_text(view.first_minute, zone)} {cells.clock_text(view.first_minute, zone=zone)}"
        lines.append(row("wanted", f"from {first}; {view.missing_minutes:,} missing"))
    if sources:
        text = ", ".join(f"{count:,} from {source}" for source, count in sources.items())
        lines.append(row("today", f"{text} (UTC day)"))
    lines += [row("gap", (gap_text(gap, snapshot, zone), Role.WARN if gap.missing else Role.TEXT))
              for gap in snapshot.gaps if gap.symbol == view.symbol]  # fmt: skip
    lines.append(row("corrected", f"{view.revisions:,} published minutes since the start"))
    if numbers is not None and numbers.corrected:
        spans = ", ".join(span_text(start, end, zone) for start, end in numbers.corrected)
        lines.append(row("", f"the newest ever: {spans}"))
    return lines


def span_text(start: int, end: int, zone: tzinfo | None) -> str:
    """Writes a stretch of minutes.

    Args:
        start: its first minute, ms.
        end: exclusive, ms.
        zone: time zone; None for this machine's.

    Returns:
        First and last moment, and how many minutes.
    """
    minutes = (end - start) // MINUTE_MS
    last = cells.moment_text(end, zone)
    return f"{cells.moment_text(start, zone)} to {last} ({minutes:,} min)"


def gap_text(gap: GapView, snapshot: Snapshot, zone: tzinfo | None) -> str:
    """Writes a gap in full.

    Args:
        gap: the gap.
        snapshot: the newest one.
        zone: time zone; None for this machine's.

    Returns:
        Its span, state, tries, reason, and what comes next.
    """
    text = f"{span_text(gap.start, gap.end, zone)}: {gap.state}, {gap.missing:,} still missing"
    text += f", tried {gap.tries} {'time' if gap.tries == 1 else 'times'}"
    text += f"; {gap_reason(gap)}" if gap_reason(gap) else ""
    if gap.closed_at is not None:
        return f"{text}; filled at {cells.moment_text(gap.closed_at, zone, seconds=True)}"
    if gap.next_try is not None:
        wait = max(0.0, (gap.next_try - snapshot.exchange_time) / 1000 / snapshot.clock_rate)
        text += f"; next try in {cells.duration_text(wait)}"
    return text + ("" if gap.eta_seconds is None else f"; filled in {cells.duration_text(gap.eta_seconds)}")


def _alerts(snapshot: Snapshot, symbol: str, zone: tzinfo | None) -> list[Line]:
    alerts = [alert for alert in snapshot.alerts if alert.symbol == symbol][: -_ALERTS - 1 : -1]
    rules = [rule for rule in snapshot.alert_rules.rules if rule.concerns(symbol)]
    if not alerts and not rules:
        return []
    lines = heading("Alerts (a lists them, A changes their rules)")
    for rule in rules:
        fault = f"; not in force: {rule.fault}" if rule.fault else ""
        lines.append(row("rule", f"{rule.name}: {rule_text(rule)}{fault}"))
    for alert in alerts:
        seen = "   " if alert.acknowledged else " ! "
        lines.append(
            row(cells.moment_text(alert.at, zone), (seen, Role.WARN), f"{alert.text} (rule {alert.rule})")
        )
    return lines


def _log(snapshot: Snapshot, symbol: str, zone: tzinfo | None) -> list[Line]:
    events = [event for event in snapshot.events if event.symbol == symbol][: -_LINES - 1 : -1]
    roles = {"warning": Role.WARN, "error": Role.ERROR}
    lines = [row(cells.moment_text(event.at, zone), (" " + event.text, roles.get(event.level, Role.TEXT)))
             for event in events]  # fmt: skip
    return [*heading("Log"), *lines] if lines else []
