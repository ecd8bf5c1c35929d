"""The commands about stored candles as the command line knows them; each loads its part when called."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from tui_feeder.commands.line import (
    ColorsOption,
    ConfigOption,
    FromOption,
    GlyphsOption,
    JsonOption,
    LevelOption,
    RateOption,
    SlowOption,
    StorageOption,
    SymbolsOption,
    ThemeOption,
    flags,
    load,
    span_of,
    split,
    told,
)
from tui_feeder.paths import expand_user


class Format(StrEnum):
    """How candles are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class OutboxSink(StrEnum):
    """The sinks that messages wait for."""

    KAFKA = "kafka"
    FILE = "file"


ToOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--to", help="End, exclusive; written like --from.", metavar="TIME"),
]
StoredOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--symbols", help="Stored symbols or patterns, by commas (default: all).", metavar="A,B"),
]


SocketOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--socket", help="Of the feeder (default: the only one that runs).", metavar="PATH"),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (backfill, gaps, verify, export, info, backup, attach, status, serve):
        app.command()(command)
    sinks = typer.Typer(help="Where messages and candles go.", no_args_is_help=True)
    sinks.command("check")(check_sinks)
    sinks.command("discard")(discard_messages)
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

    For example:

      feeder-tui backfill --symbols BTCUSDT,ETHUSDT --from 2025-01-01

      feeder-tui backfill --symbols ALL --storage /data/candles

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

    For example:

      feeder-tui gaps --symbols 'BTC*' --from 2026-01-01

      feeder-tui gaps --json

    Exit codes: 0 told, whether there are any or not; 1 there is no store; 2 a symbol is not stored.
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

    For example:

      feeder-tui verify --offline

      feeder-tui verify --symbols BTCUSDT --from 2026-01-01 --repair

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
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    include_partial: Annotated[
        bool, typer.Option("--include-partial", help="Also bars that lack minutes.")
    ] = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Write candles as CSV, JSON or Parquet.

    The stored candles of one symbol that lie wholly inside --from .. --to. Times are ms since the epoch (in
    Parquet timestamps, UTC), numbers in their shortest exact form. Works while an engine runs.

    For example:

      feeder-tui export --symbol BTCUSDT --from 2026-01-01 > btc.csv

      feeder-tui export --symbol BTCUSDT --format parquet -o btc.parquet

    Exit codes: 0 written, 1 there is no store, or the file cannot be written, 2 the symbol is not stored, or
    the file is there already, 4 written without days that are damaged in the store; stderr names them.
    """
    with told():
        low, high = span_of(start, end)
        loaded = load(config, flags(storage, None, None))
        from tui_feeder.commands import export as command

        file = expand_user(output) if output is not None else None
        asked = command.Asked(symbol, timeframe, low, high, form.value, file, include_partial, force)
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

    The range, the minutes and what is missing of each symbol. Works while an engine runs.

    For example:

      feeder-tui info

      feeder-tui info --sources --json

    Exit codes: 0 told, 1 there is no store, 2 a symbol is not stored, 4 some days are damaged (--sources).
    """
    with told():
        loaded = load(config, flags(storage, None, None))
        from tui_feeder.commands import info as command

        raise typer.Exit(command.run(loaded, split(symbols), sources, json))


