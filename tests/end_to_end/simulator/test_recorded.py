from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from commanding import command
from commanding import recorded as market_of
from places import KLINES
from websockets.asyncio.client import connect

from tui_feeder.simulator.clock import SimulatedClock, clock_for, default_start
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import DAY, HOUR, MINUTE
from tui_feeder.simulator.recorded import recorded_market

REAL = KLINES
MARCH = 1_772_323_200_000  # 2026-03-01T00:00:00Z, where the recorded February ends
DECEMBER = 1_733_011_200_000  # 2024-12-01T00:00:00Z, where the FILUSDT recording ends
SHIFT = MARCH - DECEMBER

real_data = pytest.mark.skipif(not REAL.is_dir(), reason="the real candles are not in ../shared/data/klines")


def file_rows(symbol: str, month: str) -> list[list[str]]:
    """Rows of a real monthly file, read with nothing but the standard library."""
    with zipfile.ZipFile(REAL / f"{symbol}-1m-{month}.zip") as packed:
        return list(csv.reader(io.StringIO(packed.read(packed.namelist()[0]).decode())))[1:]


def numbers(rows: Sequence[Sequence[str | int]], shift: int = 0) -> list[list[float]]:
    moved = [[float(x) for x in row] for row in rows]
    for row in moved:
        row[0] += shift
        row[6] += shift
    return moved


@asynccontextmanager
async def exchange_of(*symbols: str, rate: float = 1e-6, start: int | None = None) -> AsyncIterator[Exchange]:
    market = market_of(*symbols)
    async with Exchange(market, clock_for(market, start_ms=start, rate=rate)) as exchange:
        yield exchange


async def fetch(url: str, **query: str | int) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url, params=query) as response:
        body = await response.read()
        assert response.status == 200, body
        return body


async def klines(exchange: Exchange, symbol: str, start: int, limit: int) -> list[list[str | int]]:
    url = f"{exchange.rest_url}/fapi/v1/klines"
    rows = json.loads(await fetch(url, symbol=symbol, interval="1m", startTime=start, limit=limit))
    assert isinstance(rows, list)
    return rows


@real_data
@pytest.mark.parametrize("symbol", ["AVAXUSDT", "DOTUSDT", "LINKUSDT", "LTCUSDT", "NEARUSDT"])
async def test_rest_serves_the_rows_of_the_file(symbol: str) -> None:
    begin = MARCH - 20 * DAY
    async with exchange_of(symbol) as exchange:
        served = await klines(exchange, symbol, begin, 1500)
    recorded = [row for row in file_rows(symbol, "2026-02") if int(row[0]) >= begin][:1500]
    assert numbers(served) == numbers(recorded)
    assert [row[1:6] for row in served] == [row[1:6] for row in recorded]


@real_data
async def test_an_earlier_recording_is_shown_later_so_that_both_end_together() -> None:
    market = market_of("FILUSDT", "AVAXUSDT")
    assert "FILUSDT: recorded 2024-09-01..2024-11-30, shown 455 days later" in market.notes
    assert not any(note.startswith("AVAXUSDT") for note in market.notes)
    assert default_start(market) == MARCH - 7 * DAY + 12 * HOUR
    async with exchange_of("FILUSDT", "AVAXUSDT") as exchange:
        begin = MARCH - 9 * DAY
        served = await klines(exchange, "FILUSDT", begin, 1500)
        assert exchange.market.instruments["FILUSDT"].onboard == 1_725_148_800_000 + SHIFT
    recorded = [row for row in file_rows("FILUSDT", "2024-11") if int(row[0]) >= begin - SHIFT][:1500]
    assert numbers(served) == numbers(recorded, SHIFT)


@real_data
async def test_alone_a_recording_keeps_its_own_time() -> None:
    market = market_of("FILUSDT")
    assert not any("later" in note for note in market.notes)
    assert market.end == DECEMBER


@real_data
async def test_an_original_month_is_served_byte_for_byte_with_its_checksum() -> None:
    name = "FILUSDT-1m-2024-10.zip"
    async with exchange_of("FILUSDT") as exchange:
        url = f"{exchange.archive_url}/data/futures/um/monthly/klines/FILUSDT/1m/{name}"
        assert await fetch(url) == (REAL / name).read_bytes()
        assert await fetch(url + ".CHECKSUM") == (REAL / f"{name}.CHECKSUM").read_bytes()


@real_data
async def test_a_shifted_month_has_moved_times_unchanged_numbers_and_a_checksum_of_its_own() -> None:
    name = "FILUSDT-1m-2026-01.zip"
    async with exchange_of("FILUSDT", "AVAXUSDT") as exchange:
        url = f"{exchange.archive_url}/data/futures/um/monthly/klines/FILUSDT/1m/{name}"
        body = await fetch(url)
        line = await fetch(url + ".CHECKSUM")
    assert line.decode() == f"{hashlib.sha256(body).hexdigest()}  {name}\n"
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        assert packed.namelist() == ["FILUSDT-1m-2026-01.csv"]
        _, *rows = csv.reader(io.StringIO(packed.read("FILUSDT-1m-2026-01.csv").decode()))
    first, last = 1_767_225_600_000, 1_769_904_000_000 - MINUTE  # January 2026
    recorded = [
        row
        for month in ("2024-10", "2024-11")
        for row in file_rows("FILUSDT", month)
        if first <= int(row[0]) + SHIFT <= last
    ]
    assert len(rows) == 31 * 1440
    assert [row[1:6] + row[7:] for row in rows] == [row[1:6] + row[7:] for row in recorded]
    assert [int(row[0]) for row in rows] == [int(row[0]) + SHIFT for row in recorded]
    assert [int(row[6]) for row in rows] == [int(row[6]) + SHIFT for row in recorded]


