"""The single lines of the screens: status at the top, the gap line, and the keys at the bottom. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tui_feeder.monitor import GapView, Snapshot, SymbolState, SymbolView
from tui_feeder.widgets import cells
from tui_feeder.widgets.ink import Glyphs, Part, Role

_STATES = {
    "starting": ("loading", Role.ACCENT),
    "backfill": ("loading", Role.ACCENT),
    "live": ("live", Role.OK),
    "degraded": ("buy", Role.WARN),
    "stopping": ("off", Role.WARN),
    "stopped": ("off", Role.WARN),
    "failed": ("neutral", Role.ERROR),
}
_SINKS = {"kafka": "kfk", "postgres": "pg", "postgresql": "pg"}
_RECENT_MS = 120_000


def status_line(
    snapshot: Snapshot, shown: int, hz: float, frozen: bool, title: str, width: int, glyphs: Glyphs
) -> list[Part]:
    """Is my data complete and live: state, symbols, sockets, sinks, gaps, rate; the least important give way.

    Args:
        snapshot: the newest one.
        shown: symbols that pass the filter.
        hz: ticks a second.
        frozen: the display stands still.
        title: of the program, shown where there is room.
        width: cells.
        glyphs: symbols.
    """
    sign, role = _STATES.get(snapshot.state, ("neutral", Role.WARN))
    state = snapshot.state.upper()
    fraction = history_fraction(snapshot)
    if snapshot.state == "backfill" and fraction is not None:
        state += f" {fraction * 100:.0f}%"
    total = len(snapshot.symbols)
    count = f"{total}" if shown == total else f"{shown}/{total}"
    groups: list[list[Part]] = [[(f"{getattr(glyphs, sign)} {state}", role), (f" {count} sym", Role.TEXT)]]
    if frozen:
        groups.append([("FROZEN", Role.WARN)])
    groups += [_streams(snapshot), *_stores(snapshot), _gaps(snapshot)]
    if snapshot.clock_rate != 1.0:
        groups.append([(f"{snapshot.clock_rate:g}x", Role.ACCENT)])
    groups.append([(f"{hz:g}Hz", Role.MUTED)])
    if snapshot.weight_limit:
        role = Role.WARN if snapshot.weight_used > 0.8 * snapshot.weight_limit else Role.MUTED
        groups.append([(f"rest {snapshot.weight_used}/{snapshot.weight_limit}", role)])
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


def _stores(snapshot: Snapshot) -> list[list[Part]]:
    words: list[tuple[str, str]] = []
    store = snapshot.parts.get("store")
    if store is not None:
        words.append(("lmdb", "ok" if store == "running" else store))
    words += [(_SINKS.get(name, name), word) for name, word in snapshot.sinks.items() if word != "off"]
    groups: list[list[Part]] = []
    for name, word in words:
        what: Part = ("ok", Role.TEXT) if word == "ok" else (word[:12] + "!", Role.WARN)
        groups.append([(f"{name} ", Role.TEXT), what])
    return groups


def _gaps(snapshot: Snapshot) -> list[Part]:
    open_gaps = sum(gap.state != "filled" for gap in snapshot.gaps)
    if open_gaps:
        return [(f"gaps {open_gaps}!", Role.WARN)]
    return [("gaps 0", Role.TEXT)]


def history_fraction(snapshot: Snapshot) -> float | None:
    """How much of the history of all symbols is read, 0.0 to 1.0; None while nothing is being read."""
    reading = [view.progress for view in snapshot.symbols if view.progress is not None]
    if not reading:
        return None
    mean = sum(progress.rows_total for progress in reading) / len(reading)
    total = mean * sum(view.state is not SymbolState.UNKNOWN for view in snapshot.symbols)
    finished = sum(
        view.progress is None and view.last_closed is not None and view.state is not SymbolState.WAITING
        for view in snapshot.symbols
    )
    done = sum(progress.rows_done for progress in reading) + mean * finished
    return min(1.0, done / total) if total else None


def gap_line(snapshot: Snapshot, view: SymbolView | None, glyphs: Glyphs) -> list[Part]:
    """The one thing to know now: history being read, a gap, a late symbol, news, or that all is well."""
    open_gaps = [gap for gap in snapshot.gaps if gap.state != "filled"]
    reading = [v.progress for v in snapshot.symbols if v.progress is not None]
    if snapshot.state in ("failed", "stopped", "stopping"):
        return _news(snapshot, any_age=True) or [(f" the engine is {snapshot.state}", Role.WARN)]
    if reading and (snapshot.state == "backfill" or not open_gaps):
        fraction = history_fraction(snapshot)
        symbols = "symbol" if len(reading) == 1 else "symbols"
        etas = [progress.eta_seconds for progress in reading if progress.eta_seconds is not None]
        files = (
            sum(progress.files_done for progress in reading),
            sum(progress.files_total for progress in reading),
        )
        text = f" history of {len(reading)} {symbols}, {cells.bytes_text(sum(p.bytes_done for p in reading))}"
        if files[1]:
            text += f", {files[0]}/{files[1]} files"
        if etas:
            text += f", {cells.duration_text(max(etas))} to go"
        percent = cells.UNKNOWN if fraction is None else f"{fraction * 100:.0f}%"
        return [(f"{glyphs.loading} {percent}", Role.ACCENT), (text, Role.TEXT)]
    if open_gaps:
        first = next(
            (gap for gap in open_gaps if view is not None and gap.symbol == view.symbol), open_gaps[0]
        )
        return gap_parts(first, snapshot.exchange_time, snapshot.clock_rate)
    if view is not None and view.reason and view.state is not SymbolState.LIVE:
        return [
            ("! ", Role.WARN),
            (f"{view.symbol} {view.state.value}: ", Role.TEXT),
            (view.reason, Role.MUTED),
        ]
    news = _news(snapshot)
    if news:
        return news
    missing = sum(v.missing_minutes for v in snapshot.symbols)
    if missing:
        return [("! ", Role.WARN), (f"{missing:,} minutes missing", Role.TEXT)]
    if snapshot.state == "live" and snapshot.store_candles:
        size = f", {cells.bytes_text(snapshot.store_bytes)}" if snapshot.store_bytes else ""
        return [
            ("  no minute missing", Role.OK),
            (f" in {snapshot.store_candles:,} candles{size}", Role.MUTED),
        ]
    return []


def gap_parts(gap: GapView, now: int, clock_rate: float) -> list[Part]:
    """A gap in words: where, how long, what is done about it, when the next try is."""
    candles = f"{gap.minutes:,} candle{'s' if gap.minutes != 1 else ''}"
    parts: list[Part] = [
        ("! ", Role.WARN),
        (f"gap {gap.symbol} {_span(gap.start, gap.end)}", Role.STRONG),
        (f" ({candles}) ", Role.TEXT),
    ]
    filled = (gap.minutes - gap.missing) / gap.minutes if gap.minutes else 0.0
    doing = f"backfilling {filled * 100:.0f}%" if gap.state == "filling" else gap.state
    parts.append((doing, Role.WARN if gap.state == "unavailable" else Role.ACCENT))
    if gap.source:
        parts.append((f" · {gap.source}", Role.MUTED))
    if gap.next_try is not None:
        wait = max(0.0, (gap.next_try - now) / 1000 / clock_rate)
        parts.append((f" · next try {cells.duration_text(wait)}", Role.MUTED))
    if gap.reason:
        parts.append((f" · {gap.reason}", Role.MUTED))
    return parts


def _span(start: int, end: int) -> str:
    """Two times, with their dates where they are not of one day."""
    if cells.date_text(start) == cells.date_text(end):
        return f"{cells.clock_text(start)}→{cells.clock_text(end)}"
    first, last = (f"{cells.date_text(t)[5:]} {cells.clock_text(t)}" for t in (start, end))
    return f"{first}→{last}"


def _news(snapshot: Snapshot, any_age: bool = False) -> list[Part]:
    """The newest warning or error, unless it is old."""
    for event in reversed(snapshot.events):
        if event.level in ("warning", "error"):
            if not any_age and snapshot.exchange_time - event.at > _RECENT_MS * max(1.0, snapshot.clock_rate):
                return []
            role = Role.ERROR if event.level == "error" else Role.WARN
            time = cells.clock_text(event.at, seconds=True)
            text = f"{event.symbol} {event.text}" if event.symbol else event.text
            return [("! ", role), (f"{time} ", Role.MUTED), (text, Role.TEXT)]
    return []


def key_line(keys: Sequence[tuple[str, str]], width: int) -> list[Part]:
    """Keys and what they do. Where there is no room for all, the last two stay (help and quit)."""
    sizes = [cell_len(key) + len(text) + 3 for key, text in keys]
    tight = sum(sizes) > width
    if tight:
        sizes = [size - 1 for size in sizes]
    room = width - sum(sizes[-2:])
    parts: list[Part] = []
    for index, (key, text) in enumerate(keys):
        if index < len(keys) - 2:
            if sizes[index] > room:
                continue
            room -= sizes[index]
        parts += [(f" {key}", Role.ACCENT), (f" {text}" if tight else f" {text} ", Role.MUTED)]
    return parts
