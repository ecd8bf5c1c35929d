"""History of spot and COIN-M futures: real days by archive and REST, and minutes the exchange never had."""

from __future__ import annotations

import asyncio
import csv
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from commanding import command_at
from feed import NOON, feeding, until
from history_parts import HandClock
from markets import exchanges, invented, pointed_at, recorded_day, spring_of_2021
from msgspec.structs import replace
from places import SHARED_DATA

from tui_feeder.config import Config
from tui_feeder.config import Exchange as ExchangeSettings
from tui_feeder.engine.analytics.aggregate import LiveBar, aggregate
from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS, to_candles
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.exchanges.base import ArchiveError, shows_trades
from tui_feeder.engine.exchanges.configured import configured_exchange
from tui_feeder.research import open_store
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.dialect import COINM, SPOT, USDM, Dialect
from tui_feeder.simulator.market import DAY

real_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real data is not in ../shared/data")


def moment(text: str) -> int:
    return int(np.datetime64(text, "ms").astype(np.int64))


#: Minutes that Binance spot has no candle of, as the archive's own gaps say: 150 and 284.
OUTAGES = Coverage(
    [
        (moment("2021-04-20T02:00"), moment("2021-04-20T04:30")),
        (moment("2021-04-25T04:01"), moment("2021-04-25T08:45")),
    ]
)


@real_data
async def test_the_minutes_that_spot_never_had_are_settled_for_good(tmp_path: Path) -> None:
    """Of the 434 absent minutes none is a gap; bars over them are whole; nothing asks for them again."""
    (data := tmp_path / "data").mkdir()
    market = await asyncio.to_thread(spring_of_2021, data)
    symbol, start = "spot:BTCUSDT", moment("2021-04-19")
    clock = SimulatedClock(moment("2021-05-13T12:00:20"), 1.0)
    async with exchanges(clock, {"spot": market}) as running:
        config = pointed_at(running, [symbol], days=24)
        async with feeding(config, tmp_path / "store") as (engine, _):
            await until(lambda: symbol in engine.tracked and engine.tracked[symbol].phase == "live", 120)
            store = engine.store
            assert engine.tracked[symbol].start == start
            end = store.present(symbol).end
            assert store.omitted(symbol) == OUTAGES
            assert store.omitted(symbol).minutes == 434
            assert not engine.recovery.open_gaps()
            assert not store.unavailable(symbol)
            assert engine.journal.counters["minutes_none_at_exchange"] == 434
            assert store.settled(symbol).missing(start, end) == Coverage()
            certified = store.certified(symbol).union(store.omitted(symbol))
            assert not certified.missing(start, moment("2021-05-13T11:00"))
            assert engine.tracked[symbol].states
            assert not any(
                state.minutes_lacking or state.bars_lacking for state in engine.tracked[symbol].states
            )
            rows = store.read(symbol, start, moment("2021-05-13"))
        with open_store(tmp_path / "store") as reader:
            states = reader.states(symbol, start, moment("2021-05-13"))
        assert Coverage([(a, b) for a, b, state in states if state == "none_at_exchange"]) == OUTAGES
        assert {state for _, _, state in states} == {"present", "none_at_exchange"}
        spot = running["spot"]
        asked_once = list(spot.rest.klines_log)
        spot.rest.klines_log.clear()
        files = list(spot.archive_log)
        async with feeding(config, tmp_path / "store") as (engine, _):
            await until(lambda: symbol in engine.tracked and engine.tracked[symbol].phase == "live", 60)
            engine.recovery.retry()
            assert not engine.recovery.open_gaps()
        again = [
            (low, high)
            for _, low, high in spot.rest.klines_log
            if high - low < DAY and OUTAGES.clip(low, high)
        ]
        assert not again
        assert spot.archive_log == files
        assert any(OUTAGES.clip(low, high) for _, low, high in asked_once)
    check_bars(rows)


