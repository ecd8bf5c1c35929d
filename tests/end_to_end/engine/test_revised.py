"""Whatever changes behind what was published is published again: runs, stops and repairs in any order."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from feed import Collected
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from samples import MIDNIGHT, walk
from stores import writer_held

from tui_feeder.config import Application, Config, TechnicalAnalysis, VolumeProfile
from tui_feeder.engine.acquisition.checkpoint_writer import CheckpointWriter
from tui_feeder.engine.acquisition.ingest import Ingest
from tui_feeder.engine.acquisition.queue_opener import QueueOpener
from tui_feeder.engine.acquisition.symbol_startup import SymbolStartup
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.message import Message, encode
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Rows, Source, timeframe_label, to_candles
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.derived.replay import replay
from tui_feeder.engine.exchanges.base import MarketFacts, Page, Refusal, RestError
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.engine.storage.store import Store

BTC = "BTCUSDT"
#: The history begins two hours before a midnight, so that a day ends in it.
FIRST = MIDNIGHT + 22 * 60 * MINUTE_MS
TRUTH = walk(400, seed=3, start=FIRST)
CONFIG = Config(
    application=replace(Application(), symbols=(BTC,)),
    technical_analysis=replace(
        TechnicalAnalysis(), timeframes=(60, 300, 900), ema_periods=(3, 8), volume_lookback_days=1
    ),
    volume_profile=replace(
        VolumeProfile(), price_increment_mode="Adaptive", min_price_increment=1e-6, max_price_increment=1e3
    ),
)
EVER = 1 << 62


def minute(n: int) -> int:
    return FIRST + n * MINUTE_MS


def rows_of(first: int, end: int, times: int = 0) -> Rows:
    """The minutes of the exchange; with ``times`` other closes and volumes, as a better source has them."""
    rows = TRUTH[first:end].copy()
    if times:
        rows["close"] = rows["low"] if times % 2 else rows["high"]
        rows["volume"] *= 1 + times
        rows["quote_volume"] *= 1 + times
    return rows


class Bars:
    """What a run reads of the exchange's own bars; nothing while it is ``down``."""

    def __init__(self) -> None:
        self.down = True
        self.clock = ExchangeClock()

    def facts(self, symbol: str) -> MarketFacts:
        return USDM.facts

    async def candles(self, symbol: str, timeframe: int, start: int, end: int) -> Page:
        if self.down:
            raise RestError(Refusal.FORBIDDEN, "it answers nobody")
        step = timeframe * 1000
        rows = walk((end - start) // step, seed=9)
        rows["open_time"] = np.arange(start, end, step)
        return Page(rows, end - step)


class World:
    """A store and all that was published from it, run after run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bars = Bars()
        self.sink = Collected()
        self.taken = 0  # minutes of the exchange that a run has reached
        self.changes = 0

    # Each of these is a test's step.

    async def run(self, *doings: Callable[[Run], Any]) -> None:
        """Start, do things, stop."""
        run = await Run.begin(self)
        try:
            for doing in doings:
                await doing(run)
        finally:
            await run.end()

    def offline(self, first: int, end: int, *, other: bool) -> None:
        """A tool writes minutes while nothing runs: those that are missing, or other values."""
        store = Store(self.path, exchange="a test")
        self.change(store, first, end, other=other).result()
        store.close()

    def change(self, store: Store, first: int, end: int, *, other: bool) -> Any:  # noqa: ANN401
        self.changes += other
        rows = rows_of(first, min(end, self.taken), self.changes if other else 0)
        source = Source.ARCHIVE_MONTH if other else Source.ARCHIVE_UNCHECKED
        return store.put(BTC, rows, source)

    def holds(self) -> None:
        """Every last word is what the stored candles give, and no revision was published twice."""
        told = [(m["timestamp"], m["revision"]) for m in self.sink.messages[BTC]]
        assert len(told) == len(set(told)), "published twice"
        newest: dict[int, dict[str, Any]] = {}
        for message in self.sink.messages[BTC]:
            before = newest.get(message["timestamp"], {"revision": -1})
            assert message["revision"] > before["revision"]
            newest[message["timestamp"]] = message
        store = Store(self.path, exchange="a test")
        since, end = min(newest) + 1 - MINUTE_MS, max(newest) + 1
        again = {m.timestamp: json.loads(encode(m)) for m in replay(store, CONFIG, [BTC], since, end)}
        assert again.keys() == newest.keys()
        wrong = [at for at, m in newest.items() if m | {"revision": 0} != again[at] | {"revision": 0}]
        assert not wrong, (
            f"{len(wrong)} of {len(newest)} minutes, the first {(wrong[0] - FIRST) // MINUTE_MS}"
        )
        assert not store.stale_published(BTC)
        assert not store.unpublished(BTC)
        self._bars_hold(store, since)
        store.close()

    def _bars_hold(self, store: Store, since: int) -> None:
        last = {}
        for waiting in store.open_outbox(["somebody"], 64, "candles").read_after(0, EVER):
            bar = json.loads(waiting.payload)
            last[bar["timeframe"], bar["open_time"]] = bar
        rows = store.read(BTC, 0, EVER)
        for timeframe in (60, 300, 900):
            made, label = aggregate(rows, timeframe, listed=store.listed(BTC)), timeframe_label(timeframe)
            for row, minutes in zip(made.rows, made.minutes.tolist(), strict=True):
                at = int(row["open_time"])
                bar = last.get((label, at))
                assert bar is not None or at < since, f"the {label} bar of {at} was never published"
                if bar is not None:
                    found = (bar["close"], bar["volume"], bar["high"], bar["minutes"])
                    assert found == (row["close"], row["volume"], row["high"], minutes), (label, at)


class Run:
    """One run: the parts of an engine from the ingest of a closed minute to its message."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = Store(world.path, exchange="a test")
        self.store.open_outbox(["somebody"], 64, "candles")
        self.workers = worker_thread()
        journal = Journal(lambda: 0)
        self.ingest = Ingest(self.store, journal, self, lambda *_: None)
        checkpoints = CheckpointWriter(CONFIG, self.store, journal, self.ingest, self.workers)
        exchange = cast(Any, world.bars)
        self.queue_opener = QueueOpener(
            CONFIG, self.store, self.ingest, journal, exchange.clock, self.workers, checkpoints, self._publish
        )
        self.startup = SymbolStartup(
            CONFIG,
            self.store,
            cast(Any, None),
            self.ingest,
            journal,
            exchange,
            self.queue_opener,
            lambda: None,
        )  # fmt: skip
        self.checkpoints = checkpoints
        self.one = TrackedSymbol(BTC, start=FIRST)
        self.repairs: list[asyncio.Task[Any]] = []

    @classmethod
    async def begin(cls, world: World) -> Run:
        run = cls(world)
        await run.startup.update_inputs(run.one)
        await run.queue_opener.open_queue(run.one)
        run.ingest.advance(BTC)
        await run.ingest.drained()
        return run

    def _publish(self, symbol: str, message: Message, payload: bytes) -> None:
        self.world.sink.publish(symbol, message.timestamp, payload)

    def committed(self, symbol: str, candle: Candle, message: Message, payload: bytes) -> None:
        self._publish(symbol, message, payload)

    def gap_found(self, symbol: str, start: int, end: int) -> None:
        self.ingest.skip(symbol, end)

    def late_minute(self, symbol: str, candle: Candle, source: Source) -> None:
        raise AssertionError("no step gives a minute twice")

    def closes_differ(self, symbol: str, candle: Candle, other: Candle) -> None:
        """What REST would say of it is a step of its own."""

    def superseded(self, symbol: str, candle: Candle) -> None:
        self.repairs.append(asyncio.create_task(self.queue_opener.open_queue(self.one, candle.open_time)))

    def crashed(self, symbol: str, error: BaseException) -> None:
        raise error

    async def end(self) -> None:
        await self.ingest.drained()
        await asyncio.gather(*self.repairs)
        self.checkpoints.write_all()
        self.workers.shutdown(wait=True)
        self.store.close()

    # What may happen in a run.

    def give(self, first: int, end: int) -> None:
        for candle in to_candles(TRUTH[first:end]):
            self.ingest.closed(BTC, candle, Source.STREAM, EVER)
        self.world.taken = max(self.world.taken, end)


def takes(count: int, *, lacking: int = 0) -> Callable[[Run], Any]:
    """So many minutes close, the first of which never come."""

    async def doing(run: Run) -> None:
        first = run.world.taken
        run.give(first + lacking, first + lacking + count)
        await run.ingest.drained()

    return doing


def repairs(first: int, end: int, *, other: bool) -> Callable[[Run], Any]:
    """Minutes are repaired while it runs."""

    async def doing(run: Run) -> None:
        written = await asyncio.wrap_future(run.world.change(run.store, first, end, other=other))
        if written.added or written.changed:
            await run.queue_opener.open_queue(run.one, minute(first))

    return doing


def overtakes() -> Callable[[Run], Any]:
    """A better row of a minute is on its way to the store when the minute closes."""

    async def doing(run: Run) -> None:
        taken = run.world.taken
        with writer_held(run.store):
            run.store.put(BTC, rows_of(taken, taken + 1, 3), Source.REST)
            run.give(taken, taken + 3)
        await run.ingest.drained()

    return doing


def replaced_on_the_way() -> Callable[[Run], Any]:
    """Stored minutes are being published while better rows of them are on their way to the store."""

    async def doing(run: Run) -> None:
        world, taken = run.world, run.world.taken
        world.taken += 5
        await asyncio.wrap_future(run.store.put(BTC, rows_of(taken, taken + 5), Source.ARCHIVE_UNCHECKED))
        with writer_held(run.store):
            run.store.put(BTC, rows_of(taken + 1, taken + 3, 2), Source.REST)
            run.ingest.advance(BTC)
            rebuilt = asyncio.create_task(run.queue_opener.open_queue(run.one, minute(taken + 1)))
            await asyncio.sleep(0)
        await rebuilt
        await run.ingest.drained()

    return doing


def races(first: int, end: int) -> Callable[[Run], Any]:
    """Better rows of minutes that are just closing, and of some before, are on their way to the store."""

    async def doing(run: Run) -> None:
        world = run.world
        taken = world.taken
        world.taken += 2
        put = world.change(run.store, first, end, other=True)
        newest = run.store.put(BTC, rows_of(taken, taken + 1, 7), Source.REST)
        run.give(taken, taken + 2)
        await asyncio.wrap_future(put)
        await asyncio.wrap_future(newest)
        await run.queue_opener.open_queue(run.one, minute(first))
        await run.ingest.drained()

    return doing


def meanwhile(first: int, end: int) -> Callable[[Run], Any]:
    """Minutes are replaced while the numbers are being made, by somebody who thinks nothing rests on them."""

    async def doing(run: Run) -> None:
        make = run.checkpoints.make_pipeline

        def made(symbol: str, until: int, **given: Any) -> Any:  # noqa: ANN401
            pipeline = make(symbol, until, **given)
            run.checkpoints.make_pipeline = make
            run.world.change(run.store, low, end, other=True).result()
            return pipeline

        low = first
        run.checkpoints.make_pipeline = made
        await run.queue_opener.open_queue(run.one)
        await run.ingest.drained()

    return doing


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "store")


