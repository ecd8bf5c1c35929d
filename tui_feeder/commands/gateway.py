"""``feeder-tui gateway``: its options and help."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import ConfigOption, LogLevelOption, SocketOption, load_config, parse_port


def gateway(
    socket: SocketOption = None,
    host: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--host", help="Address to listen on (default 127.0.0.1)."),
    ] = None,
    port: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--port",
            help="Port to listen on (default 8090); 0 for any free one.",
            metavar="N",
            parser=parse_port,
        ),
    ] = None,
    config: ConfigOption = None,
    log_level: LogLevelOption = None,
) -> None:
    """Serve the store of a running feeder as an exchange, for any Binance client.

    A process of its own: it reads the store and asks the feeder at its socket for the rest. With
    [gateway] enabled = true the feeder starts one by itself. Of the configuration [gateway] and the log are
    used.

    For example:

      feeder-tui gateway

      feeder-tui gateway --port 9000 --socket /run/feeder/feeder.sock

    Exit codes: 0 shut down cleanly, 1 no feeder answers, or the port cannot be had.
    """
    with reported_failures():
        level = None if log_level is None else log_level.value
        loaded = load_config(config, {"gateway.host": host, "gateway.port": port, "service.log_level": level})
        from tui_feeder.commands import gateway_run

        gateway_run.run(loaded, socket)
