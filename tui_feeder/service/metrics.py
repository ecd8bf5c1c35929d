"""The metrics for Prometheus. ``docs/metrics.md`` has the same list; a test compares them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from tui_feeder.engine.core.event_names import previous_event_name
from tui_feeder.engine.core.latency import Counted
from tui_feeder.monitor import MINUTE_MS, STALLED, ClusterView, Snapshot, SymbolState
from tui_feeder.service.engine_probe import EngineStatus
from tui_feeder.service.readiness import Check
from tui_feeder.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATES = ("starting", "backfill", "live", "degraded", "stopping", "stopped", "failed")


def exposition(status: EngineStatus, checks: Iterable[Check]) -> bytes:
    """Formats all metrics as text for Prometheus.

    Args:
        status: the engine's status.
        checks: results of the readiness checks.

    Returns:
        The text, UTF-8.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StatusCollector(status, tuple(checks)))
    return generate_latest(registry)


class _StatusCollector(Collector):
    def __init__(self, status: EngineStatus, checks: tuple[Check, ...]) -> None:
        self._status = status
        self._checks = checks

    def collect(self) -> Iterator[Metric]:
        yield from families(self._status, self._checks)


def families(status: EngineStatus, checks: Iterable[Check]) -> Iterator[Metric]:
    """Makes the metrics in the order of the documentation.

    Args:
        status: the engine's status.
        checks: results of the readiness checks.

    Yields:
        Metric families.
    """
    snapshot = status.snapshot
    yield _labelled("feeder_build_info", "1; the version is the label", ("version",), [((__version__,), 1.0)])
    yield GaugeMetricFamily("feeder_uptime_seconds", "Since the service began.", status.uptime_seconds)
    yield _labelled(
        "feeder_state", "1 for the state the engine is in, 0 for the others.", ("state",),
        [((state,), float(state == snapshot.state)) for state in _STATES],
    )  # fmt: skip
    yield _labelled(
        "feeder_ready", "1 where the check of /ready holds.", ("check",),
        [((check.name,), float(check.ok)) for check in checks],
    )  # fmt: skip
    yield GaugeMetricFamily(
        "feeder_engine_answer_seconds", "How long the engine's loop took to answer.", status.answer_seconds
    )
    yield _counted(
        "feeder_loop_lag_seconds", "How late the engine's loop wakes from a timer.", status.latencies["loop"]
    )
    yield _counted(
        "feeder_minute_latency_seconds", "End of a minute to its message.", status.latencies["minute"]
    )
    yield _counted(
        "feeder_frame_latency_seconds", "Stamp of a frame to its arrival.", status.latencies["frame"]
    )
    events = CounterMetricFamily("feeder_events", "What happened, by its name.", labels=("event",))
    for name, count in sorted(snapshot.counters.items()):
        events.add_metric((name,), float(count))
        if (previous := previous_event_name(name)) is not None:  # for one release
            events.add_metric((previous,), float(count))
    yield events
    yield GaugeMetricFamily(
        "feeder_exchange_time_seconds",
        "The exchange's clock, since the epoch.",
        snapshot.exchange_time / 1000,
    )
    yield GaugeMetricFamily(
        "feeder_clock_offset_seconds", "Exchange time minus local time.", snapshot.clock_offset_ms / 1000
    )
    stalled = [state for state in snapshot.parts.values() if state.startswith(STALLED)]
    yield GaugeMetricFamily(
        "feeder_parts_stalled", "Parts that have done nothing for longer than that may take.", len(stalled)
    )
    yield from _of_symbols(snapshot)
    yield from _of_streams(snapshot)
    yield from _of_trades(snapshot)
    yield from _of_rest(status)
    yield from _of_store(status)
    yield from _of_sinks(status)
    yield from _of_receivers(snapshot)
    yield from _of_gateway(status.snapshot)
    yield from _of_cluster(status.snapshot.cluster)


def _of_symbols(snapshot: Snapshot) -> Iterator[Metric]:
    now = snapshot.exchange_time
    yield _labelled(
        "feeder_symbols", "Symbols in this state.", ("state",),
        [
            ((state.value,), float(sum(view.state is state for view in snapshot.symbols)))
            for state in SymbolState
        ],
    )  # fmt: skip
    yield _labelled(
        "feeder_symbol_frame_age_seconds", "Since the last frame of the symbol.", ("symbol",),
        [
            ((view.symbol,), max(0.0, (now - view.last_frame) / 1000))
            for view in snapshot.symbols
            if view.last_frame is not None
        ],
    )  # fmt: skip
    yield _labelled(
        "feeder_symbol_minute_age_seconds", "Since the end of the symbol's last closed minute.", ("symbol",),
        [
            ((view.symbol,), max(0.0, (now - view.last_closed - MINUTE_MS) / 1000))
            for view in snapshot.symbols
            if view.last_closed is not None
        ],
    )  # fmt: skip
    yield _labelled(
        "feeder_symbol_missing_minutes", "Minutes of the symbol's open gaps.", ("symbol",),
        [((view.symbol,), float(view.missing_minutes)) for view in snapshot.symbols],
    )  # fmt: skip
    messages = CounterMetricFamily("feeder_symbol_messages", "Messages published.", labels=("symbol",))
    for view in snapshot.symbols:
        messages.add_metric((view.symbol,), float(view.messages))
    yield messages


