"""An exchange of some forty lines, in memory, runs the whole engine: the protocol is all it has to know."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from feed import NOON, configured, exchange_at, feeding, until
from msgspec.structs import replace

from tui_feeder.config import Application, Config, TechnicalAnalysis
from tui_feeder.engine import snapshots
from tui_feeder.engine.core.archive_file import File
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, SECOND_MS, Rows, Source, to_candles
from tui_feeder.engine.core.clock import ExchangeClock, Step
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.core.supervisor import heartbeat
from tui_feeder.engine.exchanges.base import (
    ArchiveError,
    ArchiveRows,
    Exchange,
    ExchangeStatus,
    Listings,
    MarketFacts,
    Page,
    StreamHandlers,
    StreamSocket,
    SymbolInfo,
)
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient
from tui_feeder.engine.exchanges.binance.exchange import BinanceExchange
from tui_feeder.engine.exchanges.binance.markets import BinanceMarkets
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.monitor import SymbolState

COIN = "MADE-UP"
RATE = 60.0  # a minute lasts a second


def traded(times: Sequence[int], length: int = MINUTE_MS) -> Rows:
    """The exchange's book: a candle for each of ``times`` (ms), taker volumes unknown."""
    rows = np.zeros(len(times), dtype=ROW)
    rows["open_time"] = times
    rows["close"] = 100 + (rows["open_time"] + length) // MINUTE_MS % 97 / 10
    rows["open"] = rows["low"] = rows["close"] - 0.5
    rows["high"] = rows["close"] + 0.5
    rows["volume"], rows["trades"] = 2.0, 3
    rows["quote_volume"] = rows["volume"] * rows["close"]
    return rows


class MadeUpExchange:
    """One coin; pages that begin with the newest candle; no archive, no weights, no sockets."""

    address = "a made-up exchange"
    on_reached: Callable[[bool], None] = staticmethod(lambda _: None)
    on_unusable: Callable[[int, str, str], None] = staticmethod(lambda *_: None)

    def __init__(self, symbol: str = COIN, clock: ExchangeClock | None = None) -> None:
        self.probe_symbol = symbol
        self.clock = clock or ExchangeClock(RATE)
        if clock is None:
            self.clock.measure([(time.monotonic(), NOON, time.monotonic())])
        self.dropped: set[int] = set()  # minutes whose closing frame never comes

    def facts(self, symbol: str) -> MarketFacts:
        return MarketFacts(1_000, (60, 3_600), 5 * SECOND_MS, 1 * SECOND_MS, 2 * SECOND_MS, None)

    def status(self) -> ExchangeStatus:
        return ExchangeStatus()

    async def sync_clock(self) -> Step:
        return Step(0.0, self.clock.now())

    async def listings(self, wanted: Sequence[str]) -> Listings:
        return Listings({self.probe_symbol: SymbolInfo(self.probe_symbol, tick_size=0.1)}, {})

    async def first_minute(self, symbol: str, start: int) -> int | None:
        return start

    async def candles(
        self, symbol: str, timeframe: int, start: int, end: int, *, urgent: bool = False
    ) -> Page:
        length, now = timeframe * SECOND_MS, self.clock.now()
        answer = traded(range(start, min(end, now), length)[::-1], length)
        closed = answer[answer["open_time"] + length + SECOND_MS <= now]
        return Page(np.sort(closed, order="open_time"), int(answer["open_time"].max(initial=0)))

    async def read_archive(self, file: File, symbol: str, on_bytes: Callable[[int], None]) -> ArchiveRows:
        raise ArchiveError("there is no archive", missing=True)

    def streams(self, handlers: StreamHandlers) -> MadeUpStreams:
        return MadeUpStreams(self, handlers)

    def share_budget(self, workers: int) -> None:
        pass

    async def close(self) -> None:
        pass


class MadeUpStreams:
    """Hands over each minute when it has closed."""

    sockets: Sequence[StreamSocket] = ()

    def __init__(self, exchange: MadeUpExchange, handlers: StreamHandlers) -> None:
        self.symbols: Sequence[str] = ()
        self._exchange, self._handlers = exchange, handlers

    def assign(self, symbols: Sequence[str]) -> None:
        self.symbols = symbols

    async def run(self) -> None:
        clock = self._exchange.clock
        while True:
            minute = clock.now() // MINUTE_MS * MINUTE_MS
            heartbeat(clock.real_seconds(MINUTE_MS))
            await clock.sleep_until(minute + MINUTE_MS)
            for symbol in self.symbols if minute not in self._exchange.dropped else ():
                self._handlers.candle(symbol, to_candles(traded([minute]))[0], True, clock.now())


