"""``feeder-tui attach``: its options and help."""

from __future__ import annotations

import os
import sys

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ColorsOption,
    ConfigOption,
    RefreshRateOption,
    SlowOption,
    SocketOption,
    SymbolSetOption,
    ThemeOption,
    TimeZoneOption,
    load_config,
)
from tui_feeder.errors import ExitCode


def attach(
    socket: SocketOption = None,
    config: ConfigOption = None,
    hz: RefreshRateOption = None,
    slow: SlowOption = None,
    theme: ThemeOption = None,
    colors: ColorsOption = None,
    symbol_set: SymbolSetOption = None,
    timezone: TimeZoneOption = None,
) -> None:
    """Show the screens of a feeder that runs already.

    Up to 32 clients may be attached; quitting (q) or losing the connection does not affect the feeder. Of
    the configuration only [ui] is used.

    For example:

      feeder-tui attach

      ssh -t server feeder-tui attach --slow

    Exit codes: 0 quit, 1 no feeder answers, or it is of another version, 2 this is not a terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) and "TEXTUAL_DRIVER" not in os.environ:
        typer.echo("feeder-tui: attach needs a terminal; scripts use feeder-tui status --json", err=True)
        raise typer.Exit(ExitCode.BAD_INPUT)
    with reported_failures():
        look = {"ui.theme": theme, "ui.colors": colors, "ui.symbol_set": symbol_set,
                "ui.timezone": timezone}  # fmt: skip
        loaded = load_config(config, {"ui.refresh_hz": hz, "ui.slow": slow, **look})
        from tui_feeder.commands import attach_run

        raise typer.Exit(attach_run.run(loaded, socket))
