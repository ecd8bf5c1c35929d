"""``feeder-tui status``: how a feeder in another process is, as text or JSON."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import orjson
import typer

from tui_feeder.attach.client import AttachedMonitor, describe_feeder
from tui_feeder.attach.sockets import choose_socket
from tui_feeder.commands.status_text import status_text
from tui_feeder.errors import ExitCode


def run(socket: Path | None, json: bool, everything: bool) -> int:
    """Prints the status of a running feeder.

    Args:
        socket: of the feeder; None for the only one that runs.
        json: everything, as one object.
        everything: every symbol, gap and part, where the text would name a few.

    Returns:
        The exit code.

    Raises:
        SocketError: no feeder runs, or more than one.
        AttachError: it does not answer, or is of another version.
    """
    with contextlib.closing(AttachedMonitor(choose_socket(socket, describe_feeder))) as monitor:
        snapshot, welcome = monitor.snapshot(), monitor.welcome
    head = {"version": welcome.version, "pid": welcome.pid, "socket": str(monitor.path)}
    if json:
        whole = msgspec.to_builtins(snapshot)
        del whole["taken_at"], whole["events"]  # a monotonic clock's, and the log's
        typer.echo(orjson.dumps(head | whole, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())
    else:
        head_line = f"feeder-tui {welcome.version}, pid {welcome.pid}, {monitor.path}"
        typer.echo(status_text(snapshot, head_line, everything))
    return ExitCode.OK if snapshot.state == "live" else ExitCode.INCOMPLETE
