from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator
from urllib.parse import quote

import aiohttp
import pytest

from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import DAY, HOUR, MINUTE
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z
MIDNIGHT = NOON - 12 * HOUR
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)


class HandClock(SimulatedClock):
    """A clock that is set by hand."""

    def __init__(self, moment: int) -> None:
        super().__init__(moment)
        self.moment = moment

    def now(self) -> int:
        return self.moment


class Bucket:
    def __init__(self, exchange: Exchange, clock: HandClock, session: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.clock = clock
        self.session = session

    def url(self, cycle: str, symbol: str, period: str, interval: str = "1m") -> str:
        name = quote(symbol)
        base = f"{self.exchange.archive_url}/data/futures/um/{cycle}/klines"
        return f"{base}/{name}/{interval}/{name}-{interval}-{period}.zip"

    async def get(self, url: str) -> tuple[int, bytes]:
        async with self.session.get(url) as response:
            return response.status, await response.read()

    async def rows(self, url: str) -> list[list[str]]:
        status, body = await self.get(url)
        assert status == 200, body
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            (name,) = packed.namelist()
            return list(csv.reader(io.StringIO(packed.read(name).decode())))


@pytest.fixture
async def bucket() -> AsyncIterator[Bucket]:
    clock = HandClock(NOON)
    async with (
        Exchange(synthetic_market(as_of_ms=NOON), clock) as exchange,
        aiohttp.ClientSession() as session,
    ):
        yield Bucket(exchange, clock, session)


async def test_a_day_is_published_the_next_morning(bucket: Bucket) -> None:
    url = bucket.url("daily", "BTCUSDT", "2026-03-09")
    bucket.clock.moment = MIDNIGHT + 8 * HOUR + 35 * MINUTE - 1
    status, body = await bucket.get(url)
    assert (status, b"<Code>NoSuchKey</Code>" in body) == (404, True)
    assert (await bucket.get(url + ".CHECKSUM"))[0] == 404
    bucket.clock.moment += 1
    assert (await bucket.get(url))[0] == 200
    assert bucket.exchange.archive_log == [
        "/data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-03-09.zip"
    ]
    assert bucket.exchange.requests["archive:daily"] == 1
    assert bucket.exchange.requests["archive:404"] == 2


@pytest.mark.parametrize(
    ("month", "monday"),
    [("2026-02", 1_772_409_600_000), ("2026-01", 1_769_990_400_000), ("2025-12", 1_767_571_200_000)],
)
async def test_a_month_is_published_on_the_first_monday_of_the_next(
    bucket: Bucket, month: str, monday: int
) -> None:
    url = bucket.url("monthly", "LTCUSDT", month, "1h")
    bucket.clock.moment = monday + 8 * HOUR + 35 * MINUTE - 1
    assert (await bucket.get(url))[0] == 404
    bucket.clock.moment += 1
    assert (await bucket.get(url))[0] == 200


async def test_the_checksum_is_of_the_zip_in_the_form_of_sha256sum(bucket: Bucket) -> None:
    url = bucket.url("daily", "ETHUSDT", "2026-03-09")
    _, body = await bucket.get(url)
    _, line = await bucket.get(url + ".CHECKSUM")
    assert line.decode() == f"{hashlib.sha256(body).hexdigest()}  ETHUSDT-1m-2026-03-09.zip\n"


async def test_a_file_holds_the_rows_of_rest_under_a_header(bucket: Bucket) -> None:
    header, *rows = await bucket.rows(bucket.url("daily", "DOGEUSDT", "2026-03-09"))
    assert ",".join(header) == HEADER
    assert len(rows) == 1440
    query = {"symbol": "DOGEUSDT", "interval": "1m", "startTime": str(MIDNIGHT - DAY), "limit": "1440"}
    async with bucket.session.get(f"{bucket.exchange.rest_url}/fapi/v1/klines", params=query) as response:
        served = await response.json()
    assert [[float(x) for x in row] for row in rows] == [[float(x) for x in row] for row in served]


async def test_a_month_is_its_days_and_an_hour_file_its_minutes(bucket: Bucket) -> None:
    _, *month = await bucket.rows(bucket.url("monthly", "XRPUSDT", "2026-02"))
    assert len(month) == 28 * 1440
    _, *day = await bucket.rows(bucket.url("daily", "XRPUSDT", "2026-02-17"))
    assert month[16 * 1440 : 17 * 1440] == day
    _, *hours = await bucket.rows(bucket.url("daily", "XRPUSDT", "2026-02-17", "1h"))
    assert len(hours) == 24
    for i, hour in enumerate(hours):
        part = day[i * 60 : (i + 1) * 60]
        assert (hour[0], hour[1], hour[4]) == (part[0][0], part[0][1], part[-1][4])
        assert int(hour[6]) == int(hour[0]) + HOUR - 1
        assert int(hour[8]) == sum(int(row[8]) for row in part)


async def test_a_quiet_coin_shows_zeros_bare_and_its_name_percent_encoded(bucket: Bucket) -> None:
    _, *rows = await bucket.rows(bucket.url("daily", "币安人生USDT", "2026-03-08"))
    quiet = [row for row in rows if row[8] == "0"]
    assert quiet
    assert all((row[5], row[7], row[9], row[10]) == ("0", "0", "0", "0") for row in quiet)
    assert all(row[1] == row[2] == row[3] == row[4] for row in quiet)


async def test_files_begin_with_the_listing(bucket: Bucket) -> None:
    onboard = bucket.exchange.market.instruments["币安人生USDT"].onboard
    assert onboard % DAY  # in the middle of a day: 2026-02-17T10:30:00Z
    assert (await bucket.get(bucket.url("daily", "币安人生USDT", "2026-02-16")))[0] == 404
    assert (await bucket.get(bucket.url("monthly", "币安人生USDT", "2026-01")))[0] == 404
    _, *day = await bucket.rows(bucket.url("daily", "币安人生USDT", "2026-02-17"))
    assert int(day[0][0]) == onboard
    _, *month = await bucket.rows(bucket.url("monthly", "币安人生USDT", "2026-02"))
    assert int(month[0][0]) == onboard


async def test_a_file_has_the_same_bytes_at_every_start(bucket: Bucket) -> None:
    url = bucket.url("monthly", "BTCUSDT", "2026-02")
    _, body = await bucket.get(url)
    clock = HandClock(NOON + 3 * DAY)
    async with Exchange(synthetic_market(["BTCUSDT"], as_of_ms=clock.moment), clock) as later:
        path = url.removeprefix(bucket.exchange.archive_url)
        assert (await bucket.get(later.archive_url + path))[1] == body


async def test_an_unchanged_file_is_not_sent_again_to_who_knows_its_etag(bucket: Bucket) -> None:
    url = bucket.url("daily", "BTCUSDT", "2026-03-09")
    async with bucket.session.get(url) as response:
        etag = response.headers["ETag"]
    async with bucket.session.get(url, headers={"If-None-Match": etag}) as response:
        assert (response.status, await response.read()) == (304, b"")


async def test_months_before_may_2022_have_no_header() -> None:
    clock = HandClock(1_659_312_000_000)  # 2022-08-01
    market = synthetic_market(["BTCUSDT"], as_of_ms=clock.moment)
    async with Exchange(market, clock) as exchange, aiohttp.ClientSession() as session:
        old = Bucket(exchange, clock, session)
        april = await old.rows(old.url("monthly", "BTCUSDT", "2022-04", "1h"))
        assert april[0][0] == "1648771200000"
        assert len(april) == 30 * 24
        assert ",".join((await old.rows(old.url("monthly", "BTCUSDT", "2022-05", "1h")))[0]) == HEADER


@pytest.mark.parametrize(
    "path",
    [
        "daily/klines/NOSUCHUSDT/1m/NOSUCHUSDT-1m-2026-03-09.zip",
        "daily/klines/BTCUSDT/1m/ETHUSDT-1m-2026-03-09.zip",
        "daily/klines/BTCUSDT/7m/BTCUSDT-7m-2026-03-09.zip",
        "daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-02-31.zip",
        "daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-02.zip",
        "monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2026-02-01.zip",
        "monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2026-02-01.zip",
        "daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2026-03-10.zip",
    ],
)
async def test_what_is_not_in_the_archive_is_404(bucket: Bucket, path: str) -> None:
    status, body = await bucket.get(f"{bucket.exchange.archive_url}/data/futures/um/{path}")
    assert (status, b"NoSuchKey" in body) == (404, True)
