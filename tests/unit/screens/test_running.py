"""How the screen begins, ticks and ends."""

from __future__ import annotations

import threading

import pytest
from fake_monitor import FakeMonitor
from screens import app_of, settled

from tui_feeder.app import ExitReason


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [("theme", "neon", "feeder-dark"), ("symbol_set", "emoji", "braille"), ("colors", "17", "truecolor")],
)
def test_a_setting_that_does_not_exist_is_refused_with_what_does(
    setting: str, value: str, named: str
) -> None:
    with pytest.raises(ValueError, match=rf"unknown .*'{value}'; there are: .*{named}"):
        app_of(FakeMonitor(1), **{setting: value})


async def test_a_stop_may_be_asked_for_from_another_thread() -> None:
    app = app_of(FakeMonitor(1))
    async with app.run_test(size=(80, 24)) as pilot:
        thread = threading.Thread(target=app.request_stop)
        thread.start()
        thread.join()
        await pilot.pause()
    assert app.return_value == ExitReason.STOP


async def test_a_stop_asked_for_before_the_start_is_not_lost() -> None:
    app = app_of(FakeMonitor(1))
    app.request_stop()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
    assert app.return_value == ExitReason.STOP


async def test_a_terminal_that_is_behind_costs_no_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = FakeMonitor(3)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        pulled = monitor.sequence
        monkeypatch.setattr("tui_feeder.app.write_backlog", lambda app: 4)
        app.tick()
        monkeypatch.setattr("tui_feeder.app.write_backlog", lambda app: 0)
        app.tick()  # the rate is halved: the tick after is left out too
        assert monitor.sequence == pulled
        assert app.ticks_skipped == 1
        app.tick()
        assert monitor.sequence == pulled + 1


async def test_a_terminal_without_the_focus_is_drawn_once_a_second() -> None:
    monitor = FakeMonitor(3)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.hz = 4.0
        app.app_focus = False
        pulled = monitor.sequence
        for _ in range(12):
            app.tick()
        assert monitor.sequence == pulled + 3


async def test_q_quits_from_every_screen() -> None:
    for keys in ([], ["2"], ["3"], ["4"], ["5"], ["6"], ["question_mark"]):
        app = app_of(FakeMonitor(3))
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press(*keys, "q", "q")
        assert app.return_value == ExitReason.QUIT
        assert app.return_code == 0


async def test_ctrl_c_quits_when_pressed_twice() -> None:
    app = app_of(FakeMonitor(3))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+c")
        assert "press ctrl+c again" in (await settled(pilot))[-1]
        assert app.return_value is None
        await pilot.press("ctrl+c")
    assert app.return_value == ExitReason.QUIT


async def test_freeze_holds_the_picture_and_says_so() -> None:
    monitor = FakeMonitor(3)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f")
        monitor.change("BTCUSDT", price=1.0)
        app.tick()
        lines = await settled(pilot)
        assert "FROZEN" in lines[0]
        assert "60123.40" in lines[2]
        await pilot.press("f")
        lines = await settled(pilot)
        assert "FROZEN" not in lines[0]
        assert "1.00" in lines[2]
