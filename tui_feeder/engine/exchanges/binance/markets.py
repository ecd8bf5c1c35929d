"""All of Binance's markets as one Exchange: each symbol is asked of the market that its name begins with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tui_feeder.config import Config
from tui_feeder.engine.core.archive_file import File
from tui_feeder.engine.core.clock import ExchangeClock, Step
from tui_feeder.engine.core.proxy import Proxies
from tui_feeder.engine.core.trades import TradeRow, Trades
from tui_feeder.engine.exchanges.base import (
    ArchiveRows,
    Exchange,
    ExchangeStatus,
    ForwardsRequests,
    GivesTrades,
    Listings,
    MarketFacts,
    Notes,
    Page,
    Probe,
    RecordsAnswers,
    Refusal,
    RestError,
    StreamHandlers,
    Streams,
    StreamSocket,
    SymbolInfo,
    TradeHandlers,
    TradesFile,
)
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient
from tui_feeder.engine.exchanges.binance.ban import keep_ban, known_ban
from tui_feeder.engine.exchanges.binance.coinm import COINM
from tui_feeder.engine.exchanges.binance.exchange import BinanceExchange
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.rest_budget import RequestBudget
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.exchanges.binance.spot import SPOT
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.live_access import Forwarded
from tui_feeder.symbol_name import is_pattern, market_of


class BinanceMarkets:
    """Several markets; documented at :class:`~tui_feeder.engine.exchanges.base.Exchange`.

    A market is in use, and its address asked, once a wanted name belongs to it.

    Args:
        markets: by what names of their symbols begin with, without the colon; "" is that of the others.
            Each may be any exchange whose names begin so.
        clock: shared by all of them.
        wanted: names and patterns to follow, for the markets in use.
    """

    def __init__(
        self,
        markets: Mapping[str, Exchange],
        clock: ExchangeClock,
        wanted: Sequence[str],
    ) -> None:
        self.clock = clock
        self.on_reached: Callable[[bool], None] = lambda _: None
        self.on_unusable: Callable[[int, str, str], None] = lambda *_: None
        self._markets = dict(markets)
        self._used: list[str] = []
        self._listed: dict[str, Listings] = {}  # what each market listed when it was read last
        self._use(wanted)
        for market in self._markets.values():
            market.on_reached = lambda everything: self.on_reached(everything)
            market.on_unusable = lambda count, why, symbol: self.on_unusable(count, why, symbol)

    def _use(self, wanted: Sequence[str]) -> None:
        named = {market_of(name) for name in wanted} & self._markets.keys()
        self._used = [name for name in self._markets if name in named] or list(self._markets)[:1]
        first = self._markets[self._used[0]]
        self.address, self.probe_symbol = first.address, first.probe_symbol

    def _of(self, symbol: str) -> Exchange:
        """The market of a symbol; of a name that belongs to none, the unnamed one, which does not list it."""
        return self._markets.get(market_of(symbol)) or self._markets[""]

    def facts(self, symbol: str) -> MarketFacts:
        """Those of the symbol's market.

        Args:
            symbol: listed or not.

        Returns:
            The same ones for every symbol of a market.
        """
        return self._of(symbol).facts(symbol)

    def status(self) -> ExchangeStatus:
        """The markets in use together; of weight and troubles those of the one that is worst off."""
        statuses = {name: self._markets[name].status() for name in self._used}
        found = list(statuses.values())
        bad, worst = max(
            statuses.items(), key=lambda item: (item[1].state not in ("ok", "idle"), _share(item[1]))
        )
        return ExchangeStatus(
            worst.state,
            all(status.silenced for status in found),
            next((status.waiting for status in found if status.waiting), ""),
            max(status.banned_until for status in found),
            sum(status.requests for status in found),
            worst.weight_used,
            worst.weight_limit,
            worst.weight_waits,
            sum(status.archive_files for status in found),
            sum(status.archive_bytes for status in found),
            self._markets[bad].facts("").name if len(found) > 1 else "",
        )

    async def sync_clock(self) -> Step:
        """Measure the time of the first market in use that answers; their clocks are one."""
        *asked, last = self._reachable()
        for name in asked:
            try:
                return await self._markets[name].sync_clock()
            except RestError:
                continue
        return await self._markets[last].sync_clock()

    def _reachable(self) -> list[str]:
        """The markets in use that asked for no pause; all of them where each one did."""
        found = {name: self._markets[name].status() for name in self._used}
        paused = {name for name, status in found.items() if status.silenced and status.waiting}
        return [name for name in self._used if name not in paused] or self._used

    async def listings(self, wanted: Sequence[str]) -> Listings:
        """Every listed symbol of the markets in use.

        Of a market that does not answer, what it listed before is kept; where there is nothing of that, the
        names wanted of it are unusable for now. One market holds up no other.

        Args:
            wanted: names and patterns; their markets are in use from now on.

        Returns:
            The symbols of all of them.

        Raises:
            RestError: none of the markets answers.
        """
        self._use(wanted)
        used, asked = tuple(self._used), tuple(self._reachable())
        answers = await asyncio.gather(
            *(self._markets[name].listings(wanted) for name in asked), return_exceptions=True
        )
        refusals = {
            name: RestError(Refusal.RATE_LIMITED, self._markets[name].status().waiting)
            for name in used if name not in asked
        }  # fmt: skip
        for name, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Listings):
                self._listed[name] = answer
            elif isinstance(answer, RestError):
                refusals[name] = answer
            else:
                raise answer
        if len(refusals) == len(used):
            raise refusals[asked[0]]
        symbols: dict[str, SymbolInfo] = {}
        unusable: dict[str, str] = {}
        entries: dict[str, bytes] = {}
        heads: dict[str, bytes] = {}
        for name in used:
            if (known := self._listed.get(name)) is not None:
                symbols |= known.symbols
                unusable |= known.unusable
                entries |= known.entries
                heads |= known.heads
            else:
                why = f"the list of its market could not be read: {refusals[name]}"
                unusable |= {w: why for w in wanted if market_of(w) == name and not is_pattern(w)}
        return Listings(symbols, unusable, entries, heads)

    async def first_minute(self, symbol: str, start: int) -> int | None:
        """The first minute of which there is a candle.

        Args:
            symbol: whose.
            start: ms; earlier ones do not count.

        Returns:
            Its open time (ms), None if there is none.
        """
        return await self._of(symbol).first_minute(symbol, start)

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
        return await self._of(symbol).candles(symbol, timeframe, start, end, urgent=urgent)

    async def read_archive(self, file: File, symbol: str, on_bytes: Callable[[int], None]) -> ArchiveRows:
        """Download, check and parse an archive file.

        Args:
            file: which.
            symbol: whose.
            on_bytes: called with the size of each part that arrives, bytes.

        Returns:
            Its rows, and what it was.
        """
        return await self._of(symbol).read_archive(file, symbol, on_bytes)

    def trades_published(self, symbol: str, day: int) -> int | None:
        """When the archive of a day's aggregated trades can be expected.

        Args:
            symbol: whose.
            day: midnight UTC, ms.

        Returns:
            Exchange time, ms; None where its market has none.
        """
        market = self._of(symbol)
        return market.trades_published(symbol, day) if isinstance(market, GivesTrades) else None

    async def read_trades(self, symbol: str, day: int, take: Callable[[Trades], None]) -> TradesFile:
        """Download, check and parse the aggregated trades of a day.

        Args:
            symbol: of a market that has them.
            day: midnight UTC, ms.
            take: given the trades in their order, in the thread for computing.

        Returns:
            What the file was.
        """
        market = self._of(symbol)
        assert isinstance(market, GivesTrades)
        return await market.read_trades(symbol, day, take)

    def trade_streams(self, handlers: TradeHandlers) -> AllStreams:
        """Live trades of all markets that have them.

        Args:
            handlers: what each trade is handed to.

        Returns:
            Of no symbols yet.
        """
        return AllStreams(
            {
                name: market.trade_streams(handlers)
                for name, market in self._markets.items()
                if isinstance(market, GivesTrades)
            }
        )

    async def trades_from(self, symbol: str, first_id: int) -> Sequence[TradeRow]:
        """Ask for a page of aggregated trades.

        Args:
            symbol: of a market that has them.
            first_id: of the first one wanted.

        Returns:
            Those from there on.
        """
        market = self._of(symbol)
        assert isinstance(market, GivesTrades)
        return await market.trades_from(symbol, first_id)

    async def forward(self, name: str, parameters: Sequence[tuple[str, str]]) -> Forwarded:
        """Send a public request to the unnamed market for another program, within the weight budget.

        Args:
            name: of the call.
            parameters: of its query.

        Returns:
            The answer, or why it was not sent.
        """
        unnamed = self._markets[""]
        assert isinstance(unnamed, ForwardsRequests)
        return await unnamed.forward(name, parameters)

    def record_answers(self, handler: Callable[[str, int, bytes], None]) -> None:
        """Have every answer of REST handed on as it came, of all markets.

        Args:
            handler: called with the address asked, the status, and the body.
        """
        for market in self._markets.values():
            if isinstance(market, RecordsAnswers):
                market.record_answers(handler)

    async def probe(self, record: Callable[[str, bytes], None], seconds: float) -> list[Probe]:
        """Asks of each market in use what the exchange's documents leave open.

        Args:
            record: given the address and every message as it came.
            seconds: how long to listen.

        Returns:
            What was seen, market by market.
        """
        names = (market.probe_symbol.rpartition(":")[2] for market in self._markets.values())
        symbols = list(dict.fromkeys(names))
        asked = [
            market.probe(record, seconds, symbols)
            for name in self._used
            if isinstance(market := self._markets[name], BinanceExchange)
        ]
        return [probe for part in await asyncio.gather(*asked) for probe in part]

    def streams(self, handlers: StreamHandlers) -> AllStreams:
        """Live candles of all markets.

        Args:
            handlers: what each frame is handed to.

        Returns:
            Of no symbols yet.
        """
        return AllStreams({name: market.streams(handlers) for name, market in self._markets.items()})

    def share_budget(self, workers: int) -> None:
        """All markets keep to an equal share of their budgets.

        Args:
            workers: feeders that spend from the same ones, this one among them.
        """
        for market in self._markets.values():
            market.share_budget(workers)

    async def close(self) -> None:
        """Close every connection."""
        for market in self._markets.values():
            await market.close()


def _share(status: ExchangeStatus) -> float:
    return status.weight_used / max(1, status.weight_limit)


class AllStreams:
    """The streams of several markets.

    Args:
        parts: by what names of their symbols begin with.
    """

    def __init__(self, parts: Mapping[str, Streams]) -> None:
        self._parts = parts

    @property
    def sockets(self) -> Sequence[StreamSocket]:
        """The connections of all markets."""
        return [socket for part in self._parts.values() for socket in part.sockets]

    def assign(self, symbols: Sequence[str]) -> None:
        """Follow exactly these symbols; those that stay keep their socket.

        Args:
            symbols: each once.
        """
        for name, part in self._parts.items():
            part.assign([symbol for symbol in symbols if market_of(symbol) == name])

    async def run(self) -> None:
        """Run the sockets of every market until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in self._parts.values():
                group.create_task(part.run())


