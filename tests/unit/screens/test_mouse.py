"""The mouse: rows, headings, tabs, lists, charts, the wheel; and that it can be left to the terminal."""

from __future__ import annotations

import pytest
from fake_monitor import FakeMonitor, with_troubles
from screens import app_of, mouse, overview, settled
from textual.geometry import Offset

from tui_feeder.app import FeederApp
from tui_feeder.monitor import AlertView
from tui_feeder.screens.chart import ChartScreen
from tui_feeder.screens.gaps import GapsScreen
from tui_feeder.screens.log import LogScreen
from tui_feeder.screens.market_map import MapScreen
from tui_feeder.screens.mouse import key_at, screen_about
from tui_feeder.widgets.palette import Role


def place_of(lines: list[str], text: str, right: int = 0, below: int = 0) -> Offset:
    """Where a text stands, or so many cells beside it."""
    y = next(y for y, line in enumerate(lines) if text in line)
    return Offset(lines[y].index(text) + right, y + below)


async def test_a_press_selects_a_row_and_a_heading_sorts() -> None:
    app = app_of(FakeMonitor(20))
    async with app.run_test(size=(120, 40)) as pilot:
        lines = await settled(pilot)
        lines = await mouse(pilot, "press", place_of(lines, "SOLUSDT"))
        assert app.grid.selected == "SOLUSDT"
        assert "SOLUSDT 1h" in "\n".join(lines)
        lines = await mouse(pilot, "press", place_of(lines, "24h%"))
        assert [key.text for key in app.grid.sort] == ["24h"]
        assert "▾24h%" in lines[1]
        lines = await mouse(pilot, "press", place_of(lines, "24h%"))
        assert [key.text for key in app.grid.sort] == ["-24h"]
        await mouse(pilot, "press", (60, 23), button=3)
        assert app.grid.selected == "SOLUSDT"


async def test_a_press_on_the_last_line_does_what_the_key_does() -> None:
    app = app_of(FakeMonitor(20))
    async with app.run_test(size=(120, 40)) as pilot:
        lines = await settled(pilot)
        lines = await mouse(pilot, "press", place_of(lines, "Chart"))
        assert app.current_mode == "chart"
        lines = await mouse(pilot, "press", place_of(lines, "1Over", 0, 0))
        assert app.current_mode == "overview"
        before = app.timeframe
        await mouse(pilot, "press", place_of(lines, "[ ] tf", 2))
        assert app.timeframe > before
        await mouse(pilot, "press", place_of(lines, "[ ] tf"))
        assert app.timeframe == before


async def test_lists_are_chosen_from_and_closed_with_the_mouse() -> None:
    monitor = FakeMonitor(20)
    monitor.alerts = (AlertView(1, monitor.now, "rule", "price", "SOLUSDT", "crossed its POC", 141.0),)
    app = app_of(monitor)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("s", *"volume")
        lines = await settled(pilot)
        await mouse(pilot, "press", place_of(lines, "Volume, 24 hours"))
        assert overview(app).popup is None
        assert [key.text for key in app.grid.sort] == ["vol"]
        await pilot.press("s")
        lines = await settled(pilot)
        lines = await mouse(pilot, "down", (60, 6))
        lines = await mouse(pilot, "press", (2, 30))
        assert overview(app).popup is None
        lines = await mouse(pilot, "press", place_of(lines, "alerts 1!"))
        assert "crossed its POC" in "\n".join(lines)
        assert overview(app).popup is not None
        await mouse(pilot, "press", (2, 30))
        await mouse(pilot, "press", place_of(lines, "gaps 0"))
        assert app.current_mode == "gaps"


async def test_presses_and_drags_move_the_crosshair_and_the_wheel_zooms() -> None:
    app = app_of(FakeMonitor(20))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("2", "left", "left", "left")
        await settled(pilot)
        assert isinstance(app.screen, ChartScreen)
        chart = app.screen.chart
        there = chart.cursor
        x = chart._axis + chart._slots.column(there or 0)
        await pilot.press("end")
        await mouse(pilot, "press", (x, 12))
        assert chart.cursor == there
        lines = await mouse(pilot, "drag", (x - chart.pitch, 12))
        assert chart.cursor == (there or 0) - 3_600_000
        assert " O " in lines[2]
        await mouse(pilot, "drag", (x - 9, 12), button=0)
        assert chart.cursor == (there or 0) - 3_600_000
        pitch = chart.pitch
        await mouse(pilot, "up", (x, 12))
        assert chart.pitch == pitch + 1
        await mouse(pilot, "down", (x, 12))
        assert chart.pitch == pitch
        await mouse(pilot, "up", (x, 12), shift=True)
        assert not chart.following


