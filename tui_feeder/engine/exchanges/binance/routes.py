"""Addresses of Binance USD-M futures: which path carries what. Facts of 2026-11.

Klines come only over the ``/market`` route. The paths without a route (``/ws``, ``/stream``) have
been dead for klines since 2026-04-23: they acknowledge a subscription and send nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from tui_feeder.engine.acquisition.download_plan import File, FileKind
from tui_feeder.errors import ExchangeFailure

#: Stream categories that the ``/market`` route carries, by the part after ``@``.
_MARKET_STREAMS = (
    "kline_",
    "continuousKline_",
    "aggTrade",
    "markPrice",
    "miniTicker",
    "ticker",
    "forceOrder",
)


class RouteError(ExchangeFailure, ValueError):
    """A stream does not belong on the route it was asked of."""


def kline_stream(symbol: str, interval: str = "1m") -> str:
    """Name of a symbol's kline stream: lower case, ``btcusdt@kline_1m``."""
    return f"{symbol.lower()}@kline_{interval}"


def market_url(stream_url: str, streams: list[str]) -> str:
    """The combined-stream address for ``streams``, all of which must be market data.

    Raises:
        RouteError: a stream of another category, which the exchange would accept and never feed.
    """
    for stream in streams:
        if not stream.partition("@")[2].startswith(_MARKET_STREAMS):
            raise RouteError(f"{stream} is not carried by the /market route")
    return f"{stream_url.rstrip('/')}/market/stream"


def archive_path(file: File, symbol: str, interval: str = "1m") -> str:
    """Path of an archive zip below the archive's address; names percent-encoded UTF-8."""
    stamp = datetime.fromtimestamp(file.start / 1000, UTC)
    month = file.kind is FileKind.MONTH
    name = archive_stem(symbol, interval, stamp.strftime("%Y-%m" if month else "%Y-%m-%d"))
    folder = "monthly" if month else "daily"
    return f"/data/futures/um/{folder}/klines/{quote(symbol, safe='')}/{interval}/{quote(name, safe='')}.zip"


def archive_stem(symbol: str, interval: str, stamp: str) -> str:
    """Name of an archive and of the one CSV inside it, without its ending."""
    return f"{symbol}-{interval}-{stamp}"
