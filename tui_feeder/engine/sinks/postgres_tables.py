"""The mirror's way to its database: connections, upserts, and what a database's errors mean for people."""

from __future__ import annotations

import io
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import numpy as np

from tui_feeder.config import Database
from tui_feeder.engine.analytics.aggregate import Bars
from tui_feeder.engine.analytics.orderflow.traded_profile import TradedProfile
from tui_feeder.engine.analytics.profile.day_profile import DayProfile
from tui_feeder.engine.core.candle import MINUTE_MS, timeframe_label
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.sinks.postgres_schema import STATEMENT_SECONDS, inspect, transaction
from tui_feeder.engine.sinks.thread import SinkError

#: Fields of a candle in the order of the staging table, with their form in a binary COPY.
FIELDS = (
    ("open", ">f8"), ("high", ">f8"), ("low", ">f8"), ("close", ">f8"), ("volume", ">f8"), ("trades", ">i8"),
    ("taker_buy_volume", ">f8"), ("quote_volume", ">f8"), ("taker_buy_quote_volume", ">f8"),
)  # fmt: skip
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"
_NULL = -1  # the length of a value that is none
POSTGRES_EPOCH_MS = 946_684_800_000  # where PostgreSQL counts its microseconds from
#: What a database and the way to it can do; an internal error of asyncpg is how the server ends an idle
#: connection, found when that is used again.
FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
#: Of a transaction: behind a pooler the next one may have another session.
_STAGING = """CREATE TEMP TABLE feeder_staging (
    symbol text, time_frame text, minutes smallint, time timestamptz, open double precision,
    high double precision, low double precision, close double precision, volume double precision,
    trade_count bigint, taker_buy_volume double precision, quote_volume double precision,
    taker_buy_quote_volume double precision, contracts bigint) ON COMMIT DROP"""
_VALUES = (
    "open", "high", "low", "close", "volume", "trade_count", "taker_buy_volume", "quote_volume",
    "taker_buy_quote_volume", "minutes", "contracts",
)  # fmt: skip
_UPSERT = (
    f"INSERT INTO candles_1m (time, symbol, time_frame, {', '.join(_VALUES)}) "
    "SELECT time, symbol, time_frame, "
    f"{', '.join(_VALUES)} FROM feeder_staging ON CONFLICT (time, symbol, time_frame) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _VALUES)
)
_PROFILE = (
    "symbol", "date", "total_volume", "vwap", "poc", "value_area_high", "value_area_low", "value_area_volume",
    "value_area_percentage", "price_increment", "min_price", "max_price", "candle_count", "last_updated",
    "low_price", "weights", "made_with", "exact_share", "buy_volume", "sell_volume", "bought",
)  # fmt: skip
_UPSERT_PROFILE = (
    f"INSERT INTO volume_profiles ({', '.join(_PROFILE)}) "
    f"VALUES ({', '.join(f'${n + 1}' for n in range(len(_PROFILE)))}) "
    "ON CONFLICT (symbol, date) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _PROFILE[2:])
)

_SELECT_STATE = """SELECT current_setting('server_version'),
    (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()),
    has_schema_privilege(current_schema(), 'CREATE'),
    (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb')"""


def _settings(database: Database) -> dict[str, Any]:
    return {
        "host": database.host,
        "port": database.port,
        "database": database.database,
        "user": database.username,
        "password": None if database.password is None else database.password.reveal(),
        "ssl": _tls(database),
        "timeout": database.connection_timeout_seconds,
        "command_timeout": STATEMENT_SECONDS + 5,
        # Behind a pooler prepared statements may be another session's, and settings other than this one are
        # refused at the connect: see postgres_schema.transaction.
        "statement_cache_size": 0,
        "server_settings": {"application_name": "feeder-tui"},
    }


