from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_reference import reference_row
from samples import MIDNIGHT, candle, walk

from tui_feeder.engine.analytics.profile.day_profile import LiveProfile, adaptive_increment, profile_of
from tui_feeder.engine.analytics.profile.increments import (
    auto_increment,
    hours_left,
    misfit,
    ranges_of,
    typical_range,
)
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, to_candles
from tui_feeder.price_grid import PriceGrid


@given(
    st.floats(1e-8, 1e6) | st.decimals(0, 10**6, places=8).map(float).filter(bool),
    st.sampled_from((0.1, 0.25, 0.0000025, 0.01, 1.0, 1e-8, 5e-7, 0.3, 2.5, 1e-10)),
)
@settings(max_examples=examples(500))
def test_rows_are_exact_decimals(price: float, increment: float) -> None:
    grid = PriceGrid(increment)
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
        assert PriceGrid(increment).index(price) == reference_row(price, Decimal(repr(increment)))
        assert PriceGrid(increment).indices(np.array([price]))[0] == reference_row(
            price, Decimal(repr(increment))
        )


def test_three_tenths_is_one_row() -> None:
    grid = PriceGrid(0.1)
    assert grid.index(0.1 + 0.2) == grid.index(0.3) == 3
    assert grid.price(3) == 0.3


@pytest.mark.parametrize("increment", [0.0, -1.0, float("inf"), float("nan")])
def test_a_grid_needs_a_positive_increment(increment: float) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        PriceGrid(increment)


@given(
    st.integers(-(10**6), 10**13),
    st.sampled_from([0.01, 0.05, 2.5e-7, 1e-8, 0.3, 25.0, 1e-12, 0.1, 1234.5678]),
    st.integers(1, 400),
)
def test_prices_of_many_rows_are_the_exact_decimals(first: int, increment: float, count: int) -> None:
    made = PriceGrid(increment).prices(first, count)
    exact = [float(Fraction(repr(increment)) * i) for i in range(first, first + count)]
    assert made.tolist() == exact


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
        (1.0, 0.03, 0.03),  # not finer than a tick
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


# --- increments that fit by themselves -----------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "typical", "tick", "increment"),
    [
        ("0", "100", None, "0.5"),  # a day begins with what the days before moved
        ("199", "100", None, "0.5"),
        ("200", "100", None, "0.5"),
        ("200.1", "100", None, "1"),  # twice over: at least double
        ("1000", "100", None, "5"),
        ("1", "100", None, "0.5"),  # a calm day keeps what it began with
        ("0", "99", None, "0.25"),
        ("0", "99", "0.1", "0.2"),  # 0.25 is no multiple of the tick
        ("0", "99", "0.03", "0.3"),  # no nice number is: 1, 2 or 5 x 10^k ticks
        ("0", "99", "5", "5"),  # ticks are coarser than what is wanted
        ("3000", "99", "5", "10"),
        ("0.0000003", "0.0000004", "0.0000001", "0.0000001"),
        ("3", "0", None, "0.01"),  # no day before: the day's own range
        ("3", "0", "0.25", "0.5"),  # 0.25 itself is no 1, 2 or 5
        ("0", "0", "0.1", "0.1"),
        ("0", "0", None, "0.1"),
        ("3450", "2200", "0.1", "10"),  # a dear coin
        ("100", "99", None, "0.25"),  # not more than twice
        ("0", "60", "0.01", "0.25"),  # a nice number and a multiple, though not 1, 2 or 5 ticks
    ],
)
def test_auto_increment(span: str, typical: str, tick: str | None, increment: str) -> None:
    s = ProfileSettings(tick_size=None if tick is None else float(tick))
    made = auto_increment(1000.0, float(Decimal(1000) + Decimal(span)), Decimal(typical), s)
    assert made == float(increment)


