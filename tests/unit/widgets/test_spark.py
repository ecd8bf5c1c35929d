"""Sparklines of several rows, and values brought to fewer cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.widgets.spark import pooled, tall_spark

STEPS = "▁▂▃▄▅▆▇█"


def test_bars_stand_on_0_and_the_greatest_fills_every_row() -> None:
    assert tall_spark([0.0, 4.0, 8.0, None, 0.01], 6, 2, STEPS) == ["   █  ", "  ██ ▁"]
    assert tall_spark([], 3, 2, STEPS) == ["   ", "   "]
    assert tall_spark([0.0], 2, 1, STEPS) == ["  "]


def test_the_worst_of_the_values_that_share_a_cell_is_shown() -> None:
    values = [1.0, 9.0, None, None, 2.0, 1.0]
    assert pooled(values, 3, max) == [9.0, None, 2.0]
    assert pooled(values, 3, min) == [1.0, None, 1.0]
    assert pooled(values, 10, max) == values
    assert pooled([], 3, max) == []


@given(
    values=st.lists(st.none() | st.floats(0, 1e9), max_size=70),
    width=st.integers(1, 130),
    rows=st.integers(1, 6),
    steps=st.sampled_from([STEPS, "_#"]),
)
def test_a_spark_has_exactly_its_cells_and_the_greatest_is_highest(
    values: list[float | None], width: int, rows: int, steps: str
) -> None:
    drawn = tall_spark(pooled(values, width, max), width, rows, steps)
    assert [len(line) for line in drawn] == [width] * rows
    most = max((value for value in values if value is not None), default=0.0)
    assert (drawn[0].strip() != "") == (most > 0)


@pytest.mark.parametrize("rows", [1, 3])
def test_every_value_above_0_is_seen(rows: int) -> None:
    assert tall_spark([1e-9, 1.0], 2, rows, STEPS)[-1] == "▁█"
