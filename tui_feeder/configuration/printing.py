"""Writing the configuration: as it holds with the origin of every value, and as a first file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tui_feeder.atomic_write import atomic_write, is_regular_file
from tui_feeder.configuration.documents import example
from tui_feeder.configuration.keys import Branch, KeyName, dotted, kind_at, names_in
from tui_feeder.configuration.problems import InitError
from tui_feeder.configuration.reading import LoadedConfig
from tui_feeder.safe_text import printable, to_toml

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def render(loaded: LoadedConfig, *, show_origin: bool = True) -> str:
    """Every value as a TOML file; secrets are masked.

    Args:
        loaded: the configuration.
        show_origin: whether the origin of each value stands in a comment behind it.

    Returns:
        The text. What is not set has a line too, as a comment: TOML has no word for it.
    """
    lines: list[str] = []
    for name in names_in(()):
        lines += _section(loaded, (name,), getattr(loaded.config, name), show_origin)
    return "\n".join(lines).lstrip("\n") + "\n"


def _section(loaded: LoadedConfig, key: KeyName, section: object, show_origin: bool) -> Iterator[str]:
    yield ""
    yield f"[{'.'.join(part if _BARE.fullmatch(part) else to_toml(part) for part in key)}]"
    branches = []
    for name in names_in(key):
        below, value = (*key, name), getattr(section, name)
        if isinstance(kind_at(below), Branch):
            branches.append((below, value))
            continue
        origin = printable(loaded.origins.get(dotted(below), "default"))
        comment = f"  # {origin}" if show_origin else ""
        if value is not None:
            yield f"{name} = {to_toml(value)}{comment}"
        elif "asset_overrides" not in key and key[:2] != ("alerts", "rules"):
            yield f"# {name} is not set{comment}"
    for below, value in branches:
        if isinstance(value, dict):
            for symbol, overrides in value.items():
                yield from _section(loaded, (*below, symbol), overrides, show_origin)
        else:
            yield from _section(loaded, below, value, show_origin)


def init_file(path: Path, force: bool = False) -> None:
    """Write the example as a new file, whole or not at all, readable by its owner only.

    Args:
        path: of the file; its directory is made.
        force: replace a file that is there.

    Raises:
        InitError: There is a file at ``path`` and ``force`` is not given, or it can't be written.
    """
    if not force and is_regular_file(path):
        raise InitError(f"{path} is there already and was left as it is: to replace it, add --force")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It may come to hold a password, so nobody else may read it.
        with atomic_write(path, 0o600) as file:
            file.write(example().encode())
    except OSError as error:
        raise InitError(
            f"{path} can't be written: {error.strerror}: "
            "name another place, or check the owner and mode of its directory"
        ) from error
