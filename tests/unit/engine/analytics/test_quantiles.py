from __future__ import annotations

import math

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import MIDNIGHT, candle_lists, fil, walk

from tui_feeder.engine.analytics.quantiles import FIELDS, PROBABILITIES, Quartet, VolumeQuantiles
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
