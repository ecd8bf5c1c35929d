"""Faults of the process and of the listings, 9, 13, 15 and 20 of the table."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commanding import environment
from examples import examples
from feed import Collected, configured, feeding, until
from history_parts import assert_whole
from holding import BTC, CHINESE, ETH, NOON, Feed, all_live, exchange_of, feed_of
from msgspec.structs import replace
from preloaded import AsyncProcess, start_process
from virtual_time import in_virtual_time

from tui_feeder.config import TechnicalAnalysis, load
from tui_feeder.engine.acquisition import symbol_startup as bringup
from tui_feeder.engine.analytics.message import encode
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.derived.replay import replay
from tui_feeder.engine.exchanges.binance import stream_connection
from tui_feeder.engine.storage.store import Store, StoreError
from tui_feeder.monitor import SymbolState


@in_virtual_time
async def test_9_a_process_that_was_away_tells_every_minute_it_missed(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH]) as exchange:
        sink = Collected()
        async with feed_of(exchange, tmp_path, sink=sink) as feed:
            await feed.minutes(2)
        await asyncio.sleep(5)  # ten exchange minutes
        async with feed_of(exchange, tmp_path, sink=sink) as feed:
            await feed.minutes(12)
            await feed.holds()


@pytest.mark.parametrize("how", ["reset", "blackhole"])
@in_virtual_time
async def test_9_a_link_that_was_down_for_ten_minutes_leaves_nothing_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(stream_connection, "_SILENCE_SECONDS", 3.0)  # of a black hole nothing else tells
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("refuse-connections", duration=600, how=how)
        await until(lambda: feed.snapshot().parts["REST"] in ("unreachable", "timeout"))
        await until(lambda: feed.shown(BTC).state in (SymbolState.LATE, SymbolState.STALE))
        await until(lambda: not exchange.faults)
        await feed.holds()
        await until(lambda: all_live(feed))
        assert feed.counted("gaps_filled") >= 1
        assert feed.socket.reconnects >= 1


@in_virtual_time
async def test_13_a_symbol_that_is_listed_during_the_run_joins_and_one_nobody_knows_waits_for_its_listing(
    tmp_path: Path,
) -> None:
    listing = NOON + 10 * MINUTE_MS
    async with exchange_of([BTC, CHINESE], listed={CHINESE: listing}) as exchange:
        config = configured(exchange, [BTC, CHINESE, "NOBODYUSDT"], days=1)
        async with feeding(config, tmp_path) as (engine, sink):
            feed = Feed(engine, sink, exchange, config)
            await feed.minutes(2, BTC)
            assert exchange.clock.now() < listing, "it was listed before anybody looked"
            for name in (CHINESE, "NOBODYUSDT"):
                assert feed.shown(name).state == "unknown"
                assert feed.said("does not list this symbol")
            # Nobody asks for it: the engine reads the listings by itself every 20 s at this rate.
            await feed.minutes(3, CHINESE, seconds=60)
            await feed.holds()
            assert engine.store.present(CHINESE).start == listing
            assert feed.shown(CHINESE).state == "live"
            assert feed.shown("NOBODYUSDT").state == "unknown"
            assert feed.counted("rest_unknown_symbol") == 0


@pytest.mark.timeout(180)
async def test_15_killed_at_any_moment_it_loses_no_minute_and_no_message(tmp_path: Path) -> None:
    draw = random.Random(20_261_122)
    file, storage = tmp_path / "config.toml", tmp_path / "store"
    async with exchange_of([BTC, ETH], 60.0) as exchange:
        file.write_text(
            f"[application]\nsymbols = ['{BTC}', '{ETH}']\nstorage_path = '{storage}'\n"
            "[technical_analysis]\nmin_history_days = 1\n"
            # No broker is there: every message waits in the outbox.
            "[kafka]\nenabled = true\nbootstrap_servers = ['127.0.0.1:9']\n"
        )
        log = (tmp_path / "log").open("wb")
        started: list[AsyncProcess] = []

        async def start() -> AsyncProcess:
            process = await start_process(
                sys.executable, "-m", "tui_feeder", "--config", str(file), "--no-ui",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment(exchange),
                cwd=tmp_path,
            )  # fmt: skip
            started.append(process)
            return process

        def watermark(symbol: str) -> int:
            try:
                store = Store(storage, read_only=True)
            except StoreError:  # nothing was written yet
                return 0
            try:
                return store.watermark(symbol) or 0
            finally:
                store.close()

        try:
            for _ in range(5):
                process, before = await start(), watermark(ETH)
                for _ in range(400):  # well under way, or still at its history
                    if process.returncode is not None or watermark(ETH) > before:
                        break
                    await asyncio.sleep(0.05)
                assert process.returncode is None, (tmp_path / "log").read_text()
                await asyncio.sleep(draw.uniform(0.0, 1.0))
                process.kill()
                await process.wait()
            process, end = await start(), exchange.clock.now()
            await until(lambda: min(watermark(BTC), watermark(ETH)) > end, 60)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 30) == 0, (tmp_path / "log").read_text()
        finally:
            for process in started:
                if process.returncode is None:
                    process.kill()
            log.close()

        config = load(file, environ={}).config
        store = await asyncio.to_thread(Store, storage)
        outbox = store.open_outbox(["kafka"], 512)
        waiting = outbox.read_after(0, 1 << 40)
        for symbol in (BTC, ETH):
            present, mark = store.present(symbol), store.watermark(symbol)
            assert mark is not None
            assert not store.certified(symbol).subtract(present)
            assert_whole(store, exchange, symbol, present.start, mark + MINUTE_MS)
            told = {}
            for one in waiting:
                if one.symbol == symbol:
                    message = json.loads(one.payload)
                    told[one.timestamp + 1 - MINUTE_MS] = message | {"revision": 0}
            assert sorted(told) == list(range(min(told), mark + 1, MINUTE_MS)), "a message was lost"
            for batch in replay(store, config, [symbol], min(told), mark + MINUTE_MS):
                assert told[batch.timestamp + 1 - MINUTE_MS] == json.loads(encode(batch))
        await asyncio.to_thread(store.close)


@pytest.mark.timeout(180)
async def test_20_hundreds_of_symbols_that_close_in_the_same_second_are_all_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringup, "_AT_ONCE", 60)  # only the way there is shorter by it
    names = [f"C{n}USDT" for n in range(examples(500, share=3))]
    async with exchange_of(names, 2.0, NOON + 20_000) as exchange:
        config = configured(
            exchange,
            names,
            respect_config_start_date=True,
            start_date=datetime.fromtimestamp(NOON / 1000 - 1800, UTC),
        )
        # Little history, and EMAs that need no more: what counts here is the burst.
        analysis = replace(TechnicalAnalysis(), min_history_days=1, timeframes=(60, 300), ema_periods=(3, 5))
        config = replace(config, technical_analysis=analysis)
        async with feeding(config, tmp_path) as (engine, sink):
            feed = Feed(engine, sink, exchange, config)
            await until(lambda: all_live(feed), 90)
            minute = exchange.clock.now() // MINUTE_MS * MINUTE_MS
            await until(lambda: all(minute in sink.minutes(name) for name in names), 90)
            told = [
                m
                for name in names
                for m in sink.messages[name]
                if m["timestamp"] // MINUTE_MS * MINUTE_MS == minute
            ]
            assert len(told) == len(names)
            assert {m["revision"] for m in told} == {0}
            for name in names:
                queue = engine.ingest.queue(name)
                assert_whole(engine.store, exchange, name, engine.tracked[name].start, minute + MINUTE_MS)
                assert not queue.skipped
            for dropped in ("pending_candles_dropped", "minutes_skipped", "pipeline_crashes"):
                assert feed.counted(dropped) == 0
