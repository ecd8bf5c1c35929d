"""How a minute comes about: the states a candle goes through from its first trade to its last.

The path is a function of the candle, the symbol and the minute, so REST and stream agree on it and a second
look shows the same. It has a state every 250 ms, begins without a trade, and ends in the candle.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tui_feeder.simulator import noise
from tui_feeder.simulator.market import (
    CLOSE,
    COLUMNS,
    HIGH,
    LOW,
    MINUTE,
    OPEN,
    QUOTE,
    TAKER,
    TAKER_QUOTE,
    TRADES,
    VOLUME,
    Ints,
)

#: Exchange ms between two states of a candle: the cadence of kline frames.
SLOT = 250
SLOTS = MINUTE // SLOT

_SLOT = np.arange(SLOTS, dtype=np.int64)
#: Places of the random numbers behind the pace of trades, and behind their sizes.
_COUNT_DICE = np.r_[_SLOT, 3 * SLOTS]
_SHARE_DICE = np.arange(SLOTS, 3 * SLOTS)


class FormingMinute:
    """One minute of one symbol on its way.

    Args:
        open_time: ms.
        candle: the complete candle, one row of a candle matrix.
        tick: smallest step of the price, in units.
        key: what makes this symbol's paths its own.
    """

    def __init__(self, open_time: int, candle: Ints, tick: int, key: int) -> None:
        self.open_time = open_time
        self.candle: list[int] = candle.tolist()
        self._tick = tick
        self._key = key ^ open_time

    def at(self, moment: int) -> list[int] | None:
        """Gives the candle as the trades so far made it.

        Args:
            moment: exchange time, ms.

        Returns:
            The candle's columns in smallest units; None before the first trade.
        """
        slot = (moment - self.open_time) // SLOT
        if slot <= 0 or not self.candle[TRADES]:
            return None
        state: list[int] = self.candle if slot >= SLOTS else self.states[slot].tolist()
        return state if state[TRADES] else None

    @property
    def unsettled(self) -> list[int] | None:
        """What REST and stream show after the minute's end until its last trades are booked."""
        return self.at(self.open_time + MINUTE - SLOT)

    def prepare(self) -> None:
        """Works out the path before it is asked for."""
        _ = self.states

    @cached_property
    def first_trade(self) -> int | None:
        """When the first trade shows, ms after the minute's beginning; None in a minute without one."""
        if not self.candle[TRADES]:
            return None
        count = self.count
        return int(np.argmax(count > 0) if count[-1] else SLOTS) * SLOT

    @cached_property
    def states(self) -> Ints:
        """Matrix (241, 9): the candle after each slot, zeros before the first trade, complete at the end."""
        count = self.count
        states = np.zeros((SLOTS + 1, COLUMNS), np.int64)
        states[-1] = self.candle
        if count[-1] == 0:
            return states
        candle = self.candle
        volume_share, taker_share = self._shares(count)
        self._prices(states, count)
        body = states[:-1]
        body[:, TRADES] = count
        body[:, VOLUME] = np.maximum(
            np.rint(volume_share * candle[VOLUME]).astype(np.int64), np.minimum(count, candle[VOLUME])
        )
        taken = np.minimum(np.rint(taker_share * candle[TAKER]).astype(np.int64), body[:, VOLUME])
        body[:, TAKER] = taken
        drift = candle[QUOTE] / candle[VOLUME]
        mean = np.clip(drift, body[:, LOW], body[:, HIGH])
        quote = np.maximum.accumulate(np.minimum(np.rint(mean * body[:, VOLUME]), float(candle[QUOTE])))
        body[:, QUOTE] = np.minimum(quote.astype(np.int64), candle[QUOTE])
        if candle[TAKER]:
            bought = np.rint(taken * (candle[TAKER_QUOTE] / candle[TAKER])).astype(np.int64)
            body[:, TAKER_QUOTE] = np.minimum(np.minimum(bought, body[:, QUOTE]), candle[TAKER_QUOTE])
        body[count == 0] = 0
        return states

    @cached_property
    def count(self) -> Ints:
        """Trades so far, per slot: shape (240,)."""
        trades = self.candle[TRADES]
        dice = noise.uniform(self._key, _COUNT_DICE)
        pace = 0.08 + dice[:-1] ** 3
        pace[-1] = 0.33  # of a busy minute something is always left to the very end
        pace = pace.cumsum()
        done = np.empty(SLOTS)
        done[0] = 0.0
        np.divide(pace[:-1], pace[-1], out=done[1:])
        count: Ints = np.minimum((done * trades + dice[-1]).astype(np.int64), trades)
        count[0] = 0
        return count

    def _shares(self, count: Ints) -> Sequence[NDArray[np.float64]]:
        """The shares of volume and of taker-buy volume so far, per slot."""
        dice = noise.uniform(self._key, _SHARE_DICE)
        fresh = np.diff(count, prepend=0)
        rest = self.candle[TRADES] - int(count[-1])
        shares = []
        for weight in (dice[:SLOTS], dice[SLOTS:]):
            amount = np.cumsum(fresh * (0.25 + weight))
            total = amount[-1] + rest * 0.75
            shares.append(amount / total if total else amount)
        return shares

    def _prices(self, states: Ints, count: Ints) -> None:
        """Open, high, low and close per slot: from the open over both extremes to the close."""
        opened, high, low, close = self.candle[OPEN], self.candle[HIGH], self.candle[LOW], self.candle[CLOSE]
        trades = self.candle[TRADES]
        first, second, order = noise.uniform(self._key, np.arange(-3, 0)).tolist()
        early, late = 0.08 + 0.35 * first, 0.5 + 0.4 * second
        low_first = (order < 0.7) == (close >= opened)
        corners = (low, high) if low_first else (high, low)
        way = np.maximum(count - 1, 0) / max(trades - 1, 1)
        price = np.interp(way, (0.0, early, late, 1.0), (opened, *corners, close))
        shake = noise.uniform(self._key, _SLOT + 4 * SLOTS) - 0.5
        price = price + shake * (0.3 * (high - low)) * np.minimum(way, 1 - way) * 2
        steps = np.rint(price / self._tick).astype(np.int64) * self._tick
        steps = np.clip(steps, low, high)
        steps[count <= 1] = opened
        steps[count >= trades] = close
        steps = steps[np.maximum.accumulate(np.where(np.diff(count, prepend=-1) != 0, _SLOT, 0))]
        touched = [1 + round(share * (trades - 1)) for share in (early, late)]
        low_at, high_at = touched if low_first else reversed(touched)
        body = states[:-1]
        body[:, OPEN] = opened
        body[:, CLOSE] = steps
        body[:, HIGH] = np.where(
            count >= max(high_at, 2), high, np.maximum.accumulate(np.maximum(steps, opened))
        )
        body[:, LOW] = np.where(
            count >= max(low_at, 2), low, np.minimum.accumulate(np.minimum(steps, opened))
        )
