"""Candles for tests: real months, seeded random walks, and hypothesis strategies."""

from __future__ import annotations

import io
import zipfile
from decimal import Decimal
from functools import cache

import numpy as np
import pytest
from examples import some_of
from hypothesis import strategies as st
from places import KLINES

from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Candle, Rows

MONTHS = tuple(sorted(path.stem for path in KLINES.glob("*-1m-????-??.zip")))
#: Those that a test of every month reads: one with an outage among them, and with ``--thorough`` all.
TRIED_MONTHS = some_of(MONTHS)
MIDNIGHT = 1_767_225_600_000  # 2026-01-01T00:00Z


@cache
def real_month(name: str) -> Rows:
    """The rows of a month such as ``FILUSDT-1m-2024-09``; skips the test where the data is absent."""
    path = KLINES / f"{name}.zip"
    if not path.exists():
        pytest.skip(f"real market data is not here: {path.name}")
    with zipfile.ZipFile(path) as archive:
        text = io.StringIO(archive.read(archive.namelist()[0]).decode())
    return np.loadtxt(
        text, delimiter=",", skiprows=1, usecols=(0, 1, 2, 3, 4, 5, 7, 8, 9, 10), dtype=ROW, ndmin=1
    )


def fil() -> Rows:
    """Three contiguous months of FILUSDT, an outage inside."""
    return np.concatenate([real_month(f"FILUSDT-1m-2024-{month}") for month in ("09", "10", "11")])


def walk(
    minutes: int, seed: int = 1, start: int = MIDNIGHT, price: float = 100.0, tick: str = "0.01"
) -> Rows:
    """A random walk of ``minutes`` candles on a grid of ``tick``, valid by every invariant."""
    random = np.random.default_rng(seed)
    decimals = -int(Decimal(tick).as_tuple().exponent)
    ticks = int(Decimal(str(price)) / Decimal(tick))
    rows = np.zeros(minutes, dtype=ROW)
    rows["open_time"] = start + np.arange(minutes) * MINUTE_MS
    spread = max(2, ticks // 800)
    closes = np.maximum(2 * spread + 1, ticks + np.cumsum(random.integers(-spread, spread + 1, minutes)))
    opens = np.concatenate(([ticks], closes[:-1]))
    highs = np.maximum(opens, closes) + random.integers(0, spread, minutes)
    lows = np.minimum(opens, closes) - random.integers(0, spread, minutes)
    for name, values in (("open", opens), ("high", highs), ("low", lows), ("close", closes)):
        rows[name] = values / 10**decimals  # of whole numbers: the float nearest to the decimal
    units = np.where(random.random(minutes) < 0.1, 0, random.lognormal(8, 1.5, minutes).astype(int))
    rows["volume"] = units / 1000
    rows["trades"] = np.where(units > 0, 1 + units // 50, 0)
    rows["taker_buy_volume"] = (units // 2) / 1000
    flat = units == 0
    for name in ("open", "high", "low"):
        rows[name][flat] = rows["close"][flat]
    rows["quote_volume"] = rows["volume"] * (rows["low"] + rows["high"]) / 2
    rows["taker_buy_quote_volume"] = rows["taker_buy_volume"] * (rows["low"] + rows["high"]) / 2
    return rows


def candle(minute: int, o: float, h: float, low: float, c: float, volume: float = 1.0) -> Candle:
    """The candle of the ``minute``-th minute after MIDNIGHT."""
    trades = int(volume > 0)
    middle = (h + low) / 2
    return Candle(MIDNIGHT + minute * MINUTE_MS, o, h, low, c, volume, volume * middle, trades, 0.0, 0.0)


@st.composite
def candle_lists(draw: st.DrawFn, most: int = 30, scale: int | None = None) -> list[Candle]:
    """Candles with holes, prices between 1e-8 and 1e6 as decimal texts, volumes small or many-digited."""
    exponent = draw(st.integers(-8, 2)) if scale is None else scale
    level = draw(st.integers(1, 9_000))
    count = draw(st.integers(1, most))
    made = []
    minute = draw(st.integers(0, 1_440))
    for _ in range(count):
        ticks = sorted(level + draw(st.integers(0, 60)) for _ in range(3))
        low, middle, high = (float(Decimal(t).scaleb(exponent)) for t in ticks)
        close = draw(st.sampled_from((low, middle, high)))
        volume = float(draw(st.decimals(0, 1_000, places=draw(st.sampled_from((0, 1, 3))))))
        if volume == 0:
            low = middle = high = close
        made.append(candle(minute, middle, high, low, close, volume))
        minute += draw(st.sampled_from((1, 1, 1, 1, 2, 7, 300)))
    return made
