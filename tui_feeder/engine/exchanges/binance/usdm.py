"""Binance USD-M futures: its page size, weights, delays, intervals, paths. Facts of 2026-11."""

from __future__ import annotations

from tui_feeder.engine.core.candle import SECOND_MS
from tui_feeder.engine.exchanges.base import MarketFacts
from tui_feeder.engine.exchanges.binance.archive_layout import published
from tui_feeder.engine.exchanges.binance.market_type import Market

INTERVALS = {
    60: "1m", 180: "3m", 300: "5m", 900: "15m", 1_800: "30m", 3_600: "1h", 7_200: "2h", 14_400: "4h",
    21_600: "6h", 28_800: "8h", 43_200: "12h", 86_400: "1d",
}  # fmt: skip


def candles_weight(limit: int) -> int:
    """Request weight of futures candles.

    Args:
        limit: of the request, candles.

    Returns:
        The weight.
    """
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1_000 else 10


USDM = Market(
    name="usdm",
    prefix="",
    facts=MarketFacts(
        # Of the up to 1,500 that are allowed 499 cost weight 2: the most candles for the weight.
        page_candles=499,
        native_timeframes=tuple(INTERVALS),
        close_deadline_ms=3 * SECOND_MS,
        # The closing frame comes up to 2,005 ms after the end of a minute; a candle read sooner than this has
        # been seen to change between two requests.
        settle_ms=2_500,
        final_ms=15 * SECOND_MS,
        archive_published=published,
    ),
    probe_symbol="BTCUSDT",
    intervals=INTERVALS,
    time_path="/fapi/v1/time",
    candles_path="/fapi/v1/klines",
    listing_path="/fapi/v1/exchangeInfo",
    candles_weight=candles_weight,
    listing_weight=1,
    weight_limit=2_400,
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
)
