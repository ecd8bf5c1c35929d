"""The commands for whoever looks after a feeder, as the command line knows them."""

from __future__ import annotations

from typing import Annotated

import typer

from tui_feeder.commands.line import (
    ConfigOption,
    JsonOption,
    StorageOption,
    SymbolsOption,
    flags,
    load,
    told,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(doctor)


def doctor(
    json: JsonOption = False,
    patience: Annotated[
        float, typer.Option("--patience", help="Seconds a stream may stay silent.", min=1.0, max=300.0)
    ] = 15.0,
    config: ConfigOption = None,
    storage: StorageOption = None,
    symbols: SymbolsOption = None,
) -> None:
    """Try everything a run needs: configuration, disk, names, REST, clock, streams, archive, sinks.

    Asks the exchange for a handful of answers, one day's file and one frame of each kind of stream; changes
    nothing, and may be used while a feeder runs. Each line is ok, warn or fail, with the remedy.

    For example:

      feeder-tui doctor

      feeder-tui doctor --symbols ALL --patience 60 --json

    Exit codes: 0 nothing failed, 4 something did.
    """
    with told():
        from tui_feeder.commands import doctor as command

        raise typer.Exit(command.run(lambda: load(config, flags(storage, symbols, None)), patience, json))