def binance_markets(config: Config, workers: ThreadPoolExecutor, notes: Notes | None) -> BinanceMarkets:
    """Makes every market of Binance as configured.

    Args:
        config: its section ``exchange``, and the symbols wanted.
        workers: the thread that hashes, inflates and parses archives.
        notes: where bans are kept that must outlast the process; None keeps none.

    Returns:
        Not connected yet.

    Raises:
        ProxyError: the proxy on the way cannot be used.
    """
    exchange, proxies = config.exchange, Proxies(config.exchange.proxy)
    clock = ExchangeClock(exchange.clock_rate)

    def budget(market: Market, note: str) -> RequestBudget:
        if notes is None:
            return RequestBudget(market.limits.weight_limit, clock)
        return RequestBudget(
            market.limits.weight_limit, clock,
            banned_until=known_ban(notes, note, clock), on_ban=partial(keep_ban, notes, note, clock),
        )  # fmt: skip

    # USD-M and COIN-M are counted together, whatever address is asked.
    futures, spot = budget(USDM, "ban"), budget(SPOT, "ban spot")
    downloads = asyncio.Semaphore(exchange.archive_concurrency)

    def made(
        market: Market, counted: RequestBudget, rest_url: str, stream_url: str, archive_url: str | None = None
    ) -> BinanceExchange:
        timeout = exchange.request_timeout_seconds
        rest = RestClient(rest_url, clock, timeout=timeout, budget=counted, proxies=proxies, market=market)
        archive = ArchiveClient(
            archive_url or exchange.archive_url, workers, concurrency=downloads,
            timeout=timeout, proxies=proxies, market=market,
        )  # fmt: skip
        return BinanceExchange(rest, archive, stream_url, proxies, market)

    markets = {
        "": made(USDM, futures, exchange.rest_url, exchange.stream_url),
        "spot": made(SPOT, spot, exchange.spot.rest_url, exchange.spot.stream_url, exchange.spot.archive_url),
        "coinm": made(
            COINM, futures, exchange.coinm.rest_url, exchange.coinm.stream_url, exchange.coinm.archive_url
        ),
    }
    return BinanceMarkets(markets, clock, config.application.symbols)
