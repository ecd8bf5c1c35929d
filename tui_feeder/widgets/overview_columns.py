"""The columns of the overview: what each shows of a symbol, and which of them a width has room for.

Another value begins here: a column in ``_table``, whose cell shows an attribute of
:class:`~tui_feeder.monitor.SymbolView`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from tui_feeder.monitor import IndicatorView, SymbolState, SymbolView, timeframe_label
from tui_feeder.scanner import measures
from tui_feeder.scanner.column_fit import fitting, shared_out
from tui_feeder.scanner.fields import Field, Kind, Subject, field_table
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Glyphs, Role
from tui_feeder.widgets.spark import spark

#: Columns that give way to one line of text while a symbol has no history.
HISTORY = "history"

CellOf = Callable[[Subject, "CellContext"], tuple[str, Role]]

#: Cells of the longest symbol that a column is made for; a longer name is cut.
LONGEST_NAME = 20


@dataclass(frozen=True, slots=True)
class CellContext:
    """What the cells depend on besides the symbol."""

    glyphs: Glyphs
    timeframe: int  # of the chart, seconds; the indicators are those of it
    now: int  # exchange time, ms; when the ages were last drawn
    tenths: bool = True  # ages under ten seconds with a digit after the point


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    key: str
    heading: str
    width: int  # cells, the blank before it included
    cell: CellOf
    field: str = ""  # of the field table, that its heading sorts by; empty where there is none
    right: bool = True
    group: str = ""
    more: int = 0  # cells beyond the width that it can use
    shows: tuple[str, ...] = ()  # fields of SymbolView that alone, with the state, make its cell; () unknown


@dataclass(frozen=True, slots=True)
class ColumnNeeds:
    """What the choice of columns depends on."""

    timeframes: tuple[int, ...]  # seconds, of the snapshot
    indicators: tuple[IndicatorView, ...]  # of the snapshot
    timeframe: int  # seconds, of the chart
    names: int = 12  # cells of the longest symbol
    sorted_by: tuple[str, ...] = ()  # names of fields; their columns are always shown
    basis: bool = False  # a pair is followed as a future and in spot
    more: bool = True  # deltas and the levels as prices too, where there is room


def longest_name(names: Collection[str]) -> int:
    """Measures the longest of some symbols.

    Args:
        names: of the symbols.

    Returns:
        Its cells, at most :data:`LONGEST_NAME`; 8 where there is none.
    """
    return min(max((cell_len(name) for name in names), default=8), LONGEST_NAME)


def _signed(value: float | None) -> Role:
    if value is None:
        return Role.MUTED
    return Role.FLAT if abs(value) < 0.005 else Role.UP if value > 0 else Role.DOWN


def _mark(subject: Subject, context: CellContext) -> tuple[str, Role]:
    """A cell for the pointer of the selected row, and one for what the user should not miss."""
    if subject.alerts:
        return " !", Role.ERROR
    if subject.pinned:
        return " " + context.glyphs.pin, Role.ACCENT
    return (" " + context.glyphs.note, Role.MUTED) if subject.noted else ("  ", Role.TEXT)


def _mark_without_age(subject: Subject, context: CellContext) -> tuple[str, Role]:
    """The sign for a row that has no column of ages: a price that is not live must not look as if it were."""
    if subject.view.state in (SymbolState.LATE, SymbolState.STALE, SymbolState.FAILED):
        return " !", Role.WARN
    return _mark(subject, context)


def _symbol(subject: Subject, context: CellContext) -> tuple[str, Role]:
    return subject.view.symbol, Role.TEXT


def _price(width: int, of: Callable[[SymbolView], float | None], role: Role = Role.TEXT) -> CellOf:
    def cell(subject: Subject, context: CellContext) -> tuple[str, Role]:
        value = of(subject.view)
        text = cells.price_text(value, subject.view.price_decimals, width - 1)
        return text, Role.MUTED if value is None else role

    return cell


def _percent(width: int, of: Callable[[SymbolView], float | None]) -> CellOf:
    def cell(subject: Subject, context: CellContext) -> tuple[str, Role]:
        value = of(subject.view)
        return cells.percent_text(value, width - 1), _signed(value)

    return cell


def _basis(subject: Subject, context: CellContext) -> tuple[str, Role]:
    value = subject.basis
    return (cells.UNKNOWN, Role.MUTED) if value is None else (f"{value:+z.1f}", _signed(value))


def _plain_percent(width: int, of: Callable[[SymbolView], float | None]) -> CellOf:
    """A percentage that has no direction."""

    def cell(subject: Subject, context: CellContext) -> tuple[str, Role]:
        value = of(subject.view)
        return cells.percent_text(value, width).lstrip("+"), Role.MUTED if value is None else Role.TEXT

    return cell


def _trend(timeframe: int) -> CellOf:
    def cell(subject: Subject, context: CellContext) -> tuple[str, Role]:
        state = measures.timeframe_of(subject.view, timeframe)
        if state is None or state.trend is None:
            return "? ", Role.MUTED
        mark = "*" if state.partial else "~" if state.warming else " "
        match state.trend:
            case "Buy":
                return context.glyphs.buy + mark, Role.UP
            case "Sell":
                return context.glyphs.sell + mark, Role.DOWN
            case _:
                return context.glyphs.neutral + mark, Role.FLAT

    return cell


def _alignment(subject: Subject, context: CellContext) -> tuple[str, Role]:
    found = measures.alignment(subject.view)
    if found is None:
        return cells.UNKNOWN + " ", Role.MUTED
    text = f"{found.score:+d}" if found.score else "0"
    return text + (" " if found.complete else "?"), _signed(found.score)


def _held(subject: Subject, context: CellContext) -> tuple[str, Role]:
    found = measures.alignment(subject.view)
    if found is None or found.since is None:
        return cells.UNKNOWN, Role.MUTED
    return cells.minutes_text(max(0, subject.now - found.since)), Role.MUTED


def _indicator(width: int, measure: measures.IndicatorMeasure) -> CellOf:
    def cell(subject: Subject, context: CellContext) -> tuple[str, Role]:
        value = measure.value(subject.view, context.timeframe)
        if value is None:
            return "warmup~", Role.MUTED
        state = measures.timeframe_of(subject.view, context.timeframe)
        mark = "%" if measure.percent else " "
        if state is not None:
            mark = "*" if state.partial else "~" if state.warming else mark
        if measure.percent:
            return cells.percent_text(value, width - 2) + mark, _signed(value)
        return cells.price_text(value, 1, width - 2) + mark, Role.TEXT

    return cell


def _distance(width: int, level: str) -> CellOf:
    """The distance to a level; marked where the profile's rows do not fit the symbol."""

    def cell(subject: Subject, context: CellContext) -> tuple[str, Role]:
        value = measures.level_distance(subject.view, level)
        if level == "poc" and subject.view.profile_note:
            return cells.percent_text(value, width - 2) + "!", Role.WARN
        return cells.percent_text(value, width - 1), _signed(value)

    return cell