def begun(world: World, history: int, *, gap: range = range(0)) -> None:
    """A history before the first run, perhaps with a gap."""
    world.taken = history
    store = Store(world.path, exchange="a test")
    rows = rows_of(0, history)
    rows = rows[~np.isin(rows["open_time"], [minute(n) for n in gap])]
    store.put(BTC, rows, Source.ARCHIVE_UNCHECKED).result()
    store.close()


async def test_a_repair_before_the_first_published_minute_reaches_all_that_were(world: World) -> None:
    begun(world, 180, gap=range(150, 153))
    await world.run(takes(60))
    before = len(world.sink.messages[BTC])
    world.offline(150, 153, other=False)  # the gap is filled
    world.offline(125, 126, other=True)  # and a minute of the same day has another volume
    await world.run(takes(1))
    assert len(world.sink.messages[BTC]) == before + 60 + 1
    world.holds()


async def test_bars_read_at_last_to_seed_averages_reach_all_published_minutes(world: World) -> None:
    begun(world, 100)
    await world.run(takes(30))
    before = world.sink.messages[BTC][-1]
    world.bars.down = False
    await world.run(takes(1))
    again = [m for m in world.sink.messages[BTC] if m["timestamp"] == before["timestamp"]][-1]
    assert again["revision"] == 1
    assert again["ema8_15min"] != before.get("ema8_15min")
    world.holds()


