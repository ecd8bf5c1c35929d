"""No configuration at all, and coins from 0.000015 to 100,000: every profile has rows that say something."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest
from feed import NOON, Collected, monitor_of, until
from msgspec.structs import replace
from services import Postgres as Server
from sinking import at_work

from tui_feeder.config import Application, Config, Database, Exchange
from tui_feeder.engine.composition import configured_engine
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.derived.stored_profiles import read_profiles
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.sinks.postgres import PostgresSink
from tui_feeder.engine.storage.store import Store
from tui_feeder.safe_text import Secret
from tui_feeder.simulator import exchange as simulated
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.market import Market
from tui_feeder.simulator.synthetic import synthetic_market

#: About 0.000015, 0.005, 15, 3,000 and 100,000.
COINS = ["1000SATSUSDT", "1000PEPEUSDT", "AVAXUSDT", "ETHUSDT", "BTCUSDT"]
TARGET = 200


def mirrored(server: Server) -> Database:
    return replace(
        Database(), enabled=True, host="127.0.0.1", port=server.port, username=server.user,
        password=Secret(server.password), batch_timeout_seconds=0.1,
    )  # fmt: skip


@pytest.mark.timeout(600)  # half a million candles are mirrored
async def test_profiles_by_the_defaults_have_100_to_400_rows_and_agree_everywhere(
    postgres: Server, tmp_path: Path
) -> None:
    market = synthetic_market(COINS, as_of_ms=NOON)
    midnight = NOON + DAY_MS // 2
    path = tmp_path / "store"
    # The history first, at its leisure; then over midnight, sixty times as fast.
    async with at_exchange(market, NOON, 1.0, path, postgres) as (engine, _, _):
        await until(lambda: [one.phase for one in engine.tracked.values()] == ["live"] * 5, 300)
    start = midnight - 20 * MINUTE_MS
    async with at_exchange(market, start, 60.0, path, postgres) as (engine, collected, mirror):
        await until(lambda: all(midnight in collected.minutes(s) for s in COINS), 120)
        async with at_work(mirror):
            await judge(postgres, engine.store, engine, collected, midnight - DAY_MS)


@contextlib.asynccontextmanager
async def at_exchange(
    market: Market, start: int, rate: float, path: Path, postgres: Server
) -> AsyncIterator[tuple[Engine, Collected, PostgresSink]]:
    """An engine by the defaults at an exchange whose clock starts at ``start`` (ms)."""
    async with simulated.Exchange(market, clock_for(market, start_ms=start, rate=rate)) as exchange:
        config = Config(
            application=replace(Application(), symbols=tuple(COINS)),
            database=mirrored(postgres),
            exchange=replace(
                Exchange(), rest_url=exchange.rest_url, stream_url=exchange.stream_url,
                archive_url=exchange.archive_url, clock_rate=rate,
            ),
        )  # fmt: skip
        assert config.volume_profile == Config().volume_profile  # nothing is stated
        store, collected = Store(path, exchange="a simulated exchange"), Collected()
        engine = configured_engine(config, store, [collected])
        running = asyncio.create_task(engine.run())
        try:
            yield engine, collected, PostgresSink(config, store)
        finally:
            engine.request_stop()
            await running


async def judge(server: Server, store: Store, engine: Engine, collected: Collected, day: int) -> None:
    monitor = monitor_of(engine)
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user=server.user, password=server.password,
        database=server.database,
    )  # fmt: skip
    try:
        for symbol in COINS:
            await until(
                lambda s=symbol: any(p.candles == 1_440 for p in read_profiles(store, s, day, day + DAY_MS)),
                60,
            )
            whole = [p for p in read_profiles(store, symbol, 0, day + DAY_MS) if p.candles == 1_440]
            assert len(whole) >= 60
            for one in whole[7:]:
                rows, place = len(one.weights), (symbol, one.day, one.increment)
                assert TARGET / 2 <= rows <= 2 * TARGET + 1, (*place, rows)
                exact = [float((one.low_index + n) * Decimal(repr(one.increment))) for n in range(rows)]
                assert one.prices.tolist() == exact
                assert one.prices[0] <= one.poc <= one.prices[-1]
            kept = whole[-1]
            assert kept.day == day
            (message,) = (m for m in collected.messages[symbol] if m["timestamp"] == day + DAY_MS - 1)
            told = message["volume_profile"]
            seen = monitor.profile(symbol, day)
            assert seen is not None
            assert told["price_increment"] == seen.increment == kept.increment
            assert told["poc"] == seen.poc == kept.poc
            assert (told["value_area"]["high"], told["value_area"]["low"]) == (seen.vah, seen.val)
            assert seen.weights == tuple(kept.weights.tolist())
            assert np.array_equal(seen.prices, kept.prices)  # what the profile screen exports
            row = await mirrored_day(connection, symbol, day)
            assert (row["price_increment"], row["poc"]) == (kept.increment, kept.poc)
            assert (row["low_price"], row["weights"]) == (kept.prices[0], kept.weights.tolist())
    finally:
        await connection.close()
    assert not [event for event in engine.journal.events if "profile rows" in event.text]


async def mirrored_day(connection: Any, symbol: str, day: int) -> Any:  # noqa: ANN401 - parts of asyncpg
    """The row of a whole day, once it is there."""
    date = datetime.fromtimestamp(day / 1000, UTC).date()
    query = "SELECT * FROM volume_profiles WHERE symbol = $1 AND date = $2 AND candle_count = 1440"
    for _ in range(1_500):
        with contextlib.suppress(asyncpg.UndefinedTableError):
            if (row := await connection.fetchrow(query, symbol, date)) is not None:
                return row
        await asyncio.sleep(0.2)
    raise AssertionError(f"no profile of {symbol} and {date} came")
