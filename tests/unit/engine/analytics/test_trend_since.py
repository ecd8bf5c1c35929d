"""Since when a trend is what it is: the same whether bars were counted one by one, at once, or resumed."""

from __future__ import annotations

import numpy as np
import pytest
from examples import some_of
from samples import MIDNIGHT, walk

from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import MINUTE_MS, Rows, to_candles

SETTINGS = (
    PipelineSettings((60, 300, 3_600), (3, 8), "closes_vs_ema", 0, None),
    PipelineSettings((60, 300, 3_600), (2, 5, 40), "ema_cross", 0, None),
)


def seconds_apart(rows: Rows, timeframe: int, count: int) -> Rows:
    """Bars of the exchange from before the rows, as seeds."""
    start = int(rows["open_time"][0]) // (timeframe * 1000) * timeframe * 1000
    seeds = np.zeros(count, dtype=[("open_time", "<i8"), ("close", "<f8")])
    seeds["open_time"] = start - np.arange(count, 0, -1) * timeframe * 1000
    seeds["close"] = rows["close"][0] * (1 + 0.001 * np.arange(count))
    return seeds


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("seeded", [False, True])
@pytest.mark.parametrize("seed", some_of(range(4)))
def test_it_is_the_end_of_the_bar_with_which_the_trend_changed(
    settings: PipelineSettings, seeded: bool, seed: int
) -> None:
    rows = walk(700, seed=seed, start=MIDNIGHT + 7 * MINUTE_MS)
    seeds = {frame: seconds_apart(rows, frame, 50) for frame in settings.timeframes} if seeded else {}
    live = SymbolPipeline("XUSDT", settings)
    live.load(rows[:0], seeds=seeds)
    before = {state.timeframe: state.trend for state in live.timeframe_states()}
    since: dict[int, int | None] = dict.fromkeys(before)
    for index, candle in enumerate(to_candles(rows), 1):
        live.update(candle)
        for state in live.timeframe_states():
            if state.trend != before[state.timeframe]:
                before[state.timeframe] = state.trend
                since[state.timeframe] = (state.bar_time or 0) + state.timeframe * 1000
            assert state.trend_since == since[state.timeframe]
        if index % 50 == 0 or index < 30:
            batch = SymbolPipeline("XUSDT", settings)
            batch.load(rows[:index], seeds=seeds)
            assert batch.timeframe_states() == live.timeframe_states(), index
            resumed = SymbolPipeline("XUSDT", settings)
            resumed.restore(live.state(), rows[:0])
            assert resumed.timeframe_states() == live.timeframe_states()
    assert any(time is not None for time in since.values())


@pytest.mark.parametrize("period", [8, 89])
def test_a_trend_that_began_long_ago_is_found(period: int) -> None:
    rows = walk(20_000, seed=3)
    rows["close"][15_000:] = 200.0 + np.arange(5_000) * 0.01  # a rise that never ends
    rows["close"][:15_000] = 200.0 - np.arange(15_000) * 0.01
    settings = PipelineSettings((60,), (3, period), "closes_vs_ema", 0, None)
    batch = SymbolPipeline("XUSDT", settings)
    batch.load(rows)
    (state,) = batch.timeframe_states()
    live = SymbolPipeline("XUSDT", settings)
    live.load(rows[:14_000])
    for candle in to_candles(rows[14_000:]):
        live.update(candle)
    assert live.timeframe_states() == (state,)
    assert state.trend == "Buy"
    assert state.trend_since is not None
    assert 15_000 <= (state.trend_since - MIDNIGHT) // MINUTE_MS <= 15_010
