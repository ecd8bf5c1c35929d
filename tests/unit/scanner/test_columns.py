from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.scanner.column_fit import fitting, shared_out


@dataclass(frozen=True)
class Sized:
    key: str
    width: int


tables = st.lists(st.integers(1, 20), min_size=1, max_size=12).map(
    lambda widths: [Sized(f"c{i}", width) for i, width in enumerate(widths)]
)


@given(tables, st.integers(0, 200), st.lists(st.sampled_from([f"c{i}" for i in range(14)]), max_size=2))
def test_what_is_shown_fits_and_is_shown_at_every_larger_width(
    table: list[Sized], width: int, kept: list[str]
) -> None:
    shown = fitting(table, width, kept)
    widths = {column.key: column.width for column in table}
    assert sum(widths[key] for key in shown) <= max(width, table[0].width)
    assert table[0].key in shown
    assert shown <= fitting(table, width + 1, kept)
    first = next((key for key in kept if key in widths), None)
    if first is not None and table[0].width + widths[first] <= width:
        assert first in shown


@given(tables, st.integers(0, 200), st.lists(st.sampled_from([f"c{i}" for i in range(12)]), max_size=2))
def test_nothing_is_shown_while_something_worth_more_is_not(
    table: list[Sized], width: int, kept: list[str]
) -> None:
    shown = fitting(table, width, kept)
    by_worth = [column.key in shown for column in table if column.key not in kept]
    assert by_worth == sorted(by_worth, reverse=True)


def test_no_columns_are_none() -> None:
    assert fitting([], 80, []) == set()


@given(st.integers(0, 50), st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=6))
def test_spare_cells_are_given_in_order_and_never_more_than_there_are(
    spare: int, wishes: list[tuple[str, int]]
) -> None:
    given_out = shared_out(spare, wishes)
    assert sum(given_out.values()) == min(spare, sum(cells for _, cells in wishes))
    for key, cells in given_out.items():
        assert 0 < cells <= sum(wish for wished, wish in wishes if wished == key)
