from __future__ import annotations

import math

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import MIDNIGHT, candle_lists, fil, walk

from tui_feeder.engine.analytics.quantiles import (
    FIELDS,
    MOST_AHEAD_MS,
    PROBABILITIES,
    Quartet,
    VolumeQuantiles,
)
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Rows, to_candles, to_rows


def exact(rows: Rows, minute: int, days: int) -> dict[str, list[float]]:
    rows = rows[(rows["open_time"] > minute + MINUTE_MS - 1 - days * DAY_MS) & (rows["open_time"] <= minute)]
    traded = rows[rows["trades"] > 0]
    columns = {
        "volume": rows["volume"],
        "taker_buy_volume": rows["taker_buy_volume"],
        "avg_trade": traded["volume"] / traded["trades"],
        "trade_count": rows["trades"],
    }
    return {name: np.quantile(c, PROBABILITIES).tolist() for name, c in columns.items() if len(c)}


def feed(quantiles: VolumeQuantiles, rows: Rows, start: int = 0) -> None:
    """Add ``rows[start:]`` one at a time, the leaving ones read from ``rows``, as an engine does."""
    for c in to_candles(rows[start:]):
        span = quantiles.leaving(c.open_time)
        if span is not None:
            inside = (rows["open_time"] >= span[0]) & (rows["open_time"] < span[1])
            quantiles.expire(rows[inside & (rows["open_time"] < c.open_time)], span[1])
        quantiles.add(c)


def check(quartets: dict[str, Quartet] | None, rows: Rows, minute: int, days: int) -> None:
    expected = exact(rows, minute, days)
    assert quartets is not None
    assert set(quartets) == set(expected)
    for name, values in expected.items():
        assert list(quartets[name]) == pytest.approx(values, rel=0.005), name
        assert all(math.isfinite(q) for q in quartets[name])
        assert sorted(quartets[name]) == list(quartets[name])


def test_within_half_a_percent_over_a_sliding_window_of_real_candles() -> None:
    rows = fil()
    start = 62 * 1_440 - 700
    quantiles = VolumeQuantiles(60)
    quantiles.load(rows[:start], int(rows["open_time"][start - 1]))
    for at in range(start, start + 1_400, 70):
        part = rows[: at + 70]
        feed(quantiles, part, at)
        check(quantiles.quartets, part, int(part["open_time"][-1]), 60)
        assert quantiles.size <= 64 * 1024


def test_batch_equals_one_at_a_time_when_candles_leave() -> None:
    rows = walk(5_000, seed=4)
    rows = rows[np.random.default_rng(1).random(len(rows)) < 0.95]
    live = VolumeQuantiles(1)
    for at in range(0, len(rows), 97):
        part = rows[: at + 97]
        feed(live, part, at)
        batch = VolumeQuantiles(1)
        batch.load(part, int(part["open_time"][-1]))
        assert live.quartets == batch.quartets
        check(live.quartets, part, int(part["open_time"][-1]), 1)


@given(candle_lists(most=60), st.integers(0, 60))
@settings(max_examples=examples(200, share=8), deadline=None)
def test_any_split_gives_the_same_and_is_near_the_exact(candles: list[Candle], at: int) -> None:
    rows = to_rows(candles)
    at = min(at, len(rows))
    mixed = VolumeQuantiles(1)
    mixed.load(rows[:at], int(rows["open_time"][at - 1]) if at else 0)
    feed(mixed, rows, at)
    batch = VolumeQuantiles(1)
    batch.load(rows, candles[-1].open_time)
    assert mixed.quartets == batch.quartets
    check(batch.quartets, rows, candles[-1].open_time, 1)


def test_small_trade_counts_are_exact() -> None:
    rows = walk(1_000, seed=2)
    rows["trades"] = np.random.default_rng(5).integers(1, 250, len(rows))
    quantiles = VolumeQuantiles(60)
    quantiles.load(rows, int(rows["open_time"][-1]))
    quartets = quantiles.quartets
    assert quartets is not None
    assert list(quartets["trade_count"]) == np.quantile(rows["trades"], PROBABILITIES).tolist()


