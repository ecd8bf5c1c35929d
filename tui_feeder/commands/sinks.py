"""``feeder-tui sinks check``: whether the enabled sinks can go where they should; nothing is changed."""

from __future__ import annotations

import asyncio
import json
import logging

import typer

from tui_feeder.config import LoadedConfig
from tui_feeder.engine.sinks.configured import look
from tui_feeder.engine.sinks.thread import SinkError

WRONG = 4


def run(loaded: LoadedConfig, as_json: bool) -> int:
    """Print what was found; 0 when every enabled sink works."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the reason is told in one line
    found = asyncio.run(look(loaded.config))
    if as_json:
        told = {
            name: {
                "state": "off" if one is None else "failed" if isinstance(one, SinkError) else "ok",
                "lines": [] if one is None else [str(one)] if isinstance(one, SinkError) else one,
            }
            for name, one in found.items()
        }
        typer.echo(json.dumps(told, indent=1))
    else:
        for name, one in found.items():
            state = "off" if one is None else f"failed: {one}" if isinstance(one, SinkError) else "ok"
            typer.echo(f"{name:<9} {state}")
            for line in one if isinstance(one, list) else []:
                typer.echo(f"{'':<9} {line}")
    return WRONG if any(isinstance(one, SinkError) for one in found.values()) else 0
