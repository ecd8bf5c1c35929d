"""A ban of this address, kept across restarts: a program that asks during one is banned for longer."""

from __future__ import annotations

import msgspec

from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.storage.store import Store

_NOTE = "ban"
#: A ban lasts three days at most, and is told with some margin.
_LONGEST_MS = 4 * DAY_MS


class Ban(msgspec.Struct, frozen=True):
    """Until when, and what the clocks showed when it was learnt: all ms."""

    until: int  # exchange time
    learnt: int  # exchange time
    learnt_here: int  # wall time of this machine


def keep_ban(store: Store, clock: ExchangeClock, until: int) -> None:
    """Write down a ban that lasts ``until`` exchange ms."""
    ban = Ban(until, clock.now(), int(clock.wall() * 1000))
    store.put_note(_NOTE, msgspec.json.encode(ban))


def known_ban(store: Store, clock: ExchangeClock) -> int:
    """Until when (exchange ms) an earlier run was banned; 0 if it was not.

    The clock need not be measured: that would take a request. How long the ban still lasts follows
    from how long ago it was learnt by this machine's own clock.
    """
    found = store.note(_NOTE)
    if found is None:
        return 0
    try:
        ban = msgspec.json.decode(found, type=Ban)
        since = max(0.0, clock.wall() * 1000 - ban.learnt_here) * clock.rate
        left = ban.until - ban.learnt - int(since)
        if left > _LONGEST_MS * clock.rate:
            raise ValueError(f"no ban lasts {left // 1000} s")
    except (*UNREADABLE, ValueError, OverflowError) as error:
        store.report_unusable("the note of a ban", str(error))
        return 0
    return clock.now() + max(0, left)
