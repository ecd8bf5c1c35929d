"""How the screen looks: theme, symbols, colours and time zone in force, and the user's themes and keys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from rich.console import Console

from tui_feeder.config import LoadedConfig
from tui_feeder.screens.keymap import FILE_NAME, read_keymap
from tui_feeder.terminal import color_system, detect_symbol_set
from tui_feeder.time_format import time_zone
from tui_feeder.widgets.color_themes.themes import DEFAULT_THEME, Themes, modified
from tui_feeder.widgets.palette import GLYPHS, Palette

_HZ, _HZ_SSH, _HZ_SLOW = 4.0, 2.0, 1.0


@dataclass(frozen=True, slots=True)
class UiSettings:
    """What a user may choose about the screen."""

    refresh_hz: float | None = None  # ticks a second; None: 4, over ssh 2
    theme: str = DEFAULT_THEME
    symbol_set: str = "auto"  # auto | braille | block | ascii
    colors: str = "auto"  # auto | truecolor | 256 | 16 | none
    slow: bool = False  # one tick a second, ages in whole seconds
    mouse: bool = True  # clicks, drags and the wheel are taken
    timezone: str = "UTC"  # of all times on the screens: UTC, local, or a name as Europe/Berlin
    theme_stated: bool = True  # False: the theme of the last run goes before ``theme``

    @property
    def rate(self) -> float:
        """Ticks a second."""
        over_ssh = bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
        hz = self.refresh_hz or (_HZ_SSH if over_ssh else _HZ)
        return min(hz, _HZ_SLOW) if self.slow else hz


def ui_settings(loaded: LoadedConfig) -> UiSettings:
    """Selects the settings of the screen.

    Args:
        loaded: the configuration with the origin of each value.

    Returns:
        The settings.
    """
    ui = loaded.config.ui
    # Left to itself the screen chooses its rate: less over ssh, less on a slow line.
    stated = loaded.origins["ui.refresh_hz"] != "default"
    return UiSettings(
        refresh_hz=ui.refresh_hz if stated else None,
        theme=ui.theme,
        theme_stated=loaded.origins["ui.theme"] != "default",
        symbol_set=ui.symbol_set,
        colors=ui.colors,
        slow=ui.slow,
        timezone=ui.timezone,
        mouse=ui.mouse,
    )


class Appearance:
    """Theme and symbols in force, as the palette that everything is drawn with.

    Args:
        settings: of the user.
        saved_theme: of the last run.
        folder: of the user's configuration.

    Raises:
        ValueError: a theme, symbol set, colour setting or time zone that does not exist; the text lists what
            does.
    """

    def __init__(self, settings: UiSettings, saved_theme: str | None, folder: Path | None) -> None:
        self.themes = Themes(folder / "themes" if folder is not None else None)
        self._theme = self.themes.load(settings.theme)
        if saved_theme is not None and not settings.theme_stated:
            with suppress(ValueError):  # deleted or invalid: reported by the first read of the files
                self._theme = self.themes.load(saved_theme)
        self._system = color_system(settings.colors)
        self.colored = self._system is not None
        self._glyphs = GLYPHS[_symbol_set(settings.symbol_set)]
        self._keys = folder / FILE_NAME if folder is not None else None
        self._stamp: object = None
        self._zone = time_zone(settings.timezone)
        self.palette = self._palette()

    @property
    def theme(self) -> str:
        """Name of the theme in force."""
        return self._theme.name

    def choose(self, name: str) -> str:
        """Switches to another theme.

        Args:
            name: of the theme.

        Returns:
            Its description.

        Raises:
            ValueError: there is none of that name, or its file is faulty.
        """
        self._theme = self.themes.load(name)
        self.palette = self._palette()
        return self._theme.description

    def next_theme(self) -> str:
        """The name of the theme after the one in force."""
        names = self.themes.names()
        at = names.index(self.theme) if self.theme in names else -1
        return names[(at + 1) % len(names)]

    def changed_files(self, known: Mapping[str, str]) -> tuple[dict[str, str], list[str]] | None:
        """Reads the user's keys and themes again if one of the files has changed since the last call.

        Args:
            known: keys of every binding by its id.

        Returns:
            The keys and the errors in the files; None if nothing has changed.
        """
        if self._keys is None:
            return None
        stamp = (modified(self._keys), self.themes.stamp())
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        keys, faults = read_keymap(self._keys, known)
        faults += self.themes.faults()
        with suppress(ValueError):  # of the theme in force; it is among the faults
            self.choose(self.theme)
        return keys, faults

    def console(self) -> Console:
        """What Textual renders with."""
        return Console(
            color_system=self._system or "truecolor",  # type: ignore[arg-type]
            file=StringIO(),
            force_terminal=True,
            legacy_windows=False,
            highlight=False,
            emoji=False,
            safe_box=False,
        )

    def _palette(self) -> Palette:
        return Palette(
            self._theme.styles, self._theme.background, self._glyphs, self.colored,
            zone=self._zone, mixes_colors=self._system != "standard",
        )  # fmt: skip


def _symbol_set(name: str) -> str:
    if name == "auto":
        return detect_symbol_set()
    if name not in GLYPHS:
        raise ValueError(f"unknown symbol set {name!r}; there are: auto, {', '.join(GLYPHS)}")
    return name
