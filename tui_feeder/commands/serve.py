"""``feeder-tui serve``: its options and help."""

from __future__ import annotations

from typing import Annotated, Optional, cast

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ConfigOption,
    SocketOption,
    StorageOption,
    SymbolsOption,
    parse_fixed_port,
)
from tui_feeder.errors import UsageError


def serve(
    socket: SocketOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any but loopback is open to the network.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", help="Port to listen on.", metavar="N", parser=parse_fixed_port)
    ] = 8000,
    allow_host: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--allow-host",
            help="Host name that pages may be requested by, as behind a proxy; repeatable.",
            metavar="NAME",
        ),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Start a demo, where no feeder runs.")] = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
    symbols: SymbolsOption = None,
) -> None:
    """Show the screens in a web browser.

    Each page is a client of the running feeder. Where none runs, one is started without a screen, with
    --demo, --config, --storage and --symbols, and stopped at the end; where one runs, these are refused.

    For example:

      feeder-tui serve

      feeder-tui serve --demo --port 8001

    Exit codes: 0 shut down cleanly, 1 the port cannot be used, or no feeder answers; 2 an
    option is wrong, or is for a feeder that is started and one runs already.
    """
    with reported_failures():
        names = _host_names(allow_host or [])
        own: list[str] = []
        for name, value in (("--config", config), ("--storage", storage), ("--symbols", symbols)):
            own += [name, str(value)] if value is not None else []
        from tui_feeder.commands import serve_run

        raise typer.Exit(serve_run.run(socket, host, port, names, own, demo=demo))


def _host_names(given: list[str]) -> tuple[str, ...]:
    """The values of ``--allow-host``, which are names as in ``service.allowed_hosts``."""
    from tui_feeder.configuration.forms import HostNames
    from tui_feeder.configuration.values import UnfitError, convert

    try:
        return cast("tuple[str, ...]", convert(HostNames, given))
    except UnfitError as fault:
        raise UsageError(
            f"--allow-host {fault.value!r} {fault.message}: write names of hosts without a port, as "
            "feeder or feeder.example, or *.example for all below it"
        ) from None
