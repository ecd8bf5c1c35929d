from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_feeder.simulator.digits import rest_rows, table
from tui_feeder.simulator.forming import FormingMinute
from tui_feeder.simulator.market import (
    CLOSE,
    DAY,
    HIGH,
    HOUR,
    LOW,
    MINUTE,
    OPEN,
    QUOTE,
    TAKER,
    TAKER_QUOTE,
    TRADES,
    VOLUME,
    Ints,
    aggregate,
)
from tui_feeder.simulator.synthetic import DEFAULT_SYMBOLS, synthetic_market

AS_OF = 1_773_144_000_000  # 2026-03-10T12:00:00Z
MARKET = synthetic_market([*DEFAULT_SYMBOLS, "C1USDT", "QUIETUSDC", "Z99USDT"], as_of_ms=AS_OF)
SYMBOLS = st.sampled_from(list(MARKET.symbols))
DAYS = st.integers(min_value=AS_OF // DAY - 30, max_value=AS_OF // DAY + 400)


def assert_sound(values: Ints) -> None:
    o, h, low, c, v, q, n, taken, taken_quote = values.T
    assert (low > 0).all()
    assert (low <= np.minimum(o, c)).all()
    assert (np.maximum(o, c) <= h).all()
    assert (v >= 0).all()
    assert ((v == 0) == (n == 0)).all()
    quiet = v == 0
    assert (low[quiet] == h[quiet]).all()
    assert (q[quiet] == 0).all()
    assert (low * v <= q).all()
    assert (q <= h * v).all()
    assert ((taken >= 0) & (taken <= v)).all()
    assert ((taken_quote >= 0) & (taken_quote <= q)).all()


@settings(max_examples=examples(60), deadline=None)
@given(symbol=SYMBOLS, day=DAYS)
def test_every_synthetic_day_keeps_the_invariants_of_a_candle(symbol: str, day: int) -> None:
    block = MARKET.minutes(symbol, day * DAY, (day + 1) * DAY)
    instrument = MARKET.instruments[symbol]
    listed = [t for t in range(day * DAY, (day + 1) * DAY, MINUTE) if t >= instrument.onboard]
    assert block.times.tolist() == listed
    assert_sound(block.values)
    assert (block.values[:, [OPEN, HIGH, LOW, CLOSE]] % instrument.tick == 0).all()
    assert (block.values[:, [VOLUME, TAKER]] % instrument.step == 0).all()


@settings(max_examples=examples(40), deadline=None)
@given(symbol=SYMBOLS, day=DAYS)
def test_a_candle_opens_at_most_a_few_ticks_from_the_close_before_it_over_midnight_too(
    symbol: str, day: int
) -> None:
    values = MARKET.minutes(symbol, day * DAY - HOUR, day * DAY + DAY).values
    if not len(values):
        return
    distance = np.abs(values[1:, OPEN] - values[:-1, CLOSE])
    single = values[1:, TRADES] == 1  # its one trade is open and close
    assert (distance[~single] <= MARKET.instruments[symbol].tick).all()


def test_the_same_minute_is_the_same_candle_whatever_the_start_and_the_order_of_asking() -> None:
    other = synthetic_market(["ETHUSDT", "BTCUSDT"], as_of_ms=AS_OF + 300 * DAY)
    begin = AS_OF // DAY * DAY
    whole = MARKET.minutes("BTCUSDT", begin - 3 * DAY, begin)
    for hour in reversed(range(72)):
        part = other.minutes("BTCUSDT", begin - 3 * DAY + hour * HOUR, begin - 3 * DAY + (hour + 1) * HOUR)
        if len(part.times):  # the later market has listed it later
            assert (part.values == whole.values[hour * 60 : (hour + 1) * 60]).all()
    late = begin + 200 * DAY
    assert (
        other.minutes("BTCUSDT", late, late + DAY).values
        == MARKET.minutes("BTCUSDT", late, late + DAY).values
    ).all()


def test_another_seed_is_another_market() -> None:
    begin = AS_OF // DAY * DAY
    other = synthetic_market(["BTCUSDT"], seed=2, as_of_ms=AS_OF)
    ours = MARKET.minutes("BTCUSDT", begin, begin + HOUR).values
    assert (other.minutes("BTCUSDT", begin, begin + HOUR).values != ours).any()


def test_prices_and_volatility_are_believable() -> None:
    end = AS_OF // DAY * DAY
    for symbol, low, high in (("BTCUSDT", 3e4, 3e5), ("ETHUSDT", 8e2, 1.2e4), ("DOGEUSDT", 0.03, 1.0)):
        block = MARKET.minutes(symbol, end - 120 * DAY, end)
        closes = aggregate(block, DAY).values[:, CLOSE] * 10.0 ** -MARKET.instruments[symbol].price_decimals
        assert low < closes.min()
        assert closes.max() < high
        assert 0.01 < np.diff(np.log(closes)).std() < 0.12
        spans = (block.values[:, HIGH] - block.values[:, LOW]).astype(float)
        assert np.corrcoef(spans, block.values[:, VOLUME].astype(float))[0, 1] > 0.3
        share = block.values[:, TAKER].sum() / block.values[:, VOLUME].sum()
        assert 0.45 < share < 0.55


def test_quiet_coins_have_minutes_without_a_trade_and_busy_ones_have_none() -> None:
    end = AS_OF // DAY * DAY
    quiet = MARKET.minutes("币安人生USDT", end - 10 * DAY, end).values
    assert 50 < (quiet[:, TRADES] == 0).sum() < len(quiet) / 3
    assert (MARKET.minutes("BTCUSDT", end - 10 * DAY, end).values[:, TRADES] > 0).all()
    gaps = np.flatnonzero(quiet[1:, TRADES] == 0) + 1
    assert (quiet[gaps, CLOSE] == quiet[gaps - 1, CLOSE]).all()


def test_the_newcomer_has_no_candle_before_its_listing() -> None:
    instrument = MARKET.instruments["币安人生USDT"]
    assert 7 * DAY < AS_OF - instrument.onboard < 60 * DAY
    block = MARKET.minutes("币安人生USDT", 0, instrument.onboard + 3 * MINUTE)
    assert block.times.tolist() == [instrument.onboard + i * MINUTE for i in range(3)]


def test_a_settled_coin_stays_flat_at_its_last_price() -> None:
    values = MARKET.minutes("SRMUSDT", AS_OF - 5 * DAY, AS_OF).values
    assert len(np.unique(values[:, :4])) == 1
    assert not values[:, VOLUME:].any()


def test_six_hundred_made_up_names_are_listed_and_a_name_without_a_quote_asset_is_refused() -> None:
    market = synthetic_market([f"C{i}USDT" for i in range(600)], as_of_ms=AS_OF)
    assert len(market.symbols) == 600
    with pytest.raises(ValueError, match=r"'EURBTC'.*USDT or USDC"):
        synthetic_market(["EURBTC"])


CANDLES = st.builds(
    lambda low, a, b, c, volume, trades, place, taken: (low, a, b, c, volume, trades, place, taken),
    st.integers(1, 10**7),
    st.integers(0, 5_000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 10**9),
    st.integers(1, 50_000),
    st.floats(0, 1),
    st.floats(0, 1),
)


@settings(max_examples=examples(150), deadline=None)
@given(made=CANDLES, minute=st.integers(29_000_000, 30_000_000))
def test_a_forming_candle_grows_into_the_closed_one(
    made: tuple[int, int, float, float, int, int, float, float], minute: int
) -> None:
    low, span, at_open, at_close, volume, trades, place, taken = made
    trades = min(trades, volume)
    if trades <= 2:
        at_open, at_close = (0.0, 0.0) if trades == 1 else (0.0, 1.0)
        span = 0 if trades == 1 else span
    quote = low * volume + round(place * span * volume)
    candle = np.zeros(9, np.int64)
    candle[[OPEN, HIGH, LOW, CLOSE]] = (
        low + round(at_open * span),
        low + span,
        low,
        low + round(at_close * span),
    )
    candle[[VOLUME, QUOTE, TRADES]] = volume, quote, trades
    candle[TAKER] = round(taken * volume)
    candle[TAKER_QUOTE] = min(quote, round(quote * (candle[TAKER] / volume)))
    forming = FormingMinute(minute * MINUTE, candle, 1, key=7)
    states = forming.states
    assert len(states) == 241
    assert states[-1].tolist() == candle.tolist()
    assert not states[0].any()
    begun = states[states[:, TRADES] > 0]
    assert (begun[:, OPEN] == candle[OPEN]).all()
    assert (np.diff(begun[:, HIGH]) >= 0).all()
    assert (np.diff(begun[:, LOW]) <= 0).all()
    assert (np.diff(begun[:, [VOLUME, QUOTE, TRADES, TAKER, TAKER_QUOTE]], axis=0) >= 0).all()
    inside = begun[:, [OPEN, HIGH, LOW, CLOSE]]
    assert ((inside >= low) & (inside <= low + span)).all()
    assert (begun[:, LOW] <= np.minimum(begun[:, OPEN], begun[:, CLOSE])).all()
    assert (begun[:, HIGH] >= np.maximum(begun[:, OPEN], begun[:, CLOSE])).all()
    assert (begun[:, VOLUME] > 0).all()
    assert (begun[:, TAKER] <= begun[:, VOLUME]).all()
    assert (begun[:, TAKER_QUOTE] <= begun[:, QUOTE]).all()


def test_the_path_of_a_busy_minute_touches_both_extremes_before_its_end() -> None:
    times, values = MARKET.minutes("BTCUSDT", AS_OF, AS_OF + HOUR)
    for time, candle in zip(times.tolist(), values, strict=True):
        last_update = FormingMinute(time, candle, 10, key=1).states[-2]
        assert last_update[HIGH] == candle[HIGH]
        assert last_update[LOW] == candle[LOW]
        assert 0.9 * candle[VOLUME] < last_update[VOLUME] < candle[VOLUME]


@settings(max_examples=examples(20), deadline=None)
@given(symbol=SYMBOLS, start=st.integers(0, 500), minutes=st.integers(1, 500))
def test_bars_are_what_adding_up_minute_by_minute_gives(symbol: str, start: int, minutes: int) -> None:
    begin = AS_OF // DAY * DAY + start * MINUTE
    block = MARKET.minutes(symbol, begin, begin + minutes * MINUTE)
    expected: dict[int, list[int]] = {}
    for time, row in zip(block.times.tolist(), block.values.tolist(), strict=True):
        bar = expected.get(time // (15 * MINUTE))
        if bar is None:
            expected[time // (15 * MINUTE)] = row
            continue
        bar[HIGH], bar[LOW], bar[CLOSE] = max(bar[HIGH], row[HIGH]), min(bar[LOW], row[LOW]), row[CLOSE]
        for column in range(VOLUME, 9):
            bar[column] += row[column]
    bars = aggregate(block, 15 * MINUTE)
    assert bars.values.tolist() == list(expected.values())
    assert bars.times.tolist() == [key * 15 * MINUTE for key in expected]


@settings(max_examples=examples(80), deadline=None)
@given(
    numbers=st.lists(st.tuples(st.integers(0, 10**15), st.integers(0, 10**6)), min_size=1, max_size=30),
    places=st.integers(0, 8),
    times=st.sampled_from((1, 60)),
)
def test_a_table_of_digits_prints_what_exact_decimals_print(
    numbers: list[tuple[int, int]], places: int, times: int
) -> None:
    numbers = numbers * times  # a few rows are printed in another way than many
    columns = [np.array(column, np.int64) for column in zip(*numbers, strict=True)]
    text = table(columns, [places, 0], [b"", b",", b"\n"], bare_zero=False).decode()
    expected = ""
    for first, second in numbers:
        whole, part = divmod(first, 10**places)
        expected += f"{whole}.{part:0{places}d},{second}\n" if places else f"{whole},{second}\n"
    assert text == expected


def test_an_archive_prints_a_zero_bare_and_rest_prints_it_with_decimals() -> None:
    zero = np.array([0, 5], np.int64)
    assert table([zero], [3], [b"", b"\n"], bare_zero=True) == b"0\n0.005\n"
    assert table([zero], [3], [b"", b"\n"], bare_zero=False) == b"0.000\n0.005\n"
    many = np.tile(zero, 60)
    assert table([many], [3], [b"", b"\n"], bare_zero=True) == b"0\n0.005\n" * 60
    assert table([many], [3], [b"", b"\n"], bare_zero=False) == b"0.000\n0.005\n" * 60


def test_no_rows_are_an_empty_list() -> None:
    block = MARKET.minutes("BTCUSDT", AS_OF, AS_OF)
    assert rest_rows(block, MARKET.instruments["BTCUSDT"], MINUTE) == b"[]"
