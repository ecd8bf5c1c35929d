from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from random import Random

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import candle

from tui_feeder.engine.analytics.profile.day_profile import profile_of
from tui_feeder.engine.analytics.profile.incremental import IncrementalValueArea
from tui_feeder.engine.analytics.profile.rows import point_of_control
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.value_area import value_area, value_area_of_many, value_area_of_runs
from tui_feeder.engine.core.candle import to_rows


def test_ties_of_the_point_of_control_go_to_the_higher_price() -> None:
    assert point_of_control(np.array([1.0, 5.0, 2.0, 5.0, 4.0])) == 3


@pytest.mark.parametrize(
    ("weights", "noise", "row"),
    [([1, 1.5, 1], 0.0, 1), ([1, 1.5, 1], 0.4, 1), ([1, 1.5, 1], 0.5, 2), ([2, 1.5, 0], 1.0, 1)],
)
def test_rows_within_noise_of_the_heaviest_are_as_heavy(weights: list[float], noise: float, row: int) -> None:
    assert point_of_control(np.array(weights), noise) == row


def test_decimal_ties_are_ties_although_floats_differ() -> None:
    # 0.1 + 0.2 at 100 against 0.3 at 102: equal in decimal, so the higher price wins.
    candles = [
        candle(0, 100, 100, 100, 100, 0.1),
        candle(1, 102, 102, 102, 102, 0.3),
        candle(2, 100, 100, 100, 100, 0.2),
    ]
    s = ProfileSettings(
        price_increment_mode="Fixed", fixed_price_increment=1.0, volume_distribution_mode="ClosingPrice"
    )
    made = profile_of(to_rows(candles), s)
    assert made is not None
    assert made.poc == 102
    assert made.weights.tolist() == [0.3, 0, 0.3]


def test_traditional_and_greedy_differ() -> None:
    weights = np.array([4.0, 4.0, 0.0, 10.0, 3.0, 1.0, 3.0])
    assert value_area(weights, 3, 13, 2)[:2] == (1, 3)  # 3 + 1 above against 0 + 4 below: a tie, so below
    assert value_area(weights, 3, 13, 1)[:2] == (3, 4)


def grown(weights: Sequence[float], poc: int, enough: float, step: int) -> tuple[int, int, float]:
    """The value area by its definition."""
    low = high = poc
    while sum(weights[low : high + 1]) < enough and (low > 0 or high < len(weights) - 1):
        above, below = weights[high + 1 : high + 1 + step], weights[max(0, low - step) : low]
        if above and (not below or sum(above) > sum(below)):
            high += len(above)
        else:
            low -= len(below)
    return low, high, sum(weights[low : high + 1])


SHARES = (0.0, 0.4, 0.7, 1.0, 1.5)


@pytest.mark.parametrize("step", [1, 2])
def test_the_area_of_any_five_rows_is_the_one_defined(step: int) -> None:
    for weights, poc, share in product(product((0.0, 1.0, 3.0), repeat=5), range(5), SHARES):
        enough = share * sum(weights)
        assert value_area(np.array(weights), poc, enough, step) == grown(weights, poc, enough, step)


@pytest.mark.parametrize("noise", [0.0, 0.25])
@pytest.mark.parametrize("step", [1, 2])
def test_sides_that_differ_by_less_than_noise_are_equal_and_the_lower_goes_first(
    step: int, noise: float
) -> None:
    weights = np.array([1.0, 1.0, 1.0, 5.0, 1.0 + 0.2 / step, 1.0, 1.0])
    runs = np.arange(8)
    sums = weights.sum(keepdims=True)
    wanted = (3 - step, 3) if noise else (3, 3 + step)
    assert value_area(weights, 3, 5.5, step, noise)[:2] == wanted
    assert value_area_of_many(weights, sums, 7, 3, 5.5, step, noise) == wanted
    assert value_area_of_runs(runs, weights, 3, 5.5, step, noise) == wanted


