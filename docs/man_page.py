"""Makes ``feeder-tui.1``, the man page, from the declarations of the commands: ``python docs/man_page.py``.

The wheel installs it below ``share/man``; a test holds it equal to what is made here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import typer.main

from tui_feeder.cli import app

PAGE = Path(__file__).with_name("feeder-tui.1")
_HEAD = """\
.\\" Made by docs/man_page.py from the declarations of the commands.
.TH FEEDER\\-TUI 1 "" "feeder\\-tui" "User Commands"
.SH NAME
feeder\\-tui \\- Binance candles: complete, right, live, and on your terminal
"""
_TAIL = """\
.SH ENVIRONMENT
.TP
.B FEEDER_CONFIG
The configuration file, where
.B \\-\\-config
does not name one.
.TP
.B FEEDER_SECTION__KEY
Any key of the configuration, with two underscores between its levels: FEEDER_KAFKA__ACKS=1. Options have
precedence over the environment, the environment over the file.
.TP
.B HTTPS_PROXY, HTTP_PROXY, NO_PROXY
The proxy for requests and streams, where exchange.proxy names none.
.SH FILES
.TP
.I ./config.toml, ~/.config/feeder\\-tui/config.toml
The configuration, looked for in this order.
.B feeder\\-tui config init
writes one with every key explained.
.TP
.I ./lmdb_data
The candle store, where application.storage_path names no other folder.
.SH SEE ALSO
.BR journalctl (1),
.BR systemctl (1),
.BR tmux (1)
"""


def page() -> str:
    """Make the text of the man page: every command with its options, examples and exit codes."""
    root: Any = typer.main.get_command(app)
    context = typer.Context(root, info_name="feeder-tui", help_option_names=["-h", "--help"])
    about, examples, codes = _parts(root.help)
    lines = [".SH SYNOPSIS", f".B {_escaped('feeder-tui')}", _escaped("[OPTIONS] [COMMAND [ARGS]...]")]
    lines += [".SH DESCRIPTION", *_paragraphs(about), ".SH OPTIONS", *_options(root, context)]
    lines.append(".SH COMMANDS")
    for words, command, below in _commands(root, context):
        usage = " ".join(below.command.collect_usage_pieces(below))
        lines += [f'.SS "{_escaped(words)} {_escaped(usage)}"', *_described(command, below)]
    lines += [".SH EXAMPLES", *_examples(examples), ".SH EXIT STATUS", *_paragraphs(codes)]
    return _HEAD + "\n".join(lines) + "\n" + _TAIL


def _commands(group: Any, context: typer.Context) -> Iterator[tuple[str, Any, typer.Context]]:  # noqa: ANN401
    """Every command that can be called, below its groups: its words, itself and its context."""
    for name, command in group.commands.items():
        below = typer.Context(command, info_name=name, parent=context)
        if getattr(command, "commands", None):
            yield from _commands(command, below)
        else:
            yield below.command_path.partition(" ")[2], command, below


def _described(command: Any, context: typer.Context) -> Iterator[str]:  # noqa: ANN401 - typer's copy of click
    about, examples, codes = _parts(command.help)
    yield from _paragraphs(about)
    yield from _options(command, context)
    if examples:
        yield from (".PP", "For example:", *_examples(examples))
    if codes:
        yield from (".PP", f"Exit codes: {_escaped(codes)}")


def _parts(text: str) -> tuple[str, str, str]:
    """What a help says, its examples, and its exit codes."""
    rest, _, codes = text.partition("\nExit codes: ")
    about, _, examples = rest.partition("\nFor example:\n")
    return about, examples, " ".join(codes.split())


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        yield _escaped(" ".join(paragraph.split()))


def _examples(text: str) -> Iterator[str]:
    yield ".RS 4\n.nf"
    yield from (_escaped(line.strip()) for line in text.splitlines() if line.strip())
    yield ".fi\n.RE"


def _options(command: Any, context: typer.Context) -> Iterator[str]:  # noqa: ANN401 - typer's copy of click
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield from (".TP", f".B {_escaped(record[0])}", _escaped(record[1]))


def _escaped(text: str) -> str:
    """Text as roff shows it, also at the beginning of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
