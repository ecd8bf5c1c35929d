"""What screens, the API and attached clients are shown follows a repair at once: nothing kept outlives it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_monitor import FakeMonitor
from feed import NOON, configured, feeding, monitor_of, until
from samples import MIDNIGHT, walk
from screens import settled

from tui_feeder.app import FeederApp, UiSettings
from tui_feeder.attach.client import AttachedMonitor
from tui_feeder.attach.server import AttachServer
from tui_feeder.config import Config
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.ema import ema
from tui_feeder.engine.analytics.profile.day_profile import profile_of
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source
from tui_feeder.engine.derived.chart_window import Windows
from tui_feeder.engine.derived.inputs import load_pipeline
from tui_feeder.engine.derived.profile_views import ProfileViews
from tui_feeder.engine.derived.settings import profile_settings
from tui_feeder.engine.storage.store import Store
from tui_feeder.replay.monitor import ReplayMonitor
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

END = MIDNIGHT + 2 * DAY_MS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two days, of the first of which ten minutes are missing."""
    opened = Store(tmp_path / "store", exchange="a test")
    rows = np.delete(walk(2 * 1440), slice(600, 610))
    opened.put("X", rows, Source.STREAM).result()
    yield opened
    opened.close()


def other(rows: Rows) -> Rows:
    """The same minutes as a better source has them."""
    rows = rows.copy()
    rows["close"] = rows["high"] = rows["high"] * 1.25
    rows["volume"] += 1_000
    return rows


def replaces(store: Store) -> None:
    low = END - 60 * MINUTE_MS
    store.put("X", other(store.read("X", low, END)), Source.REST).result()


def replaces_before_the_stretch(store: Store) -> None:
    """Minutes that are not in sight, but in the averages of those that are."""
    low = MIDNIGHT + 300 * MINUTE_MS
    store.put("X", other(store.read("X", low, low + DAY_MS)), Source.REST).result()


def fills(store: Store) -> None:
    store.put("X", walk(2 * 1440)[600:610], Source.REST).result()


@pytest.mark.parametrize("repair", [replaces, replaces_before_the_stretch, fills])
def test_bars_and_averages_of_the_chart_follow_a_repair(
    store: Store, repair: Callable[[Store], None]
) -> None:
    windows = Windows(store, (21,))
    before = windows.bars("X", 900, 20, END, END)
    repair(store)
    bars, (line,) = windows.bars("X", 900, 20, END, END)
    whole = aggregate(store.read("X", 0, END), 900).rows
    assert np.array_equal(bars, whole[-20:])
    assert line[-1] == pytest.approx(ema(whole["close"], 21)[-1], rel=1e-9)
    assert line[-1] != before[1][0][-1] or repair is fills  # of a day before: too far back for 21 bars
    again = windows.bars("X", 900, 20, END, END)
    assert again[0].base is bars.base  # what has not changed is not read again


@pytest.mark.parametrize("day", [MIDNIGHT, MIDNIGHT + DAY_MS])
def test_the_profile_of_a_day_follows_a_repair_of_it_and_of_the_days_before(store: Store, day: int) -> None:
    views = ProfileViews(store, Config())
    before = views.of("X", day, day + DAY_MS)
    assert before is not None
    assert views.of("X", day, day + DAY_MS) is before
    # The first day becomes much wider; the second has its increment from it until it outgrows that.
    wild = store.read("X", MIDNIGHT + 30 * MINUTE_MS, MIDNIGHT + 40 * MINUTE_MS)
    store.put("X", other(other(wild)), Source.REST).result()
    after = views.of("X", day, day + DAY_MS)
    fresh = ProfileViews(store, Config()).of("X", day, day + DAY_MS)
    assert after == fresh
    assert after is not before
    fills(store)
    assert views.of("X", MIDNIGHT, MIDNIGHT + DAY_MS).candles == 1440


