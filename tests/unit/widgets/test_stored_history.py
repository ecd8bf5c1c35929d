from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.ema import ema
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source
from tui_feeder.engine.derived.chart_window import Windows
from tui_feeder.engine.storage.store import Store

START = 1_769_990_400_000  # 2026-02-02T00:00:00Z
DAYS = 40


def walk() -> Rows:
    generator = np.random.default_rng(5)
    count = DAYS * 1_440
    rows = np.zeros(count, dtype=ROW)
    rows["open_time"] = START + np.arange(count) * MINUTE_MS
    close = np.round(1_000 * np.exp(np.cumsum(generator.normal(0, 5e-4, count))), 2)
    rows["close"] = close
    rows["open"] = np.concatenate((close[:1], close[:-1]))
    rows["high"] = np.maximum(rows["open"], close) + 0.5
    rows["low"] = np.minimum(rows["open"], close) - 0.5
    rows["volume"] = np.round(generator.lognormal(1, 0.5, count), 3)
    rows["quote_volume"] = np.round(rows["volume"] * close, 5)
    rows["trades"] = 7
    rows["taker_buy_volume"], rows["taker_buy_quote_volume"] = rows["volume"] / 2, rows["quote_volume"] / 2
    return rows


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Rows]]:
    rows = walk()
    # 30 minutes are missing across a day's end, and one whole 4 h bar.
    gone = (rows["open_time"] >= START + 8 * DAY_MS - 15 * MINUTE_MS) & (
        rows["open_time"] < START + 8 * DAY_MS + 15 * MINUTE_MS
    )
    gone |= (rows["open_time"] >= START + 20 * DAY_MS) & (
        rows["open_time"] < START + 20 * DAY_MS + 14_400_000
    )
    rows = rows[~gone]
    store = Store(Path(tmp_path_factory.mktemp("stored")) / "s")
    store.put("BTCUSDT", rows, Source.ARCHIVE_MONTH).result()
    yield store, rows
    store.close()


@pytest.mark.parametrize("timeframe", [60, 300, 3_600, 14_400])
def test_a_stretch_of_bars_is_the_same_as_of_the_whole_history(
    stored: tuple[Store, Rows], timeframe: int
) -> None:
    store, rows = stored
    whole = aggregate(rows, timeframe).rows
    frame = timeframe * 1000
    until = START + DAYS * DAY_MS
    windows = Windows(store, (21, 89))
    for back in (0, 3, 400, (until - START) // frame - 50, (until - START) // frame + 10):
        end = until - back * frame
        bars, lines = windows.bars("BTCUSDT", timeframe, 60, end, until)
        inside = (whole["open_time"] >= end - 60 * frame) & (whole["open_time"] < end)
        assert bars.tobytes() == whole[inside].tobytes()
        for period, line in zip((21, 89), lines, strict=True):
            expected = ema(whole["close"], period)[inside]
            # What is left of the seed after 12 bars a unit of the period is nothing one could see.
            np.testing.assert_allclose(line, expected, rtol=1e-9)


def test_a_step_aside_reads_nothing_and_a_repair_is_seen(stored: tuple[Store, Rows], tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    rows = stored[1]
    store.put("BTCUSDT", rows, Source.ARCHIVE_MONTH).result()
    windows = Windows(store, (21,))
    until = START + DAYS * DAY_MS
    at = START + 20 * DAY_MS + 2 * DAY_MS
    before = windows.bars("BTCUSDT", 14_400, 40, at, until)[0]
    reads = []
    read = store.read
    store.read = lambda *a: reads.append(a) or read(*a)
    windows.bars("BTCUSDT", 14_400, 40, at - 14_400_000, until)
    windows.bars("BTCUSDT", 14_400, 40, at + 14_400_000 * 5, until)
    assert reads == []
    hole = walk()
    hole = hole[
        (hole["open_time"] >= START + 20 * DAY_MS) & (hole["open_time"] < START + 20 * DAY_MS + 14_400_000)
    ]
    store.put("BTCUSDT", hole, Source.REST).result()
    after = windows.bars("BTCUSDT", 14_400, 40, at, until)[0]
    assert len(after) == len(before) + 1
    assert reads
    store.close()


def test_memory_does_not_grow_with_the_length_of_the_history(stored: tuple[Store, Rows]) -> None:
    store = stored[0]
    longest = []
    read = store.read

    def watched(symbol: str, start: int, end: int) -> Rows:
        rows = read(symbol, start, end)
        longest.append(len(rows))
        return rows

    store.read = watched
    try:
        Windows(store, (21, 89)).bars("BTCUSDT", 14_400, 100, START + DAYS * DAY_MS, START + DAYS * DAY_MS)
    finally:
        store.read = read
    assert len(longest) > 3
    assert max(longest) <= 8 * 1_440


def test_the_open_bar_is_what_its_minutes_come_to(stored: tuple[Store, Rows]) -> None:
    store, rows = stored
    start = START + 3 * DAY_MS
    minutes = rows[(rows["open_time"] >= start) & (rows["open_time"] < start + 7 * MINUTE_MS)]
    windows = Windows(store, (21,))
    (bar,) = windows.open_bar("BTCUSDT", 3_600, start, start + 7 * MINUTE_MS)
    assert bar["open_time"] == start
    assert (bar["open"], bar["close"]) == (minutes["open"][0], minutes["close"][-1])
    assert (bar["high"], bar["low"]) == (minutes["high"].max(), minutes["low"].min())
    assert bar["volume"] == pytest.approx(minutes["volume"].sum())
    assert len(windows.open_bar("BTCUSDT", 3_600, start, start)) == 0
