"""Ladders against candles: of every minute, whether its trades are all there. Pure.

The candle is what the exchange itself counted. Insurance and ADL fills are in it and not among aggregated
trades, so a share below one can be final.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.analytics.orderflow.ladder import Ladder, joined
from tui_feeder.engine.core.candle import MINUTE_MS, MINUTES_PER_DAY, Rows
from tui_feeder.engine.core.trades import Ints

_Floats = NDArray[np.float64]
#: Sums that differ by less than this part are equal.
_EQUAL = 1e-9


class Known(IntEnum):
    """How a minute's volume at price is known."""

    CANDLE = 0  # no trades: from the candle, where it went from high to low
    PARTIAL = 1  # from trades, which are not all there
    EXACT = 2  # from all its trades: volume, taker volume and count are those of the candle


@dataclass(frozen=True, slots=True)
class MinuteSums:
    """What the ladders of some minutes come to."""

    times: Ints  # open times, ms, ascending
    bought: _Floats  # base asset
    sold: _Floats  # base asset
    trades: Ints
    missing: Ints  # ids that are missing before one of its trades: the minute is unproved


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How each candle's minute is known."""

    known: NDArray[np.uint8]  # shape (n,), of Known
    shares: _Floats  # shape (n,), of the candle's volume that is in the ladder; 0 without one
    bought: _Floats  # shape (n,), in the ladder, base asset
    sold: _Floats  # shape (n,), base asset
    unproved: NDArray[np.bool_]  # shape (n,), ids of trades are missing
    strangers: int  # minutes with a ladder and no candle

    def exact_share(self, volumes: _Floats) -> float:
        """Computes the share of the volume that is of exact minutes.

        Args:
            volumes: shape (n,), of the candles, base asset.

        Returns:
            0 to 1; 1 where nothing was traded.
        """
        total = float(volumes.sum())
        return float(volumes[self.known == Known.EXACT].sum()) / total if total > 0 else 1.0


def minute_sums(minutes: NDArray[np.void], day: int, quantity_places: int) -> MinuteSums:
    """Converts the sums of a ladder's minutes.

    Args:
        minutes: shape (n,), dtype MINUTE of :mod:`.ladder`.
        day: midnight UTC, ms.
        quantity_places: decimal places of its quantities.

    Returns:
        The sums in the base asset.
    """
    unit = float(10**quantity_places)
    return MinuteSums(
        minutes["minute"] * MINUTE_MS + day, minutes["bought"] / unit, minutes["sold"] / unit,
        minutes["trades"], minutes["missing"],
    )  # fmt: skip


def joined_sums(parts: Sequence[MinuteSums]) -> MinuteSums:
    """Joins the sums of several days.

    Args:
        parts: at least one, ascending.

    Returns:
        All of them.
    """
    if len(parts) == 1:
        return parts[0]
    times, bought, sold, trades, missing = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("times", "bought", "sold", "trades", "missing")
    )
    return MinuteSums(times, bought, sold, trades, missing)


def reconcile(candles: Rows, sums: MinuteSums) -> Reconciled:
    """Holds ladders against candles.

    Args:
        candles: shape (n,), dtype ROW, one-minute candles, sorted.
        sums: of the ladders of the same day.

    Returns:
        How each minute is known. One in which nothing was traded by its candle either is exact.
    """
    count = len(candles)
    places = np.searchsorted(sums.times, candles["open_time"])
    inside = np.minimum(places, max(0, len(sums.times) - 1))
    found = np.zeros(count, dtype=np.bool_)
    columns = [np.zeros(count) for _ in range(4)]
    if len(sums.times):
        found = sums.times[inside] == candles["open_time"]
        for column, values in zip(columns, (sums.bought, sums.sold, sums.trades, sums.missing), strict=True):
            column[found] = values[inside[found]]
    bought, sold, trades, missing = columns
    volume = np.ascontiguousarray(candles["volume"])
    equal = (
        _same(bought + sold, volume)
        & _same(bought, np.ascontiguousarray(candles["taker_buy_volume"]))
        & (trades == candles["trades"])
    )
    known = np.where(equal, Known.EXACT, np.where(found, Known.PARTIAL, Known.CANDLE)).astype(np.uint8)
    ladder = bought + sold
    larger = np.maximum(ladder, volume)
    shares = np.divide(np.minimum(ladder, volume), larger, out=np.ones(count), where=larger > 0)
    shares[~found & (volume > 0)] = 0.0
    strangers = len(sums.times) - int(found.sum())
    return Reconciled(known, shares, bought, sold, missing > 0, strangers)


def better_of(first: Ladder, second: Ladder, candles: Rows) -> Ladder:
    """Takes of each minute the ladder that is exact, else the first if no id is missing, else what has more.

    Args:
        first: of a day; taken where both have as much.
        second: of the same day.
        candles: shape (n,), dtype ROW, the day's minutes, in order.

    Returns:
        The ladders of all minutes that are in either.
    """
    rank = []
    for ladder in (first, second):
        times = ladder.minutes["minute"] * MINUTE_MS + ladder.day
        places = np.searchsorted(candles["open_time"], times)
        inside = np.zeros(len(times), dtype=np.bool_)
        if len(candles):
            inside = candles["open_time"][np.minimum(places, len(candles) - 1)] == times
        sums = minute_sums(ladder.minutes, ladder.day, ladder.quantity_places)
        exact = np.zeros(len(times), dtype=np.bool_)
        exact[inside] = reconcile(candles, sums).known[places[inside]] == Known.EXACT
        of_minute = np.full(MINUTES_PER_DAY, -1.0)
        # Not the share of the candle: trades that are none of its own may make up for some that are missing.
        whole = np.zeros(len(times), dtype=np.bool_)
        if ladder is first:  # what is missing after a minute is missing before the next one's first trade
            whole[:-1] = (sums.missing[:-1] == 0) & (sums.missing[1:] == 0)
        amounts = np.where(whole, np.finfo(np.float64).max, sums.bought + sums.sold)
        of_minute[ladder.minutes["minute"]] = np.where(exact, np.inf, amounts)
        rank.append(of_minute)
    taken = rank[1] > rank[0]
    return joined(
        [
            first.of_minutes(~taken[first.minutes["minute"]]),
            second.of_minutes(taken[second.minutes["minute"]]),
        ]
    )


def first_difference(first: Ladder, second: Ladder) -> int | None:
    """Finds from when on two ladders of a day differ.

    Args:
        first: of the day.
        second: of the same day.

    Returns:
        Open time of the minute, ms; None where they are the same.
    """
    both = [set(map(tuple, _prints(ladder).tolist())) for ladder in (first, second)]
    differing = both[0] ^ both[1]
    return int(min(differing)[0]) * MINUTE_MS + first.day if differing else None


def _prints(ladder: Ladder) -> _Floats:
    """Shape (minutes, 6): what no two ladders of a minute have in common, and whose units do not matter."""
    minutes, levels = ladder.minutes, ladder.levels
    if not len(minutes):
        return np.zeros((0, 6))
    begins = np.searchsorted(levels["minute"], minutes["minute"])
    bought, sold = (ladder.quantities(levels[name]) for name in ("bought", "sold"))
    prices = ladder.prices()
    sums = [np.add.reduceat(of, begins) for of in (bought, sold, prices * bought, prices * sold, prices)]
    return np.column_stack((minutes["minute"], *sums))


def _same(first: _Floats, second: _Floats) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = np.abs(first - second) <= _EQUAL * np.maximum(first, second)
    return same
