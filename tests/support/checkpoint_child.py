"""Counts and stores minutes, and keeps its numbers after each, until it is killed."""

from __future__ import annotations

import sys
from pathlib import Path

from checkpoints import CONFIG, end_of, keep, made
from samples import walk

from tui_feeder.engine.core.candle import Source, to_candles
from tui_feeder.engine.derived.count_minute import count_minute
from tui_feeder.engine.storage.store import Store

rows = walk(20_000, seed=2)
store = Store(Path(sys.argv[1]), exchange="test")
have = len(store.read("XUSDT", 0, 1 << 50))
if not have:
    store.put("XUSDT", rows[:1_000], Source.STREAM).result()
    have = 1_000
live = made(store, CONFIG, end_of(store))
for c in to_candles(rows[have:]):
    count_minute(store, live, c)
    store.append("XUSDT", c, Source.STREAM).result()
    keep(store, CONFIG, end_of(store), live)
    print(flush=True)
