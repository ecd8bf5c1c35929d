"""Live trades of BTCUSDT in a test: how each minute is known, and whether the last messages are right."""

from __future__ import annotations

import json
from typing import Any

from examples import some_of
from feed import NOON, Collected, configured
from msgspec.structs import replace

from tui_feeder.config import Config, Trades
from tui_feeder.engine.analytics.message import encode
from tui_feeder.engine.analytics.orderflow.ladder import Ladder
from tui_feeder.engine.analytics.orderflow.reconcile import Known
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.derived.inputs import load_pipeline
from tui_feeder.engine.derived.stored_ladders import known_minutes, read_ladder
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.exchange import Exchange

SYMBOL = "BTCUSDT"
DAY = NOON - NOON % DAY_MS
#: Yesterday's trades are not published yet.
EARLY = DAY + 120 * MINUTE_MS


def with_live_trades(exchange: Exchange, symbol: str = SYMBOL) -> Config:
    """A configuration that follows the trades of a symbol."""
    config = configured(exchange, [symbol], days=2)
    return replace(config, trades=Trades(symbols=(symbol,), days=1))


def minutes_known(store: Store, day: int = DAY, symbol: str = SYMBOL) -> dict[int, Known]:
    """How each minute of a day is known that has a candle."""
    ladder = read_ladder(store, symbol, day)
    if ladder is None:
        return {}
    candles, known = known_minutes(store, symbol, ladder)
    return {
        time: Known(how)
        for time, how in zip(candles["open_time"].tolist(), known.known.tolist(), strict=True)
    }


def last_words_are_those_of_a_run_from_scratch(
    engine: Engine, *sinks: Collected, symbol: str = SYMBOL
) -> None:
    """The last message of each minute is what the store gives, but for the number of the revision.

    Of more than half an hour, the first of every four minutes and the newest, all with ``--thorough``.
    """
    last: dict[int, dict[str, Any]] = {}
    for message in [message for sink in sinks for message in sink.messages.get(symbol, [])]:
        last[message["timestamp"] + 1 - MINUTE_MS] = message
    assert last
    minutes = sorted(last)
    for minute in {*some_of(minutes, every=1 if len(minutes) <= 30 else 4), minutes[-1]}:
        message = last[minute]
        made = load_pipeline(engine.store, engine.config, symbol, minute + MINUTE_MS).message()
        assert made is not None
        wanted = json.loads(encode(made)) | {"revision": message["revision"]}
        assert message == wanted, minute


def volume_of(ladder: Ladder, minute: int) -> float:
    """What the levels of a minute add up to, base asset."""
    inside = ladder.levels["minute"] == (minute - ladder.day) // MINUTE_MS
    both = ladder.levels["bought"][inside] + ladder.levels["sold"][inside]
    return float(ladder.quantities(both).sum())


def counted(engine: Engine, name: str) -> int:
    """How often something happened."""
    return engine.journal.counters[name]
