from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import zipfile
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from commanding import recorded
from places import KLINES

from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import DAY, HOUR, MINUTE
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z
YESTERDAY = NOON - 36 * HOUR
OCTOBER = KLINES / "FILUSDT-1m-2024-10.zip"
DAILY = "daily", "2026-03-09"
MONTHLY = "monthly", "2026-02"
LONG_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_asset_volume,number_of_trades,"
    "taker_buy_base_asset_volume,taker_buy_quote_asset_volume,ignore"
)


class HandClock(SimulatedClock):
    def __init__(self, moment: int) -> None:
        super().__init__(moment)
        self.moment = moment

    def now(self) -> int:
        return self.moment


class Bucket:
    def __init__(self, exchange: Exchange, clock: HandClock, session: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.faults = exchange.faults
        self.clock = clock
        self.session = session

    async def get(
        self, cycle: str = "daily", period: str = "2026-03-09", symbol: str = "LTCUSDT", ending: str = ""
    ) -> tuple[int, bytes]:
        name = f"{symbol}-1m-{period}.zip{ending}"
        url = f"{self.exchange.archive_url}/data/futures/um/{cycle}/klines/{symbol}/1m/{name}"
        async with self.session.get(url) as response:
            return response.status, await response.read()

    async def signed(
        self, cycle: str = "daily", period: str = "2026-03-09", symbol: str = "LTCUSDT"
    ) -> bytes:
        """A zip whose checksum was seen to fit."""
        status, body = await self.get(cycle, period, symbol)
        assert status == 200
        _, line = await self.get(cycle, period, symbol, ".CHECKSUM")
        assert line.split()[0].decode() == hashlib.sha256(body).hexdigest()
        return body

    async def rows(self, cycle: str, period: str, symbol: str = "LTCUSDT") -> list[list[str]]:
        return read(await self.signed(cycle, period, symbol))

    async def rest(self, start: int, minutes: int) -> list[list[Any]]:
        query = {"symbol": "LTCUSDT", "interval": "1m", "startTime": str(start), "limit": str(minutes)}
        async with self.session.get(f"{self.exchange.rest_url}/fapi/v1/klines", params=query) as response:
            rows = await response.json()
            assert isinstance(rows, list)
            return rows


def read(body: bytes) -> list[list[str]]:
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        return list(csv.reader(io.StringIO(packed.read(packed.namelist()[0]).decode())))


def numbers(rows: list[list[Any]]) -> list[list[float]]:
    return [[float(value) for value in row] for row in rows]


@pytest.fixture
async def bucket() -> AsyncIterator[Bucket]:
    clock = HandClock(NOON)
    market = synthetic_market(["LTCUSDT", "AVAXUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock) as exchange, aiohttp.ClientSession() as session:
        yield Bucket(exchange, clock, session)


@pytest.mark.parametrize("how", ["hash", "empty", "html"])
async def test_a_bad_checksum_does_not_fit_a_zip_that_is_right(bucket: Bucket, how: str) -> None:
    body = await bucket.signed()
    bucket.faults.switch_on("bad-checksum", how=how)
    status, line = await bucket.get(ending=".CHECKSUM")
    assert status == 200
    assert hashlib.sha256(body).hexdigest().encode() not in line
    if how == "hash":
        digest, name = line.decode().split()
        assert (len(digest), name) == (64, "LTCUSDT-1m-2026-03-09.zip")
    assert await bucket.get() == (200, body)


async def test_a_fault_with_a_count_ends_after_so_many_strikes(bucket: Bucket) -> None:
    bucket.faults.switch_on("bad-checksum", count=1)
    _, first = await bucket.get(ending=".CHECKSUM")
    assert not bucket.faults
    _, second = await bucket.get(ending=".CHECKSUM")
    assert first != second
    await bucket.signed()
    assert bucket.faults.struck["bad-checksum"] == 1


async def test_a_fault_in_a_file_counts_its_zips_and_its_checksum_fits(bucket: Bucket) -> None:
    right = await bucket.signed()
    bucket.faults.switch_on("csv-crlf", count=1)
    _, line = await bucket.get(ending=".CHECKSUM")
    _, wrong = await bucket.get()
    assert wrong != right
    assert line.split()[0].decode() == hashlib.sha256(wrong).hexdigest()
    assert await bucket.signed() == right


async def test_without_a_checksum_the_zip_is_still_there(bucket: Bucket) -> None:
    bucket.faults.switch_on("no-checksum")
    assert (await bucket.get(ending=".CHECKSUM"))[0] == 404
    assert (await bucket.get())[0] == 200


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("missing-file", 404, b"NoSuchKey"), ("forbidden-file", 403, b"AccessDenied")],
)
async def test_a_file_is_gone_with_its_checksum_until_the_fault_ends(
    bucket: Bucket, name: str, status: int, code: bytes
) -> None:
    bucket.faults.switch_on(name, duration=60, target="daily")
    for ending in ("", ".CHECKSUM"):
        answer = await bucket.get(ending=ending)
        assert answer[0] == status
        assert code in answer[1]
    await bucket.signed(*MONTHLY)
    bucket.clock.moment += 60_000
    await bucket.signed()


@pytest.mark.parametrize("how", ["bytes", "end", "html"])
async def test_a_corrupt_zip_cannot_be_read_though_its_checksum_may_fit(bucket: Bucket, how: str) -> None:
    right = await bucket.signed()
    bucket.faults.switch_on("corrupt-zip", how=how)
    with pytest.raises((zipfile.BadZipFile, zlib.error)):
        read(await bucket.signed())
    bucket.faults.switch_on("corrupt-zip", how=how, signed=False)
    _, line = await bucket.get(ending=".CHECKSUM")
    assert line.split()[0].decode() == hashlib.sha256(right).hexdigest()
    assert (await bucket.get())[1] != right


@pytest.mark.parametrize("lying", [False, True])
async def test_a_bomb_is_small_and_unpacks_to_more_than_64_mebibytes(bucket: Bucket, lying: bool) -> None:
    bucket.faults.switch_on("zip-bomb", lying=lying)
    body = await bucket.signed()
    assert len(body) < 1 << 20
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        (member,) = packed.infolist()
        assert (member.file_size > 64 << 20) != lying
    begin = 30 + int.from_bytes(body[26:28], "little") + int.from_bytes(body[28:30], "little")
    assert len(zlib.decompressobj(-15).decompress(body[begin:])) > 64 << 20


async def test_members_have_paths_and_company(bucket: Bucket) -> None:
    bucket.faults.switch_on("zip-path")
    with zipfile.ZipFile(io.BytesIO(await bucket.signed())) as packed:
        assert packed.namelist() == ["../LTCUSDT-1m-2026-03-09.csv"]
    bucket.faults.switch_off()
    bucket.faults.switch_on("two-members")
    with zipfile.ZipFile(io.BytesIO(await bucket.signed())) as packed:
        assert packed.namelist() == ["LTCUSDT-1m-2026-03-09.csv", "LTCUSDT-1m-2026-03-09-2.csv"]


async def test_forms_of_the_csv_hold_the_same_candles(bucket: Bucket) -> None:
    header, *right = await bucket.rows(*DAILY)

    bucket.faults.switch_on("csv-long-header")
    long_header, *rows = await bucket.rows(*DAILY)
    assert ",".join(long_header) == LONG_HEADER != ",".join(header)
    assert rows == right
    bucket.faults.switch_on("csv-no-header", duration=60)
    assert await bucket.rows(*DAILY) == right
    bucket.faults.switch_off()

    bucket.faults.switch_on("csv-crlf")
    with zipfile.ZipFile(io.BytesIO(await bucket.signed())) as packed:
        text = packed.read(packed.namelist()[0])
    assert text.count(b"\r\n") == text.count(b"\n") == 1441
    bucket.faults.switch_off()

    bucket.faults.switch_on("csv-microseconds")
    _, *rows = await bucket.rows(*DAILY)
    assert [row[1:6] + row[7:] for row in rows] == [row[1:6] + row[7:] for row in right]
    assert all(int(row[0]) == int(was[0]) * 1000 for row, was in zip(rows, right, strict=True))
    assert all(int(row[6]) == int(was[6]) * 1000 + 999 for row, was in zip(rows, right, strict=True))


async def test_a_month_lacks_a_day_and_a_day_lacks_minutes_that_rest_has(bucket: Bucket) -> None:
    _, *month = await bucket.rows(*MONTHLY)
    bucket.faults.switch_on("missing-rows", day=3, minute=60, minutes=5)
    _, *rows = await bucket.rows(*MONTHLY)
    assert rows == month[: 2 * 1440] + month[3 * 1440 :]
    _, *day = await bucket.rows(*DAILY)
    opens = [int(row[0]) for row in day]
    assert opens == [YESTERDAY + i * MINUTE for i in range(1440) if not 60 <= i < 65]
    assert len(await bucket.rest(YESTERDAY + HOUR, 5)) == 5


async def test_rows_come_twice_and_out_of_order_and_are_the_same_rows(bucket: Bucket) -> None:
    _, *right = await bucket.rows(*DAILY)
    bucket.faults.switch_on("duplicate-rows")
    _, *twice = await bucket.rows(*DAILY)
    assert len(twice) > 1440
    assert twice != sorted(twice, key=lambda row: int(row[0]))
    assert sorted({tuple(row) for row in twice}) == sorted(map(tuple, right))
    bucket.faults.switch_off()
    bucket.faults.switch_on("unsorted-rows")
    _, *mixed = await bucket.rows(*DAILY)
    assert mixed != right
    assert sorted(mixed) == sorted(right)


@pytest.mark.parametrize(
    ("file", "first"),
    [(DAILY, YESTERDAY), (MONTHLY, 1_771_286_400_000)],  # 2026-02-17
)
async def test_zero_rows_are_flat_and_rest_knows_of_the_trades(
    bucket: Bucket, file: tuple[str, str], first: int
) -> None:
    _, *right = await bucket.rows(*file)
    bucket.faults.switch_on("zero-rows")
    _, *rows = await bucket.rows(*file)
    wrong = {int(a[0]): (a, b) for a, b in zip(rows, right, strict=True) if a != b}
    assert list(wrong) == [first + 20 * HOUR + i * MINUTE for i in range(74)]
    before = next(row for row in right if int(row[0]) == first + 20 * HOUR - MINUTE)
    for row, _ in wrong.values():
        assert {*row[1:5]} == {before[4]}
        assert [row[5], *row[7:]] == ["0"] * 6
    assert numbers(await bucket.rest(first + 20 * HOUR, 74)) == numbers([was for _, was in wrong.values()])


async def test_a_slow_file_trickles_and_ends_at_once_when_the_fault_ends(bucket: Bucket) -> None:
    right = await bucket.signed()
    bucket.faults.switch_on("slow-archive", bytes_per_second=1000)
    task = asyncio.create_task(bucket.get())
    await asyncio.sleep(0.3)
    assert not task.done()
    bucket.faults.switch_off("slow-archive")
    assert (await task)[1] == right


async def test_a_cut_file_promises_more_than_it_sends(bucket: Bucket) -> None:
    bucket.faults.switch_on("cut-file", count=1)
    with pytest.raises(aiohttp.ClientPayloadError):
        await bucket.get()
    await bucket.signed()


@pytest.mark.parametrize(
    ("symbol", "target", "struck"),
    [
        ("LTCUSDT", None, {("LTCUSDT", "daily"), ("LTCUSDT", "monthly")}),
        (None, "monthly", {("LTCUSDT", "monthly"), ("AVAXUSDT", "monthly")}),
        (None, "AVAXUSDT-1m-2026-03-09.zip", {("AVAXUSDT", "daily")}),
        ("AVAXUSDT", "-1m-2026-02.zip", {("AVAXUSDT", "monthly")}),
    ],
)
async def test_only_what_a_fault_is_confined_to_is_touched(
    bucket: Bucket, symbol: str | None, target: str | None, struck: set[tuple[str, str]]
) -> None:
    bucket.faults.switch_on("missing-file", symbol, target=target)
    found = {
        (name, cycle)
        for name in ("LTCUSDT", "AVAXUSDT")
        for cycle, period in (DAILY, MONTHLY)
        if (await bucket.get(cycle, period, name))[0] == 404
    }
    assert found == struck


async def test_an_outage_of_the_past_is_in_files_that_were_served_before(bucket: Bucket) -> None:
    _, *right = await bucket.rows(*DAILY)
    begin = YESTERDAY + 16 * HOUR
    bucket.faults.switch_on("outage", duration=900, begin=begin)
    _, *rows = await bucket.rows(*DAILY)
    flat = [int(row[0]) for row in rows if row[8] == "0"]
    assert flat == [begin + i * MINUTE for i in range(15)]
    assert {row[4] for row in rows[960:975]} == {right[959][4]}
    assert rows[:960] + rows[975:] == right[:960] + right[975:]
    assert numbers(await bucket.rest(begin - MINUTE, 17)) == numbers(rows[959:976])
    bucket.clock.moment += DAY  # the fault is over, what happened stays
    assert (await bucket.rows(*DAILY))[1:] == rows


@pytest.mark.skipif(not OCTOBER.exists(), reason="real market data is not here")
async def test_real_months_can_be_wrong_too_and_an_outage_takes_the_original_s_place() -> None:
    market = recorded("FILUSDT")
    clock = HandClock(1_731_844_800_000)  # 2024-11-17T12:00:00Z
    async with Exchange(market, clock) as exchange, aiohttp.ClientSession() as session:
        real = Bucket(exchange, clock, session)
        october = "monthly", "2024-10", "FILUSDT"
        original = await real.signed(*october)
        assert original == OCTOBER.read_bytes()
        header, *right = read(original)
        real.faults.switch_on("missing-rows", day=31)
        assert await real.rows(*october) == [header, *right[: 30 * 1440]]
        real.faults.switch_off()
        assert await real.signed(*october) == original
        begin = 1_727_740_800_000 + 9 * DAY  # 2024-10-10
        real.faults.switch_on("outage", "FILUSDT", duration=600, begin=begin)
        rows = (await real.rows(*october))[1:]
        place = 9 * 1440
        assert all(row[8] == "0" and row[4] == rows[place - 1][4] for row in rows[place : place + 10])
        assert numbers(rows[place + 10 :]) == numbers(right[place + 10 :])
