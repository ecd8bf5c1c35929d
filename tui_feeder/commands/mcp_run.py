"""``feeder-tui mcp``: serves the questions of :mod:`~tui_feeder.commands.mcp_tools` on standard streams."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui_feeder.commands.mcp_tools import Tools
from tui_feeder.config import LoadedConfig
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExitCode, FeederError, UsageError
from tui_feeder.version import __version__

_INSTRUCTIONS = (
    "Candles of an exchange as feeder-tui has stored and verified them. Times are ms since 1970, UTC. Every "
    "minute has a state; certified minutes are the exchange's own, from a checked archive or read again once "
    "they were final."
)


def run(loaded: LoadedConfig, socket: Path | None) -> int:
    """Serves until the other side closes standard input.

    Args:
        loaded: the configuration with the origin of each value.
        socket: of a running feeder; None for the only one that runs.

    Returns:
        The exit code.

    Raises:
        UsageError: the package mcp is not installed.
        StoreError: there is no store.
    """
    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp.types import ToolAnnotations
    except ImportError as error:
        raise UsageError(
            f"feeder-tui mcp needs the package mcp, release 2 or later ({error}): "
            "pip install 'feeder-tui[mcp]'"
        ) from None
    path = loaded.config.application.storage_path
    with contextlib.closing(Store(path, read_only=True)) as store:
        tools = Tools(loaded.config, store, socket)

        class Server(MCPServer):  # type: ignore[misc]  # mcp is an extra: its classes are not known
            """Reports wrong arguments in one line."""

            async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:  # noqa: ANN401 - of mcp
                try:
                    return await super().call_tool(name, arguments, context)
                except ToolError as error:
                    if wrong := _wrong_arguments(error.__cause__):
                        raise ToolError(f"{name}: {wrong}") from error
                    raise

        server = Server("feeder-tui", version=__version__, instructions=_INSTRUCTIONS, log_level="WARNING")
        read_only = ToolAnnotations(read_only_hint=True, open_world_hint=False)
        for ask in (
            tools.list_symbols, tools.get_candles, tools.get_profile, tools.get_coverage,
            tools.get_minute, tools.get_proof, tools.list_incidents, tools.list_gaps,
        ):  # fmt: skip
            server.add_tool(_reporting(ask, ToolError), annotations=read_only)
        try:
            server.run("stdio")
        except* BrokenPipeError:  # the other side has ended without closing its end first
            sys.unraisablehook = _without_broken_pipes  # mcp's own stream has what could not be written
            return_code = ExitCode.BROKEN_PIPE
        else:
            return_code = ExitCode.OK
    return return_code


def _without_broken_pipes(failure: sys.UnraisableHookArgs) -> None:
    if not isinstance(failure.exc_value, BrokenPipeError):
        sys.__unraisablehook__(failure)


def _wrong_arguments(cause: BaseException | None) -> str:
    """What is wrong with each argument; empty if the cause is anything else."""
    from pydantic import ValidationError  # which mcp needs

    if not isinstance(cause, ValidationError):
        return ""
    return "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in cause.errors())


def _reporting(ask: Callable[..., dict[str, Any]], failure: type[Exception]) -> Callable[..., dict[str, Any]]:
    """A question whose known errors become answers of MCP, with their text."""

    @functools.wraps(ask)
    def answered(*args: Any, **named: Any) -> dict[str, Any]:  # noqa: ANN401 - of any question
        try:
            return ask(*args, **named)
        except FeederError as error:
            raise failure(str(error)) from error

    return answered
