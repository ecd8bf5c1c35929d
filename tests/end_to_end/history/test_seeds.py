from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from feed import NOON, Collected, configured, exchange_at, feeding, until
from samples import MIDNIGHT, walk
from virtual_time import in_virtual_time

from tui_feeder.engine.acquisition.ema_seeds import bars_needed, bars_of, read_seed, short_timeframes
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.pipeline import PipelineSettings
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.derived.inputs import SEED, Seed, SymbolInputs, inputs_of, put_inputs
from tui_feeder.engine.exchanges import base
from tui_feeder.engine.exchanges.configured import configured_exchange
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.faults import make_fault

FOUR_HOURS = 14_400
SETTINGS = PipelineSettings((60, 300, 600, 3600, FOUR_HOURS), (21, 89), "closes_vs_ema", 60, None)


async def source_of(exchange: Exchange) -> base.Exchange:
    source = configured_exchange(configured(exchange, []), ThreadPoolExecutor(1))
    await source.sync_clock()
    return source


def test_timeframes_with_few_bars_want_seeds_once() -> None:
    end = 200 * DAY_MS
    assert bars_needed(SETTINGS) == 922
    assert short_timeframes(SETTINGS, SymbolInputs(), end - 60 * DAY_MS, end) == [FOUR_HOURS]
    assert short_timeframes(SETTINGS, SymbolInputs(), end - 3 * DAY_MS, end) == [300, 600, 3600, FOUR_HOURS]
    assert short_timeframes(SETTINGS, SymbolInputs(), end - 154 * DAY_MS, end) == []
    known = SymbolInputs(seeds={FOUR_HOURS: Seed(end - 60 * DAY_MS)})
    assert short_timeframes(SETTINGS, known, end - 60 * DAY_MS, end) == []
    assert short_timeframes(SETTINGS, known, end - 50 * DAY_MS, end) == [FOUR_HOURS]


async def test_native_bars_are_read_back_from_the_history_in_order() -> None:
    async with exchange_at(NOON, ["BTCUSDT"]) as exchange:
        source = await source_of(exchange)
        start = NOON - 3 * DAY_MS + 60_000 * 7
        seed = await read_seed(source, "BTCUSDT", SETTINGS, FOUR_HOURS, start)
        bars = np.frombuffer(seed.bars, dtype=SEED)
        assert seed.until == start // (FOUR_HOURS * 1000) * FOUR_HOURS * 1000
        assert len(bars) == 922
        assert bars["open_time"][-1] == seed.until - FOUR_HOURS * 1000
        assert set(np.diff(bars["open_time"]).tolist()) == {FOUR_HOURS * 1000}
        # The exchange's 4 h closes are those of its minutes.
        minutes = (await source.candles("BTCUSDT", 60, seed.until - DAY_MS, seed.until)).rows
        assert bars["close"][-6:].tolist() == aggregate(minutes, FOUR_HOURS).rows["close"].tolist()
        await source.close()


@pytest.mark.parametrize(("timeframe", "native"), [(600, 300), (2_700, 900), (10_800, 3_600), (240, 60)])
async def test_bars_the_exchange_does_not_have_are_made_of_the_longest_that_divide_them(
    timeframe: int, native: int
) -> None:
    async with exchange_at(NOON, ["BTCUSDT"]) as exchange:
        source = await source_of(exchange)
        asked: list[int] = []
        candles = source.candles

        async def noted(symbol: str, length: int, start: int, end: int) -> base.Page:
            asked.append(length)
            return await candles(symbol, length, start, end)

        source.candles = noted
        start = NOON - 3 * DAY_MS + 60_000 * 7
        seed = await read_seed(source, "BTCUSDT", SETTINGS, timeframe, start)
        bars = np.frombuffer(seed.bars, dtype=SEED)
        assert set(asked) == {native}
        assert len(bars) == 922
        assert seed.until == start // (timeframe * 1000) * timeframe * 1000
        assert bars["open_time"][-1] == seed.until - timeframe * 1000
        assert set(np.diff(bars["open_time"]).tolist()) == {timeframe * 1000}
        span = 6 * timeframe * 1000
        minutes = (await candles("BTCUSDT", 60, seed.until - span, seed.until)).rows
        assert bars["close"][-6:].tolist() == aggregate(minutes, timeframe).rows["close"].tolist()
        await source.close()


def test_bars_of_a_listing_begin_with_what_there_is() -> None:
    minutes = walk(100, start=MIDNIGHT + 37 * 60_000)
    made = np.frombuffer(bars_of(aggregate(minutes, 300).rows, 2_700), dtype=SEED)
    whole = aggregate(minutes, 2_700).rows
    assert made["open_time"][:2].tolist() == whole["open_time"][:2].tolist()
    assert made["close"][:2].tolist() == whole["close"][:2].tolist()
    assert bars_of(minutes[:0], 2_700) == b""


@in_virtual_time
async def test_the_longest_ema_of_a_short_history_is_that_of_a_long_one(tmp_path: Path) -> None:
    talib = pytest.importorskip("talib")
    async with exchange_at(NOON - 30_000, ["BTCUSDT"], 100.0) as exchange:
        config = configured(exchange, ["BTCUSDT"], days=3)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes("BTCUSDT")) >= 2)
            assert engine.journal.counters["ema_seeds_read"] == 3
        requests = engine.exchange.status().requests
        source = await source_of(exchange)
        closed = (NOON + 60_000) // (FOUR_HOURS * 1000) * FOUR_HOURS * 1000
        size = 499 * 14_400_000
        pages = [
            (await source.candles("BTCUSDT", FOUR_HOURS, closed - n * size, closed - (n - 1) * size)).rows
            for n in (4, 3, 2, 1)
        ]
        await source.close()
        message = sink.messages["BTCUSDT"][0]
        closes = np.concatenate([page["close"][page["open_time"] < closed] for page in pages])
        assert message["close_4h"] == closes[-1]
        assert message["ema89_4h"] == pytest.approx(talib.EMA(closes, 89)[-1], rel=1e-8)
        assert "ema89_4h" not in message.get("warming", [])

        # What was read once is kept: the next run asks for none of it.
        more = Collected()
        async with feeding(config, tmp_path, more) as (engine, _):
            await until(lambda: more.minutes("BTCUSDT"))
            assert engine.journal.counters["ema_seeds_read"] == 0
            assert engine.exchange.status().requests < requests


@in_virtual_time
async def test_without_an_answer_emas_warm_up_and_it_is_said(tmp_path: Path) -> None:
    async with exchange_at(NOON - 30_000, ["BTCUSDT"]) as exchange:
        config = configured(exchange, ["BTCUSDT"], days=3)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: sink.minutes("BTCUSDT"))
            assert "ema89_4h" in sink.messages["BTCUSDT"][-1]
            await asyncio.wrap_future(put_inputs(engine.store, "BTCUSDT", SymbolInputs()))
            exchange.faults.add(make_fault("rest-451", target="klines", duration=3_600))
            one = engine.tracked["BTCUSDT"]
            await engine.startup.update_inputs(one)
            told = [e.text for e in engine.journal.events if "warm up from the candles alone" in e.text]
            assert len(told) == 3
            assert "refused here" in told[0]
            kept = inputs_of(engine.store, "BTCUSDT")
            assert one.info is not None
            assert kept == SymbolInputs(tick_size=one.info.tick_size)
            exchange.faults.switch_off("rest-451")
            count = len(sink.minutes("BTCUSDT"))
            await engine.queue_opener.open_queue(one)
            await until(lambda: len(sink.minutes("BTCUSDT")) > count)
            assert "ema89_4h" not in sink.messages["BTCUSDT"][-1]
