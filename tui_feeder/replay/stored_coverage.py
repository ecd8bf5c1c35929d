"""Which minutes of a replay are stored, for the coverage strips of the screens."""

from __future__ import annotations

import numpy as np

from tui_feeder.engine.core.candle import MINUTE_MS, Source
from tui_feeder.engine.snapshots import sourced_from, worst
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import MinuteState

_STATES = tuple(MinuteState)


def stored_coverage(
    store: Store, symbol: str, start: int, end: int, cells: int, closed: int
) -> tuple[MinuteState, ...]:
    """The state of equal parts of a range, from the store alone.

    Args:
        store: where the candles are; once it is closed all is outside.
        symbol: a stored symbol.
        start: ms, inclusive.
        end: ms, exclusive.
        cells: parts.
        closed: exclusive end of the newest minute that may be seen, ms; what comes after it is outside.

    Returns:
        A state for each part.
    """
    states = np.zeros((end - start) // MINUTE_MS, dtype=np.uint8)
    until = min(end, closed) // MINUTE_MS * MINUTE_MS
    try:
        present = store.present(symbol)
        for low, high in present.missing(min(present.start, until), until).clip(start, until):
            states[_minutes(start, low, high)] = _STATES.index(MinuteState.MISSING)
        for low, high in present.clip(start, until):
            states[_minutes(start, low, high)] = _STATES.index(MinuteState.STORED)
        for low, high in store.omitted(symbol).clip(start, until):
            states[_minutes(start, low, high)] = _STATES.index(MinuteState.OMITTED)
        if (first := sourced_from(start, end)) < until:
            rows, sources = store.read_sourced(symbol, first, until)
            at = (rows["open_time"][sources == Source.STREAM] - start) // MINUTE_MS
            states[at] = _STATES.index(MinuteState.LIVE)
    except StoreError:
        return (MinuteState.OUTSIDE,) * cells
    return worst(states, cells)


def _minutes(start: int, low: int, high: int) -> slice:
    return slice((low - start) // MINUTE_MS, (high - start) // MINUTE_MS)
