"""The command line. Everything heavy is imported inside the commands: ``--help`` must be instant."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from tui_feeder import __version__, standard_streams
from tui_feeder.commands import derived, operated, registered
from tui_feeder.commands.line import (
    ColorsOption,
    ConfigOption,
    DebugOption,
    GlyphsOption,
    LevelOption,
    RateOption,
    Refusal,
    SlowOption,
    State,
    StorageOption,
    SymbolsOption,
    ThemeOption,
    load,
    split,
    tell,
    told,
)
from tui_feeder.commands.line import flags as flags_of

if TYPE_CHECKING:
    from tui_feeder.runner import Options

app = typer.Typer(
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(
    rich_markup_mode=None, help="Check, show or write the configuration.", no_args_is_help=True
)
app.add_typer(config_app, name="config")
registered.register(app)
operated.register(app)
derived.register(app)


class Output(StrEnum):
    """Where messages go besides the sinks of the configuration."""

    JSONL = "jsonl"


class Manner(StrEnum):
    """What becomes of the feeder when its screen is gone."""

    STOP = "stop"
    CONTINUE = "continue"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"feeder-tui {__version__}")
        raise typer.Exit


class Drawn(StrEnum):
    """How faults of the embedded exchange come about by themselves."""

    RANDOM = "random"


@app.callback(invoke_without_command=True)
def main_command(
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
        bool, typer.Option("--demo", help="Run on the embedded exchange; touches no network.")
    ] = False,
    demo_data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--demo-data", help="Real candles for the demo: a folder of monthly zips.", metavar="DIR"
        ),
    ] = None,
    demo_speed: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--demo-speed", help="Exchange seconds in a real second (default 10).", min=0.1, max=3600
        ),
    ] = None,
    run_for: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--run-for", help="Stop in order after so many seconds.", metavar="SECONDS", min=0.0),
    ] = None,
    hz: RateOption = None,
    slow: SlowOption = None,
    theme: ThemeOption = None,
    colors: ColorsOption = None,
    symbol_set: GlyphsOption = None,
    on_ui_crash: Annotated[
        Manner,
        typer.Option("--on-ui-crash", help="When the screen fails: stop in order, or run on without it."),
    ] = Manner.STOP,
    on_hangup: Annotated[
        Manner, typer.Option("--on-hangup", help="When the terminal is gone: stop in order, or run on.")
    ] = Manner.STOP,
    log_level: LevelOption = None,
    debug: DebugOption = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Binance USD-M futures candles: complete, right and live, on this terminal.

    Without a command: fetch the history, follow the market, show it. Keys: ? for help, q to quit.

    Try it without any set-up:  feeder-tui --demo

    For example:

      feeder-tui --symbols BTCUSDT,ETHUSDT --storage candles

      feeder-tui --symbols ALL --no-ui

      feeder-tui --demo --output jsonl --run-for 60

    Exit codes: 0 stopped in order, 1 it cannot run or go on, 2 wrong configuration or command line, 130
    interrupted.
    """
    State.debug = debug
    if context.invoked_subcommand is not None:
        return
    from tui_feeder import runner

    with told():
        if (demo_data is not None or demo_speed is not None) and not demo:
            raise Refusal("--demo-data and --demo-speed go with --demo")
        headless = no_ui or output is not None
        if not headless and not (sys.stdin.isatty() and sys.stdout.isatty()):
            headless = True
            typer.echo("feeder-tui: this is no terminal, so it runs without the screen (--no-ui)", err=True)
        if theme is not None and headless:  # a screen refuses it by itself
            _known(theme)
        look = {"ui.theme": theme, "ui.colors": colors, "ui.symbol_set": symbol_set}
        flags = flags_of(storage, symbols, log_level) | {"ui.refresh_hz": hz, "ui.slow": slow, **look}
        reload = (lambda: load(config, flags)) if not demo else None
        options = runner.Options(
            headless, output is not None, run_for, reload, on_ui_crash.value, on_hangup.value, State.debug
        )
        if not demo:
            raise typer.Exit(runner.run(load(config, flags), options))
        raise typer.Exit(_run_demo(config, flags, options, demo_data, demo_speed))


def _known(theme: str) -> None:
    """Refuse a theme that does not exist."""
    from tui_feeder.paths import config_folder
    from tui_feeder.widgets.themes import Themes

    folder = config_folder()
    try:
        Themes(folder / "themes" if folder is not None else None).load(theme)
    except ValueError as error:
        raise Refusal(f"--theme: {error}") from None


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
    wanted = load(config, flags, search=False)
    stated = wanted.origins["application.symbols"] != "default"
    symbols = list(wanted.config.application.symbols) if stated else None
    storage = wanted.config.application.storage_path if flags["application.storage_path"] else None
    data = expand_user(data) if data is not None else None
    with contextlib.closing(demos.Demo(data, symbols, speed or demos.DEFAULT_SPEED, storage)) as demo:
        for note in demo.exchange.notes:
            typer.echo(f"demo: {note}", err=True)
        options = replace(options, forgets=storage is None)
        return runner.run(load(config, flags | demo.flags(), search=False), options, demo.faults)