def _tls(database: Database) -> str | ssl.SSLContext:
    """As the ``sslmode`` of PostgreSQL's own clients, but verified against the system's authorities too."""
    mode = database.ssl_mode
    if not mode.startswith("verify"):
        return mode
    cafile = None if database.ssl_cafile is None else str(database.ssl_cafile)
    try:
        made = ssl.create_default_context(cafile=cafile)
    except (OSError, ssl.SSLError) as error:
        raise SinkError(f"database.ssl_cafile: {error}") from error
    made.check_hostname = mode == "verify-full"
    return made


async def pool(database: Database) -> Any:  # noqa: ANN401 - asyncpg is imported only where it is enabled
    """Makes a pool of connections that are opened as they are needed.

    Args:
        database: the configuration of the database.

    Returns:
        A pool of asyncpg.

    Raises:
        SinkError: ``ssl_cafile`` cannot be used.
    """
    # With a floor the pool itself would connect again, and log tracebacks while the server is away.
    return await asyncpg.create_pool(**_settings(database), min_size=0, max_size=database.max_connections)


async def check_database(
    database: Database, compare: Callable[[Any, Sequence[str]], Awaitable[list[str]]] | None = None
) -> list[str]:
    """Checks the database. Nothing is changed.

    Args:
        database: where to look.
        compare: compares the tables with a store, in the transaction of a connection, as far as
            nothing is missing for that; its lines are added.

    Returns:
        What there is and what would be created, lines for people.

    Raises:
        SinkError: the database cannot be used, with the reason.
    """
    try:
        connection = await asyncpg.connect(**_settings(database))
        try:
            async with transaction(connection, isolation="repeatable_read", readonly=True):
                begun = time.perf_counter()
                version, tls, may_create, timescale = await connection.fetchrow(_SELECT_STATE)
                took = (time.perf_counter() - begun) * 1000
                schema = await inspect(connection)
                schema.check()
                compared = []
                if compare is not None:
                    compared = await compare(connection, schema.missing)
        finally:
            await connection.close(timeout=2.0)
    except FAULTS as error:
        raise SinkError(describe_error(error, database)) from error
    if schema.missing and not may_create:
        raise SinkError(
            f"{database.username} may not create {', '.join(schema.missing)}: grant CREATE on the schema"
        )
    extension = f", TimescaleDB {timescale}" if timescale else ""
    return [
        f"server: PostgreSQL {version}{extension}, {'TLS' if tls else 'no TLS'}",
        f"round trip: {took:.1f} ms",
        f"tables: would create {', '.join(schema.missing)}" if schema.missing else "tables: all there",
        *compared,
    ]


async def is_empty(connection: Any, table: str) -> bool:  # noqa: ANN401
    """Checks whether a table has no row; call it in a transaction.

    Args:
        connection: a connection of asyncpg.
        table: one of the mirror's tables.

    Returns:
        True if it is empty.
    """
    return not await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})")


async def files_of(connection: Any) -> dict[str, int]:  # noqa: ANN401
    """Reads the file numbers of the tables, which change with a TRUNCATE. Waits for no lock of a table.

    Args:
        connection: a connection of asyncpg.

    Returns:
        Number by table.
    """
    found = await connection.fetch(
        "SELECT relname::text, relfilenode::bigint FROM pg_class "
        "WHERE oid IN (to_regclass('candles_1m'), to_regclass('volume_profiles'))"
    )
    return {table: file for table, file in found}


async def mirrored(connection: Any) -> dict[tuple[str, int], Coverage]:  # noqa: ANN401
    """Reads which minutes' candles the tables have; call it in a transaction.

    Args:
        connection: a connection of asyncpg.

    Returns:
        Minutes by symbol and timeframe (seconds).
    """
    found = {}
    for symbol, label, minutes in await connection.fetch(
        "SELECT symbol, time_frame, minutes FROM feeder_mirror"
    ):
        minutes = minutes or []  # a column that was dropped and made again
        pairs = zip(minutes[::2], minutes[1::2], strict=True)
        found[symbol, seconds_of(label)] = Coverage(pairs)
    return found


