"""The REST surface: the exchange's public paths, answered from the store."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import numpy as np
from aiohttp import web

from tui_feeder.engine.core.candle import MINUTE_MS, to_rows
from tui_feeder.engine.exchanges.binance.forwarded_calls import PUBLIC_CALLS
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.errors import RunFailure
from tui_feeder.service.gateway import ticker
from tui_feeder.service.gateway.clients import Clients, Figures
from tui_feeder.service.gateway.feeder import Feeder, FeederGoneError
from tui_feeder.service.gateway.forwarding import Forwarding
from tui_feeder.service.gateway.klines import Klines
from tui_feeder.service.gateway.listing import Entry, Listing
from tui_feeder.service.gateway.markets import SERVED_MARKETS, SPOT, ServedMarket
from tui_feeder.service.gateway.packing import LEAST_BYTES, Packer
from tui_feeder.service.gateway.queries import (
    KlinesQuery,
    klines_query,
    mandatory,
    mandatory_symbol,
    symbols_wanted,
)
from tui_feeder.service.gateway.refusals import (
    RefusalError,
    invalid_combination,
    invalid_symbol,
    invalid_value,
    later,
    missing_parameter,
    no_path,
)
from tui_feeder.service.gateway.series import Series
from tui_feeder.service.host_names import host_refusal

log = logging.getLogger(__name__)

_JSON = "application/json"
#: What only a client sends that wants something of its account.
_KEY_HEADER = "X-MBX-APIKEY"
_KEYS_STAY = (
    "this gateway serves public market data by GET alone; keys, signed requests and orders do not pass: "
    "send them to the exchange itself"
)
_BRING_UP_SECONDS = 15.0
#: Characters of a query that is remembered.
_LONGEST_QUERY = 256
#: Accepted values of a Host header that are remembered.
_MOST_HOSTS = 64
_CONTRACTS = {"PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER", "TRADIFI_PERPETUAL"}

#: Different queries whose parameters are remembered: polls ask the same again and again.
_MOST_QUERIES = 4_096


class Parameters(dict[str, str]):
    """The parameters of a request, and what was found of them. Of names given twice the first value counts.

    Args:
        query: of the request.
        weight: of the request.
    """

    def __init__(self, query: Mapping[str, str], weight: int) -> None:
        super().__init__((name, query[name]) for name in query)
        self.pairs = tuple(query.items())
        self.weight = weight
        self.klines: KlinesQuery | None = None  # once they were checked


_Endpoint = Callable[[Parameters], Awaitable[bytes]]
_Weigh = Callable[[Mapping[str, str]], int]


def _weight_of_one(query: Mapping[str, str]) -> int:
    return 1


class ForwardedError(RunFailure):
    """The exchange refused a forwarded request, in its own words."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


