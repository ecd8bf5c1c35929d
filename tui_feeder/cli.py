"""The command line: collects the commands, each of which is declared in its own file under ``commands/``.

Everything heavy is imported inside the commands: ``--help`` must be instant.
"""

from __future__ import annotations

import sys

import typer

from tui_feeder import standard_streams
from tui_feeder.commands import run
from tui_feeder.commands.attach import attach
from tui_feeder.commands.backfill import backfill
from tui_feeder.commands.backup import backup
from tui_feeder.commands.cluster import cluster_app
from tui_feeder.commands.config import config_app
from tui_feeder.commands.doctor import doctor
from tui_feeder.commands.export import export
from tui_feeder.commands.failures import report_failure
from tui_feeder.commands.gaps import gaps
from tui_feeder.commands.gateway import gateway
from tui_feeder.commands.info import info
from tui_feeder.commands.keys import keys
from tui_feeder.commands.mcp import mcp
from tui_feeder.commands.option_values import convert_without_pydantic
from tui_feeder.commands.profiles import profiles_app
from tui_feeder.commands.proof import proof_app
from tui_feeder.commands.replay import replay
from tui_feeder.commands.serve import serve
from tui_feeder.commands.simulate import simulate
from tui_feeder.commands.sinks import sinks_app
from tui_feeder.commands.status import status
from tui_feeder.commands.verify import verify

_COMMANDS = (
    simulate,
    backfill,
    gaps,
    verify,
    export,
    info,
    backup,
    attach,
    status,
    serve,
    gateway,
    mcp,
    doctor,
    replay,
    keys,
)
_GROUPS = {
    "config": config_app,
    "sinks": sinks_app,
    "profiles": profiles_app,
    "proof": proof_app,
    "cluster": cluster_app,
}


def _declared(only: str | None = None) -> typer.Typer:
    """All commands, or one where ``only`` is its name: typer takes 20 ms to make the options of all."""
    made = typer.Typer(
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback(invoke_without_command=True)(run.run)
    known = only in _GROUPS or any(only == command.__name__ for command in _COMMANDS)
    for command in _COMMANDS:
        if not known or only == command.__name__:
            made.command()(command)
    for name, group in _GROUPS.items():
        if not known or only == name:
            made.add_typer(group, name=name)
    return made


app = _declared()


def main() -> None:
    """Entry point of ``feeder-tui``."""
    standard_streams.install()
    convert_without_pydantic()
    code = 1
    try:
        _declared(sys.argv[1] if len(sys.argv) > 1 else None)(prog_name="feeder-tui")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except standard_streams.OutputError:
        pass
    except Exception as error:  # of what typer does outside of our commands
        code = report_failure(error)
    sys.exit(standard_streams.final_exit_code(code))