async def set_mirrored(connection: Any, minutes: Mapping[tuple[str, int], Coverage]) -> None:  # noqa: ANN401
    """Stores which minutes are mirrored; call it in a transaction.

    Args:
        connection: a connection of asyncpg.
        minutes: minutes by symbol and timeframe (seconds).
    """
    await connection.executemany(
        "INSERT INTO feeder_mirror VALUES ($1, $2, $3) "
        "ON CONFLICT (symbol, time_frame) DO UPDATE SET minutes = excluded.minutes",
        [
            (symbol, timeframe_label(timeframe), [at for pair in covered.intervals for at in pair])
            for (symbol, timeframe), covered in minutes.items()
        ],
    )


def contracts_of(bars: Bars, contract_size: float) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Counts the contracts traded.

    Args:
        bars: the candles.
        contract_size: what one is worth, in the quote asset.

    Returns:
        A number a candle.
    """
    return np.rint(bars.rows["quote_volume"] / contract_size).astype(np.int64)


def copied(symbol: str, bars: Bars, contract_size: float | None = None) -> bytes:
    """Encodes candles as rows of a binary COPY, all columns at once.

    Args:
        symbol: their symbol.
        bars: the candles.
        contract_size: what a contract is worth, in the quote asset; None where none are counted.

    Returns:
        The rows without head and end of the COPY.
    """
    texts = [text.encode() for text in (symbol, timeframe_label(bars.timeframe))]
    columns = [*((f"S{len(text)}", text, len(text)) for text in texts), (">i2", bars.minutes, 2)]
    columns.append((">i8", (bars.rows["open_time"] - POSTGRES_EPOCH_MS) * 1000, 8))
    columns += [(form, bars.rows[name], 8) for name, form in FIELDS]
    if contract_size is not None:
        columns.append((">i8", contracts_of(bars, contract_size), 8))
    layout: list[tuple[str, str]] = [("columns", ">i2")]
    for n, (form, _, _) in enumerate(columns):
        layout += [(f"length{n}", ">i4"), (f"value{n}", form)]
    if contract_size is None:
        layout.append(("no contracts", ">i4"))
    made = np.empty(len(bars.rows), dtype=layout)
    made["columns"] = len(columns) + (contract_size is None)
    if contract_size is None:
        made["no contracts"] = _NULL
    for n, (_, values, length) in enumerate(columns):
        made[f"length{n}"] = length
        made[f"value{n}"] = values
    return made.tobytes()


async def upsert(connection: Any, rows: Iterable[bytes]) -> None:  # noqa: ANN401
    """Writes candles, replacing those that are there; call it in a transaction.

    Args:
        connection: a connection of asyncpg.
        rows: what :func:`copied` returned.
    """
    await connection.execute(_STAGING)
    data = io.BytesIO(b"".join((_COPY_HEAD, *rows, _COPY_END)))
    await connection.copy_to_table("feeder_staging", source=data, format="binary")
    await connection.execute(_UPSERT)


async def upsert_profile(connection: Any, row: Sequence[object]) -> None:  # noqa: ANN401
    """Writes a profile, replacing the one that is there; call it in a transaction.

    Args:
        connection: a connection of asyncpg.
        row: what :func:`profile_row` returned.
    """
    await connection.execute(_UPSERT_PROFILE, *row)


def profile_row(symbol: str, made: DayProfile, made_with: int) -> tuple[object, ...]:
    """Makes the row of a profile.

    Args:
        symbol: its symbol.
        made: the profile.
        made_with: checksum of its settings.

    Returns:
        Values in the order of the columns.
    """
    return (
        symbol, _instant(made.day).date(), made.total_volume, made.vwap, made.poc, made.vah, made.val,
        made.value_area_volume, made.value_area_percent, made.increment, made.min_price, made.max_price,
        made.candles, _instant(made.last_minute + MINUTE_MS - 1), float(made.prices[0]),
        made.weights.tolist(), made_with, made.exact_share, made.buy_volume, made.sell_volume,
        made.bought.tolist() if isinstance(made, TradedProfile) and made.bought is not None else None,
    )  # fmt: skip


async def profile_rows(connection: Any, day: int, symbols: Sequence[str]) -> dict[str, tuple[object, ...]]:  # noqa: ANN401
    """Reads the profiles of a day; call it in a transaction.

    Args:
        connection: a connection of asyncpg.
        day: midnight, ms.
        symbols: the symbols.

    Returns:
        Rows as of :func:`profile_row`, by symbol.
    """
    found = await connection.fetch(
        f"SELECT {', '.join(_PROFILE)} FROM volume_profiles WHERE date = $1 AND symbol = ANY($2)",
        _instant(day).date(),
        list(symbols),
    )
    return {row[0]: tuple(row) for row in found}


def provenance_of(row: Sequence[Any]) -> tuple[int, int | None]:
    """Gives what a profile's row was computed from.

    Args:
        row: what :func:`profile_row` returned.

    Returns:
        Number of candles, and the checksum of its settings.
    """
    return row[_PROFILE.index("candle_count")], row[_PROFILE.index("made_with")]


async def profiles(connection: Any, day: int | None = None) -> dict[tuple[str, int], tuple[int, int | None]]:  # noqa: ANN401
    """Reads what each profile was computed from; call it in a transaction.

    Args:
        connection: a connection of asyncpg.
        day: midnight, ms; None for all days.

    Returns:
        Number of candles and checksum of the settings, by symbol and day (ms).
    """
    found = await connection.fetch(
        "SELECT symbol, (extract(epoch FROM date) * 1000)::bigint, candle_count, made_with "
        "FROM volume_profiles WHERE $1::date IS NULL OR date = $1",
        None if day is None else _instant(day).date(),
    )
    return {(symbol, day): (count, made_with) for symbol, day, count, made_with in found}


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def seconds_of(label: str) -> int:
    """Parses a timeframe's label such as ``5m``.

    Args:
        label: the label.

    Returns:
        Seconds; 0 for another text.
    """
    match = re.fullmatch(r"(\d+)([mhd])", label)
    return int(match[1]) * {"m": 60, "h": 3600, "d": 86_400}[match[2]] if match else 0


def describe_error(error: BaseException, database: Database) -> str:
    """Describes an error of the database for people, without a password.

    Args:
        error: the exception.
        database: the configuration of the database.

    Returns:
        A sentence with the remedy where there is one.
    """
    where = f"{database.host}:{database.port}"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "verify_message", "") or error.reason or error
        return f"{where}: TLS failed ({reason}): check database.host, ssl_mode and ssl_cafile"
    if isinstance(error, ConnectionError) and "SSL upgrade" in str(error):
        return f"{where} speaks no TLS: database.ssl_mode is {database.ssl_mode}"
    if "pg_hba.conf" in str(error):
        return f"{where}: {error}: allow it there, or change database.ssl_mode"
    refused = (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)
    if isinstance(error, refused) or "SASL authentication failed" in str(error):  # the text of a pooler
        return f"{where} refuses database.username {database.username} with this password"
    if isinstance(error, asyncpg.InvalidCatalogNameError) or "no such database" in str(error):
        return f"{where} has no database {database.database}: create it"
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return f"{where}: {error}: grant it to {database.username}"
    if "statement pooling mode" in str(error):
        return f"{where}: the pooler gives a session to each statement: set pool_mode = transaction there"
    if "unsupported startup parameter" in str(error):
        name = str(error).rpartition(":")[2].strip()
        return f"{where}: the pooler refuses {name}: set ignore_startup_parameters = {name} there"
    if isinstance(error, asyncpg.QueryCanceledError):
        return f"{where}: a statement took too long or was cancelled there ({error})"
    if isinstance(error, asyncpg.CannotConnectNowError):
        return f"{where} is starting up or shutting down"
    if isinstance(error, ConnectionRefusedError):
        return f"{where}: connection refused: start the server, or correct database.host and database.port"
    lost = (asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.ConnectionDoesNotExistError)
    if isinstance(error, (*lost, ConnectionResetError)):
        return f"{where}: the connection was lost"
    if isinstance(error, TimeoutError):
        return f"{where} does not answer in time"
    return f"{where}: {error or type(error).__name__}"
