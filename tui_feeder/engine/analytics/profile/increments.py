"""How high the rows of a volume profile are: a price increment that fits the symbol. Pure, exact in decimal.

"Auto" is a function of the day's range so far, the hour of its last minute, the ranges of the days before,
and the tick size, and of nothing else: not of the order in which minutes came, and not of when one looks. So
every way to a profile (live, from the store, replayed, mirrored) finds the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from statistics import median

import msgspec
import numpy as np

from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows

#: Days before the current one whose ranges show how far it may move.
DAYS_BEFORE = 7

#: Of a day.
HOURS = 24

#: A stated increment that gives a day fewer or more rows than this does not fit its symbol.
FEWEST_ROWS, MOST_ROWS = 20, 20_000

_NICE = tuple(map(Decimal, ("1", "2", "2.5", "5", "10")))
_COUNTS = tuple(map(Decimal, ("1", "2", "5", "10")))  # each at least twice the one before, 10 times 2.5 too


class DayRange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Lowest and highest price of the stored minutes of a UTC day."""

    day: int  # ms, midnight
    minutes: int  # how many they are
    low: float
    high: float


def ranges_of(rows: Rows) -> tuple[DayRange, ...]:
    """Computes the price range of each UTC day.

    Args:
        rows: shape (n,), dtype ROW, sorted.

    Returns:
        The ranges in order; days without a minute are left out.
    """
    if not len(rows):
        return ()
    days = rows["open_time"] // DAY_MS
    starts = np.concatenate(([0], np.flatnonzero(np.diff(days)) + 1))
    counts = np.diff(starts, append=len(rows))
    lows, highs = np.minimum.reduceat(rows["low"], starts), np.maximum.reduceat(rows["high"], starts)
    parts = zip((days[starts] * DAY_MS).tolist(), counts.tolist(), lows.tolist(), highs.tolist(), strict=True)
    return tuple(DayRange(*part) for part in parts)


def typical_range(before: Iterable[DayRange]) -> Decimal:
    """Computes the median range of days.

    Args:
        before: ranges of some days.

    Returns:
        Quote currency, exact; 0 without days.
    """
    spans = [Decimal(repr(day_range.high)) - Decimal(repr(day_range.low)) for day_range in before]
    return median(spans) if spans else Decimal(0)


def hours_left(last_minute: int) -> int:
    """Counts the whole hours of a UTC day that come after a minute.

    Args:
        last_minute: open time of the minute, ms.

    Returns:
        0 to 23.
    """
    return (DAY_MS - last_minute % DAY_MS - MINUTE_MS) // (60 * MINUTE_MS)


def auto_increment(
    low: float, high: float, typical: Decimal, settings: ProfileSettings, hours: int = HOURS
) -> float:
    """The Auto increment for a day that has moved from ``low`` to ``high`` so far.

    It begins as the largest 1, 2, 2.5 or 5 x 10^k that divides ``typical`` into at least
    ``target_price_levels`` rows. A day that has too little time left to have half as many rows of those (it
    is expected to move as far as it has, or ``typical`` times the share of its hours left, whichever is
    more) has finer ones, found in the same way for what is expected. Once the day's range takes more than
    twice ``target_price_levels`` the increment is the smallest 1, 2 or 5 x 10^k that does not, so it at least
    doubles. So a day that is over has between half and twice as many rows as are wanted. It is always a
    multiple of the tick size, and one tick where ticks are coarser than what is wanted.

    Args:
        low: of the day so far.
        high: of the day so far.
        typical: :func:`typical_range` of the days before; 0 if there is none.
        settings: how many rows, and the tick size.
        hours: :func:`hours_left` of the day, or all of them at its start.

    Returns:
        The price increment, quote currency.
    """
    levels, tick = settings.target_price_levels, _tick(settings)
    span = Decimal(repr(high)) - Decimal(repr(low))
    if typical:
        first = _down(typical / levels, tick)
        expected = max(span, typical * hours / HOURS)
        if expected and 2 * expected < first * levels:
            first = _down(expected / levels, tick)
        if span <= first * 2 * levels:
            return float(first)
    if not span:  # one price: a row holds it exactly
        return float(tick or _digit(Decimal(repr(high))))
    return float(_up(span / (2 * levels), tick, _COUNTS))


