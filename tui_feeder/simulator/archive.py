"""The archive door: monthly and daily zips with their checksums, and 404 for what is not published."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
import zipfile
from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from xml.sax.saxutils import escape

from aiohttp import web

from tui_feeder.simulator import digits
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.listing import midnight, next_month
from tui_feeder.simulator.market import HOUR, INTERVALS, MINUTE, Market, aggregate

#: Time of day at which files appear, after midnight UTC: 08:35.
PUBLISHED_AT = 8 * HOUR + 35 * MINUTE
#: Files of months from here on have a header row.
HEADER_SINCE = date(2022, 5, 1)
HEADER = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    b"taker_buy_volume,taker_buy_quote_volume,ignore\n"
)
#: Bytes of zips kept.
MOST_KEPT = 96 * 1024 * 1024
#: The compression that makes a month in about the time the real ones take to download from nearby.
_LEVEL = 4

_PATH = re.compile(
    r"(?P<cycle>monthly|daily)/klines/(?P<symbol>[^/]+)/(?P<interval>[^/]+)/"
    r"(?P=symbol)-(?P=interval)-(?P<period>\d{4}-\d{2}(?:-\d{2})?)\.zip(?P<checksum>\.CHECKSUM)?"
)


def published_daily(day: date) -> int:
    """When (ms) the file of ``day`` appears: the next day at 08:35 UTC."""
    return midnight(day + timedelta(days=1)) + PUBLISHED_AT


def published_monthly(month: date) -> int:
    """When (ms) the file of a month (its first day) appears: first Monday of the next month, 08:35 UTC."""
    following = next_month(month)
    return midnight(following + timedelta(days=-following.weekday() % 7)) + PUBLISHED_AT


@dataclass(frozen=True)
class _File:
    """A file that is or will be in the archive."""

    symbol: str
    interval: str
    period: str
    begin: date
    end: date  # exclusive
    published: int

    @property
    def stem(self) -> str:
        return f"{self.symbol}-{self.interval}-{self.period}"


@dataclass(frozen=True)
class _Zip:
    body: bytes
    checksum: bytes | None
    etag: str


class Archive:
    """Answers under ``/data/futures/um``.

    Args:
        market: what was traded.
        clock: exchange time.
        requests: counts requests as "archive:monthly", "archive:daily", "archive:checksum" and "archive:404".
    """

    def __init__(self, market: Market, clock: SimulatedClock, requests: Counter[str]) -> None:
        self.log: list[str] = []
        self._market = market
        self._clock = clock
        self._requests = requests
        self._zips: OrderedDict[_File, _Zip] = OrderedDict()
        self._kept = 0
        self._making: dict[_File, asyncio.Task[_Zip | None]] = {}

    def routes(self) -> list[web.RouteDef]:
        """What to hang into the server."""
        return [web.get("/data/futures/um/{path:.+}", self._serve)]

    async def _serve(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        match = _PATH.fullmatch(path)
        file = self._file(match) if match else None
        if match is None or file is None or self._clock.now() < file.published:
            return self._missing(request)
        found = await self._zip(file)
        wants_checksum = match["checksum"] is not None
        body = None if found is None else found.checksum if wants_checksum else found.body
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
        return web.Response(body=body, headers=headers, content_type=kind)

    def _missing(self, request: web.Request) -> web.Response:
        self._requests["archive:404"] += 1
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
            "<Message>The specified key does not exist.</Message>"
            f"<Key>{escape(request.path[1:])}</Key></Error>"
        )
        return web.Response(status=404, body=body.encode(), content_type="application/xml")

    def _file(self, match: re.Match[str]) -> _File | None:
        monthly = match["cycle"] == "monthly"
        symbol, interval, period = match["symbol"], match["interval"], match["period"]
        if (
            symbol not in self._market.instruments
            or interval not in INTERVALS
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

    async def _zip(self, file: _File) -> _Zip | None:
        """The file, from memory or made in a thread; requests that come meanwhile wait for the same one."""
        if (known := self._zips.get(file)) is not None:
            self._zips.move_to_end(file)
            return known
        task = self._making.get(file)
        if task is None:
            task = self._making[file] = asyncio.create_task(asyncio.to_thread(self._make, file))
            task.add_done_callback(lambda _: self._making.pop(file, None))
        made = await asyncio.shield(task)
        if made is not None and file not in self._zips:
            self._zips[file] = made
            self._kept += len(made.body)
            while self._kept > MOST_KEPT and len(self._zips) > 1:
                self._kept -= len(self._zips.popitem(last=False)[1].body)
        return made

    def _make(self, file: _File) -> _Zip | None:
        if file.interval == "1m" and len(file.period) == 7:
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
        body = pack(f"{file.stem}.csv", (HEADER if file.begin >= HEADER_SINCE else b"") + lines)
        line = f"{hashlib.sha256(body).hexdigest()}  {file.stem}.zip\n"
        return _Zip(body, line.encode(), etag=f'"{hashlib.md5(body).hexdigest()}"')


def pack(name: str, text: bytes) -> bytes:
    """A zip of one member whose bytes depend on name and text alone."""
    member = zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr(member, text, compresslevel=_LEVEL)
    return buffer.getvalue()
