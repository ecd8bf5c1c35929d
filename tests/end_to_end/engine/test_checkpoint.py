"""Checkpoints of whole engines: kept while they run, resumed after a stop, right after a kill."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkpoints import CONFIG, end_of, made, message_bytes, same
from feed import NOON, Collected, configured, exchange_at, feeding, until
from places import SUPPORT
from virtual_time import in_virtual_time

from tui_feeder.engine.acquisition import checkpoint_writer as numbers_keeper
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.derived.checkpoint import decode, resume
from tui_feeder.engine.derived.inputs import (
    load_pipeline,
)
from tui_feeder.engine.storage.store import Store


def test_a_kill_at_any_moment_leaves_numbers_that_are_right(tmp_path: Path) -> None:
    for patience in (3, 40, 90):
        child = subprocess.Popen(
            [sys.executable, str(SUPPORT / "checkpoint_child.py"), str(tmp_path)],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        for _ in range(patience):
            assert child.stdout.readline()
        time.sleep(0.001 * patience)
        child.kill()
        child.wait()
        child.stdout.close()
        store = Store(tmp_path, exchange="test")
        end = end_of(store)
        found = resume(store, CONFIG, "XUSDT", end)
        assert found is not None
        assert same(store, found[0], made(store, CONFIG, end))
        store.close()


@in_virtual_time
async def test_an_engine_that_starts_again_goes_on_from_what_it_kept(tmp_path: Path) -> None:
    async with exchange_at(NOON - 30_000, ["BTCUSDT"], 60.0) as exchange:
        config = configured(exchange, ["BTCUSDT"], days=3)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes("BTCUSDT")) >= 2)
            assert engine.journal.counters["pipelines_loaded_from_candles"] >= 1
            assert engine.journal.counters["checkpoints_resumed"] == 0
        more = Collected()
        async with feeding(config, tmp_path, more) as (engine, _):
            await until(lambda: len(more.minutes("BTCUSDT")) >= 3)
            assert engine.journal.counters["checkpoints_resumed"] == 1
            told = {
                m["timestamp"]: raw
                for m, raw in zip(more.messages["BTCUSDT"], more.raw["BTCUSDT"], strict=True)
            }
            newest = max(told)
            scratch = load_pipeline(engine.store, config, "BTCUSDT", newest + 1)
            assert message_bytes(scratch) == told[newest]
        # Damaged, they are refused, message_bytes so, and made again.
        store = Store(tmp_path, exchange=engine.store.exchange)
        block = store.checkpoint("BTCUSDT") or b""
        store.put_checkpoint("BTCUSDT", block[:-1]).result()
        store.close()
        last = Collected()
        async with feeding(config, tmp_path, last) as (engine, _):
            await until(lambda: last.minutes("BTCUSDT"))
            assert engine.journal.counters["checkpoints_resumed"] == 0
            assert any("they are damaged" in event.text for event in engine.journal.events)


@in_virtual_time
async def test_a_running_engine_keeps_them_and_makes_them_again_after_a_repair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers_keeper, "_EVERY_SECONDS", 0.05)
    async with exchange_at(NOON - 30_000, ["BTCUSDT"], 60.0) as exchange:
        config = configured(exchange, ["BTCUSDT"], days=3)
        async with feeding(config, tmp_path) as (engine, sink):
            store = engine.store
            await until(lambda: sink.minutes("BTCUSDT") and store.checkpoint("BTCUSDT") is not None)
            before = store.edition("BTCUSDT")
            old = store.read("BTCUSDT", NOON - DAY_MS, NOON - DAY_MS + MINUTE_MS)
            old["volume"] *= 2
            await asyncio.wrap_future(store.put("BTCUSDT", old, Source.ARCHIVE_MONTH))
            assert store.edition("BTCUSDT") == before + 1
            await until(lambda: decode(store.checkpoint("BTCUSDT") or b"")[0].edition == before + 1)
        stopped = Store(tmp_path, exchange=store.exchange)
        end = (stopped.watermark("BTCUSDT") or 0) + MINUTE_MS
        found = resume(stopped, config, "BTCUSDT", end)
        assert found is not None
        assert message_bytes(found[0]) == message_bytes(load_pipeline(stopped, config, "BTCUSDT", end))
        stopped.close()
