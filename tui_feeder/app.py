"""The app: pulls a snapshot on every tick, hands it to the screen in front, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import AutopilotCallbackType
from textual.binding import BindingType
from textual.events import Key, Resize

from tui_feeder.monitor import AlertView, ConfiguredValue, Faults, Monitor
from tui_feeder.scanner.watchlists import FILE_NAME as LISTS_FILE
from tui_feeder.scanner.watchlists import UserLists
from tui_feeder.screens.alert_notices import AlertNotices, alert_list, alert_text
from tui_feeder.screens.alert_rules import rule_form, rules_list
from tui_feeder.screens.app_keys import APP_BINDINGS, bindings_with_quit
from tui_feeder.screens.appearance import Appearance, UiSettings
from tui_feeder.screens.base import FeederScreen, keys_of
from tui_feeder.screens.chart import ChartScreen
from tui_feeder.screens.cluster import ClusterScreen
from tui_feeder.screens.command_palette import command_palette, export_menu, fault_menu
from tui_feeder.screens.data import DataScreen
from tui_feeder.screens.footprint import FootprintScreen
from tui_feeder.screens.gaps import GapsScreen
from tui_feeder.screens.glossary import glossary
from tui_feeder.screens.help import HelpScreen
from tui_feeder.screens.key_names import named_bindings
from tui_feeder.screens.keymap import split_keys
from tui_feeder.screens.log import LogScreen
from tui_feeder.screens.market_map import MapScreen
from tui_feeder.screens.origins import configuration_list, origins_sheet
from tui_feeder.screens.overview import OverviewScreen
from tui_feeder.screens.profile import ProfileScreen
from tui_feeder.screens.quit import ExitReason, QuitEffect, quit_prompt
from tui_feeder.screens.sources import SourcesScreen
from tui_feeder.screens.ui_state import UiState, read_ui_state, write_ui_state
from tui_feeder.screens.user_lists import ListsFile
from tui_feeder.terminal import (
    BACKLOG_LIMIT,
    CrashLoggingApp,
    driver_type,
    hung_up,
    lost_writes,
    missed_resize,
    signals,
    write_backlog,
)
from tui_feeder.widgets.breadth import MarketGroups
from tui_feeder.widgets.color_themes.themes import Themes, theme_names
from tui_feeder.widgets.lines import rule_of
from tui_feeder.widgets.overview_grid import Grid, sort_keys
from tui_feeder.widgets.palette import Palette, Part
from tui_feeder.widgets.popup import Overlay

__all__ = ["ExitReason", "FeederApp", "QuitEffect", "UiSettings", "theme_names"]

log = logging.getLogger(__name__)

_RELOAD_SECONDS = 1.0
_SCREENS = ("overview", "chart", "profile", "gaps", "data", "sources", "log", "cluster", "footprint", "map")
_TIMEFRAME = 3_600  # of the first run
_INTERRUPT_SECONDS = 2.0
_SAVE_SECONDS = 5.0
_NOTICE_SECONDS = 10.0
_HZ_UNFOCUSED = 1.0
#: What some screens cannot do: its key, action and parameters, and why.
_ELSEWHERE: dict[str, tuple[str, tuple[object, ...], str]] = {
    "app.faults": (
        "faults",
        (),
        "faults can be injected on the own screen of a demo alone: feeder-tui --demo",
    ),
    "app.configuration": ("configuration", (), "the configuration is not known here: feeder-tui config show"),
    "app.cluster": (
        "go",
        ("cluster",),
        "no cluster: cluster.enabled = true makes this feeder a worker (docs/cluster.md)",
    ),
}


class FeederApp(CrashLoggingApp[ExitReason], inherit_bindings=False):
    """The screen of a feeder.

    Args:
        monitor: where the snapshots come from; it must answer at once.
        settings: of the screen.
        title: of the program, for the status line.
        faults: of the exchange of a demo; None where there are none to switch.
        state_file: where the screen remembers its choices; None to forget them.
        folder: of the user's configuration: ``keys.toml`` and ``themes/*.toml`` in it are read, and again
            when they change.
        quit_effect: what ends with the screen.
        configuration: every value in force, for people to look up.

    Raises:
        ValueError: a theme, symbol set or colour setting that does not exist; the text lists what does.
    """

    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False  # a drag moves a crosshair; text is marked with the terminal's own key for it
    DEFAULT_MODE = "overview"
    BINDINGS: ClassVar[list[BindingType]] = [*APP_BINDINGS]

    def __init__(
        self,
        monitor: Monitor,
        settings: UiSettings,
        *,
        title: str,
        faults: Faults | None = None,
        state_file: Path | None = None,
        folder: Path | None = None,
        quit_effect: QuitEffect = QuitEffect.STOPS,
        configuration: Sequence[ConfiguredValue] = (),
    ) -> None:
        state = read_ui_state(state_file) if state_file is not None else UiState()
        self.appearance = Appearance(settings, state.theme, folder)
        self.colored = self.appearance.colored
        super().__init__(driver_class=driver_type(), ansi_color=True)
        self.console = self.appearance.console()
        self.theme = "ansi-dark"  # Textual's own colours are the terminal's; all others come from the palette
        self.title = title
        self.monitor = monitor
        self.settings = settings
        self.hz = settings.rate
        self.snapshot = monitor.snapshot()
        self.faults = faults
        self.grid = Grid()
        self.grid.wanted = state.symbol
        self.grid.set_sort(sort_keys((state.sort or "").split(",") if state.sort else ()))
        self.timeframe = state.timeframe or _TIMEFRAME
        self.mouse = settings.mouse
        self.frozen = False
        self.beside: str | None = None
        self.note = ""  # instead of the keys, for a moment
        self.ticks_skipped = 0
        self._skip = 0
        self._interrupted = False
        self._asked_to_stop: ExitReason | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self.quit_effect = quit_effect
        self.configuration = tuple(configuration)
        self._notices = AlertNotices()
        self._notices.take(self.snapshot)  # what went off before is no news
        self._market = MarketGroups()
        self.lists = ListsFile(None if state_file is None else state_file.with_name(LISTS_FILE), self.grid)
        self.add_mode("overview", lambda: OverviewScreen(self))
        self.add_mode("chart", lambda: ChartScreen(self))
        self.add_mode("profile", lambda: ProfileScreen(self))
        self.add_mode("gaps", lambda: GapsScreen(self))
        self.add_mode("data", lambda: DataScreen(self))
        self.add_mode("sources", lambda: SourcesScreen(self))
        self.add_mode("log", lambda: LogScreen(self))
        self.add_mode("cluster", lambda: ClusterScreen(self))
        self.add_mode("footprint", lambda: FootprintScreen(self))
        self.add_mode("map", lambda: MapScreen(self))
        self._first = state.screen if state.screen in _SCREENS else None
        self._state_file = state_file
        self.keys_edition = 0  # rises when keys change
        self._own_keys: dict[str, str] = {}
        self._saved_state = state

    def on_mount(self) -> None:
        """Begin to tick, on the screen where the last run ended."""
        self._own_loop = asyncio.get_running_loop()
        self._stop_if_asked()
        if self._first is not None and self.check_action("go", (self._first,)):
            self.switch_mode(self._first)
        self.set_interval(1 / self.hz, self.tick, name="tick")
        if self._state_file is not None:
            self.set_interval(_SAVE_SECONDS, self._save_state)
        self.set_interval(_RELOAD_SECONDS, self.reload_user_files)
        self.call_after_refresh(self.reload_user_files, first=True)

    @property
    def themes(self) -> Themes:
        """The themes there are."""
        return self.appearance.themes

    @property
    def palette(self) -> Palette:
        """Styles and symbols in force."""
        return self.appearance.palette

    def reload_user_files(self, first: bool = False) -> None:
        """Loads the user's keys and themes if one of the files has changed; errors are shown in one line.

        Args:
            first: at the start: load them in any case.
        """
        fault = self.lists.reload()
        if fault is not None:
            self.show_note(fault, 8.0)
        changed = self.appearance.changed_files({name: b.key for name, b in named_bindings().items()})
        if changed is None:
            return
        keys, faults = changed
        self.set_keymap(keys)
        self._own_keys = keys
        self.keys_edition += 1
        for fault in faults:
            log.warning("%s", fault)
        if faults:
            self.show_note("; ".join(faults), 8.0)
        elif not first:
            self.show_note("keys and themes read again")

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
        """Runs until the user quits; SIGINT, SIGTERM and SIGHUP end it and restore the terminal.

        Args:
            headless: see Textual's ``App.run_async``, also for the others.
            inline: as there.
            inline_no_clear: as there.
            mouse: as there.
            size: as there.
            auto_pilot: as there.

        Returns:
            Why it ended.
        """
        loop = asyncio.get_running_loop()
        with signals(loop, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], self._on_signal):
            return await super().run_async(
                headless=headless,
                inline=inline,
                inline_no_clear=inline_no_clear,
                mouse=mouse and self.mouse,
                size=size,
                auto_pilot=auto_pilot,
            )

    def on_key(self, event: Key) -> None:
        """A key that nothing takes: typed before a list was there, or of what there is not here."""
        screen = self.screen
        if not isinstance(screen, FeederScreen):
            return
        if screen.check_consume_key(event.key, event.character):
            screen.on_key(event)
            return
        for name, (action, parameters, why) in _ELSEWHERE.items():
            keys = split_keys(self._own_keys.get(name, named_bindings()[name].key))
            if event.key in keys and not self.check_action(action, parameters):
                self.show_note(why, 5.0)

    def on_unmount(self) -> None:
        """Remember the choices made."""
        self._save_state()

    def request_stop(self, reason: ExitReason = ExitReason.STOP) -> None:
        """Ends the app, from any thread or signal handler; if it does not run yet, as soon as it does.

        Args:
            reason: why it ends.
        """
        self._asked_to_stop = reason
        loop = self._own_loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._stop_if_asked)

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
        if lost_writes(self) and self.screen_stack:
            self.screen.refresh()
        if (size := missed_resize(self)) is not None:
            self.post_message(Resize(size, size))
        if not self.app_focus:
            self._skip = max(0, round(self.hz / _HZ_UNFOCUSED) - 1)
        if not self.frozen:
            before, self.snapshot = self.snapshot, self.monitor.snapshot()
            if (before.cluster is None) != (self.snapshot.cluster is None):
                self.keys_edition += 1  # the key of the cluster's screen
        self._draw()

    def _draw(self) -> None:
        known = self.snapshot.timeframes
        if known and self.timeframe not in known:
            self.timeframe = _TIMEFRAME if _TIMEFRAME in known else known[-1]
        self._notify(self._notices.take(self.snapshot))
        screen = self.screen_stack[-1] if self.screen_stack else None  # there is none while the app ends
        if not isinstance(screen, OverviewScreen):
            self.grid.update(self.snapshot, resort=False)
        if isinstance(screen, FeederScreen):
            screen.draw()

    def _stop_if_asked(self) -> None:
        if self._asked_to_stop is not None:
            self.exit(self._asked_to_stop)

    def _on_signal(self, number: int) -> None:
        self.exit(ExitReason.HANGUP if number == signal.SIGHUP else ExitReason.SIGNAL)

    def show_note(self, text: str, seconds: float = 2.0, after: Callable[[], None] | None = None) -> None:
        """Shows a text in place of the keys for a moment.

        Args:
            text: the text.
            seconds: how long.
            after: called when it is gone.
        """
        self.note = text
        self._draw()
        self._end_note(text, seconds, after)

    def _end_note(self, text: str, seconds: float, after: Callable[[], None] | None = None) -> None:
        def over() -> None:
            if self.note == text:
                self.note = ""
                self._draw()
            if after is not None:
                after()

        self.set_timer(seconds, over)

    def _save_state(self) -> None:
        """Remember the choices made, if they changed."""
        state = UiState(
            screen=self.current_mode,
            symbol=self.grid.wanted or self.grid.selected,
            timeframe=self.timeframe,
            sort=",".join(key.text for key in self.grid.sort),
            theme=self.appearance.theme,
        )
        if self._state_file is not None and state != self._saved_state:
            self._saved_state = state
            write_ui_state(self._state_file, state)

    def select(self, symbol: str) -> None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.select`."""
        if symbol not in self.grid.order:
            self.grid.set_filter("")
        self.grid.select(symbol)
        self._replan()

    def sort_by(self, field: str) -> None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.sort_by`."""
        self.grid.sort_by(field)
        self._replan()

    def then_by(self, field: str) -> None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.then_by`."""
        self.grid.then_by(field)
        self._replan()

    def set_filter(self, text: str) -> str | None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.set_filter`."""
        fault = self.grid.set_filter(text)
        self._replan()
        return fault

    def change_lists(self, change: Callable[[UserLists], UserLists]) -> str | None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.change_lists`."""
        fault = self.lists.change(change)
        self._replan()
        return fault

    def open_overlay(self, overlay: Overlay) -> None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.open_overlay`."""
        if isinstance(self.screen, FeederScreen):
            self.screen.open_popup(overlay)

    def close_overlay(self, overlay: Overlay) -> None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.close_overlay`."""
        if isinstance(self.screen, FeederScreen) and self.screen.popup is overlay:
            self.screen.close_popup()

    def when_done(self, change: Future[str], then: Callable[[str], None]) -> None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.when_done`."""
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()

        def over(done: Future[str]) -> None:
            fault = done.exception()
            with contextlib.suppress(RuntimeError):  # the screen has ended
                result = done.result() if fault is None else f"failed: {fault!r}"
                loop.call_soon_threadsafe(finish, result, context=context)

        def finish(result: str) -> None:
            if self.is_running:
                then(result)

        change.add_done_callback(over)

    @property
    def market(self) -> tuple[list[Part], ...]:
        """Breadth and movers for the first line."""
        return self._market.groups(self.snapshot, self.timeframe, self.palette.glyphs)

    def _notify(self, fresh: Sequence[AlertView]) -> None:
        """Ring for alerts that have just gone off, and show the newest where no news line does."""
        if not fresh:
            return
        if any(alert.rings for alert in fresh):
            self.bell()
        if not isinstance(self.screen_stack[-1] if self.screen_stack else None, OverviewScreen):
            rule = rule_of(self.snapshot, fresh[-1])
            named = f" · rule {rule}" if rule else ""
            self.note = f"! {alert_text(fresh[-1], self.palette.zone)}{named} · a lists the alerts"
            self._end_note(self.note, _NOTICE_SECONDS)

    def acknowledge_alerts(self) -> None:
        """Acknowledge every alert."""
        self.monitor.acknowledge()
        self.show_note("all alerts acknowledged")

    def set_timeframe(self, timeframe: int) -> None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.set_timeframe`."""
        self.timeframe = timeframe
        self._replan()

    def step_timeframe(self, step: int) -> None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.step_timeframe`."""
        known = self.snapshot.timeframes
        if self.timeframe in known:
            self.timeframe = known[min(max(known.index(self.timeframe) + step, 0), len(known) - 1)]

    def set_theme(self, name: str) -> None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.set_theme`."""
        try:
            description = self.appearance.choose(name)
        except ValueError as fault:
            self.show_note(str(fault), 5.0)
        else:
            self.show_note(f"theme {name}: {description}")

    def _replan(self) -> None:
        if isinstance(self.screen, FeederScreen):
            self.screen.replan()

    # What the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Faults are for a demo only; a configuration or a cluster cannot be shown where none is known."""
        if (action, parameters) == ("go", ("cluster",)):
            return self.snapshot.cluster is not None
        needed = {"faults": self.faults, "configuration": self.configuration or None}
        return needed[action] is not None if action in needed else True

    def action_go(self, mode: str) -> None:
        """Another screen."""
        self.show_screen(mode)

    def show_screen(self, mode: str) -> None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.show_screen`."""
        while len(self.screen_stack) > 1:  # help lies over it
            self.pop_screen()
        self.switch_mode(mode)

    def action_leave(self) -> None:
        """Ask, naming what ends and what goes on."""
        if isinstance(self.screen, FeederScreen):
            leave = partial(self.exit, ExitReason.QUIT)
            if self.quit_effect is QuitEffect.DETACHES or self.snapshot.state in ("stopped", "failed"):
                leave()  # nothing is lost by it
            else:
                self.screen.open_popup(quit_prompt(self.snapshot, self.quit_effect, leave))

    def action_origins(self) -> None:
        """Where the values of the selected symbol come from."""
        if isinstance(self.screen, FeederScreen) and self.grid.view is not None:
            self.screen.open_popup(origins_sheet(self))

    def action_alerts(self) -> None:
        """The last alerts, to acknowledge."""
        self.open_overlay(alert_list(self))

    def action_alert_rules(self) -> None:
        """The rules of alerts; where there is none, the form for the first one."""
        known = self.snapshot.alert_rules
        is_list = known.rules or known.locked or self.grid.selected is None
        self.open_overlay(rules_list(self) if is_list else rule_form(self, None))

    def action_configuration(self) -> None:
        """Every value of the configuration and where it is from."""
        if isinstance(self.screen, FeederScreen):
            self.screen.open_popup(configuration_list(self))

    def action_interrupt(self) -> None:
        """Quit at the second time."""
        if self._interrupted:
            self.exit(ExitReason.QUIT)
            return
        self._interrupted = True
        self.show_note(
            f"press ctrl+c again to {self.quit_effect.verb}", _INTERRUPT_SECONDS, self._reset_interrupt
        )

    def _reset_interrupt(self) -> None:
        self._interrupted = False

    def action_freeze(self) -> None:
        """Hold the display still, or let it go on."""
        self.frozen = not self.frozen
        if not self.frozen:
            self.snapshot = self.monitor.snapshot()
        self._draw()

    def action_theme(self) -> None:
        """The next theme."""
        self.set_theme(self.appearance.next_theme())

    def action_commands(self) -> None:
        """Everything that can be done, to search in."""
        if isinstance(self.screen, FeederScreen):
            self.screen.open_popup(command_palette(self.screen))

    def copy(self, text: str) -> None:
        """See :meth:`tui_feeder.screens.host.ScreenHost.copy`."""
        if text:
            self.copy_to_clipboard(text)
        lines = text.count("\n") + 1
        shown = text if lines == 1 else f"{lines} lines"
        self.show_note(f"copied: {shown}" if text else "nothing to copy here")

    def action_copy(self) -> None:
        """The selected line to the terminal's clipboard."""
        self.copy(self.screen.selected_text() if isinstance(self.screen, FeederScreen) else "")

    def action_export(self) -> None:
        """Ask for the format."""
        if isinstance(self.screen, FeederScreen):
            self.screen.open_popup(export_menu(self.screen))

    def action_faults(self) -> None:
        """What can be made to fail."""
        if isinstance(self.screen, FeederScreen) and self.faults is not None:
            self.screen.open_popup(fault_menu(self.screen, self.faults))

    def action_help(self) -> None:
        """The keys of the screen in front; again to go back."""
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        else:
            terms = glossary(str(self.current_mode), self.palette.glyphs, self.snapshot.indicators)
            self.push_screen(HelpScreen(self, keys_of(self.screen), terms))


class AttachedApp(FeederApp, inherit_bindings=False):
    """The screen of a feeder that runs in another process, and goes on there.

    Args:
        monitor: the other end of its socket.
        settings: of the screen.
        state_file: where the screen remembers its choices; None to forget them.
        folder: of the user's configuration.
        configuration: of that feeder.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_with_quit("Quit; the feeder keeps running")]

    def __init__(
        self,
        monitor: Monitor,
        settings: UiSettings,
        *,
        state_file: Path | None = None,
        folder: Path | None = None,
        configuration: Sequence[ConfiguredValue] = (),
    ) -> None:
        super().__init__(
            monitor, settings, title="attached", state_file=state_file, folder=folder,
            quit_effect=QuitEffect.DETACHES, configuration=configuration,
        )  # fmt: skip
