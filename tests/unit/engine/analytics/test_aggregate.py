from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import MIDNIGHT, TRIED_MONTHS, candle, candle_lists, real_month, walk

from tui_feeder.engine.analytics.aggregate import Bar, LiveBar, aggregate
from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Candle, Rows, to_candles, to_rows

TIMEFRAMES = (60, 180, 300, 900, 3600, 14400, 86400)


def live(candles: list[Candle], timeframe: int) -> list[Bar]:
    bar = LiveBar(timeframe)
    return [done for c in candles for done in bar.add(c)]


@pytest.mark.parametrize("month", TRIED_MONTHS or ("FILUSDT-1m-2024-09",))
@pytest.mark.parametrize("timeframe", [300, 900, 3600, 14400])
def test_bars_of_real_months_equal_a_pandas_resample(month: str, timeframe: int) -> None:
    pandas = pytest.importorskip("pandas")
    rows = real_month(month)
    frame = pandas.DataFrame({name: rows[name] for name in ROW.names or ()})
    frame.index = pandas.to_datetime(frame["open_time"], unit="ms", utc=True)
    # Volumes as whole units: pandas then adds integers, and its digits are the exchange's digits.
    how: dict[str, Any] = {"open": "first", "high": "max", "low": "min", "close": "last", "trades": "sum"}
    units = {
        "volume": 10**3,
        "quote_volume": 10**7,
        "taker_buy_volume": 10**3,
        "taker_buy_quote_volume": 10**7,
    }
    for name, unit in units.items():
        whole = np.rint(rows[name] * unit).astype(np.int64)
        assert np.array_equal(whole / unit, rows[name]), "the unit is too large for this month"
        frame[name], how[name] = whole, "sum"
    expected = frame.resample(pandas.Timedelta(seconds=timeframe)).agg(how)
    bars = aggregate(rows, timeframe)
    assert len(bars.rows) == len(expected) == len(rows) * 60 // timeframe
    assert not bars.partial.any()
    stamps = (expected.index - pandas.Timestamp(0, tz="UTC")) // pandas.Timedelta(milliseconds=1)
    assert np.array_equal(bars.rows["open_time"], stamps.to_numpy())
    for name in how:
        made = expected[name].to_numpy() / units.get(name, 1)
        assert np.array_equal(bars.rows[name], made), name


@given(candle_lists(), st.sampled_from(TIMEFRAMES))
@settings(max_examples=examples(200, share=8), deadline=None)
def test_one_at_a_time_gives_the_same_bits_as_all_at_once(candles: list[Candle], timeframe: int) -> None:
    bars = aggregate(to_rows(candles), timeframe)
    done = live(candles, timeframe)
    assert to_rows([bar.candle for bar in done]).tobytes() == bars.rows.tobytes()
    assert [bar.minutes for bar in done] == bars.minutes.tolist()
    assert [bar.partial for bar in done] == bars.partial.tolist()


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_long_history_with_holes_gives_the_same_bits_both_ways(timeframe: int) -> None:
    rows = walk(4_000, seed=timeframe, start=MIDNIGHT + 7 * MINUTE_MS)
    rows = rows[np.random.default_rng(3).random(len(rows)) < 0.9]
    bars = aggregate(rows, timeframe)
    done = live(to_candles(rows), timeframe)
    assert to_rows([bar.candle for bar in done]).tobytes() == bars.rows.tobytes()
    assert [bar.minutes for bar in done] == bars.minutes.tolist()


def test_sums_keep_decimal_digits() -> None:
    candles = [candle(i, 1, 1, 1, 1, volume) for i, volume in enumerate((0.1, 0.2, 0.3, 0.1, 0.2))]
    (bar,) = live(candles, 300)
    assert bar.candle.volume == 0.9  # a plain float sum gives 0.9000000000000001
    assert aggregate(to_rows(candles), 300).rows["volume"][0] == 0.9


@given(st.lists(st.decimals(0, 10**6, places=3), min_size=240, max_size=240))
@settings(max_examples=examples(30), deadline=None)
def test_a_long_sum_equals_the_decimal_sum(volumes: list[Decimal]) -> None:
    candles = [candle(i, 1, 1, 1, 1, float(volume)) for i, volume in enumerate(volumes)]
    (bar,) = live(candles, 14400)
    assert bar.candle.volume == float(sum(volumes))


def test_a_bar_completes_with_the_candle_of_its_last_minute() -> None:
    bar = LiveBar(300)
    assert [len(bar.add(candle(i, 5, 5, 5, 5))) for i in range(10)] == [0, 0, 0, 0, 1] * 2


def test_a_bar_without_its_last_minute_completes_with_the_first_later_candle_and_is_partial() -> None:
    bar = LiveBar(300)
    for i in range(4):
        assert bar.add(candle(i, 5, 6 + i, 4, 5)) == ()
    (done,) = bar.add(candle(5, 50, 60, 40, 55))
    assert (done.candle.open_time, done.candle.high, done.candle.close) == (MIDNIGHT, 9, 5)
    assert done.minutes == 4
    assert done.partial


def test_one_candle_can_complete_two_bars() -> None:
    bar = LiveBar(300)
    bar.add(candle(0, 5, 5, 5, 5))
    left, own = bar.add(candle(9, 7, 7, 7, 7))
    assert (left.candle.open_time, left.minutes) == (MIDNIGHT, 1)
    assert (own.candle.open_time, own.minutes, own.candle.close) == (MIDNIGHT + 5 * MINUTE_MS, 1, 7)


def test_an_empty_stretch_makes_no_bar() -> None:
    rows = to_rows([candle(4, 5, 5, 5, 5), candle(1_004, 6, 6, 6, 6)])
    bars = aggregate(rows, 300)
    assert bars.rows["open_time"].tolist() == [MIDNIGHT, MIDNIGHT + 1_000 * MINUTE_MS]


def test_the_bar_in_progress_is_left_out() -> None:
    rows = walk(299)
    assert len(aggregate(rows, 3600).rows) == 4
    assert len(aggregate(rows[:59], 3600).rows) == 0
    assert len(aggregate(rows[:0], 3600).rows) == 0


def test_history_that_begins_inside_a_bar_begins_with_a_partial_bar() -> None:
    bars = aggregate(walk(20, start=MIDNIGHT + 3 * MINUTE_MS), 300)
    assert bars.minutes.tolist() == [2, 5, 5, 5]
    assert bars.partial.tolist() == [True, False, False, False]


def test_bars_can_be_made_of_longer_bars() -> None:
    rows: Rows = walk(2_880)
    from_five = aggregate(aggregate(rows, 300).rows, 3600, source_timeframe=300)
    from_one = aggregate(rows, 3600)
    for name in ("open_time", "open", "high", "low", "close", "trades", "volume"):
        assert np.array_equal(from_five.rows[name], from_one.rows[name]), name
    assert np.array_equal(from_five.minutes, from_one.minutes)


@pytest.mark.parametrize(("timeframe", "source"), [(7 * 60, 60), (30, 60), (900, 600), (172_800, 60)])
def test_timeframes_that_do_not_fit_are_refused(timeframe: int, source: int) -> None:
    with pytest.raises(ValueError, match="is not a timeframe"):
        aggregate(walk(10), timeframe, source)
