"""The screens of a replay, with the keys that choose its moment."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from tui_feeder.app import FeederApp, Leaving, UiSettings
from tui_feeder.monitor import MINUTE_MS
from tui_feeder.replaying.player import Player
from tui_feeder.screens.app_keys import REPLAY_BINDINGS, leaving_by

_HOUR_MS = 60 * MINUTE_MS


class ReplayApp(FeederApp, inherit_bindings=False):
    """The screen of a replay.

    Args:
        player: what is shown and steered.
        settings: of the screen.
        state_file: where the screen remembers its choices; None to forget them.
        folder: of the user's configuration.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *leaving_by("Leave the replay"),
        *REPLAY_BINDINGS,
    ]

    def __init__(
        self,
        player: Player,
        settings: UiSettings,
        *,
        state_file: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__(
            player, settings, title="replay", state_file=state_file, folder=folder, leaving=Leaving.DETACHES
        )
        self._player = player

    def action_play(self) -> None:
        """Stand still, or go on."""
        self._player.play(not self._player.clock.playing)

    def action_seek(self, hours: int) -> None:
        """Jump so many hours on, or below 0 back."""
        self._player.seek_by(hours * _HOUR_MS)

    def action_faster(self, steps: int) -> None:
        """So many steps faster, or below 0 slower."""
        self._player.faster(steps)
        self.tell(f"speed {self._player.clock.speed:g}x")
