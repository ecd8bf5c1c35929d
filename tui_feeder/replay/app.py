"""The screens of a replay, with the keys that choose its moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from tui_feeder.app import FeederApp, QuitEffect, UiSettings
from tui_feeder.monitor import MINUTE_MS, ConfiguredValue
from tui_feeder.replay.monitor import ReplayMonitor
from tui_feeder.screens.app_keys import REPLAY_BINDINGS, bindings_with_quit

_HOUR_MS = 60 * MINUTE_MS


class ReplayApp(FeederApp, inherit_bindings=False):
    """The screen of a replay.

    Args:
        replay_monitor: what is shown and steered.
        settings: of the screen.
        state_file: where the screen remembers its choices; None to forget them.
        folder: of the user's configuration.
        configuration: every value in force, for people to look up.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings_with_quit("Leave the replay"),
        *REPLAY_BINDINGS,
    ]

    def __init__(
        self,
        replay_monitor: ReplayMonitor,
        settings: UiSettings,
        *,
        state_file: Path | None = None,
        folder: Path | None = None,
        configuration: Sequence[ConfiguredValue] = (),
    ) -> None:
        super().__init__(
            replay_monitor,
            settings,
            title="replay",
            state_file=state_file,
            folder=folder,
            quit_effect=QuitEffect.DETACHES,
            configuration=configuration,
        )
        self._replay_monitor = replay_monitor

    def action_play(self) -> None:
        """Stand still, or go on."""
        self._replay_monitor.play(not self._replay_monitor.clock.playing)

    def action_seek(self, hours: int) -> None:
        """Jump so many hours on, or below 0 back."""
        self._replay_monitor.seek_by(hours * _HOUR_MS)

    def action_faster(self, steps: int) -> None:
        """So many steps faster, or below 0 slower."""
        self._replay_monitor.faster(steps)
        self.show_note(f"speed {self._replay_monitor.clock.speed:g}x")
