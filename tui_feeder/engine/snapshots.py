"""Builds what the screens see from the state of a running engine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from tui_feeder.config import Config
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.analytics.ema import SEED_WEIGHT, weight_of
from tui_feeder.engine.analytics.timeframe_state import TimeframeState
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS, Candle, Source
from tui_feeder.engine.derived.settings import analysed, indicators_of
from tui_feeder.engine.derived.stored_reads import SOURCED_MS
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.exchanges.base import StreamSocket
from tui_feeder.engine.health import LATE_MS, trades_health
from tui_feeder.live_access import GatewayFigures
from tui_feeder.monitor import (
    Event,
    FormingView,
    GapView,
    IndicatorView,
    MinuteState,
    Snapshot,
    StreamView,
    SymbolState,
    SymbolView,
    TimeframeView,
    TradesView,
)
from tui_feeder.symbol_name import is_pattern

#: What a gateway reported of itself holds so long, real seconds.
_GATEWAY_SECONDS = 5.0


def take(engine: Engine, sequence: int) -> Snapshot:
    """Takes a snapshot of the engine; call it on the engine's loop.

    Args:
        engine: the engine.
        sequence: number of the snapshot.

    Returns:
        The immutable snapshot.
    """
    now = engine.clock.now()
    config = engine.config
    symbols = tuple(_symbol(engine, tracked, now) for tracked in engine.tracked.values())
    gaps = sorted(engine.recovery.open_gaps(), key=lambda gap: gap.opened)
    shown = [gap for gap in gaps if gap.notable]
    closed = list(engine.recovery.closed)[::-1]
    counters = engine.journal.counted()
    whole = engine.whole_history()
    exchange = engine.exchange.status()
    troubles = engine.stored_day_check.troubles()
    receivers = engine.alerts.receivers()
    counters["archive_files"] = exchange.archive_files
    counters["archive_bytes"] = exchange.archive_bytes
    counters["unusable_records"] = len(engine.store.unusable_records)
    counters["rest_requests"] = exchange.requests
    counters["weight_waits"] = exchange.weight_waits
    return Snapshot(
        sequence=sequence,
        exchange_time=now,
        clock_rate=engine.clock.rate,
        clock_offset_ms=engine.clock.offset_ms,
        taken_at=time.monotonic(),
        state=_state(engine, symbols, troubles),
        exchange=_exchange_name(engine.exchange.address, engine.clock.rate),
        timeframes=analysed(config)[0],
        indicators=indicator_views(config),
        symbols=symbols or _configured(engine),
        streams=_streams(engine.streams.sockets),
        trades=_trades(engine, now),
        stream_minutes=engine.stream_history.minutes,
        gaps=tuple(gap.view() for gap in [*shown, *closed]),
        events=engine.journal.recent(),
        parts={
            "store": _store(engine, troubles),
            "REST": "running" if exchange.state in ("ok", "idle") else exchange.state,
        }
        | engine.supervisor.states,
        counters=counters,
        weight_used=exchange.weight_used,
        weight_limit=exchange.weight_limit,
        weight_market=exchange.weight_market,
        store_path=str(engine.store.path),
        store_bytes=engine.store.file_bytes(),
        store_pausing=engine.store.pausing or "",
        store_troubles=troubles,
        history_fraction=None if whole is None else whole.fraction,
        history_eta=None if whole is None else whole.eta_seconds,
        store_candles=sum(
            engine.store.present(tracked.symbol).minutes for tracked in engine.tracked.values()
        ),
        sinks={sink.name: sink.status() for sink in engine.sinks},
        alerts=tuple(engine.alerts.recent),
        alert_rules=engine.rule_book.view,
        receivers=receivers,
        gateway=_gateway(engine),
        cluster=engine.ownership.view(),
        not_ready=engine.subscriptions.not_ready,
    )


def _gateway(engine: Engine) -> GatewayFigures | None:
    """What a gateway reported of itself lately."""
    if engine.gateway is None or time.monotonic() - engine.gateway[0] > _GATEWAY_SECONDS:
        return None
    return engine.gateway[1]


def _configured(engine: Engine) -> tuple[SymbolView, ...]:
    """The symbols as the configuration names them, while the exchange's list of them was never read."""
    if not engine.subscriptions.not_ready:
        return ()
    views = []
    for name in engine.subscriptions.wanted:
        reason = "a pattern: its symbols are known once the exchange is reached"
        if not is_pattern(name):
            stored = engine.store.present(name).minutes
            reason = f"the exchange is not reached yet; {stored:,} minutes are stored"
        views.append(SymbolView(name, SymbolState.WAITING, reason, 2))
    return tuple(views)


def _store(engine: Engine, troubles: Mapping[str, str]) -> str:
    if engine.store.pausing:
        return "paused"
    return "degraded" if troubles else "running"


def _state(engine: Engine, symbols: tuple[SymbolView, ...], troubles: Mapping[str, str]) -> str:
    if engine.state != "live":
        return engine.state
    bad = (SymbolState.STALE, SymbolState.FAILED)
    troubled = any(s.state in bad for s in symbols) or engine.store.pausing is not None or bool(troubles)
    return "degraded" if troubled or engine.supervisor.troubled() else "live"


