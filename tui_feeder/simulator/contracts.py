"""Candles as markets print them: in base and quote asset, or in contracts and base coins."""

from __future__ import annotations

import numpy as np

from tui_feeder.simulator.market import QUOTE, TAKER, TAKER_QUOTE, VOLUME, Instrument, Ints

_COIN_DECIMALS = 8


def as_printed(values: Ints, instrument: Instrument) -> tuple[Ints, int, int]:
    """Candles as the market prints them: of COIN-M contracts and base coins.

    Args:
        values: shape (n, COLUMNS), in base and quote asset.
        instrument: the symbol.

    Returns:
        The matrix to print, and the decimals of its volumes and quote volumes.
    """
    if not instrument.contract_size:
        return values, instrument.quantity_decimals, instrument.quote_decimals
    unit = instrument.contract_size * 10**instrument.quote_decimals
    printed = values.copy()
    for base, quote in ((VOLUME, QUOTE), (TAKER, TAKER_QUOTE)):
        stated = np.maximum(values[:, quote] // unit, (values[:, base] > 0).astype(np.int64))
        # Coins that are worth the whole contracts, at the same average price.
        share = stated * unit / np.maximum(values[:, quote], 1)
        coins = values[:, base] * share * 10.0 ** (_COIN_DECIMALS - instrument.quantity_decimals)
        printed[:, base], printed[:, quote] = stated, np.rint(coins).astype(np.int64)
    return printed, 0, _COIN_DECIMALS
