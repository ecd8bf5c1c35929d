from __future__ import annotations

import random
from dataclasses import replace

import pytest
from fake_monitor import PERIODS, TIMEFRAMES, FakeMonitor, with_troubles
from rich.cells import cell_len

from tui_feeder.monitor import SymbolView
from tui_feeder.widgets.columns import CellContext, columns_for, ema_distance, value_position
from tui_feeder.widgets.grid import Grid
from tui_feeder.widgets.palette import GLYPHS, Role


def grid_of(monitor: FakeMonitor, width: int = 80) -> Grid:
    grid = Grid()
    grid.set_columns(columns_for(width, TIMEFRAMES, PERIODS, 3_600))
    grid.update(monitor.snapshot())
    return grid


def context_of(monitor: FakeMonitor, glyphs: str = "braille") -> CellContext:
    return CellContext(GLYPHS[glyphs], 3_600, monitor.now)


def lines_of(grid: Grid, monitor: FakeMonitor, height: int = 30) -> list[str]:
    return ["".join(text for text, _, _ in row) for row in grid.rows(height, context_of(monitor))]


@pytest.mark.parametrize("width", range(80, 200, 7))
def test_columns_fill_every_width_exactly(width: int) -> None:
    for timeframes in (
        (),
        (60,),
        TIMEFRAMES,
        (60, 180, 300, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400),
    ):
        columns = columns_for(width, timeframes, PERIODS, 3_600)
        assert sum(column.width for column in columns) == width
        assert {"symbol", "price", "1m%", "ema", "poc", "vwap", "va", "age"} <= {c.key for c in columns}


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_every_row_has_exactly_its_cells_whatever_its_state(width: int) -> None:
    monitor = with_troubles(FakeMonitor(14))
    monitor.change("FILUSDT", price=123_456_789.123, poc=1e-8, vwap=None, change_1m=-1234.5)
    grid = grid_of(monitor, width)
    for line in lines_of(grid, monitor):
        assert cell_len(line) == width, repr(line)
    heading = "".join(text for text, _ in grid.headings(GLYPHS["braille"]))
    assert len(heading) == width


def test_unknown_is_a_dash_or_a_question_mark_never_zero() -> None:
    monitor = FakeMonitor(1)
    monitor.views = {"NEWUSDT": SymbolView("NEWUSDT", monitor.views["BTCUSDT"].state, "", 2)}
    (row,) = grid_of(monitor).rows(5, context_of(monitor))
    assert "0" not in "".join(text for text, _, _ in row)
    texts = [text.strip() for text, _, _ in row]
    assert texts == ["▸ NEWUSDT", "–", "–", "?", "?", "?", "?", "?", "warmup~", "–", "–", "–", "–"]


def test_selection_stays_with_its_symbol_under_every_order_and_prices_that_move() -> None:
    monitor = FakeMonitor(40)
    grid = grid_of(monitor)
    grid.move(17)
    chosen = grid.selected
    generator = random.Random(3)
    for _ in range(len(grid.sortable()) * 2):
        grid.cycle_sort()
        for name in monitor.views:
            monitor.change(name, price=generator.uniform(1, 1000), change_1m=generator.gauss(0, 1))
        grid.update(monitor.snapshot())
        assert grid.selected == chosen
        assert chosen in [view.symbol for view in grid.window(9)]
        grid.reverse_sort()
        assert grid.selected == chosen


def test_rows_follow_the_sorted_column_with_the_unknown_last() -> None:
    monitor = FakeMonitor(12)
    monitor.change("ETHUSDT", price=None)
    grid = grid_of(monitor)
    grid.sort_key = "price"
    grid.update(monitor.snapshot())
    prices = [monitor.views[symbol].price for symbol in grid.order]
    assert prices[-1] is None
    known = [price for price in prices if price is not None]
    assert known == sorted(known, reverse=True)
    grid.reverse_sort()
    assert grid.order[-1] == "ETHUSDT"
    assert monitor.views[grid.order[0]].price == min(known)


