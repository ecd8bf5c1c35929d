"""``feeder-tui gaps``: its options and help."""

from __future__ import annotations

from typing import Annotated

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ConfigOption,
    FromOption,
    JsonOption,
    StorageOption,
    StoredSymbolsOption,
    ToOption,
    config_flags,
    load_config,
    parse_range,
    split_symbols,
)


def gaps(
    symbols: StoredSymbolsOption = None,
    start: FromOption = None,
    end: ToOption = None,
    json: JsonOption = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 3 where any are missing, for scripts.")
    ] = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Show which minutes are missing, and why.

    Checks from the configured start, or the first stored minute, to the newest; works while an engine runs.

    For example:

      feeder-tui gaps --symbols 'BTC*' --from 2026-01-01

      feeder-tui gaps --json --check

    Exit codes: 0 shown, whether there are any or not; 1 there is no store; 2 a symbol is not stored; 3 with
    --check, some are missing, or nothing is stored.
    """
    with reported_failures():
        low, high = parse_range(start, end)
        loaded = load_config(config, config_flags(storage))
        from tui_feeder.commands import gaps_run

        raise typer.Exit(gaps_run.run(loaded, split_symbols(symbols), low, high, json, check))