def _exchange_name(address: str, rate: float) -> str:
    host = urlsplit(address).hostname or address
    if host in ("127.0.0.1", "localhost", "::1"):
        return "embedded exchange" + (f" x{rate:g}" if rate != 1 else "")
    return host


def _streams(sockets: Sequence[StreamSocket]) -> tuple[StreamView, ...]:
    return tuple(
        StreamView(
            name=socket.name,
            state=socket.state,
            symbols=len(socket.symbols),
            last_frame=socket.last_frame,
            frames_per_second=socket.frames_per_second(),
            latency_ms=socket.latency_ms,
            reconnects=max(0, socket.reconnects),
            reason=socket.reason,
            cuts=socket.cuts,
        )
        for socket in sockets
    )


def _trades(engine: Engine, now: int) -> TradesView | None:
    """How live trades come; None where none are wanted, or the exchange gives none."""
    live = engine.live_trades
    if (sockets := live.sockets) is None:
        return None
    followed = live.followed()
    state, reason, behind = trades_health(sockets, followed, engine.tracked, now, engine.clock.at_least)
    arrived = [socket.last_frame for socket in sockets if socket.last_frame is not None]
    return TradesView(
        state=state,
        reason=reason,
        symbols=len(followed),
        behind=behind,
        last_trade=max(arrived, default=None),
        missing=sum(each.missing for each in followed.values()),
        waiting=sum(each.waiting for each in followed.values()),
        streams=_streams(sockets),
    )


def indicator_views(config: Config) -> tuple[IndicatorView, ...]:
    """Describes the indicators for the screens.

    Args:
        config: the configuration.

    Returns:
        One view an indicator, in the order of the values of each timeframe.
    """
    return tuple(
        IndicatorView(kind.name, kind.title, period, kind.unit, kind.on_price)
        for kind, period in indicators_of(config)
    )


