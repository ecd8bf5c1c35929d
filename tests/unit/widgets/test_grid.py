from __future__ import annotations

import random
from dataclasses import replace

import pytest
from examples import examples
from fake_monitor import INDICATORS, TIMEFRAMES, FakeMonitor, with_troubles
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tui_feeder.monitor import SymbolState, SymbolView
from tui_feeder.scanner.fields import Subject, field_table
from tui_feeder.scanner.measures import alignment
from tui_feeder.scanner.watchlists import UserLists
from tui_feeder.widgets.overview_columns import (
    WORTH,
    CellContext,
    ColumnNeeds,
    columns_for,
    full_width,
    longest_name,
)
from tui_feeder.widgets.overview_grid import Grid, SortKey, sort_keys
from tui_feeder.widgets.palette import GLYPHS, Role

NEEDS = ColumnNeeds(TIMEFRAMES, INDICATORS, 3_600)


def grid_of(monitor: FakeMonitor, width: int = 80) -> Grid:
    grid = Grid()
    grid.set_columns(columns_for(width, NEEDS))
    grid.update(monitor.snapshot())
    return grid


def context_of(monitor: FakeMonitor, glyphs: str = "braille") -> CellContext:
    return CellContext(GLYPHS[glyphs], 3_600, monitor.now)


def lines_of(grid: Grid, monitor: FakeMonitor, height: int = 30) -> list[str]:
    return ["".join(text for text, _, _ in row) for row in grid.rows(height, context_of(monitor))]


MANY = (60, 180, 300, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)
fields = st.sampled_from(sorted(field_table(TIMEFRAMES, INDICATORS)))
needed = st.builds(
    ColumnNeeds, st.sampled_from([(), (60,), TIMEFRAMES, MANY]),
    st.sampled_from([INDICATORS, INDICATORS[:1], ()]),
    st.just(3_600), st.integers(4, 20), st.lists(fields, max_size=2).map(tuple), st.booleans(),
)  # fmt: skip


@given(st.integers(30, 240), needed)
@settings(max_examples=examples(200), deadline=None)
def test_columns_fill_every_width_exactly_and_wider_never_shows_less(width: int, needs: ColumnNeeds) -> None:
    columns = columns_for(width, needs)
    assert sum(column.width for column in columns) == width
    keys = {column.key for column in columns}
    assert len(keys) == len(columns)
    assert keys <= {column.key for column in columns_for(width + 1, needs)}
    symbol = columns[1]
    assert (symbol.key, symbol.width >= needs.names) == ("symbol", True)  # a name is never cut
    if width >= 80 and not needs.sorted_by and needs.timeframes == TIMEFRAMES and needs.names <= 12:
        assert {"price", "1m", "24h", "vol", "align", "age"} <= keys
    by_worth = sorted(
        (c for c in columns_for(2_000, needs)[2:] if not needs.sorted_by),
        key=lambda column: WORTH.index(
            "indicator" if column.key.startswith("ema.") else column.key.split(".")[0]
        ),
    )
    shown = [column.key in keys for column in by_worth if not column.key.startswith("trend.")]
    assert shown == sorted(shown, reverse=True) or "trend" in "".join(keys)


@given(st.integers(60, 240), fields, st.integers(8, 14))
@settings(deadline=None)
def test_the_column_sorted_by_is_always_there_and_marked(width: int, field: str, names: int) -> None:
    monitor = FakeMonitor(3)
    grid = grid_of(monitor, width)
    grid.sort_by(field)
    grid.set_columns(columns_for(width, ColumnNeeds(TIMEFRAMES, INDICATORS, 3_600, names, (field,))))
    headings = "".join(text for text, _ in grid.headings(GLYPHS["braille"]))
    assert cell_len(headings) == width
    assert sum(headings.count(mark) for mark in "▾▴") == 1, (field, headings)


def test_the_mark_of_the_order_takes_no_blank_of_a_heading() -> None:
    monitor = FakeMonitor(3)
    grid = grid_of(monitor, 160)
    grid.sort_by("24h")
    grid.then_by("ema.1h")
    headings = "".join(text for text, _ in grid.headings(GLYPHS["braille"]))
    assert "▾24h%" in headings
    assert "▿E21-89 1h" in headings
    assert "LAST 24h" in headings
    grid.reverse_sort()
    headings = "".join(text for text, _ in grid.headings(GLYPHS["ascii"]))
    assert "^24h%" in headings
    assert "'E21-89 1h" in headings


