"""Days of a few candles over a few rows, in every mode, against the reference after every candle."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from random import Random

import numpy as np
import pytest
from examples import examples
from profile_reference import (
    CALCULATIONS,
    DISTRIBUTIONS,
    FIXED,
    Calculation,
    Distribution,
    all_modes,
    check,
    same,
)
from samples import candle

from tui_feeder.engine.analytics.profile import rows as point_rows
from tui_feeder.engine.analytics.profile import uniform_rows
from tui_feeder.engine.analytics.profile.day_profile import LiveProfile, profile_of
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import Candle, to_rows

MODES = all_modes(replace(FIXED, fixed_price_increment=1.0))


def small_day(random: Random, exact: bool, most: int = 9) -> list[Candle]:
    """Prices in halves, so that some lie between rows; volumes of all sizes where sums are exact.

    Elsewhere sums that differ by less than 1e-12 of the whole are equal (``uniform_rows.NOISE``), so no
    volume here is that small a part of another.
    """
    top, base = random.choice((3, 6, 40, 400)), random.choice((1, 100))
    usual = (0, 0.1, 0.3, 0.25, 1.5, 2, 3, 0.00000001 if exact else 0.001, 123456.789)
    odd = (2, 0.000000001, 1234567.12345678, 1e15, 3e20) if exact else usual
    volumes = random.choice((usual, usual, odd))
    made = []
    for minute in range(random.randint(1, most)):
        low, close, high = sorted(base + random.randint(0, 2 * top) / 2 for _ in range(3))
        close = random.choice((low, close, high))
        made.append(candle(minute, close, high, low, close, random.choice(volumes)))
    return made


@pytest.mark.parametrize("many", [3, 1_000])
@pytest.mark.parametrize("s", MODES, ids=lambda s: "-".join(part[:4] for part in (
    s.volume_distribution_mode, s.value_area_calculation_mode, s.calculation_mode)))  # fmt: skip
def test_after_every_candle_it_is_the_profile_of_the_reference(
    s: ProfileSettings, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also as rows are taken that are very many."""
    monkeypatch.setattr(point_rows, "_MANY_ROWS", many)
    monkeypatch.setattr(uniform_rows, "_MANY_ROWS", many)
    monkeypatch.setattr(uniform_rows, "_ROWS_AT_ONCE", 0 if many == 3 else 200_000)
    for seed in range(examples(60)):
        random = Random(seed)
        s = replace(s, value_area_percentage=random.choice((70.0, 68.27, 100.0, 30.0)))
        candles = small_day(random, s.volume_distribution_mode != "UniformOHLC")
        at = random.randint(0, len(candles))
        live, looked_at = LiveProfile(s), LiveProfile(s)
        live.load(to_rows(candles[:at]))
        for end, each in enumerate(candles[at:], at + 1):
            live.add(each)
            whole = profile_of(to_rows(candles[:end]), s)
            check(whole, candles[:end], s)
            assert same(live.profile(), whole)
        for each in candles:
            looked_at.add(each)
        assert same(looked_at.profile(), live.profile())


@pytest.mark.parametrize("calculation", CALCULATIONS)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_one_row_more_than_allowed_is_refused_whatever_the_mode(
    distribution: Distribution, calculation: Calculation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(point_rows, "MAX_ROWS", 10)
    monkeypatch.setattr(uniform_rows, "MAX_ROWS", 10)
    s = replace(MODES[0], volume_distribution_mode=distribution, calculation_mode=calculation)
    first = candle(0, 100, 100, 100, 100)
    fits, beyond = candle(1, 100, 109, 100, 109), candle(1, 100, 110, 100, 110)
    below = candle(1, 100, 100, 90, 90)
    live = LiveProfile(s)
    for each in (first, fits):
        live.add(each)
    made = live.profile()
    assert same(made, profile_of(to_rows([first, fits]), s))
    assert made is not None
    assert len(made.weights) == 10
    for wide in (beyond, below):
        live, loaded = LiveProfile(s), LiveProfile(s)
        live.add(first)
        live.add(wide)
        loaded.load(to_rows([first, wide]))
        for minute, each in enumerate((live, loaded)):
            assert "more than 4,000,000 rows" in each.fault
            assert each.profile() is None
            each.add(candle(2 + minute, 100, 101, 100, 101))
            assert each.figures() is None
            assert each.fault


@pytest.mark.parametrize("s", MODES)
def test_one_price_no_volume_and_what_comes_after_them(s: ProfileSettings) -> None:
    one, other = candle(0, 105, 105, 105, 105, 2), candle(1, 100, 101, 100, 101, 1)
    quiet = [candle(minute, 100 + minute, 100 + minute, 100 + minute, 100 + minute, 0) for minute in (0, 1)]
    for candles in ([one], [one, other], quiet, [*quiet, candle(2, 103, 104, 99, 100, 1)], [quiet[0], other]):
        live = LiveProfile(s)
        for each in candles:
            live.add(each)
        check(live.profile(), candles, s)
        assert same(live.profile(), profile_of(to_rows(candles), s))


@pytest.mark.parametrize("many", [3, 1_000])
@pytest.mark.parametrize("s", MODES)
def test_rows_that_hold_exactly_what_is_enough_are_enough(
    s: ProfileSettings, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(point_rows, "_MANY_ROWS", many)
    monkeypatch.setattr(uniform_rows, "_MANY_ROWS", many)
    flat = [candle(0, 100, 109, 100, 109, 10)]
    steps = [candle(i, 100 + i, 100 + i, 100 + i, 100 + i, 0.1) for i in range(10)]
    for candles, percent in product((flat, steps), (10.0, 30.0, 50.0, 70.0, 90.0)):
        each = replace(s, value_area_percentage=percent)
        check(profile_of(to_rows(candles), each), candles, each)


@pytest.mark.parametrize("calculation", CALCULATIONS)
def test_a_candle_at_any_distance_from_the_first_keeps_all_its_volume(calculation: Calculation) -> None:
    s = replace(MODES[0], volume_distribution_mode="UniformOHLC", calculation_mode=calculation)
    for distance in range(-80, 81):
        candles = [candle(i, p, p + 1, p - 1, p, 3) for i, p in enumerate((500, 500 + distance, 500))]
        live = LiveProfile(s)
        for each in candles:
            live.add(each)
        made = live.profile()
        assert made is not None
        assert float(made.weights.sum()) == 9
        assert same(made, profile_of(to_rows(candles), s))


def test_rows_far_apart_are_moved_with_what_is_on_them() -> None:
    """Down, up, and by more than the room there is."""
    s = replace(MODES[0], volume_distribution_mode="UniformOHLC")
    for mode in CALCULATIONS:
        s = replace(s, calculation_mode=mode)
        prices = [500, 499, 468, 467, 466, 533, 534, 100, 900, 901]
        candles = [candle(i, p, p + 1, p - 1, p, 3 + i) for i, p in enumerate(prices)]
        live = LiveProfile(s)
        for end, each in enumerate(candles, 1):
            live.add(each)
            made = live.profile()
            assert same(made, profile_of(to_rows(candles[:end]), s))
            check(made, candles[:end], s)
            assert made is not None
            assert np.count_nonzero(made.weights) <= 3 * end
