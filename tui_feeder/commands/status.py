"""``feeder-tui status``: its options and help."""

from __future__ import annotations

from typing import Annotated

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import JsonOption, SocketOption


def status(
    socket: SocketOption = None,
    json: JsonOption = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every symbol, gap and part, not only a few.")
    ] = False,
) -> None:
    """Show the state of a running feeder, for people or scripts.

    Problems first, then its symbols, streams, open gaps and sinks, in 30 lines at most; with --json
    everything the screens show.

    For example:

      feeder-tui status

      feeder-tui status --json | jq .gaps

    Exit codes: 0 live, 3 it runs but is not (yet) live, 1 no feeder answers.
    """
    with reported_failures():
        from tui_feeder.commands import status_run

        raise typer.Exit(status_run.run(socket, json, everything))
