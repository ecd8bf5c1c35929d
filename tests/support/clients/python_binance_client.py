"""python-binance: futures_klines, futures_historical_klines and its socket manager; prints what it got."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from binance import AsyncClient, BinanceSocketManager
from binance.client import Client

base, symbols, seconds = sys.argv[1], sys.argv[2].split(","), float(sys.argv[3])
Client.FUTURES_URL = f"{base}/fapi"
client = Client(ping=False)
answer = {
    "klines": client.futures_klines(symbol=symbols[0], interval="1m", limit=1500),
    "historical": client.futures_historical_klines(symbols[1], "15m", "20 days ago UTC"),
    "info": [entry["symbol"] for entry in client.futures_exchange_info()["symbols"]],
}


async def listen() -> list[dict[str, object]]:
    manager = BinanceSocketManager(AsyncClient())
    manager.FSTREAM_URL = base.replace("http", "ws") + "/"
    names = [f"{symbol.lower()}@kline_1m" for symbol in symbols]
    found, until = [], time.monotonic() + seconds
    async with manager.futures_multiplex_socket(names) as socket:
        while (left := until - time.monotonic()) > 0:
            try:
                found.append((await asyncio.wait_for(socket.recv(), left))["data"])
            except TimeoutError:
                break
    return found


answer["events"] = asyncio.run(listen())
print(json.dumps(answer))
