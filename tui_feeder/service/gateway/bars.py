"""Minutes in the exchange's smallest units: exact bars of any interval, and their text. Pure.

The exchange states decimals, the store keeps floats. Counted in smallest units (a price of ``64346.70`` with
two decimals is 6434670) sums are exact and print the digits that the exchange prints. A volume of many coins
with eight decimals is more units than 64 bits hold, so volumes are kept as two whole numbers.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import MINUTE_MS, Rows
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.service.gateway.intervals import Interval, Ints

#: Columns of a matrix of bars. COUNT: minutes that are in it. Of volumes what is below :data:`LIMB` stands
#: here, how often they have that stands at :data:`HIGHER`.
OPEN, HIGH, LOW, CLOSE, VOLUME, QUOTE, TRADES, TAKER, TAKER_QUOTE, COUNT = range(10)
_VOLUMES = (VOLUME, QUOTE, TAKER, TAKER_QUOTE)
#: Where the higher part of a volume is.
HIGHER = dict(zip(_VOLUMES, range(10, 14), strict=True))
_COLUMNS = 14
LIMB_DIGITS = 12
#: So many units make one of the higher part.
LIMB: Final[int] = 10**LIMB_DIGITS
_PRICES = ("open", "high", "low", "close")
_NAMES = (*_PRICES, "volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
#: No price or volume has more decimals.
_MOST_DECIMALS = 12


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
    values: Ints  # (n, 14) in smallest units


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
            if bool(((units / 10.0**places == values) | _has_not_all(values, places)).all()):
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


def _has_not_all(values: NDArray[np.float64], places: int) -> NDArray[np.bool_]:
    """Whether the floats beside the numbers are a smallest unit away or more."""
    apart: NDArray[np.bool_] = np.spacing(values) * 10.0**places >= 1
    return apart


def _parts(values: NDArray[np.float64], places: int) -> tuple[Ints, Ints]:
    """The numbers in smallest units: how often they have :data:`LIMB`, and the rest.

    Where a float can be several numbers of units, the shortest decimal that it can be is meant: an exchange's
    volume of eight decimals has fewer digits that are not 0, as prices and quantities have less.
    """
    units = _units(values, places)
    large = _has_not_all(values, places)
    if not large.any():
        counted = units.astype(np.int64)
        return counted // LIMB, counted % LIMB
    zeros = np.zeros(len(values), np.int64)  # how many follow behind the digits
    left = large.copy()
    for fewer in range(places + 1):
        found = left & (_units(values, fewer) / 10.0**fewer == values)
        units[found], zeros[found] = _units(values[found], fewer), places - fewer
        left &= ~found
        if not left.any():
            break
    digits = units.astype(np.int64)
    behind, before = 10**zeros, 10 ** (LIMB_DIGITS - zeros)
    return digits // before, digits % before * behind


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
        if column == TRADES:
            values[:, column] = rows[name]
            continue
        higher, lower = _parts(rows[name], places)
        if column in HIGHER:
            values[:, HIGHER[column]], values[:, column] = higher, lower
        else:
            values[:, column] = higher * LIMB + lower
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
    values = bars.values.copy()
    for column, (few, more) in enumerate(zip(known.of_columns(), decimals.of_columns(), strict=True)):
        if column in HIGHER:
            higher, lower = values[:, HIGHER[column]], values[:, column]
            over, rest = np.divmod(lower, 10 ** (LIMB_DIGITS - (more - few)))
            values[:, HIGHER[column]] = higher * 10 ** (more - few) + over
            values[:, column] = rest * 10 ** (more - few)
        else:
            values[:, column] *= 10 ** (more - few)
    return Bars(bars.times, values)


def volume_of(values: Ints, column: int) -> int:
    """A volume of all bars together.

    Args:
        values: of bars, shape (n, 14).
        column: which one.

    Returns:
        In smallest units, of any size.
    """
    return int(values[:, HIGHER[column]].sum()) * LIMB + int(values[:, column].sum())


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
    for lower, higher in HIGHER.items():
        made[:, higher] += made[:, lower] // LIMB
        made[:, lower] %= LIMB
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
