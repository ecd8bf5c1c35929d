"""``feeder-tui keys``: its help."""

from __future__ import annotations

import typer

from tui_feeder.commands.failures import reported_failures


def keys() -> None:
    """Print every key of the screens with its name, as a keys.toml.

    What it prints can be kept as keys.toml in the configuration directory: lines with a # are the usual
    keys, the others those that the keys.toml there is changes. Each of its entries that cannot be used is
    reported on standard error with its line.

    For example:

      feeder-tui keys

      feeder-tui keys > keys.toml

    Exit codes: 0 done, 2 an entry of keys.toml cannot be used.
    """
    with reported_failures():
        from tui_feeder.commands import keys_run

        raise typer.Exit(keys_run.run())