def timeframe_views(
    states: Sequence[TimeframeState], spans: Sequence[int], now: int
) -> tuple[TimeframeView, ...]:
    """Makes the views of timeframes, also when no minute has closed for long.

    Args:
        states: as they were at the last closed minute.
        spans: of the indicators: the periods of the EMAs that forget as slowly, bars.
        now: ms; what ended before it should be there.

    Returns:
        One view a timeframe.
    """
    views = []
    for s in states:
        frame = s.timeframe * SECOND_MS
        lacking, warming = s.bars_lacking, s.warming
        if s.bar_time is not None and (late := now // frame - s.bar_time // frame - 1) > lacking:
            lacking = late
            warming = warming or any(weight_of(late, span) > SEED_WEIGHT for span in spans)
        values = (s.timeframe, s.bar_time, s.close, s.trend, s.values, warming, s.minutes_lacking, lacking)
        views.append(
            TimeframeView(*values, trend_since=s.trend_since, volume=s.volume, delta=s.delta,
                          divergence=s.divergence)
        )  # fmt: skip
    return tuple(views)


def _timeframes(engine: Engine, tracked: TrackedSymbol, now: int) -> tuple[TimeframeView, ...]:
    due = (now - engine.clock.at_least(LATE_MS, 1.0)) // MINUTE_MS * MINUTE_MS
    states, at, _ = tracked.shown
    if states is not tracked.states or at != due:  # once a minute
        spans = [kind.span(period) for kind, period in indicators_of(engine.config)]
        tracked.shown = (tracked.states, due, timeframe_views(tracked.states, spans, due))
    return tracked.shown[2]


def _symbol(engine: Engine, tracked: TrackedSymbol, now: int) -> SymbolView:
    state, reason = engine.health.state(tracked, now)
    queue = engine.ingest.queue(tracked.symbol)
    last, forming = tracked.last, queue.forming
    if last is not None and (forming is None or forming.open_time < last.open_time):
        forming = last
    change = None
    if forming is not None and last is not None and tracked.before_last is not None:
        base = last.close if forming.open_time > last.open_time else tracked.before_last
        change = (forming.close / base - 1.0) * 100.0
    profile = tracked.message.profile if tracked.message is not None else None
    return SymbolView(
        symbol=tracked.symbol,
        state=state,
        reason=reason,
        price_decimals=tracked.price_decimals,
        price=forming.close if forming is not None else None,
        change_1m=change,
        change_24h=(forming.close / tracked.day.day_ago - 1.0) * 100.0
        if forming and tracked.day.day_ago
        else None,
        volume_24h=tracked.day.quote_volume,
        timeframes=_timeframes(engine, tracked, now),
        poc=profile.poc if profile is not None else None,
        vwap=profile.vwap if profile is not None else None,
        vah=profile.vah if profile is not None else None,
        val=profile.val if profile is not None else None,
        last_frame=queue.last_frame,
        last_closed=last.open_time if last is not None else None,
        missing_minutes=engine.recovery.missing_minutes(tracked.symbol),
        progress=tracked.tracker.view(engine.store.pausing) if tracked.tracker is not None else None,
        messages=tracked.messages,
        first_minute=tracked.start or None,
        stored=(engine.store.edition(tracked.symbol), engine.store.present(tracked.symbol).minutes),
        forming=_forming(queue.forming, last),
        day_closes=tracked.day.half_hours,
        revisions=tracked.revisions,
        profile_note=tracked.profile_note,
        high_24h=tracked.day.high,
        low_24h=tracked.day.low,
        relative_volume=tracked.relative_volume,
        cvd_day=None if tracked.day_delta is None else tracked.day_delta[0],
        day_volume=None if tracked.day_delta is None else tracked.day_delta[1],
    )


def _forming(candle: Candle | None, last: Candle | None) -> FormingView | None:
    if candle is None or (last is not None and candle.open_time <= last.open_time):
        return None
    return FormingView(candle.open_time, candle.open, candle.high, candle.low, candle.close, candle.volume)


_STATES = tuple(MinuteState)
_HOUR_MS = 60 * MINUTE_MS


def coverage(
    engine: Engine, tracked: TrackedSymbol, gaps: Sequence[GapView], start: int, end: int, cells: int
) -> tuple[MinuteState, ...]:
    """Computes the state of equal parts of a range, in each the one that matters most.

    Args:
        engine: called from any thread.
        tracked: the symbol.
        gaps: as the screen knows them, of any symbol.
        start: ms, of the first part.
        end: ms, exclusive.
        cells: number of parts; fewer than there are minutes.

    Returns:
        One state a part.

    Raises:
        StoreError: the store is closed.
    """
    states = np.zeros((end - start) // MINUTE_MS, dtype=np.uint8)

    def mark(low: int, high: int, state: MinuteState, only: MinuteState | None = None) -> None:
        part = states[max(0, (low - start) // MINUTE_MS) : max(0, (high - start) // MINUTE_MS)]
        part[slice(None) if only is None else part == _STATES.index(only)] = _STATES.index(state)

    due = (engine.clock.now() - engine.clock.at_least(LATE_MS, 1.0)) // MINUTE_MS * MINUTE_MS
    if tracked.last is not None:
        due = max(due, tracked.last.open_time + MINUTE_MS)
    if tracked.end is not None:
        due = min(due, tracked.end)
    reading = tracked.phase == "backfill"
    mark(
        tracked.start if tracked.start else due, due, MinuteState.FILLING if reading else MinuteState.MISSING
    )
    for low, high in engine.store.present(tracked.symbol).clip(start, end):
        mark(low, high, MinuteState.STORED)
    for low, high in engine.store.omitted(tracked.symbol).clip(start, end):
        mark(low, high, MinuteState.OMITTED)
    if (first := sourced_from(start, end)) < end:
        rows, sources = engine.store.read_sourced(tracked.symbol, first, end)
        at = (rows["open_time"][sources == Source.STREAM] - start) // MINUTE_MS
        states[at] = _STATES.index(MinuteState.LIVE)
    for gap in gaps:
        if gap.symbol == tracked.symbol and gap.state in ("filling", "unavailable"):
            mark(gap.start, gap.end, MinuteState(gap.state), only=MinuteState.MISSING)
    return worst(states, cells)


def sourced_from(start: int, end: int) -> int:
    """Choose from where on the sources of stored minutes are read.

    Args:
        start: ms, of the range.
        end: ms, exclusive.

    Returns:
        The start of a short range; of a long one, whose blocks would take long to read, its last hour.
    """
    return start if end - start <= SOURCED_MS else end - _HOUR_MS


def worst(states: NDArray[np.uint8], cells: int) -> tuple[MinuteState, ...]:
    """Find what matters most in equal parts of some minutes.

    Args:
        states: shape (n,), of each minute its place in :class:`MinuteState`.
        cells: parts.

    Returns:
        The state of each part; where all that are wanted are stored, how the newest of them came, so that a
        live symbol is shown as live.
    """
    edges = np.arange(cells + 1) * len(states) // cells
    found = np.maximum.reduceat(states, edges[:-1])
    stored = _STATES.index(MinuteState.STORED)
    for at in np.flatnonzero(found == stored).tolist():
        part = states[edges[at] : edges[at + 1]]
        found[at] = part[part > 0][-1]
    return tuple(_STATES[most] for most in found.tolist())


def stale(last: Snapshot, sequence: int, now: int, events: tuple[Event, ...]) -> Snapshot:
    """Repeats the last snapshot, marked as stale, as no other could be built.

    Args:
        last: the newest that could.
        sequence: of this one.
        now: exchange ms, so that the ages shown grow.
        events: of the journal.

    Returns:
        The snapshot.
    """
    return replace(
        last, sequence=sequence, exchange_time=now, taken_at=time.monotonic(), state="stale", events=events
    )


def final(last: Snapshot, state: str) -> Snapshot:
    """Makes the snapshot of an engine that has ended.

    Args:
        last: the newest snapshot.
        state: how it ended.

    Returns:
        The snapshot.
    """
    return replace(last, state=state, sequence=last.sequence + 1)