def test_without_the_leaving_candles_there_are_no_quantiles_and_with_them_they_return() -> None:
    rows = walk(3_000, seed=6)
    quantiles = VolumeQuantiles(1)
    quantiles.load(rows[:1_440], int(rows["open_time"][1_439]))
    candles = to_candles(rows)
    ahead = 0
    while quantiles.quartets is not None:
        quantiles.add(candles[1_440 + ahead])
        ahead += 1
    assert ahead > 60  # they are known for a while ahead
    last = candles[1_440 + ahead - 1].open_time
    span = quantiles.leaving(last)
    assert span is not None
    inside = (rows["open_time"] >= span[0]) & (rows["open_time"] < span[1])
    quantiles.expire(rows[inside], span[1])
    check(quantiles.quartets, rows[: 1_440 + ahead], last, 1)
    loaded = VolumeQuantiles(1)
    loaded.load(rows[: 1_440 + ahead], last)
    assert quantiles.quartets == loaded.quartets


def test_quiet_minutes_count_as_zero_but_have_no_average_trade() -> None:
    rows = walk(8)
    for name in ("volume", "trades", "taker_buy_volume"):
        rows[name] = 0
    quantiles = VolumeQuantiles(60)
    quantiles.load(rows, int(rows["open_time"][-1]))
    assert quantiles.quartets == {name: (0.0,) * 4 for name in FIELDS if name != "avg_trade"}


def test_nothing_counted_means_nothing_known() -> None:
    quantiles = VolumeQuantiles(60)
    assert quantiles.quartets is None
    quantiles.load(walk(0), 0)
    assert quantiles.quartets is None
    assert quantiles.leaving(MIDNIGHT) is None


def test_a_bucket_counts_beyond_two_bytes() -> None:
    rows = walk(1)[np.zeros(70_000, dtype=int)].copy()
    rows["open_time"] = MIDNIGHT + np.arange(70_000) * MINUTE_MS
    rows["volume"], rows["trades"], rows["taker_buy_volume"] = 5.0, 3, 2.0
    live = VolumeQuantiles(60)
    live.load(rows[:65_530], int(rows["open_time"][65_529]))
    feed(live, rows[:65_600], 65_530)
    check(live.quartets, rows[:65_600], int(rows["open_time"][65_599]), 60)
    live.load(rows, int(rows["open_time"][-1]))
    assert live.quartets is not None
    assert live.quartets["trade_count"] == (3.0,) * 4


def test_symbols_that_start_together_ask_for_leaving_candles_in_different_minutes() -> None:
    """Asking reads and decodes a stored day: 600 of them would hold up a minute's closing frames."""
    rows = walk(1_440 + 960, seed=3)
    asked = dict.fromkeys(range(1_440, len(rows)), 0)
    for number in range(600):
        live = VolumeQuantiles(1, f"C{number}USDT")
        live.load(rows[:1_440], int(rows["open_time"][1_439]))
        for at in asked:
            span = live.leaving(int(rows["open_time"][at]))
            if span is not None:
                asked[at] += 1
                live.expire(rows[slice(*np.searchsorted(rows["open_time"], span))], span[1])
    assert sum(asked.values()) >= 600
    assert max(asked.values()) <= 20


def of_one(volume: float, taker: float, trades: int) -> dict[str, Quartet]:
    """The quantiles of one candle, which are the same added and loaded."""
    rows = walk(1)
    rows["volume"], rows["taker_buy_volume"], rows["trades"] = volume, taker, trades
    live, loaded = VolumeQuantiles(1), VolumeQuantiles(1)
    live.add(to_candles(rows)[0])
    with np.errstate(all="raise"):
        loaded.load(rows, MIDNIGHT)
    assert live.quartets == loaded.quartets
    assert live.quartets is not None
    return live.quartets


@given(st.floats(1e-8, 1e12), st.floats(0, 1), st.integers(1, 10**7))
def test_what_stands_for_a_value_is_within_a_256th_of_it(volume: float, share: float, trades: int) -> None:
    found = of_one(volume, volume * share, trades)
    values = dict(zip(FIELDS, (volume, volume * share, volume / trades, trades), strict=True))
    for name, value in values.items():
        assert len(set(found[name])) == 1
        assert found[name][0] == pytest.approx(value, rel=1 / 256), name
    if trades < 256:
        assert found["trade_count"][0] == trades


@pytest.mark.parametrize(("trades", "found"), [(255, 255), (256, 257), (257, 257), (300, 301), (512, 514)])
def test_a_count_is_exact_below_256_and_the_middle_of_its_bucket_from_there_on(
    trades: int, found: int
) -> None:
    assert of_one(1.0, 0.5, trades)["trade_count"] == (found,) * 4


def test_minutes_without_a_taker_or_without_a_trade() -> None:
    assert of_one(10.0, 0.0, 4)["taker_buy_volume"] == (0.0,) * 4
    assert of_one(10.0, 0.0, 4)["avg_trade"][0] == pytest.approx(2.5, rel=1 / 256)
    assert set(of_one(0.0, 0.0, 0)) == set(FIELDS) - {"avg_trade"}


