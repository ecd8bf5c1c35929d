"""Binance spot as a market: paths, delays, intervals, streams. Facts of 2026-11."""

from __future__ import annotations

from tui_feeder.engine.core.candle import SECOND_MS
from tui_feeder.engine.exchanges.base import MarketFacts
from tui_feeder.engine.exchanges.binance.archive_layout import path_in, published
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.rest_limits import SPOT_LIMITS
from tui_feeder.engine.exchanges.binance.usdm import INTERVALS

SPOT = Market(
    name="spot",
    prefix="spot:",
    facts=MarketFacts(
        page_candles=SPOT_LIMITS.page_candles,
        native_timeframes=tuple(INTERVALS),
        # Frames come every 2,000 ms; the closing one was seen up to 1,010 ms after the end of its minute.
        close_deadline_ms=4 * SECOND_MS,
        settle_ms=2_500,
        final_ms=15 * SECOND_MS,
        archive_published=published,
        omits_minutes=True,
        name="spot",
        archive_path=path_in("spot"),
    ),
    probe_symbol="spot:BTCUSDT",
    intervals=INTERVALS,
    time_path="/api/v3/time",
    candles_path="/api/v3/klines",
    listing_path="/api/v3/exchangeInfo",
    limits=SPOT_LIMITS,
    stream_path="/stream",
    streams_carried=("kline_", "aggTrade", "trade", "miniTicker", "ticker", "bookTicker"),
    archive_folder="spot",
    trades_columns=8,
    trades_path="/api/v3/aggTrades",
    notices=("!serverShutdown",),
    may_end_early=True,
)
