"""A PostgreSQL mirror: its configuration, its store, and the comparison of both."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any

import asyncpg
from feed import until
from msgspec.structs import replace
from services import Postgres as Server
from store_child import rows_of
from stores import minute

from tui_feeder.config import Config, Database, TechnicalAnalysis
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.core.candle import Rows, Source, timeframe_label
from tui_feeder.engine.sinks.postgres import PostgresSink
from tui_feeder.engine.storage.store import Store
from tui_feeder.safe_text import Secret

TIMEFRAMES = (60, 300, 3600, 86_400)


SYMBOLS = ("ADAUSDT", "BTCUSDT", "币安人生USDT")


COLUMNS = (
    "open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume",
    "taker_buy_quote_volume",
)  # fmt: skip


def settings(server: Server, password: str = Server.password) -> Config:
    database = replace(
        Database(), enabled=True, host="127.0.0.1", port=server.port, username=server.user,
        password=Secret(password), batch_timeout_seconds=0.1, connection_timeout_seconds=3.0,
    )  # fmt: skip
    return Config(
        technical_analysis=replace(TechnicalAnalysis(), timeframes=TIMEFRAMES),
        database=database,
    )


def opened(path: Path, days: int = 3) -> Store:
    store = Store(path, exchange="a test")
    for symbol in SYMBOLS:
        store.put(
            symbol, rows_of(minute(0), minute(days * 1440 - 200), Source.STREAM), Source.STREAM
        ).result()
    return store


def expected(store: Store, symbol: str, timeframe: int) -> Rows:
    return aggregate(store.read(symbol, 0, 1 << 62), timeframe).rows


async def connected(server: Server) -> Any:  # noqa: ANN401 - a connection of asyncpg
    return await asyncpg.connect(
        host="127.0.0.1",
        port=server.port,
        user=server.user,
        password=server.password,
        database=server.database,
    )


async def tables_equal_the_store(server: Server, store: Store) -> int:
    """Compare every candle; how many there are."""
    connection = await connected(server)
    count = 0
    try:
        for symbol in store.symbols():
            for timeframe in TIMEFRAMES:
                found = await connection.fetch(
                    f"SELECT (extract(epoch FROM time) * 1000)::bigint, {', '.join(COLUMNS)} FROM candles_1m "
                    "WHERE symbol = $1 AND time_frame = $2 ORDER BY time",
                    symbol, timeframe_label(timeframe),
                )  # fmt: skip
                rows = expected(store, symbol, timeframe)
                # Thousands of rows are told by number: a listing of all that differs takes minutes.
                differ = sum(
                    tuple(row) != one for row, one in zip_longest(found, rows.tolist(), fillvalue=())
                )
                assert differ == 0, (symbol, timeframe)
                count += len(rows)
        assert await connection.fetchval("SELECT count(*) FROM candles_1m") == count
    finally:
        await connection.close()
    return count


def lag(sink: PostgresSink, store: Store) -> int:
    return sum(
        sink._lacking(symbol, timeframe).minutes > timeframe // 60
        for symbol in store.symbols()
        for timeframe in TIMEFRAMES
    )


async def caught_up(sink: PostgresSink, store: Store) -> None:
    def done() -> bool:
        return (
            not sink.trouble
            and not sink._refused
            and not lag(sink, store)
            and not any(map(store.altered, SYMBOLS))
        )

    await until(done, 60)
    await until(lambda: all(not sink._lacking(s, 60) for s in store.symbols()), 10)
