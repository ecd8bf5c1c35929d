"""``feeder-tui doctor``: its options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ConfigOption,
    JsonOption,
    StorageOption,
    SymbolsOption,
    config_flags,
    load_config,
    number_parser,
    parse_path,
)


def doctor(
    json: JsonOption = False,
    patience: Annotated[
        float,
        typer.Option(
            "--patience",
            help="Seconds a stream may stay silent, 1 to 300.",
            metavar="SECONDS",
            parser=number_parser(float, 1, 300),
        ),
    ] = 15.0,
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--record",
            help="Keep the answers and messages seen in this folder, up to 32 MiB, to send as evidence; and "
            "ask the exchange what its documents leave open.",
            metavar="FOLDER",
            parser=parse_path,
        ),
    ] = None,
    config: ConfigOption = None,
    storage: StorageOption = None,
    symbols: SymbolsOption = None,
) -> None:
    """Check everything a run needs: configuration, disk, DNS, REST, clock, streams, archive, sinks.

    Sends a few requests to the exchange, downloads one day's file and waits for one frame of each kind of
    stream; changes nothing, and may be used while a feeder runs. Each line is ok, warn or fail, with the
    remedy.

    For example:

      feeder-tui doctor

      feeder-tui doctor --symbols ALL --patience 60 --json

    Exit codes: 0 no check failed, 4 a check failed.
    """
    with reported_failures():
        from tui_feeder.commands import doctor_run
        from tui_feeder.paths import expand_user

        raise typer.Exit(
            doctor_run.run(
                lambda: load_config(config, config_flags(storage, symbols)),
                patience,
                json,
                None if record is None else expand_user(record),
            )
        )
