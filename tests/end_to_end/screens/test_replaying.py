"""Replay on the screen: what is shown at a moment is what a live engine had at it, and nothing later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from commanding import command
from msgspec.structs import replace
from samples import MIDNIGHT, walk
from screens import settled

from tui_feeder.app import FeederApp, UiSettings
from tui_feeder.config import Config, load
from tui_feeder.configuration.rule_editing import checked_rule
from tui_feeder.engine.analytics.message import encode
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import ConfiguredValue, MinuteState
from tui_feeder.replay.app import ReplayApp
from tui_feeder.replay.clock import ReplayClock
from tui_feeder.replay.monitor import ReplayMonitor
from tui_feeder.screens.base import bindings_of

HOUR = 60 * MINUTE_MS
MINUTES = 3 * 1_440
END = MIDNIGHT + MINUTES * MINUTE_MS
HOLE = (MIDNIGHT + 26 * HOUR, MIDNIGHT + 26 * HOUR + 7 * MINUTE_MS)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of two symbols; the second has a hole in it and begins later."""
    path = tmp_path_factory.mktemp("replaying") / "store"
    rows = walk(MINUTES - 300, seed=2, start=MIDNIGHT + 300 * MINUTE_MS)
    rows = rows[(rows["open_time"] < HOLE[0]) | (rows["open_time"] >= HOLE[1])]
    store = Store(path, exchange="test")
    for symbol, some in (("AUSDT", walk(MINUTES)), ("BUSDT", rows)):
        store.put(symbol, some, Source.ARCHIVE_DAY).result()
    store.close()
    return path


@contextmanager
def player_of(
    path: Path, *symbols: str, config: Config | None = None, speed: float = 60.0, at: int | None = None
) -> Iterator[ReplayMonitor]:
    store = Store(path, read_only=True)
    replay_monitor = ReplayMonitor(
        store, config or Config(), symbols or ("AUSDT", "BUSDT"), MIDNIGHT, END, speed, at
    )
    try:
        until(lambda: replay_monitor.settled and replay_monitor.snapshot().state != "seeking")
        yield replay_monitor
    finally:
        replay_monitor.close()
        store.close()