def backup(
    target: Annotated[
        Path, typer.Argument(help="Folder to make; it must not be there yet.", metavar="FOLDER")
    ],
    json: JsonOption = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Copy the store, while a feeder may write it.

    The copy is of one moment, without unused space, and private to its user. It gets the name FOLDER once
    every candle of it has been read back. It is a store like any other: --storage FOLDER uses it.

    For example:

      feeder-tui backup /backup/candles-2026-03-10

      feeder-tui backup --storage /data/candles /backup/candles --json

    Exit codes: 0 copied and read back, 1 there is no store, it is damaged, or the copy cannot be written; 2
    FOLDER is there already. Of a damaged store no copy is left, and what is damaged is named.
    """
    with told():
        loaded = load(config, flags(storage, None, None))
        from tui_feeder.commands import backup as command

        raise typer.Exit(command.run(loaded.config.application.storage_path, expand_user(target), json))


def check_sinks(json: JsonOption = False, config: ConfigOption = None) -> None:
    """Try whether Kafka and PostgreSQL can be reached as configured.

    Connects, tells what is there and what a run would create, and changes nothing.

    For example:

      feeder-tui sinks check

      feeder-tui sinks check --config /etc/feeder.toml --json

    Exit codes: 0 every enabled sink works, 4 one does not.
    """
    with told():
        loaded = load(config, flags(None, None, None))
        from tui_feeder.commands import sinks as command

        raise typer.Exit(command.run(loaded, json))


def discard_messages(
    sink: Annotated[OutboxSink, typer.Argument(help="Whose messages.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Drop the messages that wait in the store for a sink, of all its topics.

    What waits for a sink stays when that is disabled; this lets it go, for good. No feeder may run on the
    store meanwhile.

    For example:

      feeder-tui sinks discard kafka

      feeder-tui sinks discard file --yes

    Exit codes: 0 nothing waits any more, 1 it could not be done or was not confirmed, 2 nobody can be asked.
    """
    with told():
        loaded = load(config, flags(storage, None, None))
        from tui_feeder.commands import sinks as command

        raise typer.Exit(command.discard(loaded, sink.value, yes))


def attach(
    socket: SocketOption = None,
    config: ConfigOption = None,
    hz: RateOption = None,
    slow: SlowOption = None,
    theme: ThemeOption = None,
    colors: ColorsOption = None,
    symbol_set: GlyphsOption = None,
) -> None:
    """Show the screens of a feeder that runs already.

    Any number may be attached; leaving (q) or losing the line does not touch the feeder. Of the
    configuration only [ui] counts.

    For example:

      feeder-tui attach

      ssh -t server feeder-tui attach --slow

    Exit codes: 0 left, 1 none answers, or it is of another version, 2 this is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) and "TEXTUAL_DRIVER" not in os.environ:
        typer.echo("feeder-tui: attach needs a terminal; scripts use feeder-tui status --json", err=True)
        raise typer.Exit(2)
    with told():
        look = {"ui.theme": theme, "ui.colors": colors, "ui.symbol_set": symbol_set}
        loaded = load(config, {"ui.refresh_hz": hz, "ui.slow": slow, **look})
        from tui_feeder.commands import attach as command

        raise typer.Exit(command.attach(loaded, socket))


def status(
    socket: SocketOption = None,
    json: JsonOption = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every symbol, gap and part by itself, not only a few.")
    ] = False,
) -> None:
    """Tell how a feeder that runs is, for people or scripts.

    What is wrong first, then its symbols, streams, open gaps and sinks, in 30 lines at most; with --json
    everything the screens know.

    For example:

      feeder-tui status

      feeder-tui status --json | jq .gaps

    Exit codes: 0 live, 3 it runs but is not (yet) live, 1 none answers.
    """
    with told():
        from tui_feeder.commands import attach as command

        raise typer.Exit(command.status(socket, json, everything))


def serve(
    socket: SocketOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; others than loopback are open to all there.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen at.", min=1, max=65535)] = 8000,
    allow_host: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--allow-host",
            help="Name that pages may be asked under, as behind a proxy; repeatable.",
            metavar="NAME",
        ),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Where no feeder runs: show a demo.")] = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
    symbols: SymbolsOption = None,
) -> None:
    """Show the screens in a web browser.

    Each page is attached to the feeder that runs. Where none runs, one is started without a screen, with the
    options given here, and stopped at the end.

    For example:

      feeder-tui serve

      feeder-tui serve --demo --port 8001

    Exit codes: 0 stopped in order, 1 the port or a feeder cannot be had.
    """
    with told():
        own: list[str] = ["--demo"] if demo else []
        for name, value in (("--config", config), ("--storage", storage), ("--symbols", symbols)):
            own += [name, str(value)] if value is not None else []
        from tui_feeder.commands import serve as command

        raise typer.Exit(command.run(socket, host, port, allow_host or (), own))
