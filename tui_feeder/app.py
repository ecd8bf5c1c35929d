"""The app: pulls a snapshot on every tick, hands it to the screen in front, and ends in order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from typing import ClassVar

from rich.console import Console
from textual.app import App, AutopilotCallbackType
from textual.binding import Binding, BindingType

from tui_feeder.monitor import Monitor
from tui_feeder.screens.base import FeederScreen, keys_of
from tui_feeder.screens.gaps import GapsScreen
from tui_feeder.screens.help import HelpScreen
from tui_feeder.screens.log import LogScreen
from tui_feeder.screens.overview import OverviewScreen
from tui_feeder.terminal import (
    BACKLOG_LIMIT,
    TerminalDriver,
    color_system,
    detect_symbol_set,
    hung_up,
    lost_writes,
    signals,
    write_backlog,
)
from tui_feeder.widgets.ink import GLYPHS, Ink
from tui_feeder.widgets.themes import DEFAULT_THEME, load_theme, theme_names

__all__ = ["ExitReason", "FeederApp", "UiSettings", "theme_names"]

_INTERRUPT_SECONDS = 2.0
_HZ, _HZ_SSH, _HZ_SLOW, _HZ_UNFOCUSED = 4.0, 2.0, 1.0, 1.0


class ExitReason(StrEnum):
    """Why the app ended; its ``return_value``. None stands for a crash, whose trace is on stderr."""

    QUIT = "quit"  # q, or ctrl+c twice
    STOP = "stop"  # request_stop()
    SIGNAL = "signal"  # SIGINT or SIGTERM
    HANGUP = "hangup"  # SIGHUP, or the terminal is gone


@dataclass(frozen=True, slots=True)
class UiSettings:
    """What a user may choose about the screen."""

    refresh_hz: float | None = None  # ticks a second; None: 4, over ssh 2
    theme: str = DEFAULT_THEME
    symbol_set: str = "auto"  # auto | braille | block | ascii
    colors: str = "auto"  # auto | truecolor | 256 | 16 | none
    slow: bool = False  # one tick a second, ages in whole seconds


class FeederApp(App[ExitReason], inherit_bindings=False):
    """The screen of a feeder.

    Args:
        monitor: where the snapshots come from; it must answer at once.
        settings: of the screen.
        title: of the program, for the status line.

    Raises:
        ValueError: a theme, symbol set or colour setting that does not exist; the text lists what does.
    """

    ENABLE_COMMAND_PALETTE = False
    DEFAULT_MODE = "overview"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "go('overview')", "Over", id="app.overview", tooltip="Overview"),
        Binding("4", "go('gaps')", "Gaps", id="app.gaps", tooltip="Gaps"),
        Binding("6", "go('log')", "Log", id="app.log", tooltip="Log"),
        Binding("t", "theme", "theme", show=False, id="app.theme", tooltip="Next theme"),
        Binding("f", "freeze", "freeze", show=False, id="app.freeze",
                tooltip="Freeze the display"),
        Binding("question_mark", "help", "help", key_display="?", id="app.help", tooltip="This page"),
        Binding("q", "leave", "quit", id="app.quit", tooltip="Stop the feeder and quit"),
        Binding("ctrl+c", "interrupt", "interrupt", show=False, priority=True, id="app.interrupt",
                tooltip="Quit, when pressed twice"),
    ]  # fmt: skip

    def __init__(self, monitor: Monitor, settings: UiSettings, *, title: str) -> None:
        palette = load_theme(settings.theme)
        system = color_system(settings.colors)
        self.colored = system is not None
        super().__init__(driver_class=TerminalDriver, ansi_color=True)
        self.console = Console(
            color_system="truecolor" if system is None else system,  # type: ignore[arg-type]
            file=StringIO(),
            force_terminal=True,
            legacy_windows=False,
            highlight=False,
            emoji=False,
            safe_box=False,
        )
        self.theme = "ansi-dark"  # Textual's own colours are the terminal's; all others come from the ink
        self.title = title
        self.monitor = monitor
        self.settings = settings
        self.hz = _rate(settings)
        self.snapshot = monitor.snapshot()
        self.frozen = False
        self.note = ""  # instead of the keys, for a moment
        self.ticks_skipped = 0
        self._skip = 0
        self._interrupted = False
        self._asked_to_stop: ExitReason | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._palette = palette
        self._glyphs = GLYPHS[_symbol_set(settings.symbol_set)]
        self.ink = Ink(palette.styles, palette.background, self._glyphs, self.colored)
        self.add_mode("overview", lambda: OverviewScreen(monitor))
        self.add_mode("gaps", GapsScreen)
        self.add_mode("log", LogScreen)

    def on_mount(self) -> None:
        """Begin to tick."""
        self._own_loop = asyncio.get_running_loop()
        self._obey()
        self.set_interval(1 / self.hz, self.tick, name="tick")

    async def run_async(
        self,
        *,
        headless: bool = False,
        inline: bool = False,
        inline_no_clear: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
        auto_pilot: AutopilotCallbackType | None = None,
    ) -> ExitReason | None:
        """Run until somebody quits; SIGINT, SIGTERM and SIGHUP end it and leave the terminal in order."""
        loop = asyncio.get_running_loop()
        with signals(loop, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], self._on_signal):
            return await super().run_async(
                headless=headless,
                inline=inline,
                inline_no_clear=inline_no_clear,
                mouse=mouse,
                size=size,
                auto_pilot=auto_pilot,
            )

    def request_stop(self, reason: ExitReason = ExitReason.STOP) -> None:
        """End the app; from any thread, and from a signal handler. Before it runs: as soon as it does."""
        self._asked_to_stop = reason
        loop = self._own_loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._obey)

    def tick(self) -> None:
        """Pull a snapshot and draw it, unless the terminal is behind or gone."""
        if hung_up(self):
            self.exit(ExitReason.HANGUP)
            return
        if self._skip:
            self._skip -= 1
            return
        if write_backlog(self) > BACKLOG_LIMIT:
            self.ticks_skipped += 1
            self._skip = 1
            return
        if lost_writes(self):
            self.screen.refresh()
        if not self.app_focus:
            self._skip = max(0, round(self.hz / _HZ_UNFOCUSED) - 1)
        if not self.frozen:
            self.snapshot = self.monitor.snapshot()
        self._draw()

    def _draw(self) -> None:
        if isinstance(self.screen, FeederScreen):
            self.screen.draw()

    def _obey(self) -> None:
        if self._asked_to_stop is not None:
            self.exit(self._asked_to_stop)

    def _on_signal(self, number: int) -> None:
        self.exit(ExitReason.HANGUP if number == signal.SIGHUP else ExitReason.SIGNAL)

    def tell(self, text: str, seconds: float = 2.0, after: Callable[[], None] | None = None) -> None:
        """Show a text in the place of the keys for a moment."""
        self.note = text
        self._draw()

        def over() -> None:
            if self.note == text:
                self.note = ""
                self._draw()
            if after is not None:
                after()

        self.set_timer(seconds, over)

    # What the keys do

    def action_go(self, mode: str) -> None:
        """Another screen."""
        while len(self.screen_stack) > 1:  # help lies over it
            self.pop_screen()
        self.switch_mode(mode)

    def action_leave(self) -> None:
        """Quit."""
        self.exit(ExitReason.QUIT)

    def action_interrupt(self) -> None:
        """Quit at the second time."""
        if self._interrupted:
            self.exit(ExitReason.QUIT)
            return
        self._interrupted = True
        self.tell("press ctrl+c again to stop the feeder and quit", _INTERRUPT_SECONDS, self._forgive)

    def _forgive(self) -> None:
        self._interrupted = False

    def action_freeze(self) -> None:
        """Hold the display still, or let it go on."""
        self.frozen = not self.frozen
        if not self.frozen:
            self.snapshot = self.monitor.snapshot()
        self._draw()

    def action_theme(self) -> None:
        """The next theme."""
        names = theme_names()
        self._palette = load_theme(names[(names.index(self._palette.name) + 1) % len(names)])
        self.ink = Ink(self._palette.styles, self._palette.background, self._glyphs, self.colored)
        self.tell(f"theme {self._palette.name}: {self._palette.description}")

    def action_help(self) -> None:
        """The keys of the screen in front; again to go back."""
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        else:
            self.push_screen(HelpScreen(keys_of(self.screen)))


def _rate(settings: UiSettings) -> float:
    """Ticks a second."""
    over_ssh = bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
    hz = settings.refresh_hz or (_HZ_SSH if over_ssh else _HZ)
    return min(hz, _HZ_SLOW) if settings.slow else hz


def _symbol_set(name: str) -> str:
    if name == "auto":
        return detect_symbol_set()
    if name not in GLYPHS:
        raise ValueError(f"unknown symbol set {name!r}; there are: auto, {', '.join(GLYPHS)}")
    return name
