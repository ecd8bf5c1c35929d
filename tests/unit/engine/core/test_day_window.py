from __future__ import annotations

import numpy as np
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import MIDNIGHT

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, to_candles
from tui_feeder.engine.core.day_window import DayWindow


def minutes(at: list[int]) -> Rows:
    rows = np.zeros(len(at), dtype=ROW)
    rows["open_time"] = MIDNIGHT + np.array(sorted(at)) * MINUTE_MS
    rows["close"] = 100.0 + np.arange(len(at))
    rows["quote_volume"] = 2.0 ** (np.arange(len(at)) % 7)
    rows["high"] = 100.0 + np.random.default_rng(len(at)).integers(0, 20, len(at))
    rows["low"] = 100.0 - np.random.default_rng(len(at) + 1).integers(0, 20, len(at))
    return rows


@settings(deadline=None, max_examples=examples(60))
@given(st.sets(st.integers(0, 4000), min_size=1, max_size=400), st.data())
def test_change_and_volume_are_those_of_the_last_day_however_it_was_built(
    at: set[int], data: st.DataObject
) -> None:
    rows = minutes(sorted(at))
    split = data.draw(st.integers(0, len(rows)))
    window = DayWindow()
    window.load(rows[:split])
    for candle in to_candles(rows[split:]):
        window.add(candle)
        assert window.quote_volume is not None  # asked between minutes, as a screen does
    last = int(rows["open_time"][-1])
    closes = dict(zip(rows["open_time"].tolist(), rows["close"].tolist(), strict=True))
    assert window.day_ago == closes.get(last - DAY_MS)
    day = rows[rows["open_time"] > last - DAY_MS]
    assert window.quote_volume == day["quote_volume"].sum()
    assert (window.high, window.low) == (day["high"].max(), day["low"].min())
    ends = [t for t in closes if (t + MINUTE_MS) % (30 * MINUTE_MS) == 0]
    newest = (last + MINUTE_MS) // (30 * MINUTE_MS) * 30 * MINUTE_MS - MINUTE_MS
    assert window.half_hours == tuple(closes[t] for t in ends if newest - DAY_MS < t <= newest)


def test_without_a_minute_nothing_is_known() -> None:
    window = DayWindow()
    window.load(minutes([])[:0])
    assert window.day_ago is None
    assert window.quote_volume is None
    assert window.half_hours == ()
    assert window.high is None
    assert window.low is None
