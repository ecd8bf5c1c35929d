"""``feeder-tui replay``: its options and help."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Optional

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ConfigOption,
    FromOption,
    StorageOption,
    StoredSymbolsOption,
    ToOption,
    config_flags,
    load_config,
    number_parser,
    parse_range,
    split_symbols,
)
from tui_feeder.errors import ExitCode


class Lines(StrEnum):
    """How messages are written."""

    JSONL = "jsonl"


def replay(
    symbols: StoredSymbolsOption = None,
    start: FromOption = None,
    end: ToOption = None,
    speed: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--speed",
            help="Exchange seconds in a real second, to 86400 (default: as fast as possible; with --ui 60).",
            metavar="X",
            parser=number_parser(float, 0.001, 86_400),
        ),
    ] = None,
    output: Annotated[Lines, typer.Option("--output", help="One JSON object a line.")] = Lines.JSONL,
    ui: Annotated[
        bool, typer.Option("--ui", help="Show them on the screens, with keys to pause, resume and seek.")
    ] = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Send stored candles through the same pipeline: their messages on stdout, minute by minute.

    They equal those of a live engine with the same settings and candles, all with revision 0.
    Reads only; works while an engine runs.

    With --ui the screens show them instead: space pauses and resumes, comma and full stop seek by an hour,
    < and > by a day, ( and ) change the speed, q quits. Without --from it begins a day before the end.

    For example:

      feeder-tui replay --symbols BTCUSDT --from 2026-02-21 > day.jsonl

      feeder-tui replay --ui --from 2026-02-21T12:00:00Z --speed 300

    Exit codes: 0 done, 1 there is no store, 2 nothing of it is stored, 4 done without damaged days, which are
    listed on stderr.
    """
    if ui and not (sys.stdin.isatty() and sys.stdout.isatty()):
        typer.echo("feeder-tui: --ui needs a terminal; without it the messages go to stdout", err=True)
        raise typer.Exit(ExitCode.BAD_INPUT)
    with reported_failures():
        low, high = parse_range(start, end)
        loaded = load_config(config, config_flags(storage))
        if ui:
            from tui_feeder.commands import replay_screens

            raise typer.Exit(replay_screens.run(loaded, split_symbols(symbols), low, high, speed))
        from tui_feeder.commands import replay_run

        raise typer.Exit(replay_run.run(loaded.config, split_symbols(symbols), low, high, speed))
