"""A part of the engine that crashes, once or always: it alone stops, is tried again, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from feed import Collected, until
from holding import BTC, ETH, Feed, all_live, exchange_of, feed_of, without
from virtual_time import in_virtual_time

from tui_feeder.engine import engine as made
from tui_feeder.engine.acquisition import checkpoint_writer as numbers_keeper
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.core import supervisor
from tui_feeder.engine.core.backoff import Backoff
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Source
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import Supervisor
from tui_feeder.engine.derived import inputs
from tui_feeder.monitor import SymbolState


class BrokenError(Exception):
    """What no code here expects."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Built again after a second instead of ten."""
    assert made._BUILT_AGAIN_SECONDS == 10.0
    monkeypatch.setattr(made, "_BUILT_AGAIN_SECONDS", 1.0)


def breaking(monkeypatch: pytest.MonkeyPatch, symbol: str, breaks: Callable[[Candle], bool]) -> list[int]:
    """Let the pipeline of ``symbol`` raise at minutes for which ``breaks`` says so; those at which it did."""
    update = SymbolPipeline.update
    broken: list[int] = []

    def broken_update(pipeline: SymbolPipeline, candle: Candle, **more: Any) -> Message:  # noqa: ANN401
        if pipeline.symbol == symbol and breaks(candle):
            broken.append(candle.open_time)
            raise BrokenError(f"at {candle.open_time}")
        return update(pipeline, candle, **more)

    monkeypatch.setattr(SymbolPipeline, "update", broken_update)
    return broken


def assert_untouched(feed: Feed, symbol: str) -> None:
    """Each minute of ``symbol`` was told once, and none was given up."""
    minutes = feed.sink.minutes(symbol)
    assert minutes == list(range(minutes[0], minutes[-1] + MINUTE_MS, MINUTE_MS))


@in_virtual_time
async def test_a_pipeline_that_crashes_once_is_built_again_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        await feed.minutes(2)
        broken = breaking(monkeypatch, ETH, lambda candle: not broken)
        await until(lambda: feed.shown(ETH).state is SymbolState.FAILED)
        assert "BrokenError" in feed.shown(ETH).reason
        assert feed.shown(BTC).state is SymbolState.LIVE
        assert feed.snapshot().state == "degraded"
        assert "Traceback" in caplog.text
        assert "in broken_update" in caplog.text
        await until(lambda: all_live(feed))
        await feed.holds()
        assert feed.counted("pipeline_crashes") == 1
        assert feed.said("its pipeline crashed", "built again")
        assert_untouched(feed, BTC)
        assert_untouched(feed, ETH)


@in_virtual_time
async def test_a_pipeline_that_always_crashes_is_tried_for_ever_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ill = True
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        broken = breaking(monkeypatch, ETH, lambda _: ill)
        await until(lambda: feed.counted("pipeline_crashes") >= 4)
        assert len(set(broken)) == 1, "it went on past a minute that was never told"
        crashes = feed.counted("pipeline_crashes")
        await until(lambda: feed.counted("pipeline_crashes") > crashes)
        assert feed.shown(ETH).state is SymbolState.FAILED
        assert feed.shown(BTC).state is SymbolState.LIVE
        ill = False
        await until(lambda: all_live(feed))
        await feed.holds()
        assert feed.sink.minutes(ETH)[0] <= broken[0]
        assert_untouched(feed, BTC)


@in_virtual_time
async def test_history_that_cannot_be_computed_fails_its_symbol_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ill = True
    load = inputs.load_pipeline

    def broken_load(store: object, config: object, symbol: str, end: int) -> SymbolPipeline:
        if ill and symbol == ETH:
            raise BrokenError("a damaged block")
        return load(store, config, symbol, end)

    monkeypatch.setattr(numbers_keeper, "load_pipeline", broken_load)
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await feed.minutes(3, BTC)
        await until(lambda: feed.counted("pipeline_crashes") >= 2)
        assert "a damaged block" in feed.shown(ETH).reason
        ill = False
        await until(lambda: all_live(feed))
        await feed.holds()
        assert_untouched(feed, BTC)