def _of_streams(snapshot: Snapshot) -> Iterator[Metric]:
    streams = snapshot.streams
    yield _labelled(
        "feeder_stream_live", "1 where the socket delivers frames.", ("stream",),
        [((view.name,), float(view.state == "live")) for view in streams],
    )  # fmt: skip
    yield _labelled(
        "feeder_stream_symbols", "Symbols on the socket.", ("stream",),
        [((view.name,), float(view.symbols)) for view in streams],
    )  # fmt: skip
    yield _labelled(
        "feeder_stream_frame_age_seconds", "Since the last frame of the socket.", ("stream",),
        [
            ((view.name,), max(0.0, (snapshot.exchange_time - view.last_frame) / 1000))
            for view in streams
            if view.last_frame is not None
        ],
    )  # fmt: skip
    yield _labelled(
        "feeder_stream_frames_per_second", "Frames of the socket.", ("stream",),
        [((view.name,), view.frames_per_second) for view in streams],
    )  # fmt: skip
    reconnects = CounterMetricFamily("feeder_stream_reconnects", "New connections.", labels=("stream",))
    for view in streams:
        reconnects.add_metric((view.name,), float(view.reconnects))
    yield reconnects


def _of_trades(snapshot: Snapshot) -> Iterator[Metric]:
    """Zeros where no live trades are wanted; no age before the first."""
    trades = snapshot.trades
    live = trades is not None and trades.state == "live"
    yield GaugeMetricFamily("feeder_trades_live", "1 while live trades come.", float(live))
    for name, text, value in (
        ("symbols", "Symbols whose live trades are followed.", 0 if trades is None else trades.symbols),
        ("symbols_behind", "Those of which candles show trades that did not come.",
         0 if trades is None else len(trades.behind)),
        ("missing", "Trades that did not come and are asked for.", 0 if trades is None else trades.missing),
        ("waiting", "Trades that came and are not counted yet.", 0 if trades is None else trades.waiting),
    ):  # fmt: skip
        yield GaugeMetricFamily(f"feeder_trades_{name}", text, float(value))
    newest = None if trades is None else trades.last_trade
    yield _labelled(
        "feeder_trades_age_seconds", "Since the newest live trade came.", (),
        [] if newest is None else [((), max(0.0, (snapshot.exchange_time - newest) / 1000))],
    )  # fmt: skip
    for name, text, count in (
        ("reconnects", "New connections of live trades.", 0 if trades is None else trades.reconnects),
        ("cuts", "Of live trades, connections that ended after trades had come over them.",
         0 if trades is None else trades.cuts),
    ):  # fmt: skip
        yield CounterMetricFamily(f"feeder_trades_{name}", text, float(count))


def _of_rest(status: EngineStatus) -> Iterator[Metric]:
    snapshot = status.snapshot
    yield GaugeMetricFamily(
        "feeder_rest_weight_used", "Request weight used in this minute of the exchange.", snapshot.weight_used
    )
    yield GaugeMetricFamily(
        "feeder_rest_weight_limit", "Weight the exchange grants a minute.", snapshot.weight_limit
    )
    left = max(0.0, (status.ban_until - snapshot.exchange_time) / 1000)
    yield GaugeMetricFamily("feeder_rest_ban_seconds", "How long a ban still lasts; 0 without one.", left)


def _of_store(status: EngineStatus) -> Iterator[Metric]:
    snapshot = status.snapshot
    yield GaugeMetricFamily("feeder_store_bytes", "Bytes in use in the store.", snapshot.store_bytes)
    yield GaugeMetricFamily("feeder_store_candles", "Stored minutes of the symbols.", snapshot.store_candles)
    yield GaugeMetricFamily(
        "feeder_store_waiting",
        "1 while writes wait for room on the disk.",
        float(bool(snapshot.store_pausing)),
    )
    if status.disk_free is not None:
        yield GaugeMetricFamily("feeder_disk_free_bytes", "Room on the disk of the store.", status.disk_free)
    opened = [gap for gap in snapshot.gaps if gap.state != "filled"]
    yield GaugeMetricFamily("feeder_gaps_open", "Open gaps, new single minutes excluded.", len(opened))


