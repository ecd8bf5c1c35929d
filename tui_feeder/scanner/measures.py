"""What a scanner computes of one symbol: alignment of its trends, distances in percent, range, EMA spread.

Every value is None while something it rests on is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from tui_feeder.monitor import SymbolView, TimeframeView

#: Prices of a symbol that a distance can be taken to.
LEVELS = ("poc", "vah", "val", "vwap", "high", "low")

_SIGNS = {"Buy": 1, "Sell": -1, "Neutral": 0}


@dataclass(frozen=True, slots=True)
class Alignment:
    """How far the trends of all timeframes agree."""

    score: int  # timeframes with trend Buy less those with Sell
    known: int  # timeframes whose trend is known
    total: int  # timeframes there are
    since: int | None  # ms, when one of the trends changed last; None where that is not known

    @property
    def complete(self) -> bool:
        """Whether the trend of every timeframe is known."""
        return self.known == self.total


def alignment(view: SymbolView) -> Alignment | None:
    """The alignment of a symbol's trends, -5..+5 with the usual five timeframes.

    Args:
        view: of the symbol.

    Returns:
        The score over the timeframes whose trend is known, so that it never overstates; None where no trend
        is known.
    """
    known = [frame for frame in view.timeframes if frame.trend is not None]
    if not known:
        return None
    changes = [frame.trend_since for frame in known]
    times = [time for time in changes if time is not None]
    return Alignment(
        score=sum(_SIGNS.get(frame.trend or "", 0) for frame in known),
        known=len(known),
        total=len(view.timeframes),
        since=max(times) if len(times) == len(view.timeframes) else None,
    )


def distance_percent(price: float | None, level: float | None) -> float | None:
    """Measures how far a price lies from a level.

    Args:
        price: of the symbol.
        level: in the same unit.

    Returns:
        Percent of the level, negative below it; None where one is unknown.
    """
    if price is None or level is None or not level > 0:
        return None
    return (price - level) / level * 100.0


def level_price(view: SymbolView, level: str) -> float | None:
    """Looks up the price of one of :data:`LEVELS`.

    Args:
        view: of the symbol.
        level: its name; high and low are those of 24 h, the price now included.

    Returns:
        The price, or None while it is unknown.

    Raises:
        KeyError: there is no level of that name.
    """
    match level:
        case "poc":
            return view.poc
        case "vah":
            return view.vah
        case "val":
            return view.val
        case "vwap":
            return view.vwap
        case "high":
            high, price = view.high_24h, view.price
            return None if high is None or price is None else max(high, price)
        case "low":
            low, price = view.low_24h, view.price
            return None if low is None or price is None else min(low, price)
        case _:
            raise KeyError(level)


def level_distance(view: SymbolView, level: str) -> float | None:
    """Measures how far the price lies from one of :data:`LEVELS`.

    Args:
        view: of the symbol.
        level: its name.

    Returns:
        Percent of the level, negative below it; None while one is unknown.

    Raises:
        KeyError: there is no level of that name.
    """
    return distance_percent(view.price, level_price(view, level))


def range_percent(view: SymbolView) -> float | None:
    """Measures the range of the last 24 h.

    Args:
        view: of the symbol.

    Returns:
        From low to high in percent of the low; None while it is unknown.
    """
    return distance_percent(level_price(view, "high"), level_price(view, "low"))


def value_position(view: SymbolView) -> str | None:
    """Compares the price with the value area.

    Args:
        view: of the symbol.

    Returns:
        ``hi`` above it, ``in`` inside, ``lo`` below; None while one is unknown.
    """
    if view.price is None or view.vah is None or view.val is None:
        return None
    return "hi" if view.price > view.vah else "lo" if view.price < view.val else "in"


def timeframe_of(view: SymbolView, timeframe: int) -> TimeframeView | None:
    """Looks up a timeframe of a symbol.

    Args:
        view: of the symbol.
        timeframe: seconds.

    Returns:
        Its state, or None where the engine does not keep it.
    """
    for state in view.timeframes:
        if state.timeframe == timeframe:
            return state
    return None


def ema_distance(view: SymbolView, timeframe: int) -> float | None:
    """Measures the fast EMA against the slow one.

    Args:
        view: of the symbol.
        timeframe: seconds.

    Returns:
        Percent of the slow one; None while one is unknown.
    """
    state = timeframe_of(view, timeframe)
    if state is None or len(state.emas) < 2:
        return None
    fast, slow = state.emas[0], state.emas[-1]
    return None if fast is None or slow is None or slow == 0 else (fast - slow) / slow * 100
