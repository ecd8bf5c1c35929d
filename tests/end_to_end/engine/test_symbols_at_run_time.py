"""Symbols that come and go while the feeder runs, asked for by its user."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from feed import NOON, Collected, configured, feeding, until
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.engine import Engine
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

NAMES = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


@contextlib.asynccontextmanager
async def following(wanted: list[str], storage: Path) -> AsyncIterator[tuple[Engine, Collected]]:
    market = synthetic_market(NAMES, as_of_ms=NOON)
    async with (
        Exchange(market, clock_for(market, start_ms=NOON, rate=120)) as exchange,
        feeding(configured(exchange, wanted), storage) as running,
    ):
        yield running


def _ordered(sink: Collected, symbol: str) -> bool:
    minutes = sink.minutes(symbol)
    return minutes == list(range(minutes[0], minutes[0] + len(minutes) * MINUTE_MS, MINUTE_MS))


@in_virtual_time
async def test_a_symbol_added_is_read_back_and_joins_in_order_and_one_dropped_falls_silent(
    tmp_path: Path,
) -> None:
    async with following(NAMES[:2], tmp_path) as (engine, sink):
        await until(lambda: all(len(sink.messages.get(name, ())) >= 2 for name in NAMES[:2]))
        engine.subscriptions.add("SOLUSDT")
        engine.subscriptions.drop("ETHUSDT")
        await until(lambda: len(sink.messages.get("SOLUSDT", ())) >= 4)
        assert list(engine.tracked) == ["BTCUSDT", "SOLUSDT"]
        told, others = len(sink.messages["ETHUSDT"]), len(sink.messages["BTCUSDT"])
        await until(lambda: len(sink.messages["BTCUSDT"]) >= others + 3)
        assert len(sink.messages["ETHUSDT"]) == told
        assert engine.store.present("SOLUSDT").minutes > 3 * 24 * 60
        # What is stored of the one dropped stays, and it goes on from there.
        assert engine.store.present("ETHUSDT").minutes > 3 * 24 * 60
        engine.subscriptions.add("ETHUSDT")
        await until(lambda: len(sink.messages["ETHUSDT"]) >= told + 3)
    assert all(_ordered(sink, name) for name in NAMES)


@in_virtual_time
async def test_one_that_was_dropped_stays_away_although_a_pattern_matches_it(tmp_path: Path) -> None:
    async with following(["*USDT"], tmp_path) as (engine, sink):
        await until(lambda: len(sink.messages) == 3)
        engine.subscriptions.drop("ETHUSDT")
        await until(lambda: len(engine.tracked) == 2)
        engine.subscriptions.add("NOSUCHUSDT")  # asks for the listings again
        await until(lambda: "NOSUCHUSDT" in engine.tracked)
        assert engine.tracked["NOSUCHUSDT"].phase == "unknown"
        assert "ETHUSDT" not in engine.tracked
        engine.subscriptions.replace(["*USDT"])  # the configuration, read again, holds whole
        await until(lambda: set(engine.tracked) == set(NAMES))


@in_virtual_time
async def test_a_configuration_read_again_replaces_the_symbols(tmp_path: Path) -> None:
    async with following(NAMES[:2], tmp_path) as (engine, sink):
        await until(lambda: len(sink.messages) == 2)
        engine.subscriptions.replace(["ETHUSDT", "SOLUSDT"])
        await until(lambda: "SOLUSDT" in sink.messages)
        assert set(engine.tracked) == {"ETHUSDT", "SOLUSDT"}
