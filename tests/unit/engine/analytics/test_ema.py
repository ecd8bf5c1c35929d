from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from examples import examples, some_of
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import TRIED_MONTHS, fil, real_month, walk

from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.ema import Ema, ema, settled_after


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


def test_a_period_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Ema(0)
