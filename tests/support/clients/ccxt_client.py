"""ccxt: pages of candles since a moment, then polls; prints the rows. Runs in an environment of its own."""

from __future__ import annotations

import json
import sys

import ccxt

base, symbol, timeframe, days = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
exchange = ccxt.binanceusdm({"options": {"fetchMarkets": {"types": ["linear"]}}})
exchange.urls["api"]["fapiPublic"] = f"{base}/fapi/v1"
exchange.urls["api"]["fapiPublicV2"] = f"{base}/fapi/v2"
now = exchange.fetch_time()
since = now - days * 86_400_000
rows = []
while True:
    page = exchange.fetch_ohlcv(symbol, timeframe, since=since, limit=1500)
    rows += page
    if not page or page[-1][0] + exchange.parse_timeframe(timeframe) * 1000 > now:
        break
    since = page[-1][0] + 1
polled = [exchange.fetch_ohlcv(symbol, "1m", limit=5)[0] for _ in range(10)]
print(json.dumps({"rows": rows, "polled": polled, "last": exchange.fetch_ticker(symbol)["last"]}))
