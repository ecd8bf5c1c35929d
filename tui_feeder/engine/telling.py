"""What the engine says to people in its log."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence

from tui_feeder.engine.acquisition.history_progress import WholeHistory
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.core.candle import MINUTE_MS

_PRICES = 4  # symbols whose price a minute's line tells


def clock(ms: int) -> str:
    """An instant as ``2026-11-22 18:09:28Z``."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(ms / 1000))


def some(names: Sequence[str], most: int = 5) -> str:
    """A list of names for a line of the log: the first few, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def progress(tracked: Iterable[TrackedSymbol], whole: WholeHistory | None) -> str:
    """How far history is; ``whole`` is all that is to be read."""
    ones = list(tracked)
    live = sum(one.phase == "live" for one in ones)
    told = f"history: {live} of {len(ones)} symbols live"
    if whole is not None:
        told += f", {whole.fraction:.0%} of {whole.total:,} minutes read"
        if whole.eta_seconds is not None:
            told += f", about {whole.eta_seconds:.0f} s left"
        elif whole.note:
            told += f", {whole.note}"
    names = ", ".join(f"{one.symbol} {one.tracker.view().fraction:.0%}" for one in ones if one.tracker)
    return f"{told} ({names})" if names else told


def minute(open_time: int, closed: Collection[str], live: Sequence[TrackedSymbol], now: int) -> str:
    """A minute, the symbols that have closed it, and those of the live ones that have not."""
    lag = (now - open_time - MINUTE_MS) / 1000
    prices = "  ".join(
        f"{one.symbol} {one.last.close:.{one.price_decimals}f}" for one in live[:_PRICES] if one.last
    )
    more = f"  and {len(live) - _PRICES} more" if len(live) > _PRICES else ""
    lacking = [one.symbol for one in live if one.symbol not in closed]
    without = f"; not closed: {some(lacking)}" if lacking else ""
    return (
        f"minute {clock(open_time)[11:16]} closed: {len(live) - len(lacking)} of {len(live)} symbols, "
        f"{lag:.1f} s after its end: {prices}{more}{without}"
    )
