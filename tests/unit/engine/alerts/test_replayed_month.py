"""Alerts over a real month against an independent computation with pandas, rule by rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import numpy as np
import pandas as pd
import pytest
from alerting import DAYS, INCREMENT, month_rows, replayed

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS


@cache
def frame() -> pd.DataFrame:
    table = pd.DataFrame(month_rows())
    return table.set_index("open_time")


def told(name: str) -> list[tuple[int, str]]:
    return [(alert.at + 1 - MINUTE_MS, alert.condition) for alert in replayed()[1][name]]


def after_cool_down(conditions: Iterator[tuple[int, str]], cooldown: int) -> list[tuple[int, str]]:
    """Of the minutes at which a side is seen, those worth a word."""
    out: list[tuple[int, str]] = []
    known: str | None = None
    for at, side in conditions:
        if known is None:
            known = side
        elif side != known and (not out or at - out[-1][0] >= cooldown):
            known = side
            out.append((at, side))
    return out


def closes_of(minutes: int) -> pd.Series[float]:
    """Closes of whole bars, by the minute in which each is complete."""
    close = frame()["close"]
    bars = close.groupby(close.index // (minutes * MINUTE_MS)).agg(["last", "size"])
    bars = bars[bars["size"] == minutes]["last"]
    bars.index = (bars.index + 1) * minutes * MINUTE_MS - MINUTE_MS
    return bars


def ema_of(closes: pd.Series[float], period: int) -> pd.Series[float]:
    """Seeded with the simple mean; absent until a thousandth of the seed is left."""
    seeded = closes.copy()
    seeded.iloc[: period - 1] = np.nan
    seeded.iloc[period - 1] = closes.iloc[:period].mean()
    ema = seeded.iloc[period - 1 :].ewm(alpha=2 / (period + 1), adjust=False).mean()
    left = (1 - 2 / (period + 1)) ** np.arange(len(ema))
    return ema[left <= 1e-3].reindex(closes.index)


def sides(value: pd.Series[float], level: pd.Series[float], band: float) -> Iterator[tuple[int, str]]:
    above, below = value > level * (1 + band), value < level * (1 - band)
    for at in value.index[above | below]:
        yield int(at), "above" if above[at] else "below"


@cache
def levels() -> pd.DataFrame:
    """POC, VAH and VAL of each day so far, minute by minute: all volume at the close, one row at a time."""
    out = []
    for _, day in frame().groupby(frame().index // DAY_MS):
        at = np.round(np.round(day["close"].to_numpy() * 1000) / 10).astype(int)  # the tick is 0.001
        low = at.min()
        weights = np.zeros(at.max() - low + 1)
        seen_low, seen_high = at[0] - low, at[0] - low
        for row, volume in zip(at - low, day["volume"].to_numpy(), strict=True):
            weights[row] += volume
            seen_low, seen_high = min(seen_low, row), max(seen_high, row)
            heaviest = weights[seen_low : seen_high + 1]
            poc = seen_high - int(np.argmax(heaviest[::-1]))
            bottom = top = poc
            inside, wanted = weights[poc], 0.7 * heaviest.sum()
            while inside < wanted:
                under = weights[bottom - 1] if bottom > seen_low else -1.0
                over = weights[top + 1] if top < seen_high else -1.0
                if over > under:
                    top, inside = top + 1, inside + over
                else:
                    bottom, inside = bottom - 1, inside + under
            out.append([round((row + low) * INCREMENT, 2) for row in (poc, top, bottom)])
    return pd.DataFrame(out, index=frame().index, columns=["poc", "vah", "val"])


def test_trend_flips_are_those_of_pandas() -> None:
    closes = closes_of(5)
    ema = ema_of(closes, 89)
    up = (closes > ema) & (closes.shift() > ema)
    down = (closes < ema) & (closes.shift() < ema)
    # Between two bars the trend of the last one holds: what the cool-down held back is told then.
    index = frame().index
    trend = pd.Series(np.where(up, "Buy", np.where(down, "Sell", "")), index=closes.index)
    every = trend.reindex(index).ffill().fillna("")
    seen = ((int(at), side) for at, side in every.items() if side)
    wanted = after_cool_down(seen, 3_600_000)
    assert len(wanted) > DAYS * 2 // 3
    assert told("trend") == wanted


def test_ema_crossings_are_those_of_pandas() -> None:
    closes, index = closes_of(5), frame().index
    fast, slow = (ema_of(closes, period).reindex(index).ffill() for period in (21, 89))
    wanted = after_cool_down(sides(fast, slow, 0.0005), 1_800_000)
    assert len(wanted) > DAYS // 3
    assert told("cross") == wanted


def test_crossings_of_price_and_ema_are_those_of_pandas() -> None:
    ema = ema_of(closes_of(15), 89).reindex(frame().index).ffill()
    wanted = after_cool_down(sides(frame()["close"], ema, 0.001), 300_000)
    assert len(wanted) > DAYS // 3
    assert told("mean") == wanted


@pytest.mark.parametrize(
    ("level", "band", "cooldown"), [("poc", 0.002, 0), ("vah", 0.0, 600_000), ("val", 0.001, 600_000)]
)
def test_crossings_of_price_and_profile_are_those_of_pandas(level: str, band: float, cooldown: int) -> None:
    wanted: list[tuple[int, str]] = []
    for _, day in levels().groupby(levels().index // DAY_MS):
        known: str | None = None  # a new day has other levels: nothing is crossed by their moving
        for at, side in sides(frame()["close"].loc[day.index], day[level], band):
            if known is None:
                known = side
            elif side != known and (not wanted or at - wanted[-1][0] >= cooldown):
                known = side
                wanted.append((at, side))
    assert len(wanted) > DAYS * 5 // 3
    assert told(level) == wanted


def test_bursts_of_volume_are_those_of_exact_quantiles() -> None:
    volume = frame()["volume"]
    index = pd.to_datetime(volume.index, unit="ms")
    timed = pd.Series(volume.to_numpy(), index=index)
    threshold = 4.0 * timed.rolling("1D").quantile(0.9).to_numpy()
    wanted: list[tuple[int, str]] = []
    quiet = True
    for at, value, bound in zip(volume.index, volume, threshold, strict=True):
        if value > bound:
            if quiet and (not wanted or at - wanted[-1][0] >= 900_000):
                quiet = False
                wanted.append((int(at), "high"))
        elif value <= 0.75 * bound:
            quiet = True
    assert len(wanted) > DAYS * 2 // 3
    assert told("burst") == wanted


def test_an_alert_says_what_was_seen() -> None:
    messages, found = replayed()
    alert = found["poc"][0]
    message = next(one for one in messages if one.timestamp == alert.at)
    assert message.profile is not None
    assert alert.threshold == message.profile.poc
    assert alert.value == message.closes["close_1m"]
    assert re.fullmatch(r"FILUSDT: price [\d.,]+ crossed (above|below) .*[\d.,]+", alert.text)
    assert "POC" in alert.text
