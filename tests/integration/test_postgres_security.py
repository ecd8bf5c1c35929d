"""TLS to a real PostgreSQL, and a database with TimescaleDB."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from feed import until
from mirrored import caught_up, opened, settings, tables_equal_the_store
from msgspec.structs import replace
from services import Postgres as Server
from sinking import at_work

from tui_feeder.config import Config
from tui_feeder.safe_text import Secret

pytest.importorskip("asyncpg", reason="the postgres extra is not installed")

from tui_feeder.engine.sinks.postgres import PostgresSink


@pytest.fixture(scope="module")
def encrypted() -> Iterator[Server]:
    """A server that takes nothing but TLS."""
    folder = Path(tempfile.mkdtemp(prefix="feeder-postgres-"))
    server = Server(folder / "server", tls=True)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)


def with_tls(server: Server, mode: str, cafile: Path | None = None, host: str = "127.0.0.1") -> Config:
    config = settings(server)
    database = replace(config.database, ssl_mode=mode, ssl_cafile=cafile, host=host)
    return replace(config, database=database)


@pytest.mark.parametrize(
    ("mode", "host"),
    [
        ("prefer", "127.0.0.1"),
        ("require", "localhost"),
        ("verify-ca", "localhost"),
        ("verify-full", "127.0.0.1"),
    ],
)
async def test_tls_is_spoken(encrypted: Server, tmp_path: Path, mode: str, host: str) -> None:
    assert encrypted.authority is not None
    store = opened(tmp_path, days=1)
    cafile = encrypted.authority.cafile if mode.startswith("verify") else None
    sink = PostgresSink(with_tls(encrypted, mode, cafile, host), store)
    async with at_work(sink):
        await caught_up(sink, store)
        encryption = encrypted.sql(
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
            "WHERE application_name = 'feeder-tui'"
        )
    assert encryption == "t"
    store.close()


async def test_what_tls_cannot_be_is_told(encrypted: Server, postgres: Server, tmp_path: Path) -> None:
    assert encrypted.authority is not None
    cafile = encrypted.authority.cafile
    cases = [
        (with_tls(encrypted, "disable"), "pg_hba.conf"),
        (with_tls(encrypted, "verify-full"), "TLS failed"),
        (with_tls(encrypted, "verify-full", cafile, "localhost"), "TLS failed"),
        (with_tls(encrypted, "verify-ca", tmp_path / "none.pem"), "database.ssl_cafile"),
        (with_tls(postgres, "require"), "speaks no TLS"),
    ]
    store = opened(tmp_path, days=1)
    for config, words in cases:
        sink = PostgresSink(config, store)
        async with at_work(sink):
            try:
                await until(lambda sink=sink, words=words: words in sink.status())
            except AssertionError:
                raise AssertionError(f"{words}: {sink.status()}") from None
    wrong = with_tls(encrypted, "verify-full", cafile)
    database = replace(wrong.database, password=Secret("hush-hush"))
    sink = PostgresSink(replace(wrong, database=database), store)
    async with at_work(sink):
        await until(lambda: "refuses database.username feeder with this password" in sink.status())
        assert "hush" not in sink.status()
    store.close()


async def test_where_timescaledb_is_installed_the_table_becomes_a_hypertable(
    postgres: Server, tmp_path: Path
) -> None:
    """Debian has no package of TimescaleDB: here PostgreSQL believes that it is installed.

    What is tested is that the choice is made, and the call; not what the extension does then.
    """
    postgres.sql(
        "SET allow_system_table_mods = on;"
        "INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) "
        "VALUES (99999, 'timescaledb', 10, 'public'::regnamespace, false, '2.17.0');"
        "CREATE TABLE calls (relation regclass, column_name name, kept bool, moved bool);"
        "CREATE FUNCTION create_hypertable(relation regclass, time_column_name name, "
        "if_not_exists bool, migrate_data bool) RETURNS void LANGUAGE sql AS "
        "'INSERT INTO calls VALUES ($1, $2, $3, $4)'"
    )
    store = opened(tmp_path, days=1)
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink) as journal:
        await caught_up(sink, store)
        await tables_equal_the_store(postgres, store)
        assert any("TimescaleDB 2.17.0" in event.text for event in journal.events)
    assert postgres.sql("SELECT * FROM calls") == "candles_1m|time|t|t"
    store.close()
