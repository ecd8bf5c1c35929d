"""The command line. Everything heavy is imported inside the commands: ``--help`` must be instant."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from tui_feeder import __version__

if TYPE_CHECKING:
    from tui_feeder.config import LoadedConfig
    from tui_feeder.running import Options

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


class Output(StrEnum):
    """Where messages go besides the sinks of the configuration."""

    JSONL = "jsonl"


class Level(StrEnum):
    """Least level of the log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


# typer reads these at run time: Optional, not "| None", keeps old click types simple.
ConfigOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--config", "-c", help="Configuration file (default: ./config.toml, then the user's).", metavar="FILE"
    ),
]
StorageOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--storage", help="Directory of the candle store.", metavar="DIR"),
]
SymbolsOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--symbols", help="Symbols, separated by commas; ALL or patterns such as '*USDT'.", metavar="A,B"
    ),
]
LevelOption = Annotated[
    Optional[Level],  # noqa: UP045
    typer.Option("--log-level", help="Least level of the log."),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug lines.")]


class _State:
    """What the failure handler must know of the command line."""

    debug = False


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what can go wrong into one clear message and an exit code; a traceback only with --debug."""
    from tui_feeder.config import ConfigError

    try:
        yield
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except Exception as error:
        if _State.debug or os.environ.get("FEEDER_DEBUG"):
            raise
        from tui_feeder.engine.lock import StoreError
        from tui_feeder.simulator.launch import ExchangeStartError

        expected = isinstance(error, StoreError | ExchangeStartError | _Refusal) or type(error).__name__ in (
            "EngineError",
            "PortInUseError",
        )
        text = str(error) if expected else f"internal error: {error!r}; run again with --debug to see where"
        typer.echo(f"feeder-tui: {text}", err=True)
        raise typer.Exit(1) from None


class _Refusal(Exception):
    """The command line asks for something that makes no sense."""


def _split(symbols: str | None) -> list[str] | None:
    if symbols is None:
        return None
    return [name.strip() for name in symbols.split(",") if name.strip()]


def _load(path: Path | None, flags: Mapping[str, Any], *, search: bool = True) -> LoadedConfig:
    """The configuration, its warnings told on stderr."""
    from tui_feeder.config import find_config, load

    environ = {key: value for key, value in os.environ.items() if key != "FEEDER_DEBUG"}
    found = path or (find_config(environ, Path(".")) if search else None)
    loaded = load(
        found, environ=environ, flags={key: value for key, value in flags.items() if value is not None}
    )
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return loaded


def _flags(storage: Path | None, symbols: str | None, level: Level | None) -> dict[str, Any]:
    return {
        "application.storage_path": str(storage) if storage is not None else None,
        "application.symbols": _split(symbols),
        "service.log_level": level.value if level is not None else ("debug" if _State.debug else None),
    }


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"feeder-tui {__version__}")
        raise typer.Exit


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
    hz: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--hz", help="Screen updates a second (default 4)."),
    ] = None,
    log_level: LevelOption = None,
    debug: DebugOption = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Binance USD-M futures candles: complete, right and live, on this terminal.

    Without a command: fetch the history, follow the market, show it. Keys: ? for help, q to quit.

    Try it without any set-up:  feeder-tui --demo
    """
    _State.debug = debug
    if context.invoked_subcommand is not None:
        return
    from tui_feeder import running

    with _told():
        if (demo_data is not None or demo_speed is not None) and not demo:
            raise _Refusal("--demo-data and --demo-speed go with --demo")
        headless = no_ui or output is not None
        if not headless and not (sys.stdin.isatty() and sys.stdout.isatty()):
            headless = True
            typer.echo("feeder-tui: this is no terminal, so it runs without the screen (--no-ui)", err=True)
        flags = _flags(storage, symbols, log_level) | {"ui.refresh_hz": hz}
        options = running.Options(headless, output is not None, run_for)
        if not demo:
            raise typer.Exit(running.run(_load(config, flags), options))
        raise typer.Exit(_run_demo(config, flags, options, demo_data, demo_speed))


def _run_demo(
    config: Path | None,
    flags: dict[str, Any],
    options: Options,
    data: Path | None,
    speed: float | None,
) -> int:
    from tui_feeder import demo as demos
    from tui_feeder import running

    # A configuration of a real feed must not be picked up by chance: only one that is named.
    wanted = _load(config, flags, search=False).config.application
    symbols = flags["application.symbols"] or (list(wanted.symbols) if config is not None else None)
    storage = flags["application.storage_path"]
    with contextlib.closing(
        demos.Demo(data, symbols, speed or demos.DEFAULT_SPEED, Path(storage) if storage else None)
    ) as demo:
        for note in demo.exchange.notes:
            typer.echo(f"demo: {note}", err=True)
        defaults = {} if config is not None else dict(demos.DEFAULTS)
        return running.run(_load(config, defaults | flags | demo.flags(), search=False), options)


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
    seed: Annotated[int, typer.Option("--seed", help="Of the synthetic market.")] = 1,
) -> None:
    """Run the embedded exchange alone, and print the URLs to configure."""
    from datetime import UTC, datetime

    with _told():
        start_ms = None
        if start is not None:
            try:
                at = datetime.fromisoformat(start)
            except ValueError:
                raise _Refusal(f"--start {start!r} is not a time such as 2026-02-21T12:00:00Z") from None
            start_ms = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
        from tui_feeder.simulator import serve

        try:
            code = serve.run(
                port=port, data=data, symbols=_split(symbols), speed=speed, start_ms=start_ms, seed=seed
            )
        except ValueError as error:
            raise _Refusal(str(error)) from error
        raise typer.Exit(code)


@config_app.command("check")
def config_check(
    config: ConfigOption = None, storage: StorageOption = None, symbols: SymbolsOption = None
) -> None:
    """Read the configuration and tell every problem at once."""
    with _told():
        loaded = _load(config, _flags(storage, symbols, None))
        files = {
            origin.rpartition(":")[0].removeprefix("file ")
            for origin in loaded.origins.values()
            if origin.startswith("file ")
        }
        typer.echo(f"{', '.join(sorted(files)) or 'no file, the defaults'}: good")


@config_app.command("show")
def config_show(
    config: ConfigOption = None, storage: StorageOption = None, symbols: SymbolsOption = None
) -> None:
    """Print every value and where it came from; secrets masked."""
    from tui_feeder.config import render

    with _told():
        typer.echo(render(_load(config, _flags(storage, symbols, None))), nl=False)


@config_app.command("init")
def config_init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("config.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a configuration file with every key, its default and what it means."""
    from tui_feeder.config import init_file

    with _told():
        init_file(path, force=force)
        typer.echo(f"wrote {path}")


def main() -> None:
    """Entry point of ``feeder-tui``."""
    app(prog_name="feeder-tui")
