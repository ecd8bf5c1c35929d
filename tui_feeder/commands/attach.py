"""``feeder-tui attach`` and ``feeder-tui status``: look into a feeder that runs in another process."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections import Counter
from pathlib import Path

import msgspec
import orjson
import typer

from tui_feeder.attach.client import AttachedMonitor
from tui_feeder.attach.sockets import chosen
from tui_feeder.commands.line import State
from tui_feeder.commands.tables import amount, plural, size
from tui_feeder.config import LoadedConfig
from tui_feeder.folders import config_folder, state_folder
from tui_feeder.logs import set_up
from tui_feeder.moments import moment_text
from tui_feeder.monitor import MINUTE_MS, Snapshot
from tui_feeder.running import screen_settings


def attach(loaded: LoadedConfig, socket: Path | None) -> int:
    """Show the screens of a running feeder until the user leaves; the exit code.

    Raises:
        SocketError: no feeder runs, or more than one.
        AttachError: it does not answer, or is of another version.
    """
    from tui_feeder.app import AttachedApp

    log_file = state_folder() / "attach.log"
    set_up(loaded.config, log_file)
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


def status(socket: Path | None, json: bool) -> int:
    """Print how a running feeder is; 0 where it is live, 3 where it is not.

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
        typer.echo(_text(snapshot, f"feeder-tui {welcome.version}, pid {welcome.pid}, {monitor.path}"))
    return 0 if snapshot.state == "live" else 3


def _text(snapshot: Snapshot, head: str) -> str:
    now = snapshot.exchange_time + round((time.monotonic() - snapshot.taken_at) * 1000 * snapshot.clock_rate)
    states = Counter(view.state.value for view in snapshot.symbols)
    told = ", ".join(f"{count} {state}" for state, count in states.most_common())
    lines = [
        head,
        f"state     {snapshot.state}, on {snapshot.exchange}",
        f"symbols   {amount(len(snapshot.symbols))}: {told or 'none'}",
    ]
    closed = [view.last_closed for view in snapshot.symbols if view.last_closed is not None]
    if closed:
        age = max(0, now - max(closed) - MINUTE_MS) / 1000
        lines.append(f"newest    minute {moment_text(max(closed))}, closed {age:.0f} s ago")
    lines += [
        f"stream    {one.name}: {one.state}, {one.frames_per_second:.1f} frames/s"
        + (f", {one.reason}" if one.reason else "")
        for one in snapshot.streams
    ]
    gaps = [gap for gap in snapshot.gaps if gap.state != "filled"]
    lines.append(f"gaps      {plural(len(gaps), 'gap')} open, {amount(sum(g.missing for g in gaps))} minutes")
    lines += [f"sink      {name}: {state}" for name, state in snapshot.sinks.items()]
    well = ("running", "stopped")  # what has stopped was done: a crash has other names
    lines += [f"part      {name}: {state}" for name, state in snapshot.parts.items() if state not in well]
    lines.append(
        f"store     {snapshot.store_path}: {plural(snapshot.store_candles, 'minute')}, "
        f"{size(snapshot.store_bytes)}"
        + (f"; {snapshot.store_pausing}: writes are paused" if snapshot.store_pausing else "")
    )
    lines += [
        f"{one.symbol:<9} {one.state.value}: {one.reason}" for one in snapshot.symbols if one.state != "live"
    ]
    return "\n".join(lines)
