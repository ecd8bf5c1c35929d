from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from examples import examples, some_of
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import TRIED_MONTHS, fil, real_month, walk

from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.ema import SEED_WEIGHT, Ema, ema, known, settled_after, weight_of


def one_at_a_time(closes: list[float], period: int) -> Ema:
    line = Ema(period)
    for close in closes:
        line.add(close)
    return line


def test_golden_vector() -> None:
    line = Ema(3)
    seen = []
    for close in (10, 12, 14, 16, 13):
        line.add(close)
        seen.append(line.value)
    assert seen == [None, None, 12, 14, 13.5]


@pytest.mark.parametrize(
    ("month", "timeframe"), some_of(tuple(product(("FIL", *TRIED_MONTHS), (60, 300, 900, 3600, 14400))))
)
@pytest.mark.parametrize("period", [21, 89])
def test_every_value_of_real_months_agrees_with_talib(month: str, timeframe: int, period: int) -> None:
    talib = pytest.importorskip("talib")
    rows = fil() if month == "FIL" else real_month(month)
    closes = np.ascontiguousarray(aggregate(rows, timeframe).rows["close"])
    expected, mine = talib.EMA(closes, period), ema(closes, period)
    assert np.array_equal(np.isnan(expected), np.isnan(mine))
    known = ~np.isnan(expected)
    assert known.sum() == len(closes) - period + 1
    assert np.max(np.abs(mine[known] / expected[known] - 1)) <= 1e-12


@pytest.mark.parametrize("period", [1, 2, 3, 21, 89, 400])
def test_batch_gives_the_same_bits_as_one_at_a_time_on_a_long_series(period: int) -> None:
    closes = np.ascontiguousarray(walk(30_000, seed=period)["close"])
    batch = Ema(period)
    batch.load(closes)
    live = one_at_a_time(closes.tolist(), period)
    assert batch.value == live.value
    assert batch.seen == live.seen
    assert ema(closes, period)[-1] == live.value


def test_batch_gives_the_same_bits_where_the_price_stands_still() -> None:
    # Runs from above and below need not meet here: the whole series must then be taken.
    closes = np.concatenate((np.linspace(1, 2, 500), np.full(20_000, 1.1)))
    batch = Ema(89)
    batch.load(closes)
    assert batch.value == one_at_a_time(closes.tolist(), 89).value


@given(
    st.lists(st.floats(1e-8, 1e6), max_size=300),
    st.lists(st.floats(1e-8, 1e6), max_size=20),
    st.integers(1, 30),
)
@settings(max_examples=examples(200), deadline=None)
def test_load_then_add_equals_add_only(past: list[float], then: list[float], period: int) -> None:
    mixed = Ema(period)
    mixed.load(np.array(past))
    for close in then:
        mixed.add(close)
    live = one_at_a_time(past + then, period)
    assert (mixed.value, mixed.seen, mixed.warming) == (live.value, live.seen, live.warming)


@pytest.mark.parametrize("period", [1, 2, 21, 89, 200])
def test_warming_lasts_while_the_seed_weighs_more_than_a_thousandth(period: int) -> None:
    bars, decay = settled_after(period), 1 - 2 / (period + 1)
    assert decay**bars <= 1e-3
    assert decay ** (bars - 1) > 1e-3
    line = Ema(period)
    states = []
    for _ in range(period + bars + 1):
        line.add(5.0)
        states.append(line.warming)
    assert states == [False] * (period - 1) + [True] * bars + [False] * 2


FALL = np.concatenate((np.full(3_000, 1e6), np.linspace(2, 1, 3_000)))
STILL = np.full(3_000, 0.3)


@pytest.mark.parametrize("period", [1, 2, 21, 89])
@pytest.mark.parametrize(
    "closes", [walk(3_000)["close"], FALL, FALL[::-1], STILL], ids=["walk", "fall", "climb", "still"]
)
def test_load_gives_the_line_over_the_last_closes(closes: np.ndarray, period: int) -> None:
    line = Ema(period)
    values = line.load(np.ascontiguousarray(closes))
    assert values == known(ema(closes, period))[-len(values) :]
    assert values[-1] == line.value
    assert line.load(closes[: period - 1]) == []
    assert line.value is None


@pytest.mark.parametrize("period", [2, 21, 89])
def test_only_the_end_of_a_long_series_is_computed(period: int) -> None:
    closes = np.ascontiguousarray(walk(30_000)["close"])
    assert 1 < len(Ema(period).load(closes)) < 64 + 37 * (period + 1)


@pytest.mark.parametrize("period", [1, 2, 3, 21])
def test_the_weight_of_the_latest_bars_is_what_they_move_the_line_by(period: int) -> None:
    for bars in (0, 1, 2, 40):
        closes = np.repeat([0.0, 1.0], [period, bars])
        assert weight_of(bars, period) == pytest.approx(ema(closes, period)[-1], rel=1e-12)


@given(st.lists(st.integers(-3, 6), max_size=40), st.sampled_from((1, 2, 3, 8)))
@settings(max_examples=examples(200), deadline=None)
def test_a_line_with_absent_bars_is_warming_while_they_weigh_more_than_a_thousandth(
    parts: list[int], period: int
) -> None:
    """Of the seed and of absent bars an EMA of its own is kept, in which they are 1 and all others 0."""
    line, alpha, absent, seen, gaps = Ema(period), 2 / (period + 1), 0.0, 0, []
    latest = 0.0
    for part in parts:
        if part < 0:
            line.miss(-part)
            gaps.append((seen, -part))
        else:
            for _ in range(part):
                line.add(5.0)
        seen += max(part, 0)
        for _ in range(abs(part)):
            absent += alpha * ((part < 0) - absent)
        latest = absent if part < 0 else latest
        assert line.state()[3] == pytest.approx(latest)
        settled = seen >= period + settled_after(period)
        assert line.warming == (seen >= period and (not settled or absent > SEED_WEIGHT * (1 + 1e-9)))
    loaded = Ema(period)
    loaded.add(7.0)
    loaded.miss(1)
    loaded.load(np.full(seen, 5.0), gaps)
    assert (loaded.seen, loaded.value) == (line.seen, line.value)
    assert loaded.state()[3:] == line.state()[3:]
    restored = Ema(period)
    restored.restore(line.state())
    restored.miss(2)
    line.miss(2)
    assert restored.state() == line.state()
    assert restored.warming == line.warming


def test_a_new_line_has_seen_nothing_and_misses_nothing() -> None:
    assert Ema(3).state() == (0, None, 0.0, 0.0, 0)
    assert not Ema(3).warming


def test_a_period_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Ema(0)
