"""What a scanner computes of one symbol: alignment of its trends, distances in percent, range, indicators.

Every value is None while something it rests on is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui_feeder.monitor import IndicatorView, SymbolView, TimeframeView

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


def delta_percent(delta: float | None, volume: float | None) -> float | None:
    """Puts a delta into proportion, so that symbols can be compared.

    Args:
        delta: what takers bought less what they sold, base asset.
        volume: of the same minutes, base asset.

    Returns:
        Percent of the volume: +100 where takers only bought; None where one is unknown or nothing was traded.
    """
    if delta is None or volume is None or not volume > 0:
        return None
    return delta / volume * 100.0


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


def spot_of(symbol: str) -> str:
    """Names what trades the same pair in spot.

    Args:
        symbol: of a future, as followed.

    Returns:
        The name with the market before it, whether it is followed or not.
    """
    return f"spot:{symbol}"


def basis(future: SymbolView, spot: SymbolView | None) -> float | None:
    """Measures how far the price of a future lies from that in spot.

    Args:
        future: the contract.
        spot: the same pair in spot, if it is followed.

    Returns:
        In hundredths of a percent of the price in spot, negative below it; None while a price is unknown.
    """
    percent = None if spot is None else distance_percent(future.price, spot.price)
    return None if percent is None else percent * 100.0


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


@dataclass(frozen=True, slots=True)
class IndicatorMeasure:
    """What is shown, sorted and filtered of the indicators of a timeframe."""

    name: str  # of the field, before the timeframe: "ema", "rsi14"
    title: str  # "EMA 21 against EMA 89", "RSI 14"
    heading: str  # of a column, before the timeframe: "E21-89", "RSI14"
    unit: str
    percent: bool  # one against another, in percent of it; else a value
    places: tuple[int, ...]  # in TimeframeView.values: those compared, or the one shown

    def value(self, view: SymbolView, timeframe: int) -> float | None:
        """Takes it of a symbol.

        Args:
            view: of the symbol.
            timeframe: seconds.

        Returns:
            The number, in the unit; None while it is unknown.
        """
        state = timeframe_of(view, timeframe)
        if state is None or len(state.values) <= max(self.places):
            return None
        first, last = state.values[self.places[0]], state.values[self.places[-1]]
        if not self.percent:
            return first
        return None if first is None or last is None or last == 0 else (first - last) / last * 100


def indicator_measures(indicators: Sequence[IndicatorView]) -> tuple[IndicatorMeasure, ...]:
    """Lists what is shown of the indicators.

    Args:
        indicators: of the snapshot.

    Returns:
        Of each kind whose values are prices, its first period against its last, where there are two; of the
        other kinds each indicator.
    """
    found = []
    for kind in dict.fromkeys(indicator.kind for indicator in indicators):
        places = [place for place, indicator in enumerate(indicators) if indicator.kind == kind]
        first, last = indicators[places[0]], indicators[places[-1]]
        if not first.on_price:
            found += [
                IndicatorMeasure(
                    indicators[place].name, f"{first.title} {indicators[place].period}",
                    indicators[place].name.upper(), first.unit, False, (place,),
                )
                for place in places
            ]  # fmt: skip
        elif len(places) > 1:
            title = f"{first.title} {first.period} against {last.title} {last.period}"
            heading = f"{first.label.upper()}-{last.period}"
            found.append(IndicatorMeasure(kind, title, heading, "%", True, (places[0], places[-1])))
    return tuple(found)
