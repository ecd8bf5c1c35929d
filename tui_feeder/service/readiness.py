"""Whether the feeder does what it is there for, and if not, why. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tui_feeder.config import Service
from tui_feeder.monitor import STALLED, Snapshot, StreamView, SymbolState
from tui_feeder.service.engine_probe import EngineStatus

_SILENT_MS = 60_000
_MB = 1 << 20
#: Parts without which minutes do not close in time.
_VITAL = ("streams", "closer", "clock")
#: States of symbols that cannot be had, whatever the feeder does.
_GONE = (SymbolState.NO_DATA, SymbolState.UNKNOWN, SymbolState.DELISTED, SymbolState.DELIVERED)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold."""

    name: str
    ok: bool
    text: str


def checks(status: EngineStatus, settings: Service) -> tuple[Check, ...]:
    """Checks that history is loaded, streams deliver, parts and sinks work, disk and stored days are sound.

    Args:
        status: the engine's status.
        settings: the configuration of the service.

    Returns:
        One result a check.
    """
    return (
        _history(status.snapshot),
        _streams(status.snapshot),
        _symbols(status.snapshot),
        _parts(status.snapshot),
        _sinks(status, settings),
        _disk(status),
        _stored_days(status.snapshot),
    )


def _history(snapshot: Snapshot) -> Check:
    if snapshot.state not in ("live", "degraded"):
        reading = sum(view.state in (SymbolState.WAITING, SymbolState.BACKFILL) for view in snapshot.symbols)
        many = f": {reading} of {len(snapshot.symbols)} symbols are not live yet" if reading else ""
        if snapshot.state == "backfill" and not reading and snapshot.symbols:
            first = next((view for view in snapshot.symbols if view.reason), snapshot.symbols[0])
            many = f": no symbol is available: {first.symbol}: {first.state}: {first.reason}"
        return Check("history", False, f"the engine is {snapshot.state}{many}")
    return Check("history", True, f"{len(snapshot.symbols)} symbols")


def _streams(snapshot: Snapshot) -> Check:
    if not snapshot.streams:
        return Check("streams", False, "no stream is open")
    silent = [view for view in snapshot.streams if not _delivers(view, snapshot)]
    if silent:
        first = silent[0]
        why = first.reason or ("no frame yet" if first.last_frame is None else "no frame for a minute")
        text = f"{first.name} delivers nothing: {first.state}, {why}"
        return Check("streams", False, text if len(silent) == 1 else f"{text}; and {len(silent) - 1} more")
    return Check("streams", True, f"{len(snapshot.streams)} deliver")


def _delivers(view: StreamView, snapshot: Snapshot) -> bool:
    if not view.symbols:
        return True
    if view.last_frame is None:
        return False
    # A simulated exchange's minute may be shorter than the way to it.
    patience = max(_SILENT_MS, 5_000 * snapshot.clock_rate)
    return view.state == "live" or snapshot.exchange_time - view.last_frame <= patience


def _symbols(snapshot: Snapshot) -> Check:
    """One symbol in trouble is shown by its metric; most of them are the feeder's trouble."""
    gone = [view for view in snapshot.symbols if view.state in _GONE]
    wanted = [view for view in snapshot.symbols if view.state not in _GONE]
    bad = [view for view in wanted if view.state in (SymbolState.STALE, SymbolState.FAILED)]
    if wanted and 2 * len(bad) > len(wanted):
        text = f"{len(bad)} of {len(wanted)} symbols are {bad[0].state}: {bad[0].symbol}: {bad[0].reason}"
        return Check("symbols", False, text)
    more = f"; {len(gone)} are not available: {gone[0].symbol}: {gone[0].reason}" if gone else ""
    return Check("symbols", True, f"{len(wanted) - len(bad)} of {len(wanted)} are healthy{more}")


def _parts(snapshot: Snapshot) -> Check:
    stalled = [f"{name} is {snapshot.parts.get(name)}" for name in _VITAL if _stalled(snapshot, name)]
    if stalled:
        return Check("parts", False, "; ".join(stalled))
    return Check("parts", True, f"{', '.join(_VITAL)} are running")


def _stalled(snapshot: Snapshot, part: str) -> bool:
    return snapshot.parts.get(part, "").startswith(STALLED)


def _sinks(status: EngineStatus, settings: Service) -> Check:
    stalled = [name for name, state in status.snapshot.sinks.items() if state.startswith(STALLED)]
    if stalled:
        return Check("sinks", False, f"{stalled[0]} is {status.snapshot.sinks[stalled[0]]}")
    bound = settings.ready_sink_lag_seconds
    behind = {sink: lag for sink, lag in status.lags.items() if lag > bound}
    if behind:
        sink, lag = max(behind.items(), key=lambda item: item[1])
        why = status.snapshot.sinks.get(sink, "")
        return Check("sinks", False, f"{sink} is {lag:.0f} s behind, more than {bound:g} s: {why}")
    return Check("sinks", True, f"{len(status.snapshot.sinks)} within {bound:g} s")


def _disk(status: EngineStatus) -> Check:
    if status.snapshot.store_pausing:
        return Check("disk", False, f"writes wait: {status.snapshot.store_pausing}")
    if "disk" in status.snapshot.store_troubles:
        return Check("disk", False, status.snapshot.store_troubles["disk"])
    free = "free space is unknown" if status.disk_free is None else f"{status.disk_free // _MB} MB are free"
    return Check("disk", True, free)


def _stored_days(snapshot: Snapshot) -> Check:
    trouble = snapshot.store_troubles.get("stored days")
    return Check("stored days", trouble is None, trouble or "none found damaged")