def test_a_field_whose_values_span_twenty_powers_of_two_takes_five_kilobytes() -> None:
    rows = walk(1_440)
    for name in ("volume", "taker_buy_volume"):
        rows[name] = np.geomspace(1, 1 << 20, len(rows))
    rows["trades"] = 1
    loaded = VolumeQuantiles(60)
    loaded.load(rows, int(rows["open_time"][-1]))
    assert 3 * 5_120 <= loaded.size <= 3 * 5_200 + 20


def counts(quantiles: VolumeQuantiles) -> list[tuple[str, list[int]]]:
    """What the histograms count, without the room they keep."""
    return [(code, [n for n in memoryview(raw).cast(code) if n]) for code, raw, _ in quantiles.state()[2]]


def test_candles_about_to_leave_take_24_bytes_each() -> None:
    rows = walk(1_440)
    sizes = []
    for days in (1, 60):
        loaded = VolumeQuantiles(days)
        loaded.load(rows, int(rows["open_time"][-1]))
        sizes.append(loaded.size)
    assert sizes[0] - sizes[1] == 240 * 24  # those of the next four hours


@pytest.mark.parametrize("count", [65_534, 65_535, 65_536])
def test_a_bucket_counts_on_where_two_bytes_end(count: int) -> None:
    """Other minutes leave while its own come."""
    size = 46 * 1_440
    rows = walk(1)[np.zeros(size + 10, dtype=int)].copy()
    rows["open_time"] = MIDNIGHT + np.arange(len(rows)) * MINUTE_MS
    rows["volume"], rows["trades"], rows["taker_buy_volume"] = 5.0, 3, 2.0
    rows["trades"][: size - count] = 7
    live, loaded = VolumeQuantiles(46), VolumeQuantiles(46)
    live.load(rows[:size], int(rows["open_time"][size - 1]))
    feed(live, rows, size)
    loaded.load(rows, int(rows["open_time"][-1]))
    assert counts(live) == counts(loaded)
    assert counts(live)[3] == ("I", [count + 10, size - count - 10])


@given(
    st.lists(
        st.tuples(
            st.sampled_from((1, 1, 1, 200, 719, 1_441)),
            st.sampled_from((0, 0, 1e-3, 1, 7, 7.05, 1e4)),
            st.sampled_from((0, 1, 199, 200, 201)),
        ),
        min_size=1,
        max_size=25,
    ),
    st.integers(0, 25),
)
@settings(max_examples=examples(200), deadline=None)
def test_looked_up_after_every_minute_it_is_what_all_at_once_gives(
    minutes: list[tuple[int, float, int]], at: int
) -> None:
    rows = walk(1)[np.zeros(len(minutes), dtype=int)].copy()
    gaps, rows["volume"], rows["trades"] = zip(*minutes, strict=True)
    rows["open_time"] = MIDNIGHT + np.cumsum(gaps) * MINUTE_MS
    rows["taker_buy_volume"] = rows["volume"] / 2
    live = VolumeQuantiles(1)
    if rows[:at].size:
        live.load(rows[:at], int(rows["open_time"][:at][-1]))
    for end in range(at + 1, len(rows) + 1):
        feed(live, rows[:end], end - 1)
        loaded = VolumeQuantiles(1)
        loaded.load(rows[:end], int(rows["open_time"][end - 1]))
        assert live.quartets == loaded.quartets
        check(live.quartets, rows[:end], int(rows["open_time"][end - 1]), 1)
        assert counts(live) == counts(loaded)


@pytest.mark.parametrize("minutes", [60, 32, 15])
def test_while_one_leaves_for_each_that_comes_it_is_what_all_at_once_gives(minutes: int) -> None:
    """As in a full window from minute to minute, where a result stands as long as none can have moved."""
    count = DAY_MS // MINUTE_MS // minutes
    random = np.random.default_rng(minutes)
    rows = walk(1)[np.zeros(5 * count + 100, dtype=int)].copy()
    rows["open_time"] = MIDNIGHT + np.arange(len(rows)) * minutes * MINUTE_MS
    rows["volume"] = random.integers(1, 7, len(rows))
    rows["taker_buy_volume"] = random.choice((0.0, 0.2, 3.0), len(rows))
    rows["trades"] = random.choice((1, 1, 1, 2, 50), len(rows))
    live = VolumeQuantiles(1)
    live.load(rows[:count], int(rows["open_time"][count - 1]))
    for end in range(count + 1, len(rows) + 1):
        feed(live, rows[:end], end - 1)
        loaded = VolumeQuantiles(1)
        loaded.load(rows[:end], int(rows["open_time"][end - 1]))
        assert live.quartets == loaded.quartets


