from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_reference import reference_row
from samples import candle

from tui_feeder.engine.decimals import Grid
from tui_feeder.engine.profile import LiveProfile, ProfileSettings, adaptive_increment


@given(
    st.floats(1e-8, 1e6) | st.decimals(0, 10**6, places=8).map(float).filter(bool),
    st.sampled_from((0.1, 0.25, 0.0000025, 0.01, 1.0, 1e-8, 5e-7, 0.3, 2.5, 1e-10)),
)
@settings(max_examples=500)
def test_rows_are_exact_decimals(price: float, increment: float) -> None:
    grid = Grid(increment)
    row = reference_row(price, Decimal(repr(increment)))
    assert grid.index(price) == row
    if row < 2**62:
        assert grid.indices(np.array([price, price])).tolist() == [row, row]
    assert grid.price(row) == float(Decimal(row) * Decimal(repr(increment)))


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(-8, 0)), min_size=1, max_size=50))
def test_rows_at_half_way_go_to_the_even_row(prices: list[tuple[int, int]]) -> None:
    for units, exponent in prices:
        increment = float(Decimal(2).scaleb(exponent))
        price = float(Decimal(units).scaleb(exponent))  # every odd one lies half-way
        assert Grid(increment).index(price) == reference_row(price, Decimal(repr(increment)))
        assert Grid(increment).indices(np.array([price]))[0] == reference_row(price, Decimal(repr(increment)))


def test_three_tenths_is_one_row() -> None:
    grid = Grid(0.1)
    assert grid.index(0.1 + 0.2) == grid.index(0.3) == 3
    assert grid.price(3) == 0.3


@pytest.mark.parametrize("increment", [0.0, -1.0, float("inf"), float("nan")])
def test_a_grid_needs_a_positive_increment(increment: float) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        Grid(increment)


# --- adaptive increments -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "tick", "increment"),
    [
        (100.0, None, 0.5),
        (100.1, None, 1.0),
        (45.0, None, 0.25),
        (45.0, 0.1, 0.5),  # 0.25 is no multiple of the tick
        (45.0, 0.05, 0.25),
        (0.0, 0.1, 0.1),
        (0.0, None, 0.001),  # the least allowed
        (1e9, None, 1e6),  # the most allowed
        (100.0, 0.03, 0.6),  # no nice number is a multiple: 20 ticks
    ],
)
def test_adaptive_increment(span: float, tick: float | None, increment: float) -> None:
    s = ProfileSettings(price_increment_mode="Adaptive", max_price_increment=1e6, tick_size=tick)
    assert adaptive_increment(1000.0, 1000.0 + span, s) == increment


def test_adaptive_rows_are_made_again_when_the_range_outgrows_them() -> None:
    s = ProfileSettings(price_increment_mode="Adaptive", target_price_levels=10, max_price_increment=100.0)
    live = LiveProfile(s)
    seen = []
    for i, high in enumerate((10.5, 11.0, 20.0, 60.0)):
        live.add(candle(i, 10, high, 10, 10, 8))
        made = live.profile()
        assert made is not None
        seen.append(made.increment)
        assert float(made.weights.sum()) == 8 * (i + 1)
    assert seen == [0.05, 0.1, 1.0, 5.0]
