"""Fault 18 on a real PostgreSQL: whatever happens to it, the tables become equal to the store."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import numpy as np
import pytest
from feed import NOON, configured, feeding, until
from mirrored import SYMBOLS, caught_up, connected, lag, opened, settings, tables_equal_the_store
from msgspec.structs import replace
from services import Postgres as Server
from sinking import at_work
from store_child import candle_of, rows_of
from stores import minute

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.derived.settings import profile_settings
from tui_feeder.engine.derived.stored_profiles import day_profile
from tui_feeder.engine.sinks.postgres import PostgresSink
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market


async def test_every_candle_and_profile_is_mirrored_and_stays_so(postgres: Server, tmp_path: Path) -> None:
    store = opened(tmp_path)
    config = settings(postgres)
    sink = PostgresSink(config, store)
    async with at_work(sink) as journal:
        await caught_up(sink, store)
        before = await tables_equal_the_store(postgres, store)
        assert before > 3 * 4_000
        # A hole, and what comes after it; then the hole is filled, and a minute is corrected.
        for n in [*range(4120, 4140), *range(4400, 4410)]:
            await asyncio.wrap_future(
                store.append("BTCUSDT", candle_of(minute(n), Source.STREAM), Source.STREAM)
            )
        await caught_up(sink, store)
        await tables_equal_the_store(postgres, store)
        filled = rows_of(minute(4140), minute(4400), Source.REST)
        await asyncio.wrap_future(store.put("BTCUSDT", filled, Source.REST))
        await asyncio.wrap_future(
            store.put("ADAUSDT", rows_of(minute(100), minute(130), Source.ARCHIVE_DAY), Source.ARCHIVE_DAY)
        )
        assert store.altered("ADAUSDT").minutes == 30
        await caught_up(sink, store)
        await tables_equal_the_store(postgres, store)
        assert sink.status() == "ok"
        assert journal.counters["postgres_failures"] == 0
    for symbol in SYMBOLS:
        shape = profile_settings(config, symbol, None)
        assert shape is not None
        for day in range(minute(0), store.present(symbol).end, DAY_MS):
            made = day_profile(store, symbol, shape, day)
            assert made is not None
            format_day = f"to_timestamp({day // 1000})::date"
            found = postgres.sql(
                f"SELECT poc, total_volume, candle_count, array_length(weights, 1), "
                f"price_increment, low_price FROM volume_profiles "
                f"WHERE symbol = '{symbol}' AND date = {format_day}"
            ).split("|")
            assert [float(one) for one in found] == [
                made.poc, made.total_volume, made.candles, len(made.weights),
                made.increment, made.prices[0],
            ]  # fmt: skip
    store.close()


async def test_a_database_killed_between_copy_and_commit_catches_up(postgres: Server, tmp_path: Path) -> None:
    store = opened(tmp_path)
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink):
        await caught_up(sink, store)
        for first in (4120, 4220):
            # The table is locked for writing, so the transaction has copied its rows and waits in the upsert.
            other = await connected(postgres)
            await other.execute("BEGIN; LOCK TABLE candles_1m IN EXCLUSIVE MODE")
            for symbol in SYMBOLS:
                rows = rows_of(minute(first), minute(first + 100), Source.STREAM)
                await asyncio.wrap_future(store.put(symbol, rows, Source.STREAM))
            await until(lambda: waits_in_the_upsert(postgres))
            await asyncio.to_thread(postgres.kill)
            await until(lambda: sink.status() != "ok")
            await asyncio.to_thread(postgres.start)
            other.terminate()
        await caught_up(sink, store)
        assert await tables_equal_the_store(postgres, store) > 3 * 4_300
    store.close()


@pytest.mark.timeout(180)
async def test_a_database_killed_while_a_long_history_is_copied_catches_up(
    postgres: Server, tmp_path: Path
) -> None:
    draw = random.Random(18)
    store = opened(tmp_path, days=40)
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink) as journal:
        for _ in range(2):
            written = journal.counters["postgres_candles"]
            await until(lambda written=written: journal.counters["postgres_candles"] > written)
            await asyncio.sleep(draw.uniform(0.0, 0.15))
            assert any(sink._lacking(symbol, 60) for symbol in SYMBOLS), "it was over before the kill"
            await asyncio.to_thread(postgres.kill)
            await until(lambda: sink.status() != "ok")
            await asyncio.to_thread(postgres.start)
        await caught_up(sink, store)
        assert await tables_equal_the_store(postgres, store) > 3 * 60_000
    store.close()


@pytest.mark.parametrize("connections", [1, 3])
async def test_it_uses_no_more_connections_than_allowed_and_several_to_catch_up(
    postgres: Server, tmp_path: Path, connections: int
) -> None:
    store = opened(tmp_path, days=60)
    config = settings(postgres)
    sink = PostgresSink(
        replace(config, database=replace(config.database, max_connections=connections)), store
    )
    other = await connected(postgres)
    seen = 0
    async with at_work(sink):
        while sink.trouble or lag(sink, store):
            found = await other.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'feeder-tui'"
            )
            seen = max(seen, found)
        await caught_up(sink, store)
        await tables_equal_the_store(postgres, store)
    await other.close()
    assert seen == connections
    store.close()


def waits_in_the_upsert(server: Server) -> bool:
    return server.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'feeder-tui' "
        "AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO candles_1m%'"
    ) == "1"  # fmt: skip


async def test_a_database_that_is_down_at_the_start_gets_everything_later(
    postgres: Server, tmp_path: Path
) -> None:
    postgres.kill()
    store = opened(tmp_path)
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink):
        await until(lambda: "connection refused" in sink.status())
        await asyncio.to_thread(postgres.start)
        await caught_up(sink, store)
        await tables_equal_the_store(postgres, store)
    store.close()


async def test_a_wrong_password_is_told_and_the_right_one_catches_up(
    postgres: Server, tmp_path: Path
) -> None:
    store = opened(tmp_path)
    sink = PostgresSink(settings(postgres, "hush-hush"), store)
    async with at_work(sink) as journal:
        await until(lambda: "refuses database.username feeder with this password" in sink.status())
        assert not any("hush" in event.text for event in journal.events)
        postgres.sql("ALTER USER feeder PASSWORD 'hush-hush'", database="postgres")
        postgres.password = "hush-hush"
        await caught_up(sink, store)
    await tables_equal_the_store(postgres, store)
    store.close()


async def test_a_constraint_added_by_hand_holds_its_symbol_alone(postgres: Server, tmp_path: Path) -> None:
    store = opened(tmp_path)
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink):
        await caught_up(sink, store)
        postgres.sql("ALTER TABLE candles_1m ADD CONSTRAINT by_hand CHECK (symbol <> 'BTCUSDT') NOT VALID")
        for symbol in SYMBOLS:
            rows = rows_of(minute(4120), minute(4130), Source.STREAM)
            await asyncio.wrap_future(store.put(symbol, rows, Source.STREAM))
        await until(lambda: "by_hand" in sink.status())
        await until(lambda: not sink._lacking("ADAUSDT", 60) and not sink._lacking("币安人生USDT", 60))
        postgres.sql("ALTER TABLE candles_1m DROP CONSTRAINT by_hand")
        sink._refused.clear()
        await caught_up(sink, store)
        await tables_equal_the_store(postgres, store)
    store.close()


async def test_migrations_leave_a_table_of_the_older_program_as_it_is(
    postgres: Server, tmp_path: Path
) -> None:
    postgres.sql(
        "CREATE TABLE candles_1m (time timestamptz NOT NULL, symbol text NOT NULL, time_frame text NOT NULL, "
        "open double precision, high double precision, low double precision, close double precision, "
        "volume double precision, trade_count bigint, taker_buy_volume double precision); "
        "INSERT INTO candles_1m VALUES ('2020-01-01', 'OLD', '1m', 1, 1, 1, 1, 1, 1, 1)"
    )
    store = opened(tmp_path)
    for _ in range(2):  # the second start finds everything applied
        sink = PostgresSink(settings(postgres), store)
        async with at_work(sink):
            await caught_up(sink, store)
    assert postgres.sql("SELECT count(*), max(close) FROM candles_1m WHERE symbol = 'OLD'") == "1|1"
    assert postgres.sql("SELECT count(*) FROM feeder_migrations") == "5"
    postgres.sql("DELETE FROM candles_1m WHERE symbol = 'OLD'")
    await tables_equal_the_store(postgres, store)
    store.close()


async def test_the_live_path_goes_on_while_the_database_dies(postgres: Server, tmp_path: Path) -> None:
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON, rate=60.0)) as exchange:
        base = configured(exchange, ["BTCUSDT"], days=1)
        config = replace(base, database=settings(postgres).database)
        async with feeding(config, tmp_path / "store") as (engine, collected):
            sink = PostgresSink(config, engine.store)
            sink.start(engine.journal)
            await until(lambda: len(collected.minutes("BTCUSDT")) >= 2)
            await asyncio.to_thread(postgres.kill)
            count = len(collected.minutes("BTCUSDT"))
            await until(lambda: len(collected.minutes("BTCUSDT")) >= count + 4, 20)
            await asyncio.to_thread(postgres.start)
            # A minute a second arrives and batches wait for some seconds: nearly level is level.
            await until(lambda: not sink.trouble and sink._lacking("BTCUSDT", 60).minutes <= 12, 60)
            await asyncio.to_thread(sink.close, 10.0)
        store = Store(tmp_path / "store", read_only=True)
    minutes = store.read("BTCUSDT", 0, 1 << 62)["open_time"]
    count = int(postgres.sql("SELECT count(*) FROM candles_1m WHERE time_frame = '1m'"))
    assert len(minutes) - 5 <= count <= len(minutes)
    assert np.all(np.diff(minutes) == MINUTE_MS)
    store.close()


async def test_contracts_are_counted_and_a_table_from_before_gets_them(
    postgres: Server, tmp_path: Path
) -> None:
    coin = "coinm:BTCUSD_PERP"
    store = opened(tmp_path)
    rows = rows_of(minute(0), minute(2 * 1_440), Source.STREAM)
    rows["quote_volume"] = np.rint(rows["quote_volume"] / 100.0) * 100.0
    await asyncio.wrap_future(store.put(coin, rows, Source.STREAM))
    await asyncio.wrap_future(store.set_contract(coin, 100.0))
    total = int(np.rint(rows["quote_volume"] / 100.0).sum())
    counted = (
        f"SELECT sum(contracts), count(*) FILTER (WHERE contracts IS NULL) FROM candles_1m "
        f"WHERE symbol = '{coin}' AND time_frame = "
    )
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink):
        await caught_up(sink, store)
        assert [postgres.sql(f"{counted}'{label}'") for label in ("1m", "1h")] == [f"{total}|0"] * 2
        assert postgres.sql("SELECT count(contracts) FROM candles_1m WHERE symbol = 'BTCUSDT'") == "0"
    # As a program left it that did not know the column.
    postgres.sql(
        "ALTER TABLE candles_1m DROP COLUMN contracts; DELETE FROM feeder_migrations WHERE number = 4"
    )
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink) as journal:
        await caught_up(sink, store)
        assert [postgres.sql(f"{counted}'{label}'") for label in ("1m", "1h")] == [f"{total}|0"] * 2
        timeframes = (60, 300, 3_600, 86_400)
        assert journal.counters["postgres_candles"] == sum(
            len(np.unique(rows["open_time"] // (frame * 1000))) for frame in timeframes
        )  # only those of the symbol that has contracts
        await until(lambda: sink.status() == "ok")
        assert journal.counters["postgres_differences"] == 0
    store.close()
