"""Every command of the program with its options, as typer knows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from tui_feeder.cli import app


def commands() -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """The words of every command, and its options."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    while waiting:
        words, one = waiting.pop(0)
        below = getattr(one, "commands", {})
        if not below or not words:
            yield words, {name for parameter in one.params for name in parameter.opts}
        waiting += [((*words, name), child) for name, child in below.items()]


COMMANDS = dict(commands())
