"""``[service]``: the process: log, shutdown, HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Struct

from tui_feeder.configuration.forms import HostNames, Line, LogLevels, Seconds
from tui_feeder.configuration.values import Key


class Service(Struct, frozen=True):
    """The process: its log, its stop, what it serves."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Key("minimum log level", flag="--log-level", reload=True),
    ] = "info"
    log_levels: Annotated[
        LogLevels,
        Key('minimum levels of single modules: ["tui_feeder.engine.exchanges=debug"]', reload=True),
    ] = ()
    log_format: Annotated[Literal["human", "json"], Key("lines for people, or one JSON object a line")] = (
        "human"
    )
    log_file: Annotated[
        Path | None,
        Key("instead of stderr; with a screen instead of the user's own log", example='"feeder.log"'),
    ] = None
    log_rotate_mb: Annotated[int, Key("size at which the log is rotated", 1, 1_000_000)] = 5
    log_keep: Annotated[int, Key("rotated log files to keep", 1, 100)] = 3
    shutdown_timeout_seconds: Annotated[Seconds, Key("how long a shutdown may take to drain and commit")] = (
        10.0
    )
    socket: Annotated[Line, Key('for feeder-tui attach and status: "auto", "off" or a path')] = "auto"
    http_host: Annotated[Line, Key("address on which health_server_port is served")] = "127.0.0.1"
    allowed_hosts: Annotated[
        HostNames, Key('host names to accept requests for: ["feeder", "*.cluster.local"]')
    ] = ()
    ready_sink_lag_seconds: Annotated[Seconds, Key("/ready fails when a sink is further behind")] = 120.0
    ready_free_mb: Annotated[int, Key("/ready fails when the store's disk has less room", 1, 1_000_000)] = 200