def adaptive_increment(low: float, high: float, settings: ProfileSettings) -> float:
    """The Adaptive increment for a range of prices.

    The smallest 1, 2, 2.5 or 5 x 10^k that divides the range into at most ``target_price_levels`` and is a
    multiple of the tick size (for a tick like 0.03, of which none is a multiple: 1, 2 or 5 x 10^k ticks); at
    least ``min_price_increment``, at most ``max_price_increment``.

    Args:
        low: lowest price, quote currency.
        high: highest price, quote currency.
        settings: levels, limits and tick size.

    Returns:
        The price increment, quote currency.
    """
    least, most = Decimal(repr(settings.min_price_increment)), Decimal(repr(settings.max_price_increment))
    wanted = (Decimal(repr(high)) - Decimal(repr(low))) / settings.target_price_levels
    tick = _tick(settings)
    step = _up(wanted, tick, _NICE) if wanted or tick else least
    return float(min(max(step, least), most))


def _tick(settings: ProfileSettings) -> Decimal | None:
    return None if settings.tick_size is None else Decimal(repr(settings.tick_size))


def _digit(price: Decimal) -> Decimal:
    """The last digit of a price, or its fifth where it has fewer."""
    exponent = price.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(min(exponent, price.adjusted() - 4))


def _counted(tick: Decimal) -> bool:
    """Whether no nice number is a multiple of the tick, as of 0.03: then ticks are counted."""
    return bool(Decimal(1000).scaleb(tick.adjusted()) % tick)


def _up(wanted: Decimal, tick: Decimal | None, mantissas: tuple[Decimal, ...]) -> Decimal:
    """The smallest nice number >= ``wanted`` that is a multiple of the tick."""
    if tick is None:
        return _round_up(wanted, mantissas)
    if _counted(tick):
        return tick * _round_up(max(wanted / tick, Decimal(1)), _COUNTS)
    step = _round_up(max(wanted, tick), mantissas)
    while step % tick:
        step = _round_up(step.next_plus(), mantissas)
    return step


def _down(wanted: Decimal, tick: Decimal | None) -> Decimal:
    """The largest nice number <= ``wanted`` that is a multiple of the tick, else the smallest of those."""
    if tick is None:
        return _round_down(wanted, _NICE)
    if _counted(tick):
        return tick * _round_down(max(wanted / tick, Decimal(1)), _COUNTS)
    step = _round_down(wanted, _NICE)
    while step >= tick:
        if not step % tick:
            return step
        step = _round_down(step.next_minus(), _NICE)
    return _up(tick, tick, _NICE)


def _round_up(value: Decimal, mantissas: tuple[Decimal, ...]) -> Decimal:
    exponent = value.adjusted()
    return next(n for m in mantissas if (n := m.scaleb(exponent)) >= value)


def _round_down(value: Decimal, mantissas: tuple[Decimal, ...]) -> Decimal:
    exponent = value.adjusted()
    return next(n for m in reversed(mantissas) if (n := m.scaleb(exponent)) <= value)


class Misfit(msgspec.Struct, frozen=True):
    """A stated increment that gives a symbol too few or too many rows a day."""

    key: str  # the setting of [volume_profile] to blame
    value: float  # of it
    rows: int  # about so many a day
    fits: float  # the value to state in its place


def misfit(low: float, high: float, typical: Decimal, settings: ProfileSettings) -> Misfit | None:
    """Checks whether a configured increment suits a symbol.

    Args:
        low: of the day so far.
        high: of the day so far.
        typical: range of a day; where it is 0 only what is sure whatever the day brings counts: rows there
            are too many of already, or of which even a fall to nothing would touch too few.
        settings: whose increment it is.

    Returns:
        What is wrong with it; None if it fits, or as long as that cannot be decided.
    """
    if settings.price_increment_mode == "Auto" or not high:
        return None
    so_far = Decimal(repr(high)) - Decimal(repr(low))
    span = typical or so_far
    if settings.price_increment_mode == "Fixed":
        key, stated = "fixed_price_increment", settings.fixed_price_increment
    else:
        stated = adaptive_increment(0.0, float(span), settings)
        key = "min_price_increment" if stated == settings.min_price_increment else "max_price_increment"
        if stated != getattr(settings, key):
            return None  # chosen for the range: it fits as far as the tick size lets it
    increment = Decimal(repr(stated))
    rows = int(span / increment) + 1
    few = (span if typical else Decimal(repr(high))) / increment < FEWEST_ROWS
    if not few and rows <= MOST_ROWS:
        return None
    fits = (
        auto_increment(0.0, float(typical), typical, settings)
        if typical
        else (auto_increment(low, high, typical, settings))
    )
    if few and fits >= stated:
        return None  # the tick size allows no finer rows
    return Misfit(key, stated, rows, fits)
