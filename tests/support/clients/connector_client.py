"""binance-futures-connector: REST and streams; prints what it got."""

from __future__ import annotations

import json
import sys
import time

from binance.um_futures import UMFutures
from binance.websocket.um_futures.websocket_client import UMFuturesWebsocketClient

base, symbol, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
client = UMFutures(base_url=base)
events: list[dict[str, object]] = []
stream = UMFuturesWebsocketClient(
    stream_url=base.replace("http", "ws"), on_message=lambda _, text: events.append(json.loads(text))
)
stream.kline(symbol.lower(), "1m")
time.sleep(seconds)
stream.stop()
print(
    json.dumps(
        {
            "klines": client.klines(symbol, "1h", limit=500),
            "continuous": client.continuous_klines(symbol, "PERPETUAL", "5m", limit=300),
            "price": client.ticker_price(symbol),
            "day": client.ticker_24hr_price_change(symbol),
            "depth": client.depth(symbol, limit=5),
            "events": [event for event in events if event.get("e") == "kline"],
        }
    )
)
