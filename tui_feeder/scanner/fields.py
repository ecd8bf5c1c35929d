"""The fields of a symbol that can be sorted by, filtered by and shown: one table, each with its unit.

The names are those of the filter language. Sorting and the columns use the same table, so what is seen,
sorted and filtered is the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tui_feeder.monitor import MINUTE_MS, IndicatorView, Snapshot, SymbolState, SymbolView, timeframe_label
from tui_feeder.scanner import measures

#: A value of a field; None while it is unknown.
FieldValue = float | str | bool | None


class Kind(StrEnum):
    """What the values of a field are, and so how they are written in a filter."""

    NUMBER = "number"
    PERCENT = "percent"
    DURATION = "duration"  # seconds; 90, 90s, 5m, 2h, 3d
    WORD = "word"  # one of a few
    NAME = "name"  # text, compared with a pattern
    FLAG = "flag"  # yes or no


@dataclass(frozen=True, slots=True)
class Subject:
    """A symbol with what the user has put on it: everything a field is taken of."""

    view: SymbolView
    now: int  # exchange time, ms
    pinned: bool = False
    noted: bool = False
    alerts: int = 0  # not acknowledged
    basis: float | None = None  # bp over the price in spot; None where both are not followed


@dataclass(frozen=True, slots=True)
class Field:
    """A field by its name."""

    name: str  # as it is typed in a filter
    title: str  # for lists and help
    kind: Kind
    value: Callable[[Subject], FieldValue]
    unit: str = ""
    words: tuple[str, ...] = ()  # the values of a WORD
    aliases: tuple[str, ...] = ()  # other names, also found by a search
    rising: bool = False  # sorted from the smallest up unless the user turns it round

    def found_by(self, text: str) -> bool:
        """Finds whether a search matches the field.

        Args:
            text: what is searched for.

        Returns:
            Whether every word of it occurs in the name, title, unit or aliases.
        """
        known = " ".join((self.name, self.title, self.unit, *self.aliases)).lower()
        return all(word in known for word in text.lower().split())


_STATES = tuple(state.value.replace(" ", "-") for state in SymbolState)
_TRENDS = ("buy", "sell", "neutral")


def field_table(timeframes: Sequence[int], indicators: Sequence[IndicatorView]) -> Mapping[str, Field]:
    """Makes the table of fields.

    Args:
        timeframes: seconds, of the snapshot.
        indicators: of the snapshot.

    Returns:
        Every field by its name, in the order of lists.
    """
    return {field.name: field for field in _fields(timeframes, indicators)}


class Subjects(Mapping[str, Subject]):
    """The symbols of a snapshot with what the user has put on them, by name.

    Each is made when it is asked for first: of hundreds a screen shows a few dozen.

    Args:
        snapshot: the newest one.
        pinned: names of symbols.
        noted: names of symbols that have a note.
    """

    def __init__(self, snapshot: Snapshot, pinned: Iterable[str] = (), noted: Iterable[str] = ()) -> None:
        self._views = {view.symbol: view for view in snapshot.symbols}
        self._snapshot = snapshot
        self._pinned, self._noted = frozenset(pinned), frozenset(noted)
        self._alerts: dict[str, int] = {}
        for alert in snapshot.alerts:
            if alert.symbol is not None and not alert.acknowledged:
                self._alerts[alert.symbol] = self._alerts.get(alert.symbol, 0) + 1
        self._made: dict[str, Subject] = {}

    def marked(self, pinned: Iterable[str], noted: Iterable[str]) -> Subjects:
        """Puts other pins and notes on the same symbols.

        Args:
            pinned: names of symbols.
            noted: names of symbols that have a note.

        Returns:
            The symbols with these.
        """
        return Subjects(self._snapshot, pinned, noted)

    def __getitem__(self, symbol: str) -> Subject:
        found = self._made.get(symbol)
        if found is None:
            found = self._made[symbol] = Subject(
                self._views[symbol], self._snapshot.exchange_time, symbol in self._pinned,
                symbol in self._noted, self._alerts.get(symbol, 0),
                measures.basis(self._views[symbol], self._views.get(measures.spot_of(symbol))),
            )  # fmt: skip
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)


def _fields(timeframes: Sequence[int], indicators: Sequence[IndicatorView]) -> Iterable[Field]:
    number, percent = Kind.NUMBER, Kind.PERCENT
    yield Field("name", "Symbol name", Kind.NAME, lambda s: s.view.symbol, aliases=("symbol",), rising=True)
    yield Field("price", "Price", number, lambda s: s.view.price, "quote asset", aliases=("last",))
    yield Field("1m", "Change, 1 minute", percent, lambda s: s.view.change_1m, "%")
    yield Field("24h", "Change, 24 hours", percent, lambda s: s.view.change_24h, "%", aliases=("day",))
    yield Field("vol", "Volume, 24 hours", number, lambda s: s.view.volume_24h, "quote asset",
                aliases=("volume", "turnover"))  # fmt: skip
    yield Field("relvol", "Relative volume, 15 minutes", number, lambda s: s.view.relative_volume,
                "times the median at that time of day", aliases=("rvol",))  # fmt: skip
    yield Field("range", "Range, 24 hours", percent, lambda s: measures.range_percent(s.view),
                "% of the low", aliases=("volatility",))  # fmt: skip
    yield Field("align", "Alignment of the trends", number, _alignment,
                "timeframes with Buy less those with Sell", aliases=("alignment", "score"))  # fmt: skip
    yield Field("held", "Time the alignment has held", Kind.DURATION, _held, "s m h d",
                aliases=("alignment",))  # fmt: skip
    for timeframe in timeframes:
        label = timeframe_label(timeframe)
        yield Field(f"trend.{label}", f"Trend, {label}", Kind.WORD, _trend(timeframe), words=_TRENDS)
    for measure in measures.indicator_measures(indicators):
        for timeframe in timeframes:
            label = timeframe_label(timeframe)
            yield Field(f"{measure.name}.{label}", f"{measure.title}, {label}",
                        percent if measure.percent else number, _indicator(measure, timeframe),
                        measure.unit)  # fmt: skip
    for timeframe in timeframes:
        label = timeframe_label(timeframe)
        yield Field(f"delta.{label}", f"Delta, {label}: takers bought less sold", percent, _delta(timeframe),
                    "% of the bar's volume", aliases=("flow",))  # fmt: skip
    yield Field("cvd", "Cumulative volume delta of the day (CVD)", percent,
                lambda s: measures.delta_percent(s.view.cvd_day, s.view.day_volume),
                "% of the day's volume", aliases=("delta", "flow"))  # fmt: skip
    for timeframe in timeframes:
        label = timeframe_label(timeframe)
        yield Field(f"div.{label}", f"Divergence of price and CVD, {label}", Kind.WORD,
                    _divergence(timeframe), words=("buy", "sell", "none"), aliases=("cvd",))  # fmt: skip
    for level in measures.LEVELS:
        name = _LEVEL_TITLES.get(level, level.upper())
        yield Field(f"near({level})", f"Distance to the {name}, either side", percent, _near(level), "%",
                    aliases=("distance",), rising=True)  # fmt: skip
        yield Field(f"from({level})", f"Distance from the {name}, + above, - below", percent,
                    _from(level), "%", aliases=("distance",))  # fmt: skip
    yield Field("poc", "Point of control of the day (POC)", number, lambda s: s.view.poc, "quote asset")
    yield Field("vwap", "Volume-weighted average price of the day (VWAP)", number, lambda s: s.view.vwap,
                "quote asset")  # fmt: skip
    yield Field("vah", "Value area high of the day (VAH)", number, lambda s: s.view.vah, "quote asset")
    yield Field("val", "Value area low of the day (VAL)", number, lambda s: s.view.val, "quote asset")
    yield Field("va", "Price against the value area", Kind.WORD, lambda s: measures.value_position(s.view),
                words=("hi", "in", "lo"))  # fmt: skip
    yield Field("state", "State of the data", Kind.WORD, lambda s: s.view.state.value.replace(" ", "-"),
                words=_STATES, rising=True)  # fmt: skip
    yield Field("gaps", "Missing minutes", number, lambda s: float(s.view.missing_minutes), "minutes",
                aliases=("missing",))  # fmt: skip
    yield Field("age", "Age of the last frame", Kind.DURATION, _age, "s m h d", aliases=("freshness",),
                rising=True)  # fmt: skip
    yield Field("alerts", "Alerts not acknowledged", number, lambda s: float(s.alerts))
    yield Field("basis", "Basis, the future over spot", number, lambda s: s.basis, "bp")
    yield Field("pinned", "Pinned by you", Kind.FLAG, lambda s: s.pinned, aliases=("pin",))
    yield Field("noted", "Has a note of yours", Kind.FLAG, lambda s: s.noted, aliases=("note",))


_LEVEL_TITLES = {"high": "high of 24 h", "low": "low of 24 h"}


def _alignment(subject: Subject) -> FieldValue:
    found = measures.alignment(subject.view)
    return None if found is None else float(found.score)


def _held(subject: Subject) -> FieldValue:
    found = measures.alignment(subject.view)
    if found is None or found.since is None:
        return None
    return max(0, subject.now - found.since) // MINUTE_MS * 60.0  # whole minutes: bars close with them


def _age(subject: Subject) -> FieldValue:
    last = subject.view.last_frame
    return None if last is None else max(0, subject.now - last) / 1000


def _trend(timeframe: int) -> Callable[[Subject], FieldValue]:
    def value(subject: Subject) -> FieldValue:
        state = measures.timeframe_of(subject.view, timeframe)
        return None if state is None or state.trend is None else state.trend.lower()

    return value


def _delta(timeframe: int) -> Callable[[Subject], FieldValue]:
    def value(subject: Subject) -> FieldValue:
        state = measures.timeframe_of(subject.view, timeframe)
        return None if state is None else measures.delta_percent(state.delta, state.volume)

    return value


def _divergence(timeframe: int) -> Callable[[Subject], FieldValue]:
    def value(subject: Subject) -> FieldValue:
        state = measures.timeframe_of(subject.view, timeframe)
        if state is None or state.bar_time is None:
            return None
        return (state.divergence or "none").lower()

    return value


def _indicator(measure: measures.IndicatorMeasure, timeframe: int) -> Callable[[Subject], FieldValue]:
    return lambda subject: measure.value(subject.view, timeframe)


def _from(level: str) -> Callable[[Subject], FieldValue]:
    return lambda subject: measures.level_distance(subject.view, level)


def _near(level: str) -> Callable[[Subject], FieldValue]:
    def value(subject: Subject) -> FieldValue:
        distance = measures.level_distance(subject.view, level)
        return None if distance is None else abs(distance)

    return value
