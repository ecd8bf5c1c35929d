"""Files of raw trades, as a data vendor records them, each line a trade of its own."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

from tui_feeder.engine.analytics.orderflow.ladder import Ladder, LadderBuilder, of_day
from tui_feeder.engine.exchanges.binance.agg_trades_csv import TradeLine, trades_of


def ladder_of_raw_trades(path: Path) -> Ladder:
    """Reads a ``.csv.gz`` of one UTC day.

    Args:
        path: with columns TradeId, Price, Quantity, TransactionTime (ms) and IsBuyerMarketMaker (0, 1).

    Returns:
        The ladders of the day of its first trade.
    """
    with gzip.open(path, "rt") as file:
        lines = [
            TradeLine(
                int(line["TradeId"]), line["Price"], line["Quantity"], 1, int(line["TransactionTime"]),
                line["IsBuyerMarketMaker"] == "1",
            )
            for line in csv.DictReader(file)
        ]  # fmt: skip
    builder = LadderBuilder(of_day(lines[0].time))
    builder.add(trades_of(lines))
    return builder.ladder()
