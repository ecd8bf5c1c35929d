"""binance-sdk-derivatives-trading-usds-futures: REST and streams; prints what it got."""

from __future__ import annotations

import asyncio
import json
import sys

from binance_common.configuration import ConfigurationWebSocketStreams
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    ConfigurationRestAPI,
    DerivativesTradingUsdsFutures,
)

base, symbol, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
rest = ConfigurationRestAPI(base_path=base, api_key="", api_secret="")
client = DerivativesTradingUsdsFutures(config_rest_api=rest)
rows = client.rest_api.kline_candlestick_data(symbol=symbol, interval="1h", limit=500).data()


async def listen() -> list[dict[str, object]]:
    streams = ConfigurationWebSocketStreams(stream_url=base.replace("http", "ws"))
    connection = await DerivativesTradingUsdsFutures(
        config_ws_streams=streams
    ).websocket_streams.create_connection()
    found: list[dict[str, object]] = []
    stream = await connection.kline_candlestick_streams(symbol=symbol.lower(), interval="1m")
    stream.on("message", lambda event: found.append(json.loads(event.model_dump_json(by_alias=True))))
    await asyncio.sleep(seconds)
    await connection.close_connection(close_session=True)
    return found


print(json.dumps({"klines": rows, "events": asyncio.run(listen())}))
