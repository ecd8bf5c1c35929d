"""Binance as an Exchange: REST, archive and streams of one market."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, SECOND_MS, Candle, Rows
from tui_feeder.engine.core.clock import ExchangeClock, Step
from tui_feeder.engine.core.proxy import Proxies
from tui_feeder.engine.core.trades import TradeRow, Trades
from tui_feeder.engine.exchanges.base import (
    ArchiveRows,
    ExchangeStatus,
    Listings,
    MarketFacts,
    Page,
    Probe,
    StreamHandlers,
    TradeHandlers,
    TradesFile,
)
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient
from tui_feeder.engine.exchanges.binance.archive_layout import published
from tui_feeder.engine.exchanges.binance.contracts import candle_in_assets, rows_in_assets
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.probes import Prober
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.exchanges.binance.stream_pool import ConnectionGate, MarketStreams
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.live_access import Forwarded

#: Minutes read at once where the first of a day is looked for: a third of one, of weight 2.
_PAGE_MS = 480 * MINUTE_MS


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
        rest.on_unusable = lambda count, why, bare: self.on_unusable(count, why, market.prefix + bare)
        self._rest = rest
        self._archive = archive
        self._stream_url = stream_url
        self._proxies = proxies
        self._market = market
        self._connecting = ConnectionGate()
        self._sizes: dict[str, float] = {}  # of contracts, as listed

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

    async def listings(self, wanted: Sequence[str] = ()) -> Listings:
        """Every listed symbol; takes over the weight limit that is stated with them.

        Args:
            wanted: of no effect, the market is always in use.

        Returns:
            The symbols of the market.
        """
        found, prefix = await self._rest.listings(), self._market.prefix
        if not prefix:
            return found
        symbols = {prefix + name: replace(info, symbol=prefix + name) for name, info in found.symbols.items()}
        self._sizes = {name: info.contract_size for name, info in symbols.items() if info.contract_size}
        return Listings(
            symbols,
            {prefix + name: why for name, why in found.unusable.items()},
            {prefix + name: raw for name, raw in found.entries.items()},
            {self._market.name: found.heads[""]},
        )

    def _size(self, symbol: str) -> float | None:
        """What a contract is worth, in the quote asset; None where trades are not counted in contracts."""
        usual = self._market.facts.contract_size
        return None if usual is None else self._sizes.get(symbol) or usual(self._market.bare(symbol))

    def _in_assets(self, rows: Rows, symbol: str) -> Rows:
        size = self._size(symbol)
        return rows if size is None else rows_in_assets(rows, size)

    async def first_minute(self, symbol: str, start: int) -> int | None:
        """The first minute of which there is a candle.

        Args:
            symbol: whose.
            start: ms; earlier ones do not count.

        Returns:
            Its open time (ms), None if there is none.
        """
        if self._market.newest_of_ms is not None:
            return await self._first_of_windows(symbol, start, self._market.newest_of_ms)
        rows = await self._rest.klines(self._market.bare(symbol), start=start, limit=1)
        return int(rows["open_time"][0]) if len(rows) else None

    async def _first_of_windows(self, symbol: str, start: int, window: int) -> int | None:
        """The first minute where no answer begins with the oldest candle: by days, then by minutes."""
        now = self.clock.now()
        for low in range(start // DAY_MS * DAY_MS, now, window):
            days = await self._page(symbol, DAY_MS, low, low + window, urgent=False)
            # A day that is not over is no closed candle: the newest one shown is it.
            first = int(days.rows["open_time"][0]) if len(days.rows) else days.newest
            if not first:
                continue
            for begin in range(max(start, first), min(first + DAY_MS, now), _PAGE_MS):
                end = min(begin + _PAGE_MS, first + DAY_MS)
                rows = (await self._page(symbol, MINUTE_MS, begin, end, urgent=False)).rows
                if len(rows):
                    return int(rows["open_time"][0])
        return None

    async def _page(self, symbol: str, length: int, start: int, end: int, *, urgent: bool) -> Page:
        interval, limit = self._market.intervals[length // 1000], (end - start) // length
        bare = self._market.bare(symbol)
        return await self._rest.page(bare, interval, start, end, limit, urgent=urgent)

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
        length = timeframe * SECOND_MS
        window = (self._market.newest_of_ms or end - start) // length * length
        pages = [
            await self._page(symbol, length, low, min(low + window, end), urgent=urgent)
            for low in range(start, end, window)
        ]
        rows = pages[0].rows if len(pages) == 1 else np.concatenate([page.rows for page in pages])
        return Page(self._in_assets(rows, symbol), max(page.newest for page in pages))

    async def read_archive(self, file: File, symbol: str, on_bytes: Callable[[int], None]) -> ArchiveRows:
        """Download, check and parse an archive file.

        Args:
            file: which.
            symbol: whose.
            on_bytes: called with the size of each part that arrives, bytes.

        Returns:
            Its rows, and what it was.
        """
        found = await self._archive.fetch(file, self._market.bare(symbol), on_bytes)
        return replace(found, rows=self._in_assets(found.rows, symbol))

    def trades_published(self, symbol: str, day: int) -> int | None:
        """When the archive of a day's aggregated trades can be expected.

        Args:
            symbol: any.
            day: midnight UTC, ms.

        Returns:
            Exchange time, ms; None where the market's are not read.
        """
        if self._market.trades_columns is None:
            return None
        return published(File(day, day + DAY_MS, FileKind.DAY))

    async def read_trades(self, symbol: str, day: int, take: Callable[[Trades], None]) -> TradesFile:
        """Download, check and parse the aggregated trades of a day.

        Args:
            symbol: whose.
            day: midnight UTC, ms.
            take: given the trades in their order, in the thread for computing.

        Returns:
            What the file was.
        """
        return await self._archive.fetch_trades(day, self._market.bare(symbol), take)

    async def forward(self, name: str, parameters: Sequence[tuple[str, str]]) -> Forwarded:
        """Send a public request for another program, within the weight budget.

        Args:
            name: of the call.
            parameters: of its query.

        Returns:
            The answer, or why it was not sent.
        """
        return await self._rest.forward(name, parameters)

    def record_answers(self, handler: Callable[[str, int, bytes], None]) -> None:
        """Have every answer of REST handed on as it came.

        Args:
            handler: called with the address asked, the status, and the body.
        """
        self._rest.on_answer = handler

    async def probe(
        self, record: Callable[[str, bytes], None], seconds: float, foreign: Sequence[str] = ()
    ) -> list[Probe]:
        """Asks what the exchange's documents leave open.

        Args:
            record: given the address and every message as it came.
            seconds: how long to listen.
            foreign: a symbol of each other market, as the exchange itself names it.

        Returns:
            What was seen.
        """
        prober = Prober(self._market, self._rest, self._stream_url, self._proxies, record, seconds)
        return await prober.answers(foreign)

    def streams(self, handlers: StreamHandlers) -> MarketStreams:
        """Live candles of the market.

        Args:
            handlers: what each frame is handed to.

        Returns:
            Of no symbols yet.
        """
        if self._market.facts.contract_size is not None:
            handlers = replace(handlers, candle=self._convert_for(handlers.candle))
        return self._streams(handlers)

    def trade_streams(self, handlers: TradeHandlers) -> MarketStreams:
        """Live trades of the market, on connections of their own.

        Args:
            handlers: what each trade is handed to.

        Returns:
            Of no symbols yet.
        """
        return self._streams(handlers)

    def _streams(self, handlers: StreamHandlers | TradeHandlers) -> MarketStreams:
        return MarketStreams(
            self._stream_url, [], self.clock, handlers, self._proxies, self._market, self._connecting
        )

    async def trades_from(self, symbol: str, first_id: int) -> list[TradeRow]:
        """Ask for a page of aggregated trades.

        Args:
            symbol: whose.
            first_id: of the first one wanted.

        Returns:
            Those from there on.
        """
        return await self._rest.trades(self._market.bare(symbol), first_id)

    def _convert_for(
        self, candle_handler: Callable[[str, Candle, bool, int], None]
    ) -> Callable[[str, Candle, bool, int], None]:
        def convert(symbol: str, candle: Candle, closed: bool, at: int) -> None:
            size = self._size(symbol)
            candle_handler(symbol, candle if size is None else candle_in_assets(candle, size), closed, at)

        return convert

    def share_budget(self, workers: int) -> None:
        """Keeps to an equal share of the request budget.

        Args:
            workers: feeders that spend from the same one, this one among them.
        """
        self._rest.ledger.sharing = max(1, workers)

    async def close(self) -> None:
        """Close every connection."""
        await self._rest.close()
        await self._archive.close()
