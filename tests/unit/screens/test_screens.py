from __future__ import annotations

import pytest
from fake_monitor import NOON, FakeMonitor, with_troubles
from rich.cells import cell_len
from screens import app_of, overview, settled
from textual.binding import Binding
from textual.geometry import Region

from tui_feeder.monitor import Event
from tui_feeder.screens.base import bindings_of
from tui_feeder.widgets.panel import Panel


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (160, 45), (200, 60)])
async def test_overview_covers_the_whole_terminal_without_overlap(size: tuple[int, int]) -> None:
    app = app_of(with_troubles(FakeMonitor(20)))
    async with app.run_test(size=size) as pilot:
        lines = await settled(pilot)
        cells = [[0] * size[0] for _ in range(size[1])]
        for panel, region in overview(app).plan.items():
            assert isinstance(panel, Panel)
            assert len(panel.strips) == region.height
            for y, strip in enumerate(panel.strips):
                assert strip.cell_length == cell_len(strip.text) == region.width
                for x in range(region.x, region.right):
                    cells[region.y + y][x] += 1
        assert {count for row in cells for count in row} == {1}
        text = "\n".join(lines)
        for expected in (
            "● LIVE 20 sym",
            "14:03:22Z",
            "▸ BTCUSDT",
            "60123.40",
            "POC",
            "BTCUSDT 1h",
            "q quit",
        ):
            assert expected in text
        assert "! gap BTCUSDT 13:41→13:44" in text


async def test_rows_appear_when_the_symbols_come_after_the_start() -> None:
    monitor = FakeMonitor(9)
    views, monitor.views = monitor.views, {}
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "no symbol" in "\n".join(await settled(pilot))
        monitor.views = views
        app.tick()
        lines = await settled(pilot)
        assert [line[2:9] for line in lines[2:5]] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        assert overview(app).plan[overview(app).query_one("#column0", Panel)].height == 10


async def test_few_symbols_leave_the_rows_to_the_chart() -> None:
    heights = {}
    for count in (2, 40):
        app = app_of(FakeMonitor(count))
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            heights[count] = overview(app).query_one("#chart", Panel).size.height
    assert heights[2] == heights[40] + 7


async def test_a_terminal_that_is_too_small_says_what_it_needs_and_recovers() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(60, 20)) as pilot:
        text = "\n".join(await settled(pilot))
        assert "needed 80 x 24, here 60 x 20" in text
        assert "BTCUSDT" not in text
        await pilot.resize_terminal(80, 24)
        assert "▸ BTCUSDT" in "\n".join(await settled(pilot))
        await pilot.resize_terminal(79, 24)
        assert "here 79 x 24" in "\n".join(await settled(pilot))


async def test_only_cells_that_changed_are_repainted(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        dirty: list[tuple[str | None, Region]] = []
        monkeypatch.setattr(
            Panel, "refresh", lambda panel, *regions: dirty.extend((panel.id, r) for r in regions)
        )
        app.tick()
        assert dirty == []
        monitor.change("SOLUSDT", price=142.0)
        monitor.change("XRPUSDT", change_1m=9.9)
        app.tick()
        assert dirty == [("column1", Region(0, 3, 11, 1)), ("column2", Region(0, 5, 6, 1))]


async def test_of_a_change_only_its_line_is_another() -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        before = {panel.id: list(panel.strips) for panel in app.screen.query(Panel)}
        monitor.change("SOLUSDT", price=142.0)
        app.tick()
        await settled(pilot)
        drawn = [
            (panel.id, y)
            for panel in app.screen.query(Panel)
            for y, (old, new) in enumerate(zip(before[panel.id], panel.strips, strict=True))
            if list(old) != list(new)
        ]
        assert drawn == [("column1", 3)]


async def test_selection_moves_with_the_arrows_and_stays_with_its_symbol() -> None:
    monitor = FakeMonitor(40)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "down", "down")
        lines = await settled(pilot)
        assert lines[5].startswith("▸ BNBUSDT")
        assert "BNBUSDT 1h" in lines[11]
        await pilot.press("s")
        lines = await settled(pilot)
        assert any(line.startswith("▸ BNBUSDT") for line in lines)
        assert "SYMBOL▴" in lines[1]
        await pilot.press("s")
        lines = await settled(pilot)
        assert "PRICE▾" in lines[1]
        assert overview(app).grid.selected == "BNBUSDT"
        await pilot.press("end")
        assert overview(app).grid.selected == overview(app).grid.order[-1]
        await pilot.press("home", "pagedown")
        assert overview(app).grid.selected == overview(app).grid.order[8]


