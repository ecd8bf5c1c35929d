"""Binance as an Exchange: REST, archive and streams of one market."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tui_feeder.config import Config
from tui_feeder.engine.core.archive_file import File
from tui_feeder.engine.core.clock import ExchangeClock, Step
from tui_feeder.engine.core.proxy import Proxies, configured_proxies
from tui_feeder.engine.exchanges.base import (
    ArchiveRows,
    ExchangeStatus,
    Listings,
    MarketFacts,
    Notes,
    Page,
    StreamHandlers,
)
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient
from tui_feeder.engine.exchanges.binance.ban import keep_ban, known_ban
from tui_feeder.engine.exchanges.binance.market import Market
from tui_feeder.engine.exchanges.binance.rest import RestClient
from tui_feeder.engine.exchanges.binance.stream import MarketStreams
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.live_access import Forwarded


class BinanceExchange:
    """One market of Binance; documented at :class:`~tui_feeder.engine.exchanges.base.Exchange`.

    Args:
        rest: its requests.
        archive: its files.
        stream_url: such as ``wss://fstream.binance.com``.
        proxies: on the way to the streams.
        market: which.
    """

    def __init__(
        self,
        rest: RestClient,
        archive: ArchiveClient,
        stream_url: str,
        proxies: Proxies | None = None,
        market: Market = USDM,
    ) -> None:
        self.address = rest.base_url
        self.clock: ExchangeClock = rest.clock
        self.probe_symbol = market.probe_symbol
        self.on_reached: Callable[[bool], None] = lambda _: None
        self.on_unusable: Callable[[int, str, str], None] = lambda *_: None
        rest.on_reached = lambda everything: self.on_reached(everything)
        rest.on_unusable = lambda count, why, symbol: self.on_unusable(count, why, symbol)
        self._rest = rest
        self._archive = archive
        self._stream_url = stream_url
        self._proxies = proxies
        self._market = market

    def facts(self, symbol: str) -> MarketFacts:
        """Those of the market.

        Args:
            symbol: any.

        Returns:
            The same ones for every symbol.
        """
        return self._market.facts

    def status(self) -> ExchangeStatus:
        """The present state of requests and downloads."""
        rest, ledger, archive = self._rest, self._rest.ledger, self._archive
        return ExchangeStatus(
            rest.state, rest.silenced(), rest.waits(), rest.banned_until, rest.requests,
            ledger.used, ledger.limit, ledger.waits, archive.files, archive.bytes,
        )  # fmt: skip

    async def sync_clock(self) -> Step:
        """Measure the exchange's time by a few requests."""
        return await self._rest.sync_clock()

    async def listings(self) -> Listings:
        """Every listed symbol; takes over the weight limit that is stated with them."""
        return await self._rest.listings()

    async def first_minute(self, symbol: str, start: int) -> int | None:
        """The first minute of which there is a candle.

        Args:
            symbol: whose.
            start: ms; earlier ones do not count.

        Returns:
            Its open time (ms), None if there is none.
        """
        rows = await self._rest.klines(symbol, start=start, limit=1)
        return int(rows["open_time"][0]) if len(rows) else None

    async def candles(
        self, symbol: str, timeframe: int, start: int, end: int, *, urgent: bool = False
    ) -> Page:
        """The closed candles of ``[start, end)``.

        Args:
            symbol: whose.
            timeframe: seconds.
            start: ms.
            end: ms, exclusive.
            urgent: live repair.

        Returns:
            Those there are, and which is the newest one shown.
        """
        limit = (end - start) // (timeframe * 1000)
        interval = self._market.intervals[timeframe]
        return await self._rest.page(symbol, interval, start, end, limit, urgent=urgent)

    async def read_archive(self, file: File, symbol: str, on_bytes: Callable[[int], None]) -> ArchiveRows:
        """Download, check and parse an archive file.

        Args:
            file: which.
            symbol: whose.
            on_bytes: called with the size of each part that arrives, bytes.

        Returns:
            Its rows, and what it was.
        """
        return await self._archive.fetch(file, symbol, on_bytes)

    async def forward(self, name: str, parameters: Sequence[tuple[str, str]]) -> Forwarded:
        """Send a public request for another program, within the weight budget.

        Args:
            name: of the call.
            parameters: of its query.

        Returns:
            The answer, or why it was not sent.
        """
        return await self._rest.forward(name, parameters)

    def streams(self, handlers: StreamHandlers) -> MarketStreams:
        """Live candles of the market.

        Args:
            handlers: what each frame is handed to.

        Returns:
            Of no symbols yet.
        """
        return MarketStreams(self._stream_url, [], self.clock, handlers, self._proxies, self._market)

    async def close(self) -> None:
        """Close every connection."""
        await self._rest.close()
        await self._archive.close()


def usdm_exchange(config: Config, workers: ThreadPoolExecutor, notes: Notes | None) -> BinanceExchange:
    """USD-M futures as the configuration says.

    Args:
        config: its section ``exchange``.
        workers: the thread that hashes, inflates and parses archives.
        notes: where a ban is kept that must outlast the process; None keeps none.

    Returns:
        Not connected yet.

    Raises:
        ProxyError: the proxy on the way cannot be used.
    """
    exchange, proxies = config.exchange, configured_proxies(config)
    clock = ExchangeClock(exchange.clock_rate)
    rest = RestClient(
        exchange.rest_url,
        clock,
        timeout=exchange.request_timeout_seconds,
        banned_until=known_ban(notes, clock) if notes is not None else 0,
        on_ban=partial(keep_ban, notes, clock) if notes is not None else lambda _: None,
        proxies=proxies,
    )
    archive = ArchiveClient(
        exchange.archive_url,
        workers,
        concurrency=exchange.archive_concurrency,
        timeout=exchange.request_timeout_seconds,
        proxies=proxies,
    )
    return BinanceExchange(rest, archive, exchange.stream_url, proxies)