def test_what_80_columns_show() -> None:
    keys = [column.key for column in columns_for(80, NEEDS)]
    assert keys == [
        "mark", "symbol", "price", "1m", "24h", "vol", "align", "trend.1m", "trend.5m", "trend.15m",
        "trend.1h", "trend.4h", "va", "from(poc)", "age",
    ]  # fmt: skip
    assert [column.key for column in columns_for(45, NEEDS)] == [
        "mark", "symbol", "price", "1m", "24h", "align",
    ]  # fmt: skip
    everything = {column.key for column in columns_for(full_width(NEEDS), replace(NEEDS, more=False))}
    assert everything >= {"relvol", "range", "held", "from(vah)", "from(val)", "from(vwap)", "gaps", "spark"}
    assert longest_name(["BTCUSDT", "币安人生USDT"]) == 12
    assert longest_name([]) == 8


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
    (row,) = grid_of(monitor, 150).rows(5, context_of(monitor))
    texts = {column.key: text.strip() for column, (text, _, _) in zip(
        grid_of(monitor, 150).columns, row, strict=True)}  # fmt: skip
    assert texts.pop("gaps") == "0"  # none is missing of what is wanted so far
    assert "0" not in "".join(texts.values())
    assert set(texts.values()) == {"▸", "NEWUSDT", "–", "?", "warmup~", ""}
    assert texts["spark"] == ""


def test_selection_stays_with_its_symbol_under_every_order_and_prices_that_move() -> None:
    monitor = FakeMonitor(40)
    grid = grid_of(monitor)
    grid.move(17)
    chosen = grid.selected
    generator = random.Random(3)
    for field in grid.fields:
        grid.sort_by(field)
        for name in monitor.views:
            monitor.change(name, price=generator.uniform(1, 1000), change_1m=generator.gauss(0, 1))
        grid.update(monitor.snapshot())
        assert grid.selected == chosen
        assert [view.symbol for view in grid.window(9)] == grid.order[:9]  # what was asked for is in sight
        grid.reverse_sort()
        assert grid.selected == chosen


def test_after_another_order_the_first_rows_are_in_sight_and_a_move_selects_among_them() -> None:
    monitor = FakeMonitor(40)
    grid = grid_of(monitor)
    grid.move(17)
    chosen = grid.selected
    grid.sort_by("name")
    assert [view.symbol for view in grid.window(9)] == grid.order[:9]
    assert grid.selected == chosen
    grid.update(monitor.snapshot())  # prices move on: the rows in sight stay the first
    assert [view.symbol for view in grid.window(9)] == grid.order[:9]
    grid.move(1)
    assert grid.selected == grid.order[0]
    grid.move(1)
    assert grid.selected == grid.order[1]
    grid.select(chosen or "")
    assert chosen in [view.symbol for view in grid.window(9)]
    grid.sort_by("name")
    grid.window(9)
    grid.move(100_000)
    assert grid.selected == grid.order[-1]
    assert grid.selected in [view.symbol for view in grid.window(9)]


def test_the_window_follows_the_selection_down_and_up_no_further_than_it_must() -> None:
    grid = grid_of(FakeMonitor(40))

    def seen(height: int = 9) -> tuple[int, str]:
        shown = [view.symbol for view in grid.window(height)]
        assert shown == grid.order[grid.top : grid.top + height]
        assert grid.selected in shown
        return grid.top, grid.place

    assert seen() == (0, "1-9 of 40")
    grid.move(8)
    assert seen()[0] == 0
    grid.move(1)
    assert seen() == (1, "2-10 of 40")
    grid.move(100)
    assert seen() == (31, "32-40 of 40")
    grid.move(-8)
    assert seen()[0] == 31  # the first row in sight
    grid.move(-1)
    assert seen() == (30, "31-39 of 40")
    grid.select(grid.order[3])
    assert seen() == (3, "4-12 of 40")
    assert seen(4) == (3, "4-7 of 40")
    grid.move(3)
    assert seen(4)[0] == 3
    assert seen(2)[0] == 5  # a lower terminal
    assert seen(40) == (0, "")
    grid.move(-100)
    assert seen()[0] == 0


def test_rows_follow_the_sorted_field_with_the_unknown_last_whatever_columns_there_are() -> None:
    monitor = FakeMonitor(12)
    monitor.change("ETHUSDT", price=None)
    grid = grid_of(monitor)
    grid.set_columns(grid.columns[:2])
    grid.sort_by("price")
    prices = [monitor.views[symbol].price for symbol in grid.order]
    assert prices[-1] is None
    known = [price for price in prices if price is not None]
    assert known == sorted(known, reverse=True)
    grid.reverse_sort()
    assert grid.order[-1] == "ETHUSDT"
    assert monitor.views[grid.order[0]].price == min(known)


def test_a_second_key_orders_those_that_are_equal() -> None:
    monitor = FakeMonitor(40)
    grid = grid_of(monitor)
    grid.sort_by("align")
    grid.then_by("vol")
    scores = [alignment(monitor.views[name]).score for name in grid.order]
    assert scores == sorted(scores, reverse=True)
    for score in set(scores):
        volumes = [
            monitor.views[n].volume_24h or 0 for n, s in zip(grid.order, scores, strict=True) if s == score
        ]
        assert volumes == sorted(volumes, reverse=True)
    grid.then_by("vol")  # once more: the other way round
    assert [key.text for key in grid.sort] == ["align", "-vol"]
    grid.sort_by("align")
    assert [key.text for key in grid.sort] == ["-align", "-vol"]
    grid.sort_by("name")
    assert grid.order == sorted(grid.order)
    grid.sort_by("")
    assert grid.order == list(monitor.views)
    assert sort_keys(["vol", "-name", "age"]) == (SortKey("vol"), SortKey("name", True))


