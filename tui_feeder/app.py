"""The app: pulls a snapshot on every tick, hands it to the screen in front, and ends in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from io import StringIO
from pathlib import Path
from typing import ClassVar

from rich.console import Console
from textual.app import AutopilotCallbackType
from textual.binding import Binding, BindingType

from tui_feeder.monitor import FaultOption, Faults, Monitor
from tui_feeder.screens.base import FeederScreen, keys_of
from tui_feeder.screens.chart import ChartScreen
from tui_feeder.screens.commands import export_menu, fault_menu, palette
from tui_feeder.screens.export import file_name, write
from tui_feeder.screens.gaps import GapsScreen
from tui_feeder.screens.help import HelpScreen
from tui_feeder.screens.kept import Kept, read_kept, write_kept
from tui_feeder.screens.keymap import FILE_NAME as KEYS_FILE
from tui_feeder.screens.keymap import read_keymap
from tui_feeder.screens.log import LogScreen
from tui_feeder.screens.overview import OverviewScreen
from tui_feeder.screens.profile import ProfileScreen
from tui_feeder.screens.sources import SourcesScreen
from tui_feeder.terminal import (
    BACKLOG_LIMIT,
    DiscreetApp,
    TerminalDriver,
    color_system,
    detect_symbol_set,
    hung_up,
    lost_writes,
    signals,
    write_backlog,
)
from tui_feeder.widgets.grid import Grid
from tui_feeder.widgets.ink import GLYPHS, Ink
from tui_feeder.widgets.themes import DEFAULT_THEME, Themes, modified, theme_names

__all__ = ["ExitReason", "FeederApp", "UiSettings", "theme_names"]

log = logging.getLogger(__name__)

_SCREEN_TYPES: tuple[type[FeederScreen], ...] = (
    OverviewScreen, ChartScreen, ProfileScreen, GapsScreen, SourcesScreen, LogScreen, HelpScreen,
)  # fmt: skip
_LOOK_SECONDS = 1.0
_SCREENS = ("overview", "chart", "profile", "gaps", "sources", "log")
_TIMEFRAME = 3_600  # of the first run
_INTERRUPT_SECONDS = 2.0
_KEEP_SECONDS = 5.0
_HZ, _HZ_SSH, _HZ_SLOW, _HZ_UNFOCUSED = 4.0, 2.0, 1.0, 1.0


class ExitReason(StrEnum):
    """Why the app ended; its ``return_value``. None stands for a crash: see ``failure``."""

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
    theme_stated: bool = True  # False: the theme of the last run goes before ``theme``


class FeederApp(DiscreetApp[ExitReason], inherit_bindings=False):
    """The screen of a feeder.

    Args:
        monitor: where the snapshots come from; it must answer at once.
        settings: of the screen.
        title: of the program, for the status line.
        faults: of the exchange of a demo; None where there are none to switch.
        state_file: where the screen remembers its choices; None to forget them.
        folder: of the user's configuration: ``keys.toml`` and ``themes/*.toml`` in it are read, and again
            when they change.

    Raises:
        ValueError: a theme, symbol set or colour setting that does not exist; the text lists what does.
    """

    ENABLE_COMMAND_PALETTE = False
    DEFAULT_MODE = "overview"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "go('overview')", "Over", id="app.overview", tooltip="Overview"),
        Binding("2", "go('chart')", "Chart", id="app.chart", tooltip="Chart"),
        Binding("3", "go('profile')", "Prof", id="app.profile", tooltip="Volume profiles"),
        Binding("4", "go('gaps')", "Gaps", id="app.gaps", tooltip="Gaps and coverage"),
        Binding("5", "go('sources')", "Sinks", id="app.sources", tooltip="Sinks and sources"),
        Binding("6", "go('log')", "Log", id="app.log", tooltip="Log"),
        Binding("colon", "commands", "cmds", key_display=":", id="app.commands",
                tooltip="Search all commands, symbols, themes"),
        Binding("y", "copy", "copy", show=False, id="app.copy", tooltip="Copy the selected line (OSC 52)"),
        Binding("e", "export", "export", show=False, id="app.export",
                tooltip="Export the view: SVG, CSV, JSON"),
        Binding("F", "faults", "faults", id="app.faults", tooltip="Make the exchange fail, watch it heal"),
        Binding("t", "theme", "theme", show=False, id="app.theme", tooltip="Next theme"),
        Binding("f", "freeze", "freeze", show=False, id="app.freeze",
                tooltip="Freeze the display"),
        Binding("question_mark", "help", "help", key_display="?", id="app.help", tooltip="This page"),
        Binding("q", "leave", "quit", id="app.quit", tooltip="Stop the feeder and quit"),
        Binding("ctrl+c", "interrupt", "interrupt", show=False, priority=True, id="app.interrupt",
                tooltip="Quit, when pressed twice"),
    ]  # fmt: skip

    def __init__(
        self,
        monitor: Monitor,
        settings: UiSettings,
        *,
        title: str,
        faults: Faults | None = None,
        state_file: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        kept = read_kept(state_file) if state_file is not None else Kept()
        self.themes = Themes(folder / "themes" if folder is not None else None)
        look = self.themes.load(settings.theme)
        if kept.theme in self.themes.names() and not settings.theme_stated:
            with suppress(ValueError):  # told by the first look at the files
                look = self.themes.load(kept.theme)
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
        self.faults = faults
        self.grid = Grid()
        self.grid.wanted = kept.symbol
        self.grid.sort_key, self.grid.ascending = kept.sort_key or "", bool(kept.ascending)
        self.timeframe = kept.timeframe or _TIMEFRAME
        self.frozen = False
        self.note = ""  # instead of the keys, for a moment
        self.ticks_skipped = 0
        self._skip = 0
        self._interrupted = False
        self._asked_to_stop: ExitReason | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._palette = look
        self._glyphs = GLYPHS[_symbol_set(settings.symbol_set)]
        self.ink = Ink(look.styles, look.background, self._glyphs, self.colored)
        self.add_mode("overview", lambda: OverviewScreen(monitor))
        self.add_mode("chart", lambda: ChartScreen(monitor))
        self.add_mode("profile", lambda: ProfileScreen(monitor))
        self.add_mode("gaps", lambda: GapsScreen(monitor))
        self.add_mode("sources", SourcesScreen)
        self.add_mode("log", LogScreen)
        self._first = kept.screen if kept.screen in _SCREENS else None
        self._state_file = state_file
        self._keys_file = folder / KEYS_FILE if folder is not None else None
        self._files_stamp: object = None
        self.keys_edition = 0  # rises when keys change
        self._kept = kept

    def on_mount(self) -> None:
        """Begin to tick, on the screen where the last run ended."""
        self._own_loop = asyncio.get_running_loop()
        self._obey()
        if self._first is not None:
            self.switch_mode(self._first)
        self.set_interval(1 / self.hz, self.tick, name="tick")
        if self._state_file is not None:
            self.set_interval(_KEEP_SECONDS, self._keep)
        if self._keys_file is not None:
            self.set_interval(_LOOK_SECONDS, self.look_at_files)
            self.call_after_refresh(self.look_at_files)

    def look_at_files(self) -> None:
        """Take over the user's keys and themes if a file of theirs has changed; their faults in one line."""
        if self._keys_file is None:
            return
        stamp = (modified(self._keys_file), self.themes.stamp())
        if stamp == self._files_stamp:
            return
        first, self._files_stamp = self._files_stamp is None, stamp
        known = {
            binding.id: binding.key
            for owner in (type(self), *_SCREEN_TYPES)
            for binding in owner.BINDINGS
            if isinstance(binding, Binding) and binding.id is not None
        }
        keys, faults = read_keymap(self._keys_file, known)
        self.set_keymap(keys)
        self.keys_edition += 1
        faults = [*(f"{self._keys_file.name}: {fault}" for fault in faults), *self.themes.faults()]
        with suppress(ValueError):  # of a theme that is in use; it is among the faults
            self._palette = self.themes.load(self._palette.name)
            self.ink = Ink(self._palette.styles, self._palette.background, self._glyphs, self.colored)
        for fault in faults:
            log.warning("%s", fault)
        if faults:
            self.tell("; ".join(faults), 8.0)
        elif not first:
            self.tell("keys and themes read again")

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

    def on_unmount(self) -> None:
        """Remember the choices made."""
        self._keep()

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
            for screen in self.screen_stack[-1:]:
                screen.refresh()
        if not self.app_focus:
            self._skip = max(0, round(self.hz / _HZ_UNFOCUSED) - 1)
        if not self.frozen:
            self.snapshot = self.monitor.snapshot()
        self._draw()

    def _draw(self) -> None:
        known = self.snapshot.timeframes
        if known and self.timeframe not in known:
            self.timeframe = _TIMEFRAME if _TIMEFRAME in known else known[-1]
        for screen in self.screen_stack[-1:]:  # there is none while the app ends
            if not isinstance(screen, OverviewScreen):
                self.grid.update(self.snapshot, resort=False)
            if isinstance(screen, FeederScreen):
                screen.draw()

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

    def _keep(self) -> None:
        """Remember the choices made, if they changed."""
        kept = Kept(
            screen=self.current_mode,
            symbol=self.grid.wanted or self.grid.selected,
            timeframe=self.timeframe,
            sort_key=self.grid.sort_key,
            ascending=self.grid.ascending,
            theme=self._palette.name,
        )
        if self._state_file is not None and kept != self._kept:
            self._kept = kept
            write_kept(self._state_file, kept)

    # What people choose, on whatever screen

    def select(self, symbol: str) -> None:
        """Select a symbol, and drop a filter that hides it."""
        if symbol not in self.grid.order:
            self.grid.set_filter("")
        self.grid.select(symbol)
        self._replan()

    def sort_by(self, key: str) -> None:
        """Order the overview by a column; empty for the order of the configuration."""
        self.grid.sort_by(key)
        self._replan()

    def set_timeframe(self, timeframe: int) -> None:
        """Show another timeframe, seconds."""
        self.timeframe = timeframe
        self._replan()

    def step_timeframe(self, step: int) -> None:
        """The next longer or shorter timeframe."""
        known = self.snapshot.timeframes
        if self.timeframe in known:
            self.timeframe = known[min(max(known.index(self.timeframe) + step, 0), len(known) - 1)]

    def set_theme(self, name: str) -> None:
        """Draw with another theme."""
        try:
            self._palette = self.themes.load(name)
        except ValueError as fault:
            self.tell(str(fault), 5.0)
            return
        self.ink = Ink(self._palette.styles, self._palette.background, self._glyphs, self.colored)
        self.tell(f"theme {self._palette.name}: {self._palette.description}")

    def _replan(self) -> None:
        if isinstance(self.screen, FeederScreen):
            self.screen.replan()

    # What the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Faults are for a demo only."""
        return self.faults is not None if action == "faults" else True

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
        names = self.themes.names()
        at = names.index(self._palette.name) if self._palette.name in names else -1
        self.set_theme(names[(at + 1) % len(names)])

    def action_commands(self) -> None:
        """Everything that can be done, to search in."""
        if isinstance(self.screen, FeederScreen):
            self.screen.open_popup(palette(self))

    def action_copy(self) -> None:
        """The selected line to the terminal's clipboard."""
        text = self.screen.selected_text() if isinstance(self.screen, FeederScreen) else ""
        if text:
            self.copy_to_clipboard(text)
        self.tell(f"copied: {text}" if text else "nothing to copy here")

    def action_export(self) -> None:
        """Ask for the format."""
        if isinstance(self.screen, FeederScreen):
            self.screen.open_popup(export_menu(self._export, self.screen.table() is not None))

    def _export(self, form: str) -> None:
        assert isinstance(self.screen, FeederScreen)
        table = self.screen.table()
        name = table.name if table is not None else str(self.current_mode)
        if form == "svg":
            text = self.export_screenshot(title=f"{self.title} {name}")
        else:
            assert table is not None
            text = table.csv() if form == "csv" else table.json()
        try:
            path = write(Path.cwd(), file_name(name, form, self.snapshot.exchange_time), text)
        except OSError as fault:
            self.tell(f"not exported: {fault}", 5.0)
        else:
            self.tell(f"written: {path}", 5.0)

    def action_faults(self) -> None:
        """What can be made to fail."""
        if isinstance(self.screen, FeederScreen) and self.faults is not None:
            self.screen.open_popup(fault_menu(self.faults.options(), self.grid.selected, self._fault))

    def _fault(self, option: FaultOption | None) -> None:
        """Switch a fault on, or all off; the exchange is asked on a thread, since it may hang."""
        faults = self.faults
        assert faults is not None
        symbol = self.grid.selected if option is not None and option.of_symbol else None
        ask = faults.heal if option is None else partial(faults.switch_on, option.name, symbol)

        def work() -> None:
            self.call_from_thread(self.tell, ask(), 6.0)

        self.tell("asking the exchange")
        self.run_worker(work, thread=True, group="faults")

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
