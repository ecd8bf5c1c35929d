"""The commands about derived numbers as the command line knows them; each loads its part when called."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Optional

import typer

from tui_feeder.commands.line import (
    ConfigOption,
    FromOption,
    JsonOption,
    StorageOption,
    flags,
    load,
    span_of,
    split,
    told,
)
from tui_feeder.commands.registered import StoredOption, ToOption


class Lines(StrEnum):
    """How messages are written."""

    JSONL = "jsonl"


class Mode(StrEnum):
    """Which days of profiles are built."""

    MISSING_DAYS_ONLY = "missing_days_only"
    TODAY_ONLY = "today_only"
    REPROCESS_WHOLE_HISTORY = "reprocess_whole_history"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(replay)
    profiles = typer.Typer(rich_markup_mode=None, help="Stored volume profiles.", no_args_is_help=True)
    profiles.callback()(_profiles)
    profiles.command("rebuild")(rebuild)
    app.add_typer(profiles, name="profiles")


def replay(
    symbols: StoredOption = None,
    start: FromOption = None,
    end: ToOption = None,
    speed: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--speed", help="Exchange seconds in a real second (default: as fast as possible).", min=0.001
        ),
    ] = None,
    output: Annotated[Lines, typer.Option("--output", help="One JSON object a line.")] = Lines.JSONL,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Send stored candles through the same pipeline: their messages on stdout, minute by minute.

    They equal what a live engine with the same settings made of the same candles, all with revision 0.
    Reads only; works while an engine runs.
    """
    with told():
        low, high = span_of(start, end)
        loaded = load(config, flags(storage, None, None))
        from tui_feeder.commands import replay as command

        raise typer.Exit(command.run(loaded.config, split(symbols), low, high, speed))


def _profiles() -> None:
    """Stored volume profiles."""


def rebuild(
    mode: Annotated[
        Optional[Mode],  # noqa: UP045
        typer.Option("--mode", help="Which days (default: volume_profile.reprocessing.mode)."),
    ] = None,
    symbols: StoredOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Build the volume profiles of past days again from the stored candles; no engine may run.

    missing_days_only builds days that have none, or one of other candles or settings; today_only the
    newest stored day; reprocess_whole_history every day. All within volume_profile.historical_days.
    """
    with told():
        loaded = load(config, flags(storage, None, None))
        from tui_feeder.commands import profiles as command

        raise typer.Exit(command.rebuild(loaded.config, split(symbols), mode and mode.value, json))