async def test_the_chart_of_the_overview_opens_with_its_timeframe() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(200, 60)) as pilot:
        lines = await settled(pilot)
        await mouse(pilot, "press", place_of(lines, "BTCUSDT 15m", 3, 4))
        assert app.current_mode == "chart"
        assert app.timeframe == 900
        await pilot.press("1", "v", "down")
        lines = await settled(pilot)
        await mouse(pilot, "press", place_of(lines, "BTCUSDT 1h", 3, 4))
        assert (app.current_mode, app.timeframe, app.grid.selected) == ("chart", 3_600, "BTCUSDT")


async def test_tiles_gaps_days_and_lines_follow_the_mouse() -> None:
    app = app_of(with_troubles(FakeMonitor(40)))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("0")
        lines = await settled(pilot)
        assert isinstance(app.screen, MapScreen)
        at = place_of(lines, "BNB")
        await mouse(pilot, "press", at)
        assert app.grid.selected == "BNBUSDT"
        await mouse(pilot, "down", at)
        assert app.grid.selected != "BNBUSDT"
        await mouse(pilot, "press", at)
        await mouse(pilot, "press", at)
        assert (app.current_mode, app.grid.selected) == ("overview", "BNBUSDT")
        await pilot.press("4")
        lines = await settled(pilot)
        assert isinstance(app.screen, GapsScreen)
        await mouse(pilot, "press", place_of(lines, "13:41→13:44"))
        assert app.screen.popup is not None
        await pilot.press("escape")
        await mouse(pilot, "press", place_of(lines, "XRPUSDT"))
        assert app.grid.selected == "XRPUSDT"
        await pilot.press("6")
        lines = await settled(pilot)
        await mouse(pilot, "press", place_of(lines, "market 1 connected"))
        assert isinstance(app.screen, LogScreen)
        assert app.screen.popup_region is not None
        await mouse(pilot, "press", app.screen.popup_region.offset + Offset(2, 1))
        assert app.screen.popup is not None
        await mouse(pilot, "press", (2, 38))
        assert app.screen.popup is None
        await pilot.press("question_mark")
        lines = await settled(pilot)
        assert lines != await mouse(pilot, "down", (5, 5)) or "of" not in lines[-2]


@pytest.mark.parametrize("taken", [True, False])
async def test_the_mouse_can_be_left_to_the_terminal(taken: bool) -> None:
    app: FeederApp = app_of(FakeMonitor(20), mouse=taken)
    async with app.run_test(size=(80, 24)) as pilot:
        lines = await settled(pilot)
        await mouse(pilot, "press", place_of(lines, "SOLUSDT"))
        await mouse(pilot, "down", (5, 5))
        assert (app.grid.selected == "BTCUSDT") is not taken


def test_keys_and_groups_are_found_by_cell() -> None:
    keys = [(" /x", Role.WARN), (" 1", Role.ACCENT), (" Over ", Role.MUTED), (" [ ]", Role.ACCENT),
            (" tf", Role.MUTED)]  # fmt: skip
    line = "".join(text for text, _ in keys)
    found = [key_at(keys, x) for x in range(len(line) + 1)]
    assert found == [None] * 3 + ["1"] * 8 + ["["] * 2 + ["]"] * 2 + ["["] * 3 + [None]
    top = [("● LIVE", Role.OK), (" │ ", Role.FAINT), ("gaps 3!", Role.WARN), (" │ ", Role.FAINT),
           ("alerts 1!", Role.WARN)]  # fmt: skip
    text = "".join(part for part, _ in top)
    about = [screen_about(top, "│", x) for x in range(len(text) + 1)]
    assert about[0] is None
    assert about[text.index("gaps")] == "gaps"
    assert about[text.index("3!")] == "gaps"
    assert about[text.index("alerts") + 8] == "alerts"
    assert about[-1] is None
    assert screen_about([("1h", Role.MUTED), (" ▲312", Role.UP)], "│", 4) == "map"
