"""How the feeder is, as the rules of alerts see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_feeder.engine.alerts.rules import Health
from tui_feeder.engine.sinks import Lagging
from tui_feeder.engine.storage.lock import StoreError

if TYPE_CHECKING:
    from tui_feeder.engine.engine import Engine


def health_of(engine: Engine) -> Health:
    """The health of a running engine now. Called on its loop."""
    now = engine.clock.now()
    gaps: dict[str, tuple[float, int]] = {}
    silences: dict[str, float] = {}
    for tracked in engine.tracked.values():
        if tracked.phase != "live":
            continue
        gaps[tracked.symbol] = (0.0, 0)
        queue = engine.ingest.queue(tracked.symbol)
        heard = queue.last_frame if queue.last_frame is not None else queue.opened
        if heard is not None:
            silences[tracked.symbol] = max(0.0, (now - heard) / 1000)
    for gap in engine.recovery.open_gaps():
        if gap.symbol in gaps:
            seconds, minutes = gaps[gap.symbol]
            gaps[gap.symbol] = (max(seconds, (now - gap.opened) / 1000), minutes + gap.missing)
    return Health(now, gaps, silences, lags_of(engine), engine.store.paused_seconds)


def lags_of(engine: Engine) -> dict[str, float]:
    """By sink that can tell: seconds since the oldest thing that waits for it was made."""
    lags = {}
    for sink in engine.sinks:
        if isinstance(sink, Lagging):
            try:
                lags[sink.name] = sink.lag_seconds()
            except StoreError:  # the engine has ended
                continue
    return lags
