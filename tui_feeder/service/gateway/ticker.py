"""The price and the last 24 hours of a symbol, from its stored minutes and the one in progress. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import orjson

from tui_feeder.engine.core.candle import Candle, Rows
from tui_feeder.service.gateway.bars import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    QUOTE,
    TRADES,
    VOLUME,
    Decimals,
    fitting,
    joined,
    minute_of,
    minutes_of,
)
from tui_feeder.service.gateway.rows_text import decimal

#: Minutes before the one in progress that count.
DAY_MINUTES = 1_440
_PERCENT = Decimal("0.001")


def price(symbol: str, candle: Candle, decimals: Decimals, at: int) -> bytes:
    """The answer to ticker/price: the last price, and when (ms) it was known.

    Args:
        symbol: whose.
        candle: of the minute in progress.
        decimals: of the symbol.
        at: ms.

    Returns:
        A JSON object.
    """
    value = decimal(round(candle.close * 10**decimals.price), decimals.price)
    return orjson.dumps({"symbol": symbol, "price": value, "time": at})


def day(symbol: str, rows: Rows, forming: Candle, decimals: Decimals, at: int) -> bytes:
    """The answer to ticker/24hr.

    Of single trades nothing is stored: ``lastQty`` is 0 and the trade ids are -1.

    Args:
        symbol: whose.
        rows: the 1,440 stored minutes before the one in progress, dtype ROW.
        forming: the minute in progress.
        decimals: of the symbol.
        at: ms.

    Returns:
        A JSON object.
    """
    decimals = fitting(rows, decimals)
    times, values = joined(minutes_of(rows, decimals), minute_of(forming, decimals))
    first, last = int(values[0, OPEN]), int(values[-1, CLOSE])
    volume, quote = int(values[:, VOLUME].sum()), int(values[:, QUOTE].sum())

    def cost(units: int) -> str:
        sign = "-" if units < 0 else ""
        return sign + decimal(abs(units), decimals.price)

    change = Decimal(last - first) * 100 / Decimal(first)
    scale = Decimal(10) ** (decimals.quantity - decimals.quote)
    average = Decimal(quote) / Decimal(volume) * scale if volume else Decimal(last) / 10**decimals.price
    step = Decimal(1).scaleb(-decimals.price)
    return orjson.dumps(
        {
            "symbol": symbol,
            "priceChange": cost(last - first),
            "priceChangePercent": str(change.quantize(_PERCENT, ROUND_HALF_UP)),
            "weightedAvgPrice": str(average.quantize(step, ROUND_HALF_UP)),
            "lastPrice": cost(last),
            "lastQty": "0",
            "openPrice": cost(first),
            "highPrice": cost(int(values[:, HIGH].max())),
            "lowPrice": cost(int(values[:, LOW].min())),
            "volume": decimal(volume, decimals.quantity),
            "quoteVolume": decimal(quote, decimals.quote),
            "openTime": int(times[0]),
            "closeTime": at,
            "firstId": -1,
            "lastId": -1,
            "count": int(np.sum(values[:, TRADES])),
        }
    )
