"""Minutes that the exchange never had: kept across an opening, and given up if one turns up after all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Source
from tui_feeder.engine.core.coverage import EMPTY, span
from tui_feeder.engine.storage.store import Store

START = 1_773_100_800_000  # 2026-03-10T00:00:00Z
SYMBOL = "spot:BTCUSDT"


def test_what_the_exchange_never_had_is_kept_and_given_up_when_it_comes(tmp_path: Path) -> None:
    rows = np.zeros(10, dtype=ROW)
    rows["open_time"] = START + np.arange(10) * MINUTE_MS
    rows["open"] = rows["high"] = rows["low"] = rows["close"] = 1.0
    hole = span(START + 3 * MINUTE_MS, START + 6 * MINUTE_MS)
    inside = np.isin(np.arange(10), (3, 4, 5))
    store = Store(tmp_path, exchange="a test")
    store.put(SYMBOL, rows[~inside], Source.ARCHIVE_DAY).result()
    store.set_watermark(SYMBOL, START + 9 * MINUTE_MS).result()
    store.set_omitted(SYMBOL, hole.union(span(START, START + MINUTE_MS))).result()
    # What is stored is not omitted; bars over the hole were published as partial.
    assert store.omitted(SYMBOL) == hole
    assert store.stale_published(SYMBOL) == span(hole.end, hole.end + MINUTE_MS)
    assert store.settled(SYMBOL) == span(START, START + 10 * MINUTE_MS)
    store.close()
    store = Store(tmp_path, exchange="a test")
    assert store.omitted(SYMBOL) == hole
    assert store.omitted("BTCUSDT") == EMPTY
    store.put(SYMBOL, rows[3:4], Source.REST).result()
    assert store.omitted(SYMBOL) == span(START + 4 * MINUTE_MS, START + 6 * MINUTE_MS)
    assert store.symbols() == [SYMBOL]
    store.close()