def _position(subject: Subject, context: CellContext) -> tuple[str, Role]:
    match measures.value_position(subject.view):
        case None:
            return cells.UNKNOWN, Role.MUTED
        case "hi":
            return "hi", Role.UP
        case "lo":
            return "lo", Role.DOWN
        case inside:
            return inside, Role.FLAT


def _age(subject: Subject, context: CellContext) -> tuple[str, Role]:
    last = subject.view.last_frame
    text = cells.age_text(None if last is None else context.now - last, context.tenths)
    if subject.view.state in (SymbolState.LATE, SymbolState.STALE):
        return text + "!", Role.WARN
    if subject.view.state in (SymbolState.DELISTED, SymbolState.DELIVERED):
        return "end ", Role.MUTED
    return text + " ", Role.MUTED


def _missing(subject: Subject, context: CellContext) -> tuple[str, Role]:
    view = subject.view
    if view.state in (SymbolState.WAITING, SymbolState.UNKNOWN, SymbolState.NO_DATA):
        return cells.UNKNOWN + " ", Role.MUTED
    if view.missing_minutes:
        return cells.count_text(view.missing_minutes) + "!", Role.WARN
    return "0 ", Role.MUTED


def _volume(subject: Subject, context: CellContext) -> tuple[str, Role]:
    value = subject.view.volume_24h
    return cells.count_text(value), Role.MUTED if value is None else Role.TEXT


def _relative_volume(subject: Subject, context: CellContext) -> tuple[str, Role]:
    value = subject.view.relative_volume
    if value is None:
        return cells.UNKNOWN, Role.MUTED
    return cells.ratio_text(value), Role.STRONG if value >= 2 else Role.TEXT if value >= 1 else Role.MUTED


def _delta(width: int) -> CellOf:
    """The delta of the chart's timeframe; marked where its last bar is not whole."""

    def cell(subject: Subject, context: CellContext) -> tuple[str, Role]:
        state = measures.timeframe_of(subject.view, context.timeframe)
        value = None if state is None else measures.delta_percent(state.delta, state.volume)
        mark = "*" if state is not None and state.partial else " "
        return cells.percent_text(value, width - 2) + mark, _signed(value)

    return cell