@real_data
async def test_a_daily_file_keeps_the_text_of_the_numbers() -> None:
    async with exchange_of("LINKUSDT") as exchange:
        path = "daily/klines/LINKUSDT/1m/LINKUSDT-1m-2026-02-10.zip"
        body = await fetch(f"{exchange.archive_url}/data/futures/um/{path}")
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        _, *rows = csv.reader(io.StringIO(packed.read("LINKUSDT-1m-2026-02-10.csv").decode()))
    assert rows == file_rows("LINKUSDT", "2026-02")[9 * 1440 : 10 * 1440]


@real_data
async def test_live_minutes_of_both_eras_close_on_one_clock_as_they_were_recorded() -> None:
    recorded = {
        "FILUSDT": {int(r[0]) + SHIFT: r for r in file_rows("FILUSDT", "2024-11")},
        "AVAXUSDT": {int(r[0]): r for r in file_rows("AVAXUSDT", "2026-02")},
    }
    seen: dict[str, list[int]] = {"FILUSDT": [], "AVAXUSDT": []}
    async with exchange_of("FILUSDT", "AVAXUSDT", rate=600) as exchange:
        url = f"{exchange.stream_url}/market/stream?streams=filusdt@kline_1m/avaxusdt@kline_1m"
        async with connect(url) as socket:
            while min(map(len, seen.values())) < 10:
                kline = json.loads(await socket.recv())["data"]["k"]
                if kline["x"]:
                    row = recorded[kline["s"]][kline["t"]]
                    names = ("o", "h", "l", "c", "v", "q", "n", "V", "Q")
                    places = (1, 2, 3, 4, 5, 7, 8, 9, 10)
                    assert [float(kline[n]) for n in names] == [float(row[p]) for p in places]
                    seen[kline["s"]].append(kline["t"])
    for opens in seen.values():
        assert opens == [opens[0] + i * MINUTE for i in range(len(opens))]


@real_data
async def test_where_the_data_ends_time_stops_and_nothing_is_invented() -> None:
    async with exchange_of("LTCUSDT", rate=600, start=MARCH - 5 * MINUTE) as exchange:
        async with connect(f"{exchange.stream_url}/market/ws/ltcusdt@kline_1m") as socket:
            closed = 0
            while closed < MARCH - MINUTE:
                kline = json.loads(await socket.recv())["k"]
                closed = kline["t"] if kline["x"] else closed
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.recv(), 0.3)
        assert closed == MARCH - MINUTE
        assert exchange.clock.ended
        assert exchange.clock.now() == MARCH + 5_000
        assert (await klines(exchange, "LTCUSDT", MARCH - 2 * MINUTE, 10))[-1][0] == MARCH - MINUTE


@real_data
def test_units_come_from_the_data() -> None:
    listed = recorded_market(REAL).instruments
    avax, ltc = listed["AVAXUSDT"], listed["LTCUSDT"]
    assert (avax.price_decimals, avax.tick, avax.quantity_decimals, avax.step) == (4, 10, 0, 1)
    assert (ltc.price_decimals, ltc.tick, ltc.quantity_decimals, ltc.step) == (2, 1, 3, 1)


@real_data
def test_a_clock_can_not_start_after_the_data() -> None:
    market = market_of("LTCUSDT")
    with pytest.raises(ValueError, match="the recorded data ends at 2026-03-01T00:00:00Z"):
        clock_for(market, start_ms=MARCH)


JULY = 1_751_328_000_000  # 2025-07-01T00:00:00Z


def made_month(folder: Path, symbol: str, minutes: Sequence[int], *, end: str = "\n", scale: int = 1) -> Path:
    """A small file in the older form, without header: some minutes of July 2025, the price by the minute."""
    lines = []
    for i in minutes:
        time, price = (JULY + i * MINUTE) * scale, 100 + i % 7
        traded = f"2.5,{time + MINUTE * scale - 1},{price * 2.5 + 1.25:.3f},3,1.0,{price}.500,0"
        lines.append(f"{time},{price}.50,{price}.75,{price}.25,{price}.50,{traded}")
    path = folder / f"{symbol}-1m-2025-07.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{symbol}-1m-2025-07.csv", end.join([*lines, ""]))
    return path


