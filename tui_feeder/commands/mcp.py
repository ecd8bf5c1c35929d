"""``feeder-tui mcp``: its options and help."""

from __future__ import annotations

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import ConfigOption, SocketOption, StorageOption, config_flags, load_config


def mcp(
    config: ConfigOption = None,
    storage: StorageOption = None,
    socket: SocketOption = None,
) -> None:
    """Answer a program that speaks MCP (Model Context Protocol) on standard input and output.

    It reads candles, volume profiles, coverage, a minute's history, incidents and gaps; it changes nothing.
    The store is opened read-only, also beside a running feeder; where one runs, open gaps and its state come
    from it. Needs the package mcp: pip install 'feeder-tui[mcp]'.

    For example:

      feeder-tui mcp --storage candles

    Exit codes: 0 the other side has closed its end, 1 there is no store, 2 the package mcp is not installed,
    141 the other side died.
    """
    with reported_failures():
        loaded = load_config(config, config_flags(storage))
        from tui_feeder.commands import mcp_run

        raise typer.Exit(mcp_run.run(loaded, socket))
