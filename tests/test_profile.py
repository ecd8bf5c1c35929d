from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from itertools import product
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import MIDNIGHT, candle, candle_lists, fil, real_month, walk

from tui_feeder.engine import profile_rows
from tui_feeder.engine.candle import DAY_MS, MINUTE_MS, Candle, Rows, to_candles, to_rows
from tui_feeder.engine.decimals import Grid
from tui_feeder.engine.profile import (
    DayProfile,
    LiveProfile,
    ProfileSettings,
    adaptive_increment,
    point_of_control,
    profile_of,
)
from tui_feeder.engine.value_area import value_area, value_area_of_many, value_area_of_runs

Mode = Literal["Fixed", "Adaptive"]
Distribution = Literal["ClosingPrice", "WeightedOHLC", "HighLowWeighted", "UniformOHLC"]
Area = Literal["Traditional", "Greedy"]
Calculation = Literal["Volume", "TPO"]
Frequency = Literal["EveryCandle", "Every5Candles", "Batched"]

DISTRIBUTIONS: tuple[Distribution, ...] = ("ClosingPrice", "WeightedOHLC", "HighLowWeighted", "UniformOHLC")
AREAS: tuple[Area, ...] = ("Traditional", "Greedy")
CALCULATIONS: tuple[Calculation, ...] = ("Volume", "TPO")
GOLDEN = [
    candle(0, 100, 103, 99, 102, 40),
    candle(1, 102, 102, 101, 101, 10),
    candle(2, 101, 104, 101, 104, 20),
    candle(3, 104, 104, 104, 104, 6),
]


# --- the reference: slow, obvious, written from the specification --------------------------------


def reference_increment(candles: list[Candle], s: ProfileSettings) -> Decimal:
    if s.price_increment_mode == "Fixed":
        return Decimal(repr(s.fixed_price_increment))
    span = max(Decimal(repr(c.high)) for c in candles) - min(Decimal(repr(c.low)) for c in candles)
    least, most = Decimal(repr(s.min_price_increment)), Decimal(repr(s.max_price_increment))
    tick = Decimal(repr(s.tick_size)) if s.tick_size else None
    for k in range(-30, 30):
        for nice in (Decimal("1"), Decimal("2"), Decimal("2.5"), Decimal("5")):
            step = nice.scaleb(k)
            if step * s.target_price_levels >= span and (tick is None or step % tick == 0):
                return min(max(step, least), most)
    raise AssertionError("no increment")


def reference_row(price: float, increment: Decimal) -> int:
    with localcontext() as context:
        context.prec = 60
        return int((Decimal(repr(price)) / increment).to_integral_value(ROUND_HALF_EVEN))


Weights = tuple[dict[int, Fraction], dict[int, Fraction]]


def reference_rows(candles: list[Candle], s: ProfileSettings) -> Weights:
    """Volume and number of candles by row."""
    increment = reference_increment(candles, s)
    rows = {p: reference_row(p, increment) for c in candles for p in (c.high, c.low, c.close)}
    volumes: dict[int, Fraction] = defaultdict(Fraction)
    counts: dict[int, Fraction] = defaultdict(Fraction)
    for c in candles:
        high, low, close = rows[c.high], rows[c.low], rows[c.close]
        v = Fraction(repr(c.volume))
        parts = {
            "ClosingPrice": [(close, v)],
            "WeightedOHLC": [(close, v / 2), (high, v / 4), (low, v / 4)],
            "HighLowWeighted": [(high, v / 2), (low, v / 2)],
            "UniformOHLC": [(r, v / (high - low + 1)) for r in range(low, high + 1)],
        }[s.volume_distribution_mode]
        for row, part in parts:
            volumes[row] += part
        for row in {row for row, _ in parts}:
            counts[row] += 1
    return volumes, counts


