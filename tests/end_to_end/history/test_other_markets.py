"""History of spot and COIN-M futures: real days by archive and REST, and minutes the exchange never had."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feed import feeding, until
from history_parts import HandClock
from markets import exchanges, invented, pointed_at, recorded_day
from places import SHARED_DATA

from tui_feeder.engine.analytics.aggregate import LiveBar, aggregate
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS, to_candles
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.exchanges.configured import configured_exchange
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.dialect import COINM, SPOT
from tui_feeder.simulator.market import DAY, Market
from tui_feeder.simulator.recorded import recorded_market

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


def spring_of_2021(folder: Path) -> Market:
    """Spot bitcoin from 2021-04-02 to 05-14 as REST gave it; what it does not say of trades is made up."""
    packed = (SHARED_DATA / "spot/BTC_USDT-1m.2021-04-02_05-14.rest.json.gz").read_bytes()
    months: dict[str, list[str]] = {}
    for at, opened, high, low, close, volume in json.loads(gzip.decompress(packed)):
        day = str(np.datetime64(at, "ms"))
        # The minute before the second outage was stated to end early.
        end = at + 58_146 if at == moment("2021-04-25T04:00") else at + 59_999
        quote, trades = (f"{volume * (high + low) / 2:.8f}", 3) if volume else ("0", 0)
        row = f"{at},{opened},{high},{low},{close},{volume},{end},{quote},{trades},0,0,0"
        months.setdefault(day[:7], []).append(row)
    for month, rows in months.items():
        with zipfile.ZipFile(folder / f"BTCUSDT-1m-{month}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"BTCUSDT-1m-{month}.csv", "\n".join(rows) + "\n")
    return recorded_market(folder, ["BTCUSDT"])


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


def check_bars(rows: np.ndarray) -> None:  # type: ignore[type-arg]
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


@real_data
@pytest.mark.parametrize(
    ("name", "dialect", "symbol", "per_ms"),
    [
        ("spot/BTCUSDT-1m-2025-01-02.zip", SPOT, "spot:BTCUSDT", 1_000),
        ("spot/ETHUSDT-1m-2022-08-14.zip", SPOT, "spot:ETHUSDT", 1),
        ("coinm/BTCUSD_PERP-1m-2022-10-24.zip", COINM, "coinm:BTCUSD_PERP", 1),
    ],
)
@pytest.mark.parametrize("archived", [True, False])
async def test_a_real_day_comes_back_row_by_row(
    tmp_path: Path, name: str, dialect: object, symbol: str, per_ms: int, archived: bool
) -> None:
    assert dialect in (SPOT, COINM)
    market_dialect = SPOT if dialect is SPOT else COINM
    (data := tmp_path / "data").mkdir()
    market = recorded_day(data, market_dialect, name)
    text = zipfile.ZipFile(SHARED_DATA / name)
    lines = [
        line for line in csv.reader(io.StringIO(text.read(text.namelist()[0]).decode())) if line[0].isdigit()
    ]
    day = int(lines[0][0]) // per_ms
    # Two days later its file is there; at its end REST alone has it.
    clock = SimulatedClock(day + (2 * DAY if archived else DAY + 30_000))
    async with exchanges(clock, {market_dialect.name: market}) as running:
        config = pointed_at(running, [symbol], days=3)
        async with feeding(config, tmp_path / "store") as (engine, _):
            await until(lambda: engine.store.present(symbol).minutes == 1_440, 60)
            rows = engine.store.read(symbol, day, day + DAY)
            quarantined = engine.journal.counters["quarantined_candles"]
        served = running[market_dialect.name].archive_log
        assert bool(served) == archived
        assert not quarantined
    size = 100.0 if market_dialect is COINM else None
    columns = {"volume": 5, "quote_volume": 7, "taker_buy_volume": 9, "taker_buy_quote_volume": 10}
    columns |= {"open": 1, "high": 2, "low": 3, "close": 4, "trades": 8}
    stated = {field: [float(line[column]) for line in lines] for field, column in columns.items()}
    if size is not None:  # contracts and base coins
        stated["volume"], stated["quote_volume"] = (
            stated["quote_volume"], [size * contracts for contracts in stated["volume"]],
        )  # fmt: skip
        stated["taker_buy_volume"], stated["taker_buy_quote_volume"] = (
            stated["taker_buy_quote_volume"],
            [size * contracts for contracts in stated["taker_buy_volume"]],
        )
    assert rows["open_time"].tolist() == [int(line[0]) // per_ms for line in lines]
    for field, values in stated.items():
        assert rows[field].tolist() == values, field


async def test_the_first_minute_of_a_coin_margined_contract_is_found_by_windows(tmp_path: Path) -> None:
    """No answer of COIN-M begins with the oldest candle: days come first, then minutes."""
    symbol = "coinm:BTCUSD_PERP"
    market = invented(COINM, ["BTCUSD_PERP"])
    onboard = market.instruments["BTCUSD_PERP"].onboard
    clock = HandClock(moment("2026-03-10T12:00:30"))
    async with exchanges(clock, {"coinm": market}) as running:
        config = pointed_at(running, [symbol])
        exchange = configured_exchange(config, ThreadPoolExecutor(1))
        await exchange.sync_clock()
        first = -(-onboard // MINUTE_MS) * MINUTE_MS
        assert await exchange.first_minute(symbol, moment("2023-01-01")) == first
        assert await exchange.first_minute(symbol, first + 90 * DAY) == first + 90 * DAY
        # A window of more than 200 days is asked for in parts.
        page = await exchange.candles(symbol, 86_400, first // DAY * DAY, moment("2026-03-10"))
        assert len(page.rows) == (moment("2026-03-10") - first // DAY * DAY) // DAY > 200
        assert running["coinm"].requests["400"] == 0
        await exchange.close()
