from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from examples import examples, some_of
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_reference import (
    AREAS,
    CALCULATIONS,
    DISTRIBUTIONS,
    FIXED,
    MODES,
    Calculation,
    Distribution,
    Frequency,
    Mode,
    Weights,
    all_modes,
    check,
    days_of,
    live_of,
    reference_rows,
    same,
    some_modes,
    typical_of,
)
from samples import MIDNIGHT, candle, candle_lists, fil, real_month, walk

from tui_feeder.engine.analytics.profile import rows as profile_rows
from tui_feeder.engine.analytics.profile import uniform_rows
from tui_feeder.engine.analytics.profile.day_profile import LiveProfile, profile_of
from tui_feeder.engine.analytics.profile.increments import ranges_of
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, to_candles, to_rows

GOLDEN = [
    candle(0, 100, 103, 99, 102, 40),
    candle(1, 102, 102, 101, 101, 10),
    candle(2, 101, 104, 101, 104, 20),
    candle(3, 104, 104, 104, 104, 6),
]


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
        to_rows(GOLDEN),
        ProfileSettings(
            price_increment_mode="Fixed", fixed_price_increment=1.0, volume_distribution_mode=distribution
        ),
    )
    assert made is not None
    heavy = {made.low_index + i: w for i, w in enumerate(made.weights.tolist()) if w}
    assert heavy == rows
    assert len(made.weights) == max(rows) - min(rows) + 1  # dense: rows without volume are there
    assert made.poc == poc
    assert made.total_volume == 76


# --- against the reference -----------------------------------------------------------------------


REAL_MONTHS = ("FIL", "AVAXUSDT-1m-2026-02", "LTCUSDT-1m-2026-02", "LINKUSDT-1m-2026-02")