def check_bars(rows: np.ndarray) -> None:
    """Bars of all timeframes over the outages, against pandas; whole all the same, of as many minutes."""
    frame = pd.DataFrame({name: rows[name] for name in rows.dtype.names})
    frame.index = pd.to_datetime(frame["open_time"], unit="ms", utc=True)
    for seconds in (300, 900, 3_600, 14_400):
        bars = aggregate(rows, seconds, omitted=OUTAGES)
        wanted = frame.groupby(frame["open_time"] // (seconds * SECOND_MS)).agg(
            open=("open", "first"), high=("high", "max"), low=("low", "min"), close=("close", "last"),
            volume=("volume", "sum"), minutes=("open", "size"),
        )  # fmt: skip
        assert not bars.partial.any()
        assert bars.minutes.tolist() == wanted["minutes"].tolist()
        assert (bars.minutes + bars.omitted).tolist() == [seconds // 60] * len(bars.rows)
        for name in ("open", "high", "low", "close"):
            assert bars.rows[name].tolist() == wanted[name].tolist()
        np.testing.assert_allclose(bars.rows["volume"], wanted["volume"], rtol=1e-12)
        live = LiveBar(seconds, omitted=OUTAGES)
        made = [bar for candle in to_candles(rows) for bar in live.add(candle)]
        assert [bar.minutes for bar in made] == bars.minutes.tolist()
        assert [bar.omitted for bar in made] == bars.omitted.tolist()
        assert not any(bar.partial for bar in made)


#: Real days: file, market, symbol, and what a millisecond is in its times.
REAL_DAYS = [
    ("spot/BTCUSDT-1m-2025-01-02.zip", SPOT, "spot:BTCUSDT", 1_000),
    ("spot/ETHUSDT-1m-2022-08-14.zip", SPOT, "spot:ETHUSDT", 1),
    ("coinm/BTCUSD_PERP-1m-2022-10-24.zip", COINM, "coinm:BTCUSD_PERP", 1),
]


def stated_rows(name: str, dialect: Dialect, per_ms: int) -> dict[str, list[float]]:
    """The columns of a real day as its file states them; of contracts in coins and USD."""
    with zipfile.ZipFile(SHARED_DATA / name) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    lines = [line for line in csv.reader(io.StringIO(text)) if line[0].isdigit()]
    columns = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 7, "trades": 8}
    columns |= {"taker_buy_volume": 9, "taker_buy_quote_volume": 10}
    stated = {field: [float(line[column]) for line in lines] for field, column in columns.items()}
    if dialect is COINM:
        for coins, quote in (("volume", "quote_volume"), ("taker_buy_volume", "taker_buy_quote_volume")):
            contracts, stated[coins] = stated[coins], stated[quote]
            stated[quote] = [100.0 * count for count in contracts]
    return {"open_time": [int(line[0]) // per_ms for line in lines]} | stated


@real_data
@pytest.mark.parametrize(("name", "dialect", "symbol", "per_ms"), REAL_DAYS)
async def test_a_real_day_comes_back_from_backfill_and_export(
    tmp_path: Path, name: str, dialect: Dialect, symbol: str, per_ms: int
) -> None:
    market = recorded_day(tmp_path, dialect, name)
    stated = stated_rows(name, dialect, per_ms)
    day = int(stated["open_time"][0])
    days = [str(np.datetime64(at, "ms"))[:10] for at in (day, day + DAY)]
    async with exchanges(SimulatedClock(day + 2 * DAY), {dialect.name: market}) as running:
        exchange = running[dialect.name]
        addresses = {
            f"FEEDER_EXCHANGE__{dialect.name.upper()}__{key.upper()}": getattr(exchange, key)
            for key in ("rest_url", "stream_url", "archive_url")
        }
        span = ("--from", days[0], "--to", days[1])
        done = await command_at(
            exchange, "backfill", "--symbols", symbol, *span, "--storage", "s", cwd=tmp_path, **addresses
        )
        assert done.code == 0, done.out + done.err
        assert done.out.endswith("complete\n")
        assert [path.rpartition("/")[2] for path in exchange.archive_log if path.endswith("zip")] == [
            Path(name).name
        ]
        export = ("export", "--symbol", symbol, "--storage", "s")
        done = await command_at(exchange, *export, cwd=tmp_path)
        head, *lines = done.out.splitlines()
        columns = zip(*(line.split(",") for line in lines), strict=True)
        found = dict(zip(head.split(","), columns, strict=True))
        assert len(lines) == 1_440
        for field, values in stated.items():
            assert list(map(float, found[field])) == values, field
        assert ("contracts" in found) == (dialect is COINM)
        if dialect is COINM:
            assert list(map(float, found["contracts"])) == [quote / 100 for quote in stated["quote_volume"]]
            assert found["contracts"][0].isdigit()
        done = await command_at(exchange, *export, "--states", cwd=tmp_path)
        assert done.out.splitlines() == ["start,end,minutes,state", f"{day},{day + DAY},1440,present"]


@real_data
@pytest.mark.parametrize(("name", "dialect", "symbol", "per_ms"), REAL_DAYS)
@pytest.mark.parametrize("archived", [True, False])
async def test_a_real_day_comes_back_row_by_row(
    tmp_path: Path, name: str, dialect: Dialect, symbol: str, per_ms: int, archived: bool
) -> None:
    (data := tmp_path / "data").mkdir()
    market = recorded_day(data, dialect, name)
    stated = stated_rows(name, dialect, per_ms)
    day = int(stated["open_time"][0])
    # Two days later its file is there; at its end REST alone has it.
    clock = SimulatedClock(day + (2 * DAY if archived else DAY + 30_000))
    async with exchanges(clock, {dialect.name: market}) as running:
        config = pointed_at(running, [symbol], days=3)
        async with feeding(config, tmp_path / "store") as (engine, _):
            await until(lambda: engine.store.present(symbol).minutes == 1_440, 60)
            rows = engine.store.read(symbol, day, day + DAY)
            quarantined = engine.journal.counters["quarantined_candles"]
        served = running[dialect.name].archive_log
        assert bool(served) == archived
        assert not quarantined
    for field, values in stated.items():
        assert rows[field].tolist() == values, field


async def test_downloads_of_all_markets_together_are_as_many_as_configured() -> None:
    under_way: list[asyncio.Future[None]] = []
    most = 0

    async def absent(request: web.Request) -> web.Response:
        nonlocal most
        under_way.append(held := asyncio.get_running_loop().create_future())
        most = max(most, len(under_way))
        await held
        under_way.remove(held)
        return web.Response(status=404)

    server = TestServer(web.Application())
    server.app.router.add_get("/{path:.*}", absent)
    await server.start_server()
    url = str(server.make_url("/")).rstrip("/")
    config = Config(exchange=replace(ExchangeSettings(), archive_url=url, archive_concurrency=2))
    exchange = configured_exchange(config, ThreadPoolExecutor(1))
    day = File(NOON // DAY * DAY - DAY, NOON // DAY * DAY, FileKind.DAY)
    names = [f"{market}X" for market in ("", "spot:", "coinm:") for _ in range(2)]
    asked = [asyncio.create_task(exchange.read_archive(day, name, lambda _: None)) for name in names]
    try:
        for _ in range(len(names)):  # each file is its checksum and itself
            for _ in range(2):
                await until(lambda: under_way)
                under_way[0].set_result(None)
                await until(lambda held=under_way[0]: held not in under_way)
        found = await asyncio.gather(*asked, return_exceptions=True)
    finally:
        await exchange.close()
        await server.close()
    assert all(isinstance(error, ArchiveError) and error.missing for error in found)
    assert most == 2


async def test_the_first_minute_of_a_coin_margined_contract_is_found_by_windows(tmp_path: Path) -> None:
    """No answer of COIN-M begins with the oldest candle: days come first, then minutes."""
    symbol = "coinm:BTCUSD_PERP"
    market = invented(COINM, ["BTCUSD_PERP"])
    onboard = market.instruments["BTCUSD_PERP"].onboard
    clock = HandClock(moment("2026-03-10T12:00:30"))
    async with exchanges(clock, {"coinm": market}) as running:
        config = pointed_at(running, [symbol])
        # Nothing asks again here.
        patient = replace(config.exchange, request_timeout_seconds=60.0)
        exchange = configured_exchange(replace(config, exchange=patient), ThreadPoolExecutor(1))
        await exchange.sync_clock()
        first = -(-onboard // MINUTE_MS) * MINUTE_MS
        assert await exchange.first_minute(symbol, moment("2023-01-01")) == first
        assert await exchange.first_minute(symbol, first + 90 * DAY) == first + 90 * DAY
        # A window of more than 200 days is asked for in parts.
        page = await exchange.candles(symbol, 86_400, first // DAY * DAY, moment("2026-03-10"))
        assert len(page.rows) == (moment("2026-03-10") - first // DAY * DAY) // DAY > 200
        assert running["coinm"].requests["400"] == 0
        await exchange.close()


async def test_trades_are_read_of_markets_that_do_not_count_contracts() -> None:
    markets = {"usdm": invented(USDM, ["BTCUSDT"]), "coinm": invented(COINM, ["BTCUSD_PERP"])}
    markets["spot"] = invented(SPOT, ["BTCUSDT"])
    symbols = ["BTCUSDT", "spot:BTCUSDT", "coinm:BTCUSD_PERP"]
    async with exchanges(HandClock(moment("2026-03-10T12:00:30")), markets) as running:
        exchange = configured_exchange(pointed_at(running, symbols), ThreadPoolExecutor(1))
        assert [shows_trades(exchange, symbol) for symbol in symbols] == [True, True, False]
        await exchange.close()
