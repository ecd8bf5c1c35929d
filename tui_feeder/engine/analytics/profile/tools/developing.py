"""How point of control, value area and VWAP developed over a day: what was known after each minute."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tui_feeder.engine.analytics.profile.day_profile import LiveProfile
from tui_feeder.engine.analytics.profile.increments import DayRange
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import MINUTE_MS, Rows, to_candles
from tui_feeder.engine.core.decimals import Floats, Ints


class Developing(NamedTuple):
    """The levels after each of some minutes; NaN while there is none."""

    times: Ints  # (n,) end of the minute, ms
    poc: Floats
    vah: Floats
    val: Floats
    vwap: Floats


def developing(
    rows: Rows, settings: ProfileSettings, before: Iterable[DayRange] = (), every: int = 1
) -> Developing:
    """Follows a day's profile minute by minute; the values are those that its messages had.

    Args:
        rows: shape (n,), dtype ROW, the minutes of one UTC day, in order.
        settings: what shapes the profile.
        before: the ranges of the days before, which Auto begins with.
        every: minutes of the day from one point to the next; the last minute is always one.

    Returns:
        The levels, at whole multiples of ``every`` minutes of the day and at the end.
    """
    live = LiveProfile(settings)
    live.load(rows[:0], before)
    points: list[tuple[float, float, float, float]] = []
    times: list[int] = []
    step, last = every * MINUTE_MS, len(rows) - 1
    for place, candle in enumerate(to_candles(rows)):
        live.add(candle)
        end = candle.open_time + MINUTE_MS
        if end % step and place != last:
            continue
        figures = live.figures()
        nothing = float("nan")
        times.append(end)
        if figures is None:
            points.append((nothing,) * 4)
        else:
            vwap = nothing if figures.vwap is None else figures.vwap
            points.append((figures.poc, figures.vah, figures.val, vwap))
    columns = np.array(points, dtype=np.float64).reshape(-1, 4).T
    return Developing(np.array(times, dtype=np.int64), *(np.ascontiguousarray(part) for part in columns))
