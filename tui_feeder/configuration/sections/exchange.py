"""``[exchange]``: addresses of the exchange."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from tui_feeder.configuration.forms import HttpUrl, ProxyRoute, Seconds, WebSocketUrl
from tui_feeder.configuration.values import Key


class Spot(Struct, frozen=True):
    """Spot, of symbols like "spot:BTCUSDT": asked only where one of them is followed."""

    rest_url: Annotated[HttpUrl, Key("REST of spot; data-api.binance.vision has the public data alone")] = (
        "https://api.binance.com"
    )
    stream_url: Annotated[WebSocketUrl, Key("WebSocket of spot")] = "wss://stream.binance.com:9443"
    archive_url: Annotated[
        HttpUrl | None,
        Key("files of spot; unset: exchange.archive_url", example='"https://data.binance.vision"'),
    ] = None


class CoinM(Struct, frozen=True):
    """COIN-M futures, of symbols like "coinm:BTCUSD_PERP": asked only where one of them is followed."""

    rest_url: Annotated[HttpUrl, Key("REST of COIN-M futures")] = "https://dapi.binance.com"
    stream_url: Annotated[WebSocketUrl, Key("WebSocket of COIN-M futures")] = "wss://dstream.binance.com"
    archive_url: Annotated[
        HttpUrl | None,
        Key("files of COIN-M futures; unset: exchange.archive_url", example='"https://data.binance.vision"'),
    ] = None


class Exchange(Struct, frozen=True):
    """Where the exchange is. The URLs carry no trailing slash; paths are appended."""

    rest_url: Annotated[HttpUrl, Key("REST; the paths of requests are appended")] = "https://fapi.binance.com"
    stream_url: Annotated[WebSocketUrl, Key("WebSocket; the path of the streams is appended")] = (
        "wss://fstream.binance.com"
    )
    archive_url: Annotated[HttpUrl, Key("files of past months and days; their paths are appended")] = (
        "https://data.binance.vision"
    )
    proxy: Annotated[
        ProxyRoute | None,
        Key(
            'proxy for all three, or "none"; unset: HTTPS_PROXY and the like',
            example='"http://user:password@host:3128"',
        ),
    ] = None
    clock_rate: Annotated[
        float, Key("pace of a simulated exchange's clock; a real one has 1.0", 1e-3, 1e6)
    ] = 1.0
    request_timeout_seconds: Annotated[Seconds, Key("how long a REST request waits for its answer")] = 10.0
    archive_concurrency: Annotated[int, Key("archive files of all markets downloaded at once", 1, 100)] = 4
    spot: Spot = Spot()
    coinm: CoinM = CoinM()
