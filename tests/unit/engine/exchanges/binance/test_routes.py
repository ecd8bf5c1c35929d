from __future__ import annotations

import pytest

from tui_feeder.engine.exchanges.binance.routes import RouteError, kline_stream, market_url


def test_klines_are_asked_of_the_market_route_in_lower_case() -> None:
    stream = kline_stream("BTCUSDT")
    assert stream == "btcusdt@kline_1m"
    assert market_url("wss://fstream.binance.com/", [stream]) == "wss://fstream.binance.com/market/stream"


@pytest.mark.parametrize(
    "stream", ["btcusdt@bookTicker", "btcusdt@depth", "btcusdt@trade", "!bookTicker", ""]
)
def test_a_stream_the_market_route_would_never_feed_is_refused(stream: str) -> None:
    with pytest.raises(RouteError, match="not carried by /market/stream"):
        market_url("wss://fstream.binance.com", ["btcusdt@kline_1m", stream])
