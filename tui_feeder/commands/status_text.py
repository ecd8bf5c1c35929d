"""How a running feeder is, in words: what is wrong first, and no longer for 600 symbols than for one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator

from tui_feeder.commands.formatting import format_bytes, format_count, format_duration, plural
from tui_feeder.live_access import GatewayFigures
from tui_feeder.monitor import MINUTE_MS, GapView, Snapshot, StreamView, SymbolView, TradesView
from tui_feeder.time_format import format_minute

_NAMES = 4  # symbols named in a line of one state, where not all are asked for
_LINES = 3  # of one kind of trouble, that of how many more included
_WELL = ("running", "stopped", "ok", "off", "live")  # what has stopped was done: a crash has other names
_LABEL = 10  # cells


def status_text(snapshot: Snapshot, head: str, everything: bool = False) -> str:
    """Formats the status for people.

    Args:
        snapshot: of the feeder.
        head: the first line.
        everything: every symbol, gap, socket and part by itself; else at most 30 lines.

    Returns:
        Lines.
    """
    most = None if everything else _LINES
    lines = [head, _line("state", f"{snapshot.state}, on {snapshot.exchange}")]
    bad_parts = {name: state for name, state in snapshot.parts.items() if state not in _WELL}
    bad_sinks = {name: state for name, state in snapshot.sinks.items() if state not in _WELL}
    bad_streams = [stream for stream in snapshot.streams if stream.state not in _WELL]
    open_gaps = [gap for gap in snapshot.gaps if gap.state != "filled"]
    if snapshot.history_fraction is not None:
        left = "" if snapshot.history_eta is None else f", {format_duration(snapshot.history_eta)} left"
        lines.append(_line("history", f"{snapshot.history_fraction:.0%} read{left}"))
    if snapshot.store_pausing:
        lines.append(_line("disk", f"{snapshot.store_pausing}: writes are paused"))
    for what, trouble in snapshot.store_troubles.items():
        lines.append(_line("disk" if what == "disk" else "store", trouble))
    lines += _limited("part", (f"{name}: {state}" for name, state in bad_parts.items()), most)
    lines += _limited("sink", (f"{name}: {state}" for name, state in bad_sinks.items()), most)
    hanging = [f"{name}: {view.trouble}" for name, view in snapshot.receivers.items() if view.trouble]
    lines += _limited("alerts", hanging, most)
    lines += _limited("stream", map(_stream, bad_streams), most)
    if snapshot.trades is not None and snapshot.trades.state not in _WELL:
        lines.append(_line("trades", _trades(snapshot, snapshot.trades)))
        bad = [stream for stream in snapshot.trades.streams if stream.state not in _WELL]
        lines += _limited("", map(_stream, bad), most)
    lines += _symbols(snapshot.symbols, everything)
    lines += _limited("gap", map(_gap, open_gaps), most)

    states = Counter(view.state.value for view in snapshot.symbols)
    counted = ", ".join(f"{count} {state}" for state, count in states.most_common())
    lines.append(_line("symbols", f"{format_count(len(snapshot.symbols))}: {counted or 'none'}"))
    lines += _newest(snapshot)
    if everything:
        good = [stream for stream in snapshot.streams if stream.state in _WELL]
        lines += _limited("stream", map(_stream, good), None)
        lines += _limited(
            "part", (f"{name}: {state}" for name, state in snapshot.parts.items() if state in _WELL), None
        )
    live = len(snapshot.streams) - len(bad_streams)
    rate = sum(stream.frames_per_second for stream in snapshot.streams)
    lines.append(_line("streams", f"{live} of {len(snapshot.streams)} live, {rate:,.1f} frames/s"))
    if snapshot.trades is not None and snapshot.trades.state in _WELL:
        lines.append(_line("trades", _trades(snapshot, snapshot.trades)))
    missing = sum(gap.missing for gap in open_gaps)
    lines.append(_line("gaps", f"{plural(len(open_gaps), 'gap')} open, {plural(missing, 'minute')} missing"))
    good_sinks = [f"{name} {state}" for name, state in snapshot.sinks.items() if state in _WELL]
    if good_sinks:
        lines.append(_line("sinks", ", ".join(good_sinks)))
    if snapshot.gateway is not None:
        lines.append(_line("gateway", _gateway(snapshot.gateway)))
    stored = f"{plural(snapshot.store_candles, 'minute')}, {format_bytes(snapshot.store_bytes)}"
    lines.append(_line("store", f"{snapshot.store_path}: {stored}"))
    return "\n".join(lines)


def _gateway(found: GatewayFigures) -> str:
    refused = f", {format_count(found.refused)} refused" if found.refused else ""
    clients = f"{plural(found.connections, 'client')}, {plural(found.streams, 'stream')}"
    return f"http://{found.address}, {clients}, {found.requests_per_second:,.1f} requests/s{refused}"


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def _limited(label: str, texts: Iterable[str], most: int | None) -> Iterator[str]:
    found = list(texts)
    shown = len(found) if most is None or len(found) <= most else most - 1
    for text in found[:shown]:
        yield _line(label, text)
    if len(found) > shown:
        yield _line("", f"and {len(found) - shown} more (--all)")


def _symbols(symbols: Iterable[SymbolView], everything: bool) -> Iterator[str]:
    """Those that are not live: each, or a line a state."""
    by_state: dict[str, list[SymbolView]] = {}
    for view in symbols:
        if view.state != "live":
            by_state.setdefault(view.state.value, []).append(view)
    for state, views in sorted(by_state.items(), key=lambda item: len(item[1])):
        if everything:
            for view in views:
                yield _line(view.symbol, f"{' ' if len(view.symbol) >= _LABEL else ''}{state}: {view.reason}")
            continue
        names = ", ".join(view.symbol for view in views[:_NAMES])
        more = f" and {len(views) - _NAMES} more" if len(views) > _NAMES else ""
        reason = f": {views[0].reason}" if views[0].reason else ""
        yield _line(state, f"{plural(len(views), 'symbol')}, {names}{more}{reason}")


def _newest(snapshot: Snapshot) -> Iterator[str]:
    closed = [view.last_closed for view in snapshot.symbols if view.last_closed is not None]
    if closed:
        age = max(0, _now(snapshot) - max(closed) - MINUTE_MS) / 1000
        yield _line("newest", f"minute {format_minute(max(closed))}, closed {age:.0f} s ago")


def _now(snapshot: Snapshot) -> int:
    """The exchange's time now and not when the snapshot was taken, ms."""
    passed = round((time.monotonic() - snapshot.taken_at) * 1000 * snapshot.clock_rate)
    return snapshot.exchange_time + passed


def _trades(snapshot: Snapshot, trades: TradesView) -> str:
    age = None if trades.last_trade is None else max(0, _now(snapshot) - trades.last_trade) / 1000
    facts = [
        f"{trades.state}: {trades.reason}" if trades.reason else trades.state,
        plural(trades.symbols, "symbol"),
        "no trade yet" if age is None else f"last trade {age:.0f} s ago",
        f"{trades.missing:,} missing and asked for",
        f"{trades.waiting:,} waiting",
        plural(trades.cuts, "cut"),
        plural(trades.reconnects, "new connection"),
    ]
    return ", ".join(facts)


def _stream(stream: StreamView) -> str:
    why = f", {stream.reason}" if stream.reason else ""
    return f"{stream.name}: {stream.state}, {stream.frames_per_second:.1f} frames/s{why}"


def _gap(gap: GapView) -> str:
    where = f"{gap.symbol} {format_minute(gap.start)} .. {format_minute(gap.end)}"
    return f"{where}, {plural(gap.missing, 'minute')}, {gap.state}: {gap.reason}"
