"""Minutes that the exchange never had: no bar lacks them, and no EMA warms up again over them."""

from __future__ import annotations

import numpy as np
import pytest

from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Rows, to_candles
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span

START = 1_773_100_800_000  # 2026-03-10T00:00:00Z
#: Two minutes of a 5m bar, all of the next one, and one of the bar after it.
NONE_THERE = span(START + 123 * MINUTE_MS, START + 131 * MINUTE_MS)


def candles(minutes: int = 300) -> Rows:
    times = START + np.arange(minutes) * MINUTE_MS
    rows = np.zeros(minutes, dtype=ROW)
    rows["open_time"] = times
    rows["open"] = rows["high"] = rows["low"] = rows["close"] = 100 + np.arange(minutes) % 7
    rows["volume"], rows["trades"] = 1, 1
    rows["quote_volume"] = rows["close"]
    kept: Rows = rows[(times < NONE_THERE.start) | (times >= NONE_THERE.end)]
    return kept


def made(omitted: Coverage, *, live: bool) -> SymbolPipeline:
    settings = PipelineSettings((300, 900), (3, 5), "ema_cross", 0, None, omitted=omitted)
    pipeline = SymbolPipeline("spot:BTCUSDT", settings)
    rows = candles(135)
    if not live:
        pipeline.load(rows)
        return pipeline
    for candle in to_candles(rows):
        pipeline.update(candle)
    return pipeline


@pytest.mark.parametrize("live", [True, False])
def test_bars_over_them_are_whole_and_averages_go_on(live: bool) -> None:
    known, unknown = made(NONE_THERE, live=live), made(EMPTY, live=live)
    assert known.message().partial == ()
    assert unknown.message().partial == ("5min", "15min")
    five, fifteen = known.timeframe_states()
    assert (five.minutes_lacking, five.bars_lacking, five.warming) == (0, 0, False)
    assert (fifteen.minutes_lacking, fifteen.bars_lacking) == (0, 0)
    assert all(state.warming for state in unknown.timeframe_states()[:1])


def test_live_and_loaded_give_the_same() -> None:
    assert made(NONE_THERE, live=True).message() == made(NONE_THERE, live=False).message()
    assert made(NONE_THERE, live=True).timeframe_states() == made(NONE_THERE, live=False).timeframe_states()


def test_settings_without_any_are_written_as_before() -> None:
    assert "omitted" not in repr(PipelineSettings((300,), (), "ema_cross", 0, None))