def reference(candles: list[Candle], s: ProfileSettings, rows: Weights) -> dict[str, Any] | None:
    increment = reference_increment(candles, s)
    volumes, counts = rows
    low_index, high_index = min(volumes), max(volumes)
    chosen = counts if s.calculation_mode == "TPO" else volumes
    w = [chosen[row] for row in range(low_index, high_index + 1)]
    total = sum(w)
    if not total:
        return None
    heaviest = max(w)
    poc = max(i for i in range(len(w)) if w[i] == heaviest)
    size = 2 if s.value_area_calculation_mode == "Traditional" else 1
    low = high = poc
    inside = w[poc]
    while inside < total * Fraction(repr(s.value_area_percentage)) / 100:
        above, below = w[high + 1 : high + 1 + size], w[max(0, low - size) : low]
        if above and (not below or sum(above) > sum(below)):
            inside, high = inside + sum(above), high + len(above)
        else:
            inside, low = inside + sum(below), low - len(below)
    return {
        "increment": float(increment),
        "low_index": low_index,
        "weights": [float(x) for x in w],
        "poc": float(increment * (low_index + poc)),
        "vah": float(increment * (low_index + high)),
        "val": float(increment * (low_index + low)),
        "total_volume": float(sum(volumes.values())),
        "value_area_volume": float(sum(volumes[r] for r in range(low_index + low, low_index + high + 1))),
        "value_area_percent": float(100 * inside / total),
        "min_price": min(c.low for c in candles),
        "max_price": max(c.high for c in candles),
        "candles": len(candles),
        "last_minute": candles[-1].open_time,
    }


def check(
    made: DayProfile | None, candles: list[Candle], s: ProfileSettings, rows: Weights | None = None
) -> None:
    expected = reference(candles, s, rows or reference_rows(candles, s))
    if expected is None or made is None:
        assert expected is None
        assert made is None
        return
    assert made.weights.tolist() == pytest.approx(expected.pop("weights"), rel=1e-13, abs=1e-13)
    for name in ("value_area_percent", "value_area_volume", "total_volume"):
        assert getattr(made, name) == pytest.approx(expected.pop(name), rel=1e-12), name
    assert {name: getattr(made, name) for name in expected} == expected


def all_modes(base: ProfileSettings = ProfileSettings()) -> list[ProfileSettings]:  # noqa: B008
    return [
        replace(
            base,
            volume_distribution_mode=distribution,
            value_area_calculation_mode=area,
            calculation_mode=calculation,
        )
        for distribution, area, calculation in product(DISTRIBUTIONS, AREAS, CALCULATIONS)
    ]


