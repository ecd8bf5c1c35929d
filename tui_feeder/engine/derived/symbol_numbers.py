"""What a message states that a screen shows only when it is asked: quantiles, the peak, corrections."""

from __future__ import annotations

from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.derived.inputs import revisions_of
from tui_feeder.engine.storage.store import Store, StoreError
from tui_feeder.monitor import PeakView, SymbolNumbers

_MOST_CORRECTED = 10


def symbol_numbers(store: Store, message: Message | None) -> SymbolNumbers | None:
    """Collects them from the newest message of a symbol and the store.

    Args:
        store: keeps how often each minute was corrected.
        message: the newest one; None before the first.

    Returns:
        The numbers; None without a message.
    """
    if message is None:
        return None
    try:
        revisions = revisions_of(store, message.symbol)
    except StoreError:  # it was closed
        revisions = None
    peak = message.peak
    return SymbolNumbers(
        minute=message.timestamp + 1 - MINUTE_MS,
        revision=message.revision,
        quantiles=dict(message.quantiles or {}),
        peak=None if peak is None else PeakView(peak.volume, peak.price, peak.end, peak.trend),
        corrected=() if revisions is None else tuple(revisions.newest(_MOST_CORRECTED)),
    )