def _cvd(subject: Subject, context: CellContext) -> tuple[str, Role]:
    value = measures.delta_percent(subject.view.cvd_day, subject.view.day_volume)
    return cells.percent_text(value, 6), _signed(value)


def _spark(width: int) -> CellOf:
    def cell(subject: Subject, context: CellContext) -> tuple[str, Role]:
        return spark(subject.view.day_closes, width - 1, context.glyphs.spark), Role.VALUE_AREA

    return cell


def _of_field(field: Field, width: int) -> CellOf:
    """Any field that has no column of its own, for rows that are sorted by it."""

    def cell(subject: Subject, context: CellContext) -> tuple[str, Role]:
        value = field.value(subject)
        if value is None:
            return cells.UNKNOWN, Role.MUTED
        if isinstance(value, bool):
            return ("yes", Role.TEXT) if value else ("no", Role.MUTED)
        if isinstance(value, str):
            return cells.fit(value, width - 1, right=True), Role.TEXT
        match field.kind:
            case Kind.PERCENT:
                return cells.percent_text(value, width - 1), _signed(value)
            case Kind.DURATION:
                return cells.minutes_text(int(value * 1000)), Role.TEXT
            case _:
                return cells.count_text(value), Role.TEXT

    return cell


#: Fields that the column of another one shows, with a sign.
_SHOWN_BY = {f"near({level})": f"from({level})" for level in measures.LEVELS}

#: Keys in the order of their worth, the one to be left out last first; of the trends the longest timeframe's.
WORTH = (
    "price", "24h", "basis", "align", "1m", "vol", "age", "trend", "va", "from(poc)", "relvol", "range",
    "spark", "indicator", "held", "from(vwap)", "gaps", "from(vah)", "from(val)", "delta", "cvd", "poc",
    "vwap", "vah", "val",
)  # fmt: skip

#: Headings of columns that are there only while the rows are sorted by them.
_HEADINGS = {"from(high)": "HIGH%", "from(low)": "LOW%", "state": "STATE", "alerts": "ALERTS",
             "pinned": "PIN", "noted": "NOTE", "basis": "BASIS"}  # fmt: skip


def columns_for(width: int, needs: ColumnNeeds) -> tuple[Column, ...]:
    """Chooses the columns that fill ``width`` cells exactly.

    Columns are left out from the least of :data:`WORTH` on; those that the rows are sorted by never.

    Args:
        width: cells there are, 30 and more.
        needs: what the choice depends on.

    Returns:
        The columns in the order they stand in.
    """
    table = _table(needs)
    always = table[:2]  # mark and symbol
    by_worth = sorted(table[2:], key=lambda column: _worth(column.key, needs.timeframes))
    both = replace(table[1], key="", width=always[0].width + always[1].width)
    kept = [
        column.key
        for name in needs.sorted_by
        for column in table[2:]
        if column.field == _SHOWN_BY.get(name, name)
    ]
    shown = fitting([both, *by_worth], width, kept)
    if "age" not in shown:
        always = [replace(always[0], cell=_mark_without_age), always[1]]
    chosen = [*always, *(column for column in table[2:] if column.key in shown)]
    spare = width - sum(column.width for column in chosen)
    trends = [(column.key, 1) for column in chosen if column.key.startswith("trend.")]
    wishes = trends if len(trends) <= spare else []
    wishes += [(column.key, column.more) for column in chosen if column.more]
    given = shared_out(spare, [*wishes, ("symbol", spare)])
    return tuple(_widened(column, given.get(column.key, 0)) for column in chosen)


def full_width(needs: ColumnNeeds) -> int:
    """Measures a table that shows everything but deltas and levels as prices that the rows are not sorted by.

    Args:
        needs: what the choice of columns depends on.

    Returns:
        Cells of all its columns.
    """
    return sum(column.width for column in _table(replace(needs, more=False)))


def _worth(key: str, timeframes: Sequence[int]) -> tuple[int, int]:
    frames = [f"trend.{timeframe_label(timeframe)}" for timeframe in reversed(timeframes)]
    if key.startswith("delta."):
        key = "delta"
    if key in frames:
        return WORTH.index("trend"), frames.index(key)
    name = key if key in WORTH else "indicator" if "." in key else key
    return (WORTH.index(name) if name in WORTH else len(WORTH)), 0


