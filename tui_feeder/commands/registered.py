"""The commands about stored candles as the command line knows them; each loads its part when called."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from tui_feeder.commands.line import (
    ConfigOption,
    FromOption,
    JsonOption,
    LevelOption,
    StorageOption,
    SymbolsOption,
    flags,
    load,
    span_of,
    split,
    told,
)


class Format(StrEnum):
    """How candles are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


ToOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--to", help="End, exclusive; written like --from.", metavar="TIME"),
]
StoredOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--symbols", help="Stored symbols or patterns, by commas (default: all).", metavar="A,B"),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (backfill, gaps, verify, export, info):
        app.command()(command)
    sinks = typer.Typer(help="Where messages and candles go.", no_args_is_help=True)
    sinks.command("check")(check_sinks)
    app.add_typer(sinks, name="sinks")


def backfill(
    symbols: SymbolsOption = None,
    start: FromOption = None,
    end: ToOption = None,
    config: ConfigOption = None,
    storage: StorageOption = None,
    log_level: LevelOption = None,
) -> None:
    """Read history into the store, then exit.

    Reads what is not stored and certified yet: monthly and daily archives, then REST. Without --from the
    configured history, without --to up to now. Stopped or killed, the same command goes on where it was.

    Exit codes: 0 all minutes are stored, 3 some could not be had (listed with the reason), 130 interrupted.
    """
    with told():
        low, high = span_of(start, end)
        loaded = load(config, flags(storage, symbols, log_level))
        from tui_feeder.commands import backfill as command

        raise typer.Exit(command.run(loaded, low, high))


def gaps(
    symbols: StoredOption = None,
    start: FromOption = None,
    end: ToOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Show which minutes are missing, and why.

    Looks from the wanted start, or the first stored minute, to the newest; works while an engine runs.
    """
    with told():
        low, high = span_of(start, end)
        loaded = load(config, flags(storage, None, None))
        from tui_feeder.commands import gaps as command

        raise typer.Exit(command.run(loaded, split(symbols), low, high, json))


def verify(
    symbols: StoredOption = None,
    start: FromOption = None,
    end: ToOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Check only what is stored; ask no one.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Replace rows a better source contradicts; no engine may run.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Check what is stored, and compare it.

    Every block decodes and every row keeps the rules of candles; the archives are hashed again and
    compared with the stored rows, and so is REST.

    Exit codes: 0 nothing is wrong, or all of it was repaired; 4 something is wrong or differs; 3 nothing
    is wrong, but a source could not be asked.
    """
    with told():
        low, high = span_of(start, end)
        loaded = load(config, flags(storage, None, None))
        from tui_feeder.commands import verify as command

        asked = command.Asked(split(symbols), low, high, offline=offline, repair=repair, json=json)
        raise typer.Exit(command.run(loaded, asked))


def export(
    symbol: Annotated[str, typer.Option("--symbol", "--symbols", help="The symbol.", metavar="NAME")],
    timeframe: Annotated[
        str, typer.Option("--timeframe", help="1m, 5m, 15m, 1h, 4h, 1d: what divides a day.", metavar="TF")
    ] = "1m",
    start: FromOption = None,
    end: ToOption = None,
    form: Annotated[
        Format, typer.Option("--format", help="parquet needs: pip install 'feeder-tui[parquet]'.")
    ] = Format.CSV,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--output", "-o", help="File, written whole or not at all (default: stdout).", metavar="FILE"
        ),
    ] = None,
    include_partial: Annotated[
        bool, typer.Option("--include-partial", help="Also bars that lack minutes.")
    ] = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Write candles as CSV, JSON or Parquet.

    The stored candles of one symbol that lie wholly inside --from .. --to. Times are ms since the epoch,
    numbers in their shortest exact form. Works while an engine runs.
    """
    with told():
        low, high = span_of(start, end)
        loaded = load(config, flags(storage, None, None))
        from tui_feeder.commands import export as command

        asked = command.Asked(symbol, timeframe, low, high, form.value, output, include_partial)
        raise typer.Exit(command.run(loaded.config.application.storage_path, asked))


def info(
    symbols: StoredOption = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="Also where the minutes came from; reads every block.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Show what is stored, and how much.

    Works while an engine runs.
    """
    with told():
        loaded = load(config, flags(storage, None, None))
        from tui_feeder.commands import info as command

        raise typer.Exit(command.run(loaded, split(symbols), sources, json))


def check_sinks(json: JsonOption = False, config: ConfigOption = None) -> None:
    """Try whether Kafka and PostgreSQL can be reached as configured.

    Connects, tells what is there and what a run would create, and changes nothing.

    Exit codes: 0 every enabled sink works, 4 one does not.
    """
    with told():
        loaded = load(config, flags(None, None, None))
        from tui_feeder.commands import sinks as command

        raise typer.Exit(command.run(loaded, json))