def test_a_replay_counts_a_symbol_again_whose_minutes_were_repaired(store: Store) -> None:
    at = MIDNIGHT + 700 * MINUTE_MS
    replay_monitor = ReplayMonitor(store, Config(), ("X",), MIDNIGHT, END, 60.0, at)
    try:
        wait(lambda: replay_monitor.settled and replay_monitor.snapshot().state == "paused")
        assert replay_monitor.bars("X", 300, 10)["close"][-1] == store.read("X", 0, at)["close"][-1]
        low = at - 30 * MINUTE_MS
        store.put("X", other(store.read("X", low, at)), Source.REST).result()
        scratch = load_pipeline(store, Config(), "X", at).timeframe_states()
        wait(
            lambda: (
                [t.values for t in replay_monitor.snapshot().symbols[0].timeframes]
                == [s.values for s in scratch]
            )
        )
        assert replay_monitor.snapshot().symbols[0].price == store.read("X", 0, at)["close"][-1]
        fills(store)
        scratch = load_pipeline(store, Config(), "X", at).timeframe_states()
        wait(
            lambda: (
                [t.values for t in replay_monitor.snapshot().symbols[0].timeframes]
                == [s.values for s in scratch]
            )
        )
    finally:
        replay_monitor.close()


def test_an_attached_client_asks_again_when_minutes_were_repaired(tmp_path: Path) -> None:
    monitor = FakeMonitor(3)
    server = AttachServer(monitor, tmp_path / "socket", "a feeder")
    attached = AttachedMonitor(tmp_path / "socket")
    try:
        attached.bars("BTCUSDT", 300, 50)
        changed = monitor.change_bars("BTCUSDT", 300)
        monitor.change("BTCUSDT", stored=(1, 5_000))  # no minute has closed
        wait(lambda: attached.snapshot().symbols[0].stored == (1, 5_000))
        wait(lambda: bool(attached.bars("BTCUSDT", 300, 50)["close"][-1] == changed))
    finally:
        attached.close()
        server.close()


@pytest.mark.parametrize("key", ["2", "3", "4"])
async def test_every_screen_asks_again_when_minutes_were_repaired(key: str) -> None:
    monitor = FakeMonitor(3)
    app = FeederApp(monitor, UiSettings(refresh_hz=0.01), title="test")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(key)
        await settled(pilot)
        asks = {"2": "bars BTCUSDT", "3": "profile BTCUSDT", "4": "coverage BTCUSDT"}[key]

        def asked() -> int:
            return sum(call.startswith(asks) for call in monitor.calls)

        before = asked()
        assert before
        app.tick()
        await settled(pilot)
        assert asked() == before
        monitor.change("BTCUSDT", stored=(1, 5_000))
        app.tick()
        await settled(pilot)
        assert asked() > before


def wait(what: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


async def test_a_running_engine_shows_what_its_messages_say_after_a_repair_and_a_new_tick_size(
    tmp_path: Path,
) -> None:
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON, rate=120.0)) as exchange:
        config = configured(exchange, ["BTCUSDT"])
        async with feeding(config, tmp_path / "store") as (engine, sink):
            await until(lambda: len(sink.minutes("BTCUSDT")) >= 3, 60)
            monitor, one = monitor_of(engine), engine.tracked["BTCUSDT"]
            first = monitor.bars("BTCUSDT", 3600, 5)
            newest = one.last.open_time + MINUTE_MS
            shown = monitor.newest.symbols[0].stored
            hour = newest // 3_600_000 * 3_600_000
            changed = other(engine.store.read("BTCUSDT", hour - MINUTE_MS, hour))
            await asyncio.wrap_future(engine.store.put("BTCUSDT", changed, Source.ARCHIVE_MONTH))
            await engine._rebuild("BTCUSDT", hour - MINUTE_MS)
            bars = monitor.bars("BTCUSDT", 3600, 5)
            assert bars["close"][bars["open_time"] == hour - 3_600_000] == changed["close"]
            assert not np.array_equal(bars, first)
            # The listings are read again, and the tick size is far larger than it was.
            assert one.info is not None
            one.info = dataclasses.replace(one.info, tick_size=one.info.tick_size * 100_000)
            monitor = monitor_of(engine)
            assert monitor.newest.symbols[0].stored != shown
            view, message = monitor.profile("BTCUSDT"), one.message
            assert view is not None
            assert message is not None
            assert message.profile is not None
            assert view.increment == message.profile.increment
            if view.candles == message.profile.candles:
                assert (view.poc, view.vah, view.val) == (
                    message.profile.poc, message.profile.vah, message.profile.val,
                )  # fmt: skip
            coarse = profile_settings(config, "BTCUSDT", one.info.tick_size)
            rows = engine.store.read("BTCUSDT", NOON // DAY_MS * DAY_MS, NOON)
            assert coarse is not None
            assert profile_of(rows, coarse).increment > view.increment
