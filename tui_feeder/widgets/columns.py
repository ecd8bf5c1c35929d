"""The columns of the overview: which ones a width has room for, and what each shows of a symbol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui_feeder.monitor import SymbolState, SymbolView, TimeframeView, timeframe_label
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Glyphs, Role
from tui_feeder.widgets.spark import spark

#: Columns that give way to one line of text while a symbol has no history.
HISTORY = "history"

SortKey = Callable[[SymbolView], float | str | None]
CellOf = Callable[[SymbolView, "CellContext"], tuple[str, Role]]


@dataclass(frozen=True, slots=True)
class CellContext:
    """What the cells depend on besides the symbol."""

    glyphs: Glyphs
    timeframe: int  # of the chart, seconds; the EMA distance is taken on it
    now: int  # exchange time, ms; when the ages were last drawn
    tenths: bool = True  # ages under ten seconds with a digit after the point


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its cells, and the value it sorts by."""

    key: str
    heading: str
    width: int  # cells, the blank before it included
    cell: CellOf
    sort: SortKey | None = None
    right: bool = True
    group: str = ""


def timeframe_of(view: SymbolView, timeframe: int) -> TimeframeView | None:
    """The state of a timeframe of a symbol, if the engine keeps it."""
    for state in view.timeframes:
        if state.timeframe == timeframe:
            return state
    return None


def ema_distance(view: SymbolView, timeframe: int) -> float | None:
    """Fast EMA against slow EMA in percent of the slow one."""
    state = timeframe_of(view, timeframe)
    if state is None or len(state.emas) < 2:
        return None
    fast, slow = state.emas[0], state.emas[-1]
    return None if fast is None or slow is None or slow == 0 else (fast - slow) / slow * 100


def value_position(view: SymbolView) -> str | None:
    """Where the price stands against the value area: ``hi``, ``in`` or ``lo``."""
    if view.price is None or view.vah is None or view.val is None:
        return None
    return "hi" if view.price > view.vah else "lo" if view.price < view.val else "in"


def _signed(value: float | None) -> Role:
    if value is None:
        return Role.MUTED
    return Role.FLAT if abs(value) < 0.005 else Role.UP if value > 0 else Role.DOWN


def _symbol(view: SymbolView, context: CellContext) -> tuple[str, Role]:
    return view.symbol, Role.TEXT


def _price(width: int, of: Callable[[SymbolView], float | None], role: Role = Role.TEXT) -> CellOf:
    def cell(view: SymbolView, context: CellContext) -> tuple[str, Role]:
        value = of(view)
        return cells.price_text(value, view.price_decimals, width - 1), Role.MUTED if value is None else role

    return cell


def _change(width: int, of: Callable[[SymbolView], float | None]) -> CellOf:
    def cell(view: SymbolView, context: CellContext) -> tuple[str, Role]:
        value = of(view)
        return cells.percent_text(value, width - 1), _signed(value)

    return cell


def _trend(timeframe: int) -> CellOf:
    def cell(view: SymbolView, context: CellContext) -> tuple[str, Role]:
        state = timeframe_of(view, timeframe)
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


def _ema(width: int) -> CellOf:
    def cell(view: SymbolView, context: CellContext) -> tuple[str, Role]:
        distance = ema_distance(view, context.timeframe)
        if distance is None:
            return "warmup~", Role.MUTED
        state = timeframe_of(view, context.timeframe)
        mark = "%" if state is None else "*" if state.partial else "~" if state.warming else "%"
        return cells.percent_text(distance, width - 2) + mark, _signed(distance)

    return cell


def _poc(width: int) -> CellOf:
    """The point of control; marked where the profile's rows do not fit the symbol."""
    plain = _price(width, lambda v: v.poc)

    def cell(view: SymbolView, context: CellContext) -> tuple[str, Role]:
        if not view.profile_note:
            return plain(view, context)
        return cells.price_text(view.poc, view.price_decimals, width - 2) + "!", Role.WARN

    return cell


def _position(view: SymbolView, context: CellContext) -> tuple[str, Role]:
    match value_position(view):
        case None:
            return cells.UNKNOWN, Role.MUTED
        case "hi":
            return "hi", Role.UP
        case "lo":
            return "lo", Role.DOWN
        case inside:
            return inside, Role.FLAT


def _age(view: SymbolView, context: CellContext) -> tuple[str, Role]:
    age = None if view.last_frame is None else context.now - view.last_frame
    text = cells.age_text(age, context.tenths)
    if view.state in (SymbolState.LATE, SymbolState.STALE):
        return text + "!", Role.WARN
    return text + " ", Role.MUTED


