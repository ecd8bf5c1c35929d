"""What the exchange says is true, and every published value computed from it, without the engine's code.

The candles come from the exchange's own REST answers, asked for directly. Bars of longer timeframes are the
exchange's own bars, so that aggregation is checked too. Prices and volumes stay decimal where rows matter.
"""

from __future__ import annotations

import json
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

MINUTE = 60_000
DAY = 1_440 * MINUTE
#: Timeframe in minutes: the exchange's interval, the message's suffix of closes, and of EMAs and trends.
FRAMES = {
    1: ("1m", "1m", "1min"), 5: ("5m", "5m", "5min"), 15: ("15m", "15m", "15min"),
    60: ("1h", "60m", "1h"), 240: ("4h", "4h", "4h"),
}  # fmt: skip
PERIODS = (21, 89)
_NATIVE_BARS = 1_400  # before the last one: what an EMA began with is forgotten long before


def get(url: str) -> Any:  # noqa: ANN401 - JSON
    """The JSON answer of a GET."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


@dataclass
class Bars:
    """Bars of one timeframe. ``rows`` are the exchange's own texts, ``time`` their opening, ms."""

    minutes: int
    time: np.ndarray
    close: np.ndarray
    rows: list[list[Any]]
    ema: dict[int, np.ndarray] = field(default_factory=dict)

    def last_complete(self, minute_end: int) -> int:
        """Index of the last bar that is over at ``minute_end`` (ms, exclusive), or -1."""
        return int(np.searchsorted(self.time, minute_end - self.minutes * MINUTE, side="right")) - 1


class Truth:
    """Of one symbol.

    Args:
        rest: address of the exchange's REST.
        start: first minute of the feeder's history, ms.
        end: exclusive end of the last minute to know, ms.
    """

    def __init__(self, rest: str, symbol: str, start: int, end: int) -> None:
        self.symbol, self.start, self.end = symbol, start, end
        self.frames = {minutes: self._bars(rest, minutes) for minutes in FRAMES}
        for bars in self.frames.values():
            for period in PERIODS:
                bars.ema[period] = _ema(bars.close, period)
        ones = self.frames[1]
        first = int(np.searchsorted(ones.time, start))
        self.minutes = {int(row[0]): row for row in ones.rows[first:]}
        self._profiles: dict[int, _Profile] = {}
        self._cvd: dict[int, Decimal] = {}  # by minute, of its UTC day
        for at, row in self.minutes.items():
            before = self._cvd.get(at - MINUTE, Decimal(0)) if at % DAY else Decimal(0)
            self._cvd[at] = before + _delta(row)

    def _bars(self, rest: str, minutes: int) -> Bars:
        width = minutes * MINUTE
        at = (min(self.start, self.end - _NATIVE_BARS * width)) // width * width
        rows: list[list[Any]] = []
        while at < self.end:
            page = get(
                f"{rest}/fapi/v1/klines?symbol={self.symbol}&interval={FRAMES[minutes][0]}"
                f"&startTime={at}&endTime={self.end - 1}&limit=1500"
            )
            if not page:
                break
            rows += page
            at = int(page[-1][0]) + width
        time = np.array([row[0] for row in rows], np.int64)
        assert (np.diff(time) == width).all(), f"the exchange's {minutes}m bars of {self.symbol} have holes"
        return Bars(minutes, time, np.array([float(row[4]) for row in rows]), rows)

    def message(self, timestamp: int, increment: float | None) -> dict[str, Any]:
        """Every value of the message of the minute that closes at ``timestamp`` (ms, inclusive)."""
        end = timestamp + 1
        said: dict[str, Any] = {"symbol": self.symbol, "timestamp": timestamp}
        for minutes, (_, close, suffix) in FRAMES.items():
            bars = self.frames[minutes]
            last = bars.last_complete(end)
            said[f"close_{close}"] = bars.close[last]
            if bars.time[last] >= self.start:
                said[f"delta_{close}"] = float(_delta(bars.rows[last]))
            for period in PERIODS:
                said[f"ema{period}_{suffix}"] = bars.ema[period][last]
            long = bars.ema[PERIODS[-1]][last]
            two = bars.close[last - 1 : last + 1]
            said[f"trend_{suffix}"] = (
                "Buy" if (two > long).all() else "Sell" if (two < long).all() else "Neutral"
            )
        said["cvd_day"] = float(self._cvd[end - MINUTE])
        said |= self._max_volume(end)
        if increment is not None:
            said["volume_profile"] = self.profile(end, increment)
        return said

    def _max_volume(self, end: int) -> dict[str, Any]:
        bars = self.frames[5]
        low, high = int(np.searchsorted(bars.time, self.start)), bars.last_complete(end) + 1
        volumes = [float(row[5]) for row in bars.rows[low:high]]
        best = low + int(np.argmax(volumes))
        price = bars.close[best]
        four = self.frames[240]
        three = four.close[four.last_complete(end) - 2 : four.last_complete(end) + 1]
        trend = "Buy" if (three > price).all() else "Sell" if (three < price).all() else "Neutral"
        return {
            "max_volume": volumes[best - low], "max_volume_price": price, "max_volume_trend": trend,
        }  # fmt: skip

    def profile(self, end: int, increment: float) -> dict[str, Any]:
        """The profile of the day that holds the minute before ``end``, from its minutes so far."""
        day = (end - 1) // DAY * DAY
        step = Decimal(repr(increment))
        known = self._profiles.get(day)
        if known is None or known.step != step or known.until > end:
            known = self._profiles[day] = _Profile(step, max(day, self.start))
        while known.until < end:
            known.add(self.minutes[known.until])
            known.until += MINUTE
        return known.values()

    def quantiles(self, end: int) -> dict[str, dict[str, tuple[float, float]]]:
        """Of every quantile the order statistics below and above it."""
        rows = [row for at, row in self.minutes.items() if at < end]
        columns = {
            "volume": [float(row[5]) for row in rows],
            "taker_buy_volume": [float(row[9]) for row in rows],
            "avg_trade": [float(row[5]) / int(row[8]) for row in rows if int(row[8])],
            "trade_count": [float(row[8]) for row in rows],
        }
        shares = {"q25": 0.25, "q50": 0.5, "q75": 0.75, "q90": 0.9}
        return {
            name: {
                q: (
                    float(np.quantile(values, share, method="lower")),
                    float(np.quantile(values, share, method="higher")),
                )
                for q, share in shares.items()
            }
            for name, values in columns.items()
        }


