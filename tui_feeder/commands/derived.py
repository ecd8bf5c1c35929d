"""The commands about derived numbers as the command line knows them; each loads its part when called."""

from __future__ import annotations

import sys
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
            "--speed",
            help="Exchange seconds in a real second (default: as fast as possible; with --ui 60).",
            min=0.001,
            max=86_400,
        ),
    ] = None,
    output: Annotated[Lines, typer.Option("--output", help="One JSON object a line.")] = Lines.JSONL,
    ui: Annotated[
        bool, typer.Option("--ui", help="Show them on the screens, with keys to stop, go on and jump.")
    ] = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Send stored candles through the same pipeline: their messages on stdout, minute by minute.

    They equal what a live engine with the same settings made of the same candles, all with revision 0.
    Reads only; works while an engine runs.

    With --ui the screens show them instead: space stands still and goes on, comma and full stop jump an
    hour, < and > a day, ( and ) change the speed, q leaves. Without --from it begins a day before the end.

    For example:

      feeder-tui replay --symbols BTCUSDT --from 2026-02-21 > day.jsonl

      feeder-tui replay --ui --from 2026-02-21T12:00:00Z --speed 300

    Exit codes: 0 done, 1 there is no store, 2 nothing of it is stored, 4 done without days that are damaged,
    which stderr names.
    """
    if ui and not (sys.stdin.isatty() and sys.stdout.isatty()):
        typer.echo("feeder-tui: --ui needs a terminal; without it the messages go to stdout", err=True)
        raise typer.Exit(2)
    with told():
        low, high = span_of(start, end)
        loaded = load(config, flags(storage, None, None))
        if ui:
            from tui_feeder.commands import replay_ui

            raise typer.Exit(replay_ui.run(loaded, split(symbols), low, high, speed))
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

    For example:

      feeder-tui profiles rebuild

      feeder-tui profiles rebuild --mode today_only --symbols BTCUSDT

    Exit codes: 0 built, 1 there is no store, or an engine has it, 4 built without days that are
    damaged, which stderr names.
    """
    with told():
        loaded = load(config, flags(storage, None, None))
        from tui_feeder.commands import profiles as command

        raise typer.Exit(command.rebuild(loaded.config, split(symbols), mode and mode.value, json))