@pytest.mark.parametrize("trades", [199, 201])
def test_a_value_beside_all_others_comes_while_one_leaves(trades: int) -> None:
    rows = walk(1)[np.zeros(25, dtype=int)].copy()
    rows["open_time"] = MIDNIGHT + np.arange(25) * 60 * MINUTE_MS
    rows["volume"], rows["taker_buy_volume"] = 5.0, 2.0
    rows["trades"] = [200] * 24 + [trades]
    live, loaded = VolumeQuantiles(1), VolumeQuantiles(1)
    live.load(rows[:24], int(rows["open_time"][23]))
    feed(live, rows, 24)
    loaded.load(rows, int(rows["open_time"][24]))
    assert counts(live) == counts(loaded)
    assert live.quartets == loaded.quartets


def test_an_added_value_takes_the_room_of_its_power_of_two_alone() -> None:
    rows = walk(1)
    for volume in (1e-7, 1e12):
        rows["volume"] = rows["taker_buy_volume"] = volume
        live = VolumeQuantiles(1)
        live.add(to_candles(rows)[0])
        assert live.size <= 4 * 2 * (2 + 128)


@pytest.mark.parametrize("at", [1, 700, 1_440, 1_700, 3_000])
def test_it_goes_on_from_its_saved_state(at: int) -> None:
    rows = walk(4_000, seed=8)
    saved = VolumeQuantiles(1, "AUSDT")
    feed(saved, rows[:at])
    restored = VolumeQuantiles(1, "AUSDT")
    restored.restore(saved.state())
    # What was read ahead is read again.
    for step in range(at, len(rows), 500):
        part = rows[: step + 500]
        feed(restored, part, step)
        feed(saved, part, step)
        assert restored.quartets == saved.quartets
        check(restored.quartets, part, int(part["open_time"][-1]), 1)
    assert counts(restored) == counts(saved)


def test_loading_or_restoring_begins_anew() -> None:
    rows, others = walk(3_000, seed=8), walk(2_000, seed=9, price=5.0)
    used, fresh, source = VolumeQuantiles(1), VolumeQuantiles(1), VolumeQuantiles(1)
    feed(used, others)
    source.load(rows[:1_500], int(rows["open_time"][1_499]))
    for load in (
        lambda q: q.load(rows[:1_500], int(rows["open_time"][1_499])),
        lambda q: q.restore(source.state()),
    ):
        load(used)
        load(fresh)
        assert used.state() == fresh.state()
        assert used.size == fresh.size
        feed(used, rows, 1_500)
        feed(fresh, rows, 1_500)
        assert used.quartets == fresh.quartets
        assert used.state() == fresh.state()


def test_what_was_never_there_is_not_asked_for() -> None:
    """A window that began with its symbol."""
    rows = walk(3_000, seed=2)
    live = VolumeQuantiles(1)
    live.load(rows[:100], int(rows["open_time"][99]))
    spans = [span for minute in rows["open_time"][100:].tolist() if (span := live.leaving(minute))]
    assert spans[0] == (MIDNIGHT, MIDNIGHT + 241 * MINUTE_MS)
    assert len(spans) == 3_000 - 1_440


def test_stretches_that_leave_are_asked_for_four_to_eight_hours_ahead_each_once() -> None:
    rows = walk(5 * 1_440, seed=3)
    ahead = set()
    for number in range(40):
        live = VolumeQuantiles(1, f"C{number}USDT")
        live.load(rows[:1_440], int(rows["open_time"][1_439]))
        until = None
        for minute in rows["open_time"][1_440:].tolist():
            span = live.leaving(minute)
            leaves = minute + MINUTE_MS - DAY_MS
            if span is None:
                assert until is None or leaves <= until
                continue
            assert span[0] == leaves - MINUTE_MS
            assert until in (None, span[0])
            length = span[1] - leaves
            assert 240 * MINUTE_MS <= length < MOST_AHEAD_MS == 480 * MINUTE_MS
            assert until or span[0] == MIDNIGHT + length
            until = span[1]
            ahead.add(length)
            live.expire(rows[slice(*np.searchsorted(rows["open_time"], span))], span[1])
    assert len(ahead) > 30
