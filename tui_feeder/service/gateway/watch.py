"""Notifies whoever waits that something was committed to the store, by this process or another."""

from __future__ import annotations

import asyncio

from tui_feeder.service.gateway.series import Series

#: Between two looks while somebody waits, real seconds.
_LOOK_SECONDS = 0.01


class StoreWatch:
    """Looks at the store while somebody waits. Calls come from one loop.

    Args:
        series: takes notice of what was committed.
    """

    def __init__(self, series: Series) -> None:
        self._series = series
        self._waiting: set[asyncio.Future[None]] = set()
        self._wanted = asyncio.Event()

    async def changed(self) -> None:
        """Wait until something was committed after this call."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        self._wanted.set()
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    async def run(self) -> None:
        """Look, for ever.

        Raises:
            StoreError: the store is closed.
        """
        while True:
            await self._wanted.wait()
            seen = self._series.version
            while self._waiting:
                await asyncio.sleep(_LOOK_SECONDS)
                self._series.look()
                if self._series.version != seen:  # whoever took notice of it
                    break
            self._wanted.clear()
            waiting, self._waiting = self._waiting, set()
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)
