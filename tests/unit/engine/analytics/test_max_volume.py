from __future__ import annotations

from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.engine.analytics.max_volume import MaxVolume
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS

BARS = st.lists(st.tuples(st.integers(1, 120), st.integers(0, 5)), max_size=60)


def obvious(bars: list[tuple[int, float, float]], minute: int, days: int) -> tuple[int, float, float] | None:
    inside = [bar for bar in bars if bar[0] > minute + MINUTE_MS - 1 - days * DAY_MS]
    return max(inside, key=lambda bar: (bar[1], -bar[0]), default=None)


@given(BARS, st.integers(0, 60))
def test_the_largest_of_the_window_both_ways(steps: list[tuple[int, int]], at: int) -> None:
    # Bars lie 5 minutes to 10 hours apart, so a window of one day forgets some of them.
    times = accumulate(gap * 300_000 for gap, _ in steps)
    bars = [(time, float(v), 10.0 + v) for time, (_, v) in zip(times, steps, strict=True)]
    live, mixed = MaxVolume(1), MaxVolume(1)
    past = bars[:at]
    columns = np.array(past).reshape(-1, 3)
    last = past[-1][0] + 4 * MINUTE_MS if past else 0
    mixed.load(columns[:, 0].astype(np.int64), columns[:, 1], columns[:, 2], last)
    for i, bar in enumerate(bars):
        minute = bar[0] + 4 * MINUTE_MS
        for peak in (live, mixed) if i >= at else (live,):
            peak.add(*bar)
            peak.slide(minute)
        assert live.largest == obvious(bars[: i + 1], minute, 1)
    assert mixed.largest == live.largest


def test_the_earliest_wins_a_tie() -> None:
    peak = MaxVolume(60)
    for i, volume in enumerate((3.0, 7.0, 7.0, 1.0)):
        peak.add(i * 300_000, volume, 100.0 + i)
    assert peak.largest == (300_000, 7.0, 101.0)


def test_the_window_ends_with_the_minute_and_is_whole_days_long() -> None:
    peak = MaxVolume(1)
    peak.add(DAY_MS, 9.0, 1.0)
    peak.add(DAY_MS + 300_000, 5.0, 2.0)
    peak.slide(2 * DAY_MS - MINUTE_MS)  # the minute that makes the day full
    assert peak.largest == (DAY_MS, 9.0, 1.0)
    peak.slide(2 * DAY_MS)
    assert peak.largest == (DAY_MS + 300_000, 5.0, 2.0)


def test_an_empty_window_has_none() -> None:
    peak = MaxVolume(1)
    assert peak.largest is None
    peak.add(0, 1.0, 1.0)
    peak.slide(2 * DAY_MS)
    assert peak.largest is None
