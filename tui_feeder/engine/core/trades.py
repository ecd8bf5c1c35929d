"""Aggregated trades as columns of whole numbers, in any number at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
#: An aggregated trade as a stream gives it: id, price (quote asset), quantity (base asset), trades inside,
#: time (ms), and whether the taker sold.
TradeRow: TypeAlias = tuple[int, float, float, int, int, bool]

#: Decimal places that prices and quantities may have.
MOST_PLACES = 8
#: A decimal of fewer units survives the way through a float.
_EXACT = 1e15
#: Ids and times beyond are none.
_MOST = 1 << 53


@dataclass(frozen=True, slots=True)
class Trades:
    """Aggregated trades: what one taker's order traded at one price within 100 ms. Columns of shape (n,).

    Prices and quantities are whole numbers of their last decimal place, so sums of them are exact.
    """

    ids: Ints  # of the aggregated trades, as the exchange counts them
    prices: Ints  # in 10**-price_places of the quote asset
    quantities: Ints  # in 10**-quantity_places of the base asset
    counts: Ints  # trades inside
    times: Ints  # ms
    sold: NDArray[np.bool_]  # the taker sold, for the buyer was the maker
    price_places: int
    quantity_places: int

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, places: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Trades:
        """Selects some of them.

        Args:
            places: indices, a mask of shape (n,), or a slice.

        Returns:
            Those, in that order.
        """
        return Trades(
            self.ids[places], self.prices[places], self.quantities[places], self.counts[places],
            self.times[places], self.sold[places], self.price_places, self.quantity_places,
        )  # fmt: skip


def together(parts: Sequence[Trades]) -> Trades:
    """Joins trades.

    Args:
        parts: at least one, in order.

    Returns:
        All of them, in units of the most decimal places of any.
    """
    if len(parts) == 1:
        return parts[0]
    places = max(part.price_places for part in parts)
    digits = max(part.quantity_places for part in parts)
    prices = [part.prices * 10 ** (places - part.price_places) for part in parts]
    quantities = [part.quantities * 10 ** (digits - part.quantity_places) for part in parts]
    ids, counts, times, sold = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "counts", "times", "sold")
    )
    return Trades(
        ids, np.concatenate(prices), np.concatenate(quantities), counts, times, sold, places, digits
    )


def of_rows(rows: Sequence[TradeRow], places: tuple[int, int] = (0, 0)) -> tuple[Trades, int]:
    """Makes columns of trades that came one by one.

    Args:
        rows: at least one, in any order.
        places: decimal places of prices and quantities to begin with, those of trades before.

    Returns:
        The trades, and how many others can be none: of negative numbers, or of more decimal places than
        :data:`MOST_PLACES`.
    """
    sound = [
        row for row in rows
        if 0 <= row[0] < _MOST and 0 <= row[4] < _MOST and 0 <= row[3] < _MOST
        and 0.0 <= row[1] < _EXACT and 0.0 <= row[2] < _EXACT
    ]  # fmt: skip
    if not sound:
        none = np.zeros(0, dtype=np.int64)
        return Trades(none, none, none, none, none, none > 0, *places), len(rows)
    ids, prices, quantities, counts, times, sold = zip(*sound, strict=True)
    units, fit, price_places = _in_places(np.array(prices), places[0])
    others, fits, quantity_places = _in_places(np.array(quantities), places[1])
    made = Trades(
        np.array(ids, dtype=np.int64), units, others, np.array(counts, dtype=np.int64),
        np.array(times, dtype=np.int64), np.array(sold, dtype=np.bool_), price_places, quantity_places,
    )  # fmt: skip
    if not (fit & fits).all():
        made = made.at(fit & fits)
    return made, len(rows) - len(made)


def _in_places(values: NDArray[np.float64], least: int) -> tuple[Ints, NDArray[np.bool_], int]:
    """Decimals as whole numbers of their last place, which of them are some, and how many places that takes.

    A float is the nearest one to the decimal that was sent: what gives it again is that decimal.
    """
    for places in range(least, MOST_PLACES + 1):
        units = np.rint(values * 10.0**places)
        fit = (units / 10.0**places == values) & (units < _EXACT)
        if fit.all():
            break
    return units.astype(np.int64), fit, places


def in_units(text: str, places: int) -> int:
    """Reads a decimal as a whole number of its last place.

    Args:
        text: such as ``0.7097``.
        places: decimal places of the unit, at least as many as the text has beyond zeros.

    Returns:
        The number of units.

    Raises:
        ValueError: it is no plain decimal, or has more places than that.
    """
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    digits = whole + fraction
    if not whole or not (digits.isascii() and digits.isdigit()) or len(fraction) > places:
        raise ValueError(f"{text!r} is no decimal of at most {places} places")
    return int(digits + "0" * (places - len(fraction)))
