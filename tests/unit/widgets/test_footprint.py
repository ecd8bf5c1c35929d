"""Footprints as they are painted: widths, signs, boxes, and what is known by price."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from screens import palette_of

from tui_feeder.monitor import FootprintBar, FootprintView
from tui_feeder.widgets.footprint import (
    BAR,
    FOOT,
    TALL_FOOT,
    cell_at,
    foot_names,
    imbalances,
    paint_footprint,
    top_row,
)

VOLUMES = st.one_of(st.just(0.0), st.floats(1e-8, 1e15))


def bar_of(
    bought: list[float], sold: list[float], poc: int = 0, share: float = 0.0, first: int = 0
) -> FootprintBar:
    return FootprintBar(0, first, tuple(bought), tuple(sold), poc, float(share == 1), share)


def text_of(bar: FootprintBar, top: int, rows: int, glyphs: str = "ascii") -> list[str]:
    view = FootprintView("BTCUSDT", 0.5, (bar,))
    return [strip.text for strip in paint_footprint(view, top, rows, palette_of(glyphs))[0]]


def test_a_cell_reads_bought_and_sold_with_the_heavier_side_and_the_poc_boxed() -> None:
    bar = bar_of([5.0, 20.0, 7.0], [6.0, 10.0, 7.0], poc=1)
    assert text_of(bar, 2, 3)[:3] == ["     7x7     ", "[   20^10   ]", "     5<6     "]


def test_an_imbalance_is_three_times_the_other_side_diagonally() -> None:
    bar = bar_of([1.0, 30.0, 2.0, 4.0], [10.0, 1.0, 6.0, 5.0])
    found = [cell_at(bar, row) for row in range(4)]
    assert [cell is not None and cell.buy_imbalance for cell in found] == [False, True, False, False]
    assert [cell is not None and cell.sell_imbalance for cell in found] == [False, False, False, False]
    sells = bar_of([1.0, 2.0], [6.0, 1.0])
    cell = cell_at(sells, 0)
    assert cell is not None
    assert cell.sell_imbalance
    assert text_of(sells, 1, 2)[1] == "[    1v6    ]"


def test_the_foot_counts_what_is_out_of_balance_and_sums_deltas_from_the_left() -> None:
    bar = bar_of([1.0, 30.0, 2.0, 4.0], [10.0, 1.0, 6.0, 5.0])
    other = bar_of([1.0, 2.0], [6.0, 1.0])
    assert imbalances(bar) == (1, 0)
    assert imbalances(other) == (0, 1)
    view = FootprintView("BTCUSDT", 0.5, (bar, other))
    first, second = paint_footprint(view, 3, 4, palette_of("ascii"), TALL_FOOT)
    assert [strip.text.strip() for strip in first[4:]] == ["+15", "+15", "59", "^1 v0", "~"]
    assert [strip.text.strip() for strip in second[4:]] == ["-4", "+11", "10", "^0 v1", "~"]
    assert {strip.cell_length for strip in (*first, *second)} == {BAR}
    assert len(foot_names(TALL_FOOT)) == TALL_FOOT
    assert len(foot_names(FOOT)) == FOOT


def test_at_the_edges_of_a_bar_nothing_is_out_of_balance() -> None:
    bar = bar_of([9.0], [0.0])
    cell = cell_at(bar, 0)
    assert cell is not None
    assert not cell.buy_imbalance
    assert not cell.sell_imbalance
    assert cell_at(bar, 1) is None
    assert cell_at(bar_of([0.0, 1.0], [0.0, 1.0]), 0) is None


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "exact"), (0.9999, "99 %"), (0.97, "97 %"), (0.004, "<1 %"), (0.0, "~")]
)
def test_each_bar_states_how_much_is_known(share: float, text: str) -> None:
    lines = text_of(bar_of([5.0, 1.0], [2.0, 1.0], share=share), 1, 2)
    assert [line.strip() for line in lines[2:]] == ["+3", "9", text]


@given(
    rows=st.lists(st.tuples(VOLUMES, VOLUMES), min_size=1, max_size=12),
    glyphs=st.sampled_from(["braille", "block", "ascii"]),
    top=st.integers(-3, 15),
)
def test_every_line_is_as_wide_as_a_bar(rows: list[tuple[float, float]], glyphs: str, top: int) -> None:
    bar = bar_of([b for b, _ in rows], [s for _, s in rows], poc=len(rows) // 2, share=0.5)
    lines = text_of(bar, top, 10, glyphs)
    assert len(lines) == 10 + FOOT
    assert {cell_len(line) for line in lines} == {BAR}


@pytest.mark.parametrize(
    ("rows", "price", "top"), [(20, None, 13 + 4), (6, None, 7 + 3), (6, 6.0, 13), (6, 1.0, 8), (6, 5.0, 13)]
)
def test_all_bars_are_in_sight_else_those_around_the_price(rows: int, price: float | None, top: int) -> None:
    bars = (bar_of([1.0] * 8, [1.0] * 8, first=3, poc=5), bar_of([1.0] * 8, [1.0] * 8, first=6, poc=7))
    assert top_row(FootprintView("BTCUSDT", 0.5, bars), rows, price) == top