def _delta(row: list[Any]) -> Decimal:
    """What takers bought less what they sold: of all that was traded they sold what they did not buy."""
    bought = Decimal(row[9])
    return bought - (Decimal(row[5]) - bought)


class _Profile:
    """Volume at price of a day: 0.5 of a candle at its close, a quarter each at high and low, all decimal."""

    def __init__(self, step: Decimal, start: int) -> None:
        self.step, self.until = step, start
        self.rows: dict[int, Decimal] = defaultdict(Decimal)
        self.volume = self.quote = Decimal(0)
        self.low, self.high = Decimal("Infinity"), Decimal("-Infinity")
        self.count = 0

    def add(self, row: list[Any]) -> None:
        high, low, close, volume = (Decimal(row[n]) for n in (2, 3, 4, 5))
        for price, share in ((close, Decimal("0.5")), (high, Decimal("0.25")), (low, Decimal("0.25"))):
            self.rows[int((price / self.step).to_integral_value("ROUND_HALF_EVEN"))] += volume * share
        self.volume += volume
        self.quote += Decimal(row[7])
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.count += 1

    def values(self) -> dict[str, Any]:
        poc = max(self.rows, key=lambda index: (self.rows[index], index))
        lowest, highest = min(self.rows), max(self.rows)
        below = above = poc
        inside, wanted = self.rows[poc], self.volume * Decimal("0.7")

        def weight(indices: range) -> Decimal:
            return sum((self.rows.get(index, Decimal(0)) for index in indices), Decimal(0))

        while inside < wanted and (below > lowest or above < highest):
            up = range(above + 1, min(above + 2, highest) + 1)
            down = range(max(below - 2, lowest), below)
            if up and (not down or weight(up) > weight(down)):
                inside, above = inside + weight(up), up[-1]
            else:
                inside, below = inside + weight(down), down[0]
        return {
            "total_volume": float(self.volume), "vwap": float(self.quote / self.volume),
            "poc": float(poc * self.step), "high": float(above * self.step), "low": float(below * self.step),
            "volume": float(inside), "min_price": float(self.low), "max_price": float(self.high),
            "candle_count": self.count, "rows": highest - lowest + 1,
        }  # fmt: skip


def _ema(close: np.ndarray, period: int) -> np.ndarray:
    values = np.full(len(close), np.nan)
    value = values[period - 1] = close[:period].mean()
    for n in range(period, len(close)):
        value += (close[n] - value) * 2 / (period + 1)
        values[n] = value
    return values
