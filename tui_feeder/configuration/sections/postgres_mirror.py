"""``[database]``: the PostgreSQL mirror."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Struct

from tui_feeder.configuration.forms import Line, Seconds
from tui_feeder.configuration.values import Key
from tui_feeder.safe_text import Secret


class Database(Struct, frozen=True):
    """The PostgreSQL mirror of candles and profiles."""

    enabled: Annotated[bool, Key("mirror candles and profiles to PostgreSQL")] = False
    host: Annotated[Line, Key("server's name, address, or directory of its socket")] = "localhost"
    port: Annotated[int, Key("server's port", 1, 65_535)] = 5432
    database: Annotated[Line, Key("database's name; the tables are made in it")] = "crypto_data"
    username: Annotated[Line, Key("role to log in as")] = "postgres"
    password: Annotated[
        Secret | None,
        Key("password of the role; better in FEEDER_DATABASE__PASSWORD or the next key", example='"..."'),
    ] = None
    password_file: Annotated[
        Path | None, Key("file that holds nothing but the password", example='"/run/secrets/postgres"')
    ] = None
    ssl_mode: Annotated[
        Literal["disable", "prefer", "require", "verify-ca", "verify-full"],
        Key("encryption, as in libpq's sslmode"),
    ] = "prefer"
    ssl_cafile: Annotated[
        Path | None,
        Key(
            "authority that signed the server's certificate; unset: the system's",
            example='"/etc/ssl/postgres-ca.pem"',
            needs=("ssl_mode", ("verify-full", "verify-ca")),
        ),
    ] = None
    max_connections: Annotated[int, Key("limit; more than one is opened only to catch up", 1, 100)] = 10
    connection_timeout_seconds: Annotated[Seconds, Key("how long one connection may take to open")] = 30.0
    batch_size: Annotated[int, Key("candles written at once", 1, 1_000_000, unit="candles")] = 1_000
    batch_timeout_seconds: Annotated[Seconds, Key("longest wait for a batch to fill")] = 5.0
