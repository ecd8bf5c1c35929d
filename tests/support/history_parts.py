"""What the tests of history share: an exchange by hand, the parts that read it, and what is true."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tui_feeder.engine.acquisition.backfill import FillResult, History
from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient
from tui_feeder.engine.exchanges.binance.coinm import COINM
from tui_feeder.engine.exchanges.binance.exchange import BinanceExchange
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.exchanges.binance.spot import SPOT
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator import dialect as simulated
from tui_feeder.simulator import market as traded
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.dialect import Dialect
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z, a Tuesday
TODAY = NOON - NOON % DAY_MS
FEBRUARY = 1_769_904_000_000, 1_772_323_200_000
LTC = "LTCUSDT"
COLUMNS = {
    "open": traded.OPEN, "high": traded.HIGH, "low": traded.LOW, "close": traded.CLOSE,
    "volume": traded.VOLUME, "quote_volume": traded.QUOTE, "trades": traded.TRADES,
    "taker_buy_volume": traded.TAKER, "taker_buy_quote_volume": traded.TAKER_QUOTE,
}  # fmt: skip


class HandClock(SimulatedClock):
    """Exchange time moved by hand."""

    def __init__(self, moment: int) -> None:
        super().__init__(moment)
        self.moment = moment

    def now(self) -> int:
        return self.moment


class LeapClock(ExchangeClock):
    """The engine's clock on one moved by hand, and ``ahead`` of it: to sleep is to leap."""

    def __init__(self, hand: HandClock) -> None:
        super().__init__()
        self.hand = hand
        self.ahead = 0
        self.leaps: list[int] = []

    def now(self) -> int:
        return self.hand.moment + self.ahead

    async def sleep_until(self, exchange_ms: int) -> None:
        if exchange_ms > self.now():
            self.leaps.append(exchange_ms - self.now())
            self.hand.moment = exchange_ms - self.ahead
        await asyncio.sleep(0)


def truth(exchange: Exchange, symbol: str, start: int, end: int) -> Rows:
    """The candles of the exchange's own book, its whole numbers taken for decimals.

    A quotient of two whole numbers that a float holds exactly is the float nearest to the decimal.
    """
    block = exchange.market.minutes(symbol, start, end)
    instrument = exchange.market.instruments[symbol]
    places = dict.fromkeys(("open", "high", "low", "close"), instrument.price_decimals)
    places |= dict.fromkeys(("volume", "taker_buy_volume"), instrument.quantity_decimals)
    places |= dict.fromkeys(("quote_volume", "taker_buy_quote_volume"), instrument.quote_decimals)
    rows = np.zeros(len(block.times), dtype=ROW)
    rows["open_time"] = block.times
    for name, column in COLUMNS.items():
        values, unit = block.values[:, column], 10 ** places.get(name, 0)
        exact = not len(values) or values.max() < 1 << 53
        rows[name] = values / float(unit) if exact else [value / unit for value in values.tolist()]
    return rows


def assert_whole(store: Store, exchange: Exchange, symbol: str, start: int, end: int) -> None:
    """Every minute is stored, with the values of the exchange's book."""
    missing = store.present(symbol).missing(start, end)
    assert not missing, f"missing: {missing}"
    np.testing.assert_array_equal(store.read(symbol, start, end), truth(exchange, symbol, start, end))


@dataclass
class Reading:
    """An exchange, and the parts that read its history into a store."""

    exchange: Exchange
    hand: HandClock
    clock: LeapClock
    rest: RestClient
    archive: ArchiveClient
    source: BinanceExchange
    store: Store
    journal: Journal
    history: History
    workers: ThreadPoolExecutor

    async def fill(self, missing: Coverage, symbol: str = LTC) -> FillResult:
        filled = await self.history.fill(symbol, missing, FillProgress(missing.minutes))
        for start, end in missing:
            stored = Coverage.of_times(self.store.read(symbol, start, end)["open_time"])
            assert stored == self.store.present(symbol).clip(start, end)
        assert not missing.subtract(filled.got).subtract(filled.absent).subtract(filled.failed)
        assert not self.store.certified(symbol).subtract(self.store.present(symbol))
        return filled

    def zips(self) -> list[str]:
        """What was served: "daily 2026-03-09" or "monthly 2026-02" for each zip."""
        served = [path.split("/") for path in self.exchange.archive_log if path.endswith(".zip")]
        return [f"{parts[4]} {parts[-1].partition('-1m-')[2].removesuffix('.zip')}" for parts in served]

    def said(self, text: str) -> bool:
        return any(text in event.text for event in self.journal.events)


@contextlib.asynccontextmanager
async def reading(
    path: Path,
    symbols: Sequence[str] = (LTC,),
    *,
    now: int = NOON + 30_000,
    threshold: int = 1,
    timeout: float = 2.0,
    archive_url: str = "",
    market: traded.Market | None = None,
    dialect: Dialect = simulated.USDM,
) -> AsyncIterator[Reading]:
    """Everything there is to read history of one market, and nothing else."""
    hand = HandClock(now)
    market = market or synthetic_market(symbols, as_of_ms=NOON)
    workers = ThreadPoolExecutor(2)
    kind = {"usdm": USDM, "spot": SPOT, "coinm": COINM}[dialect.name]
    async with Exchange(market, hand, dialect=dialect) as exchange:
        clock = LeapClock(hand)
        rest = RestClient(exchange.rest_url, clock, timeout=timeout, market=kind)
        archive = ArchiveClient(archive_url or exchange.archive_url, workers, timeout=timeout, market=kind)
        store = await asyncio.to_thread(Store, path, exchange="a test")
        journal = Journal(clock.now)
        source = BinanceExchange(rest, archive, exchange.stream_url, market=kind)
        history = History(source, store, journal, workers, monthly_threshold_months=threshold)
        try:
            yield Reading(exchange, hand, clock, rest, archive, source, store, journal, history, workers)
        finally:
            await source.close()
            await asyncio.to_thread(store.close)
            workers.shutdown()


def days_before(count: int, until: int = TODAY) -> Coverage:
    return span(until - count * DAY_MS, until)


def minutes_from(start: int, count: int) -> Coverage:
    return span(start, start + count * MINUTE_MS)
