"""The REST interface: ping, time, exchangeInfo, klines, aggTrades; limits, weights, headers and errors."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from tui_feeder.simulator import digits
from tui_feeder.simulator.clock import SkewedClock
from tui_feeder.simulator.dialect import USDM, Dialect
from tui_feeder.simulator.fault_wire import send_half
from tui_feeder.simulator.faults import Faults
from tui_feeder.simulator.limits import WeightLedger
from tui_feeder.simulator.market import DAY, INTERVALS, MINUTE, PERPETUAL, Instrument, aggregate, decimal
from tui_feeder.simulator.other_markets import entry_of
from tui_feeder.simulator.public_calls import PublicCalls, depth_weight
from tui_feeder.simulator.rest_faults import RestFaults
from tui_feeder.simulator.tape import Tape
from tui_feeder.simulator.trade_calls import TradeCalls, TradeQuery
from tui_feeder.simulator.trades import Trades

_DEFAULT_LIMIT = 500
#: Requests for klines that are kept.
_MOST_LOGGED = 100_000
#: A span of this many minutes is read on the loop; a longer one in a thread.
_SHORT_SPAN = 2 * DAY
#: How long a contract is listed as being delivered, ms.
_DELIVERING_MS = 10 * MINUTE
_NEVER = 1 << 62


class Refusal(Exception):
    """A request the exchange answers with an error of its own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Rest:
    """Answers under the path of its market, such as ``/fapi/v1``.

    Args:
        tape: what can be seen of the market.
        trades: its aggregate trades.
        clock: exchange time.
        requests: counts every request by its last path segment.
        faults: what is to go wrong.
        dialect: paths, weights and rules of the market.
        ledger: of an exchange that counts weight together with this one; None: it counts alone.
    """

    def __init__(
        self,
        tape: Tape,
        trades: Trades,
        clock: SkewedClock,
        requests: Counter[str],
        faults: Faults,
        dialect: Dialect = USDM,
        ledger: WeightLedger | None = None,
    ) -> None:
        self.ledger = ledger or WeightLedger(dialect.weight_limit)
        #: The queries of all requests for klines, in order: what nobody may ask for again is looked up here.
        self.klines_log: deque[tuple[str, int, int]] = deque(maxlen=_MOST_LOGGED)
        self._dialect = dialect
        self._tape = tape
        self._clock = clock
        self._requests = requests
        self._faults = faults
        self._wrongs = RestFaults(faults, clock)
        self._calls = PublicCalls(tape, clock)
        self._trades = TradeCalls(trades, clock, faults, dialect)
        self._listing: list[dict[str, Any]] | None = None

    def routes(self) -> list[web.RouteDef]:
        """What to hang into the server."""
        base = self._dialect.rest
        routes = [
            web.get(f"{base}/ping", self._guarded("ping", self._ping)),
            web.get(f"{base}/time", self._guarded("time", self._time)),
            web.get(f"{base}/exchangeInfo", self._guarded("exchangeInfo", self._exchange_info)),
            web.get(f"{base}/klines", self._guarded("klines", self._klines)),
        ]
        if self._dialect.trades:
            routes.append(web.get(f"{base}/aggTrades", self._guarded("aggTrades", self._agg_trades)))
        if self._dialect.name != USDM.name:
            return [*routes, web.get(f"{base}/{{path:.*}}", self._guarded("unknown", self._unknown))]
        return [
            *routes,
            web.get("/fapi/v1/markPriceKlines", self._guarded("markPriceKlines", self._klines)),
            web.get("/fapi/v1/depth", self._guarded("depth", self._depth)),
            web.get("/fapi/v1/premiumIndex", self._guarded("premiumIndex", self._premium_index)),
            web.get("/fapi/v1/fundingRate", self._guarded("fundingRate", self._funding_rate)),
            web.get("/fapi/v1/openInterest", self._guarded("openInterest", self._open_interest)),
            web.get("/fapi/{path:.*}", self._guarded("unknown", self._unknown)),
        ]

    def _guarded(
        self, name: str, answer: Callable[[Mapping[str, str]], Awaitable[bytes]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Weight, ban and error form around an endpoint."""

        async def handle(request: web.Request) -> web.StreamResponse:
            self._requests[name] += 1
            weight = 1
            if name in ("klines", "markPriceKlines"):
                weight = self._dialect.klines_weight(_limit_of(request.query))
            elif name == "exchangeInfo":
                weight = self._dialect.listing_weight
            elif name == "aggTrades":
                weight = self._dialect.trades_weight
            elif name == "depth":
                weight = depth_weight(request.query)
            address = request.remote or "unknown"
            symbol = request.query.get("symbol")
            if self._faults:
                if (used := self._wrongs.weight_used_elsewhere(name)) is not None:
                    self.ledger.spend_elsewhere(address, used, self._clock.now())
                if (wall := self._wrongs.wall(name, symbol)) is not None:
                    return wall
            verdict = self.ledger.charge(address, weight, self._clock.now())
            headers = {"X-MBX-USED-WEIGHT-1M": str(verdict.used)}
            if verdict.status != 200:
                self._requests[str(verdict.status)] += 1
                headers["Retry-After"] = str(verdict.retry_after)
                if verdict.status == 418:
                    message = (
                        f"Way too many requests; IP({address}) banned until {verdict.banned_until}. "
                        "Please use the websocket for live updates to avoid bans."
                    )
                else:
                    message = (
                        f"Too many requests; current limit of IP({address}) is {self.ledger.limit} requests "
                        "per minute. Please use the websocket for live updates to avoid polling the API."
                    )
                return _json(_error(-1003, message), verdict.status, headers)
            if self._faults:
                refusal = await self._wrongs.refusal(request, name, symbol, headers)
                if refusal is not None:
                    return refusal
            try:
                body = await answer(request.query)
                if self._faults:
                    body, cut = self._wrongs.body(body, name, symbol)
                    if cut:
                        return await send_half(request, _json(body, 200, headers))
                return _json(body, 200, headers)
            except Refusal as error:
                status = 404 if name == "unknown" else 400
                return _json(_error(error.code, error.message), status, headers)

        return handle

    async def _ping(self, query: Mapping[str, str]) -> bytes:
        return b"{}"

    async def _unknown(self, query: Mapping[str, str]) -> bytes:
        raise Refusal(-5000, "Path is invalid")

    async def _time(self, query: Mapping[str, str]) -> bytes:
        return b'{"serverTime":%d}' % self._clock.stated()

    async def _exchange_info(self, query: Mapping[str, str]) -> bytes:
        if self._listing is None:
            entry = _entry if self._dialect.name == USDM.name else partial(entry_of, dialect=self._dialect)
            self._listing = [entry(i) for i in self._tape.market.instruments.values()]
        now = self._clock.now()
        instruments = self._tape.market.instruments
        listed = [
            _as_delivered(entry, instruments[entry["symbol"]], now) for entry in self._listing
            if instruments[entry["symbol"]].onboard <= now < _listed_until(instruments[entry["symbol"]])
        ]  # fmt: skip
        info = {
            "timezone": "UTC",
            "serverTime": self._clock.stated(),
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": self.ledger.limit,
                },
                {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
            ],
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": self._wrongs.listing(listed) if self._faults else listed,
        }
        return orjson.dumps(info)

    def _instrument(self, query: Mapping[str, str]) -> Instrument:
        symbol = _mandatory(query, "symbol")
        instrument = self._tape.market.instruments.get(symbol)
        if instrument is None or instrument.onboard > self._clock.now():
            raise Refusal(-1121, "Invalid symbol.")
        return instrument

    async def _depth(self, query: Mapping[str, str]) -> bytes:
        body = self._calls.depth(self._instrument(query), _number(query, "limit"))
        return _within(body, "limit")

    async def _premium_index(self, query: Mapping[str, str]) -> bytes:
        return self._calls.premium_index(self._instrument(query))

    async def _funding_rate(self, query: Mapping[str, str]) -> bytes:
        start, end, limit = _number(query, "startTime"), _number(query, "endTime"), _number(query, "limit")
        return _within(self._calls.funding_rate(self._instrument(query), start, end, limit), "limit")

    async def _open_interest(self, query: Mapping[str, str]) -> bytes:
        return self._calls.open_interest(self._instrument(query))

    async def _agg_trades(self, query: Mapping[str, str]) -> bytes:
        instrument = self._instrument(query)
        names = ("fromId", "startTime", "endTime", "limit")
        asked = TradeQuery(*(_number(query, name) for name in names))
        found = await asyncio.to_thread(self._trades.rows, instrument, asked)
        if isinstance(found, tuple):
            raise Refusal(*found)
        return found

    async def _klines(self, query: Mapping[str, str]) -> bytes:
        symbol = _mandatory(query, "symbol")
        name = _mandatory(query, "interval")
        interval = INTERVALS.get(name)
        if interval is None:
            raise Refusal(-1120, "Invalid interval.")
        now = self._clock.now()
        instrument = self._tape.market.instruments.get(symbol)
        if instrument is None or instrument.onboard > now or (self._faults and self._wrongs.is_gone(symbol)):
            raise Refusal(-1121, "Invalid symbol.")
        start, end, limit = _number(query, "startTime"), _number(query, "endTime"), _number(query, "limit")
        if limit is None:
            limit = _DEFAULT_LIMIT
        if not 1 <= limit <= self._dialect.most_rows:
            raise Refusal(-1130, "Data sent for parameter 'limit' is not valid.")
        if start is not None and end is not None and start > end:
            raise Refusal(-1023, "Start time is greater than end time.")

        self.klines_log.append((symbol, start or 0, now if end is None else end))
        within = self._dialect.newest_within
        if within is not None and start is not None:
            if end is not None and end - start > within:
                raise Refusal(-1127, "Lookup interval is too big.")
            end = start + within if end is None else end
        last = now if end is None else min(end, now)
        if within is not None and start is not None:
            first = max(start + -start % interval, last - last % interval - (limit - 1) * interval)
        elif start is None:
            first = last - last % interval - (limit - 1) * interval
        else:
            first = start + -start % interval
        first = max(first, instrument.onboard - instrument.onboard % interval)
        after = min(last - last % interval + interval, first + limit * interval)
        late = self._wrongs.unfinished_for(symbol) if self._faults else 0
        if after - first <= _SHORT_SPAN // MINUTE * MINUTE:
            return self._rows(instrument, first, after, interval, now, late)
        return await asyncio.to_thread(self._rows, instrument, first, after, interval, now, late)

    def _rows(
        self, instrument: Instrument, first: int, after: int, interval: int, now: int, late: int
    ) -> bytes:
        block = self._tape.seen(instrument.symbol, first, after, now, late)
        return digits.rest_rows(aggregate(block, interval), instrument, interval)


def _json(body: bytes, status: int, headers: Mapping[str, str]) -> web.Response:
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _error(code: int, message: str) -> bytes:
    return orjson.dumps({"code": code, "msg": message})


def _listed_until(instrument: Instrument) -> int:
    """When a symbol leaves exchangeInfo, ms: a contract soon after its delivery."""
    return _NEVER if instrument.contract == PERPETUAL else instrument.delivery + _DELIVERING_MS


def _as_delivered(entry: dict[str, Any], instrument: Instrument, now: int) -> dict[str, Any]:
    """An entry of exchangeInfo, with the status of a contract that is being delivered where it is."""
    if instrument.contract == PERPETUAL or now < instrument.delivery:
        return entry
    return entry | {"contractStatus" if "contractStatus" in entry else "status": "DELIVERING"}


def _within(body: bytes | None, name: str) -> bytes:
    """An answer, where the parameter of this name was within its bounds."""
    if body is None:
        raise Refusal(-1130, f"Data sent for parameter '{name}' is not valid.")
    return body


def _mandatory(query: Mapping[str, str], name: str) -> str:
    value = query.get(name)
    if not value:
        raise Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return value


def _number(query: Mapping[str, str], name: str) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return int(value)


def _limit_of(query: Mapping[str, str]) -> int:
    """The limit a request is weighed by, whether it is valid or not."""
    value = query.get("limit", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else _DEFAULT_LIMIT


def _entry(instrument: Instrument) -> dict[str, Any]:
    """One symbol of exchangeInfo. The order of its filters is not to be relied on, so it differs."""
    tick = decimal(instrument.tick, instrument.price_decimals)
    step = decimal(instrument.step, instrument.quantity_decimals)
    filters: list[dict[str, Any]] = [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "10000000", "stepSize": step},
        {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": "1000000", "stepSize": step},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": "1.1500",
            "multiplierDown": "0.8500",
            "multiplierDecimal": "4",
        },
    ]
    random.Random(instrument.symbol).shuffle(filters)
    return {
        "symbol": instrument.symbol,
        "pair": instrument.base + instrument.quote,
        "contractType": instrument.contract,
        "deliveryDate": instrument.delivery,
        "onboardDate": instrument.onboard,
        "status": instrument.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.quote,
        "pricePrecision": instrument.price_decimals,
        "quantityPrecision": instrument.quantity_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012000",
        "marketTakeBound": "0.30",
        "filters": filters,
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }
