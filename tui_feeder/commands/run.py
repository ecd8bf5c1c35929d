"""``feeder-tui`` without a command: its options and help, and the start of a run or a demo."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from tui_feeder.commands import failures
from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ColorsOption,
    ConfigOption,
    DebugOption,
    LogLevelOption,
    RefreshRateOption,
    SlowOption,
    StorageOption,
    SymbolSetOption,
    SymbolsOption,
    ThemeOption,
    TimeZoneOption,
    config_flags,
    load_config,
    number_parser,
    parse_path,
)
from tui_feeder.errors import UsageError
from tui_feeder.version import __version__

if TYPE_CHECKING:  # heavy, and needed for a type alone
    from tui_feeder.runner import Options


class Output(StrEnum):
    """Where messages go besides the sinks of the configuration."""

    JSONL = "jsonl"


class AfterScreen(StrEnum):
    """What becomes of the feeder when its screen is gone."""

    STOP = "stop"
    CONTINUE = "continue"


def _refuse_options_before(context: typer.Context, command: str) -> None:
    """Options of a run that stand before a command would have no effect; ``--debug`` has one."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE" and parameter.name != "debug":
            name = max(parameter.opts, key=len)
            raise UsageError(
                f"{name} before the command {command} has no effect: write it behind the command if that "
                f"takes it; feeder-tui {command} --help names what it takes"
            )


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"feeder-tui {__version__}")
        raise typer.Exit


def run(
    context: typer.Context,
    config: ConfigOption = None,
    storage: StorageOption = None,
    symbols: SymbolsOption = None,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="No screen: the log on stderr.")] = False,
    output: Annotated[
        Optional[Output],  # noqa: UP045
        typer.Option(
            "--output", help="Write every message to stdout, one JSON object a line (implies --no-ui)."
        ),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo",
            help="Run on the embedded exchange; touches no network, nor [kafka], [database] and [file].",
        ),
    ] = False,
    demo_data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--demo-data",
            help="Real candles for the demo: a folder of monthly zips.",
            metavar="DIR",
            parser=parse_path,
        ),
    ] = None,
    demo_speed: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--demo-speed",
            help="Exchange seconds in a real second, 0.1 to 3600 (default 10).",
            metavar="X",
            parser=number_parser(float, 0.1, 3600),
        ),
    ] = None,
    run_for: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--run-for",
            help="Shut down cleanly after so many seconds.",
            metavar="SECONDS",
            parser=number_parser(float, 0, 1_000_000_000),
        ),
    ] = None,
    hz: RefreshRateOption = None,
    slow: SlowOption = None,
    theme: ThemeOption = None,
    colors: ColorsOption = None,
    symbol_set: SymbolSetOption = None,
    timezone: TimeZoneOption = None,
    on_ui_crash: Annotated[
        AfterScreen,
        typer.Option(
            "--on-ui-crash", help="When the screen fails: stop the feeder, or continue without a screen."
        ),
    ] = AfterScreen.STOP,
    on_hangup: Annotated[
        AfterScreen,
        typer.Option(
            "--on-hangup", help="When the terminal is gone: stop the feeder, or continue without a screen."
        ),
    ] = AfterScreen.STOP,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Binance USD-M futures candles: complete, correct and live, on this terminal.

    Without a command: download the history, stream the market and show it. Keys: ? for help, q to quit.

    Try it without any set-up:  feeder-tui --demo

    For example:

      feeder-tui --symbols BTCUSDT,ETHUSDT --storage candles

      feeder-tui --symbols ALL --no-ui

      feeder-tui --demo --output jsonl --run-for 60

    Exit codes: 0 done, or shut down cleanly; 1 could not run, or not continue; 2 wrong
    configuration or command line; 3 something is missing; 4 something is wrong with what was checked; 130
    interrupted; 141 the reader of standard output closed it.
    """
    failures.debugging = debug
    if context.invoked_subcommand is not None:
        with reported_failures():
            _refuse_options_before(context, context.invoked_subcommand)
        return
    from tui_feeder import runner

    with reported_failures():
        if (demo_data is not None or demo_speed is not None) and not demo:
            raise UsageError("--demo-data and --demo-speed need --demo")
        headless = no_ui or output is not None
        if not headless and not (sys.stdin.isatty() and sys.stdout.isatty()):
            headless = True
            typer.echo("feeder-tui: this is not a terminal: running without the screen (--no-ui)", err=True)
        if theme is not None and headless:  # a screen refuses it by itself
            _require_theme(theme)
        look = {"ui.theme": theme, "ui.colors": colors, "ui.symbol_set": symbol_set,
                "ui.timezone": timezone}  # fmt: skip
        flags = config_flags(storage, symbols, log_level) | {"ui.refresh_hz": hz, "ui.slow": slow, **look}
        reload = (lambda: load_config(config, flags, quiet=True)) if not demo else None
        options = runner.Options(
            headless=headless,
            jsonl=output is not None,
            run_for=run_for,
            reload=reload,
            on_ui_crash=on_ui_crash.value,
            on_hangup=on_hangup.value,
            debug=debug,
        )
        if not demo:
            raise typer.Exit(runner.run(load_config(config, flags), options))
        raise typer.Exit(_run_demo(config, flags, options, demo_data, demo_speed))


def _require_theme(theme: str) -> None:
    """Refuse a theme that does not exist."""
    from tui_feeder.paths import config_folder
    from tui_feeder.widgets.color_themes.themes import Themes

    folder = config_folder()
    try:
        Themes(folder / "themes" if folder is not None else None).load(theme)
    except ValueError as error:
        raise UsageError(f"--theme: {error}") from None


def _run_demo(
    config: Path | None,
    flags: dict[str, Any],
    options: Options,
    data: Path | None,
    speed: float | None,
) -> int:
    from tui_feeder import demo as demos
    from tui_feeder import runner
    from tui_feeder.paths import expand_user

    # A configuration of a real feed must not be picked up by chance: only one that is named.
    loaded = load_config(config, flags, search=False)
    stated = loaded.origins["application.symbols"] != "default"
    symbols = list(loaded.config.application.symbols) if stated else None
    storage = loaded.config.application.storage_path if flags["application.storage_path"] else None
    data = expand_user(data) if data is not None else None
    with contextlib.closing(demos.Demo(data, symbols, speed or demos.DEFAULT_SPEED, storage)) as demo:
        for note in demo.notes:
            typer.echo(f"demo: {note}", err=True)
        unused = demos.left_out(loaded.config)
        notes = () if unused is None else (f"demo: {unused}",)
        options = replace(options, forgets=storage is None, notes=notes)
        return runner.run(load_config(config, flags | demo.flags(), search=False), options, demo.faults)
