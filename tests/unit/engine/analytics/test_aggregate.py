from __future__ import annotations

from decimal import Decimal
from functools import reduce
from itertools import product
from operator import add
from typing import Any

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import MIDNIGHT, TRIED_MONTHS, candle, candle_lists, real_month, walk

from tui_feeder.engine.analytics.aggregate import Bar, LiveBar, aggregate, buckets, sum_in
from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Candle, Rows, to_candles, to_rows
from tui_feeder.engine.core.coverage import Coverage

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


def of_volumes(minute: int, *volumes: float) -> Candle:
    volume, quote, taker, taker_quote = volumes
    return Candle(MIDNIGHT + minute * MINUTE_MS, 1, 1, 1, 1, volume, quote, 1, taker, taker_quote)


@pytest.mark.parametrize("field", ["volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"])
def test_sums_keep_decimal_digits(field: str) -> None:
    candles = [of_volumes(i, *[volume] * 4) for i, volume in enumerate((0.1, 0.2, 0.3, 0.1, 0.2))]
    (bar,) = live(candles, 300)
    assert getattr(bar.candle, field) == 0.9  # a plain float sum gives 0.9000000000000001
    assert aggregate(to_rows(candles), 300).rows[field][0] == 0.9


def test_a_day_of_tenths_sums_up_to_the_last_digit() -> None:
    assert reduce(add, [0.1] * 1_440) != 144.0  # what floats alone come to; sum() is exact since Python 3.12
    (bar,) = live([of_volumes(i, 0.1, 0.1, 0.1, 0.1) for i in range(1_440)], 86_400)
    made = bar.candle
    assert (made.volume, made.quote_volume) == (144.0, 144.0)
    assert (made.taker_buy_volume, made.taker_buy_quote_volume) == (144.0, 144.0)


@given(st.lists(st.decimals(0, 10**6, places=3), min_size=240, max_size=240))
@settings(max_examples=examples(30), deadline=None)
def test_a_long_sum_equals_the_decimal_sum(volumes: list[Decimal]) -> None:
    """Of each field, in an order of its own."""
    orders = [[float(volume) for volume in volumes[at:] + volumes[:at]] for at in (0, 1, 2, 3)]
    (bar,) = live([of_volumes(i, *each) for i, each in enumerate(zip(*orders, strict=True))], 14400)
    made = bar.candle
    sums = (made.volume, made.quote_volume, made.taker_buy_volume, made.taker_buy_quote_volume)
    assert sums == (float(sum(volumes)),) * 4


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
    assert from_five.minutes.dtype == np.int64


@pytest.mark.parametrize(("timeframe", "source"), [(7 * 60, 60), (30, 60), (900, 600), (172_800, 60)])
def test_timeframes_that_do_not_fit_are_refused(timeframe: int, source: int) -> None:
    with pytest.raises(ValueError, match="is not a timeframe"):
        aggregate(walk(10), timeframe, source)
    with pytest.raises(ValueError, match="is not a timeframe"):
        LiveBar(timeframe if source == 60 else 420)


def counted(
    candles: list[Candle], timeframe: int, listed: int, omitted: Coverage
) -> dict[int, tuple[int, int]]:
    """By opening of a bar: minutes that are there or before the listing, and those that never were."""
    found = {}
    for opening in {c.open_time - c.open_time % (timeframe * 1000) for c in candles}:
        minutes = set(range(opening, opening + timeframe * 1000, MINUTE_MS))
        there = {c.open_time for c in candles} & minutes
        before = {minute for minute in minutes if minute < listed} if listed in minutes else set()
        if not there & before:
            there |= before
        found[opening] = (len(there), len({minute for minute in minutes if minute in omitted}))
    return found


