"""Another process that reads history into a store; run by test_history_kills.py.

``history_child.py STORE REST_URL ARCHIVE_URL START END SYMBOL...``
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tui_feeder.engine.acquisition.backfill import History
from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient
from tui_feeder.engine.exchanges.binance.exchange import BinanceExchange
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.storage.store import Store


async def main() -> None:
    path, rest_url, archive_url, start, end, *symbols = sys.argv[1:]
    store = Store(Path(path), exchange="a test")
    clock = ExchangeClock()
    rest = RestClient(rest_url, clock)
    await rest.sync_clock()
    workers = ThreadPoolExecutor(2)
    source = BinanceExchange(rest, ArchiveClient(archive_url, workers), "")
    journal = Journal(clock.now)
    history = History(source, store, journal, workers, monthly_threshold_months=1)
    os.write(1, b"begun\n")

    async def fill(symbol: str) -> None:
        wanted = span(int(start), int(end))
        missing = wanted.subtract(store.certified(symbol).intersect(store.present(symbol)))
        filled = await history.fill(symbol, missing, FillProgress(missing.minutes))
        assert filled.got == missing, filled

    await asyncio.gather(*(fill(symbol) for symbol in symbols))
    os.write(1, b"complete\n")
    await source.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
