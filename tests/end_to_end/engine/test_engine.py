from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
from feed import NOON, Collected, configured, feeding, until
from virtual_time import in_virtual_time

from tui_feeder.engine.analytics.message import encode
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.core.candle import MINUTE_MS, Source, to_candles
from tui_feeder.engine.derived.inputs import inputs_of
from tui_feeder.engine.derived.settings import pipeline_settings
from tui_feeder.engine.snapshots import coverage
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import MinuteState
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

QUIET = "币安人生USDT"


def exchange_at(start: int, symbols: list[str], rate: float = 60.0) -> Exchange:
    market = synthetic_market(symbols, as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=start, rate=rate))


@in_virtual_time
async def test_every_minute_is_published_once_in_order_and_equals_a_batch(
    tmp_path: Path,
) -> None:
    symbols = ["BTCUSDT", QUIET]
    async with exchange_at(NOON - 30_000, symbols, 200.0) as exchange:
        config = configured(exchange, symbols)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: all(len(sink.minutes(s)) >= 12 for s in symbols))
            ticks = {s: engine.tracked[s].info.tick_size for s in symbols}
            starts = {s: engine.tracked[s].start for s in symbols}
            # The coverage on the screen: minutes since the start are of the stream, those before are not.
            for symbol in symbols:
                live, hour = sink.minutes(symbol)[4:12], 60 * MINUTE_MS
                tracked = engine.tracked[symbol]
                shown = coverage(engine, tracked, (), live[0] - hour, live[-1] + MINUTE_MS, 60 + len(live))
                assert shown[60:] == (MinuteState.LIVE,) * len(live)
                assert set(shown[:50]) == {MinuteState.STORED}
    store = Store(tmp_path, read_only=True)
    for symbol in symbols:
        minutes = sink.minutes(symbol)
        assert {b - a for a, b in pairwise(minutes)} == {MINUTE_MS}
        assert not store.present(symbol).missing(starts[symbol], minutes[-1] + MINUTE_MS)
        for at in (0, len(minutes) // 2, -1):
            scratch = SymbolPipeline(symbol, pipeline_settings(config, symbol, ticks[symbol]))
            seeds = inputs_of(store, symbol).seeds_before(starts[symbol])
            scratch.load(store.read(symbol, starts[symbol], minutes[at] + MINUTE_MS), seeds=seeds)
            message = scratch.message()
            assert message is not None
            assert encode(message) == sink.raw[symbol][at]
    store.close()


@in_virtual_time
async def test_minutes_that_close_while_history_is_read_are_no_gap_when_the_stream_brought_them(
    tmp_path: Path,
) -> None:
    symbols = [f"C{n}USDT" for n in range(6)]
    async with exchange_at(NOON + 40_000, symbols, 30.0) as exchange:
        exchange.faults.switch_on("slow-archive", bytes_per_second=40_000.0)
        config = configured(exchange, symbols)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: all(engine.ingest.queue(s).pending for s in symbols))
            exchange.faults.switch_off()
            await until(lambda: engine.state == "live")
            gaps = [
                (gap.symbol, gap.reason) for gap in (*engine.recovery.open_gaps(), *engine.recovery.closed)
            ]
            assert not [gap for gap in gaps if "no source" in gap[1]], gaps
            await until(lambda: all(len(sink.minutes(s)) >= 3 for s in symbols))


@in_virtual_time
async def test_minutes_that_passed_while_it_was_stopped_are_published_after_the_start(tmp_path: Path) -> None:
    async with exchange_at(NOON, ["BTCUSDT"], 120.0) as exchange:
        config = configured(exchange, ["BTCUSDT"])
        sink = Collected()
        async with feeding(config, tmp_path, sink):
            await until(lambda: len(sink.minutes("BTCUSDT")) >= 3)
        await asyncio.sleep(3)  # six exchange minutes
        seen = len(sink.minutes("BTCUSDT"))
        async with feeding(config, tmp_path, sink):
            await until(lambda: len(sink.minutes("BTCUSDT")) >= seen + 9)
    minutes = sink.minutes("BTCUSDT")
    assert {b - a for a, b in pairwise(minutes)} == {MINUTE_MS}


@in_virtual_time
async def test_a_minute_that_comes_after_its_lane_went_on_is_published_with_revisions(tmp_path: Path) -> None:
    async with exchange_at(NOON, ["BTCUSDT"], rate=60.0) as exchange:
        config = configured(exchange, ["BTCUSDT"])
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes("BTCUSDT")) >= 2)
            queue = engine.ingest.queue("BTCUSDT")
            assert queue.next is not None
            hole = queue.next
            # As after a recovery that was given up; the stream brings the minute all the same.
            engine.ingest.skip("BTCUSDT", hole + MINUTE_MS)
            await until(lambda: hole in sink.minutes("BTCUSDT"))
            await until(lambda: len(set(sink.minutes("BTCUSDT"))) >= 6)
            tick = engine.tracked["BTCUSDT"].info.tick_size
            start = engine.tracked["BTCUSDT"].start
        assert engine.journal.counters["pipelines_rebuilt"] >= 1
    messages = sink.messages["BTCUSDT"]
    told = [(m["timestamp"], m["revision"]) for m in messages]
    assert len(set(told)) == len(told), "a revision of a minute was published twice"
    minutes = sorted(set(sink.minutes("BTCUSDT")))
    assert {b - a for a, b in pairwise(minutes)} == {MINUTE_MS}
    newest = {m["timestamp"] + 1 - MINUTE_MS: m for m in messages}
    assert newest[hole]["revision"] == 0
    store = Store(tmp_path, read_only=True)
    for minute in (hole, hole + MINUTE_MS, minutes[-1]):
        scratch = SymbolPipeline("BTCUSDT", pipeline_settings(config, "BTCUSDT", tick))
        seeds = inputs_of(store, "BTCUSDT").seeds_before(start)
        scratch.load(store.read("BTCUSDT", start, minute + MINUTE_MS), seeds=seeds)
        message = scratch.message()
        assert message is not None
        assert json.loads(encode(message)) | {"revision": 0} == newest[minute] | {"revision": 0}
    store.close()


@in_virtual_time
async def test_impossible_candles_go_to_quarantine_and_rest_gives_the_minute(tmp_path: Path) -> None:
    async with exchange_at(NOON, ["BTCUSDT"], rate=60.0) as exchange:
        async with feeding(configured(exchange, ["BTCUSDT"]), tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes("BTCUSDT")) >= 1)
            good = to_candles(engine.store.read("BTCUSDT", NOON - MINUTE_MS, NOON))[0]
            future = engine.clock.closed_until() + 5 * MINUTE_MS
            bad = [
                msgspec.structs.replace(good, open_time=future),
                msgspec.structs.replace(good, open_time=good.open_time + 7),
                msgspec.structs.replace(good, open_time=future, low=float("nan")),
            ]
            for candle in bad:
                engine.ingest.closed("BTCUSDT", candle, Source.STREAM, engine.clock.now())
            assert engine.journal.counters["quarantined_candles"] == 3
            await until(lambda: future in sink.minutes("BTCUSDT"), seconds=40)
        minutes = sink.minutes("BTCUSDT")
        assert {b - a for a, b in pairwise(minutes)} == {MINUTE_MS}
        assert not np.isnan(sink.messages["BTCUSDT"][-1]["close_1m"])