def _table(needs: ColumnNeeds) -> list[Column]:
    """Every column in the order they stand in, mark and symbol first."""
    names = min(needs.names, LONGEST_NAME)
    fields = field_table(needs.timeframes, needs.indicators)
    wanted = [_SHOWN_BY.get(name, name) for name in needs.sorted_by]
    label = timeframe_label(needs.timeframe)
    columns = [
        Column("mark", "", 2, _mark, right=False),
        Column("symbol", "SYMBOL", names, _symbol, "name", right=False, shows=("symbol",)),
        Column("price", "PRICE", 11, _price(11, lambda v: v.price, Role.STRONG), "price", more=1,
               shows=("price", "price_decimals")),
        Column("1m", "1m%", 6, _percent(6, lambda v: v.change_1m), "1m", more=1, shows=("change_1m",)),
        *([Column("basis", "BASIS", 7, _basis, "basis", more=1)] if needs.basis else []),
        Column("24h", "24h%", 7, _percent(7, lambda v: v.change_24h), "24h", more=1,
               shows=("change_24h",)),
        Column("spark", "LAST 24h", 13, _spark(13), more=12, shows=("day_closes",)),
        Column("vol", "VOL", 6, _volume, "vol", more=1, shows=("volume_24h",)),
        Column("relvol", "RVOL", 6, _relative_volume, "relvol", more=1, shows=("relative_volume",)),
        Column("range", "RNG%", 6, _plain_percent(6, measures.range_percent), "range", more=1,
               shows=("price", "high_24h", "low_24h")),
        Column("align", "ALGN", 6, _alignment, "align", group=HISTORY, more=1,
               shows=("timeframes",)),
        Column("held", "HELD", 5, _held, "held", group=HISTORY, more=1),
        *(_trend_column(timeframe, 3) for timeframe in needs.timeframes),
    ]  # fmt: skip
    columns += [
        Column(f"{measure.name}.{label}", f"{measure.heading} {label}"[:9], 10, _indicator(10, measure),
               f"{measure.name}.{label}", group=HISTORY, more=1, shows=("timeframes",))
        for measure in measures.indicator_measures(needs.indicators)
    ]  # fmt: skip
    flow = [
        Column(f"delta.{label}", f"DLT {label}"[:7], 8, _delta(8), f"delta.{label}", group=HISTORY, more=1,
               shows=("timeframes",)),
        Column("cvd", "CVD%", 7, _cvd, "cvd", group=HISTORY, more=1, shows=("cvd_day", "day_volume")),
    ]  # fmt: skip
    columns += [column for column in flow if needs.more or column.field in wanted]
    columns.append(
        Column("va", "VA", 3, _position, "va", group=HISTORY, more=1, shows=("price", "vah", "val"))
    )
    columns += [
        Column(f"from({level})", heading, width, _distance(width, level), f"from({level})",
               group=HISTORY, more=1, shows=("price", level, "profile_note"))
        for level, heading, width in (("poc", "POC%", 7), ("vwap", "VWAP%", 7), ("vah", "VAH%", 7),
                                      ("val", "VAL%", 7))
    ]  # fmt: skip
    prices: tuple[tuple[str, Callable[[SymbolView], float | None]], ...] = (
        ("poc", lambda v: v.poc), ("vwap", lambda v: v.vwap), ("vah", lambda v: v.vah),
        ("val", lambda v: v.val),
    )  # fmt: skip
    columns += [
        Column(
            level, level.upper(), 11, _price(11, of), level, group=HISTORY, shows=(level, "price_decimals")
        )
        for level, of in prices
        if needs.more or level in wanted
    ]
    columns += [
        Column("gaps", "GAPS", 6, _missing, "gaps", more=1, shows=("missing_minutes",)),
        Column("age", "AGE", 5, _age, "age"),
    ]
    there = {column.field for column in columns}
    missing = [fields[name] for name in dict.fromkeys(wanted) if name not in there and name in fields]
    return columns + [
        Column(field.name, _HEADINGS.get(field.name, field.name[:8]), 9, _of_field(field, 9), field.name)
        for field in missing
    ]


def _trend_column(timeframe: int, width: int) -> Column:
    """Its heading is ``1h`` or, of a timeframe that needs more cells, ``15``."""
    label = timeframe_label(timeframe)
    return Column(f"trend.{label}", label[: width - 1], width, _trend(timeframe), f"trend.{label}",
                  group=HISTORY, shows=("timeframes",))  # fmt: skip


def _widened(column: Column, cells_more: int) -> Column:
    """The column with more cells, and what they are for."""
    if not cells_more:
        return column
    width = column.width + cells_more
    if column.key == "spark":
        return replace(column, width=width, cell=_spark(width))
    if column.key.startswith("trend."):
        return replace(column, width=width, heading=column.key.removeprefix("trend.")[: width - 1])
    return replace(column, width=width)
