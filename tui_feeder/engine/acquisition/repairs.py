"""Minutes that came late, or were published with other values: stored, then published anew from there on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tui_feeder.engine.core.candle import Candle, Source, to_rows
from tui_feeder.engine.core.supervisor import Supervisor
from tui_feeder.engine.storage.store import Store


class Repairs:
    """Repairs all that wait of a symbol in one go. Runs on the engine's loop.

    Args:
        store: takes late minutes.
        supervisor: runs a part ``repair SYMBOL`` while there is something to do.
        rebuild: publishes a symbol anew from a minute (ms) on.
    """

    def __init__(
        self, store: Store, supervisor: Supervisor, rebuild: Callable[[str, int], Awaitable[None]]
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._rebuild = rebuild
        self.waiting: dict[str, list[tuple[Candle, Source | None]]] = {}  # by symbol

    def add(self, symbol: str, candle: Candle, source: Source | None) -> None:
        """Has a minute repaired.

        Args:
            symbol: whose.
            candle: the minute.
            source: where it is from; None where it is stored already.
        """
        self.waiting.setdefault(symbol, []).append((candle, source))
        if not self._supervisor.alive(f"repair {symbol}"):
            self._supervisor.start(f"repair {symbol}", lambda: self._repair(symbol), restart=False)

    def forget(self, symbol: str) -> None:
        """Drops what waits of a symbol that is followed no longer.

        Args:
            symbol: which.
        """
        self.waiting.pop(symbol, None)
        self._supervisor.cancel(f"repair {symbol}")

    async def _repair(self, symbol: str) -> None:
        while waiting := self.waiting.pop(symbol, None):
            puts = [
                self._store.put(symbol, to_rows([candle]), source)
                for candle, source in waiting
                if source is not None
            ]
            for put in puts:
                await asyncio.wrap_future(put)
            await self._rebuild(symbol, min(candle.open_time for candle, _ in waiting))