def until(happened: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def go(replay_monitor: ReplayMonitor, moment: int) -> None:
    replay_monitor.seek(moment)
    until(lambda: replay_monitor.settled and replay_monitor.snapshot().exchange_time == moment)


# --- the clock -----------------------------------------------------------------------------------


def test_the_clock_stands_goes_jumps_and_stops_at_its_ends() -> None:
    real = [100.0]
    clock = ReplayClock(1_000, 500_000, 60.0, lambda: real[0])
    real[0] += 5
    assert (clock.moment, clock.playing) == (1_000, False)
    clock.play(True)
    real[0] += 2
    assert clock.moment == 121_000
    clock.faster(1)
    assert (clock.moment, clock.speed) == (121_000, 120.0)
    real[0] += 1
    assert clock.moment == 241_000
    clock.go(61_000)
    real[0] += 0.5
    assert (clock.moment, clock.playing) == (121_000, True)
    clock.play(False)
    real[0] += 60
    assert clock.moment == 121_000
    clock.go(-5)
    assert clock.moment == 1_000
    clock.play(True)
    real[0] += 1_000
    assert (clock.moment, clock.playing) == (500_000, False)
    clock.go(400_000)
    assert clock.playing


def test_the_speed_has_a_least_and_a_most_and_may_begin_between() -> None:
    clock = ReplayClock(0, 1_000, 42.0, lambda: 0.0)
    clock.faster(-1)
    assert clock.speed == 30.0
    clock.faster(-100)
    assert clock.speed == 1.0
    clock.faster(100)
    assert clock.speed == 3_600.0


# --- the numbers ---------------------------------------------------------------------------------


def test_messages_at_a_paused_moment_are_byte_equal_to_those_of_the_command(path: Path) -> None:
    told = command("replay", "--storage", path, "--from", "2026-01-02", cwd=path.parent)
    assert told.code == 0, told.err
    lines = told.out.encode().splitlines()
    by_close: dict[int, list[bytes]] = {}
    for line in lines:
        by_close.setdefault(int(line.split(b'"timestamp":')[1].split(b",")[0]) + 1, []).append(line)
    day = MIDNIGHT + DAY_MS
    # Counted on, loaded far ahead, loaded back, back by one minute, in a hole of one symbol, the very end.
    jumps = (5, 65, 900, 130, 129, 1_500, 2 * 1_440)
    with player_of(path, at=day) as replay_monitor:
        for minutes in jumps:
            go(replay_monitor, day + minutes * MINUTE_MS)
            made = [encode(message) for message in replay_monitor.messages()]
            assert made == by_close[day + minutes * MINUTE_MS], minutes
        go(replay_monitor, HOLE[1])
        assert len(by_close[HOLE[1]]) == 1
        assert encode(replay_monitor.messages()[0]) == by_close[HOLE[1]][0]
        assert replay_monitor.messages()[1].timestamp == HOLE[0] - 1


def test_it_plays_through_every_minute_and_stops_at_the_end(path: Path) -> None:
    with player_of(path, "AUSDT", speed=3_600.0, at=END - 90 * MINUTE_MS) as replay_monitor:
        first = replay_monitor.snapshot()
        assert (first.state, first.exchange_time) == ("paused", END - 90 * MINUTE_MS)
        replay_monitor.play(True)
        until(lambda: replay_monitor.snapshot().state == "replay")
        until(
            lambda: (
                replay_monitor.snapshot().exchange_time == END and replay_monitor.snapshot().state == "paused"
            )
        )
        (view,) = replay_monitor.snapshot().symbols
        assert view.messages == 90
        assert view.last_closed == END - MINUTE_MS
        (message,) = replay_monitor.messages()
        replay_monitor.seek_by(-HOUR)
        until(lambda: replay_monitor.settled)
        assert replay_monitor.clock.playing  # it goes on from there
        replay_monitor.play(False)
        go(replay_monitor, END)
        assert encode(replay_monitor.messages()[0]) == encode(message)


def test_a_clock_that_is_too_fast_waits_for_the_numbers(path: Path) -> None:
    with player_of(path, speed=10_000_000.0, at=MIDNIGHT + DAY_MS) as replay_monitor:
        replay_monitor.play(True)
        until(lambda: replay_monitor.snapshot().exchange_time == END)
        a, b = replay_monitor.snapshot().symbols
        assert a.messages == 2 * 1_440
        assert b.messages == 2 * 1_440 - 7


# --- what is shown -------------------------------------------------------------------------------


def test_nothing_after_the_moment_is_shown(path: Path) -> None:
    candles = walk(MINUTES)
    with player_of(path) as replay_monitor:
        for moment in (END, MIDNIGHT + 25 * HOUR + 17 * MINUTE_MS, MIDNIGHT + 30 * HOUR):
            go(replay_monitor, moment)
            for timeframe in (60, 3_600):
                bars = replay_monitor.bars("AUSDT", timeframe, 50)
                lines = replay_monitor.ema_lines("AUSDT", timeframe, 50)
                frame = timeframe * 1_000
                assert int(bars["open_time"][-1]) == moment // frame * frame - frame
                assert [len(line) for line in lines] == [len(bars)] * 2
                later = replay_monitor.bars("AUSDT", timeframe, 50, end=moment + 10 * HOUR)
                assert np.array_equal(later, bars)
            view = replay_monitor.snapshot().symbols[0]
            assert view.price == candles["close"][(moment - MIDNIGHT) // MINUTE_MS - 1]
            fast = replay_monitor.ema_lines("AUSDT", 3_600, 50)[0][-1]
            hourly = next(frame for frame in view.timeframes if frame.timeframe == 3_600)
            assert hourly.values[0] is not None
            assert fast == pytest.approx(hourly.values[0], rel=1e-9)
            profile = replay_monitor.profile("AUSDT")
            assert profile is not None
            assert profile.last_minute == moment - MINUTE_MS
            assert (profile.poc, profile.vah) == (view.poc, view.vah)
            states = replay_monitor.coverage("AUSDT", moment - HOUR, moment + HOUR, 120)
            assert set(states[:60]) <= {MinuteState.STORED}
            assert set(states[60:]) == {MinuteState.OUTSIDE}
            assert replay_monitor.sources("AUSDT", moment - HOUR, moment + HOUR) == {"daily archive": 60}
            open_bar = replay_monitor.open_bar("AUSDT", 3_600)
            assert len(open_bar) == bool(moment % HOUR)
            day = candles[max(0, (moment - MIDNIGHT) // MINUTE_MS - 1_440) : (moment - MIDNIGHT) // MINUTE_MS]
            assert (view.high_24h, view.low_24h) == (day["high"].max(), day["low"].min())
            since = [frame.trend_since for frame in view.timeframes if frame.trend is not None]
            assert since
            assert all(time is not None and time <= moment for time in since)
            assert view.relative_volume is None  # three days are too few to know what is usual


def test_a_hole_is_a_gap_once_the_moment_has_come_to_it(path: Path) -> None:
    with player_of(path, at=HOLE[0]) as replay_monitor:
        assert replay_monitor.snapshot().gaps == ()
        go(replay_monitor, HOLE[0] + 2 * MINUTE_MS)
        (gap,) = replay_monitor.snapshot().gaps
        assert (gap.symbol, gap.start, gap.end) == ("BUSDT", HOLE[0], HOLE[0] + 2 * MINUTE_MS)
        go(replay_monitor, HOLE[0] + 4 * MINUTE_MS)
        late = replay_monitor.snapshot().symbols[1]
        assert late.state == "stale"
        assert "no minute is stored for 240 s" in late.reason
        go(replay_monitor, HOLE[1] + MINUTE_MS)
        assert replay_monitor.snapshot().symbols[1].state == "live"
        states = replay_monitor.coverage("BUSDT", HOLE[0] - MINUTE_MS, HOLE[1], 8)
        assert states == (MinuteState.STORED, *[MinuteState.MISSING] * 7)
        replay_monitor.retry_gaps()
        until(lambda: any("fetches nothing" in event.text for event in replay_monitor.snapshot().events))


def test_symbols_come_and_go_at_the_moment_it_stands(path: Path) -> None:
    with player_of(path, "AUSDT", at=MIDNIGHT + 40 * HOUR) as replay_monitor:
        assert replay_monitor.listed() == ("AUSDT", "BUSDT")
        replay_monitor.add_symbol("BUSDT")
        until(lambda: len(replay_monitor.snapshot().symbols) == 2)
        assert replay_monitor.snapshot().exchange_time == MIDNIGHT + 40 * HOUR
        assert [m.timestamp for m in replay_monitor.messages()] == [MIDNIGHT + 40 * HOUR - 1] * 2
        replay_monitor.drop_symbol("AUSDT")
        until(lambda: len(replay_monitor.snapshot().symbols) == 1)
        assert replay_monitor.snapshot().symbols[0].symbol == "BUSDT"


def test_alerts_are_shown_and_go_when_the_moment_goes_back(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    marker = tmp_path / "sent"
    file.write_text(
        f'[alerts]\ncommand = ["touch", "{marker}"]\n'
        '[alerts.rules.cross]\nkind = "price_cross"\nlevel = "poc"\ncooldown_seconds = 60\n'
    )
    config = load(file, environ={}, flags={}).config
    with player_of(path, "AUSDT", config=config, at=MIDNIGHT + DAY_MS) as replay_monitor:
        go(replay_monitor, MIDNIGHT + DAY_MS + 3 * HOUR)
        shown = replay_monitor.snapshot().alerts
        assert shown
        assert all(MIDNIGHT + DAY_MS < alert.at <= MIDNIGHT + DAY_MS + 3 * HOUR for alert in shown)
        replay_monitor.acknowledge()
        until(lambda: all(alert.acknowledged for alert in replay_monitor.snapshot().alerts))
        go(replay_monitor, MIDNIGHT + DAY_MS)
        assert replay_monitor.snapshot().alerts == ()
    assert not marker.exists()


def test_levels_of_past_days_are_known_at_the_moment_it_begins(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        "[alerts]\ncooldown_seconds = 0\n"
        '[alerts.rules.naked]\nkind = "naked_poc_touch"\n'
        '[alerts.rules.vwap]\nkind = "anchored_vwap_touch"\nanchor = "2026-01-01T06:00:00Z"\n'
    )
    config = load(file, environ={}, flags={}).config
    rows = walk(MINUTES)
    with player_of(path, "AUSDT", config=config, at=END - 2 * HOUR) as replay_monitor:
        naked = {level.price for level in replay_monitor.naked_pocs("AUSDT")}
        go(replay_monitor, END)
        alerts = replay_monitor.snapshot().alerts
        left = {level.price for level in replay_monitor.naked_pocs("AUSDT")}
        assert len([alert for alert in alerts if alert.kind == "naked_poc_touch"]) == len(naked - left)
        line = replay_monitor.anchored("AUSDT", MIDNIGHT + 6 * HOUR, 60)
        touched = [
            low <= vwap <= high
            for low, high, vwap in zip(rows["low"][-120:], rows["high"][-120:], line.vwap[-120:], strict=True)
        ]
        shown = [alert for alert in alerts if alert.kind == "anchored_vwap_touch"]
        assert bool(shown) == any(touched)
        footprint = replay_monitor.footprint("AUSDT", 3_600, 4, 30)
        assert footprint is not None
        assert len(footprint.bars) == 4


# --- the screen ----------------------------------------------------------------------------------


async def test_keys_pause_jump_and_change_the_speed(path: Path) -> None:
    with player_of(path, at=MIDNIGHT + 40 * HOUR) as replay_monitor:
        app = ReplayApp(replay_monitor, UiSettings(symbol_set="braille", colors="truecolor"))
        async with app.run_test(size=(120, 40)) as pilot:

            async def status(*texts: str) -> str:
                end = time.monotonic() + 30
                while True:
                    await pilot.pause(0.05)
                    line = (await settled(pilot))[0]
                    if all(text in line for text in texts):
                        return line
                    assert time.monotonic() < end, line

            line = await status("REPLAY paused 2026-01-02 16:00 60x", "16:00:00Z")
            assert "ws" not in line
            await pilot.press("comma")
            await status("REPLAY paused 2026-01-02 15:00")
            await pilot.press("full_stop", "full_stop")
            await status("REPLAY paused 2026-01-02 17:00")
            await pilot.press("less_than_sign")
            await status("REPLAY paused 2026-01-01 17:00")
            await pilot.press("greater_than_sign")
            await status("REPLAY paused 2026-01-02 17:00")
            await pilot.press("right_parenthesis")
            await status("120x")
            await pilot.press("left_parenthesis", "left_parenthesis", "left_parenthesis")
            await status(" 10x")
            await pilot.press("space")
            await status("● REPLAY 2026-01-02 17:00 10x")
            await pilot.press("space")
            await status("REPLAY paused")
            await pilot.press("2")
            lines = await settled(pilot)
            assert "AUSDT 1h" in "".join(lines)
            await pilot.press("question_mark")
            assert any("Space" in line and "pause or resume" in line for line in await settled(pilot))
            await pilot.press("escape", "q")
        assert app.return_value == "quit"


async def test_a_live_feeder_has_none_of_these_keys_and_no_screen_shares_them(path: Path) -> None:
    with player_of(path, "AUSDT", at=MIDNIGHT + 40 * HOUR) as replay_monitor:
        for app in (
            FeederApp(replay_monitor, UiSettings(), title="test"),
            ReplayApp(replay_monitor, UiSettings()),
        ):
            replays = isinstance(app, ReplayApp)
            async with app.run_test(size=(80, 24)) as pilot:
                for screen in "123456":
                    await pilot.press(screen)
                    bound = {binding.id: binding.key for binding in bindings_of(app.screen)}
                    assert ("app.play" in bound) is replays
                    assert len({key for keys in bound.values() for key in keys.split(",")}) >= len(bound)


async def test_a_replay_has_details_and_the_configuration_and_tells_why_it_changes_no_rule(
    path: Path,
) -> None:
    values = (ConfiguredValue("application.symbols", '["AUSDT"]', "default"),)
    keys = {"kind": "price_cross", "symbols": ("AUSDT",), "price": 1.0}
    with player_of(path, at=MIDNIGHT + 30 * HOUR, config=with_rule("line", keys)) as replay_monitor:
        looks = UiSettings(symbol_set="braille", colors="truecolor")
        app = ReplayApp(replay_monitor, looks, configuration=values)
        async with app.run_test(size=(104, 60)) as pilot:
            await pilot.press("enter")
            text = "\n".join(await settled(pilot))
            assert "q90" in text
            assert "rule       line: price crosses 1" in text
            await pilot.press("escape", "A")
            text = "\n".join(await settled(pilot))
            assert "a replay changes no rules of alerts: the feeder that writes the store does" in text
            assert "new alert" not in text
            assert (
                replay_monitor.delete_rule(app.snapshot.alert_rules.rules[0]).result(5).startswith("a replay")
            )
            await pilot.press("escape", "c")
            assert "application.symbols" in "\n".join(await settled(pilot))


def with_rule(name: str, keys: dict[str, object]) -> Config:
    usual = Config()
    return replace(usual, alerts=replace(usual.alerts, rules={name: checked_rule(usual, name, keys)}))