async def test_the_whole_engine_runs_on_an_exchange_of_forty_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connects(*_: object, **__: object) -> None:
        raise AssertionError("a connection is made although this exchange has no address")

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", connects)
    config = Config(
        application=replace(Application(), symbols=("MADE*",)),
        technical_analysis=replace(TechnicalAnalysis(), min_history_days=2),
    )
    made_up = MadeUpExchange()
    exchange: Exchange = made_up  # the type checker's word that nothing is missing
    hole = NOON + 5 * MINUTE_MS
    made_up.dropped.add(hole)
    async with feeding(config, tmp_path, exchange=exchange) as (engine, sink):
        await until(lambda: hole + 4 * MINUTE_MS in sink.minutes(COIN))
        shown = snapshots.take(engine, 1)
        history_start = engine.tracked[COIN].start
        recovered = engine.journal.counters["minutes_recovered"]
        stored = engine.store.read(COIN, history_start, hole + MINUTE_MS)
        sources = engine.store.read_sourced(COIN, hole - MINUTE_MS, hole + 2 * MINUTE_MS)[1]
        quarantined = engine.journal.counters["quarantined_candles"]
    # History, by pages: every minute of two days, as the exchange has them.
    assert history_start == NOON // DAY_MS * DAY_MS - 2 * DAY_MS
    np.testing.assert_array_equal(stored, traded(range(history_start, hole + MINUTE_MS, MINUTE_MS)))
    assert not quarantined
    # Live, and the minute that was dropped read again.
    assert sources.tolist() == [Source.STREAM, Source.REST, Source.STREAM]
    assert recovered >= 1
    # A message for every minute, in order, the dropped one included.
    minutes = sink.minutes(COIN)
    assert hole in minutes
    assert {b - a for a, b in pairwise(minutes)} == {MINUTE_MS}
    prices = traded(minutes)["close"].tolist()
    assert [message["close_1m"] for message in sink.messages[COIN]] == prices
    assert all("ema89_4h" not in message.get("warming", []) for message in sink.messages[COIN])
    # What a screen sees.
    (symbol,) = shown.symbols
    assert (shown.exchange, shown.state, symbol.state) == ("a made-up exchange", "live", SymbolState.LIVE)
    assert symbol.price_decimals == 1


async def test_it_is_a_fourth_market_beside_another_one(tmp_path: Path) -> None:
    """Nothing but its own file knows it: its pages, that it has no archive, no taker volumes, no sockets."""
    name = "made:COIN"
    async with exchange_at(NOON, ["BTCUSDT"], RATE) as simulated:
        config = configured(simulated, ["BTCUSDT", "made:*"], days=1)
        clock, workers = ExchangeClock(RATE), worker_thread()
        rest = RestClient(simulated.rest_url, clock, timeout=2.0)
        archive = ArchiveClient(simulated.archive_url, workers)
        usdm = BinanceExchange(rest, archive, simulated.stream_url)
        made_up = MadeUpExchange(name, clock)
        exchange: Exchange = BinanceMarkets({"": usdm, "made": made_up}, clock, config.application.symbols)
        made_up.dropped.add(hole := NOON + 8 * MINUTE_MS)
        async with feeding(config, tmp_path, exchange=exchange) as (engine, sink):
            both = ("BTCUSDT", name)
            await until(lambda: all(hole + 2 * MINUTE_MS in sink.minutes(symbol) for symbol in both))
            assert sorted(engine.tracked) == sorted(both)
            start, end = engine.tracked[name].start, hole + 2 * MINUTE_MS
            stored = {symbol: engine.store.read(symbol, start, end) for symbol in both}
            faults = {kind for kind in engine.journal.counters if "quarantine" in kind or "frames" in kind}
        workers.shutdown()
    np.testing.assert_array_equal(stored[name], traded(range(start, end, MINUTE_MS)))
    np.testing.assert_array_equal(stored["BTCUSDT"]["open_time"], stored[name]["open_time"])
    assert not faults
    assert {message.get("market") for message in sink.messages[name]} == {"made"}
    assert {message.get("market") for message in sink.messages["BTCUSDT"]} == {None}
    assert all({b - a for a, b in pairwise(sink.minutes(symbol))} == {MINUTE_MS} for symbol in both)
