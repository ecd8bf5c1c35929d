"""Painter of sources and sinks: what comes in by which way, what is left of it, where it goes. Pure.

A wide terminal shows two columns: at the left what comes in and what is wrong with it, at the right the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from heapq import nsmallest
from itertools import zip_longest
from operator import itemgetter

from rich.cells import cell_len

from tui_feeder.monitor import Event, ReceiverView, Snapshot, StreamView, SymbolState, SymbolView
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.progress_bars import bar_text
from tui_feeder.widgets.spark import pooled, tall_spark
from tui_feeder.widgets.text_line import fitted

_STREAM_ROLES = {"live": Role.OK, "connecting": Role.ACCENT, "silent": Role.WARN, "backing off": Role.WARN}
_GOOD = ("running", "ok")
#: Minutes of an hour; cells that it may be drawn in; rows of a sparkline at most.
_HOUR = 60
_HOUR_CELLS = (120, 60, 30)
_TALLEST = 6
#: Cells from which there are two columns, and those between them.
_TWO_COLUMNS, _BETWEEN = 160, 2
#: Symbols that are not live: the worst first, so many at most.
_WORST = (
    SymbolState.FAILED, SymbolState.STALE, SymbolState.LATE, SymbolState.NO_DATA, SymbolState.UNKNOWN,
    SymbolState.BACKFILL, SymbolState.WAITING, SymbolState.DELISTED, SymbolState.DELIVERED,
)  # fmt: skip
_MOST_SYMBOLS = 10
#: Symbols with the oldest last frames at most.
_MOST_OLDEST = 15
_BAD = (SymbolState.FAILED, SymbolState.STALE, SymbolState.LATE)
#: Offset of the exchange's clock from which it is stated in minutes: of a demo or a replay.
_LONG_OFFSET_MS = 100_000
#: Cells of a bar, and at least where text needs them.
_GAUGE, _LEAST_GAUGE = 24, 8
#: Lines of the log at least, where there are any.
_LEAST_EVENTS = 3


def source_lines(
    snapshot: Snapshot, width: int, palette: Palette, hz: float, height: int = 0
) -> list[list[Part]]:
    """Writes the lines of the screen.

    Args:
        snapshot: the newest one.
        width: cells there are.
        palette: styles and symbols.
        hz: how often the screen is drawn, a second.
        height: lines there are; what the others leave of them is given to the last hour.

    Returns:
        The lines from the top.
    """
    if width >= _TWO_COLUMNS:
        return _two_columns(snapshot, width, palette, hz, height)
    sockets = [*_sockets(snapshot, width, palette), *_trades(snapshot, width, palette)]
    others = _others(snapshot, width, palette, hz)
    rows = min(max(1, (height - len(sockets) - len(others) - 2) // 2), _TALLEST)
    return [*sockets, *_last_hour(snapshot, width, rows, palette), *others]


def _two_columns(
    snapshot: Snapshot, width: int, palette: Palette, hz: float, height: int
) -> list[list[Part]]:
    room = (width - _BETWEEN) // 2
    others = _others(snapshot, width - _BETWEEN - room, palette, hz)
    left = [
        *_sockets(snapshot, room, palette),
        *_trades(snapshot, room, palette),
        *_symbols(snapshot, room, palette),
    ]
    rows = min(max(1, (height - len(left) - _LEAST_EVENTS - 3) // 2), _TALLEST)
    left += _last_hour(snapshot, room, rows, palette)
    others += _oldest(snapshot, height - len(others) - 2, width - _BETWEEN - room, palette)
    left += _troubles(snapshot.events, max(height, len(others)) - len(left) - 1, room, palette)
    return [
        [*fitted(first, room), (" " * _BETWEEN, Role.TEXT), *second]
        for first, second in zip_longest(left, others, fillvalue=())
    ]


def _symbols(snapshot: Snapshot, width: int, palette: Palette) -> list[list[Part]]:
    """How many symbols are well, and those that are not, the worst first."""
    counts = Counter(view.state for view in snapshot.symbols)
    states = (SymbolState.LIVE, *_WORST)
    note = ", ".join(f"{counts[state]} {state.value}" for state in states if counts[state])
    lines = [rule("Symbols", note, width, palette)]
    bad = [view for view in snapshot.symbols if view.state in _WORST]
    bad.sort(key=lambda view: _WORST.index(view.state))
    if not bad:
        text = "every symbol is live" if snapshot.symbols else "none yet"
        return [*lines, [(f"  {text}", Role.MUTED)]]
    lines.append([("  SYMBOL            STATE         AGE  MISSING  WHY", Role.MUTED)])
    lines += [_symbol(view, snapshot.exchange_time) for view in bad[:_MOST_SYMBOLS]]
    if len(bad) > _MOST_SYMBOLS:
        lines.append([(f"  {len(bad) - _MOST_SYMBOLS} more", Role.MUTED)])
    return lines


def _symbol(view: SymbolView, now: int) -> list[Part]:
    age = None if view.last_frame is None else now - view.last_frame
    missing = cells.count_text(view.missing_minutes)
    return [
        (cells.fit(f"  {view.symbol}", 20), Role.TEXT),
        (cells.fit(view.state.value, 11), Role.WARN if view.state in _BAD else Role.MUTED),
        (cells.fit(cells.age_text(age, tenths=False), 6, right=True), Role.TEXT),
        (cells.fit(missing, 9, right=True), Role.WARN if view.missing_minutes else Role.TEXT),
        (f"  {view.reason}", Role.MUTED),
    ]


def _oldest(snapshot: Snapshot, room: int, width: int, palette: Palette) -> list[list[Part]]:
    """The symbols whose last frames are oldest, as many as there is room for."""
    known = [(view.last_frame, view) for view in snapshot.symbols if view.last_frame is not None]
    if room < 1 or not known or snapshot.replayed:
        return []
    oldest = nsmallest(min(room, _MOST_OLDEST), known, key=itemgetter(0))
    return [
        rule("Oldest last frames", "", width, palette),
        [("  SYMBOL               AGE  LAST MINUTE  MESSAGES", Role.MUTED)],
        *(_frame_age(view, snapshot.exchange_time - frame, palette.zone) for frame, view in oldest),
    ]


def _frame_age(view: SymbolView, age: int, zone: tzinfo | None) -> list[Part]:
    closed = cells.UNKNOWN if view.last_closed is None else cells.clock_text(view.last_closed, zone=zone)
    return [
        (cells.fit(f"  {view.symbol}", 20), Role.TEXT),
        (cells.fit(cells.age_text(age, tenths=False), 6, right=True),
         Role.WARN if view.state in _BAD else Role.TEXT),
        (cells.fit(closed, 13, right=True), Role.TEXT),
        (cells.fit(cells.count_text(view.messages), 10, right=True), Role.MUTED),
    ]  # fmt: skip


def _troubles(events: Sequence[Event], room: int, width: int, palette: Palette) -> list[list[Part]]:
    """The newest warnings and errors of the log, as many as there is room for."""
    found = [event for event in reversed(events) if event.level != "info"]
    note = "newest first, screen 6 has all" if found else ""
    lines = [rule("Warnings and errors", note, width, palette)]
    if not found:
        return [*lines, [("  none", Role.MUTED)]]
    return lines + [_trouble(event, palette.zone) for event in found[: max(room, _LEAST_EVENTS)]]


def _trouble(event: Event, zone: tzinfo | None) -> list[Part]:
    name = f"{event.symbol} " if event.symbol is not None else ""
    return [
        (f"  {cells.clock_text(event.at, True, zone)} ", Role.MUTED),
        (name, Role.STRONG),
        (event.text, Role.ERROR if event.level == "error" else Role.WARN),
    ]


def _others(snapshot: Snapshot, width: int, palette: Palette, hz: float) -> list[list[Part]]:
    return [
        *_rest(snapshot, width, palette),
        *_archives(snapshot, width, palette),
        *_store(snapshot, width, palette),
        *_sinks(snapshot, width, palette),
        *_gateway(snapshot, width, palette),
        *_parts(snapshot, width, palette),
        *_clock(snapshot, width, palette, hz),
    ]


def rule(name: str, note: str, width: int, palette: Palette) -> list[Part]:
    """Writes the line above a section.

    Args:
        name: of the section.
        note: text beside it; empty for none.
        width: cells there are.
        palette: styles and symbols.

    Returns:
        The line.
    """
    used = 2 + len(name) + 2 + (len(note) + 1 if note else 0)
    return [
        (palette.glyphs.rule * 2, Role.FAINT),
        (f" {name} ", Role.STRONG),
        (note + " " if note else "", Role.MUTED),
        (palette.glyphs.rule * max(0, width - used), Role.FAINT),
    ]


def _sockets(snapshot: Snapshot, width: int, palette: Palette) -> list[list[Part]]:
    note = _live_of(snapshot.streams) if snapshot.streams else ""
    lines = [rule("WebSocket streams (ws)", note, width, palette)]
    if not snapshot.streams:
        why = (
            "none: a replay shows stored candles" if snapshot.replayed else "none yet: history is read first"
        )
        return [*lines, [(f"  {why}", Role.MUTED)]]
    return [*lines, *_table(snapshot.streams, snapshot.exchange_time, width)]


def _live_of(streams: Sequence[StreamView]) -> str:
    return f"{sum(stream.state == 'live' for stream in streams)} of {len(streams)} live"


def _trades(snapshot: Snapshot, width: int, palette: Palette) -> list[list[Part]]:
    """Live trades, where any are wanted: how they come, and their own sockets."""
    trades, now = snapshot.trades, snapshot.exchange_time
    if trades is None:
        return []
    note = _live_of(trades.streams) if trades.streams else ""
    age = "no trade yet"
    if trades.last_trade is not None:
        age = f"last trade {cells.duration_text(max(0, now - trades.last_trade) / 1000)} ago"
    lacking = f"{trades.missing:,} missing and asked for" if trades.missing else ""
    cut = f"{trades.cuts:,} cuts, {trades.reconnects:,} new connections" if trades.reconnects else ""
    lines: list[list[Part]] = [
        rule("Live trades", note, width, palette),
        [
            (cells.fit(f"  {trades.state}", 14), Role.OK if trades.state == "live" else Role.WARN),
            (f"{trades.symbols:,} symbols", Role.STRONG),
            (f", {age}, {trades.waiting:,} waiting", Role.MUTED),
        ],
    ]
    for text in (trades.reason, ", ".join(filter(None, (lacking, cut)))):
        if text:
            lines.append([(cells.fit("", 14), Role.TEXT), (text, Role.WARN)])
    return [*lines, *_table(trades.streams, now, width)] if trades.streams else lines


def _table(streams: Sequence[StreamView], now: int, width: int) -> list[list[Part]]:
    """A line for each socket, and one more for a reason that does not fit behind."""
    room = max(14, *(cell_len(stream.name) + 4 for stream in streams))
    head = cells.fit("  NAME", room) + "STATE         SYM   AGE  FRAMES/s  LATENCY  RENEWED  WHY"
    lines: list[list[Part]] = [[(head, Role.MUTED)]]
    for stream in streams:
        *numbers, (why, role) = _socket(stream, now, room)
        behind = sum(cell_len(text) for text, _ in numbers) + cell_len(why) <= width
        lines += (
            [[*numbers, (why, role)]] if behind else [numbers, [(cells.fit("", room) + why.lstrip(), role)]]
        )
    return lines


def _socket(stream: StreamView, now: int, room: int) -> list[Part]:
    age = None if stream.last_frame is None else now - stream.last_frame
    latency = cells.UNKNOWN if stream.latency_ms is None else f"{stream.latency_ms:,.0f} ms"
    return [
        (cells.fit(f"  {stream.name}", room), Role.TEXT),
        (cells.fit(stream.state, 12), _STREAM_ROLES.get(stream.state, Role.WARN)),
        (cells.fit(str(stream.symbols), 5, right=True), Role.TEXT),
        (cells.fit(cells.age_text(age, tenths=False), 6, right=True), Role.TEXT),
        (cells.fit(f"{stream.frames_per_second:.1f}", 10, right=True), Role.TEXT),
        (cells.fit(latency, 9, right=True), Role.TEXT),
        (cells.fit(str(stream.reconnects), 9, right=True), Role.WARN if stream.reconnects else Role.TEXT),
        (f"  {stream.reason}", Role.MUTED),
    ]


def _last_hour(snapshot: Snapshot, width: int, rows: int, palette: Palette) -> list[list[Part]]:
    """Rate and latency of the streams, a cell a minute or several."""
    minutes = snapshot.stream_minutes
    if snapshot.replayed:
        return []  # it has no streams
    note = f"{len(minutes)} min so far" if len(minutes) < _HOUR else ""
    lines = [rule("The last hour of the streams", note, width, palette)]
    if not minutes:
        return [*lines, [("  the first minute is being measured", Role.MUTED)]]
    room = next((room for room in _HOUR_CELLS if room + 14 + 24 <= width), _HOUR_CELLS[-1])
    rates: list[float | None] = [minute.frames_per_second for minute in minutes]
    latencies = [minute.latency_ms for minute in minutes]
    if room > _HOUR:  # a minute is several cells wide
        rates, latencies = (
            [value for value in row for _ in range(room // _HOUR)] for row in (rates, latencies)
        )
    steps = palette.glyphs.spark if rows == 1 else palette.glyphs.rising  # ASCII bars have but two steps
    for label, values, worst, digits, unit in (
        ("frames/s", rates, min, 1, ""), ("latency", latencies, max, 0, " ms"),
    ):  # fmt: skip
        known = [value for value in values if value is not None]
        drawn = tall_spark(pooled(values, room, worst), room, rows, steps)
        ends = dict.fromkeys(f"{end:,.{digits}f}" for end in (min(known), max(known))) if known else ()
        text = f"  {' to '.join(ends)}{unit}" if known else f"  {cells.UNKNOWN}"
        if rows > 1 and label != "frames/s":
            lines.append([])  # two solid shapes would touch
        for row, line in enumerate(drawn):
            name = f"  {label}" if row == 0 else "  0" if row == rows - 1 else ""
            lines.append([(cells.fit(name, 14), Role.TEXT), (line, Role.MUTED),
                          (text if row == 0 else "", Role.MUTED)])  # fmt: skip
    return lines


def _gauge(fraction: float, palette: Palette) -> str:
    return bar_text(fraction, _GAUGE, palette.glyphs)


def _counted(snapshot: Snapshot, name: str) -> str:
    return f"{snapshot.counters.get(name, 0):,}"


def _rest(snapshot: Snapshot, width: int, palette: Palette) -> list[list[Part]]:
    lines = [rule("REST requests (rest)", snapshot.exchange, width, palette)]
    used, limit = snapshot.weight_used, snapshot.weight_limit
    if limit:
        role = Role.WARN if used > 0.8 * limit else Role.ACCENT
        lines.append([
            (cells.fit("  weight", 14), Role.TEXT), (_gauge(used / limit, palette), role),
            (f" {used:,} of {limit:,} in this minute", Role.TEXT),
            (f" ({snapshot.weight_market})" if snapshot.weight_market else "", Role.MUTED),
        ])  # fmt: skip
    offset = snapshot.clock_offset_ms
    skew = f"{offset:+,.0f} ms"
    if abs(offset) >= _LONG_OFFSET_MS:
        skew = ("-" if offset < 0 else "+") + cells.duration_text(abs(offset) / 1000)
    skew = f"exchange clock {skew} from this one"
    lines.append([
        (cells.fit("  requests", 14), Role.TEXT), (_counted(snapshot, "rest_requests"), Role.STRONG),
        (f", {_counted(snapshot, 'weight_waits')} waited for weight, {skew}", Role.MUTED),
    ])  # fmt: skip
    return lines


def _archives(snapshot: Snapshot, width: int, palette: Palette) -> list[list[Part]]:
    size = cells.bytes_text(snapshot.counters.get("archive_bytes", 0))
    note = f"{_counted(snapshot, 'archive_files')} files, {size} read"
    lines = [rule("Archives and history", note, width, palette)]
    reading = [view for view in snapshot.symbols if view.progress is not None]
    waiting = sum(view.state is SymbolState.WAITING for view in snapshot.symbols)
    for view in reading:
        progress = view.progress
        assert progress is not None
        files = f"{progress.files_done}/{progress.files_total} files " if progress.files_total else ""
        eta = f", {cells.duration_text(progress.eta_seconds)} to go" if progress.eta_seconds else ""
        eta = f", {progress.note}" if progress.note else eta
        percent = f" {progress.fraction * 100:3.0f}% "
        text = f"{progress.source}, {files}{cells.bytes_text(progress.bytes_done)}{eta}"
        name = cells.fit(f"  {view.symbol}", max(14, cell_len(view.symbol) + 3))
        gauge = max(_LEAST_GAUGE, min(_GAUGE, width - cell_len(name + percent + text)))
        lines.append([
            (name, Role.TEXT), (bar_text(progress.fraction, gauge, palette.glyphs), Role.ACCENT),
            (percent, Role.STRONG), (text, Role.MUTED),
        ])  # fmt: skip
    if waiting:
        lines.append([(f"  {waiting} more are queued", Role.MUTED)])
    if not reading and not waiting:
        lines.append([("  no history is being read", Role.MUTED)])
    return lines


def _store(snapshot: Snapshot, width: int, palette: Palette) -> list[list[Part]]:
    state = snapshot.parts.get("store", cells.UNKNOWN)
    troubles = [[(f"  {text}", Role.WARN)] for text in snapshot.store_troubles.values()]
    return [
        rule("Store (lmdb)", "", width, palette),
        [
            (cells.fit(f"  {state}", 14), Role.OK if state in _GOOD else Role.WARN),
            (f"{snapshot.store_pausing}, " if snapshot.store_pausing else "", Role.WARN),
            (f"{snapshot.store_candles:,} candles", Role.STRONG),
            (f" in {cells.bytes_text(snapshot.store_bytes)}, {snapshot.store_path}", Role.MUTED),
        ],
        *troubles,
    ]


def _sinks(snapshot: Snapshot, width: int, palette: Palette) -> list[list[Part]]:
    messages = sum(view.messages for view in snapshot.symbols)
    lines = [rule("Sinks (kfk Kafka, pg PostgreSQL)", f"{messages:,} messages made", width, palette)]
    room = max(14, *(cell_len(name) + 3 for name in snapshot.sinks)) if snapshot.sinks else 14
    for name, state in snapshot.sinks.items():
        role = Role.OK if state in _GOOD else Role.MUTED if state == "off" else Role.WARN
        lines.append([(cells.fit(f"  {name}", room), Role.TEXT), (state, role)])
    if not snapshot.sinks:
        lines.append([("  none in use: candles are stored, messages are not sent", Role.MUTED)])
    return [*lines, *receiver_lines(snapshot.receivers, room, palette)]


def receiver_lines(receivers: Mapping[str, ReceiverView], label: int, palette: Palette) -> list[list[Part]]:
    """Writes a line for each receiver of alerts that is in trouble.

    Args:
        receivers: by name.
        label: cells before the text.
        palette: styles and symbols.

    Returns:
        No line where nothing is wrong.
    """
    return [
        [(cells.fit("  alerts", label), Role.TEXT), (f"{name}: {view.trouble}", Role.WARN)]
        for name, view in receivers.items()
        if view.trouble
    ]


def _gateway(snapshot: Snapshot, width: int, palette: Palette) -> list[list[Part]]:
    """The gateway that serves the store to other programs, where one does."""
    found = snapshot.gateway
    if found is None:
        return []
    refused = Role.WARN if found.refused else Role.MUTED
    return [
        rule("Gateway", f"http://{found.address}", width, palette),
        [
            (cells.fit("  clients", 14), Role.TEXT), (f"{found.connections:,}", Role.STRONG),
            (f" connected, {found.requests_per_second:,.1f} requests/s, ", Role.MUTED),
            (f"{found.streams:,} streams, ", Role.MUTED),
            (f"{found.refused:,} refused", refused),
            (f", {found.cut:,} cut" if found.cut else "", Role.WARN),
        ],
        [
            (cells.fit("  forwarded", 14), Role.TEXT), (f"{found.forwarded:,}", Role.STRONG),
            (f" requests to the exchange, weight {found.forwarded_weight:,}", Role.MUTED),
        ],
    ]  # fmt: skip


def _clock(snapshot: Snapshot, width: int, palette: Palette, hz: float) -> list[list[Part]]:
    """How fast the exchange's clock runs, and how often the screen is drawn."""
    rate = f"{snapshot.clock_rate:g}x: exchange seconds in a second here"
    return [
        rule("Clock and screen", "", width, palette),
        [
            (cells.fit("  clock", 14), Role.TEXT),
            (rate, Role.TEXT if snapshot.clock_rate == 1 else Role.ACCENT),
        ],
        [(cells.fit("  screen", 14), Role.TEXT), (f"drawn {hz:g} times a second", Role.TEXT)],
    ]


def _parts(snapshot: Snapshot, width: int, palette: Palette) -> list[list[Part]]:
    """The parts of the engine that are not well, and what was counted."""
    going = {name: state for name, state in snapshot.parts.items() if state != "stopped" and name != "store"}
    bad = {name: state for name, state in going.items() if state not in _GOOD}
    note = f"{len(going) - len(bad)} of {len(going)} parts run" if bad else f"{len(going)} parts run"
    lines = [rule("Engine", note, width, palette)]
    lines += [[(f"  {name} ", Role.TEXT), (state, Role.WARN)] for name, state in bad.items()]
    shown = ("archive_files", "archive_bytes", "rest_requests", "weight_waits")
    counted = [
        (name, count) for name, count in sorted(snapshot.counters.items()) if name not in shown and count
    ]
    columns = max(1, width // 40)
    for start in range(0, len(counted), columns):
        parts: list[Part] = []
        for name, count in counted[start : start + columns]:
            parts += [
                (f"  {count:>10,} ", Role.STRONG),
                (cells.fit(name.replace("_", " "), width // columns - 13), Role.MUTED),
            ]
        lines.append(parts)
    return lines