async def test_rows_change_places_only_every_two_seconds() -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.hz = 4.0
        await pilot.press("s", "s")  # by price
        order = overview(app).grid.order
        while overview(app).grid.order is order:  # until the next sort is just over
            app.tick()
        order = list(overview(app).grid.order)
        monitor.change(order[-1], price=1e9)
        for _ in range(7):
            app.tick()
            assert overview(app).grid.order == order
        app.tick()
        assert overview(app).grid.order[0] == order[-1]


async def test_filter_is_typed_applied_and_cleared() -> None:
    app = app_of(FakeMonitor(40))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"coin2q")
        lines = await settled(pilot)
        assert lines[-1].startswith(" /coin2q█")
        await pilot.press("backspace")
        lines = await settled(pilot)
        assert "10/40 sym" in lines[0]
        assert lines[2].startswith("▸ COIN20USDT")
        await pilot.press("left_square_bracket")
        assert "unterminated" in (await settled(pilot))[-1]
        await pilot.press("backspace", "enter")
        lines = await settled(pilot)
        assert lines[-1].startswith(" /coin2")
        assert "q quit" in lines[-1]
        await pilot.press("escape")
        assert "● LIVE 40 sym" in (await settled(pilot))[0]


async def test_brackets_change_the_timeframe_of_chart_and_distance() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("right_square_bracket")
        lines = await settled(pilot)
        assert "E21-89 4h" in lines[1]
        assert "BTCUSDT 4h" in lines[11]
        await pilot.press("right_square_bracket", *["left_square_bracket"] * 9)
        lines = await settled(pilot)
        assert "E21-89 1m" in lines[1]
        assert "BTCUSDT 1m" in lines[11]


async def test_zoom_shows_more_or_fewer_candles() -> None:
    monitor = FakeMonitor(1)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        asked = []
        for key in ("minus", "plus", "plus"):
            await pilot.press(key)
            await settled(pilot)
            calls = [call for call in monitor.calls if call.startswith("bars BTCUSDT 3600 ")]
            asked.append(int(calls[-1].split()[-1]))
        assert asked[0] > asked[1] > asked[2]


async def test_every_binding_has_an_id_and_a_tooltip_and_help_lists_it() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(80, 24)) as pilot:
        for key in "123456":
            await pilot.press(key)
            await settled(pilot)
            bindings = bindings_of(app.screen)
            await pilot.press("question_mark")
            text = "\n".join(await settled(pilot))
            for binding in bindings:
                assert isinstance(binding, Binding)
                assert binding.id
                assert binding.tooltip in text, binding
                assert (binding.key_display or binding.key) in text
                assert not {"ctrl+m", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+z"} & set(binding.key.split(","))
            await pilot.press("escape")
            assert "KEYS" not in "\n".join(await settled(pilot))


async def test_the_last_line_shows_only_keys_that_work() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(80, 24)) as pilot:
        for key, name in (("1", "overview"), ("4", "gaps"), ("6", "log")):
            await pilot.press(key)
            line = (await settled(pilot))[-1]
            assert app.current_mode == name
            assert "? help" in line
            assert "q quit" in line
            assert "faults" not in line  # this is no demo


@pytest.mark.parametrize("state", ["starting", "stopped", "failed"])
async def test_an_engine_that_does_not_run_is_shown_with_its_last_words(state: str) -> None:
    monitor = FakeMonitor(3)
    monitor.state = state
    monitor.events = (Event(NOON - 7_200_000, "error", None, "the store is full"),)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        lines = await settled(pilot)
        assert state.upper() in lines[0]
        if state != "starting":
            assert "the store is full" in lines[-2]


async def test_themes_take_turns_and_repaint_everything() -> None:
    app = app_of(FakeMonitor(3))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        colours = set()
        for _ in range(5):
            await pilot.press("t")
            await settled(pilot)
            segment = next(iter(overview(app).query_one("#column1", Panel).strips[1]))
            colours.add(str(segment.style))
        assert len(colours) >= 4


async def test_ascii_without_colours_is_all_ascii_and_plain() -> None:
    app = app_of(with_troubles(FakeMonitor(20)), symbol_set="ascii", colors="none")
    async with app.run_test(size=(120, 40)) as pilot:
        for key in (*"123456", "question_mark"):
            await pilot.press(key)
            assert "".join(await settled(pilot)).isascii()
            for panel in app.screen.query(Panel):
                for strip in panel.strips:
                    assert all(s.style is None or s.style.color is s.style.bgcolor is None for s in strip)
