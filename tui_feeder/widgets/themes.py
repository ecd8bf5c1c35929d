"""Themes: palettes as TOML files, in ``themes/`` of the checkout or shipped inside the package.

A file gives ``description``, optionally ``background`` (absent: the terminal's own), and under
``[colors]`` a style for every :class:`~tui_feeder.widgets.ink.Role` in Rich's notation (``"#5aa9ff"``,
``"bold red"``).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rich.errors import StyleSyntaxError
from rich.style import Style

from tui_feeder.widgets.ink import Role

DEFAULT_THEME = "feeder-dark"

_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = (_PACKAGE / "themes", _PACKAGE.parent / "themes")


@dataclass(frozen=True, slots=True)
class Theme:
    """A palette."""

    name: str
    description: str
    background: Style
    styles: dict[Role, Style]


@cache
def _files() -> dict[str, Path]:
    """Theme files by name, the first folder that has any."""
    for folder in _FOLDERS:
        if found := {path.stem: path for path in sorted(folder.glob("*.toml"))}:
            return found
    raise FileNotFoundError(f"no themes in {' or '.join(map(str, _FOLDERS))}: the installation is incomplete")


def theme_names() -> tuple[str, ...]:
    """Names of the themes there are, the default first."""
    return tuple(sorted(_files(), key=lambda name: (name != DEFAULT_THEME, name)))


def load_theme(name: str) -> Theme:
    """Read a theme.

    Raises:
        ValueError: there is no theme of that name, or its file is faulty; the text says what is allowed.
    """
    path = _files().get(name)
    if path is None:
        raise ValueError(f"unknown theme {name!r}; there are: {', '.join(theme_names())}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        colors = content["colors"]
        missing = [role.value for role in Role if role.value not in colors]
        unknown = [key for key in colors if key not in set(Role)]
        if missing or unknown:
            raise ValueError(f"[colors] lacks {missing or 'nothing'}, unknown {unknown or 'nothing'}")
        background = content.get("background", "")
        return Theme(
            name=name,
            description=content["description"],
            background=Style.parse(f"on {background}") if background else Style.null(),
            styles={role: Style.parse(colors[role.value]) for role in Role},
        )
    except (tomllib.TOMLDecodeError, KeyError, StyleSyntaxError, ValueError) as fault:
        raise ValueError(f"theme file {path.name}: {fault}") from fault
