"""What the gateway keeps of rendered bars."""

from __future__ import annotations

from pathlib import Path

from tests.support.feed import NOON
from tests.support.gateways import market_rows
from tui_feeder.engine.core.candle import MINUTE_MS, Source
from tui_feeder.engine.storage.store import Store
from tui_feeder.service.gateway.bars import Decimals
from tui_feeder.service.gateway.intervals import INTERVALS
from tui_feeder.service.gateway.series import Series
from tui_feeder.simulator.synthetic import synthetic_market


def test_chunks_that_were_read_twice_can_be_compared(tmp_path: Path) -> None:
    """As an answer that is kept is with what is at hand, after many have asked at once."""
    market, start = synthetic_market(["BTCUSDT"], as_of_ms=NOON), NOON - 100 * MINUTE_MS
    store = Store(tmp_path, exchange="a simulated exchange")
    store.put("BTCUSDT", market_rows(market, "BTCUSDT", start, NOON), Source.STREAM).result(30)
    loaded = []
    for _ in range(2):
        series = Series(store, 1 << 20)
        series.look()
        series.set_format("BTCUSDT", Decimals(2, 3, 5), 0.0)
        loaded.append(tuple(series.load("BTCUSDT", INTERVALS["1m"], start, NOON)))
    store.close()
    assert loaded[0][0].rows(start, NOON) == loaded[1][0].rows(start, NOON)
    assert loaded[0] != loaded[1]
