"""The price and the last 24 hours of a symbol, from its stored minutes and the one in progress. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

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
    fitting,
    minutes_of,
    volume_of,
)
from tui_feeder.service.gateway.listing import Entry
from tui_feeder.service.gateway.markets import SPOT, ServedMarket
from tui_feeder.service.gateway.rows_text import decimal

#: Minutes before the one in progress that count.
DAY_MINUTES = 1_440
_PERCENT = Decimal("0.001")
#: What the short form is without.
_LONG = ("priceChange", "priceChangePercent", "weightedAvgPrice", "lastQty")


def price(market: ServedMarket, entry: Entry, candle: Candle, at: int) -> bytes:
    """The answer to ticker/price: the last price, and when (ms) it was known.

    Args:
        market: that is asked.
        entry: of the symbol.
        candle: of the minute in progress.
        at: ms.

    Returns:
        A JSON object.
    """
    places = entry.decimals.price
    answer: dict[str, Any] = {"symbol": entry.name}
    if market.counts_contracts:
        answer["ps"] = entry.pair
    answer["price"] = decimal(round(candle.close * 10**places), places)
    if market is not SPOT:
        answer["time"] = at
    return orjson.dumps(answer)


def day(market: ServedMarket, entry: Entry, rows: Rows, at: int, *, short: bool = False) -> bytes:
    """The answer to ticker/24hr.

    Of single trades and of the order book nothing is stored: ``lastQty`` is 0, the trade ids are -1, and
    spot's bids, asks and ``prevClosePrice`` are left out.

    Args:
        market: that is asked.
        entry: of the symbol.
        rows: the 1,440 minutes before the one in progress and that one, dtype ROW, volumes as the market
            states them.
        at: ms.
        short: whether spot's ``type=MINI`` is wanted, which leaves out what is computed.

    Returns:
        A JSON object.
    """
    decimals = fitting(rows, entry.decimals)
    times, values = minutes_of(rows, decimals)
    first, last = int(values[0, OPEN]), int(values[-1, CLOSE])
    volume, quote = volume_of(values, VOLUME), volume_of(values, QUOTE)

    def cost(units: int) -> str:
        sign = "-" if units < 0 else ""
        return sign + decimal(abs(units), decimals.price)

    change = Decimal(last - first) * 100 / Decimal(first)
    bought, paid = Decimal(volume).scaleb(-decimals.quantity), Decimal(quote).scaleb(-decimals.quote)
    if market.counts_contracts:
        bought, paid = paid, bought * Decimal(entry.contract_size)
    average = paid / bought if bought else Decimal(last).scaleb(-decimals.price)
    step = Decimal(1).scaleb(-decimals.price)
    answer: dict[str, Any] = {"symbol": entry.name}
    if market.counts_contracts:
        answer["pair"] = entry.pair
    answer |= {
        "priceChange": cost(last - first),
        "priceChangePercent": str(change.quantize(_PERCENT, ROUND_HALF_UP)),
        "weightedAvgPrice": str(average.quantize(step, ROUND_HALF_UP)),
        "lastPrice": cost(last),
        "lastQty": "0",
        "openPrice": cost(first),
        "highPrice": cost(int(values[:, HIGH].max())),
        "lowPrice": cost(int(values[:, LOW].min())),
        "volume": decimal(volume, decimals.quantity),
        "baseVolume" if market.counts_contracts else "quoteVolume": decimal(quote, decimals.quote),
        "openTime": int(times[0]),
        "closeTime": at,
        "firstId": -1,
        "lastId": -1,
        "count": int(np.sum(values[:, TRADES])),
    }
    for name in _LONG if short else ():
        del answer[name]
    return orjson.dumps(answer)
