"""The archive: monthly and daily zips with their checksums, and 404 for what is not published."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from xml.sax.saxutils import escape

from aiohttp import web

from tui_feeder.simulator import digits, trade_forms
from tui_feeder.simulator.archive_faults import Reshaping, reshape, reshapings, wrong_checksum
from tui_feeder.simulator.clock import Clock
from tui_feeder.simulator.dialect import USDM, Dialect
from tui_feeder.simulator.fault_wire import send_half, trickle
from tui_feeder.simulator.faults import Faults
from tui_feeder.simulator.listing import midnight, next_month
from tui_feeder.simulator.market import DAY, HOUR, INTERVALS, MINUTE, Market, aggregate
from tui_feeder.simulator.packing import pack, pack_parts
from tui_feeder.simulator.trade_faults import OF_ROWS, changed
from tui_feeder.simulator.trade_faults import wrongs as row_wrongs
from tui_feeder.simulator.trades import Trades

#: Time of day at which files appear, after midnight UTC: 08:35.
PUBLISHED_AT = 8 * HOUR + 35 * MINUTE
HEADER = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    b"taker_buy_volume,taker_buy_quote_volume,ignore\n"
)
#: Name of the folder of trades, and what stands for the interval in their files' names.
AGG_TRADES = "aggTrades"
#: Bytes of zips kept.
MOST_KEPT = 96 * 1024 * 1024
_MS_DIGITS = 13

_PERIOD = r"(?P<period>\d{4}-\d{2}(?:-\d{2})?)\.zip(?P<checksum>\.CHECKSUM)?"
_CANDLES = re.compile(
    r"(?P<cycle>monthly|daily)/klines/(?P<symbol>[^/]+)/(?P<interval>[^/]+)/(?P=symbol)-(?P=interval)-"
    + _PERIOD
)
_TRADES = re.compile(
    r"(?P<cycle>monthly|daily)/(?P<interval>aggTrades)/(?P<symbol>[^/]+)/(?P=symbol)-aggTrades-" + _PERIOD
)


def published_daily(day: date) -> int:
    """When (ms) the file of ``day`` appears: the next day at 08:35 UTC.

    Args:
        day: the UTC day the file covers.

    Returns:
        Exchange time, ms.
    """
    return midnight(day + timedelta(days=1)) + PUBLISHED_AT


def published_monthly(month: date) -> int:
    """When (ms) the file of a month (its first day) appears: first Monday of the next month, 08:35 UTC.

    Args:
        month: first day of the month the file covers.

    Returns:
        Exchange time, ms.
    """
    following = next_month(month)
    return midnight(following + timedelta(days=-following.weekday() % 7)) + PUBLISHED_AT


@dataclass(frozen=True)
class _File:
    """A file that is or will be in the archive."""

    symbol: str
    interval: str  # or "aggTrades"
    period: str
    begin: date
    end: date  # exclusive
    published: int

    @property
    def monthly(self) -> bool:
        return len(self.period) == 7

    @property
    def of_trades(self) -> bool:
        return self.interval == AGG_TRADES

    @property
    def stem(self) -> str:
        return f"{self.symbol}-{self.interval}-{self.period}"


@dataclass(frozen=True)
class _Zip:
    body: bytes
    checksum: bytes | None
    etag: str


#: A file and what is made wrong in it.
_Key = tuple[_File, tuple[Reshaping, ...]]


class Archive:
    """Answers under the path of its market, such as ``/data/futures/um``.

    Args:
        market: what was traded.
        trades: its aggregate trades.
        clock: exchange time.
        requests: counts requests as "archive:monthly", "archive:daily", "archive:checksum" and "archive:404".
        faults: what is to go wrong.
        dialect: path and form of its files.
    """

    def __init__(
        self,
        market: Market,
        trades: Trades,
        clock: Clock,
        requests: Counter[str],
        faults: Faults,
        dialect: Dialect = USDM,
    ) -> None:
        self._dialect = dialect
        self.log: list[str] = []
        self._faults = faults
        self._market = market
        self._trades = trades
        self._clock = clock
        self._requests = requests
        self._zips: OrderedDict[_Key, _Zip] = OrderedDict()
        self._kept = 0
        self._making: dict[_Key, asyncio.Task[_Zip | None]] = {}

    def routes(self) -> list[web.RouteDef]:
        """What to hang into the server."""
        return [web.get(f"{self._dialect.archive}/{{path:.+}}", self._serve)]

    def forget(self) -> None:
        """Has every file made anew, after the market has changed."""
        self._zips.clear()
        self._kept = 0
        self._making.clear()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        match = _CANDLES.fullmatch(path) or _TRADES.fullmatch(path)
        file = self._file(match) if match else None
        if match is None or file is None or self._clock.now() < file.published + self._late(file, path):
            return self._missing(request)
        wants_checksum = match["checksum"] is not None
        wrongs: tuple[Reshaping, ...] = ()
        if self._faults:
            if self._faults.strike("forbidden-file", file.symbol, path):
                return _refusal(403, "AccessDenied", "Access Denied", request.path)
            if self._faults.strike("missing-file", file.symbol, path):
                return self._missing(request)
            wrongs = reshapings(
                self._faults, file.symbol, path, count=not wants_checksum, trades=file.of_trades
            )
            if file.of_trades:
                place = f"archive {path}"
                wrongs += row_wrongs(self._faults, file.symbol, place, count=not wants_checksum)
        found = await self._zip((file, wrongs))
        body = None if found is None else found.checksum if wants_checksum else found.body
        if body is not None and wants_checksum and self._faults:
            body = self._checksum(body, file, path)
        if found is None or body is None:
            return self._missing(request)
        self._requests["archive:checksum" if wants_checksum else f"archive:{match['cycle']}"] += 1
        self.log.append(request.path)
        headers = {
            "ETag": f'"{hashlib.md5(body).hexdigest()}"' if wants_checksum else found.etag,
            "Last-Modified": datetime.fromtimestamp(file.published / 1000, UTC).strftime(
                "%a, %d %b %Y %H:%M:%S GMT"
            ),
        }
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        kind = "binary/octet-stream" if wants_checksum else "application/zip"
        answer = web.Response(body=body, headers=headers, content_type=kind)
        return answer if wants_checksum or not self._faults else await self._transfer(request, answer, file)

    def _late(self, file: _File, path: str) -> int:
        """How much later than usual (ms) the file is published."""
        late = self._faults.strike("late-archive", file.symbol, path) if self._faults else None
        return 0 if late is None else round(late.number("hours") * HOUR)

    def _checksum(self, body: bytes, file: _File, path: str) -> bytes | None:
        """The checksum as the faults leave it; None if it is not there."""
        if self._faults.strike("no-checksum", file.symbol, path):
            return None
        bad = self._faults.strike("bad-checksum", file.symbol, path)
        return wrong_checksum(body, bad.text("how")) if bad else body

    async def _transfer(self, request: web.Request, answer: web.Response, file: _File) -> web.StreamResponse:
        """Sends a zip, slowly or not to its end if a fault is on."""
        path = request.match_info["path"]
        if self._faults.strike("cut-file", file.symbol, path):
            return await send_half(request, answer)
        slow = self._faults.strike("slow-archive", file.symbol, path)
        return await trickle(request, answer, self._faults, slow) if slow else answer

    def _missing(self, request: web.Request) -> web.Response:
        self._requests["archive:404"] += 1
        return _refusal(404, "NoSuchKey", "The specified key does not exist.", request.path)

    def _file(self, match: re.Match[str]) -> _File | None:
        monthly = match["cycle"] == "monthly"
        symbol, interval, period = match["symbol"], match["interval"], match["period"]
        if (
            symbol not in self._market.instruments
            or not (interval in INTERVALS or (interval == AGG_TRADES and self._dialect.trades))
            or monthly != (len(period) == 7)
        ):
            return None
        try:
            begin = date.fromisoformat(f"{period}-01" if monthly else period)
        except ValueError:
            return None
        if monthly:
            return _File(symbol, interval, period, begin, next_month(begin), published_monthly(begin))
        return _File(symbol, interval, period, begin, begin + timedelta(days=1), published_daily(begin))

    async def _zip(self, key: _Key) -> _Zip | None:
        """The file, from memory or made in a thread; requests that come meanwhile wait for the same one."""
        if (known := self._zips.get(key)) is not None:
            self._zips.move_to_end(key)
            return known
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._keep(key))
        return await asyncio.shield(task)

    async def _keep(self, key: _Key) -> _Zip | None:
        file, wrongs = key
        task = asyncio.current_task()
        try:
            if wrongs:
                of_rows = tuple(wrong for wrong in wrongs if wrong.name in OF_ROWS)
                of_bytes = tuple(wrong for wrong in wrongs if wrong.name not in OF_ROWS)
                if of_bytes:
                    right = await self._zip((file, of_rows))
                    made = right and await asyncio.to_thread(_reshaped, right, file, of_bytes)
                else:
                    made = await asyncio.to_thread(self._make, file, of_rows)
            else:
                made = await asyncio.to_thread(self._make, file)
            if made is not None and self._making.get(key) is task:
                self._zips[key] = made
                self._kept += len(made.body)
                while self._kept > MOST_KEPT and len(self._zips) > 1:
                    self._kept -= len(self._zips.popitem(last=False)[1].body)
            return made
        finally:
            if self._making.get(key) is task:
                del self._making[key]

    def _make(self, file: _File, wrongs: tuple[Reshaping, ...] = ()) -> _Zip | None:
        if file.of_trades:
            return self._make_trades(file, wrongs)
        if file.interval == "1m" and file.monthly:
            original = self._market.archive_month(file.symbol, file.period)
            if original is not None:
                return _Zip(*original, etag=f'"{hashlib.md5(original[0]).hexdigest()}"')
        begin, end = midnight(file.begin), midnight(file.end)
        if file.interval == "1m":
            lines = self._market.archive_lines(file.symbol, begin, end)
        else:
            size = INTERVALS[file.interval]
            bars = aggregate(self._market.minutes(file.symbol, begin, end), size)
            lines = digits.archive_rows(bars, self._market.instruments[file.symbol], size)
        if not lines:
            return None
        headed, fine = self._dialect.header_since, self._dialect.microseconds_since
        if fine is not None and file.begin >= fine:
            lines = _in_microseconds(lines)
        header = HEADER if headed is not None and file.begin >= headed else b""
        body = pack((f"{file.stem}.csv", header + lines))
        return _signed(body, file)

    def _make_trades(self, file: _File, wrongs: tuple[Reshaping, ...]) -> _Zip | None:
        instrument = self._market.instruments[file.symbol]
        headed, fine = self._dialect.header_since, self._dialect.microseconds_since
        microseconds = fine is not None and file.begin >= fine
        empty = True

        def parts() -> Iterator[bytes]:
            nonlocal empty
            if headed is not None and file.begin >= headed:
                yield trade_forms.HEADER
            begin, end = midnight(file.begin), midnight(file.end)
            days = [self._trades.day(file.symbol, moment // DAY) for moment in range(begin, end, DAY)]
            # A file has the trades of its own times: a fault may put one into the minute after its candle.
            for rows in itertools.chain([self._trades.minute(file.symbol, begin - MINUTE)], *days):
                shown = changed(rows, wrongs)
                shown = shown.where((shown.times >= begin) & (shown.times < end))
                empty = empty and not len(shown.ids)
                if len(shown.ids):
                    yield trade_forms.archive_lines(
                        shown, instrument, self._dialect, microseconds=microseconds
                    )

        body = pack_parts(f"{file.stem}.csv", parts(), large=file.monthly)
        return None if empty else _signed(body, file)


def _in_microseconds(lines: bytes) -> bytes:
    """Lines of a file with their times in microseconds; those that are so already stay."""
    found = []
    for line in lines.splitlines():
        fields = line.split(b",")
        if len(fields[0]) == _MS_DIGITS:
            fields[0], fields[6] = fields[0] + b"000", fields[6] + b"999"
        found.append(b",".join(fields))
    return b"\n".join([*found, b""])


def _signed(body: bytes, file: _File) -> _Zip:
    line = f"{hashlib.sha256(body).hexdigest()}  {file.stem}.zip\n"
    return _Zip(body, line.encode(), etag=f'"{hashlib.md5(body).hexdigest()}"')


def _reshaped(right: _Zip, file: _File, wrongs: tuple[Reshaping, ...]) -> _Zip:
    """The file made wrong; it has a checksum if the right one has, of the right one if a fault is on."""
    made = _signed(reshape(right.body, file.stem, wrongs, monthly=file.monthly, trades=file.of_trades), file)
    unsigned = any(not dict(wrong.parameters).get("signed", True) for wrong in wrongs)
    return replace(made, checksum=right.checksum) if unsigned or right.checksum is None else made


def _refusal(status: int, code: str, message: str, path: str) -> web.Response:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
        f"<Message>{message}</Message><Key>{escape(path[1:])}</Key></Error>"
    )
    return web.Response(status=status, body=body.encode(), content_type="application/xml")