def _missing(view: SymbolView, context: CellContext) -> tuple[str, Role]:
    if view.state in (SymbolState.WAITING, SymbolState.UNKNOWN, SymbolState.NO_DATA):
        return cells.UNKNOWN, Role.MUTED
    if view.missing_minutes:
        return cells.count_text(view.missing_minutes) + "!", Role.WARN
    return "0 ", Role.MUTED


def _volume(view: SymbolView, context: CellContext) -> tuple[str, Role]:
    return cells.count_text(view.volume_24h), Role.MUTED if view.volume_24h is None else Role.TEXT


def _spark(width: int) -> CellOf:
    def cell(view: SymbolView, context: CellContext) -> tuple[str, Role]:
        return spark(view.day_closes, width - 1, context.glyphs.spark), Role.VALUE_AREA

    return cell


def _age_order(view: SymbolView) -> float | None:
    return None if view.last_frame is None else -view.last_frame


#: What spare width is given to, in this order: a column of its own, or more cells for one.
_SPARE = (
    ("vol", 7), ("spark", 13), ("24h%", 7), ("gaps", 7), ("symbol", 4), ("price", 1), ("poc", 2), ("vwap", 2),
    ("trend", 0), ("vah", 11), ("val", 11),
)  # fmt: skip


def columns_for(
    width: int, timeframes: tuple[int, ...], ema_periods: tuple[int, ...], timeframe: int
) -> tuple[Column, ...]:
    """The columns that fill ``width`` cells (80 and more) exactly.

    Args:
        width: cells there are.
        timeframes: seconds, one trend column each as far as there is room.
        ema_periods: closes; the first and the last name the distance column.
        timeframe: seconds, of the chart, named in the heading of the distance column.
    """
    spare = width - 65  # what the columns that are always there leave
    shown = timeframes[: max(0, spare // 3)]
    spare -= 3 * len(shown)
    roomy = {"price": 0, "poc": 0, "vwap": 0, "trend": 0, "symbol": 0}
    optional: list[str] = []
    for key, cost in _SPARE:
        if key == "trend":
            cost = len(shown)
        if cost <= spare:
            spare -= cost
            if key in roomy:
                roomy[key] = cost
            else:
                optional.append(key)
    trend = 4 if roomy["trend"] else 3
    price, poc, vwap = 11 + roomy["price"], 9 + roomy["poc"], 9 + roomy["vwap"]
    periods = f"E{ema_periods[0]}-{ema_periods[-1]}" if len(ema_periods) > 1 else "EMA"

    columns = [
        Column("symbol", "SYMBOL", 12 + roomy["symbol"] + spare, _symbol, lambda v: v.symbol, right=False),
        Column("price", "PRICE", price, _price(price, lambda v: v.price, Role.STRONG), lambda v: v.price),
        Column("1m%", "1m%", 6, _change(6, lambda v: v.change_1m), lambda v: v.change_1m),
    ]
    if "24h%" in optional:
        columns.append(Column("24h%", "24h%", 7, _change(7, lambda v: v.change_24h), lambda v: v.change_24h))
    if "spark" in optional:
        columns.append(Column("spark", "LAST 24 h", 13, _spark(13), lambda v: v.change_24h))
    if "vol" in optional:
        columns.append(Column("vol", "VOL24h", 7, _volume, lambda v: v.volume_24h))
    columns += [Column(f"trend:{t}", _heading(t, trend), trend, _trend(t), group=HISTORY) for t in shown]
    columns += [
        Column("ema", f"{periods} {timeframe_label(timeframe)}"[:9], 10, _ema(10),
               lambda v: ema_distance(v, timeframe), group=HISTORY),
        Column("poc", "POC", poc, _poc(poc), lambda v: v.poc, group=HISTORY),
        Column("vwap", "VWAP", vwap, _price(vwap, lambda v: v.vwap), group=HISTORY),
    ]  # fmt: skip
    columns += [
        Column(key, heading, 11, _price(11, of), group=HISTORY)
        for key, heading, of in (("vah", "VAH", lambda v: v.vah), ("val", "VAL", lambda v: v.val))
        if key in optional
    ]
    columns.append(Column("va", "VA", 3, _position, group=HISTORY))
    if "gaps" in optional:
        columns.append(Column("gaps", "GAPS ", 7, _missing, lambda v: v.missing_minutes))
    columns.append(Column("age", "AGE ", 5, _age, _age_order))
    return tuple(columns)


def _heading(timeframe: int, width: int) -> str:
    """``1m``, ``15m`` or, where there are two cells, ``15``."""
    return timeframe_label(timeframe)[: width - 1]
