"""The exchange as a command needs it: archive and REST for the length of one command, and their troubles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from tui_feeder.config import Config
from tui_feeder.engine.acquisition.backfill import History
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.exchanges.base import Refusal, RestError, SymbolInfo
from tui_feeder.engine.exchanges.configured import configured_exchange
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExchangeFailure

_TRIES = 3
#: REST refuses this machine while the archive may serve it: a command goes on without REST.
_REFUSALS = (Refusal.REFUSED_HERE, Refusal.FORBIDDEN, Refusal.BANNED)


class ExchangeError(ExchangeFailure):
    """The exchange cannot be asked."""


class Connection:
    """The exchange and its clock; an async context manager.

    Attributes:
        refused: why REST cannot be used although the archive may be; "" when it can.
        odd: entries of the listing that cannot be used, by name, and why.

    Args:
        store: knows of a ban that an earlier run met, and, unless it is read-only, keeps one met now.

    Raises:
        ProxyError: the proxy on the way cannot be used.
    """

    def __init__(self, config: Config, store: Store) -> None:
        self._workers = worker_thread()
        self.exchange = configured_exchange(config, self._workers, store)
        self.clock = self.exchange.clock
        self.journal = Journal(self.clock.now)
        self.exchange.on_unusable = partial(self.journal.unusable, "unusable_rest_rows")
        self.refused = ""
        self.unusable: dict[str, str] = {}
        self._config = config
        self._store = store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.exchange.close()
        self._workers.shutdown(wait=True, cancel_futures=True)

    def history(self, on_archive: Callable[[str, bool, str], None]) -> History:
        """What fills missing minutes of the store.

        Args:
            on_archive: called for each archive that was asked for, see :class:`History`.

        Returns:
            One for this connection's store.
        """
        return History(
            self.exchange,
            self._store,
            self.journal,
            self._workers,
            monthly_threshold_months=self._config.application.monthly_threshold_months,
            concurrency=self._config.exchange.archive_concurrency,
            on_archive=on_archive,
        )

    async def listed(self, wanted: Sequence[str]) -> dict[str, SymbolInfo]:
        """Measure the exchange's clock and read its symbols; empty where REST refuses, see ``refused``.

        Args:
            wanted: names and patterns of the symbols needed.

        Returns:
            The listed symbols by name.

        Raises:
            ExchangeError: it cannot be reached.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                await self.exchange.sync_clock()
                found = await self.exchange.listings(wanted)
                self.unusable = found.unusable
                return found.symbols
            except RestError as error:
                if self.refuses(error):
                    return {}
                if attempt == _TRIES:
                    raise ExchangeError(self._described(error)) from error
                await asyncio.sleep(0.5 * 2**attempt)
        raise AssertionError("unreachable")

    def _described(self, error: RestError) -> str:
        """What went wrong, with the address where the error does not name it, and what to do."""
        text, address = str(error), self.exchange.address
        where = "" if address in text or "://" in text else f"the exchange at {address}: "
        return f"{where}{text}: feeder-tui doctor checks the way to the exchange"

    def refuses(self, error: RestError) -> bool:
        """Checks whether REST cannot be used at all for now; remembered in ``refused``.

        Args:
            error: of a request.

        Returns:
            True if so.
        """
        if error.kind in _REFUSALS:
            self.refused = str(error)
        return error.kind in _REFUSALS

    def closed_until(self, symbol: str) -> int:
        """The last minute that REST gives for good.

        Args:
            symbol: whose.

        Returns:
            Its exclusive end, exchange ms.
        """
        return (self.clock.now() - self.exchange.facts(symbol).final_ms) // MINUTE_MS * MINUTE_MS
