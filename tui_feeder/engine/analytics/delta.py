"""Delta and cumulative volume delta (CVD): what takers bought less what they sold. Pure.

Both follow from volumes that every candle has; the delta itself is in :mod:`tui_feeder.bars`. Sums are made
of the volumes and subtracted last, so that a delta has exactly the exchange's decimal digits.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tui_feeder.bars import delta_of, deltas_of
from tui_feeder.engine.core.candle import SECOND_MS, Candle, Rows
from tui_feeder.engine.core.decimals import Sum, running_sums_of
from tui_feeder.time_format import Anchor

#: Which way a divergence points: ``Sell`` where the price rose and takers sold, ``Buy`` the other way round.
Divergence: TypeAlias = Literal["Buy", "Sell"]

#: Completed bars that a divergence is looked for in.
DIVERGENCE_BARS = 20
#: An earlier extreme that is only so many bars old is the same move, not another.
_BARS_APART = 3


class CumulativeDelta:
    """The CVD after each minute, counted from an anchor, of minutes that come in parts.

    Args:
        anchor: where it begins at zero.
    """

    __slots__ = ("_anchor", "_begun", "_taker", "_volume")

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor
        self._begun: int | None = None  # ms, the beginning that the sums are counted from
        self._volume = self._taker = 0.0

    def add(self, minutes: Rows) -> NDArray[np.float64]:
        """Counts the next minutes.

        Args:
            minutes: shape (n,), dtype ROW, sorted, later than all before and not before the anchor.

        Returns:
            Shape (n,), the CVD after each of them, base asset.
        """
        made = np.zeros(len(minutes))
        times = minutes["open_time"]
        every = self._anchor.every
        begins = times - (times - self._anchor.at) % every if every else np.full(len(times), self._anchor.at)
        edges = np.flatnonzero(np.diff(begins, prepend=-1, append=-1)).tolist()
        for low, high in pairwise(edges):
            if begins[low] != self._begun:
                self._begun, self._volume, self._taker = int(begins[low]), 0.0, 0.0
            part = minutes[low:high]
            volumes = running_sums_of(np.concatenate(([self._volume], part["volume"])))[1:]
            takers = running_sums_of(np.concatenate(([self._taker], part["taker_buy_volume"])))[1:]
            made[low:high] = deltas_of(volumes, takers)
            self._volume, self._taker = float(volumes[-1]), float(takers[-1])
        return made


def after_bars(
    minutes: Rows, cvd: NDArray[np.float64], open_times: NDArray[np.int64], timeframe: int
) -> NDArray[np.float64]:
    """Picks the CVD at the end of bars.

    Args:
        minutes: shape (n,), dtype ROW, sorted; of each bar at least one is there.
        cvd: shape (n,), after each of them.
        open_times: shape (m,), of the bars, ms, ascending.
        timeframe: seconds of a bar.

    Returns:
        Shape (m,), base asset.
    """
    return cvd[np.searchsorted(minutes["open_time"], open_times + timeframe * SECOND_MS) - 1]


class RunningDelta:
    """The CVD of a stretch of time, a candle at a time."""

    __slots__ = ("_taker", "_volume")

    def __init__(self) -> None:
        self._volume, self._taker = Sum(), Sum()

    def add(self, candle: Candle) -> None:
        """Adds a candle.

        Args:
            candle: the next one.
        """
        self._volume.add(candle.volume)
        self._taker.add(candle.taker_buy_volume)

    def load(self, rows: Rows) -> None:
        """Starts again with many candles, bit-equal to adding them in order.

        Args:
            rows: shape (n,), dtype ROW, sorted.
        """
        self._volume.load(np.ascontiguousarray(rows["volume"]))
        self._taker.load(np.ascontiguousarray(rows["taker_buy_volume"]))

    def clear(self) -> None:
        """Back to zero."""
        self._volume.clear()
        self._taker.clear()

    @property
    def value(self) -> float:
        """The CVD, base asset."""
        return delta_of(self._volume.value, self._taker.value)

    @property
    def volume(self) -> float:
        """All that was traded, base asset."""
        return self._volume.value


class DivergenceWindow:
    """The last completed bars of a timeframe: closes, and what takers bought and sold."""

    __slots__ = ("_bars",)

    def __init__(self) -> None:
        self._bars: deque[tuple[float, float, float]] = deque(maxlen=DIVERGENCE_BARS)

    def add(self, close: float, volume: float, taker_buy_volume: float) -> None:
        """Adds a completed bar.

        Args:
            close: quote currency.
            volume: base asset.
            taker_buy_volume: base asset.
        """
        self._bars.append((close, volume, taker_buy_volume))

    def clear(self) -> None:
        """Forgets all bars: what follows an absent bar is not compared with what was before it."""
        self._bars.clear()

    def state(self) -> list[tuple[float, float, float]]:
        """The bars: close, volume and taker buy volume of each."""
        return list(self._bars)

    def restore(self, state: list[tuple[float, float, float]]) -> None:
        """Continues from a saved state.

        Args:
            state: what :meth:`state` returned.
        """
        self._bars = deque(state, maxlen=DIVERGENCE_BARS)

    @property
    def divergence(self) -> Divergence | None:
        """What price and takers disagree about.

        ``Sell``: the last close is above all others of the window, yet since the highest of those that are at
        least three bars old takers have sold more than they bought. ``Buy``: the last close is below all
        others, yet since the lowest of those takers have bought more. None: neither, or fewer than
        :data:`DIVERGENCE_BARS` bars in a row.
        """
        bars = self._bars
        if len(bars) < DIVERGENCE_BARS:
            return None
        closes = [bar[0] for bar in bars]
        last = closes.pop()
        older = closes[: 1 - _BARS_APART]
        if last > max(closes):
            return "Sell" if self._since(older.index(max(older))) < 0 else None
        if last < min(closes):
            return "Buy" if self._since(older.index(min(older))) > 0 else None
        return None

    def _since(self, place: int) -> float:
        """The delta of all bars after one of them, base asset."""
        volume, taker = Sum(), Sum()
        for at, bar in enumerate(self._bars):
            if at > place:
                volume.add(bar[1])
                taker.add(bar[2])
        return delta_of(volume.value, taker.value)
