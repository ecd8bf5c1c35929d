"""Keeps the stored profiles of past days complete while the engine runs."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

from tui_feeder.config import Config
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat, wait_for_work
from tui_feeder.engine.derived.inputs import inputs_of
from tui_feeder.engine.derived.settings import profile_settings
from tui_feeder.engine.derived.stored_profiles import (
    MISSING,
    TODAY,
    WHOLE,
    Built,
    begin_days,
    days_wanted,
    newest_day,
)
from tui_feeder.engine.storage.store import Store


class ProfileBuilder:
    """Builds days one symbol after the other, on a worker thread; run it as a part of the engine."""

    def __init__(self, config: Config, store: Store, journal: Journal, workers: ThreadPoolExecutor) -> None:
        self._config = config
        self._store = store
        self._journal = journal
        self._workers = workers
        self._waiting: dict[str, str] = {}  # symbol -> mode, in the order asked
        self._asked = asyncio.Event()
        self._days: dict[str, int] = {}  # the day of each symbol's last minute

    def begin(self, symbol: str) -> None:
        """Queues the days of ``volume_profile.reprocessing.mode`` once a symbol's history is complete.

        Args:
            symbol: the symbol.
        """
        self._ask(symbol, self._config.volume_profile.reprocessing.mode)

    def repaired(self, symbol: str) -> None:
        """Queues the days whose stored minutes have changed.

        Args:
            symbol: the symbol.
        """
        self._ask(symbol, MISSING)

    def forget(self, symbol: str) -> None:
        """Drops a symbol that is no longer tracked.

        Args:
            symbol: the symbol.
        """
        self._waiting.pop(symbol, None)
        self._days.pop(symbol, None)

    def committed(self, symbol: str, open_time: int) -> None:
        """Notes a committed minute; the first of a day completes the day before.

        Args:
            symbol: the symbol.
            open_time: of the minute, ms.
        """
        day = open_time // DAY_MS
        if self._days.setdefault(symbol, day) != day:
            self._days[symbol] = day
            self._ask(symbol, MISSING)

    def _ask(self, symbol: str, mode: str) -> None:
        if self._waiting.get(symbol) != WHOLE and not (symbol in self._waiting and mode == TODAY):
            self._waiting[symbol] = mode
        self._asked.set()

    async def run(self) -> None:
        """Build what is asked for, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            wait_for_work()
            await self._asked.wait()
            self._asked.clear()
            while self._waiting:
                heartbeat(works=OUTSIDE_SECONDS, unless=self._store.paused)
                symbol = next(iter(self._waiting))
                mode = self._waiting.pop(symbol)
                try:
                    built, commits = await loop.run_in_executor(self._workers, self._begin, symbol, mode)
                    for commit in commits:  # on a full disk this waits, and a worker must not
                        await asyncio.wrap_future(commit)
                except asyncio.CancelledError:  # it took too long: once more, after the others
                    self._ask(symbol, mode)
                    raise
                self._journal.count("profile_days_built", built.built)

    def _begin(self, symbol: str, mode: str) -> tuple[Built, list[Future[None]]]:
        settings = profile_settings(self._config, symbol, inputs_of(self._store, symbol).tick_size)
        newest = newest_day(self._store, symbol)
        if settings is None or newest is None:
            return Built(), []
        days = days_wanted(mode, newest, self._config.volume_profile.for_symbol(symbol).historical_days)
        return begin_days(self._store, symbol, settings, days, again=mode != MISSING)
