"""What is known of a symbol's days and minutes beside their candles: states, live publication, old values."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class DayState(StrEnum):
    """What a day's minutes rest on, in one word; the first that is true."""

    NONE = "none"
    """No minute that is due: before the listing, after the delivery, or none at the exchange."""
    UNKNOWN = "unknown"
    """Nothing of it is stored."""
    LACKING = "lacking"
    """Minutes are missing, unavailable, or damaged on disk."""
    CORRECTED = "corrected"
    """All are there, and some were published live with other values than stand now."""
    CERTIFIED = "certified"
    """All are there, from checked archives, or read by REST once they were final."""
    LIVE = "live"
    """All are there, some by the stream alone."""


class DayView(NamedTuple):
    """A symbol's UTC day; counts are minutes."""

    day: int
    """Midnight, ms."""
    state: DayState
    due: int
    """That there can be: 1,440 but on the day of a listing or delivery, and today."""
    present: int
    certified: int
    none_at_exchange: int
    unavailable: int
    damaged: int
    missing: int
    live: int
    """Published within 60 s of their end."""
    stood: int
    corrected: int
    late: int
    joined: int
    """Whose closing frame the trade ids prove to be the last state."""
    exact: int
    """Whose trade ids did not join, and that REST or an archive has certified since."""
    unproved: int


class MinuteValue(NamedTuple):
    """Values that a minute had."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    taker_buy_volume: float
    taker_buy_quote_volume: float
    source: str
    """Where they came from."""
    until: int | None
    """When others took their place, exchange ms; None while they stand, 0 where that is not known."""


class MinuteView(NamedTuple):
    """A minute and all values it had that are kept."""

    open_time: int
    state: str
    """``present``, ``quiet``, ``none_at_exchange``, ``unavailable``, ``damaged``, ``missing``."""
    certified: bool
    published: str
    """``live``, ``corrected``, ``late``; "" where this feeder has published none."""
    first_trade: int | None
    """Id of the first trade, as the closing frame stated it; None where there is none."""
    last_trade: int | None
    trade_ids: str
    """``joined``, ``broken``; "" where the ids prove nothing."""
    values: tuple[MinuteValue, ...]
    """The oldest first; the last are those that stand, where the minute is stored."""


class Incident(NamedTuple):
    """Something that happened to a symbol's minutes."""

    symbol: str
    kind: str
    """``gap``, ``unavailable``, ``damaged``, ``none_at_exchange``, ``outage``, ``correction`` or
    ``trade_ids``."""
    start: int
    end: int
    """Exclusive, ms."""
    text: str
