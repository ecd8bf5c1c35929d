"""``feeder-tui keys``: every key of the screens with its name, and what is wrong in ``keys.toml``."""

from __future__ import annotations

import typer

from tui_feeder.errors import ExitCode
from tui_feeder.paths import config_folder
from tui_feeder.screens.key_names import named_bindings
from tui_feeder.screens.keymap import FILE_NAME, example, read_keymap


def run() -> int:
    """Prints them.

    Returns:
        The exit code.
    """
    bindings = named_bindings()
    folder = config_folder()
    own: dict[str, str] = {}
    faults: list[str] = []
    if folder is not None:
        own, faults = read_keymap(
            folder / FILE_NAME, {name: binding.key for name, binding in bindings.items()}
        )
        typer.echo(f"# {folder / FILE_NAME}: what stands below [keys] there changes the keys of the screens.")
    typer.echo(
        example({name: (binding.key, binding.tooltip) for name, binding in bindings.items()}, own), nl=False
    )
    for fault in faults:
        typer.echo(f"feeder-tui: {fault}", err=True)
    return ExitCode.BAD_INPUT if faults else ExitCode.OK
