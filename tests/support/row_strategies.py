"""Rows of one day for property tests: exchange-like decimals, odd floats, holes, mixed sources."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, MINUTES_PER_DAY, ROW, Rows
from tui_feeder.engine.storage.codec import Sources

DAY = 20_000 * DAY_MS
VOLUMES = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
PRICES = ("open", "high", "low", "close")

any_float = st.floats(allow_nan=True, allow_infinity=True, width=64)


@st.composite
def minutes_of_day(draw: st.DrawFn, most: int = 40) -> list[int]:
    """Minutes of a day, sorted: a run, or with holes, or anywhere."""
    kind = draw(st.sampled_from(("run", "holes", "anywhere")))
    if kind == "anywhere":
        return sorted(draw(st.sets(st.integers(0, MINUTES_PER_DAY - 1), min_size=1, max_size=most)))
    count = draw(st.integers(1, most))
    first = draw(st.integers(0, MINUTES_PER_DAY - count))
    run = list(range(first, first + count))
    if kind == "holes":
        gone = draw(st.sets(st.sampled_from(run), max_size=count - 1))
        return [minute for minute in run if minute not in gone]
    return run


@st.composite
def day_rows(draw: st.DrawFn, most: int = 40) -> Rows:
    """Rows of the UTC day DAY: decimals of 1e-8 to 1e6, or floats that no decimal grid holds."""
    minutes = draw(minutes_of_day(most))
    rows = np.zeros(len(minutes), dtype=ROW)
    rows["open_time"] = DAY + np.array(minutes) * MINUTE_MS
    count = len(minutes)
    decimals = draw(st.integers(0, 8))
    grid = st.integers(0, 10 ** draw(st.integers(1, 14))).map(lambda n: n / 10**decimals)
    odd = draw(st.sets(st.sampled_from((*PRICES, *VOLUMES))))
    for name in (*PRICES, *VOLUMES):
        values = any_float if name in odd else grid
        rows[name] = draw(st.lists(values, min_size=count, max_size=count))
    counts = st.integers(0, 1 << 20) if draw(st.booleans()) else st.integers(-(1 << 63), (1 << 63) - 1)
    rows["trades"] = draw(st.lists(counts, min_size=count, max_size=count))
    return rows


@st.composite
def sources_of(draw: st.DrawFn, count: int) -> Sources:
    """A source a row: all the same, or mixed."""
    if draw(st.booleans()):
        return np.full(count, draw(st.integers(1, 5)), dtype=np.uint8)
    return np.array(draw(st.lists(st.integers(1, 5), min_size=count, max_size=count)), dtype=np.uint8)
