"""``feeder-tui backup``: its options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ConfigOption,
    JsonOption,
    StorageOption,
    config_flags,
    load_config,
    parse_path,
)
from tui_feeder.paths import expand_user


def backup(
    target: Annotated[
        Path,
        typer.Argument(help="Folder to create; it must not exist.", metavar="FOLDER", parser=parse_path),
    ],
    json: JsonOption = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Copy the store, while a feeder may write it.

    The copy is consistent, without unused space, and readable by its user alone. It gets the name FOLDER
    once every candle of it has been read back. It is a store like any other: use it with --storage FOLDER.

    For example:

      feeder-tui backup /backup/candles-2026-03-10

      feeder-tui backup --storage /data/candles /backup/candles --json

    Exit codes: 0 copied and read back, 1 there is no store, it is damaged, or the copy cannot be written; 2
    FOLDER exists already. No copy of a damaged store is left; the damage is listed.
    """
    with reported_failures():
        loaded = load_config(config, config_flags(storage))
        from tui_feeder.commands import backup_run

        raise typer.Exit(backup_run.run(loaded.config.application.storage_path, expand_user(target), json))
