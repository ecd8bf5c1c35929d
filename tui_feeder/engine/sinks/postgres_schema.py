"""The schema of the mirror: what a database has of it, what is wrong with that, and making what it lacks.

Nothing of a user's is dropped or changed: a table that is there is kept with its rows, and where it cannot
hold the candles as they are, that is reported with the statement that would mend it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from tui_feeder.engine.sinks.thread import SinkError

STATEMENT_SECONDS = 60
#: An index on a large table takes its time.
MIGRATION_SECONDS = 1_800
#: What no feeder can mend is looked at again so much later, seconds.
AGAIN_SECONDS = 60.0
_LOCK = 0x7FEEDE12  # any number, the same in every feeder: one migrates at a time

_DOUBLE = ("double precision",)
_TEXT = ("text", "character varying")
_WHOLE = ("smallint", "integer", "bigint")
_TIME = ("timestamp with time zone",)
#: The columns of each table, with the types that hold their values exactly; the first is the one made.
_COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "candles_1m": {
        "time": _TIME, "symbol": _TEXT, "time_frame": _TEXT, "open": _DOUBLE, "high": _DOUBLE, "low": _DOUBLE,
        "close": _DOUBLE, "volume": _DOUBLE, "trade_count": ("bigint", "integer"),
        "taker_buy_volume": _DOUBLE, "quote_volume": _DOUBLE, "taker_buy_quote_volume": _DOUBLE,
        "minutes": _WHOLE, "contracts": ("bigint", "integer"),
    },
    "volume_profiles": {
        "symbol": _TEXT, "date": ("date",), "total_volume": _DOUBLE, "vwap": _DOUBLE, "poc": _DOUBLE,
        "value_area_high": _DOUBLE, "value_area_low": _DOUBLE, "value_area_volume": _DOUBLE,
        "value_area_percentage": _DOUBLE, "price_increment": _DOUBLE, "min_price": _DOUBLE,
        "max_price": _DOUBLE, "candle_count": ("integer", "bigint"), "last_updated": _TIME,
        "low_price": _DOUBLE, "weights": ("double precision[]",), "made_with": ("bigint",),
        "exact_share": _DOUBLE, "buy_volume": _DOUBLE, "sell_volume": _DOUBLE,
        "bought": ("double precision[]",),
    },
    "feeder_mirror": {"symbol": _TEXT, "time_frame": _TEXT, "minutes": ("bigint[]",)},
}  # fmt: skip
#: Columns that migrations add to a table of an older program.
_ADDED = {
    "candles_1m": {"quote_volume", "taker_buy_quote_volume", "minutes", "contracts"},
    "volume_profiles": {"made_with", "exact_share", "buy_volume", "sell_volume", "bought"},
}
_KEYS = {
    "candles_1m": ("time", "symbol", "time_frame"),
    "feeder_mirror": ("symbol", "time_frame"),
    "volume_profiles": ("symbol", "date"),
}

_SELECT_COLUMNS = """SELECT attname, format_type(atttypid, NULL), format_type(atttypid, atttypmod)
    FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped"""
_SELECT_KEYS = """SELECT array_agg(attname::text) FROM pg_index
    JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
    WHERE indrelid = to_regclass($1) AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL
    GROUP BY indexrelid"""


@dataclass
class Schema:
    """What a database has of the mirror's schema."""

    missing: list[str] = field(default_factory=list)  # "candles_1m", "candles_1m.minutes", "index on ..."
    wrong: list[str] = field(default_factory=list)  # what no migration may mend, with the remedy
    keys: list[str] = field(default_factory=list)  # tables without their unique index
    applied: set[int] = field(default_factory=set)

    def check(self) -> None:
        """Whether the tables can hold what they should.

        Raises:
            SinkError: they cannot.
        """
        if self.wrong:
            more = f" (and {len(self.wrong) - 1} more)" if len(self.wrong) > 1 else ""
            raise SinkError(f"{self.wrong[0]}{more}", wait=AGAIN_SECONDS)


@contextlib.asynccontextmanager
async def transaction(
    connection: Any,  # noqa: ANN401 - asyncpg is imported only where it is enabled
    seconds: int = STATEMENT_SECONDS,
    **more: Any,  # noqa: ANN401
) -> AsyncIterator[None]:
    """Opens a transaction whose statements are limited in time.

    A pooler may give each transaction to another session, and takes no settings when connecting: so no
    statement is sent outside of one, and what is set or created here ends with it.

    Args:
        connection: a connection of asyncpg.
        seconds: limit of each statement.
        more: arguments of asyncpg's transaction.

    Yields:
        Nothing, inside the transaction.
    """
    async with connection.transaction(**more):
        await connection.execute(
            f"SET LOCAL statement_timeout = {seconds * 1000}; SET LOCAL client_min_messages = warning"
        )
        yield


