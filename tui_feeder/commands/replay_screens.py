"""``feeder-tui replay --ui``: stored candles on the screens, at a moment that can stand, go and jump."""

from __future__ import annotations

import contextlib
import traceback

import typer

from tui_feeder.commands import failures
from tui_feeder.commands.replay_run import replay_range
from tui_feeder.config import LoadedConfig
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExitCode, UsageError
from tui_feeder.logs import configure_logging
from tui_feeder.paths import config_folder, state_folder
from tui_feeder.runner import effective_values

#: Exchange seconds in a real second: a minute a second.
SPEED = 60.0


def run(
    loaded: LoadedConfig, names: list[str] | None, start: int | None, end: int | None, speed: float | None
) -> int:
    """Shows the screens until the user leaves.

    Without ``start`` the whole store can be replayed, beginning a day before its end.

    Args:
        loaded: the configuration.
        names: symbols or patterns; None for all that are stored.
        start: ms of the first moment.
        end: ms of the last moment; None for the end of the last stored minute.
        speed: exchange seconds in a real second; None for :data:`SPEED`.

    Returns:
        The exit code.

    Raises:
        StoreError: there is no store.
        UsageError: a symbol is not stored, or no minute lies in the range.
    """
    from tui_feeder.replay.app import ReplayApp
    from tui_feeder.replay.monitor import ReplayMonitor
    from tui_feeder.screens.appearance import ui_settings

    config = loaded.config
    log_file = configure_logging(config, state_folder() / "replay.log", own=True)
    with contextlib.closing(Store(config.application.storage_path, read_only=True)) as store:
        symbols, low, high = replay_range(store, names, start, end)
        at = low if start is not None else max(low, high - DAY_MS)
        with contextlib.closing(
            ReplayMonitor(store, config, symbols, low, high, speed or SPEED, at)
        ) as replay_monitor:
            try:
                app = ReplayApp(
                    replay_monitor, ui_settings(loaded),
                    state_file=state_folder() / "screen.json", folder=config_folder(),
                    configuration=effective_values(loaded),
                )  # fmt: skip
            except ValueError as error:
                raise UsageError(f"[ui] cannot be used: {error}") from error
            replay_monitor.play(True)
            reason = app.run()
            if reason is not None:
                return 0
            if failures.debugging and app.failure is not None:
                traceback.print_exception(app.failure)
            name = type(app.failure).__name__
            typer.echo(f"feeder-tui: the screen failed ({name}); log in {log_file}", err=True)
            return ExitCode.FAILED
