from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span

Intervals = list[tuple[int, int]]

minutes = st.integers(0, 60)
intervals: st.SearchStrategy[Intervals] = st.lists(
    st.tuples(minutes, minutes).map(lambda pair: (min(pair), max(pair))), max_size=12
)


def of(raw: Intervals) -> Coverage:
    return Coverage((a * MINUTE_MS, b * MINUTE_MS) for a, b in raw)


def plain(raw: Intervals) -> set[int]:
    return {minute for a, b in raw for minute in range(a, b)}


def minutes_of(coverage: Coverage) -> set[int]:
    return {minute // MINUTE_MS for a, b in coverage for minute in range(a, b, MINUTE_MS)}


def from_set(wanted: Iterable[int]) -> Coverage:
    return Coverage((m * MINUTE_MS, (m + 1) * MINUTE_MS) for m in wanted)


def assert_canonical(coverage: Coverage) -> None:
    assert all(a < b for a, b in coverage)
    assert all(x[1] < y[0] for x, y in zip(coverage.intervals, coverage.intervals[1:], strict=False))
    assert coverage == from_set(minutes_of(coverage))
    assert hash(coverage) == hash(from_set(minutes_of(coverage)))


@given(intervals)
def test_intervals_in_any_order_and_overlap_make_the_same_set_of_minutes(raw: Intervals) -> None:
    coverage = of(raw)
    assert minutes_of(coverage) == plain(raw)
    assert_canonical(coverage)
    assert coverage.minutes == len(plain(raw))
    assert bool(coverage) == bool(plain(raw))
    assert coverage == of(raw[::-1])


@given(intervals, intervals)
def test_set_operations_agree_with_plain_sets(left: Intervals, right: Intervals) -> None:
    a, b, x, y = of(left), of(right), plain(left), plain(right)
    for made, wanted in (
        (a.union(b), x | y),
        (a.subtract(b), x - y),
        (a.intersect(b), x & y),
    ):
        assert minutes_of(made) == wanted
        assert_canonical(made)


@given(intervals, minutes, minutes)
def test_clip_and_missing_agree_with_plain_sets_even_when_the_bounds_are_swapped(
    raw: Intervals, start: int, end: int
) -> None:
    coverage, window = of(raw), set(range(start, end))
    inside = coverage.clip(start * MINUTE_MS, end * MINUTE_MS)
    missing = coverage.missing(start * MINUTE_MS, end * MINUTE_MS)
    assert minutes_of(inside) == plain(raw) & window
    assert minutes_of(missing) == window - plain(raw)
    assert_canonical(inside)
    assert_canonical(missing)


@given(intervals, st.integers(0, 60 * MINUTE_MS), st.integers(0, 60 * MINUTE_MS))
def test_clip_between_minutes_keeps_only_minutes_that_lie_wholly_inside(
    raw: Intervals, start: int, end: int
) -> None:
    inside = of(raw).clip(start, end)
    wanted = {m for m in plain(raw) if start <= m * MINUTE_MS and (m + 1) * MINUTE_MS <= end}
    assert minutes_of(inside) == wanted
    assert_canonical(inside)


@given(st.sets(minutes))
def test_times_become_the_minutes_that_begin_there(wanted: set[int]) -> None:
    times = np.array(sorted(wanted), dtype=np.int64) * MINUTE_MS
    coverage = Coverage.of_times(times)
    assert minutes_of(coverage) == wanted
    assert_canonical(coverage)
    assert Coverage.of_times(np.repeat(times, 2)) == coverage


@given(intervals, st.integers(-1, 61 * MINUTE_MS))
def test_an_instant_is_in_the_set_when_its_minute_is(raw: Intervals, instant: int) -> None:
    assert (instant in of(raw)) == (instant // MINUTE_MS in plain(raw))


@given(st.lists(minutes, max_size=40))
def test_minute_after_minute_gives_the_same_set_as_all_at_once(order: list[int]) -> None:
    grown = EMPTY
    for minute in order:
        grown = grown.union(span(minute * MINUTE_MS, (minute + 1) * MINUTE_MS))
    assert grown == from_set(order)


def subsets(size: int) -> list[tuple[set[int], Coverage]]:
    """Every set of the first few minutes."""
    chosen = [{minute for minute in range(size) if bits >> minute & 1} for bits in range(1 << size)]
    return [(wanted, from_set(wanted)) for wanted in chosen]


def test_operations_on_any_two_sets_of_six_minutes() -> None:
    for (x, a), (y, b) in product(subsets(6), repeat=2):
        assert a.union(b) == from_set(x | y)
        assert a.subtract(b) == from_set(x - y)
        assert a.intersect(b) == from_set(x & y)
        assert (a == b) == (x == y)


def test_ranges_and_instants_of_any_set_of_six_minutes() -> None:
    for wanted, coverage in subsets(6):
        assert coverage.minutes == len(wanted)
        assert isinstance(coverage.minutes, int)
        for instant in range(-30_000, 7 * MINUTE_MS, 30_000):
            assert (instant in coverage) == (instant // MINUTE_MS in wanted)
        for start, end in product(range(-1, 8), repeat=2):
            inside = wanted & set(range(start, end))
            assert coverage.clip(start * MINUTE_MS, end * MINUTE_MS) == from_set(inside)
            missing = set(range(start, end)) - wanted
            assert coverage.missing(start * MINUTE_MS, end * MINUTE_MS) == from_set(missing)


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_parts_are_full_but_the_last_and_together_the_set_in_order_of_time(most: int) -> None:
    for wanted, coverage in subsets(9):
        ordered = sorted(wanted)
        parts = [sorted(minutes_of(part)) for part in coverage.parts(most)]
        assert parts == [ordered[at : at + most] for at in range(0, len(ordered), most)]


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_the_shortest_holes_are_filled_until_few_enough_intervals_are_left(most: int) -> None:
    for wanted, coverage in subsets(9):
        coarse = coverage.coarse(most)
        assert len(coarse) == min(len(coverage), most)
        holes = coverage.missing(coverage.start, coverage.end) if wanted else EMPTY
        filled = sorted((b - a, a, b) for a, b in holes)[: len(coverage) - len(coarse)]
        assert coarse == coverage.union(Coverage((a, b) for _, a, b in filled))


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_the_longest_intervals_are_kept_and_of_equal_ones_the_later(most: int) -> None:
    for _, coverage in subsets(9):
        kept = coverage.longest(most)
        assert list(kept) == sorted(sorted(coverage, key=lambda part: (part[1] - part[0], part[0]))[-most:])


@pytest.mark.parametrize("bad", [(0, 1), (30_000, 60_000), (120_000, 60_000)])
def test_what_is_not_an_interval_of_whole_minutes_is_refused(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="not an interval of whole minutes"):
        Coverage([bad])


@pytest.mark.parametrize("bad", [[60_000, 0], [0, 30_000], [0, 120_000, 60_000]])
def test_times_that_are_unsorted_or_between_minutes_are_refused(bad: list[int]) -> None:
    with pytest.raises(ValueError, match="not sorted whole minutes"):
        Coverage.of_times(np.array(bad, dtype=np.int64))


def test_a_span_that_ends_before_it_starts_is_empty() -> None:
    assert span(120_000, 60_000) == EMPTY
    assert not span(60_000, 60_000)
    assert span(0, 120_000).start == 0
    assert span(0, 120_000).end == 120_000


def test_a_set_equals_no_other_thing() -> None:
    assert Coverage([(0, 60_000)]) != ((0, 60_000),)
    assert EMPTY != ()
