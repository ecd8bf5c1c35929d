"""``feeder-tui sinks``: its options and help."""

from __future__ import annotations

from typing import Annotated

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import ConfigOption, JsonOption, StorageOption, config_flags, load_config

sinks_app = typer.Typer(help="Where messages and candles go.", no_args_is_help=True)


@sinks_app.command()
def check(json: JsonOption = False, config: ConfigOption = None) -> None:
    """Check that each enabled sink can deliver as configured.

    Connects, reports what exists and what a run would create, and changes nothing.

    For example:

      feeder-tui sinks check

      feeder-tui sinks check --config /etc/feeder.toml --json

    Exit codes: 0 every enabled sink works, 4 one does not.
    """
    with reported_failures():
        loaded = load_config(config, config_flags())
        from tui_feeder.commands import sinks_run

        raise typer.Exit(sinks_run.check(loaded, json))


@sinks_app.command()
def discard(
    sink: Annotated[str, typer.Argument(help="Whose messages: kafka or file.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Delete the messages that are queued in the store for a sink, of all its topics.

    Queued messages stay when their sink is disabled; this deletes them for good. No feeder may run on the
    store at that time.

    For example:

      feeder-tui sinks discard kafka

      feeder-tui sinks discard file --yes

    Exit codes: 0 nothing is queued any more, 1 failed or not confirmed, 2 there is no
    such sink, or no terminal to confirm on.
    """
    with reported_failures():
        loaded = load_config(config, config_flags(storage))
        from tui_feeder.commands import sinks_run

        raise typer.Exit(sinks_run.discard(loaded, sink, yes))