async def test_a_minute_replaced_while_the_first_numbers_are_made_is_in_them(world: World) -> None:
    begun(world, 120)

    async def nothing(run: Run) -> None: ...

    run = Run(world)
    await meanwhile(100, 110)(run)
    run.give(world.taken, world.taken + 20)
    await run.end()
    world.holds()


@pytest.mark.parametrize("what", [overtakes(), replaced_on_the_way()])
async def test_a_better_row_that_overtakes_a_closing_minute_corrects_its_message(
    world: World, what: Callable[[Run], Any]
) -> None:
    begun(world, 120)
    await world.run(takes(5), what, takes(5))
    world.holds()


async def test_published_minutes_on_both_sides_of_a_hole_of_days_are_of_one_history(world: World) -> None:
    begun(world, 120)
    later = walk(40, seed=4, start=FIRST + 3 * DAY_MS)

    async def days_later(run: Run) -> None:
        for candle in to_candles(later):
            run.ingest.closed(BTC, candle, Source.STREAM, EVER)
        await run.ingest.drained()

    await world.run(takes(30), days_later)
    world.holds()
    await world.run()
    changed = later[20:21].copy()
    changed["volume"] += 5
    store = Store(world.path, exchange="a test")
    store.put(BTC, changed, Source.ARCHIVE_DAY).result()
    store.close()
    await world.run()
    assert [m["revision"] for m in world.sink.messages[BTC][-20:]] == [1] * 20
    world.holds()


