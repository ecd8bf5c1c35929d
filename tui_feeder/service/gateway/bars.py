"""Minutes in the exchange's smallest units: exact bars of any interval, and their text. Pure.

The exchange states decimals, the store keeps floats. Counted in smallest units (a price of ``64346.70`` with
two decimals is 6434670) sums are exact and print the digits that the exchange prints.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import MINUTE_MS, Rows
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.service.gateway.intervals import Interval, Ints

#: Columns of a matrix of bars. COUNT: minutes that are in it.
OPEN, HIGH, LOW, CLOSE, VOLUME, QUOTE, TRADES, TAKER, TAKER_QUOTE, COUNT = range(10)
_COLUMNS = 10
_PRICES = ("open", "high", "low", "close")
_NAMES = (*_PRICES, "volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
#: No price or volume has more decimals.
_MOST_DECIMALS = 12
#: Whole numbers below it are exact floats.
_EXACT = 1 << 53


class Decimals(NamedTuple):
    """Digits after the point of a symbol's numbers."""

    price: int
    quantity: int
    quote: int

    def of_columns(self) -> tuple[int, ...]:
        """Of each of :data:`_NAMES`."""
        price, quantity, quote = self
        return price, price, price, price, quantity, quote, 0, quantity, quote


class Bars(NamedTuple):
    """Bars in rising order of time, each with at least one minute."""

    times: Ints  # (n,) open time, ms
    values: Ints  # (n, 10) in smallest units


NO_BARS = Bars(np.empty(0, np.int64), np.empty((0, _COLUMNS), np.int64))


def fitting(rows: Rows, decimals: Decimals) -> Decimals:
    """``decimals``, or more of them where ``rows`` (dtype ROW) have numbers with more: none is ever rounded.

    Args:
        rows: of any length.
        decimals: the least.

    Returns:
        As many of each as the numbers have, twelve at most.
    """

    def enough(names: tuple[str, ...], least: int) -> int:
        values = np.concatenate([rows[name] for name in names])
        for places in range(least, _MOST_DECIMALS + 1):
            units = _units(values, places)
            # Of larger numbers a float does not have all digits: what is there is printed.
            if bool(((units / 10.0**places == values) | (np.abs(units) >= _EXACT)).all()):
                return places
        return _MOST_DECIMALS

    return Decimals(
        enough(_PRICES, decimals.price),
        enough(("volume", "taker_buy_volume"), decimals.quantity),
        enough(("quote_volume", "taker_buy_quote_volume"), decimals.quote),
    )


def _units(values: NDArray[np.float64], places: int) -> NDArray[np.float64]:
    """The numbers in smallest units, as whole floats."""
    ten = 10.0**places
    units = np.rint(values * ten)
    wrong = units / ten != values
    if wrong.any():  # the product of a large number is rounded too: one of its neighbours is meant
        for step in (-1.0, 1.0, -2.0, 2.0):
            found = wrong & ((units + step) / ten == values)
            units = np.where(found, units + step, units)
            wrong &= ~found
    return units


def minutes_of(rows: Rows, decimals: Decimals) -> Bars:
    """Stored minutes (dtype ROW) as bars of one minute.

    Args:
        rows: sorted, unique.
        decimals: enough for every number, see :func:`fitting`.

    Returns:
        A bar for each row.
    """
    values = np.empty((len(rows), _COLUMNS), np.int64)
    for column, (name, places) in enumerate(zip(_NAMES, decimals.of_columns(), strict=True)):
        values[:, column] = rows[name] if column == TRADES else _units(rows[name], places)
    values[:, COUNT] = 1
    return Bars(rows["open_time"].astype(np.int64), values)


def finer(bars: Bars, known: Decimals, decimals: Decimals) -> Bars:
    """Bars in the smaller units of more ``decimals`` than the ``known`` ones.

    Args:
        bars: in units of the ``known`` decimals.
        known: fewer.
        decimals: at least as many of each.

    Returns:
        The same numbers.
    """
    steps = zip(known.of_columns(), decimals.of_columns(), strict=True)
    factors = [10 ** (more - few) for few, more in steps]
    return Bars(bars.times, bars.values * np.array([*factors, 1], np.int64))


def joined(first: Bars, second: Bars) -> Bars:
    """Both, ``second`` being later.

    Args:
        first: may be empty.
        second: may be empty.

    Returns:
        The bars of both.
    """
    if not len(first.times):
        return second
    if not len(second.times):
        return first
    return Bars(np.concatenate((first.times, second.times)), np.concatenate((first.values, second.values)))


def part(bars: Bars, low: int, high: int) -> Bars:
    """The bars of these places.

    Args:
        bars: of which.
        low: first place.
        high: exclusive.

    Returns:
        Those bars.
    """
    return Bars(bars.times[low:high], bars.values[low:high])


def summed(bars: Bars, interval: Interval) -> Bars:
    """Bars of shorter intervals, or parts of bars, as those of ``interval``.

    Args:
        bars: in order; none reaches over the end of a bar of ``interval``.
        interval: of the result.

    Returns:
        A bar for each stretch with any minute; :data:`COUNT` is how many it has.
    """
    times, values = bars
    if not len(times) or interval.ms == MINUTE_MS:
        return bars
    begins = interval.floors(times)
    first = np.flatnonzero(np.diff(begins, prepend=begins[0] - 1))
    last = np.append(first[1:], len(times)) - 1
    made = np.empty((len(first), _COLUMNS), np.int64)
    made[:, OPEN] = values[first, OPEN]
    made[:, HIGH] = np.maximum.reduceat(values[:, HIGH], first)
    made[:, LOW] = np.minimum.reduceat(values[:, LOW], first)
    made[:, CLOSE] = values[last, CLOSE]
    made[:, VOLUME:] = np.add.reduceat(values[:, VOLUME:], first, axis=0)
    return Bars(begins[first], made)


def whole(bars: Bars, interval: Interval, listed: int | None, omitted: Coverage = EMPTY) -> NDArray[np.bool_]:
    """Mask of the bars that have all their minutes, or all since the symbol was ``listed`` (ms).

    Args:
        bars: of ``interval``.
        interval: their length.
        listed: ms; None where it is not known.
        omitted: minutes that the exchange has not.

    Returns:
        A mask as long as the bars.
    """
    begins, ends = bars.times, interval.ends(bars.times)
    if listed is not None:
        begins = np.maximum(begins, np.minimum(listed, ends))
    lacking = (ends - begins) // MINUTE_MS - bars.values[:, COUNT]
    complete: NDArray[np.bool_] = lacking == 0
    for place in np.flatnonzero(~complete).tolist() if omitted else ():
        complete[place] = omitted.clip(int(begins[place]), int(ends[place])).minutes == lacking[place]
    return complete


def where(bars: Bars, mask: NDArray[np.bool_]) -> Bars:
    """The bars that the mask has.

    Args:
        bars: of which.
        mask: as long as the bars.

    Returns:
        Those bars.
    """
    return bars if mask.all() else Bars(bars.times[mask], bars.values[mask])
