"""``feeder-tui info``: its options and help."""

from __future__ import annotations

from typing import Annotated

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ConfigOption,
    JsonOption,
    StorageOption,
    StoredSymbolsOption,
    config_flags,
    load_config,
    split_symbols,
)


def info(
    symbols: StoredSymbolsOption = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="Also the source of the minutes; reads every block.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Show what is stored, and how much.

    The range, the minutes and what is missing of each symbol. Works while an engine runs.

    For example:

      feeder-tui info

      feeder-tui info --sources --json

    Exit codes: 0 shown, 1 there is no store, 2 a symbol is not stored, 4 some days are damaged (--sources).
    """
    with reported_failures():
        loaded = load_config(config, config_flags(storage))
        from tui_feeder.commands import info_run

        raise typer.Exit(info_run.run(loaded, split_symbols(symbols), sources, json))
