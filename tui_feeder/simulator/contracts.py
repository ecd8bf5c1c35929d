"""Candles as markets print them: in base and quote asset, or in contracts and base coins; their decimals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tui_feeder.simulator.market import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    QUOTE,
    TAKER,
    TAKER_QUOTE,
    VOLUME,
    Instrument,
    Ints,
)

COIN_DECIMALS = 8


class Printed(NamedTuple):
    """Candles as a market prints them, and the decimals of its prices, volumes and quote volumes."""

    values: Ints
    price: int
    quantity: int
    quote: int


def as_printed(values: Ints, instrument: Instrument) -> Printed:
    """Candles as the market prints them: of COIN-M contracts and base coins, of spot with eight decimals.

    Args:
        values: shape (n, COLUMNS), in base and quote asset.
        instrument: the symbol.

    Returns:
        The matrix to print, and its decimals.
    """
    if not instrument.contract_size:
        return _with_decimals(values, instrument)
    printed = values.copy()
    for base, quote in ((VOLUME, QUOTE), (TAKER, TAKER_QUOTE)):
        # Of a minute in progress, less than a contract may be known.
        contracts = -(-values[:, quote] // instrument.contract_size)
        printed[:, base], printed[:, quote] = contracts, values[:, base]
    return Printed(printed, instrument.price_decimals, 0, COIN_DECIMALS)


def in_contracts(values: Ints, instrument: Instrument, size: int) -> Ints:
    """Minutes as whole contracts of the same trades, so that those of longer candles are their sum.

    Args:
        values: shape (n, COLUMNS), in base and quote asset.
        instrument: whose trades, with the decimals of ``values``.
        size: what a contract is worth, in the quote asset.

    Returns:
        Base coins with :data:`COIN_DECIMALS` decimals, and whole units of the quote asset.
    """
    unit = size * 10**instrument.quote_decimals
    found = values.copy()
    for base, quote in ((VOLUME, QUOTE), (TAKER, TAKER_QUOTE)):
        contracts = np.maximum(values[:, quote] // unit, (values[:, base] > 0).astype(np.int64))
        # Coins that are worth the whole contracts, at the same average price.
        share = contracts * unit / np.maximum(values[:, quote], 1)
        coins = values[:, base] * share * 10.0 ** (COIN_DECIMALS - instrument.quantity_decimals)
        found[:, base], found[:, quote] = np.rint(coins).astype(np.int64), contracts * size
    return found


def _with_decimals(values: Ints, instrument: Instrument) -> Printed:
    own = instrument.price_decimals, instrument.quantity_decimals, instrument.quote_decimals
    wanted = tuple(max(instrument.printed_decimals, places) for places in own)
    if wanted == own:
        return Printed(values, *own)
    printed = values.copy()
    columns = (OPEN, HIGH, LOW, CLOSE), (VOLUME, TAKER), (QUOTE, TAKER_QUOTE)
    for group, few, more in zip(columns, own, wanted, strict=True):
        if int(values[:, group].max(initial=0)) * 10 ** (more - few) >= 1 << 63:
            printed = printed.astype(object)  # Python's integers, of any size
        printed[:, group] *= 10 ** (more - few)
    return Printed(printed, *wanted)