@given(
    st.decimals("0.0000001", 10**5, places=9).filter(bool),
    st.decimals(0, 4, places=3),
    st.sampled_from((None, 1e-8, 0.001, 0.1, 0.05, 0.03)),
    st.sampled_from((1, 10, 200, 999)),
)
def test_a_day_never_has_more_than_twice_the_rows_and_never_finer_ones_than_ticks(
    typical: Decimal, moved: Decimal, tick: float | None, levels: int
) -> None:
    s = ProfileSettings(tick_size=tick, target_price_levels=levels)
    high = float(1 + typical * moved)
    span = Decimal(repr(high)) - 1
    step = Decimal(repr(auto_increment(1.0, high, typical, s)))
    assert step * 2 * levels >= span
    if tick is not None:
        assert step % Decimal(repr(tick)) == 0
    wider = Decimal(repr(auto_increment(1.0, float(1 + 2 * span), typical, s)))
    assert wider >= step  # a day that moves on never gets finer rows
    if step > Decimal(repr(tick or 1e-30)):
        rows = max(typical, span) / step
        assert levels / 2 <= rows or step == Decimal(repr(tick)), (rows, step)


@pytest.mark.parametrize(
    ("span", "hours", "increment"),
    [
        ("1", 24, "0.5"),
        ("1", 12, "0.5"),  # 50 expected: half as many rows as wanted
        ("1", 11, "0.2"),  # 45.8: fewer
        ("60", 11, "0.5"),
        ("1", 5, "0.1"),  # 20.8
        ("22", 5, "0.1"),
        ("41", 5, "0.2"),  # it moves on after all
        ("51", 5, "0.5"),
        ("201", 5, "1"),
        ("1", 0, "0.005"),  # over: its own range
        ("0", 0, "0.5"),
    ],
)
def test_a_calm_day_gets_finer_rows_as_it_ends(span: str, hours: int, increment: str) -> None:
    high = float(Decimal(1000) + Decimal(span))
    made = auto_increment(1000.0, high, Decimal(100), ProfileSettings(), hours)
    assert made == float(increment)


@given(
    st.decimals("0.0000001", 10**5, places=9).filter(bool),
    st.decimals("0.001", 4, places=3),
    st.sampled_from((None, 1e-8, 0.001, 0.1, 0.05, 0.03)),
    st.sampled_from((10, 200, 999)),
)
def test_a_day_that_is_over_has_half_to_twice_the_rows_wanted(
    typical: Decimal, moved: Decimal, tick: float | None, levels: int
) -> None:
    high = float(1 + typical * moved)
    span = Decimal(repr(high)) - 1
    s = ProfileSettings(tick_size=tick, target_price_levels=levels)
    step = Decimal(repr(auto_increment(1.0, high, typical, s, 0)))
    assert span / step <= 2 * levels
    finest = tick is not None and step <= 10 * Decimal(repr(tick))
    assert not span or levels / 2 <= span / step or finest


def test_the_hours_left_are_those_that_have_not_begun() -> None:
    minutes = [(0, 23), (58, 23), (59, 23), (60, 22), (22 * 60 + 59, 1), (23 * 60, 0), (1_439, 0)]
    for minute, hours in minutes:
        assert hours_left(MIDNIGHT + minute * 60_000) == hours


@pytest.mark.parametrize(
    ("price", "tick"),
    [(0.0000152, "0.0000000001"), (0.005, "0.0000001"), (15, "0.001"), (3_000, "0.01"), (100_000, "0.1")],
)
def test_coins_of_every_price_have_about_as_many_rows_as_wanted(price: float, tick: str) -> None:
    rows = walk(9 * 1_440, seed=3, price=price, tick=tick)
    s = ProfileSettings(tick_size=float(tick))
    days = rows["open_time"] // DAY_MS * DAY_MS
    for n in range(9):
        day = MIDNIGHT + n * DAY_MS
        made = profile_of(rows[days == day], s, ranges_of(rows[days < day])[-7:])
        assert made is not None
        assert 100 <= len(made.weights) <= 401, (n, made.increment)


def test_rows_made_again_are_those_made_at_once_whatever_came_first() -> None:
    s = ProfileSettings(target_price_levels=10)
    rows = walk(3 * 1_440, seed=8)
    before = ranges_of(rows[:1_440])
    live = LiveProfile(s)
    live.load(rows[:0], before)
    seen = set()
    for one in to_candles(rows[1_440:]):
        live.add(one)
        seen.add(live.figures().increment)
    assert len(seen) > 1
    assert live.before == ranges_of(rows[: 2 * 1_440])
    today = rows[2 * 1_440 :]
    whole = profile_of(today, s, ranges_of(rows[: 2 * 1_440]))
    assert whole is not None
    assert whole.weights.tobytes() == live.profile().weights.tobytes()


