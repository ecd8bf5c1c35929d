"""The exchange as a command needs it: archive and REST for the length of one command, and their troubles."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self

from tui_feeder.config import Config
from tui_feeder.engine.acquisition.backfill import SURE_MS, History
from tui_feeder.engine.acquisition.download_plan import File
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.proxy import Proxies, configured_proxies
from tui_feeder.engine.exchanges.binance.answers import SymbolInfo
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient, ArchiveError, ArchiveRows
from tui_feeder.engine.exchanges.binance.ban import keep_ban, known_ban
from tui_feeder.engine.exchanges.binance.rest import RestClient, RestError
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExchangeFailure

_TRIES = 3
#: REST refuses this machine while the archive may serve it: a command goes on without REST.
_REFUSALS = ("refused here", "forbidden", "banned")


class ExchangeError(ExchangeFailure):
    """The exchange cannot be asked; the message says why."""


class TalliedArchive(ArchiveClient):
    """An archive client that remembers, by symbol, what it got and what it did not."""

    def __init__(
        self,
        base_url: str,
        workers: ThreadPoolExecutor,
        *,
        concurrency: int,
        timeout: float,
        proxies: Proxies,
    ) -> None:
        super().__init__(base_url, workers, concurrency=concurrency, timeout=timeout, proxies=proxies)
        self.got: defaultdict[str, int] = defaultdict(int)
        self.troubles: defaultdict[str, list[str]] = defaultdict(list)

    async def fetch(
        self,
        file: File,
        symbol: str,
        interval: str = "1m",
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> ArchiveRows:
        """Like :meth:`ArchiveClient.fetch`, remembered."""
        try:
            found = await super().fetch(file, symbol, interval, on_bytes)
        except ArchiveError as error:
            self.troubles[symbol].append(str(error))
            raise
        self.got[symbol] += 1
        if found.note:
            self.troubles[symbol].append(found.note)
        return found


class Connection:
    """Archive, REST and their clock; an async context manager.

    Attributes:
        refused: why REST cannot be used although the archive may be; "" when it can.
        odd: entries of the listing that cannot be used, by name, and why.

    Args:
        store: knows of a ban that an earlier run met, and, unless it is read-only, keeps one met now.

    Raises:
        ProxyError: the proxy on the way cannot be used.
    """

    def __init__(self, config: Config, store: Store) -> None:
        exchange, proxies = config.exchange, configured_proxies(config)
        self.clock = ExchangeClock(exchange.clock_rate)
        self.journal = Journal(self.clock.now)
        self.rest = RestClient(
            exchange.rest_url,
            self.clock,
            timeout=exchange.request_timeout_seconds,
            banned_until=known_ban(store, self.clock),
            on_ban=self._banned,
            proxies=proxies,
            on_unusable=partial(self.journal.unusable, "unusable_rest_rows"),
        )
        self.refused = ""
        self.unusable: dict[str, str] = {}
        self._config = config
        self._store = store
        self._workers = worker_thread()
        self.archive = TalliedArchive(
            exchange.archive_url,
            self._workers,
            concurrency=exchange.archive_concurrency,
            timeout=exchange.request_timeout_seconds,
            proxies=proxies,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.rest.close()
        await self.archive.close()
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _banned(self, until: int) -> None:
        if not self._store.read_only:
            keep_ban(self._store, self.clock, until)

    def history(self) -> History:
        """What fills missing minutes of the store."""
        return History(
            self.rest,
            self.archive,
            self._store,
            self.journal,
            self.clock.now,
            monthly_threshold_months=self._config.application.monthly_threshold_months,
            concurrency=self._config.exchange.archive_concurrency,
        )

    async def listed(self) -> dict[str, SymbolInfo]:
        """Measure the exchange's clock and read its symbols; empty where REST refuses, see ``refused``.

        Raises:
            ExchangeError: it cannot be reached.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                await self.rest.sync_clock()
                found = await self.rest.listings()
                self.unusable = found.unusable
                return found.symbols
            except RestError as error:
                if self.refuses(error):
                    return {}
                if attempt == _TRIES:
                    raise ExchangeError(f"the exchange at {self.rest.base_url}: {error}") from error
                await asyncio.sleep(0.5 * 2**attempt)
        raise AssertionError("unreachable")

    def refuses(self, error: RestError) -> bool:
        """Whether ``error`` means that REST cannot be used at all for now; remembered in ``refused``."""
        if error.kind in _REFUSALS:
            self.refused = str(error)
        return error.kind in _REFUSALS

    def closed_until(self) -> int:
        """Exclusive end of the last minute that REST is sure of, exchange ms."""
        return (self.clock.now() - SURE_MS) // MINUTE_MS * MINUTE_MS
