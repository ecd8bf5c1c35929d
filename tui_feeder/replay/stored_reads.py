"""What a screen asks of a replay beside its snapshot, read from the store: nothing after the moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tui_feeder.config import Config
from tui_feeder.engine import snapshots
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, SECOND_MS, Rows, Source
from tui_feeder.engine.derived.chart_window import Windows
from tui_feeder.engine.derived.profile_views import ProfileViews
from tui_feeder.engine.derived.settings import analysed
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import MinuteState, ProfileView

#: A stretch so short shows which minutes came from the stream, as a live feeder's does.
_SOURCED_MS = 2 * DAY_MS
_STATES = tuple(MinuteState)
NO_ROWS: Rows = np.empty(0, dtype=ROW)


class StoredReads:
    """Reads for the screens. ``closed`` is the exclusive end of the newest minute that may be seen, ms.

    Args:
        store: where the candles are; once it is closed there is nothing to see.
        config: whose analysis settings count.
        end: ms, the end of the replay: up to it may be read ahead, of which nothing is handed out.
    """

    def __init__(self, store: Store, config: Config, end: int) -> None:
        self._store = store
        self._end = end
        self._periods = analysed(config)[1]
        self._windows = Windows(store, self._periods)
        self._profiles = ProfileViews(store, config)

    def bars(
        self, symbol: str, timeframe: int, count: int, end: int | None, closed: int
    ) -> tuple[Rows, tuple[NDArray[np.float64], ...]]:
        """Completed bars and the EMAs aligned with them; see :class:`tui_feeder.monitor.Monitor`."""
        frame = timeframe * SECOND_MS
        until = closed // frame * frame
        wanted = until if end is None else min(end // frame * frame, until)
        try:
            return self._windows.bars(symbol, timeframe, count, wanted, self._end // frame * frame)
        except StoreError:
            return NO_ROWS, tuple(np.empty(0) for _ in self._periods)

    def open_bar(self, symbol: str, timeframe: int, closed: int) -> Rows:
        """What the minutes since the last completed bar come to: one row, or none."""
        frame = timeframe * SECOND_MS
        try:
            return self._windows.open_bar(symbol, timeframe, closed // frame * frame, closed)
        except StoreError:
            return NO_ROWS

    def profile(self, symbol: str, day: int | None, closed: int) -> ProfileView | None:
        """The profile of a UTC day as far as it had gone."""
        start = (closed - MINUTE_MS) // DAY_MS * DAY_MS if day is None else day
        end = min(closed, start + DAY_MS)
        try:
            return self._profiles.of(symbol, start, end) if end > start else None
        except StoreError:
            return None

    def coverage(self, symbol: str, start: int, end: int, cells: int, closed: int) -> tuple[MinuteState, ...]:
        """The state of ``cells`` equal parts of ``[start, end)``; what comes after ``closed`` is outside."""
        states = np.zeros((end - start) // MINUTE_MS, dtype=np.uint8)
        until = min(end, closed) // MINUTE_MS * MINUTE_MS
        try:
            present = self._store.present(symbol)
            for low, high in present.missing(min(present.start, until), until).clip(start, until):
                states[_minutes(start, low, high)] = _STATES.index(MinuteState.MISSING)
            for low, high in present.clip(start, until):
                states[_minutes(start, low, high)] = _STATES.index(MinuteState.STORED)
            if end - start <= _SOURCED_MS and until > start:
                rows, sources = self._store.read_sourced(symbol, start, until)
                at = (rows["open_time"][sources == Source.STREAM] - start) // MINUTE_MS
                states[at] = _STATES.index(MinuteState.LIVE)
        except StoreError:
            return (MinuteState.OUTSIDE,) * cells
        return snapshots.worst(states, cells)

    def sources(self, symbol: str, start: int, end: int, closed: int) -> dict[str, int]:
        """How many minutes of ``[start, end)`` up to ``closed`` came from which source."""
        try:
            return snapshots.sources(self._store, symbol, start, min(end, closed))
        except StoreError:
            return {}


def _minutes(start: int, low: int, high: int) -> slice:
    return slice((low - start) // MINUTE_MS, (high - start) // MINUTE_MS)
