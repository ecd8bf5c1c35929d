"""Embedded exchanges of several markets on one clock, and a configuration that points at all of them."""

from __future__ import annotations

import contextlib
import gzip
import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from feed import NOON
from msgspec.structs import replace
from places import SHARED_DATA

from tui_feeder.config import Application, Config, TechnicalAnalysis
from tui_feeder.config import Exchange as ExchangeSettings
from tui_feeder.configuration.sections.exchange import CoinM, Spot
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.dialect import COINM, SPOT, USDM, Dialect
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import Market
from tui_feeder.simulator.other_markets import ListedElsewhere, RecordedContracts, source_name
from tui_feeder.simulator.recorded import recorded_market
from tui_feeder.simulator.synthetic import synthetic_market
from tui_feeder.time_format import parse_time


def invented(dialect: Dialect, symbols: Sequence[str]) -> Market:
    """A market of invented trades, as a market of the exchange lists it."""
    market = synthetic_market([source_name(name, dialect) for name in symbols], as_of_ms=NOON)
    return market if dialect is USDM else ListedElsewhere(market, dialect)


def _shared(name: str) -> Path:
    """A file of the real data, without which the test is skipped."""
    if not (SHARED_DATA / name).is_file():
        pytest.skip(f"{name} is not in ../shared/data")
    return SHARED_DATA / name


def recorded_day(folder: Path, dialect: Dialect, name: str) -> Market:
    """The market of one real day below ``shared/data``, such as ``spot/BTCUSDT-1m-2025-01-02.zip``."""
    source = _shared(name)
    symbol, _, day = source.stem.partition("-1m-")
    with zipfile.ZipFile(source) as original:
        text = original.read(original.namelist()[0])
    stem = f"{symbol}-1m-{day[:7]}"
    with zipfile.ZipFile(folder / f"{stem}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{stem}.csv", text)
    market = recorded_market(folder, [symbol])
    return RecordedContracts(market) if dialect.counts_contracts else market


def spring_of_2021(folder: Path) -> Market:
    """Spot bitcoin from 2021-04-02 to 05-14 as REST gave it; what it does not say of trades is made up."""
    packed = _shared("spot/BTC_USDT-1m.2021-04-02_05-14.rest.json.gz").read_bytes()
    months: dict[str, list[str]] = {}
    for at, opened, high, low, close, volume in json.loads(gzip.decompress(packed)):
        day = str(np.datetime64(at, "ms"))
        # The minute before the second outage was stated to end early.
        end = at + 58_146 if at == parse_time("2021-04-25T04:00:00Z") else at + 59_999
        quote, trades = (f"{volume * (high + low) / 2:.8f}", 3) if volume else ("0", 0)
        row = f"{at},{opened},{high},{low},{close},{volume},{end},{quote},{trades},0,0,0"
        months.setdefault(day[:7], []).append(row)
    for month, rows in months.items():
        with zipfile.ZipFile(folder / f"BTCUSDT-1m-{month}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"BTCUSDT-1m-{month}.csv", "\n".join(rows) + "\n")
    return recorded_market(folder, ["BTCUSDT"])


@contextlib.asynccontextmanager
async def exchanges(
    clock: SimulatedClock, markets: dict[str, Market], dialects: Sequence[Dialect] = (USDM, SPOT, COINM)
) -> AsyncIterator[dict[str, Exchange]]:
    """Run the markets by name; USD-M and COIN-M count weight together, as the exchange does."""
    async with contextlib.AsyncExitStack() as stack:
        running: dict[str, Exchange] = {}
        for dialect in dialects:
            if (market := markets.get(dialect.name)) is not None:
                usdm = running.get("usdm") if dialect.counts_contracts else None
                ledger = usdm.rest.ledger if usdm is not None else None
                exchange = Exchange(market, clock, dialect=dialect, ledger=ledger)
                running[dialect.name] = await stack.enter_async_context(exchange)
        yield running


def pointed_at(
    running: dict[str, Exchange], symbols: Sequence[str], *, days: int = 1, **application: object
) -> Config:
    """A configuration that follows symbols of these exchanges."""
    nowhere = "http://127.0.0.1:9"
    usual = running.get("usdm")
    settings = replace(
        ExchangeSettings(),
        rest_url=usual.rest_url if usual else nowhere,
        stream_url=usual.stream_url if usual else nowhere.replace("http", "ws"),
        archive_url=usual.archive_url if usual else nowhere,
        clock_rate=next(iter(running.values())).clock.rate,
        request_timeout_seconds=2.0,
    )
    if (spot := running.get("spot")) is not None:
        settings = replace(settings, spot=Spot(spot.rest_url, spot.stream_url, spot.archive_url))
    if (coinm := running.get("coinm")) is not None:
        settings = replace(settings, coinm=CoinM(coinm.rest_url, coinm.stream_url, coinm.archive_url))
    return Config(
        application=replace(Application(), symbols=tuple(symbols), **application),
        technical_analysis=replace(TechnicalAnalysis(), min_history_days=days),
        exchange=settings,
    )