@app.command()
def simulate(
    port: Annotated[
        int, typer.Option("--port", help="Port on 127.0.0.1; 0 for any free one.", min=0, max=65535)
    ] = 0,
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--data", help="Folder of monthly zips with real candles.", metavar="DIR"),
    ] = None,
    symbols: SymbolsOption = None,
    speed: Annotated[
        float, typer.Option("--speed", help="Exchange seconds in a real second.", min=0.1, max=3600)
    ] = 1.0,
    start: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--start", help="Exchange time at its start, RFC 3339.", metavar="TIME"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the synthetic market and of random faults.")] = 1,
    fault: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--fault",
            help="Switch a fault on, for a time such as 90, 5m or 2h of exchange time; repeatable.",
            metavar="NAME[:SYMBOL][:TIME]",
        ),
    ] = None,
    faults: Annotated[
        Optional[Drawn],  # noqa: UP045
        typer.Option("--faults", help="Draw faults at random, by the seed."),
    ] = None,
) -> None:
    """Run the embedded exchange alone, and print the URLs to configure.

    REST, streams and archive as Binance has them, on loopback, with a market that is made up from a seed or
    real candles; and the faults that such an exchange has.

    For example:

      feeder-tui simulate --symbols BTCUSDT,ETHUSDT --speed 60

      feeder-tui simulate --data klines --fault silence:5m

    Exit codes: 0 stopped in order, 1 the port cannot be had, 2 an option makes no sense.
    """
    from tui_feeder.paths import expand_user
    from tui_feeder.time_format import parse_time

    with told():
        start_ms = None
        if start is not None:
            try:
                start_ms = parse_time(start)
            except ValueError as error:
                raise Refusal(f"--start: {error}") from None
        from tui_feeder.simulator import serve

        try:
            code = serve.run(
                port=port,
                data=expand_user(data) if data is not None else None,
                symbols=split(symbols),
                speed=speed,
                start_ms=start_ms,
                seed=seed,
                faults=fault or (),
                random_faults=seed if faults is not None else None,
            )
        except ValueError as error:
            raise Refusal(str(error)) from error
        raise typer.Exit(code)


@config_app.command("check")
def config_check(
    config: ConfigOption = None, storage: StorageOption = None, symbols: SymbolsOption = None
) -> None:
    """Read the configuration and tell every problem at once.

    The file, the environment and the options given here, as a run would; and whether what they need is
    there: packages, files, folders that can be written. Nothing is asked of the network. Where there is a
    store, price increments are held against its prices.

    For example:

      feeder-tui config check --config /etc/feeder.toml

    Exit codes: 0 good, 2 something is wrong.
    """
    from tui_feeder.config import ConfigError
    from tui_feeder.engine.derived.increment_fit import misfits_at
    from tui_feeder.engine.sinks.needs import unmet
    from tui_feeder.runner import problem_of

    with told():
        loaded = load(config, flags_of(storage, symbols, None))
        files = {
            origin.rpartition(":")[0].removeprefix("file ")
            for origin in loaded.origins.values()
            if origin.startswith("file ")
        }
        if needs := unmet(loaded.config):
            raise ConfigError([problem_of(loaded, need) for need in needs])
        for text in misfits_at(loaded.config):
            typer.echo(f"warning: {text}", err=True)
        typer.echo(f"{', '.join(sorted(files)) or 'no file, the defaults'}: good")


@config_app.command("show")
def config_show(
    config: ConfigOption = None, storage: StorageOption = None, symbols: SymbolsOption = None
) -> None:
    """Print every value and where it came from; secrets masked.

    For example:

      feeder-tui config show | grep kafka

      FEEDER_UI__THEME=feeder-light feeder-tui config show

    Exit codes: 0 printed, 2 something is wrong.
    """
    from tui_feeder.config import render

    with told():
        typer.echo(render(load(config, flags_of(storage, symbols, None))), nl=False)


@config_app.command("init")
def config_init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("config.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a configuration file with every key, its default and what it means.

    For example:

      feeder-tui config init

      feeder-tui config init ~/.config/feeder-tui/config.toml

    Exit codes: 0 written, 2 there is one already, or it cannot be written.
    """
    from tui_feeder.config import InitError, init_file
    from tui_feeder.paths import expand_user

    with told():
        path = expand_user(path)
        try:
            init_file(path, force=force)
        except InitError as error:
            raise Refusal(str(error)) from error
        typer.echo(f"wrote {path}")


def main() -> None:
    """Entry point of ``feeder-tui``."""
    standard_streams.install()
    code = 1
    try:
        app(prog_name="feeder-tui")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except standard_streams.OutputError:
        pass
    except Exception as error:  # of what typer does outside of our commands
        tell(error)
    sys.exit(standard_streams.exit_code(code))