async def inspect(connection: Any) -> Schema:  # noqa: ANN401
    """Inspects the tables; call it in a transaction.

    Args:
        connection: a connection of asyncpg.

    Returns:
        What is there and what is wrong with it.
    """
    found = Schema()
    migrated = await connection.fetchval("SELECT to_regclass('feeder_migrations')::text") is not None
    if migrated:
        found.applied = {row[0] for row in await connection.fetch("SELECT number FROM feeder_migrations")}
    for table, columns in _COLUMNS.items():
        types = {name: (bare, whole) for name, bare, whole in await connection.fetch(_SELECT_COLUMNS, table)}
        if not types:
            found.missing.append(table)
            continue
        for name, allowed in columns.items():
            if name in types and types[name][0] not in allowed:
                found.wrong.append(
                    f"{table}.{name} is {types[name][1]}, which does not hold every value exactly: "
                    f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {allowed[0]}"
                )
            elif name not in types and (
                name in _ADDED.get(table, ()) or (found.applied and name not in _KEYS[table])
            ):  # of a table that was ours somebody has dropped it
                found.missing.append(f"{table}.{name}")
            elif name not in types:
                found.wrong.append(
                    f"{table} has no column {name}: it is another table; rename it, or use another database"
                )
        keys = [set(names) for (names,) in await connection.fetch(_SELECT_KEYS, table)]
        if set(_KEYS[table]) not in keys:
            found.keys.append(table)
            found.missing.append(f"a unique index on {table}")
            if set(_KEYS[table]) <= types.keys() and (
                duplicates := await _find_duplicates(connection, table)
            ):
                found.wrong.append(duplicates)
    if not migrated:
        found.missing.append("feeder_migrations")
    return found


async def _find_duplicates(connection: Any, table: str) -> str:  # noqa: ANN401
    """Rows that are there more than once, and so forbid the unique index; "" without any."""
    columns = ", ".join(_KEYS[table])
    row = await connection.fetchrow(
        f"SELECT {columns}, count(*) FROM {table} GROUP BY {columns} HAVING count(*) > 1 LIMIT 1"
    )
    if row is None:
        return ""
    *values, count = row
    same = " AND ".join(f"a.{name} = b.{name}" for name in _KEYS[table])
    return (
        f"{table} has {count} rows of {', '.join(str(value) for value in values)}, where one may be: "
        f"keep the newest of each with DELETE FROM {table} a USING {table} b WHERE a.ctid < b.ctid AND {same}"
    )


async def migrate(connection: Any) -> tuple[str, list[str]]:  # noqa: ANN401
    """Creates what the database lacks.

    Args:
        connection: a connection of asyncpg.

    Returns:
        What the server is, for people, and what was created.

    Raises:
        SinkError: a table that is there cannot be used, with the remedy.
    """
    folder = resources.files("tui_feeder.engine.sinks") / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    async with transaction(connection, MIGRATION_SECONDS):
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        found = await inspect(connection)
        found.check()
        if found.missing or {int(file.name[:3]) for file in files} - found.applied:
            await _create(connection, files, found)
        timescale = await connection.fetchval(
            "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
        )
        if timescale is not None:
            await connection.execute(
                "SELECT create_hypertable('candles_1m', 'time', if_not_exists => true, migrate_data => true)",
                timeout=MIGRATION_SECONDS,
            )
        server = await connection.fetchval("SHOW server_version")
    version = f"PostgreSQL {server.split()[0]}" + (f", TimescaleDB {timescale}" if timescale else "")
    return version, found.missing


async def _create(connection: Any, files: list[Any], found: Schema) -> None:  # noqa: ANN401
    """Each migration makes only what is not there, so all of them bring back whatever was dropped."""
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS feeder_migrations "
        "(number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    for file in files:
        await connection.execute(file.read_text(), timeout=MIGRATION_SECONDS)
        await connection.execute(
            "INSERT INTO feeder_migrations VALUES ($1, $2) ON CONFLICT DO NOTHING",
            int(file.name[:3]),
            file.name,
        )
    for name in (await inspect(connection)).missing:
        table, _, column = name.partition(".")
        if column:
            kind = _COLUMNS[table][column][0]
            await connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    for table in (again := await inspect(connection)).keys:
        columns = ", ".join(_KEYS[table])
        await connection.execute(f"CREATE UNIQUE INDEX ON {table} ({columns})", timeout=MIGRATION_SECONDS)
    again.check()
    if "candles_1m" in found.missing:  # what it had is gone: everything is written again
        await connection.execute("DELETE FROM feeder_mirror")
