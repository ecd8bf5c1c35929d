"""The volume profile once more, slow and obvious, written from its specification."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from functools import cache, lru_cache
from itertools import product
from typing import Any, Literal

import numpy as np
import pytest
from examples import some_of

from tui_feeder.engine.analytics.profile.day_profile import DayProfile, LiveProfile
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, Candle, Rows, to_candles

Mode = Literal["Auto", "Fixed", "Adaptive"]
Distribution = Literal["ClosingPrice", "WeightedOHLC", "HighLowWeighted", "UniformOHLC"]
Area = Literal["Traditional", "Greedy"]
Calculation = Literal["Volume", "TPO"]
Frequency = Literal["EveryCandle", "Every5Candles", "Batched"]

DISTRIBUTIONS: tuple[Distribution, ...] = ("ClosingPrice", "WeightedOHLC", "HighLowWeighted", "UniformOHLC")
MODES: tuple[Mode, ...] = ("Auto", "Fixed", "Adaptive")
AREAS: tuple[Area, ...] = ("Traditional", "Greedy")
CALCULATIONS: tuple[Calculation, ...] = ("Volume", "TPO")


def span_of(candles: list[Candle]) -> Decimal:
    return max(Decimal(repr(c.high)) for c in candles) - min(Decimal(repr(c.low)) for c in candles)


def typical_of(candles: list[Candle]) -> Decimal:
    """The median range of the seven days before that of the last candle."""
    today = candles[-1].open_time // DAY_MS
    spans = sorted(
        span_of(found)
        for day in range(today - 7, today)
        if (found := [c for c in candles if c.open_time // DAY_MS == day])
    )
    n = len(spans)
    return (spans[n // 2] + spans[(n - 1) // 2]) / 2 if n else Decimal(0)


@cache
def nice_steps(tick: Decimal | None) -> list[Decimal]:
    """1, 2, 2.5 and 5 times every power of ten, ascending; with ``tick`` those that are multiples of it."""
    with localcontext() as context:
        context.prec = 100
        return [
            step
            for k in range(-30, 30)
            for nice in (Decimal("1"), Decimal("2"), Decimal("2.5"), Decimal("5"))
            if (step := nice.scaleb(k)) and (tick is None or step % tick == 0)
        ]


def auto_of(span: Decimal, typical: Decimal, s: ProfileSettings, one_price: float, minutes: int) -> Decimal:
    """The Auto increment by looking through all there are; ``minutes`` of the day are over."""
    tick = Decimal(repr(s.tick_size)) if s.tick_size else None
    every = nice_steps(tick)
    if typical:
        least = [step for step in every if step * s.target_price_levels <= typical] or every[:1]
        step = least[-1]
        whole_hours = sum(1 for hour in range(24) if hour * 60 >= minutes)  # that have not begun
        expected = max(span, typical * whole_hours / 24)
        if expected > 0 and expected / step < Decimal(s.target_price_levels) / 2:
            fitting = [one for one in every if one * s.target_price_levels <= expected]
            step = fitting[-1] if fitting else every[0]
        if span <= 2 * s.target_price_levels * step:
            return step
    if not span:
        digits = int(Decimal(repr(one_price)).normalize().as_tuple().exponent)
        return tick or Decimal(1).scaleb(min(digits, Decimal(repr(one_price)).adjusted() - 4))
    coarse = [step for step in every if step.as_tuple().digits != (2, 5)]
    return next(step for step in coarse if 2 * s.target_price_levels * step >= span)


def reference_increment(candles: list[Candle], s: ProfileSettings, typical: Decimal) -> Decimal:
    if s.price_increment_mode == "Fixed":
        return Decimal(repr(s.fixed_price_increment))
    span = span_of(candles)
    if s.price_increment_mode == "Auto":
        minutes = candles[-1].open_time // 60_000 % 1_440 + 1
        return auto_of(span, typical, s, candles[0].high, minutes)
    least, most = Decimal(repr(s.min_price_increment)), Decimal(repr(s.max_price_increment))
    tick = Decimal(repr(s.tick_size)) if s.tick_size else None
    for k in range(-30, 30):
        for nice in (Decimal("1"), Decimal("2"), Decimal("2.5"), Decimal("5")):
            step = nice.scaleb(k)
            if step * s.target_price_levels >= span and (tick is None or step % tick == 0):
                return min(max(step, least), most)
    raise AssertionError("no increment")


@lru_cache(100_000)
def reference_row(price: float, increment: Decimal) -> int:
    with localcontext() as context:
        context.prec = 60
        return int((Decimal(repr(price)) / increment).to_integral_value(ROUND_HALF_EVEN))


Weights = tuple[dict[int, Fraction], dict[int, int]]


def reference_rows(candles: list[Candle], s: ProfileSettings, typical: Decimal = Decimal(0)) -> Weights:
    """Volume and number of candles by row."""
    increment = reference_increment(candles, s, typical)
    rows = {p: reference_row(p, increment) for c in candles for p in (c.high, c.low, c.close)}
    volumes: dict[int, Fraction] = defaultdict(Fraction)
    counts: dict[int, int] = defaultdict(int)
    for c in candles:
        high, low, close = rows[c.high], rows[c.low], rows[c.close]
        v = Fraction(repr(c.volume))
        match s.volume_distribution_mode:
            case "ClosingPrice":
                parts = [(close, v)]
            case "WeightedOHLC":
                parts = [(close, v / 2), (high, v / 4), (low, v / 4)]
            case "HighLowWeighted":
                parts = [(high, v / 2), (low, v / 2)]
            case "UniformOHLC":
                share = v / (high - low + 1)
                parts = [(r, share) for r in range(low, high + 1)]
        for row, part in parts:
            volumes[row] += part
        for row in {row for row, _ in parts}:
            counts[row] += 1
    return volumes, counts


def reference(
    candles: list[Candle], s: ProfileSettings, rows: Weights, typical: Decimal
) -> dict[str, Any] | None:
    increment = reference_increment(candles, s, typical)
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
    made: DayProfile | None,
    candles: list[Candle],
    s: ProfileSettings,
    rows: Weights | None = None,
    typical: Decimal = Decimal(0),
) -> None:
    expected = reference(candles, s, rows or reference_rows(candles, s, typical), typical)
    if expected is None or made is None:
        assert expected is None
        assert made is None
        return
    assert made.weights.tolist() == pytest.approx(expected.pop("weights"), rel=1e-13, abs=1e-13)
    for name in ("value_area_percent", "value_area_volume", "total_volume"):
        assert getattr(made, name) == pytest.approx(expected.pop(name), rel=1e-12), name
    assert {name: getattr(made, name) for name in expected} == expected


FIXED = ProfileSettings(price_increment_mode="Fixed")


def all_modes(base: ProfileSettings = FIXED) -> list[ProfileSettings]:
    return [
        replace(
            base,
            volume_distribution_mode=distribution,
            value_area_calculation_mode=area,
            calculation_mode=calculation,
        )
        for distribution, area, calculation in product(DISTRIBUTIONS, AREAS, CALCULATIONS)
    ]


def some_modes(base: ProfileSettings = FIXED) -> Sequence[ProfileSettings]:
    """All with ``--thorough``; otherwise four: each distribution, each of the others twice."""
    return some_of(all_modes(base), every=5)


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


def live_of(rows: Rows, s: ProfileSettings) -> DayProfile | None:
    live = LiveProfile(s)
    for c in to_candles(rows):
        live.add(c)
    return live.profile()
