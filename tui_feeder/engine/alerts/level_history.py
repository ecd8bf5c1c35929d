"""What levels of past days rest on, read from the store."""

from __future__ import annotations

from collections.abc import Sequence

from tui_feeder.config import Config
from tui_feeder.engine.alerts.level_watch import LevelsBefore
from tui_feeder.engine.analytics.profile.tools.anchored import AnchoredVwap
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.derived.profile_tools import ProfileTools
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import LONGEST_RANGE


class StoredLevelHistory:
    """Reads it beside the engine's loop.

    Args:
        store: where the minutes are.
        config: whose settings shape the profiles.
    """

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._config = config
        # The levels of the days to come are those of messages.
        self._tools = ProfileTools(store, config, as_messages=True)

    def before(self, symbol: str, end: int, anchors: Sequence[int]) -> LevelsBefore:
        """Reads the naked points of control and the anchored VWAPs at a moment.

        Args:
            symbol: a stored symbol.
            end: open time (ms) of the first minute that does not count.
            anchors: where VWAPs begin, ms; of one too long ago that of what is read at once.

        Returns:
            The levels.

        Raises:
            StoreError: the store is closed.
            BlockError: stored minutes are damaged.
        """
        days = self._config.volume_profile.for_symbol(symbol).historical_days
        levels = self._tools.day_levels(symbol, days, end, today=end - end % DAY_MS)
        naked = [(level.day, level.price) for level in levels if level.touched_at is None]
        anchored = {}
        for anchor in anchors:
            if anchor < end:
                anchored[anchor] = AnchoredVwap()
                anchored[anchor].load(self._store.read(symbol, max(anchor, end - LONGEST_RANGE), end))
        return LevelsBefore(naked, anchored)
