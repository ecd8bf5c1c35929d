"""``feeder-tui cluster``: its options and help."""

from __future__ import annotations

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import ConfigOption, JsonOption, config_flags, load_config

cluster_app = typer.Typer(help="The workers that share the symbols.", no_args_is_help=True)


@cluster_app.command()
def status(json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show the workers of a cluster, who works on which partitions, and what was published last.

    Asks the broker, and the HTTP service of each worker that has an address; no feeder has to run here.
    Changes nothing.

    For example:

      feeder-tui cluster status

      feeder-tui cluster status --config /etc/feeder.toml --json

    Exit codes: 0 every partition has a worker and is published in, 3 one has none or is behind, 1 the broker
    cannot be asked.
    """
    with reported_failures():
        loaded = load_config(config, config_flags())
        from tui_feeder.commands import cluster_run

        raise typer.Exit(cluster_run.status(loaded, json))
