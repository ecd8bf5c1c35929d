"""``feeder-tui profiles``: its options and help."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Optional

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


class Mode(StrEnum):
    """Which days of profiles are built."""

    MISSING_DAYS_ONLY = "missing_days_only"
    TODAY_ONLY = "today_only"
    REPROCESS_WHOLE_HISTORY = "reprocess_whole_history"


profiles_app = typer.Typer(rich_markup_mode=None, help="Stored volume profiles.", no_args_is_help=True)


@profiles_app.callback()
def profiles() -> None:
    """Stored volume profiles."""


@profiles_app.command()
def rebuild(
    mode: Annotated[
        Optional[Mode],  # noqa: UP045
        typer.Option("--mode", help="Which days (default: volume_profile.reprocessing.mode)."),
    ] = None,
    symbols: StoredSymbolsOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Build the volume profiles of past days again from the stored candles; no engine may run.

    missing_days_only builds days that have none, or one of other candles or settings; today_only the
    newest stored day; reprocess_whole_history every day. All within volume_profile.historical_days.

    For example:

      feeder-tui profiles rebuild

      feeder-tui profiles rebuild --mode today_only --symbols BTCUSDT

    Exit codes: 0 built, 1 there is no store, or an engine has it, 4 built without damaged days, which
    are listed on stderr.
    """
    with reported_failures():
        loaded = load_config(config, config_flags(storage))
        from tui_feeder.commands import profiles_run

        raise typer.Exit(
            profiles_run.rebuild(loaded.config, split_symbols(symbols), mode and mode.value, json)
        )