@pytest.mark.parametrize("block", [1, 2, 4])
@pytest.mark.parametrize("step", [1, 2])
def test_the_area_of_any_five_rows_in_blocks_is_the_one_defined(step: int, block: int) -> None:
    for weights, poc, share in product(product((0.0, 1.0, 3.0), repeat=5), range(5), SHARES):
        if not weights[poc]:
            continue
        padded = np.zeros(-(-5 // block) * block + 2 * block)
        padded[block : block + 5] = weights
        sums = padded.reshape(-1, block).sum(axis=1)
        low, high = value_area_of_many(padded, sums, block, block + poc, share * sum(weights), step)
        found = max(low - block, 0), min(high - block, 4)
        if share <= 1:
            assert found == grown(weights, poc, share * sum(weights), step)[:2]
        else:
            assert found == (0, 4)


@pytest.mark.parametrize("empty", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("block", [4, 16])
@pytest.mark.parametrize("step", [1, 2])
def test_the_area_of_many_rows_is_that_of_few_from_any_row(step: int, block: int, empty: float) -> None:
    """More rows than are looked at together, and those that weigh nothing between others."""
    random = np.random.default_rng(5)
    for size in (9, 14, 70):
        weights = random.integers(1, 9, size) * (random.random(size) >= empty).astype(float)
        padded = np.zeros(-(-size // block) * block + 2 * block)
        padded[block : block + size] = weights
        sums = padded.reshape(-1, block).sum(axis=1)
        for poc, share in product(range(size), (0.3, 0.7, 0.9, 0.99, 1.0)):
            enough = np.ceil(share * weights.sum())
            low, high = value_area_of_many(padded, sums, block, block + poc, enough, step)
            found = max(low - block, 0), min(high - block, size - 1)
            if weights[poc]:
                assert found == value_area(weights, poc, enough, step)[:2]


def test_a_pair_across_the_lowest_row_leaves_what_is_above_to_be_taken() -> None:
    weights = np.array([3.0, 5.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    padded = np.zeros(16)
    padded[4:11] = weights
    low, high = value_area_of_many(padded, padded.reshape(-1, 4).sum(axis=1), 4, 5, 11.0, 2)
    assert (max(low - 4, 0), min(high - 4, 6)) == value_area(weights, 1, 11.0, 2)[:2] == (0, 6)


@pytest.mark.parametrize("lengths", [(2, 1, 3, 1), (1, 2, 2, 3), (4, 1, 1, 5)])
@pytest.mark.parametrize("step", [1, 2])
def test_the_area_of_any_four_runs_is_the_one_defined(step: int, lengths: tuple[int, ...]) -> None:
    edges = np.cumsum([0, *lengths])
    for each, share in product(product((0.0, 1.0, 3.0), repeat=4), (None, *SHARES)):
        if not any(each):
            continue
        weights = np.repeat(each, lengths)
        poc = point_of_control(weights)
        enough = weights[poc] if share is None else share * weights.sum()
        low, high = value_area_of_runs(edges, np.array(each), poc, enough, step)
        assert (max(low, 0), min(high, len(weights) - 1)) == grown(weights.tolist(), poc, enough, step)[:2]


@given(
    st.lists(st.tuples(st.integers(0, 6) | st.just(0), st.sampled_from((0, 0, 0, 1, 3, 40))), min_size=1),
    st.integers(0, 10_000),
    st.sampled_from((1, 2)),
    st.integers(0, 100),
    st.sampled_from((1, 4, 64)),
)
@settings(max_examples=examples(1_000, share=8), deadline=None)
def test_the_value_area_of_many_rows_equals_that_of_few(
    parts: list[tuple[int, int]], poc: int, step: int, percent: int, block: int
) -> None:
    weights = np.array([w for count, gap in parts for w in (count, *[0] * gap)], dtype=np.float64)
    poc %= len(weights)
    weights[poc] += 1
    enough = weights.sum() * percent / 100
    before = poc % block + block
    padded = np.zeros(-(-(before + len(weights)) // block) * block + block)
    padded[before : before + len(weights)] = weights
    sums = padded.reshape(-1, block).sum(axis=1)
    low, high = value_area_of_many(padded, sums, block, before + poc, enough, step)
    found = max(low - before, 0), min(high - before, len(weights) - 1)
    assert found == value_area(weights, poc, enough, step)[:2]


@given(
    st.lists(st.tuples(st.integers(0, 6) | st.just(0), st.integers(1, 5)), min_size=1),
    st.sampled_from((1, 2)),
    st.integers(0, 100),
)
@settings(max_examples=examples(1_000, share=8), deadline=None)
def test_the_value_area_of_runs_equals_that_of_rows(
    runs: list[tuple[int, int]], step: int, percent: int
) -> None:
    each = np.array([weight for weight, _ in runs], dtype=np.float64)
    each[0] += 1
    weights = np.repeat(each, [length for _, length in runs])
    edges = np.cumsum([0, *(length for _, length in runs)])
    poc = point_of_control(weights)
    enough = weights.sum() * percent / 100
    low, high = value_area_of_runs(edges, each, poc, enough, step)
    assert (max(low, 0), min(high, len(weights) - 1)) == value_area(weights, poc, enough, step)[:2]


# --- kept from candle to candle ------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(-40, 40), st.sampled_from((0, 1, 1, 2, 3, 50))), max_size=4),
            st.integers(-3, 3),
        ),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from((1, 2)),
    st.sampled_from(((7, 10), (1, 100), (1, 1), (1, 2), (6827, 10_000))),
    st.sampled_from((1, 1, 3, 17)),
    st.integers(1, 4),
)
@settings(max_examples=examples(300), deadline=None)
def test_an_area_kept_while_rows_grow_is_the_one_made_from_nothing(
    growth: list[tuple[list[tuple[int, int]], int]],
    step: int,
    share: tuple[int, int],
    spread: int,
    every: int,
) -> None:
    kept = IncrementalValueArea(step, share)
    centre = 0
    for at, (parts, drift) in enumerate(growth):
        centre += drift
        for offset, weight in parts:
            kept.add((centre + offset) * spread, weight)
        if kept.total and at % every == 0:
            check_kept(kept, step, share)


@pytest.mark.parametrize("share", [(7, 10), (1, 100), (1, 1), (1, 2)])
@pytest.mark.parametrize("step", [1, 2])
def test_an_area_kept_through_long_drifting_days_is_the_one_made_from_nothing(
    step: int, share: tuple[int, int]
) -> None:
    for seed in range(examples(60)):
        random = Random(seed)
        kept = IncrementalValueArea(step, share)
        width, spread = random.choice((3, 8, 30, 200)), random.choice((1, 3, 17))
        most = random.choice((1, 3, 50))
        centre = 0
        for _ in range(random.choice((5, 40, 150))):
            centre += random.randint(-2, 2)
            for _ in range(3):
                kept.add((centre + random.randint(-width, width)) * spread, random.randint(0, most))
            if kept.total and random.random() < 0.8:
                check_kept(kept, step, share)


@pytest.mark.parametrize("share", [(7, 10), (9, 10), (1, 1), (1, 2)])
@pytest.mark.parametrize("step", [1, 2])
def test_an_area_kept_over_few_rows_with_gaps_is_the_one_made_from_nothing(
    step: int, share: tuple[int, int]
) -> None:
    """Also where the lowest row is the heaviest at first, so that nothing above is preceded from below."""
    for seed in range(examples(600)):
        random = Random(seed)
        rows = random.sample(range(random.choice((6, 12, 40))), 6)
        kept = IncrementalValueArea(step, share)
        for _ in range(random.choice((3, 12))):
            for _ in range(random.choice((1, 1, 3))):
                kept.add(random.choice(rows), random.choice((0, 1, 1, 2, 5)))
            if kept.total:
                check_kept(kept, step, share)
        again = IncrementalValueArea(step, share)
        again.load(dict(kept.weights))
        again.scale(10)
        if kept.total:
            assert again.settle() == (kept.settle()[0], kept.settle()[1] * 10)
            assert max(again.low, min(rows)) == max(kept.low, min(rows))
        again.load({3: 2, 5: 1})
        assert again.settle()[0] == 3
        again.add(5, 4)
        again.load({3: 2, 5: 1, 8: 7})
        assert again.settle()[0] == 8


def check_kept(kept: IncrementalValueArea, step: int, share: tuple[int, int]) -> None:
    poc, inside = kept.settle()
    first, last = kept.touched[0], kept.touched[-1]
    weights = np.zeros(last - first + 1)
    for row, weight in kept.weights.items():
        weights[row - first] = weight
    heaviest = point_of_control(weights)
    needs = -(-kept.total * share[0] // share[1])
    lowest, highest, held = value_area(weights, heaviest, needs, step)
    assert poc == first + heaviest
    assert max(kept.low, first) == first + lowest
    assert min(kept.high, last) == first + highest
    assert inside == int(held) >= needs


def test_a_long_climb_moves_the_point_of_control_and_comes_back_to_the_same_area() -> None:
    for step in (1, 2):
        kept = IncrementalValueArea(step, (7, 10))
        moved = set()
        for row in [*range(0, 900), *range(900, 200, -1), *range(200, 700, 3)]:
            kept.add(row, 1 + row % 7)
            moved.add(kept.settle()[0])
        again = IncrementalValueArea(step, (7, 10))
        again.load(dict(kept.weights))
        assert again.settle() == kept.settle()
        assert (again.low, again.high) == (kept.low, kept.high)
        assert len(moved) > 10
