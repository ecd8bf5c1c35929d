"""What tests of interrupted histories share: an exchange at a time, and what must equal a batch."""

from __future__ import annotations

import json
from pathlib import Path

from feed import Collected

from tui_feeder.config import Config
from tui_feeder.engine.analytics.message import encode
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.derived.inputs import load_pipeline
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import Market

BTC = "BTCUSDT"


CHINESE = "币安人生USDT"


HOUR_MS = 60 * MINUTE_MS


def exchange_at(market: Market, start: int, rate: float = 60.0) -> Exchange:
    return Exchange(market, clock_for(market, start_ms=start, rate=rate))


def assert_equals_a_batch(path: Path, config: Config, sink: Collected, symbol: str) -> None:
    """The last word on the newest minute is what computing everything again from the store gives."""
    last = max(sink.messages[symbol], key=lambda message: (message["timestamp"], message["revision"]))
    store = Store(path, read_only=True)
    message = load_pipeline(store, config, symbol, last["timestamp"] + 1).message()
    store.close()
    assert message is not None
    assert json.loads(encode(message)) | {"revision": 0} == last | {"revision": 0}


def first_told(sink: Collected, symbol: str) -> list[int]:
    """Open times of the minutes published, without the corrections of those published before."""
    return [m["timestamp"] + 1 - MINUTE_MS for m in sink.messages[symbol] if not m["revision"]]