@in_virtual_time
async def test_a_crash_while_corrections_are_computed_loses_no_correction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        exchange_of([BTC, ETH]) as exchange,
        feed_of(exchange, tmp_path, recovery_deadline_seconds=2) as feed,
    ):
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("no-close-frame", ETH)
        await feed.minutes(1)
        queue = feed.engine.ingest.queue(ETH)
        assert queue.next is not None
        hole, lacks = queue.next, True
        without(feed.engine.exchange, ETH, span(hole, hole + MINUTE_MS), lambda: lacks)
        await until(lambda: hole + 3 * MINUTE_MS in feed.sink.minutes(ETH))
        assert hole not in feed.sink.minutes(ETH)
        assert hole in queue.skipped
        broken = breaking(monkeypatch, ETH, lambda candle: candle.open_time == hole and len(broken) < 2)
        lacks = False
        feed.engine.recovery.retry(ETH)
        await until(lambda: len(broken) == 2)
        await until(lambda: all_live(feed))
        await feed.holds()
        revised = {m["timestamp"] + 1 - MINUTE_MS for m in feed.sink.messages[ETH] if m["revision"] == 1}
        assert hole + 3 * MINUTE_MS in revised
        assert_untouched(feed, BTC)


@in_virtual_time
async def test_a_frame_that_breaks_what_takes_it_ends_neither_the_stream_nor_the_other_symbols(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        closed = feed.engine.ingest.closed
        broken: list[str] = []

        def broken_closed(symbol: str, candle: Candle, source: Source, now: int) -> None:
            if symbol == ETH and not broken:
                broken.append(symbol)
                raise BrokenError("an ingest that fails")
            closed(symbol, candle, source, now)

        monkeypatch.setattr(feed.engine.ingest, "closed", broken_closed)
        await until(lambda: broken)
        await until(lambda: all_live(feed))
        await feed.holds()
        assert feed.socket.reconnects == 0
        assert feed.counted("part_crashes") == 0
        assert_untouched(feed, BTC)


@in_virtual_time
async def test_recovery_that_crashes_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        broken: list[str] = []
        advance = feed.engine.ingest.advance

        def broken_advance(symbol: str) -> None:
            if not broken:
                broken.append(symbol)
                raise BrokenError("a wheel that is stuck")
            advance(symbol)

        monkeypatch.setattr(feed.engine.ingest, "advance", broken_advance)
        exchange.faults.switch_on("no-close-frame", BTC)
        await until(lambda: broken)
        await feed.holds()
        assert feed.said("recovery crashed", "a wheel that is stuck")
        assert_untouched(feed, ETH)


@in_virtual_time
async def test_a_sink_that_raises_is_counted_and_takes_no_message_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Collected):
        name = "broken"

        def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
            raise BrokenError("no paper")

    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        monkeypatch.setattr(feed.engine, "sinks", (Broken(), feed.sink))
        await feed.minutes(2)
        assert feed.said("broken refused messages", "no paper")
        assert feed.counted("broken_refused_messages") >= 4
        await feed.holds()


class Quick(Backoff):
    def __init__(self) -> None:
        super().__init__(first=0.01, most=0.01)


@in_virtual_time
async def test_a_part_is_started_again_for_ever_and_repeated_crashes_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "Backoff", Quick)
    journal = Journal(lambda: 0)
    parts = Supervisor(journal)
    well, runs = asyncio.Event(), 0

    async def part() -> None:
        nonlocal runs
        runs += 1
        if not well.is_set():
            raise BrokenError("again")
        await asyncio.Event().wait()

    parts.start("a part", part)
    await until(lambda: runs >= 6)
    assert parts.states["a part"] == "degraded"
    assert journal.counters["part_crashes"] >= 5
    assert any("a part crashed" in event.text for event in journal.events)
    await parts.stop()  # most of the time it waits to be started again
    assert parts.states["a part"] == "stopped"
    parts.start("a part", part)
    well.set()
    before = runs
    await until(lambda: runs > before)
    assert parts.alive("a part")
    await parts.stop()
    assert parts.states["a part"] == "stopped"


@in_virtual_time
async def test_crashes_that_are_far_apart_degrade_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "Backoff", Quick)
    monkeypatch.setattr(supervisor, "_WELL_AFTER_SECONDS", 0.01)
    parts = Supervisor(Journal(lambda: 0))
    states = []

    async def part() -> None:
        states.append(parts.states["a part"])
        await asyncio.sleep(0.05)
        raise BrokenError("now and then")

    parts.start("a part", part)
    await until(lambda: len(states) >= 6)
    await parts.stop()
    assert set(states) == {"running"}