def days_of(rows: Rows) -> list[Rows]:
    return [
        part for part in np.split(rows, np.flatnonzero(np.diff(rows["open_time"] // DAY_MS)) + 1) if len(part)
    ]


def same(left: DayProfile | None, right: DayProfile | None) -> bool:
    if left is None or right is None:
        return left is right
    fields = [f for f in DayProfile.__struct_fields__ if f != "weights"]
    return left.weights.tobytes() == right.weights.tobytes() and all(
        getattr(left, f) == getattr(right, f) for f in fields
    )


# --- golden vectors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "rows", "poc"),
    [
        ("ClosingPrice", {101: 10, 102: 40, 104: 26}, 102),
        ("WeightedOHLC", {99: 10, 101: 12.5, 102: 22.5, 103: 10, 104: 21}, 102),
        ("HighLowWeighted", {99: 20, 101: 15, 102: 5, 103: 20, 104: 16}, 103),
    ],
)
def test_golden_vectors(distribution: Distribution, rows: dict[int, float], poc: float) -> None:
    made = profile_of(
        to_rows(GOLDEN), ProfileSettings(fixed_price_increment=1.0, volume_distribution_mode=distribution)
    )
    assert made is not None
    heavy = {made.low_index + i: w for i, w in enumerate(made.weights.tolist()) if w}
    assert heavy == rows
    assert len(made.weights) == max(rows) - min(rows) + 1  # dense: rows without volume are there
    assert made.poc == poc
    assert made.total_volume == 76


# --- against the reference -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Fixed", "Adaptive"])
@pytest.mark.parametrize("month", ["FIL", "AVAXUSDT-1m-2026-02", "LTCUSDT-1m-2026-02", "LINKUSDT-1m-2026-02"])
def test_real_days_equal_the_reference_in_every_mode(month: str, mode: Mode) -> None:
    days = days_of(fil()[43_200 - 1_440 * 5 :] if month == "FIL" else real_month(month))
    chosen = days[:: len(days) // 5][:5]
    if month == "FIL":
        chosen[-1] = next(d for d in days_of(fil()) if d["open_time"][0] == 1_730_073_600_000)  # the outage
    assert len(chosen) == 5
    base = ProfileSettings(price_increment_mode=mode, fixed_price_increment=0.01, tick_size=0.001)
    for day in chosen:
        candles = to_candles(day)
        rows: dict[str, Weights] = {}
        for s in all_modes(base):
            name = s.volume_distribution_mode
            rows[name] = rows.get(name) or reference_rows(candles, s)
            check(profile_of(day, s), candles, s, rows[name])


def test_a_real_day_of_thousands_of_rows_equals_the_reference_in_every_mode() -> None:
    day = real_month("AVAXUSDT-1m-2026-02")[:1_440]
    candles = to_candles(day)
    rows: dict[str, Weights] = {}
    for s in all_modes(ProfileSettings(fixed_price_increment=0.0001)):
        name = s.volume_distribution_mode
        rows[name] = rows.get(name) or reference_rows(candles, s)
        made = profile_of(day, s)
        assert made is not None
        assert len(made.weights) > 3_000
        check(made, candles, s, rows[name])


@pytest.mark.parametrize("calculation", CALCULATIONS)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_thousands_of_rows_kept_one_candle_at_a_time_give_the_same_bits(
    distribution: Distribution, calculation: Calculation
) -> None:
    day = walk(700, seed=4, price=60_000, tick="0.1")
    s = ProfileSettings(volume_distribution_mode=distribution, calculation_mode=calculation)
    live = LiveProfile(s)
    for i, c in enumerate(to_candles(day), 1):
        live.add(c)
        figures = live.figures()
        if i < 30 or i % 41 == 0:
            batch = profile_of(day[:i], s)
            assert same(live.profile(), batch), i
            assert (figures is None) == (batch is None)


@given(candle_lists(), st.data())
@settings(max_examples=300, deadline=None)
def test_any_candles_equal_the_reference(candles: list[Candle], data: st.DataObject) -> None:
    candles = [c for c in candles if c.open_time // DAY_MS == candles[0].open_time // DAY_MS]
    low = min(c.low for c in candles)
    tick = float(Decimal(1).scaleb(Decimal(repr(low)).adjusted() - data.draw(st.integers(0, 2))))
    s = ProfileSettings(
        price_increment_mode=data.draw(st.sampled_from(("Fixed", "Adaptive"))),
        fixed_price_increment=tick * data.draw(st.sampled_from((1, 2, 2.5, 5, 0.3))),
        min_price_increment=tick / 10,
        max_price_increment=tick * 1_000,
        target_price_levels=data.draw(st.sampled_from((1, 3, 10, 200))),
        tick_size=data.draw(st.sampled_from((None, tick))),
        volume_distribution_mode=data.draw(st.sampled_from(DISTRIBUTIONS)),
        value_area_calculation_mode=data.draw(st.sampled_from(AREAS)),
        calculation_mode=data.draw(st.sampled_from(CALCULATIONS)),
        value_area_percentage=data.draw(st.sampled_from((70.0, 68.27, 50.0, 100.0, 1.0))),
    )
    check(profile_of(to_rows(candles), s), candles, s)


# --- one candle at a time ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Fixed", "Adaptive"])
def test_one_at_a_time_gives_the_same_bits_at_every_minute(mode: Mode) -> None:
    day = walk(1_440, seed=9)
    base = ProfileSettings(price_increment_mode=mode, fixed_price_increment=0.05, tick_size=0.01)
    for s in all_modes(base):
        live = LiveProfile(s)
        for i, c in enumerate(to_candles(day), 1):
            live.add(c)
            if i < 40 or i % 97 == 0:
                assert same(live.profile(), profile_of(day[:i], s)), (s, i)


@given(
    candle_lists(),
    st.integers(0, 30),
    st.sampled_from(all_modes() + all_modes(ProfileSettings(price_increment_mode="Adaptive"))),
)
@settings(max_examples=300, deadline=None)
def test_load_then_add_equals_load_of_all(candles: list[Candle], at: int, s: ProfileSettings) -> None:
    price = candles[0].close
    s = replace(
        s, fixed_price_increment=price / 7, min_price_increment=price / 1e5, max_price_increment=price * 10
    )
    rows = to_rows(candles)
    days = rows["open_time"] // DAY_MS
    past = rows[:at]
    live = LiveProfile(s)
    live.load(past[past["open_time"] // DAY_MS == past["open_time"][-1] // DAY_MS] if len(past) else past)
    for c in candles[at:]:
        live.add(c)
    assert same(live.profile(), profile_of(rows[days == days[-1]], s))


def test_midnight_begins_a_new_profile() -> None:
    live = LiveProfile(ProfileSettings(fixed_price_increment=1.0))
    live.add(candle(1_439, 100, 101, 99, 100, 50))
    live.add(candle(1_440, 200, 201, 199, 200, 5))
    made = live.profile()
    assert made is not None
    assert (made.day, made.total_volume, made.min_price, made.candles) == (MIDNIGHT + DAY_MS, 5, 199, 1)


# --- properties ----------------------------------------------------------------------------------


@given(candle_lists(), st.sampled_from(all_modes()))
@settings(max_examples=200, deadline=None)
def test_volume_is_conserved_and_the_value_area_holds_what_it_should(
    candles: list[Candle], s: ProfileSettings
) -> None:
    candles = [c for c in candles if c.open_time // DAY_MS == candles[0].open_time // DAY_MS]
    s = replace(s, fixed_price_increment=candles[0].close / 50)
    made = profile_of(to_rows(candles), s)
    volume = sum(Fraction(repr(c.volume)) for c in candles)
    if made is None:
        assert volume == 0
        assert s.calculation_mode == "Volume"
        return
    assert made.total_volume == float(volume)
    if s.calculation_mode == "Volume":
        assert float(made.weights.sum()) == pytest.approx(float(volume), rel=1e-9)
    assert made.val <= made.poc <= made.vah
    assert 70 * (1 - 1e-11) <= made.value_area_percent <= 100


def test_vwap_is_quote_over_base_volume() -> None:
    day = real_month("AVAXUSDT-1m-2026-02")[:1_440]
    made = profile_of(day, ProfileSettings())
    assert made is not None
    quote, base = (sum(Fraction(repr(v)) for v in day[name].tolist()) for name in ("quote_volume", "volume"))
    assert made.vwap == pytest.approx(float(quote / base), rel=1e-15)


def test_ties_of_the_point_of_control_go_to_the_higher_price() -> None:
    assert point_of_control(np.array([1.0, 5.0, 2.0, 5.0, 4.0])) == 3


def test_decimal_ties_are_ties_although_floats_differ() -> None:
    # 0.1 + 0.2 at 100 against 0.3 at 102: equal in decimal, so the higher price wins.
    candles = [
        candle(0, 100, 100, 100, 100, 0.1),
        candle(1, 102, 102, 102, 102, 0.3),
        candle(2, 100, 100, 100, 100, 0.2),
    ]
    s = ProfileSettings(fixed_price_increment=1.0, volume_distribution_mode="ClosingPrice")
    made = profile_of(to_rows(candles), s)
    assert made is not None
    assert made.poc == 102
    assert made.weights.tolist() == [0.3, 0, 0.3]


def test_traditional_and_greedy_differ() -> None:
    weights = np.array([4.0, 4.0, 0.0, 10.0, 3.0, 1.0, 3.0])
    assert value_area(weights, 3, 13, 2)[:2] == (1, 3)  # 3 + 1 above against 0 + 4 below: a tie, so below
    assert value_area(weights, 3, 13, 1)[:2] == (3, 4)


@given(
    st.lists(st.tuples(st.integers(0, 6) | st.just(0), st.sampled_from((0, 0, 0, 1, 3, 40))), min_size=1),
    st.integers(0, 10_000),
    st.sampled_from((1, 2)),
    st.integers(0, 100),
    st.sampled_from((1, 4, 64)),
)
@settings(max_examples=1_000, deadline=None)
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
@settings(max_examples=1_000, deadline=None)
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


@given(candle_lists(scale=2), st.sampled_from(all_modes()))
@settings(max_examples=20, deadline=None)
def test_a_profile_of_very_many_rows_equals_the_reference_minute_by_minute(
    candles: list[Candle], s: ProfileSettings
) -> None:
    candles = [c for c in candles if c.open_time // DAY_MS == candles[0].open_time // DAY_MS]
    s = replace(s, fixed_price_increment=1.0)
    live = LiveProfile(s)
    for c in candles:
        live.add(c)
        live.figures()
    check(live.profile(), candles, s)
    assert same(live.profile(), profile_of(to_rows(candles), s))


def test_nothing_traded_means_no_profile() -> None:
    quiet = to_rows([candle(i, 5, 5, 5, 5, 0) for i in range(10)])
    assert profile_of(quiet, ProfileSettings()) is None
    assert profile_of(quiet[:0], ProfileSettings()) is None


def test_time_at_price_counts_quiet_minutes_and_then_has_no_vwap() -> None:
    quiet = to_rows([candle(i, 5, 5, 5, 5, 0) for i in range(10)])
    made = profile_of(quiet, ProfileSettings(calculation_mode="TPO"))
    assert made is not None
    assert (made.poc, made.vwap, made.total_volume, made.weights.tolist()) == (5, None, 0, [10])


def test_a_profile_is_of_one_day() -> None:
    with pytest.raises(ValueError, match="one UTC day"):
        profile_of(walk(1_441), ProfileSettings())


# --- the grid ------------------------------------------------------------------------------------


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


# --- publication, bounds, settings ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("frequency", "batch", "due"),
    [("EveryCandle", 1, [1, 2, 3, 4, 5]), ("Every5Candles", 1, [1, 5, 10]), ("Batched", 4, [1, 4, 8])],
)
def test_derived_values_are_due_as_often_as_configured(
    frequency: Frequency, batch: int, due: list[int]
) -> None:
    live = LiveProfile(ProfileSettings(update_frequency=frequency, batch_size=batch))
    seen = []
    for i in range(max(due)):
        live.add(candle(i, 5, 5, 5, 5))
        if live.due:
            seen.append(i + 1)
    assert seen == due
    live.add(candle(1_439, 5, 5, 5, 5))
    assert live.due  # the last minute of the day: its final values


def test_too_many_rows_are_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_rows, "MAX_ROWS", 1_000)
    s = ProfileSettings(fixed_price_increment=0.01)
    candles = [candle(0, 5, 6, 5, 5), candle(1, 5, 80, 5, 5), candle(2, 5, 5, 5, 5)]
    live, batch = LiveProfile(s), LiveProfile(s)
    live.add(candles[0])
    assert live.profile() is not None
    assert live.fault == ""
    for c in candles[1:]:
        live.add(c)
    batch.load(to_rows(candles))
    assert live.profile() is batch.profile() is None
    assert live.fault == batch.fault
    assert "larger price increment" in live.fault
    live.add(candle(1_440, 5, 6, 5, 5))
    assert live.profile() is not None  # another day, another chance


@pytest.mark.parametrize("calculation", CALCULATIONS)
def test_candles_spread_one_by_one_give_the_same_bits_as_spread_at_once(
    monkeypatch: pytest.MonkeyPatch, calculation: Calculation
) -> None:
    s = ProfileSettings(volume_distribution_mode="UniformOHLC", calculation_mode=calculation)
    rows = walk(400)
    at_once = profile_of(rows, s)
    monkeypatch.setattr(profile_rows, "_SPREAD_AT_ONCE", 0)
    assert at_once is not None
    assert same(profile_of(rows, s), at_once)


def test_a_wide_day_of_a_dear_coin_fits() -> None:
    rows = walk(300, price=100_000, tick="0.01")
    assert same(profile_of(rows, ProfileSettings()), live_of(rows, ProfileSettings()))


def live_of(rows: Rows, s: ProfileSettings) -> DayProfile | None:
    live = LiveProfile(s)
    for c in to_candles(rows):
        live.add(c)
    return live.profile()


@pytest.mark.parametrize(
    "wrong",
    [
        {"calculation_mode": "volume"},
        {"value_area_percentage": 101.0},
        {"value_area_percentage": 0.0},
        {"fixed_price_increment": -1.0},
        {"target_price_levels": 0},
        {"min_price_increment": 2.0},
        {"tick_size": float("nan")},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="|".join(wrong)):
        ProfileSettings(**wrong)


def test_last_minute_is_the_open_time_of_the_last_candle() -> None:
    made = profile_of(to_rows(GOLDEN), ProfileSettings(fixed_price_increment=1.0))
    assert made is not None
    assert made.last_minute == MIDNIGHT + 3 * MINUTE_MS
