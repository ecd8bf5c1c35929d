"""Binance USD-M futures as a market: paths, delays, intervals, streams. Facts of 2026-11."""

from __future__ import annotations

from tui_feeder.engine.core.candle import SECOND_MS
from tui_feeder.engine.exchanges.base import MarketFacts
from tui_feeder.engine.exchanges.binance.archive_layout import path_in, published
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.rest_limits import FUTURES_LIMITS

INTERVALS = {
    60: "1m", 180: "3m", 300: "5m", 900: "15m", 1_800: "30m", 3_600: "1h", 7_200: "2h", 14_400: "4h",
    21_600: "6h", 28_800: "8h", 43_200: "12h", 86_400: "1d",
}  # fmt: skip

USDM = Market(
    name="usdm",
    prefix="",
    facts=MarketFacts(
        page_candles=FUTURES_LIMITS.page_candles,
        native_timeframes=tuple(INTERVALS),
        close_deadline_ms=3 * SECOND_MS,
        # The closing frame comes up to 2,005 ms after the end of a minute; a candle read sooner than this has
        # been seen to change between two requests.
        settle_ms=2_500,
        final_ms=15 * SECOND_MS,
        archive_published=published,
        name="usdm",
        archive_path=path_in("futures/um"),
    ),
    probe_symbol="BTCUSDT",
    intervals=INTERVALS,
    time_path="/fapi/v1/time",
    candles_path="/fapi/v1/klines",
    listing_path="/fapi/v1/exchangeInfo",
    limits=FUTURES_LIMITS,
    # The paths without a route (/ws, /stream) have been dead for klines since 2026-04-23: they acknowledge a
    # subscription and send nothing.
    stream_path="/market/stream",
    streams_carried=(
        "kline_",
        "continuousKline_",
        "aggTrade",
        "markPrice",
        "miniTicker",
        "ticker",
        "forceOrder",
    ),
    archive_folder="futures/um",
    trades_columns=7,
    trades_path="/fapi/v1/aggTrades",
)
