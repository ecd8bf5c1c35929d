"""Themes: palettes as TOML files, those beside this module and the user's own.

A file gives ``description``, optionally ``background`` (absent: the terminal's own), and under
``[colors]`` a style for every :class:`~tui_feeder.widgets.palette.Role` in Rich's notation (``"#5aa9ff"``,
``"bold red"``).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rich.errors import StyleSyntaxError
from rich.style import Style

from tui_feeder.widgets.palette import Role

DEFAULT_THEME = "feeder-dark"

_FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Theme:
    """A palette."""

    name: str
    description: str
    background: Style
    styles: dict[Role, Style]


class Themes:
    """The themes there are: those that are shipped, and a user's, which win where the names are the same.

    Args:
        folder: of the user's files; it need not exist.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._unreadable = ""  # why the folder cannot be read

    def names(self) -> tuple[str, ...]:
        """Names of the themes there are, the default first."""
        return tuple(sorted(self._all(), key=lambda name: (name != DEFAULT_THEME, name)))

    def load(self, name: str) -> Theme:
        """Reads a theme.

        Args:
            name: of the theme.

        Returns:
            The theme.

        Raises:
            ValueError: there is no theme of that name, or its file is faulty; the text lists what is
                allowed.
        """
        path = self._all().get(name)
        if path is None:
            raise ValueError(f"unknown theme {name!r}; there are: {', '.join(self.names())}")
        return _read(path)

    def faults(self) -> list[str]:
        """What is wrong with the user's files, a line each."""
        own = self._own()
        found = [self._unreadable] if self._unreadable else []
        for path in own.values():
            try:
                _read(path)
            except ValueError as fault:
                found.append(str(fault))
        return found

    def stamp(self) -> tuple[tuple[str, int], ...]:
        """Something that is another when a file of the user has changed."""
        return tuple((name, modified(path)) for name, path in self._own().items())

    def _own(self) -> dict[str, Path]:
        """The user's files by name; none where his folder cannot be read, which is among the faults."""
        self._unreadable = ""
        try:
            found = sorted(self._folder.glob("*.toml")) if self._folder is not None else []
        except OSError as fault:
            self._unreadable = str(fault)
            found = []
        return {path.stem: path for path in found}

    def _all(self) -> dict[str, Path]:
        return _files() | self._own()


def modified(path: Path) -> int:
    """Gives the time of a file's last change.

    Args:
        path: the file.

    Returns:
        ns; 0 if it does not exist.
    """
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@cache
def _files() -> dict[str, Path]:
    """Files of the shipped themes by name."""
    if found := {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}:
        return found
    raise FileNotFoundError(f"no themes in {_FOLDER}: the installation is incomplete")


def theme_names() -> tuple[str, ...]:
    """Names of the themes that are shipped, the default first."""
    return Themes().names()


def load_theme(name: str) -> Theme:
    """Reads a shipped theme; see :meth:`Themes.load`.

    Args:
        name: of the theme.

    Returns:
        The theme.
    """
    return Themes().load(name)


def _read(path: Path) -> Theme:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        colors = dict(content["colors"])
        if "warn" in colors:  # a theme written before the role existed
            colors.setdefault(Role.PARTIAL.value, colors["warn"])
        missing = [role.value for role in Role if role.value not in colors]
        unknown = [key for key in colors if key not in set(Role)]
        if missing or unknown:
            raise ValueError(f"[colors] lacks {missing or 'nothing'}, unknown {unknown or 'nothing'}")
        background = content.get("background", "")
        return Theme(
            name=path.stem,
            description=str(content["description"]),
            background=Style.parse(f"on {background}") if background else Style.null(),
            styles={role: Style.parse(colors[role.value]) for role in Role},
        )
    except (OSError, TypeError, AttributeError, KeyError, StyleSyntaxError, ValueError) as fault:
        raise ValueError(f"theme file {path.name}: {fault}") from fault
