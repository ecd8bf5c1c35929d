"""Every command of the program with its options, as typer knows them; and how a test calls one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import typer
from typer.testing import CliRunner, Result

from tui_feeder.cli import app

#: Built once: that takes ten times as long as to read a command line.
GROUP = typer.main.get_command(app)


def commands() -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """The words of every command, and its options."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), GROUP)]
    while waiting:
        words, one = waiting.pop(0)
        below = getattr(one, "commands", {})
        if not below or not words:
            yield words, {name for parameter in one.params for name in parameter.opts}
        waiting += [((*words, name), child) for name, child in below.items()]


COMMANDS = dict(commands())


def called(*words: str) -> Result:
    """What the program does in this process when it is called so."""
    with mock.patch("typer.testing._get_command", return_value=GROUP):
        return CliRunner().invoke(app, words)
