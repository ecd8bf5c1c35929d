"""Candles of markets that count contracts, in base and quote asset like those of the others. Pure.

Such a market states contracts where others state the base volume, and base coins where they state the quote
volume. Contracts are the quote volume by the size of one.
"""

from __future__ import annotations

import msgspec

from tui_feeder.engine.core.candle import Candle, Rows


def rows_in_assets(rows: Rows, size: float) -> Rows:
    """Converts rows as the exchange states them.

    Args:
        rows: shape (n,), dtype ROW: volumes in contracts, quote volumes in base coins.
        size: what a contract is worth, in the quote asset.

    Returns:
        New rows: volumes in base coins, quote volumes in the quote asset.
    """
    found = rows.copy()
    found["volume"], found["quote_volume"] = rows["quote_volume"], rows["volume"] * size
    found["taker_buy_volume"] = rows["taker_buy_quote_volume"]
    found["taker_buy_quote_volume"] = rows["taker_buy_volume"] * size
    return found


def candle_in_assets(candle: Candle, size: float) -> Candle:
    """Converts a candle as the exchange states it; see :func:`rows_in_assets`.

    Args:
        candle: volume in contracts, quote volume in base coins.
        size: what a contract is worth, in the quote asset.

    Returns:
        The same minute: volume in base coins, quote volume in the quote asset.
    """
    return msgspec.structs.replace(
        candle,
        volume=candle.quote_volume,
        quote_volume=candle.volume * size,
        taker_buy_volume=candle.taker_buy_quote_volume,
        taker_buy_quote_volume=candle.taker_buy_volume * size,
    )
