from __future__ import annotations

import calendar

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import TRIED_MONTHS, real_month

from tui_feeder.engine.core.candle import (
    MINUTE_MS,
    Candle,
    fault_of,
    faulty,
    is_timeframe,
    timeframe_label,
    to_candles,
    to_rows,
)

GOOD = Candle(60_000, 10.0, 12.0, 9.0, 11.0, 5.0, 53.0, 3, 2.0, 21.0)


def changed(**fields: float) -> Candle:
    values = {name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | fields
    return Candle(**values)


near = st.sampled_from((9.0, 10.0, 10.5, 11.0, 12.0)) | st.floats(allow_nan=True, allow_infinity=True)
amount = st.sampled_from((0.0, -0.0, 2.0, 5.0, 53.0)) | st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.builds(
        Candle,
        open_time=st.sampled_from((60_000, 120_000, 0, -60_000)) | st.integers(-(1 << 62), 1 << 62),
        open=near, high=near, low=near, close=near, volume=amount, quote_volume=amount,
        trades=st.sampled_from((0, 1, 3)) | st.integers(-5, 1 << 40),
        taker_buy_volume=amount, taker_buy_quote_volume=amount,
    )
)  # fmt: skip
@example(GOOD)
@example(changed(volume=5e-324, quote_volume=1e300))
@example(changed(high=1.7e308, low=5e-324))
def test_one_by_one_and_in_batch_the_same_candles_are_refused(candle: Candle) -> None:
    assert (fault_of(candle) is not None) == bool(faulty(to_rows([candle]))[0])


@given(st.fixed_dictionaries({}, optional={
    "open": st.sampled_from((9.0, 9.5, 12.0)), "close": st.sampled_from((9.0, 12.0)),
    "taker_buy_volume": st.sampled_from((0.0, 5.0)), "quote_volume": st.sampled_from((45.0, 60.0)),
}))  # fmt: skip
def test_candles_on_the_edge_of_the_invariants_pass(fields: dict[str, float]) -> None:
    assert fault_of(changed(**fields)) is None
    assert not faulty(to_rows([changed(**fields)])).any()


SUMS = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"open_time": 60_001}, "open_time is not on a minute"),
        ({"open_time": 0}, "open_time is not positive"),
        ({"open": float("nan")}, "a value is not finite"),
        ({"volume": float("inf")}, "a value is not finite"),
        ({"low": 0.0}, "a price is not positive"),
        ({"low": 10.5}, "open or close lies outside low..high"),
        ({"high": 10.5}, "open or close lies outside low..high"),
        ({"taker_buy_quote_volume": -1.0}, "a volume or count is negative"),
        ({"trades": -1}, "a volume or count is negative"),
        ({"trades": 0}, "volume and trade count disagree about zero"),
        ({"volume": 0.0}, "volume and trade count disagree about zero"),
        ({"volume": 0.0, "trades": 0}, "no trades, yet a volume is not zero"),
        (dict.fromkeys(SUMS, 0.0) | {"trades": 0}, "no trades, yet the candle is not flat"),
        ({"taker_buy_volume": 5.1}, "taker_buy_volume exceeds volume"),
        ({"quote_volume": 44.9}, "quote_volume / volume lies outside low..high"),
        ({"quote_volume": 60.1}, "quote_volume / volume lies outside low..high"),
    ],
)
def test_a_broken_invariant_is_named(fields: dict[str, float], reason: str) -> None:
    assert fault_of(changed(**fields)) == reason
    assert faulty(to_rows([changed(**fields)])).tolist() == [True]


@pytest.mark.parametrize("month", TRIED_MONTHS)
def test_every_real_candle_keeps_every_invariant(month: str) -> None:
    rows = real_month(month)
    year, number = map(int, month.split("-")[-2:])
    assert len(rows) == calendar.monthrange(year, number)[1] * 1_440
    assert not faulty(rows).any()
    assert all(fault_of(candle) is None for candle in to_candles(rows[:1_440]))


def test_candles_and_rows_are_two_forms_of_the_same_numbers() -> None:
    candles = [GOOD, changed(open_time=120_000, volume=5.5)]
    assert to_candles(to_rows(candles)) == candles
    assert to_rows(candles).dtype.itemsize == 80
    assert len(to_rows([])) == 0
    assert isinstance(to_candles(to_rows(candles))[0].trades, int)
    assert not np.isnan(to_rows(candles)["close"]).any()


def test_a_candle_closes_one_millisecond_before_the_next_opens() -> None:
    assert GOOD.close_time() == 60_000 + MINUTE_MS - 1
    assert GOOD.close_time(300) == 60_000 + 300_000 - 1


def test_timeframes_are_whole_minutes_that_divide_a_day() -> None:
    assert [s for s in (0, 30, 60, 90, 300, 420, 3_600, 14_400, 86_400, 172_800) if is_timeframe(s)] == [
        60, 300, 3_600, 14_400, 86_400,
    ]  # fmt: skip
    assert [timeframe_label(s) for s in (60, 900, 3_600, 14_400, 86_400)] == ["1m", "15m", "1h", "4h", "1d"]
    with pytest.raises(ValueError, match="90 s"):
        timeframe_label(90)
