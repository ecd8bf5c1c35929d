"""What screens ask of a symbol as busy as BTCUSDT: how long what draws them waits, and until all is there."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tui_feeder.config import Config
from tui_feeder.engine.analytics.orderflow.ladder import Ladder
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source
from tui_feeder.engine.derived.stored_ladders import LadderOrigin, put_ladder, put_minute
from tui_feeder.engine.derived.stored_reads import StoredReads
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import PATIENCE_SECONDS

SYMBOL = "BTCUSDT"
#: Days with a file, and minutes of the day in progress, whose live ladders are stored one by one.
_DAYS, _LIVE_MINUTES = 8, 1_200
#: Minutes that close while somebody looks.
_CLOSING = 10
#: A screen is drawn so often, s.
_FRAME_SECONDS = 0.05
_ROUNDS = 3


class Waits(NamedTuple):
    """Of a question asked until its answer is whole, ms."""

    longest: float  # that whoever asks waited, of the first answer and of those of later minutes
    until_whole: float  # the first one, with what else was done between two looks


def measured(ladder: Ladder, candles: Rows) -> dict[str, Waits]:
    """Asks as a screen does; of several rounds the quickest, as the machine does other work too.

    Args:
        ladder: of a day.
        candles: of the same day.

    Returns:
        By what was asked.
    """
    with tempfile.TemporaryDirectory() as name:
        store = _filled(Path(name), ladder, candles)
        rounds = [_asked(store, ladder.day) for _ in range(_ROUNDS)]
        store.close()
    return {
        what: Waits(*(min(values) for values in zip(*(one[what] for one in rounds), strict=True)))
        for what in rounds[0]
    }


def _filled(path: Path, ladder: Ladder, candles: Rows) -> Store:
    store, today = Store(path, exchange="a benchmark"), ladder.day + DAY_MS
    for day in range(today - _DAYS * DAY_MS, today + DAY_MS, DAY_MS):
        rows = candles[: _LIVE_MINUTES if day == today else None].copy()
        rows["open_time"] += day - ladder.day
        store.put(SYMBOL, rows, Source.ARCHIVE_DAY).result()
        shifted = replace(ladder, day=day)
        if day < today:
            origin = LadderOrigin("", str(day), True, 1)
            put_ladder(store, SYMBOL, shifted, origin, 0).result()
            continue
        for minute in range(_LIVE_MINUTES):
            part = shifted.of_minutes(shifted.minutes["minute"] == minute)
            put_minute(store, SYMBOL, day + minute * MINUTE_MS, part)
    store.flushed().result()
    return store


def _asked(store: Store, past: int) -> dict[str, Waits]:
    today = past + DAY_MS
    end = today + (_LIVE_MINUTES - _CLOSING) * MINUTE_MS
    week = (today - 7 * DAY_MS, today)
    questions: dict[str, Callable[[StoredReads, int], object]] = {
        "footprint, 8 bars of an hour": lambda reads, to: reads.footprint(
            SYMBOL, 3_600, 8, 40, None, to, PATIENCE_SECONDS
        ),
        "footprint of a day with a file": lambda reads, to: reads.footprint(
            SYMBOL, 3_600, 8, 40, to - DAY_MS, to, PATIENCE_SECONDS
        ),
        "developing levels, every 15 minutes": lambda reads, to: reads.developing(
            SYMBOL, today, 15, to, PATIENCE_SECONDS
        ),
        "profile of the day in progress": lambda reads, to: reads.profile(SYMBOL, None, to, PATIENCE_SECONDS),
        "profile of a day with a file": lambda reads, to: reads.profile(SYMBOL, past, to, PATIENCE_SECONDS),
        "points of control of seven days": lambda reads, to: reads.naked_pocs(SYMBOL, to, PATIENCE_SECONDS),
        "range of 20 hours": lambda reads, to: reads.range_profile(
            SYMBOL, ((today, end),), to, PATIENCE_SECONDS
        ),
        "composite of seven days": lambda reads, to: reads.range_profile(
            SYMBOL, (week,), to, PATIENCE_SECONDS
        ),
    }
    found = {}
    for what, ask in questions.items():
        reads = StoredReads(store, Config())
        longest, until_whole = _until_whole(reads, ask, end)
        for minute in range(1, _CLOSING + 1):
            longest = max(longest, _until_whole(reads, ask, end + minute * MINUTE_MS)[0])
        found[what] = Waits(longest, until_whole)
    return found


def _until_whole(reads: StoredReads, ask: Callable[[StoredReads, int], object], end: int) -> Waits:
    """Look again and again, as a screen is drawn, until the answer is there and is not late."""
    began, longest = time.perf_counter(), 0.0
    while True:
        late, looked = dict(reads.answers.late), time.perf_counter()
        ask(reads, end)
        longest = max(longest, time.perf_counter() - looked)
        if not reads.answers.under_way():
            if late == reads.answers.late:
                return Waits(longest * 1000, (time.perf_counter() - began) * 1000)
            continue
        time.sleep(_FRAME_SECONDS)
