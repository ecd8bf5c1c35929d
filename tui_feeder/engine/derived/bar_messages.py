"""The messages of the topic ``candles``: one for each closed bar of each timeframe.

Their form is fixed by ``docs/candle.schema.json``. They are written in the transaction of the minute that
completes the bar; a repair that changes a bar publishes it again with a higher revision.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from tui_feeder.engine.analytics.aggregate import Bar
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.core.candle import SECOND_MS, Candle, timeframe_label
from tui_feeder.engine.storage.outbox import OutgoingMessage
from tui_feeder.engine.storage.store import Store
from tui_feeder.symbol_name import market_of

TOPIC = "candles"


def encode_bar(symbol: str, bar: Bar, revision: int, contract_size: float | None = None) -> bytes:
    """Encodes a closed bar as JSON.

    Args:
        symbol: its symbol.
        bar: the bar; prices in quote currency, volumes in base asset unless named quote.
        revision: 0, or the number of the correction.
        contract_size: what a contract is worth, in the quote asset; None where none are counted.

    Returns:
        One JSON object, UTF-8, without a line end.
    """
    candle = bar.candle
    fields = {
        "symbol": symbol,
        "timeframe": timeframe_label(bar.timeframe),
        "open_time": candle.open_time,
        "close_time": candle.open_time + bar.timeframe * SECOND_MS - 1,
        "revision": revision,
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "volume": candle.volume,
        "quote_volume": candle.quote_volume,
        "trades": candle.trades,
        "taker_buy_volume": candle.taker_buy_volume,
        "taker_buy_quote_volume": candle.taker_buy_quote_volume,
        "minutes": bar.minutes,
    }
    if contract_size is not None:
        fields["contracts"] = round(candle.quote_volume / contract_size)
    if market := market_of(symbol):
        fields["market"] = market
    return orjson.dumps(fields)


def bar_messages(
    store: Store, pipeline: SymbolPipeline, candle: Candle, revision: int = 0
) -> Sequence[OutgoingMessage]:
    """Makes the messages of the bars that a minute has completed.

    The one-minute bar is among them whatever timeframes are configured, as in the tables.

    Args:
        store: the store; without an outbox for the topic there are no messages.
        pipeline: the symbol's pipeline, updated with ``candle``.
        candle: the closed minute.
        revision: 0, or the number of the correction.

    Returns:
        One message a bar, by ascending timeframe.
    """
    if TOPIC not in store.outboxes:
        return ()
    bars = pipeline.completed
    if 60 not in pipeline.settings.timeframes:
        bars = [Bar(candle, 60, 1), *bars]
    symbol = pipeline.symbol
    size = store.contract_size(symbol)
    return [
        OutgoingMessage(
            TOPIC,
            symbol,
            bar.candle.open_time + bar.timeframe * SECOND_MS - 1,
            encode_bar(symbol, bar, revision, size),
        )
        for bar in bars
    ]