@pytest.mark.parametrize(("month", "mode"), some_of(tuple(product(REAL_MONTHS, MODES)), every=4))
def test_real_days_equal_the_reference_in_every_mode(month: str, mode: Mode) -> None:
    days = days_of(fil()[43_200 - 1_440 * 5 :] if month == "FIL" else real_month(month))
    wanted = examples(5, least=3)
    chosen = days[:: len(days) // wanted][:wanted]
    if month == "FIL":
        chosen[-1] = next(d for d in days_of(fil()) if d["open_time"][0] == 1_730_073_600_000)  # the outage
    assert len(chosen) == wanted
    base = ProfileSettings(price_increment_mode=mode, fixed_price_increment=0.01, tick_size=0.001)
    for day in chosen:
        candles = to_candles(day)
        rows: dict[str, Weights] = {}
        for s in some_modes(base):
            name = s.volume_distribution_mode
            rows[name] = rows.get(name) or reference_rows(candles, s)
            check(profile_of(day, s), candles, s, rows[name])


def test_a_real_day_of_thousands_of_rows_equals_the_reference_in_every_mode() -> None:
    day = real_month("AVAXUSDT-1m-2026-02")[:1_440]
    candles = to_candles(day)
    rows: dict[str, Weights] = {}
    for s in some_modes(ProfileSettings(price_increment_mode="Fixed", fixed_price_increment=0.0001)):
        name = s.volume_distribution_mode
        rows[name] = rows.get(name) or reference_rows(candles, s)
        made = profile_of(day, s)
        assert made is not None
        assert len(made.weights) > 3_000
        check(made, candles, s, rows[name])


@pytest.mark.parametrize(
    ("distribution", "calculation"), some_of(tuple(product(DISTRIBUTIONS, CALCULATIONS)))
)
def test_thousands_of_rows_kept_one_candle_at_a_time_give_the_same_bits(
    distribution: Distribution, calculation: Calculation
) -> None:
    day = walk(700, seed=4, price=60_000, tick="0.1")
    s = replace(FIXED, volume_distribution_mode=distribution, calculation_mode=calculation)
    live = LiveProfile(s)
    for i, c in enumerate(to_candles(day), 1):
        live.add(c)
        figures = live.figures()
        if i < 30 or i % 41 == 0:
            batch = profile_of(day[:i], s)
            assert same(live.profile(), batch), i
            assert (figures is None) == (batch is None)


@given(candle_lists(), st.data())
@settings(max_examples=examples(300, share=8), deadline=None)
def test_any_candles_equal_the_reference(candles: list[Candle], data: st.DataObject) -> None:
    last = candles[-1].open_time // DAY_MS
    earlier, typical = [c for c in candles if c.open_time // DAY_MS < last], typical_of(candles)
    candles = [c for c in candles if c.open_time // DAY_MS == last]
    low = min(c.low for c in candles)
    tick = float(Decimal(1).scaleb(Decimal(repr(low)).adjusted() - data.draw(st.integers(0, 2))))
    s = ProfileSettings(
        price_increment_mode=data.draw(st.sampled_from(("Auto", "Fixed", "Adaptive"))),
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
    made = profile_of(to_rows(candles), s, ranges_of(to_rows(earlier)))
    check(made, candles, s, typical=typical)


# --- one candle at a time ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_one_at_a_time_gives_the_same_bits_at_every_minute(mode: Mode) -> None:
    day = walk(1_440, seed=9)
    base = ProfileSettings(price_increment_mode=mode, fixed_price_increment=0.05, tick_size=0.01)
    for s in some_modes(base):
        live = LiveProfile(s)
        for i, c in enumerate(to_candles(day), 1):
            live.add(c)
            if i < 40 or i % 97 == 0:
                assert same(live.profile(), profile_of(day[:i], s)), (s, i)


@given(
    candle_lists(),
    st.integers(0, 30),
    st.sampled_from([s for mode in MODES for s in all_modes(ProfileSettings(price_increment_mode=mode))]),
)
@settings(max_examples=examples(300, share=8), deadline=None)
def test_load_then_add_equals_load_of_all(candles: list[Candle], at: int, s: ProfileSettings) -> None:
    price = candles[0].close
    s = replace(
        s, fixed_price_increment=price / 7, min_price_increment=price / 1e5, max_price_increment=price * 10
    )
    rows = to_rows(candles)
    days = rows["open_time"] // DAY_MS
    past = rows[:at]
    live = LiveProfile(s)
    begun = past["open_time"] // DAY_MS == (past["open_time"][-1] // DAY_MS if len(past) else 0)
    live.load(past[begun], ranges_of(past[~begun]))
    for c in candles[at:]:
        live.add(c)
    assert same(live.profile(), profile_of(rows[days == days[-1]], s, ranges_of(rows[days < days[-1]])))


@pytest.mark.parametrize("increment", [0.01, 0.0005])
def test_a_real_day_kept_from_minute_to_minute_has_the_figures_of_each_minute_made_at_once(
    increment: float,
) -> None:
    day = real_month("AVAXUSDT-1m-2026-02")[1_440:2_880]
    candles = to_candles(day)
    for s in some_modes(ProfileSettings(price_increment_mode="Fixed", fixed_price_increment=increment)):
        live = LiveProfile(s)
        for i, c in enumerate(candles, 1):
            live.add(c)
            figures = live.figures()
            if i % 83 == 0 or i < 4:
                whole = profile_of(day[:i], s)
                assert whole is not None
                assert figures is not None
                assert all(getattr(figures, f) == getattr(whole, f) for f in figures.__struct_fields__), (
                    s,
                    i,
                )
        assert same(live.profile(), profile_of(day, s))


@given(
    st.lists(
        st.tuples(
            st.integers(90, 110),
            st.one_of(
                st.decimals(0, 10, places=2),
                st.decimals(0, 1, places=8),
                st.decimals(0, 1, places=14),
                st.integers(0, 10**15),
                st.floats(1e-300, 1e-290),
                st.floats(1e20, 1e22),
            ).map(float),
        ),
        min_size=1,
        max_size=25,
    ),
    st.sampled_from([s for s in all_modes() if s.volume_distribution_mode != "UniformOHLC"]),
    st.integers(1, 4),
)
@settings(max_examples=examples(250, share=8), deadline=None)
def test_volumes_of_any_size_and_any_number_of_digits_add_up_exactly(
    parts: list[tuple[int, float]], s: ProfileSettings, every: int
) -> None:
    s = replace(s, fixed_price_increment=1.0)
    candles = [candle(i, p, p + i % 3, p - i % 2, p, v) for i, (p, v) in enumerate(parts)]
    live = LiveProfile(s)
    for i, c in enumerate(candles):
        live.add(c)
        if i % every == 0:
            live.figures()
    made = profile_of(to_rows(candles), s)
    assert same(live.profile(), made)
    check(made, candles, s)


def test_midnight_begins_a_new_profile() -> None:
    live = LiveProfile(ProfileSettings(price_increment_mode="Fixed", fixed_price_increment=1.0))
    live.add(candle(1_439, 100, 101, 99, 100, 50))
    live.add(candle(1_440, 200, 201, 199, 200, 5))
    made = live.profile()
    assert made is not None
    assert (made.day, made.total_volume, made.min_price, made.candles) == (MIDNIGHT + DAY_MS, 5, 199, 1)


# --- properties ----------------------------------------------------------------------------------


@given(candle_lists(), st.sampled_from(all_modes()))
@settings(max_examples=examples(200, share=8), deadline=None)
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
    exact = s.volume_distribution_mode != "UniformOHLC"
    assert 70 * (1 if exact else 1 - 1e-11) <= made.value_area_percent <= 100


def test_vwap_is_quote_over_base_volume() -> None:
    day = real_month("AVAXUSDT-1m-2026-02")[:1_440]
    made = profile_of(day, FIXED)
    assert made is not None
    quote, base = (sum(Fraction(repr(v)) for v in day[name].tolist()) for name in ("quote_volume", "volume"))
    assert made.vwap == pytest.approx(float(quote / base), rel=1e-15)


@given(candle_lists(scale=2), st.sampled_from(all_modes()))
@settings(max_examples=examples(20, least=3), deadline=None)
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
    s = ProfileSettings(price_increment_mode="Fixed", fixed_price_increment=0.01)
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
    s = replace(FIXED, volume_distribution_mode="UniformOHLC", calculation_mode=calculation)
    rows = walk(400)
    at_once = profile_of(rows, s)
    monkeypatch.setattr(uniform_rows, "_ROWS_AT_ONCE", 0)
    assert at_once is not None
    assert same(profile_of(rows, s), at_once)


def test_a_wide_day_of_a_dear_coin_fits() -> None:
    rows = walk(300, price=100_000, tick="0.01")
    assert same(profile_of(rows, FIXED), live_of(rows, FIXED))


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
    made = profile_of(
        to_rows(GOLDEN), ProfileSettings(price_increment_mode="Fixed", fixed_price_increment=1.0)
    )
    assert made is not None
    assert made.last_minute == MIDNIGHT + 3 * MINUTE_MS
