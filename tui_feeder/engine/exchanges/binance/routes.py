"""Names and addresses of streams: which path of a market carries what."""

from __future__ import annotations

from collections.abc import Iterable

from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.errors import ExchangeFailure


class RouteError(ExchangeFailure, ValueError):
    """A stream does not belong on the path it was asked of."""


def kline_stream(symbol: str) -> str:
    """Name of the stream of a symbol's minutes.

    Args:
        symbol: whose.

    Returns:
        In lower case, such as ``btcusdt@kline_1m``.
    """
    return f"{symbol.lower()}@kline_1m"


def trade_stream(symbol: str) -> str:
    """Name of the stream of a symbol's aggregated trades.

    Args:
        symbol: whose.

    Returns:
        In lower case, such as ``btcusdt@aggTrade``.
    """
    return f"{symbol.lower()}@aggTrade"


def market_url(stream_url: str, streams: Iterable[str], market: Market = USDM) -> str:
    """The combined-stream address for streams.

    Args:
        stream_url: such as ``wss://fstream.binance.com``.
        streams: their names.
        market: whose they are.

    Returns:
        The whole address.

    Raises:
        RouteError: a stream of another category, which the exchange would accept and never feed.
    """
    for stream in streams:
        if not stream.partition("@")[2].startswith(market.streams_carried):
            raise RouteError(f"{stream} is not carried by {market.stream_path}")
    return f"{stream_url.rstrip('/')}{market.stream_path}"
