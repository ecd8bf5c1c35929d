"""Aggregated trades as columns of whole numbers, in any number at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


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
