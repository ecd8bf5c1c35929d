"""What the ingest reports of minutes that are stored."""

from __future__ import annotations

import asyncio
from pathlib import Path

from feed import NOON

from tui_feeder.engine.acquisition.ingest import Ingest
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Source
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.storage.store import Store

SETTINGS = PipelineSettings(
    timeframes=(60,), ema_periods=(), trend_rule="closes_vs_ema", volume_lookback_days=0, profile=None
)
NAMES = [f"C{n}USDT" for n in range(700)]


def minute(number: int) -> Candle:
    return Candle(NOON + number * MINUTE_MS, 1.5, 1.7, 1.4, 1.6, 10.0, 15.5, 3, 4.0, 6.2)


class IngestListener:
    """Keeps what it is told; fails for one symbol."""

    def __init__(self, store: Store, failing: str = "") -> None:
        self.told: list[tuple[str, int]] = []
        self._store = store
        self._failing = failing

    def committed(self, symbol: str, candle: Candle, message: Message, payload: bytes) -> None:
        assert candle.open_time in self._store.present(symbol), "told before it was stored"
        if symbol == self._failing:
            raise RuntimeError("a sink has a fault")
        self.told.append((symbol, candle.open_time))

    def gap_found(self, symbol: str, start: int, end: int) -> None:
        raise AssertionError("there is no hole")

    def late_minute(self, symbol: str, candle: Candle, source: Source) -> None:
        raise AssertionError("nothing was missed")

    def closes_differ(self, symbol: str, candle: Candle, other: Candle) -> None:
        raise AssertionError("all say the same")

    def crashed(self, symbol: str, error: BaseException) -> None:
        raise AssertionError("nothing crashed") from error


async def burst(path: Path, failing: str = "") -> tuple[IngestListener, list[str]]:
    """Three minutes of every symbol at once; what the listener got, and the loop's errors."""
    errors: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(str(context)))
    store = await asyncio.to_thread(Store, path, exchange="a test")
    try:
        listener = IngestListener(store, failing)
        journal = Journal(lambda: NOON)
        ingest = Ingest(store, journal, listener, lambda *refused: errors.append(str(refused)))
        for name in NAMES:
            ingest.open_queue(name, SymbolPipeline(name, SETTINGS), NOON)
        for number in range(3):
            for name in NAMES:
                ingest.closed(name, minute(number), Source.STREAM, NOON + 5 * MINUTE_MS)
        await asyncio.wait_for(ingest.drained(), 60)
    finally:
        await asyncio.to_thread(store.close)
    return listener, errors


async def test_a_burst_is_told_once_stored_each_minute_once_and_in_order(tmp_path: Path) -> None:
    listener, errors = await burst(tmp_path)
    assert errors == []
    assert len(listener.told) == 3 * len(NAMES)
    for name in NAMES:
        assert [at for symbol, at in listener.told if symbol == name] == [
            NOON + n * MINUTE_MS for n in range(3)
        ]


async def test_who_fails_to_hear_of_a_minute_holds_back_no_other(tmp_path: Path) -> None:
    listener, errors = await burst(tmp_path, failing="C5USDT")
    assert len(errors) == 3
    assert all("a sink has a fault" in error for error in errors)
    assert len(listener.told) == 3 * (len(NAMES) - 1)
    assert "C5USDT" not in dict(listener.told)