# --- stated increments that do not fit -----------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "low", "high", "typical", "expected"),
    [
        ({"fixed_price_increment": 0.01}, 0.0049, 0.0051, "0.0002", ("fixed_price_increment", 1, 1e-6)),
        ({"fixed_price_increment": 0.01}, 0.0049, 0.0051, "0", ("fixed_price_increment", 1, 5e-7)),
        ({"fixed_price_increment": 0.01}, 99_000.0, 99_100.0, "3450", ("fixed_price_increment", 345_001, 10)),
        ({"fixed_price_increment": 0.01}, 15.0, 15.1, "1", None),
        ({"fixed_price_increment": 0.01}, 15.0, 15.1, "0.2", None),  # 20 rows are enough
        ({"fixed_price_increment": 0.01}, 15.0, 15.1, "0.19", ("fixed_price_increment", 20, 5e-4)),
        ({"fixed_price_increment": 0.01}, 900.0, 901.0, "199.99", None),  # 20,000 are not too many
        ({"fixed_price_increment": 0.01}, 900.0, 901.0, "200", ("fixed_price_increment", 20_001, 1)),
        # What fits is what days usually are, however far this one has moved.
        ({"fixed_price_increment": 0.01}, 95_000.0, 99_000.0, "300", ("fixed_price_increment", 30_001, 1)),
        ({"fixed_price_increment": 0.01}, 15.0, 15.0, "0", None),  # not to be told yet
        ({"fixed_price_increment": 0.1, "tick_size": 0.1}, 1.0, 1.2, "0.5", None),  # ticks are no finer
        ({"mode": "Adaptive"}, 0.0049, 0.0051, "0.0002", ("min_price_increment", 1, 1e-6)),
        ({"mode": "Adaptive"}, 99_000.0, 99_100.0, "3450", None),  # 3,450 rows
        ({"mode": "Adaptive"}, 99_000.0, 99_100.0, "34500", ("max_price_increment", 34_501, 100)),
        ({"mode": "Adaptive", "target_price_levels": 30_000}, 99_000.0, 99_100.0, "3000", None),  # as wanted
        ({"mode": "Auto"}, 0.0049, 0.0051, "0.0002", None),
    ],
)
def test_an_increment_that_does_not_fit_is_found_with_one_that_would(
    stated: dict[str, Any], low: float, high: float, typical: str, expected: tuple[str, int, float] | None
) -> None:
    mode = stated.pop("mode", "Fixed")
    found = misfit(low, high, Decimal(typical), ProfileSettings(price_increment_mode=mode, **stated))
    assert (None if found is None else (found.key, found.rows, found.fits)) == expected


@pytest.mark.parametrize(
    ("price", "increment"), [(0.0000123, 1e-9), (15.0, 0.001), (15.25, 0.001), (0.00123456789, 1e-11)]
)
def test_of_a_day_of_one_price_rows_hold_it_exactly(price: float, increment: float) -> None:
    assert auto_increment(price, price, Decimal(0), ProfileSettings()) == increment


def test_the_range_of_a_day_has_all_its_minutes() -> None:
    rows = walk(
        3 * 1_440, start=MIDNIGHT + DAY_MS - 120_000
    )  # two minutes, two days, and all but two minutes
    rows["high"][[0, 1_441, -1]] = 900.0
    rows["low"][[0, 1_441, -1]] = 0.5
    days = rows["open_time"] // DAY_MS * DAY_MS
    expected = [
        (day, int((days == day).sum()), rows["low"][days == day].min(), rows["high"][days == day].max())
        for day in sorted(set(days.tolist()))
    ]
    assert [(one.day, one.minutes, one.low, one.high) for one in ranges_of(rows)] == expected
    assert len(expected) == 4
    assert ranges_of(rows[:0]) == ()


def test_the_typical_range_is_the_median_of_the_days_that_have_minutes() -> None:
    rows = walk(6 * 1_440)
    few = rows[(rows["open_time"] // DAY_MS - MIDNIGHT // DAY_MS) % 2 == 0]  # three days
    spans = sorted(Decimal(repr(one.high)) - Decimal(repr(one.low)) for one in ranges_of(few))
    assert len(spans) == 3
    assert typical_range(ranges_of(few)) == spans[1]
    assert typical_range(()) == 0
