"""``feeder-tui config``: its options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ConfigOption,
    StorageOption,
    SymbolsOption,
    config_flags,
    load_config,
    parse_path,
)

config_app = typer.Typer(
    rich_markup_mode=None, help="Check, show or write the configuration.", no_args_is_help=True
)


@config_app.command()
def check(config: ConfigOption = None, storage: StorageOption = None, symbols: SymbolsOption = None) -> None:
    """Read the configuration and report every problem at once.

    The file, the environment and the options given here, as a run would; and whether what they need is
    there: packages, files, folders that can be written. The network is not used. Where there is a store,
    price increments are compared with its prices.

    For example:

      feeder-tui config check --config /etc/feeder.toml

    Exit codes: 0 valid, 2 something is wrong.
    """
    from tui_feeder.config import ConfigError
    from tui_feeder.configuration.requirements import problem_from_need, unmet_requirements
    from tui_feeder.engine.derived.increment_fit import misfits_at

    with reported_failures():
        loaded = load_config(config, config_flags(storage, symbols))
        if needs := unmet_requirements(loaded.config):
            raise ConfigError([problem_from_need(loaded, need) for need in needs])
        for text in misfits_at(loaded.config):
            typer.echo(f"warning: {text}", err=True)
        typer.echo(f"{', '.join(loaded.files) or 'no file, the defaults'}: valid")


@config_app.command()
def show(config: ConfigOption = None, storage: StorageOption = None, symbols: SymbolsOption = None) -> None:
    """Print every value and its origin; secrets are masked.

    For example:

      feeder-tui config show | grep kafka

      FEEDER_UI__THEME=feeder-light feeder-tui config show

    Exit codes: 0 printed, 2 something is wrong.
    """
    from tui_feeder.config import render

    with reported_failures():
        typer.echo(render(load_config(config, config_flags(storage, symbols))), nl=False)


@config_app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.", metavar="FILE", parser=parse_path)] = Path(
        "config.toml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a configuration file with every key, its default and what it means.

    For example:

      feeder-tui config init

      feeder-tui config init ~/.config/feeder-tui/config.toml

    Exit codes: 0 written, 2 the file exists already, or cannot be written.
    """
    from tui_feeder.config import init_file
    from tui_feeder.paths import expand_user

    with reported_failures():
        path = expand_user(path)
        init_file(path, force=force)
        typer.echo(f"wrote {path}")