def test_rows_do_not_jump_until_a_sort_is_due() -> None:
    monitor = FakeMonitor(12)
    grid = grid_of(monitor)
    grid.sort_key = "price"
    grid.update(monitor.snapshot())
    before = list(grid.order)
    monitor.change(before[-1], price=1e9)
    grid.update(monitor.snapshot(), resort=False)
    assert grid.order == before
    grid.update(monitor.snapshot(), resort=True)
    assert grid.order[0] == before[-1]


def test_filter_matches_turns_round_and_refuses_a_broken_pattern() -> None:
    monitor = FakeMonitor(20)
    grid = grid_of(monitor)
    assert grid.set_filter("^(btc|eth)") is None
    assert grid.order == ["BTCUSDT", "ETHUSDT"]
    assert grid.set_filter("!usdt") is None
    assert grid.order == []
    assert grid.selected is None
    assert grid.set_filter("人生") is None
    assert grid.order == ["币安人生USDT"]
    fault = grid.set_filter("(")
    assert fault is not None
    assert "unterminated" in fault
    assert grid.pattern == "人生"
    grid.set_filter("")
    assert len(grid.order) == 20


def test_only_rows_in_view_are_formatted_and_only_when_they_change() -> None:
    monitor = FakeMonitor(300)
    grid = Grid()
    formatted: list[str] = []
    columns = list(columns_for(80, TIMEFRAMES, PERIODS, 3_600))
    price = columns[1]

    def counted(view: SymbolView, context: CellContext) -> tuple[str, Role]:
        formatted.append(view.symbol)
        return price.cell(view, context)

    columns[1] = replace(price, cell=counted)
    grid.set_columns(tuple(columns))
    grid.update(monitor.snapshot())
    grid.move(150)
    grid.rows(20, context_of(monitor))
    assert len(formatted) == 20
    monitor.change(formatted[4], price=5.0)
    monitor.change("BTCUSDT", price=5.0)  # out of sight
    grid.update(monitor.snapshot())
    grid.rows(20, context_of(monitor))
    assert formatted[20:] == [formatted[4]]


def test_trends_and_marks_say_what_they_rest_on() -> None:
    monitor = with_troubles(FakeMonitor(12))
    states = list(monitor.views["BTCUSDT"].timeframes)
    states[0] = replace(states[0], trend="Buy", warming=True)
    states[1] = replace(states[1], trend="Sell", minutes_lacking=2)
    states[2] = replace(states[2], trend="Neutral")
    states[3] = replace(states[3], trend=None)
    monitor.change("BTCUSDT", timeframes=tuple(states))
    row = grid_of(monitor).rows(12, context_of(monitor))[0]
    assert [text.strip() for text, _, _ in row[3:7]] == ["▲~", "▼*", "■", "?"]


def test_late_and_stale_symbols_are_marked_and_stale_values_fade() -> None:
    monitor = with_troubles(FakeMonitor(12))
    rows = grid_of(monitor).rows(12, context_of(monitor))
    late, stale, fine = rows[2], rows[5], rows[10]
    assert (late[-1][0].strip(), late[-1][1]) == ("4.1!", Role.WARN)
    assert (stale[-1][0].strip(), stale[-1][1]) == ("200!", Role.WARN)
    assert {role for _, role, _ in stale[:-1]} == {Role.MUTED}
    assert "!" not in fine[-1][0]


def test_history_that_is_being_read_stands_where_its_values_will_be() -> None:
    monitor = with_troubles(FakeMonitor(12))
    line = lines_of(grid_of(monitor), monitor)[3]
    assert "█" in line
    assert "68% monthly files 1m20s" in line
    assert "612.40" in line


def test_distance_and_position_are_what_they_say() -> None:
    monitor = FakeMonitor(1)
    view = monitor.views["BTCUSDT"]
    states = tuple(replace(s, emas=(102.0, 100.0)) if s.timeframe == 3_600 else s for s in view.timeframes)
    view = replace(view, timeframes=states, price=10.0, val=9.0, vah=11.0)
    assert ema_distance(view, 3_600) == pytest.approx(2.0)
    assert ema_distance(view, 7_200) is None
    assert value_position(view) == "in"
    assert value_position(replace(view, price=11.5)) == "hi"
    assert value_position(replace(view, price=8.5)) == "lo"
    assert value_position(replace(view, vah=None)) is None
