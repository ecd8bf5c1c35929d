"""jesse: its import driver with another address; prints what it reads. In an environment of its own."""

from __future__ import annotations

import json
import os
import sys

base, symbol, days, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
os.makedirs(folder, exist_ok=True)
os.chdir(folder)  # it looks for a project there, and takes another path without one

from jesse.modes.import_candles_mode.drivers.Binance.BinanceMain import BinanceMain  # noqa: E402
from jesse.modes.import_candles_mode.drivers.Binance.BinanceSpot import BinanceSpot  # noqa: E402


class StoredPerpetualFutures(BinanceMain):
    """As docs/gateway.md has it."""

    def __init__(self) -> None:
        super().__init__("Binance Perpetual Futures", f"{base}/fapi", BinanceSpot)


driver = StoredPerpetualFutures()
first = driver.get_starting_time(symbol)
start = first + days * 86_400_000
names = ("timestamp", "open", "high", "low", "close", "volume")
pages = [driver.fetch(symbol, start + n * 1_000 * 60_000) for n in range(3)]
hours = driver.fetch(symbol, start, "1h")
print(json.dumps({
    "first": first,
    "minutes": [[row[name] for name in names] for page in pages for row in page],
    "hours": [[row[name] for name in names] for row in hours],
    "symbols": driver.get_available_symbols(),
}))  # fmt: skip