def _of_sinks(status: EngineStatus) -> Iterator[Metric]:
    yield _labelled(
        "feeder_sink_ok", "1 where the sink reports no problem.", ("sink",),
        [((name,), float(state == "ok")) for name, state in status.snapshot.sinks.items()],
    )  # fmt: skip
    yield _labelled(
        "feeder_sink_lag_seconds", "Since the oldest thing that waits for the sink was made.", ("sink",),
        [((name,), lag) for name, lag in status.lags.items()],
    )  # fmt: skip
    yield _labelled(
        "feeder_outbox_messages", "Messages that wait for the sink.", ("topic", "sink"),
        [(key, float(outbox.depth)) for key, outbox in status.outboxes.items()],
    )  # fmt: skip
    yield _labelled(
        "feeder_outbox_bytes", "File space of what waits in the topic's outbox.", ("topic", "sink"),
        [(key, outbox.megabytes * (1 << 20)) for key, outbox in status.outboxes.items()],
    )  # fmt: skip
    dropped = CounterMetricFamily(
        "feeder_outbox_dropped", "Messages the sink never got: the outbox was full.", labels=("topic", "sink")
    )
    for key, outbox in status.outboxes.items():
        dropped.add_metric(key, float(outbox.dropped))
    yield dropped


def _of_receivers(snapshot: Snapshot) -> Iterator[Metric]:
    yield _labelled(
        "feeder_alert_receiver_ok", "1 where the receiver of alerts is not known to be in trouble.",
        ("receiver",),
        [((name,), float(not view.trouble)) for name, view in snapshot.receivers.items()],
    )  # fmt: skip
    yield _labelled(
        "feeder_alerts_waiting", "Alerts that are not handed over to the receiver.", ("receiver",),
        [((name,), float(view.waiting)) for name, view in snapshot.receivers.items()],
    )  # fmt: skip


def _of_gateway(snapshot: Snapshot) -> Iterator[Metric]:
    """Zeros where no gateway serves the store."""
    found = snapshot.gateway
    yield GaugeMetricFamily(
        "feeder_gateway_up", "1 while a gateway serves the store.", float(found is not None)
    )
    for name, text in (
        ("connections", "Connections of its clients."),
        ("streams", "Streams its clients subscribe to."),
    ):
        yield GaugeMetricFamily(f"feeder_gateway_{name}", text, getattr(found, name, 0))
    for name, text in (
        ("requests", "Requests answered."),
        ("refused", "Requests refused: private, of another host, or too many."),
        ("forwarded", "Requests sent to the exchange."),
        ("forwarded_weight", "Request weight of these."),
        ("frames", "Frames sent to clients of streams."),
        ("cut", "Clients of streams cut since they read too slowly."),
    ):
        yield CounterMetricFamily(f"feeder_gateway_{name}", text, getattr(found, name, 0))


def _of_cluster(found: ClusterView | None) -> Iterator[Metric]:
    """Zeros for a feeder by itself."""
    partitions = {
        "all": 0 if found is None else found.partitions,
        "assigned": 0 if found is None else found.assigned,
        "owned": 0 if found is None else len(found.owned),
    }
    yield _labelled(
        "feeder_cluster_partitions", "Partitions of the cluster: all, given to this worker, worked on.",
        ("state",), [((state,), float(count)) for state, count in partitions.items()],
    )  # fmt: skip
    age = 0.0 if found is None or found.heartbeat_age is None else found.heartbeat_age
    seconds = 0.0 if found is None or not found.takeovers else found.takeovers[-1].seconds
    for name, text, value in (
        ("workers", "Workers in the group, as the broker last reported.",
         0 if found is None else len(found.workers)),
        ("holds", "1 while the group has certainly not given its partitions to others.",
         float(found is not None and found.holds)),
        ("heartbeat_age_seconds", "Since the group last answered.", age),
        ("takeover_seconds", "From an assignment to the first transaction, of the last partition taken.",
         seconds),
        ("inherited_minutes", "History still to be read of symbols that were taken over.",
         0 if found is None else found.inherited),
    ):  # fmt: skip
        yield GaugeMetricFamily(f"feeder_cluster_{name}", text, float(value))


def _labelled(
    name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _counted(name: str, text: str, counted: Counted) -> Metric:
    buckets, so_far = [], 0
    for bound, count in zip((*map(str, counted.bounds), "+Inf"), counted.counts, strict=True):
        so_far += count
        buckets.append((bound, float(so_far)))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=counted.total)
