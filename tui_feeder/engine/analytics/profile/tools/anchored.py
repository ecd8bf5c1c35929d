"""The volume-weighted average price from an anchor on, and how far prices lie from it.

VWAP is quote volume over volume since the anchor. The deviation is the square root of the volume-weighted
mean of the squared distances of the minutes' own average prices from it; bands lie one and two of it away.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tui_feeder.engine.core.candle import Candle, Rows
from tui_feeder.engine.core.decimals import Floats


class Anchored(NamedTuple):
    """After each minute since the anchor; NaN before the first trade."""

    vwap: Floats  # (n,) quote currency
    deviation: Floats  # (n,) quote currency


def anchored_vwap(rows: Rows) -> Anchored:
    """Computes the VWAP and its deviation after each of the minutes since an anchor.

    Args:
        rows: shape (n,), dtype ROW, in order, from the anchor on.

    Returns:
        The values after each minute.
    """
    volume, quote = rows["volume"], rows["quote_volume"]
    traded = volume > 0
    if not traded.any():
        nothing = np.full(len(rows), np.nan)
        return Anchored(nothing, nothing)
    # Around the first price, so that the squares of large prices do not swallow their differences.
    base = _first_price(rows)
    price = np.divide(quote, volume, out=np.full(len(rows), base), where=traded) - base
    total = np.cumsum(volume)
    weight = np.where(total > 0, total, np.nan)
    mean = np.cumsum(price * volume) / weight
    square = np.cumsum(price * price * volume) / weight
    return Anchored(base + mean, np.sqrt(np.maximum(square - mean * mean, 0.0)))


def _first_price(rows: Rows) -> float:
    place = int((rows["volume"] > 0).argmax())
    return float(rows["quote_volume"][place] / rows["volume"][place])


class AnchoredVwap:
    """The same, minute by minute."""

    def __init__(self) -> None:
        self._base: float | None = None  # of the prices that are summed
        self._volume = self._first = self._second = 0.0

    def load(self, rows: Rows) -> None:
        """Starts again with the minutes since the anchor.

        Args:
            rows: shape (n,), dtype ROW, in order.
        """
        self._base = None
        self._volume = self._first = self._second = 0.0
        traded = rows[rows["volume"] > 0]
        if not len(traded):
            return
        self._base = _first_price(traded)
        volume = traded["volume"]
        price = traded["quote_volume"] / volume - self._base
        self._volume = float(np.cumsum(volume)[-1])
        self._first = float(np.cumsum(price * volume)[-1])
        self._second = float(np.cumsum(price * price * volume)[-1])

    def add(self, candle: Candle) -> None:
        """Adds a minute.

        Args:
            candle: the minute, later than all before.
        """
        if candle.volume <= 0:
            return
        price = candle.quote_volume / candle.volume
        if self._base is None:
            self._base = price
        price -= self._base
        self._volume += candle.volume
        self._first += price * candle.volume
        self._second += price * price * candle.volume

    @property
    def vwap(self) -> float | None:
        """Quote currency; None before the first trade."""
        return None if self._base is None else self._base + self._first / self._volume

    @property
    def deviation(self) -> float | None:
        """Quote currency; None before the first trade."""
        if self._base is None:
            return None
        mean = self._first / self._volume
        return math.sqrt(max(self._second / self._volume - mean * mean, 0.0))
