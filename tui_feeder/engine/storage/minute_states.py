"""The state of every minute of a symbol: stored, never there, or why it is lacking."""

from __future__ import annotations

from typing import NamedTuple

from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.storage.store_reader import StoreReader


class StateSpan(NamedTuple):
    """Neighbouring minutes of one state."""

    start: int  # ms
    end: int  # ms, exclusive
    state: str
    """``present``; ``none_at_exchange``: archive and REST skip them, for good; ``unavailable``: no source has
    them yet; ``damaged``: on disk, to be read again; ``missing``: not read yet."""


def minute_states(
    store: StoreReader, symbol: str, start: int | None, end: int | None, damaged: Coverage
) -> list[StateSpan]:
    """Divides time by the states of a symbol's minutes.

    Args:
        store: the store.
        symbol: of which something is stored.
        start: ms, a whole minute; None for the first one stored. There are no minutes before the listing,
            where that is known, and none from the delivery of a contract on.
        end: ms, exclusive, a whole minute; None for the end of what is stored.
        damaged: stored minutes that cannot be read.

    Returns:
        Spans that follow each other without a hole or an overlap, neighbours of different states.
    """
    present, omitted, gone = store.present(symbol), store.omitted(symbol), store.damaged_missing(symbol)
    whole = present.union(omitted).union(gone)
    low, high = whole.start if start is None else start, whole.end if end is None else end
    if (listed := store.listed(symbol)) is not None:
        low = max(low, min(listed, whole.start))
    if (delivery := store.delivery(symbol)) is not None:
        high = min(high, delivery)
    unavailable = Coverage([(known.start, known.end) for known in store.unavailable(symbol)])
    left, found = Coverage([(low, high)] if low < high else []), list[StateSpan]()
    for state, minutes in (
        ("damaged", damaged.intersect(present).union(gone)), ("present", present),
        ("none_at_exchange", omitted), ("unavailable", unavailable), ("missing", left),
    ):  # fmt: skip
        found += [StateSpan(a, b, state) for a, b in minutes.intersect(left)]
        left = left.subtract(minutes)
    return sorted(found)