async def test_a_file_without_header_in_microseconds_and_out_of_order_is_understood(
    tmp_path: Path,
) -> None:
    order = [3, 1, 1, 0, 2, *range(5, 2880)]  # minute 4 is missing, minute 1 is there twice
    made_month(tmp_path, "ODDUSDT", order, end="\r\n", scale=1000)
    market = recorded_market(tmp_path)
    async with Exchange(market, SimulatedClock(JULY + DAY, 1e-6)) as exchange:
        rows = await klines(exchange, "ODDUSDT", JULY, 6)
    assert [int(row[0]) for row in rows] == [JULY + i * MINUTE for i in (0, 1, 2, 3, 5)]
    assert [row[1] for row in rows] == ["100.50", "101.50", "102.50", "103.50", "105.50"]


def big_month(folder: Path, quote: str, price: str = "99990.0") -> None:
    """A month of ten minutes in which each has traded ``quote``."""
    lines = [
        f"{at},{price},{price},{price},{price},401381,{at + MINUTE - 1},{quote},3,1.0,{quote},0"
        for at in range(JULY, JULY + 10 * MINUTE, MINUTE)
    ]
    with zipfile.ZipFile(folder / "BIGUSDT-1m-2025-07.zip", "w") as packed:
        packed.writestr("BIGUSDT-1m-2025-07.csv", "\n".join(lines))


def test_numbers_beyond_what_can_be_counted_are_refused_when_they_are_loaded(tmp_path: Path) -> None:
    big_month(tmp_path, f"{401_381 * 99_990}.0000000001")
    with pytest.raises(
        ValueError, match=r"BIGUSDT-1m-2025-07\.zip has quote volumes up to 401,340,861,900 a "
    ):
        recorded_market(tmp_path)
    done = command("simulate", "--data", tmp_path, cwd=tmp_path)
    assert done.code == 2
    assert "too large to be counted with the 10 decimals that the files of BIGUSDT have: " in done.err
    assert done.err.count("\n") == 1
    big_month(tmp_path, "1.0", price="99990000000.00000000000001")
    with pytest.raises(ValueError, match="has prices up to 99,990,000,000, too large to be counted with"):
        recorded_market(tmp_path)


async def test_large_numbers_that_can_be_counted_keep_every_digit(tmp_path: Path) -> None:
    quote = "40134086.1234567891"  # more digits than a float has, in units
    big_month(tmp_path, quote)
    async with Exchange(recorded_market(tmp_path), SimulatedClock(JULY + DAY, 1e-6)) as exchange:
        (row, *_) = await klines(exchange, "BIGUSDT", JULY, 3)
        url = f"{exchange.rest_url}/fapi/v1/klines"
        (day,) = json.loads(await fetch(url, symbol="BIGUSDT", interval="1d", startTime=JULY, limit=1))
    assert (row[7], row[10]) == (quote, quote)
    assert day[7] == "401340861.2345678910"


def test_with_little_data_the_clock_starts_three_quarters_into_it(tmp_path: Path) -> None:
    made_month(tmp_path, "ODDUSDT", range(2880))
    market = recorded_market(tmp_path)
    assert default_start(market) == JULY + 36 * HOUR
    assert market.end == JULY + 2 * DAY


async def test_a_zip_without_a_checksum_beside_it_has_none(tmp_path: Path) -> None:
    body = made_month(tmp_path, "ODDUSDT", range(2880)).read_bytes()
    market = recorded_market(tmp_path)
    async with Exchange(market, SimulatedClock(JULY + 60 * DAY)) as exchange:
        url = f"{exchange.archive_url}/data/futures/um/monthly/klines/ODDUSDT/1m/ODDUSDT-1m-2025-07.zip"
        assert await fetch(url) == body
        async with aiohttp.ClientSession() as session, session.get(url + ".CHECKSUM") as response:
            assert response.status == 404


def test_what_is_wrong_with_a_folder_is_said_in_one_message(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"there is no folder {tmp_path / 'none'}"):
        recorded_market(tmp_path / "none")
    with pytest.raises(ValueError, match=r"holds no file named like BTCUSDT-1m-2026-02\.zip"):
        recorded_market(tmp_path)
    good = made_month(tmp_path, "ODDUSDT", range(10))
    with pytest.raises(ValueError, match="has no candles of BTCUSDT: choose among ODDUSDT"):
        recorded_market(tmp_path, ["ODDUSDT", "BTCUSDT"])
    bad = tmp_path / "BADUSDT-1m-2025-07.zip"
    bad.write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"BADUSDT-1m-2025-07\.zip cannot be read.*download it again"):
        recorded_market(tmp_path)
    body = bytearray(good.read_bytes())
    body[60] ^= 0xFF
    bad.write_bytes(body)
    with pytest.raises(ValueError, match=r"BADUSDT-1m-2025-07\.zip cannot be read"):
        recorded_market(tmp_path, ["BADUSDT"])
    with zipfile.ZipFile(bad, "w") as packed:
        packed.writestr("BADUSDT-1m-2025-07.csv", "what,is,this\nx,y,z\n")
    with pytest.raises(ValueError, match=r"BADUSDT-1m-2025-07\.zip does not hold candles"):
        recorded_market(tmp_path, ["BADUSDT"])
    shutil.rmtree(tmp_path)