class RestSurface:
    """Answers under the paths of each market.

    Args:
        feeder: whose store is served.
        series: what is rendered of it.
        klines: answers requests for candles.
        listing: what the exchange lists of symbols.
        forwarding: what the store cannot answer.
        clients: their limits.
        figures: counts what is done.
        named: whether the value of a ``Host`` header names this server.
        most_followed: symbols that are brought to live because they are asked for, at most.
    """

    def __init__(
        self,
        feeder: Feeder,
        series: Series,
        klines: Klines,
        listing: Listing,
        forwarding: Forwarding,
        clients: Clients,
        figures: Figures,
        named: Callable[[str], bool],
        *,
        most_followed: int,
    ) -> None:
        self._feeder = feeder
        self._series = series
        self._klines = klines
        self._listing = listing
        self._forwarding = forwarding
        self._clients = clients
        self._figures = figures
        self._is_own_host = named
        self._most_followed = most_followed
        self._brought: set[str] = set()  # symbols that were asked for and not followed
        self._hosts: set[str] = set()
        self._packer = Packer()
        self._entries: dict[str, Entry] = {}  # whose digits are taken over

    def routes(self) -> list[web.RouteDef]:
        """What to hang into the server."""
        routes = [route for market in SERVED_MARKETS for route in self._routes_of(market)]
        routes += [
            web.route("*", call.path, self._serving(name, partial(self._forward, name), call.weigh))
            for name, call in PUBLIC_CALLS.items()
        ]
        return [*routes, web.route("*", "/{path:.*}", self._serving("unknown", self._unknown))]

    def _routes_of(self, market: ServedMarket) -> list[web.RouteDef]:
        """What is answered from the store, under the paths of a market."""
        price = partial(self._of_symbols, self._price_of, market)
        endpoints: list[tuple[str, _Endpoint]] = [
            ("ping", self._ping),
            ("time", self._time),
            ("exchangeInfo", partial(self._exchange_info, market)),
            ("ticker/price", price),
            ("ticker/24hr", partial(self._days_of_symbols, market)),
        ]
        candles: list[tuple[str, _Endpoint]] = [("klines", partial(self._answer_klines, market))]
        if market.has_pairs:
            candles.append(("continuousKlines", partial(self._continuous_klines, market)))
        routes = [
            web.route("*", f"{market.rest}/{name}", self._serving(name, answer)) for name, answer in endpoints
        ]
        routes += [
            web.route("*", f"{market.rest}/{name}", self._serving(name, answer, market.candles_weight))
            for name, answer in candles
        ]
        return routes + [
            web.route("*", path, self._serving("ticker/price", price)) for path in market.price_paths
        ]

    def _serving(
        self, name: str, answer: _Endpoint, weigh: _Weigh = _weight_of_one
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """An endpoint behind the checks that all have."""
        remembered: dict[str, Parameters] = {}

        def parameters_of(request: web.Request) -> Parameters:
            raw = request.rel_url.raw_query_string
            found = remembered.get(raw)
            if found is None:
                query = request.query
                self._refuse_private(query)
                found = Parameters(query, weigh(query))
                if len(remembered) >= _MOST_QUERIES:
                    remembered.clear()
                if len(raw) <= _LONGEST_QUERY:
                    remembered[raw] = found
            return found

        async def handle(request: web.Request) -> web.Response:
            headers = {"Content-Type": _JSON}
            try:
                self._check_request(request)
                query = parameters_of(request)
                used = self._clients.charge(request.remote or "", query.weight)
                headers["X-MBX-USED-WEIGHT-1M"] = str(used)
                body, status = await answer(query), 200
            except (RefusalError, ForwardedError) as error:
                body, status = error.body, error.status
                headers |= error.headers
            except (FeederGoneError, StoreError) as error:
                refused = later(str(error), _BRING_UP_SECONDS)
                body, status = refused.body, refused.status
                headers |= refused.headers
            except Exception:
                log.exception("a request failed: %s", name)
                body, status = b'{"code":-1000,"msg":"an error of the gateway; its log has the reason"}', 500
            self._figures.answers[name, status] += 1
            if len(body) >= LEAST_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
                body = self._packer.packed(body)
                headers["Content-Encoding"] = "gzip"
            return web.Response(body=body, status=status, headers=headers)

        return handle

    def check(self, request: web.Request) -> None:
        """Refuse what is private, and what does not mean this server.

        Args:
            request: with its headers.

        Raises:
            RefusalError: it is one of these.
        """
        self._check_request(request)
        self._refuse_private(request.query)

    def _check_request(self, request: web.Request) -> None:
        host = request.headers.get("Host", "")
        if host not in self._hosts:
            if host and not self._is_own_host(host):
                self._figures.refused["host"] += 1
                raise RefusalError(403, -1002, host_refusal(host, "gateway.allowed_hosts"))
            if len(self._hosts) < _MOST_HOSTS:
                self._hosts.add(host)
        if request.method not in ("GET", "HEAD"):
            self._figures.refused["method"] += 1
            raise RefusalError(403, -1002, _KEYS_STAY)
        if request.headers.get(_KEY_HEADER):
            self._figures.refused["key"] += 1
            raise RefusalError(403, -1002, _KEYS_STAY)

    def _refuse_private(self, query: Mapping[str, str]) -> None:
        if "signature" in query or "apiKey" in query or "listenKey" in query:
            self._figures.refused["key"] += 1
            raise RefusalError(403, -1002, _KEYS_STAY)

    async def _forward(self, name: str, query: Parameters) -> bytes:
        found = await self._forwarding.answer(name, query.pairs)
        if found.status != 200:
            wait = found.retry_seconds
            headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
            raise ForwardedError(found.status, found.body, headers)
        return found.body

    # --- endpoints -----------------------------------------------------------------------------

    async def _unknown(self, query: Parameters) -> bytes:
        raise no_path()

    async def _ping(self, query: Parameters) -> bytes:
        return b"{}"

    async def _time(self, query: Parameters) -> bytes:
        return b'{"serverTime":%d}' % self._feeder.now()

    async def _exchange_info(self, market: ServedMarket, query: Parameters) -> bytes:
        wanted = symbols_wanted(query, market) if market is SPOT else None
        if wanted is None:
            wanted = [symbol for symbol in self._feeder.followed() if market.has(symbol)]
        else:
            for symbol in wanted:
                self.known(symbol)
        symbols = tuple(wanted)
        return await asyncio.to_thread(self._listing.exchange_info, market, symbols, self._feeder.now())

    async def _answer_klines(self, market: ServedMarket, query: Parameters) -> bytes:
        if (asked := query.klines) is None:
            symbol = mandatory_symbol(query, market)
            asked = query.klines = klines_query(query, symbol, market)
        self.known(asked.symbol)
        return await self._klines.answer(asked)

    async def _continuous_klines(self, market: ServedMarket, query: Parameters) -> bytes:
        pair, contract = mandatory(query, "pair"), mandatory(query, "contractType")
        named = mandatory_symbol(query, market, "pair")
        if contract not in _CONTRACTS:
            raise missing_parameter("contractType")
        asked = klines_query(query, pair, market)
        for symbol in self._feeder.followed():
            entry = self._listing.entry(symbol) if market.has(symbol) else None
            if entry is not None and (entry.pair, entry.contract_type) == (pair, contract):
                self.known(symbol)
                return await self._klines.answer(asked._replace(symbol=symbol))
        self.known(named)
        raise invalid_symbol()

    async def _of_symbols(
        self,
        answer: Callable[[ServedMarket, str, Entry], Awaitable[bytes]],
        market: ServedMarket,
        query: Parameters,
    ) -> bytes:
        """Of the symbols that are named; else of all that are live, and if none is, when to ask again."""
        self._series.look()
        wanted, pair = symbols_wanted(query, market), None
        if market.counts_contracts and "pair" in query:
            if wanted is not None:
                raise invalid_combination()
            pair = mandatory(query, "pair")
        if wanted is not None:
            named = [await answer(market, symbol, self.known(symbol)) for symbol in wanted]
            is_list = market.counts_contracts or "symbol" not in query
            return b"[" + b",".join(named) + b"]" if is_list else named[0]
        found_all, refused, not_live = [], None, None
        for symbol, followed in self._feeder.followed().items():
            if market.has(symbol):
                try:
                    entry = self.known(symbol)
                    if pair is None or entry.pair == pair:
                        if followed.live:
                            found_all.append(await answer(market, symbol, entry))
                        else:
                            not_live = symbol, entry
                except RefusalError as error:
                    refused = error  # it is being recovered: a request for it alone gets this error
        if not found_all:
            if refused is None and not_live is not None:
                await answer(market, *not_live)  # or the reason why it cannot be given yet
            if refused is not None:
                raise refused
            if pair is not None:
                raise invalid_symbol()
        return b"[" + b",".join(found_all) + b"]"

    async def _price_of(self, market: ServedMarket, symbol: str, entry: Entry) -> bytes:
        candle = await self._klines.newest(symbol)
        return ticker.price(market, entry, candle, self._feeder.now())

    async def _days_of_symbols(self, market: ServedMarket, query: Parameters) -> bytes:
        form = query.get("type", "FULL") if market is SPOT else "FULL"
        if form not in ("FULL", "MINI"):
            raise invalid_value("type")
        return await self._of_symbols(partial(self._day_of, short=form == "MINI"), market, query)

    async def _day_of(self, market: ServedMarket, symbol: str, entry: Entry, *, short: bool) -> bytes:
        candle = await self._klines.newest(symbol)
        before = await self._klines.day_before(symbol, candle.open_time, ticker.DAY_MINUTES * MINUTE_MS)
        rows = np.concatenate((before, self._series.shown(symbol, to_rows([candle]))))
        return ticker.day(market, entry, rows, self._feeder.now(), short=short)

    def known(self, symbol: str) -> Entry:
        """The entry of a symbol that is followed.

        Args:
            symbol: any text.

        Returns:
            What the exchange lists of it.

        Raises:
            RefusalError: it is not, or cannot be answered yet.
        """
        if symbol not in self._feeder.followed():
            if not self._feeder.knows_listing():
                raise later("the feeder has not learned yet which symbols there are", _BRING_UP_SECONDS)
            if not self._feeder.is_traded(symbol):
                raise invalid_symbol()
            if symbol in self._brought or len(self._brought) < self._most_followed:
                self._brought.add(symbol)
                self._feeder.follow(symbol)
                raise later(f"{symbol} was not followed, and is being brought to live", _BRING_UP_SECONDS)
            text = f" {symbol} is not followed by this feeder: add it to application.symbols, or "
            if self._most_followed:
                most = f"gateway.follow_at_most above {self._most_followed}"
                raise invalid_symbol(f"{text}set {most}: so many were asked for already")
            raise invalid_symbol(f'{text}set gateway.unfollowed = "follow"')
        entry = self._listing.entry(symbol)
        if entry is None:
            raise later(f"what the exchange lists of {symbol} is not known yet", _BRING_UP_SECONDS)
        if self._entries.get(symbol) is not entry:
            self._series.set_format(symbol, entry.decimals, entry.contract_size)
            self._entries[symbol] = entry
        return entry
