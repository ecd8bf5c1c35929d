"""Binance COIN-M futures as a market: what differs from USD-M. Facts of 2026-11."""

from __future__ import annotations

from dataclasses import replace

from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.exchanges.binance.archive_layout import path_in
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.usdm import USDM


def _contract_size(symbol: str) -> float:
    """USD that a contract is worth: the exchange has had no other sizes."""
    return 100.0 if symbol.startswith("BTCUSD_") else 10.0


COINM: Market = replace(
    USDM,
    name="coinm",
    prefix="coinm:",
    facts=replace(USDM.facts, name="coinm", archive_path=path_in("futures/cm"), contract_size=_contract_size),
    probe_symbol="coinm:BTCUSD_PERP",
    time_path="/dapi/v1/time",
    candles_path="/dapi/v1/klines",
    listing_path="/dapi/v1/exchangeInfo",
    stream_path="/stream",
    other_paths=(USDM.stream_path,),
    archive_folder="futures/cm",
    trades_columns=None,
    trades_path="",
    newest_of_ms=199 * DAY_MS,
)
