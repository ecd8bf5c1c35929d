"""``feeder-tui attach``: the screens of a feeder that runs in another process."""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path

import typer

from tui_feeder.attach.client import AttachedMonitor, describe_feeder
from tui_feeder.attach.sockets import choose_socket
from tui_feeder.commands import failures
from tui_feeder.config import LoadedConfig
from tui_feeder.errors import ExitCode
from tui_feeder.logs import configure_logging
from tui_feeder.paths import config_folder, state_folder


def run(loaded: LoadedConfig, socket: Path | None) -> int:
    """Shows the screens of a running feeder until the user leaves.

    Args:
        loaded: the configuration with the origin of each value.
        socket: of the feeder; None for the only one that runs.

    Returns:
        The exit code.

    Raises:
        SocketError: no feeder runs, or more than one.
        AttachError: it does not answer, or is of another version.
    """
    from tui_feeder.app import AttachedApp
    from tui_feeder.screens.appearance import ui_settings

    log_file = configure_logging(loaded.config, state_folder() / "attach.log", own=True)
    with contextlib.closing(AttachedMonitor(choose_socket(socket, describe_feeder))) as monitor:
        app = AttachedApp(
            monitor, ui_settings(loaded),
            state_file=state_folder() / "screen.json", folder=config_folder(),
            configuration=monitor.welcome.configuration,
        )  # fmt: skip
        reason = app.run()
        if reason is None and app.failure is not None:
            if failures.debugging:
                traceback.print_exception(app.failure)
            name = type(app.failure).__name__
            typer.echo(
                f"feeder-tui: the screen failed ({name}); the feeder keeps running; log in {log_file}",
                err=True,
            )
            return ExitCode.FAILED
        typer.echo(f"detached; the feeder (pid {monitor.welcome.pid}) keeps running", err=True)
    return ExitCode.OK