@pytest.mark.parametrize("listed", range(-1, 8))
def test_minutes_before_the_listing_and_those_the_exchange_never_had_are_not_missing(listed: int) -> None:
    """Any candles of two bars of three minutes, and any of the others never were."""
    since = MIDNIGHT + listed * MINUTE_MS
    for kinds in product(("candle", "missing", "omitted"), repeat=6):
        candles = [candle(i, 5, 5, 5, 5) for i, kind in enumerate(kinds) if kind == "candle"]
        if not candles or kinds.count("omitted") > 1:
            continue
        times = [MIDNIGHT + i * MINUTE_MS for i, kind in enumerate(kinds) if kind == "omitted"]
        omitted = Coverage((time, time + MINUTE_MS) for time in times)
        expected = counted(candles, 180, since, omitted)
        bars = aggregate(to_rows(candles), 180, listed=since, omitted=omitted)
        assert (bars.minutes.dtype, bars.omitted.dtype) == (np.int64, np.int64)
        bar_in_progress = LiveBar(180, since, omitted)
        done = [bar for c in candles for bar in bar_in_progress.add(c)]
        assert len(done) == len(bars.minutes)
        for at, bar in enumerate(done):
            minutes, never = expected[bar.candle.open_time]
            assert (bar.minutes, bar.omitted) == (minutes, never)
            assert (bars.minutes[at], bars.omitted[at]) == (minutes, never)
            assert bar.lacking == 3 - minutes - never
            assert isinstance(bar.lacking, int)
            assert bar.partial == bars.partial[at] == (minutes + never < 3)


@pytest.mark.parametrize("timeframe", [180, 3600])
def test_a_bar_goes_on_from_its_saved_state_with_the_same_bits(timeframe: int) -> None:
    rows = walk(300, seed=9)
    candles = to_candles(rows)
    for at in (0, 1, 2, 59, 60, 61, 200):
        saved, restored = LiveBar(timeframe), LiveBar(timeframe)
        for c in candles[:at]:
            saved.add(c)
        restored.restore(saved.state())
        assert [restored.add(c) for c in candles[at:]] == [saved.add(c) for c in candles[at:]]
        assert restored.state() == saved.state()


def test_the_state_of_a_bar_in_progress_is_what_its_candles_come_to() -> None:
    bar = LiveBar(300)
    assert bar.state() == (0, 0, 0, (0.0,) * 4, (0.0,) * 4, (0.0,) * 4)
    for i in range(4):
        bar.add(of_volumes(i, 0.1, 0.2, 0.3, 0.4))
    end, minutes, trades, prices, sums, _ = bar.state()
    assert (end, minutes, trades, prices) == (MIDNIGHT + 5 * MINUTE_MS, 4, 4, (1, 1, 1, 1))
    assert sums == pytest.approx((0.4, 0.8, 1.2, 1.6))


@given(candle_lists(), st.sampled_from(TIMEFRAMES[1:]))
def test_rows_are_divided_where_bars_begin_and_what_is_in_progress_is_left_over(
    candles: list[Candle], timeframe: int
) -> None:
    rows, span = to_rows(candles), timeframe * 1000
    parts = buckets(rows, timeframe)
    opening = rows["open_time"] // span * span
    whole = rows["open_time"][-1] + MINUTE_MS == opening[-1] + span
    assert parts.rest == (len(rows) if whole else np.searchsorted(opening, opening[-1]))
    assert parts.open_times.tolist() == sorted(set(opening[: parts.rest].tolist()))
    assert parts.starts.tolist() == np.searchsorted(opening, parts.open_times).tolist()
    assert parts.ends.tolist() == np.searchsorted(opening, parts.open_times, side="right").tolist()
    sums = sum_in("volume", rows, parts, timeframe)
    assert sums.tolist() == pytest.approx([
        rows["volume"][a:b].sum() for a, b in zip(parts.starts, parts.ends, strict=True)
    ])  # fmt: skip


def test_no_rows_are_no_bars() -> None:
    parts = buckets(walk(0), 300)
    assert (len(parts.open_times), len(parts.starts), len(parts.ends), parts.rest) == (0, 0, 0, 0)


def test_a_minute_is_a_bar_of_its_own_and_lacks_nothing() -> None:
    rows = walk(3)
    bars = aggregate(rows, 60)
    assert bars.rows.tobytes() == rows.tobytes()
    assert (bars.minutes.dtype, bars.minutes.tolist(), bars.omitted.tolist()) == (
        np.int64,
        [1, 1, 1],
        [0, 0, 0],
    )
    assert LiveBar(60).add(to_candles(rows)[1]) == (Bar(to_candles(rows)[1], 60, 1),)
    bars.rows["close"] = 0
    assert rows["close"].all()