def test_pinned_symbols_stand_first_in_every_order() -> None:
    monitor = FakeMonitor(12)
    grid = grid_of(monitor)
    grid.set_lists(UserLists(pins=("XECUSDT", "LINKUSDT", "GONEUSDT"), notes={"BTCUSDT": "x"}))
    assert grid.order[:3] == ["LINKUSDT", "XECUSDT", "BTCUSDT"]
    grid.sort_by("price")
    assert grid.order[:2] == ["LINKUSDT", "XECUSDT"]
    grid.reverse_sort()
    assert grid.order[:2] == ["XECUSDT", "LINKUSDT"]
    marks = {view.symbol: row[0][0][1] for view, row in zip(
        grid.window(12), grid.rows(12, context_of(monitor)), strict=True)}  # fmt: skip
    assert marks["XECUSDT"] == "◆"
    assert marks["BTCUSDT"] == "≡"
    assert marks["ETHUSDT"] == " "
    assert grid.set_filter("pinned or noted") is None
    assert set(grid.order) == {"XECUSDT", "LINKUSDT", "BTCUSDT"}


def test_rows_do_not_jump_until_a_sort_is_due() -> None:
    monitor = FakeMonitor(12)
    grid = grid_of(monitor)
    grid.sort_by("price")
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
    fault = grid.set_filter("[")
    assert fault is not None
    assert "unterminated" in fault
    assert grid.pattern == "人生"
    grid.set_filter("")
    assert len(grid.order) == 20


def test_only_rows_in_view_are_formatted_and_only_when_they_change() -> None:
    monitor = FakeMonitor(60)
    grid = Grid()
    formatted: list[str] = []
    columns = list(columns_for(80, NEEDS))
    price = columns[2]

    def counted(subject: Subject, context: CellContext) -> tuple[str, Role]:
        formatted.append(subject.view.symbol)
        return price.cell(subject, context)

    columns[2] = replace(price, cell=counted)
    grid.set_columns(tuple(columns))
    grid.update(monitor.snapshot())
    grid.move(40)
    grid.rows(20, context_of(monitor))
    assert len(formatted) == 20
    monitor.change(formatted[4], price=5.0)
    monitor.change("BTCUSDT", price=5.0)  # out of sight
    grid.update(monitor.snapshot())
    grid.rows(20, context_of(monitor))
    assert formatted[20:] == [formatted[4]]


def test_a_row_that_stays_the_same_is_the_same_list_and_changed_cells_are_those_of_a_new_row() -> None:
    monitor = with_troubles(FakeMonitor(12))
    grid = grid_of(monitor, 160)
    context = context_of(monitor)
    before = grid.rows(12, context)
    monitor.change("ETHUSDT", price=2_900.0, change_24h=-9.5, timeframes=(), poc=1.0, missing_minutes=7)
    monitor.change("XRPUSDT", state=SymbolState.STALE)
    grid.update(monitor.snapshot())
    after = grid.rows(12, context)
    assert [row for row in range(12) if after[row] is not before[row]] == [1, 4]
    fresh = grid_of(monitor, 160)
    assert after == fresh.rows(12, context)
    later = replace(context, now=context.now + 60_000)
    grid.move(1)
    assert grid.rows(12, later)[2:] == grid_of(monitor, 160).rows(12, later)[2:]


def test_trends_and_marks_say_what_they_rest_on() -> None:
    monitor = with_troubles(FakeMonitor(12))
    states = list(monitor.views["BTCUSDT"].timeframes)
    states[0] = replace(states[0], trend="Buy", warming=True)
    states[1] = replace(states[1], trend="Sell", minutes_lacking=2)
    states[2] = replace(states[2], trend="Neutral")
    states[3] = replace(states[3], trend=None)
    monitor.change("BTCUSDT", timeframes=tuple(states))
    row = grid_of(monitor).rows(12, context_of(monitor))[0]
    assert [text.strip() for text, _, _ in row[7:11]] == ["▲~", "▼*", "■", "?"]


def test_late_and_stale_symbols_are_marked_and_stale_values_fade() -> None:
    monitor = with_troubles(FakeMonitor(12))
    rows = grid_of(monitor).rows(12, context_of(monitor))
    late, stale, fine = rows[2], rows[5], rows[10]
    assert (late[-1][0].strip(), late[-1][1]) == ("4.1!", Role.WARN)
    assert (stale[-1][0].strip(), stale[-1][1]) == ("200!", Role.WARN)
    assert {role for _, role, _ in stale[1:-1]} == {Role.MUTED}
    assert "!" not in fine[-1][0]


def test_history_that_is_being_read_stands_where_its_values_will_be() -> None:
    monitor = with_troubles(FakeMonitor(12))
    line = lines_of(grid_of(monitor), monitor)[3]
    assert "█" in line
    assert "68% 1m20s" in line
    line = lines_of(grid_of(monitor, 120), monitor)[3]
    assert "68% monthly files 1m20s" in line
    assert "612.40" in line
