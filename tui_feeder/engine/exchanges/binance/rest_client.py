"""The REST side of Binance: time, symbols, klines, and every way it refuses."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from tui_feeder.engine.core.candle import MINUTE_MS, Rows
from tui_feeder.engine.core.clock import ExchangeClock, Step
from tui_feeder.engine.core.decoding import UNREADABLE, ExactInt
from tui_feeder.engine.core.proxy import Proxies, failures, reason_of, session
from tui_feeder.engine.core.trades import TradeRow
from tui_feeder.engine.exchanges.base import Listings, Page, Refusal, RestError
from tui_feeder.engine.exchanges.binance import answers
from tui_feeder.engine.exchanges.binance.forwarded_calls import PUBLIC_CALLS, UnknownCallError
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.rest_budget import RequestBudget
from tui_feeder.engine.exchanges.binance.stream_messages import decode_trades
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.live_access import Forwarded

MAX_BODY = 32 << 20
T = TypeVar("T")
#: How long a ban lasts whose answer does not state it: the shortest there is.
_BAN_MS = 2 * MINUTE_MS
#: States in which requests go one at a time.
_SILENCED = (Refusal.RATE_LIMITED, Refusal.FORBIDDEN)
#: Requests on their way at once. More would wait inside the connection pool, where their timeout runs.
_IN_FLIGHT = 20
#: Of them bulk reads, those that wait for weight included.
_BULK = 16
#: Of them those that are forwarded for others.
_FORWARDED = 4
#: Candles that were refused for so long (s) were refused to everybody, not to one request now and then.
_OUTAGE_SECONDS = 5.0
#: Requests for the time whose median sets the clock.
_CLOCK_SAMPLES = 3
#: Between two trial requests while candles are refused and something else is answered, s.
_TRIAL_SECONDS = 5.0
_BANNED_UNTIL = re.compile(r"banned until (\d{13})")


class _Error(msgspec.Struct):
    code: ExactInt = 0
    msg: str = ""


class _Time(msgspec.Struct):
    serverTime: ExactInt


_time = msgspec.json.Decoder(_Time)


def _error_body(code: int, text: str) -> bytes:
    """An error as the exchange writes it."""
    return msgspec.json.encode({"code": code, "msg": text})


class RestClient:
    """Requests within the weight budget; never one during a ban.

    Args:
        base_url: such as ``https://fapi.binance.com``.
        clock: exchange time; :meth:`sync_clock` sets it.
        timeout: seconds for a whole request.
        budget: shared with other markets that are counted together; its own where none is given.
        proxies: on the way there; those of the environment where none are given.
        market: whose paths and weights these are.

    Attributes:
        on_answer: called with the address, the status and the body of every answer.
        on_reached: called when REST answers again; see :class:`~tui_feeder.engine.exchanges.base.Exchange`.
        on_unusable: called where rows of an answer were left out; see there.

    Raises:
        ProxyError: the proxy cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        clock: ExchangeClock,
        *,
        timeout: float = 10.0,
        budget: RequestBudget | None = None,
        proxies: Proxies | None = None,
        market: Market = USDM,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._proxy = (proxies or Proxies()).of(self.base_url)
        self.clock = clock
        self._market = market
        self._budget = budget or RequestBudget(market.limits.weight_limit, clock)
        self.ledger = self._budget.ledger
        self.state: str = "idle"  # "ok", or the kind of the last refusal
        self.requests = 0
        self.on_answer: Callable[[str, int, bytes], None] = lambda *_: None
        self.on_reached: Callable[[bool], None] = lambda _: None
        self.on_unusable: Callable[[int, str, str], None] = lambda *_: None
        self._refusing = False  # the last request for candles was refused, whatever it asked for
        self._given = self._tried = float("-inf")  # monotonic: when candles were given, when a trial was due
        self._places = asyncio.Semaphore(_IN_FLIGHT)
        self._bulk = asyncio.Semaphore(_BULK)
        self._forwarding = asyncio.Semaphore(_FORWARDED)
        self._time_sent = 0.0
        self._one_by_one = asyncio.Lock()
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    @property
    def banned_until(self) -> int:
        """Exchange ms until which this address is banned; in the past or 0 where it is not."""
        return self._budget.banned_until

    def silenced(self) -> bool:
        """Whether the exchange wants no requests for a while: those that are made wait."""
        return self.state in _SILENCED

    def waits(self) -> str:
        """Why requests are not sent at once, in words; "" while they are."""
        reasons = (
            (self._budget.banned_until, "the address is banned"),
            (self._budget.paused_until, "REST asked for a pause"),
            (self.ledger.blocked_until, "REST weight used up"),
        )
        until, why = next((reason for reason in reasons if reason[0] > self.clock.now()), (0, ""))
        return f"{why}, waits until {datetime.fromtimestamp(until / 1000, UTC):%H:%M:%SZ}" if why else ""

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _get(self, path: str, weight: int, *, urgent: bool = False) -> bytes:
        candles = path.startswith(self._market.candles_path)
        try:
            body = await self._granted(path, weight, urgent)
        except RestError as error:
            if candles and error.kind not in (Refusal.UNKNOWN_SYMBOL, Refusal.BAD_REQUEST):
                self._refusing = True
            raise
        self._answered(candles=candles)
        return body

    async def _granted(self, path: str, weight: int, urgent: bool) -> bytes:
        """Sends a request once there is weight for it.

        A bulk read that has its weight is sent at once: many that waited for a place past their minute would
        be counted by the exchange in the next one, beside those granted there.
        """
        if urgent:
            return await self._send_granted(path, weight, urgent)
        async with self._bulk:
            return await self._send_granted(path, weight, urgent)

    async def _send_granted(self, path: str, weight: int, urgent: bool) -> bytes:
        self._check_ban()
        await self.clock.sleep_until(self._budget.paused_until)
        await self.ledger.spend(weight, urgent=urgent)
        while self.silenced():
            # After a pause one request goes first: if it is refused too, the others wait on.
            async with self._one_by_one:
                if self.silenced():
                    await self.clock.sleep_until(self._budget.paused_until)
                    self._check_ban()
                    return await self._ask(path)
        # The time shows that REST is back: it is never queued behind requests that hang.
        if path == self._market.time_path:
            self._check_ban()
            return await self._ask(path)
        async with self._places:
            self._check_ban()
            return await self._ask(path)

    def _answered(self, *, candles: bool) -> None:
        now = time.monotonic()
        if candles:
            back = self._refusing and now - self._given >= _OUTAGE_SECONDS
            self._refusing, self._given = False, now
            if back:
                self.on_reached(True)
        elif self._refusing and now - self._tried >= _TRIAL_SECONDS:
            self._tried = now
            self.on_reached(False)

    def _check_ban(self) -> None:
        if self._budget.banned_until > self.clock.now():
            raise self._refusal(Refusal.BANNED, "no request during a ban", self._budget.banned_until)

    async def _ask(self, path: str) -> bytes:
        asked_at = self.clock.now()
        status, headers, body = await self._exchange(path)
        if status == 200 and len(body) <= MAX_BODY:
            self.state = "ok"
            # What was over when this was asked must not come back with a clock that is set anew.
            budget = self._budget
            budget.banned_until = budget.banned_until if budget.banned_until > asked_at else 0
            budget.paused_until = budget.paused_until if budget.paused_until > asked_at else 0
            return body
        raise self._refused(status, headers.get("Retry-After"), body)

    async def _exchange(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request: status, headers and body of the answer."""
        if self._session is None:
            self._session = session(self._proxy, self._timeout)
        self.requests += 1
        if path == self._market.time_path:  # whatever it waited for before is not the clock's
            self._time_sent = time.monotonic()
        asked_at = self.clock.now()
        try:
            async with self._session.get(self.base_url + path) as answer:
                body = await answer.content.read(MAX_BODY + 1)
                while not answer.content.at_eof() and len(body) <= MAX_BODY:
                    body += await answer.content.read(MAX_BODY + 1 - len(body))
                status, headers = answer.status, answer.headers
        except TimeoutError:
            way = "" if self._proxy is None else f" through the proxy {self._proxy}"
            text = f"no answer within {self._timeout.total:g} s{way}"
            raise self._refusal(Refusal.TIMEOUT, text) from None
        except aiohttp.ClientPayloadError as error:
            raise self._refusal(Refusal.BAD_ANSWER, "an answer broke off in the middle") from error
        except failures() as error:
            text = f"{self.base_url} is unreachable{reason_of(error, self._proxy)}"
            raise self._refusal(Refusal.UNREACHABLE, text) from error
        if (used := headers.get("X-MBX-USED-WEIGHT-1M", "")).isdigit():
            self.ledger.correct(int(used), asked_at)
        self.on_answer(self.base_url + path, status, body)
        return status, headers, body

    async def forward(self, name: str, parameters: Sequence[tuple[str, str]]) -> Forwarded:
        """Send a public request for another program, if there is weight for it; it waits for none.

        Args:
            name: of :data:`~tui_feeder.engine.exchanges.binance.forwarded_calls.PUBLIC_CALLS`.
            parameters: of its query.

        Returns:
            The exchange's answer whatever its status, or 429 where it was not sent, 504 where none came.
        """
        call = PUBLIC_CALLS.get(name)
        if call is None:
            return Forwarded(404, _error_body(-5000, "Path is invalid"))
        try:
            query = call.query(parameters)
        except UnknownCallError as error:
            return Forwarded(400, _error_body(-1104, str(error)))
        async with self._forwarding:
            weight = call.weigh(dict(parameters))
            waits = max(self._budget.banned_until, self._budget.paused_until)
            until = waits if waits > self.clock.now() else self.ledger.try_spend(weight)
            if until is not None:
                seconds = self.clock.real_seconds(max(0, until - self.clock.now()))
                text = self.waits() or "the request weight of this minute is used up"
                return Forwarded(429, _error_body(-1003, f"not forwarded: {text}"), seconds)
            try:
                async with self._places:
                    status, headers, body = await self._exchange(call.path + query)
                if status in (403, 418, 429):
                    raise self._refused(status, headers.get("Retry-After"), body)
            except RestError as error:
                retry = error.retry_ms
                left = None if retry is None else self.clock.real_seconds(max(0, retry - self.clock.now()))
                status = 504 if left is None else 429
                return Forwarded(status, _error_body(-1003 if left else -1007, str(error)), left, weight)
        if len(body) > MAX_BODY:
            return Forwarded(502, _error_body(-1000, "the exchange's answer is too long"), None, weight)
        return Forwarded(status, body, None, weight)

    def _refusal(self, kind: Refusal, text: str, retry_ms: int | None = None) -> RestError:
        self.state = kind
        return RestError(kind, text, retry_ms)

    def _refused(self, status: int, retry_after: str | None, body: bytes) -> RestError:
        """The state that an HTTP status other than 200 stands for."""
        now = self.clock.now()
        try:
            error = msgspec.json.decode(body, type=_Error)
        except UNREADABLE:
            error = _Error(msg=body[:120].decode(errors="replace"))
        wait_ms = int(retry_after) * 1000 if retry_after and retry_after.isdigit() else None
        if status == 418:
            found = _BANNED_UNTIL.search(error.msg)
            # How long it lasts is surer than its end while the clock is not measured yet.
            until = max(int(found[1]) if found else 0, 0 if self.clock.measured else now + _BAN_MS)
            self._budget.banned_until = now + wait_ms if wait_ms else until or now + _BAN_MS
            self._budget.on_ban(self._budget.banned_until)
            text = f"the address is banned: {error.msg}"
            return self._refusal(Refusal.BANNED, text, self._budget.banned_until)
        if status == 429:
            # Without Retry-After the budget is back with the next exchange minute.
            self._budget.paused_until = now + wait_ms if wait_ms else (now // MINUTE_MS + 1) * MINUTE_MS
            return self._refusal(
                Refusal.RATE_LIMITED, error.msg or "too many requests", self._budget.paused_until
            )
        if status == 400 and error.code == -1121:
            self.state = "ok"
            return RestError(Refusal.UNKNOWN_SYMBOL, error.msg)
        if status == 403:
            self._budget.paused_until = now + MINUTE_MS
            text = "refused by the exchange's firewall (403)"
            return self._refusal(Refusal.FORBIDDEN, text, self._budget.paused_until)
        if status == 451:
            return self._refusal(Refusal.REFUSED_HERE, "refused by country (451): archives may still work")
        if status >= 500 or status == 408:
            return self._refusal(Refusal.EXCHANGE_ERROR, f"the exchange answers {status}")
        return self._refusal(Refusal.BAD_REQUEST, f"status {status}, code {error.code}: {error.msg}")

    def _decoded(self, body: bytes, decode: Callable[[bytes], T]) -> T:
        try:
            return decode(body)
        except UNREADABLE as error:
            raise self._refusal(Refusal.BAD_ANSWER, f"an answer cannot be read: {error}") from error

    async def server_time(self) -> int:
        """The exchange's clock, ms."""
        body = await self._get(self._market.time_path, 1, urgent=True)
        return self._decoded(body, _time.decode).serverTime

    async def sync_clock(self) -> Step:
        """Set the clock from the midpoints of a few requests; what that did to it."""
        taken = []
        for _ in range(_CLOCK_SAMPLES):
            server = await self.server_time()
            taken.append((self._time_sent, server, time.monotonic()))
            await asyncio.sleep(0)
        return self.clock.measure(taken)

    async def listings(self) -> Listings:
        """Every listed symbol; takes over the weight limit the exchange states."""
        market = self._market
        body = await self._get(market.listing_path, market.limits.listing_weight, urgent=True)
        found, weight_limit = self._decoded(body, answers.listings)
        if weight_limit is not None:
            self._budget.state_limit(market.name, weight_limit)
        return found

    async def klines(
        self,
        symbol: str,
        *,
        interval: str = "1m",
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
        urgent: bool = False,
    ) -> Rows:
        """The candles of :meth:`page` alone.

        Args:
            symbol: whose.
            interval: as Binance calls it.
            start: ms; None for no bound.
            end: ms, exclusive; None for no bound.
            limit: the most that are given; None for a page of the market.
            urgent: may use the reserve of the weight.

        Returns:
            Closed candles of ``[start, end)``, sorted; never the unfinished one.

        Raises:
            RestError: with its kind.
        """
        limit = self._market.limits.page_candles if limit is None else limit
        return (await self.page(symbol, interval, start, end, limit, urgent=urgent)).rows

    async def page(
        self, symbol: str, interval: str, start: int | None, end: int | None, limit: int, *, urgent: bool
    ) -> Page:
        """Closed candles of ``[start, end)``, and which is the newest one in the answer, finished or not.

        Args:
            symbol: whose.
            interval: as Binance calls it.
            start: ms; None for no bound.
            end: ms, exclusive; None for no bound.
            limit: the most that are given.
            urgent: may use the reserve of the weight.

        Returns:
            Sorted rows; the newest one shown is 0 where there is none.

        Raises:
            RestError: with its kind.
        """
        path = f"{self._market.candles_path}?symbol={quote(symbol)}&interval={interval}&limit={limit}"
        if start is not None:
            path += f"&startTime={start}"
        if end is not None:
            path += f"&endTime={end - 1}"
        asked_at, may_end_early = self.clock.now(), self._market.may_end_early
        body = await self._get(path, self._market.limits.candles_weight(limit), urgent=urgent)
        rows, ends, odd = self._decoded(
            body, lambda text: answers.klines(text, interval, may_end_early=may_end_early)
        )
        if odd:
            self.on_unusable(len(odd), odd[0], symbol)
        if not len(rows):
            self.state = Refusal.EMPTY_ANSWER  # right before a listing; at other times somebody's mistake
            return Page(rows, 0)
        # Closed before the request left: an answer made later can't make a candle of it less final; a clock
        # that was found to be ahead meanwhile can.
        asked_at = min(asked_at, self.clock.now())
        low, high = start or 0, end if end is not None else 1 << 62
        newest = int(rows["open_time"][rows["open_time"] < high].max(initial=0))  # no other was asked for
        rows = rows[ends + self._market.facts.settle_ms < asked_at]
        inside: Rows = rows[(rows["open_time"] >= low) & (rows["open_time"] < high)]
        return Page(inside, newest)

    async def trades(self, symbol: str, first_id: int) -> list[TradeRow]:
        """A page of aggregated trades; like every bulk read it leaves the reserve of the weight alone.

        Args:
            symbol: whose.
            first_id: of the first one wanted.

        Returns:
            Those from there on.

        Raises:
            RestError: with its kind.
        """
        limits, path = self._market.limits, self._market.trades_path
        path += f"?symbol={quote(symbol)}&fromId={first_id}&limit={limits.page_trades}"
        body = await self._get(path, limits.trades_weight)
        return [trade.row() for trade in self._decoded(body, decode_trades)]