async def test_a_listing_found_out_after_its_first_minutes_were_published_corrects_them(world: World) -> None:
    world.taken = 7
    store = Store(world.path, exchange="a test")
    store.put(BTC, rows_of(7, 8), Source.REST).result()
    store.close()
    await world.run(takes(30))
    assert any("15min" in m.get("partial", ()) for m in world.sink.messages[BTC])
    store = Store(world.path, exchange="a test")
    store.set_listed(BTC, minute(7)).result()
    store.close()
    await world.run(takes(1))
    last = {m["timestamp"]: m for m in world.sink.messages[BTC]}
    assert not [m for m in last.values() if "partial" in m]
    world.holds()


async def test_what_is_too_old_for_every_number_reaches_none(world: World) -> None:
    begun(world, 120)
    await world.run(takes(10))
    before = len(world.sink.messages[BTC])
    store = Store(world.path, exchange="a test")
    old = rows_of(0, 10)
    old["open_time"] -= 30 * 24 * 60 * MINUTE_MS  # a hole of a month lies between
    store.put(BTC, old, Source.ARCHIVE_DAY).result()
    store.close()
    await world.run(takes(1))
    assert len(world.sink.messages[BTC]) == before + 1
    world.holds()


def test_a_kill_in_the_middle_of_revisions_leaves_the_rest_to_the_next_run(world: World) -> None:
    begun(world, 120)
    asyncio.run(world.run(takes(10), takes(50, lacking=3)))
    world.offline(130, 133, other=False)

    async def killed() -> None:
        run = Run(world)
        revise, parts = run.store.revise, []

        def dies(*args: Any) -> Any:  # noqa: ANN401
            parts.append(args)
            if len(parts) == 2:
                raise ConnectionError("killed")
            return revise(*args)

        run.store.revise = dies
        with pytest.raises(ConnectionError):
            await run.queue_opener.open_queue(run.one)
        await run.end()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tui_feeder.engine.acquisition.queue_opener._REVISED_AT_ONCE", 10)
        asyncio.run(killed())
        asyncio.run(world.run(takes(1)))
    world.holds()


spans = st.tuples(st.integers(0, 200), st.integers(1, 12)).map(lambda one: (one[0], one[0] + one[1]))
doings = st.one_of(
    st.integers(1, 20).map(takes),
    st.tuples(st.integers(1, 9), st.integers(1, 9)).map(lambda one: takes(one[0], lacking=one[1])),
    st.tuples(spans, st.booleans()).map(lambda one: repairs(*one[0], other=one[1])),
    spans.map(lambda one: races(*one)),
    st.sampled_from((overtakes(), replaced_on_the_way())),
    spans.map(lambda one: meanwhile(*one)),
)
steps = st.one_of(
    st.lists(doings, max_size=4),
    st.tuples(spans, st.booleans()),
    st.just("seeds can be had"),
)


@given(st.integers(1, 150), st.sets(st.integers(0, 140), max_size=20), st.lists(steps, max_size=6))
@example(120, {50}, [[takes(10)], ((50, 51), False), [takes(1)]])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_interleaving_of_runs_stops_and_repairs_ends_with_what_the_store_gives(
    history: int, gap: set[int], done: list[Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "store")
        store = Store(world.path, exchange="a test")
        rows = rows_of(0, history)
        times = [minute(n) for n in gap if n != history - 1]
        store.put(BTC, rows[~np.isin(rows["open_time"], times)], Source.ARCHIVE_UNCHECKED).result()
        store.close()
        world.taken = history
        for step in done:
            if isinstance(step, list):
                asyncio.run(world.run(*step))
            elif isinstance(step, tuple):
                world.offline(*step[0], other=step[1])
            else:
                world.bars.down = False
        asyncio.run(world.run(takes(2)))
        world.holds()


def test_parts_of_minutes_are_those_minutes_in_order() -> None:
    minutes = Coverage([(0, 7 * MINUTE_MS), (9 * MINUTE_MS, 12 * MINUTE_MS)])
    parts = list(minutes.parts(4))
    assert [part.minutes for part in parts] == [4, 4, 2]
    assert Coverage(one for part in parts for one in part) == minutes
