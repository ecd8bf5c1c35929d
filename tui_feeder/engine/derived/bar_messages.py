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

TOPIC = "candles"


def encode_bar(symbol: str, bar: Bar, revision: int) -> bytes:
    """``bar`` as one JSON object; prices in quote currency, volumes in base asset unless they say quote."""
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
    return orjson.dumps(fields)


def bar_messages(
    store: Store, pipeline: SymbolPipeline, candle: Candle, revision: int = 0
) -> Sequence[OutgoingMessage]:
    """The messages of the bars that ``candle``, just counted, has completed; none where nobody takes them.

    The one-minute bar is among them whatever timeframes are configured, as in the tables.
    """
    if TOPIC not in store.outboxes:
        return ()
    bars = pipeline.completed
    if 60 not in pipeline.settings.timeframes:
        bars = [Bar(candle, 60, 1), *bars]
    symbol = pipeline.symbol
    return [
        OutgoingMessage(
            TOPIC,
            symbol,
            bar.candle.open_time + bar.timeframe * SECOND_MS - 1,
            encode_bar(symbol, bar, revision),
        )
        for bar in bars
    ]
