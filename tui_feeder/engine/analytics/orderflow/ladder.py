"""Trades of a UTC day as ladders: how much was bought and sold at each price of each minute. Pure.

A trade belongs to the minute of its own time, whatever its place in the file or the stream. Ids of aggregated
trades follow each other: an id that is missing is known, and the minutes around it are *unproved*; one that
comes twice counts once. A trade of price and quantity zero, which the exchange puts where it needs an id,
counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, MINUTES_PER_DAY
from tui_feeder.engine.core.trades import Ints, Trades, together

#: One price of one minute; prices in ticks of the ladder, quantities in units of its last decimal place.
LEVEL = np.dtype([("minute", "<i4"), ("trades", "<i4"), ("price", "<i8"), ("bought", "<i8"), ("sold", "<i8")])
#: One minute: its first and last aggregated trade, how many ids before one of them are missing, and its sums.
MINUTE = np.dtype(
    [("minute", "<i8"), ("first_id", "<i8"), ("last_id", "<i8"), ("open", "<i8"), ("close", "<i8"),
     ("missing", "<i8"), ("bought", "<i8"), ("sold", "<i8"), ("trades", "<i8")]
)  # fmt: skip
#: Trades that are counted together; those of the minute that is not over wait for the next ones.
_TOGETHER = 1 << 16
#: Sums of prices are made in an array over all prices of a minute, up to so many places in all.
_MOST_PLACES = 1 << 22


@dataclass(frozen=True, slots=True)
class Ladder:
    """The ladders of the minutes of a UTC day that had a trade."""

    day: int  # ms, midnight UTC
    price_places: int  # decimal places of a price
    tick: int  # a price in ticks times this is the price in its last decimal place
    quantity_places: int  # decimal places of a quantity
    levels: NDArray[np.void]  # dtype LEVEL, by minute, then by price
    minutes: NDArray[np.void]  # dtype MINUTE, ascending
    duplicates: int = 0  # trades whose id came before, left out
    zeros: int = 0  # trades of price or quantity zero, left out
    outside: int = 0  # trades of another day, left out

    @property
    def increment(self) -> float:
        """A tick in the quote asset."""
        return self.tick / float(10**self.price_places)

    def prices(self) -> NDArray[np.float64]:
        """The price of each level, quote asset."""
        made: NDArray[np.float64] = self.levels["price"] * self.tick / float(10**self.price_places)
        return made

    def quantities(self, units: Ints) -> NDArray[np.float64]:
        """Converts quantities.

        Args:
            units: whole numbers of the last decimal place.

        Returns:
            Base asset, same shape.
        """
        made: NDArray[np.float64] = units / float(10**self.quantity_places)
        return made

    def volume(self) -> float:
        """What was bought and sold in all minutes, base asset."""
        return float(self.quantities(self.minutes["bought"] + self.minutes["sold"]).sum())

    def of_minutes(self, chosen: NDArray[np.bool_]) -> Ladder:
        """Selects minutes.

        Args:
            chosen: shape (n,), of :attr:`minutes`.

        Returns:
            The ladders of those alone.
        """
        if chosen.all():
            return self
        minutes = self.minutes[chosen]
        places = np.searchsorted(self.minutes["minute"], self.levels["minute"])
        return replace(self, levels=self.levels[chosen[places]], minutes=minutes)


class LadderBuilder:
    """Makes the ladders of a day of trades that come in parts, in the order of their ids.

    Args:
        day: midnight UTC, ms.
    """

    def __init__(self, day: int) -> None:
        self.day = day
        self._waiting: list[Trades] = []
        self._waiting_rows = 0
        self._parts: list[tuple[NDArray[np.void], int, int]] = []  # levels, places of price and quantity
        self._minutes: list[tuple[NDArray[np.void], int]] = []
        self._last_id: int | None = None
        self.trades = 0  # aggregated trades counted
        self._duplicates = self._zeros = self._outside = 0

    def add(self, trades: Trades) -> None:
        """Counts trades.

        Args:
            trades: the next ones; ids that came before are left out, as a stream gives them after it was
                connected again.
        """
        self._waiting.append(trades)
        self._waiting_rows += len(trades)
        if self._waiting_rows >= _TOGETHER:
            waiting = together(self._waiting)
            minutes = waiting.times // MINUTE_MS
            cut = int(np.argmax(minutes == minutes[-1])) or len(waiting)
            self._count(waiting.at(slice(0, cut)))
            self._waiting, self._waiting_rows = [waiting.at(slice(cut, None))], len(waiting) - cut

    def _count(self, trades: Trades) -> None:
        ids = trades.ids
        if len(ids) and not (np.diff(ids) > 0).all():
            order = np.argsort(ids, kind="stable")
            order = order[np.diff(ids[order], prepend=ids[order[0]] - 1) > 0]
            self._duplicates += len(ids) - len(order)
            trades = trades.at(order)
        if self._last_id is not None and len(trades) and trades.ids[0] <= self._last_id:
            new = trades.ids > self._last_id
            self._duplicates += len(trades) - int(new.sum())
            trades = trades.at(new)
        if not len(trades):
            return
        before = self._last_id
        self._last_id = int(trades.ids[-1])
        missing = np.diff(trades.ids, prepend=trades.ids[0] - 1 if before is None else before) - 1
        zero = (trades.prices == 0) | (trades.quantities == 0)
        minutes = (trades.times - self.day) // MINUTE_MS
        outside = (minutes < 0) | (minutes >= MINUTES_PER_DAY)
        if zero.any() or outside.any():
            self._zeros += int(zero.sum())
            self._outside += int((outside & ~zero).sum())
            kept = ~zero & ~outside
            # What is missing before a trade that is left out is missing before the next one.
            owed = np.cumsum(missing)[kept]
            trades, minutes, missing = trades.at(kept), minutes[kept], np.diff(owed, prepend=0)
            if not len(trades):
                return
        self.trades += len(trades)
        self._parts.append((_levels(trades, minutes), trades.price_places, trades.quantity_places))
        self._minutes.append((_minutes(trades, minutes, missing), trades.price_places))

    def _join(self) -> None:
        """Makes one part of all: a minute that was divided among parts becomes one."""
        places, digits = max(part[1] for part in self._parts), max(part[2] for part in self._parts)
        for levels, price_places, quantity_places in self._parts:
            if price_places < places:
                levels["price"] *= 10 ** (places - price_places)
            if quantity_places < digits:
                levels["bought"] *= 10 ** (digits - quantity_places)
                levels["sold"] *= 10 ** (digits - quantity_places)
        for minutes, price_places in self._minutes:
            if price_places < places:
                for name in ("open", "close"):
                    minutes[name] *= 10 ** (places - price_places)
        levels = np.concatenate([part[0] for part in self._parts])
        self._parts = [(_merged_levels(levels), places, digits)]
        self._minutes = [(_merged_minutes(np.concatenate([part[0] for part in self._minutes])), places)]

    def ladder(self) -> Ladder:
        """The ladders of what was added; nothing is added afterwards."""
        if self._waiting:
            self._count(together(self._waiting))
            self._waiting, self._waiting_rows = [], 0
        if not self._parts:
            none = np.zeros(0, dtype=LEVEL), np.zeros(0, dtype=MINUTE)
            return Ladder(self.day, 0, 1, 0, *none, self._duplicates, self._zeros, self._outside)
        self._join()
        (levels, places, digits), (minutes, _) = self._parts[0], self._minutes[0]
        self._parts.clear()
        begins = np.searchsorted(levels["minute"], minutes["minute"])
        for name in ("bought", "sold", "trades"):
            minutes[name] = np.add.reduceat(levels[name], begins)
        return _in_ticks(
            Ladder(self.day, places, 1, digits, levels, minutes, self._duplicates, self._zeros, self._outside)
        )


def joined(ladders: Sequence[Ladder]) -> Ladder:
    """Puts ladders of one day together.

    Args:
        ladders: at least one; no minute is in two of them.

    Returns:
        All of them, in units that hold every one.
    """
    if len(ladders) == 1:
        return ladders[0]
    places = max(ladder.price_places for ladder in ladders)
    digits = max(ladder.quantity_places for ladder in ladders)
    parts = []
    for ladder in ladders:
        levels, minutes = ladder.levels.copy(), ladder.minutes.copy()
        price = ladder.tick * 10 ** (places - ladder.price_places)
        quantity = 10 ** (digits - ladder.quantity_places)
        levels["price"] *= price
        for name in ("open", "close"):
            minutes[name] *= price
        for name in ("bought", "sold"):
            levels[name] *= quantity
            minutes[name] *= quantity
        parts.append((levels, minutes))
    levels, minutes = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
    levels = levels[np.argsort(levels["minute"], kind="stable")]
    minutes = minutes[np.argsort(minutes["minute"], kind="stable")]
    left_out = [
        sum(getattr(ladder, name) for ladder in ladders) for name in ("duplicates", "zeros", "outside")
    ]
    return _in_ticks(Ladder(ladders[0].day, places, 1, digits, levels, minutes, *left_out))


def _in_ticks(ladder: Ladder) -> Ladder:
    """The same, with prices in the largest unit that all of them are multiples of."""
    levels, minutes = ladder.levels, ladder.minutes
    if not len(levels):
        return ladder
    tick = max(1, int(np.gcd.reduce(levels["price"][:: max(1, len(levels) // 1000)])))
    if tick > 1 and (levels["price"] % tick).any():  # the prices looked at were not all kinds
        tick = int(np.gcd.reduce(levels["price"]))
    if tick > 1:
        levels["price"] //= tick
        for name in ("open", "close"):
            minutes[name] //= tick
    return replace(ladder, tick=tick)


def _levels(trades: Trades, minutes: Ints) -> NDArray[np.void]:
    """The levels of some trades, by minute, then by price."""
    price, bought = trades.prices, np.where(trades.sold, 0, trades.quantities)
    first = int(minutes.min())
    spans = int(minutes.max()) - first + 1
    lowest = np.full(spans, np.iinfo(np.int64).max)
    highest = np.zeros(spans, dtype=np.int64)
    at = minutes - first
    if (np.diff(at) >= 0).all():
        begins = np.flatnonzero(np.diff(at, prepend=-1))
        lowest[at[begins]] = np.minimum.reduceat(price, begins)
        highest[at[begins]] = np.maximum.reduceat(price, begins)
    else:  # trades that straddle a minute
        np.minimum.at(lowest, at, price)
        np.maximum.at(highest, at, price)
    lowest = np.minimum(lowest, highest)
    offsets = np.concatenate(([0], np.cumsum(highest - lowest + 1)))
    sold, size = trades.quantities - bought, int(offsets[-1])
    if size > _MOST_PLACES or int(trades.quantities.sum()) >= 1 << 53:
        made = np.zeros(len(price), dtype=LEVEL)
        made["minute"], made["price"], made["bought"] = minutes, price, bought
        made["sold"], made["trades"] = sold, trades.counts
        return _merged_levels(made)
    # A place for each price of each minute between its lowest and highest: sums without sorting.
    shift = offsets[:-1] - lowest
    places = price + shift[at]
    sums = [np.bincount(places, weights, size) for weights in (bought, sold, trades.counts)]
    used = np.flatnonzero(sums[2])
    minute = np.searchsorted(offsets, used, side="right") - 1
    found = np.zeros(len(used), dtype=LEVEL)
    found["minute"] = minute + first
    found["price"] = used - shift[minute]
    for name, values in zip(("bought", "sold", "trades"), sums, strict=True):
        found[name] = values[used]
    return found


def _merged_levels(levels: NDArray[np.void]) -> NDArray[np.void]:
    """Levels in order, those of the same minute and price as one."""
    low, high = int(levels["price"].min()), int(levels["price"].max())
    if high - low < 1 << 48:
        keys = levels["minute"].astype(np.int64) * (high - low + 1) + (levels["price"] - low)
        if (np.diff(keys) > 0).all():
            return levels
        order = np.argsort(keys, kind="stable")
        new = np.diff(keys[order], prepend=-1) != 0
    else:
        order = np.lexsort((levels["price"], levels["minute"]))
        new = np.ones(len(levels), dtype=np.bool_)
        new[1:] = np.diff(levels["minute"][order]) != 0
        new[1:] |= np.diff(levels["price"][order]) != 0
    levels = levels[order]
    if new.all():
        return levels
    begins = np.flatnonzero(new)
    made = levels[begins]
    for name in ("bought", "sold", "trades"):
        made[name] = np.add.reduceat(levels[name], begins)
    return made


def _minutes(trades: Trades, minutes: Ints, missing: Ints) -> NDArray[np.void]:
    """What is kept of the minutes of some trades beside their levels."""
    order = np.argsort(minutes, kind="stable")
    at = minutes[order]
    begins = np.flatnonzero(np.diff(at, prepend=-1))
    ends = np.append(begins[1:], len(at)) - 1
    made = np.zeros(len(begins), dtype=MINUTE)
    made["minute"] = at[begins]
    made["first_id"], made["last_id"] = trades.ids[order[begins]], trades.ids[order[ends]]
    made["open"], made["close"] = trades.prices[order[begins]], trades.prices[order[ends]]
    made["missing"] = np.add.reduceat(missing[order], begins)
    return made


def _merged_minutes(minutes: NDArray[np.void]) -> NDArray[np.void]:
    """Minutes in order, the parts of one as one."""
    order = np.lexsort((minutes["first_id"], minutes["minute"]))
    minutes = minutes[order]
    begins = np.flatnonzero(np.diff(minutes["minute"], prepend=-1))
    ends = np.append(begins[1:], len(minutes)) - 1
    made = minutes[begins]
    made["last_id"], made["close"] = minutes["last_id"][ends], minutes["close"][ends]
    made["missing"] = np.add.reduceat(minutes["missing"], begins)
    return made


def of_day(moment: int) -> int:
    """Finds the day of a moment.

    Args:
        moment: ms.

    Returns:
        Midnight UTC, ms.
    """
    return moment - moment % DAY_MS
