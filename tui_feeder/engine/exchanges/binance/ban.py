"""A ban of this address, kept across restarts: a program that asks during one is banned for longer."""

from __future__ import annotations

import math

import msgspec

from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.exchanges.base import Notes

#: A ban lasts three days at most, and is stated with some margin.
_LONGEST_MS = 4 * DAY_MS


class Ban(msgspec.Struct, frozen=True):
    """Until when, and what the clocks showed when it was learnt: all ms."""

    until: int  # exchange time
    learnt: int  # exchange time
    learnt_here: int  # wall time of this machine


def keep_ban(notes: Notes, name: str, clock: ExchangeClock, until: int) -> None:
    """Write down a ban, unless nothing may be written.

    Args:
        notes: where it is kept.
        name: of the note: markets whose requests are counted apart are banned apart.
        clock: the exchange's.
        until: when it ends, exchange ms.
    """
    if notes.read_only:
        return
    # Rounded up: a millisecond too little would end the wait while the ban still holds.
    ban = Ban(until, clock.now(), math.ceil(clock.wall() * 1000))
    notes.put_note(name, msgspec.json.encode(ban))


def known_ban(notes: Notes, name: str, clock: ExchangeClock) -> int:
    """Until when an earlier run was banned.

    The clock need not be measured: that would take a request. How long the ban still lasts follows
    from how long ago it was learnt by this machine's own clock.

    Args:
        notes: where it was kept.
        name: of the note.
        clock: the exchange's.

    Returns:
        Exchange ms; 0 if it was not.
    """
    found = notes.note(name)
    if found is None:
        return 0
    try:
        ban = msgspec.json.decode(found, type=Ban)
        since = max(0.0, clock.wall() * 1000 - ban.learnt_here) * clock.rate
        left = ban.until - ban.learnt - int(since)
        if left > _LONGEST_MS * clock.rate:
            raise ValueError(f"no ban lasts {left // 1000} s")
    except (*UNREADABLE, ValueError, OverflowError) as error:
        notes.report_unusable("the note of a ban", str(error))
        return 0
    return clock.now() + max(0, left)
