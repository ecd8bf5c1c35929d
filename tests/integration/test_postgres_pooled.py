"""pgbouncer between the feeder and its database: transactions pooled, its own settings left as they come."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from feed import until
from mirrored import SYMBOLS, caught_up, opened, settings, tables_equal_the_store
from msgspec.structs import replace
from services import Bouncer, Unavailable
from services import Postgres as Server
from sinking import at_work
from sinks_check import check, to_postgres
from store_child import rows_of
from stores import minute

from tui_feeder.config import Config
from tui_feeder.engine.core.candle import Source
from tui_feeder.engine.sinks.postgres import PostgresSink


def _started(bouncer: Bouncer) -> Iterator[Bouncer]:
    try:
        bouncer.start()
    except Unavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    yield bouncer
    bouncer.kill()


@pytest.fixture
def pooler(postgres: Server, request: pytest.FixtureRequest) -> Iterator[Bouncer]:
    """pgbouncer before the database; its kind of pooling is the parameter."""
    yield from _started(Bouncer(postgres.folder.parent, postgres, getattr(request, "param", "transaction")))


def through(server: Server, pooler: Bouncer) -> Config:
    config = settings(server)
    return replace(config, database=replace(config.database, port=pooler.port))


@pytest.mark.parametrize("pooler", ["transaction", "session"], indirect=True)
async def test_the_mirror_works_through_a_pooler(postgres: Server, pooler: Bouncer, tmp_path: Path) -> None:
    store = opened(tmp_path / "store", days=8)
    sink = PostgresSink(through(postgres, pooler), store)
    async with at_work(sink) as journal:
        await caught_up(sink, store)
        assert await tables_equal_the_store(postgres, store) > 3 * 11_000
        for symbol in SYMBOLS:
            rows = rows_of(minute(11_320), minute(11_400), Source.STREAM)
            await asyncio.wrap_future(store.put(symbol, rows, Source.STREAM))
        await caught_up(sink, store)
        await tables_equal_the_store(postgres, store)
        await asyncio.to_thread(postgres.sql, "TRUNCATE candles_1m")
        await until(lambda: "candles_1m was emptied" in "".join(event.text for event in journal.events))
        await caught_up(sink, store)
        await tables_equal_the_store(postgres, store)
        assert journal.counters["postgres_failures"] == 0
        assert sink.status() == "ok"
    store.close()
    done = await asyncio.to_thread(
        check, tmp_path, **to_postgres(postgres) | {"DATABASE__PORT": str(pooler.port)},
        APPLICATION__STORAGE_PATH=str(store.path), TECHNICAL_ANALYSIS__TIMEFRAMES="60,300,3600,86400",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "compared with the store: 8 days, no difference" in done.stdout


@pytest.mark.parametrize("pooler", ["statement"], indirect=True)
def test_pooling_of_statements_is_named_with_the_remedy(
    postgres: Server, pooler: Bouncer, tmp_path: Path
) -> None:
    done = check(tmp_path, **to_postgres(postgres) | {"DATABASE__PORT": str(pooler.port)})
    assert done.returncode == 4
    assert "the pooler gives a session to each statement: set pool_mode = transaction there" in done.stdout


def test_what_a_pooler_refuses_is_said_as_of_a_server(
    postgres: Server, pooler: Bouncer, tmp_path: Path
) -> None:
    reached = to_postgres(postgres) | {"DATABASE__PORT": str(pooler.port)}
    wrong = check(tmp_path, **reached | {"DATABASE__PASSWORD": "hush-hush"})
    assert "refuses database.username feeder with this password" in wrong.stdout
    nowhere = check(tmp_path, **reached | {"DATABASE__DATABASE": "nowhere"})
    assert "has no database nowhere: create it" in nowhere.stdout
    assert (wrong.returncode, nowhere.returncode) == (4, 4)
