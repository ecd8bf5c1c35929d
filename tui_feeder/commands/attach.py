"""``feeder-tui attach`` and ``feeder-tui status``: look into a feeder that runs in another process."""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path

import msgspec
import orjson
import typer

from tui_feeder.attach.client import AttachedMonitor
from tui_feeder.attach.sockets import chosen
from tui_feeder.commands.line import State
from tui_feeder.commands.status_text import status_text
from tui_feeder.config import LoadedConfig
from tui_feeder.logs import set_up
from tui_feeder.paths import config_folder, state_folder
from tui_feeder.runner import screen_settings


def attach(loaded: LoadedConfig, socket: Path | None) -> int:
    """Show the screens of a running feeder until the user leaves; the exit code.

    Raises:
        SocketError: no feeder runs, or more than one.
        AttachError: it does not answer, or is of another version.
    """
    from tui_feeder.app import AttachedApp

    log_file = set_up(loaded.config, state_folder() / "attach.log", own=True)
    with contextlib.closing(AttachedMonitor(chosen(socket))) as monitor:
        app = AttachedApp(
            monitor, screen_settings(loaded),
            state_file=state_folder() / "screen.json", folder=config_folder(),
        )  # fmt: skip
        reason = app.run()
        if reason is None and app.failure is not None:
            if State.debug:
                traceback.print_exception(app.failure)
            name = type(app.failure).__name__
            typer.echo(
                f"feeder-tui: the screen failed ({name}); the feeder goes on; log in {log_file}", err=True
            )
            return 1
        typer.echo(f"detached; the feeder (pid {monitor.welcome.pid}) goes on", err=True)
    return 0


def status(socket: Path | None, json: bool, everything: bool) -> int:
    """Print how a running feeder is; 0 where it is live, 3 where it is not.

    Args:
        socket: of the feeder; None for the only one that runs.
        json: everything, as one object.
        everything: every symbol, gap and part, where the text would name a few.

    Raises:
        SocketError: no feeder runs, or more than one.
        AttachError: it does not answer, or is of another version.
    """
    with contextlib.closing(AttachedMonitor(chosen(socket))) as monitor:
        snapshot, welcome = monitor.snapshot(), monitor.welcome
    head = {"version": welcome.version, "pid": welcome.pid, "socket": str(monitor.path)}
    if json:
        whole = msgspec.to_builtins(snapshot)
        del whole["taken_at"], whole["events"]  # a monotonic clock's, and the log's
        typer.echo(orjson.dumps(head | whole, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())
    else:
        head_line = f"feeder-tui {welcome.version}, pid {welcome.pid}, {monitor.path}"
        typer.echo(status_text(snapshot, head_line, everything))
    return 0 if snapshot.state == "live" else 3
