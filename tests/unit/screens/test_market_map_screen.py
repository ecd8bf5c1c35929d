"""The market map as a screen: keys, filter, selection, sizes."""

from __future__ import annotations

from fake_monitor import FakeMonitor, with_troubles
from screens import app_of, screen_text, settled

from tui_feeder.screens.market_map import MapScreen


async def test_every_symbol_has_a_tile_at_every_size() -> None:
    app = app_of(with_troubles(FakeMonitor(200)))
    async with app.run_test(size=(45, 20)) as pilot:
        await pilot.press("0")
        for size in ((45, 20), (80, 24), (120, 40), (200, 60)):
            await pilot.resize_terminal(*size)
            lines = await settled(pilot)
            assert isinstance(app.screen, MapScreen)
            assert "24h change" in lines[1]
            table = app.screen.table()
            assert len({row[0] for row in table.rows}) == 200
            volumes = [row[table.columns.index("volume_24h")] or 0 for row in table.rows]
            assert volumes == sorted(volumes, reverse=True)
        await pilot.resize_terminal(30, 6)
        assert "60 of 200 shown" in (await settled(pilot))[1]


async def test_the_first_line_explains_both_ways_at_80_columns() -> None:
    app = app_of(FakeMonitor(20))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("0")
        for expected in (
            ("▲▼ from 0.25, 2, 5 %",),
            ("more Buy", "more Sell"),
            ("live", "late", "stale/failed"),
        ):
            title = (await settled(pilot))[1]
            assert "root of 24h volume" in title
            assert all(text in title for text in expected), title
            await pilot.press("m")


async def test_arrows_select_and_enter_shows_the_symbol() -> None:
    app = app_of(FakeMonitor(20))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("0", "home")
        await settled(pilot)
        assert isinstance(app.screen, MapScreen)
        largest = app.screen.table().rows[0][0]
        assert app.grid.selected == largest
        await pilot.press("right")
        lines = await settled(pilot)
        second = app.grid.selected
        assert second not in (None, largest)
        assert lines[-2].startswith(f" {second} ")
        await pilot.press("tab", "shift+tab")
        assert app.grid.selected == second
        await pilot.press("enter")
        lines = await settled(pilot)
        assert app.current_mode == "overview"
        assert any(line.startswith(f"▸ {second}") for line in lines)


async def test_m_colours_by_something_else() -> None:
    app = app_of(with_troubles(FakeMonitor(20)))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("0", "m")
        assert "trend alignment" in (await settled(pilot))[1]
        await pilot.press("m")
        lines = await settled(pilot)
        assert "freshness" in lines[1]
        assert any("late!" in line for line in lines[2:-2])
        await pilot.press("m")
        assert "24h change" in (await settled(pilot))[1]


async def test_the_filter_of_the_scanner_holds_on_the_map() -> None:
    app = app_of(FakeMonitor(20))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("0", "slash", *"name~^(btc|eth)", "enter")
        lines = await settled(pilot)
        assert isinstance(app.screen, MapScreen)
        assert {row[0] for row in app.screen.table().rows} == {"BTCUSDT", "ETHUSDT"}
        assert "2/20 sym" in lines[0]
        await pilot.press("slash", *" name~none", "enter")
        assert "no symbol passes" in "\n".join(await settled(pilot))
        await pilot.press("escape")
        await settled(pilot)
        assert len(app.screen.table().rows) == 20


async def test_a_changed_value_is_drawn_and_nothing_else() -> None:
    monitor = FakeMonitor(40)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("0")
        await settled(pilot)
        assert isinstance(app.screen, MapScreen)
        before = screen_text(app)
        largest = str(app.screen.table().rows[0][0])
        monitor.change(largest, change_24h=44.4)
        app.screen._painted = None
        app.tick()
        await settled(pilot)
        after = screen_text(app)
        assert [y for y, (a, b) in enumerate(zip(before, after, strict=True)) if a != b and y > 1] == [3]
        assert "+44.4" in after[3]


async def test_a_map_without_symbols_says_so() -> None:
    monitor = FakeMonitor(3)
    monitor.views = {}
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("0", "right", "enter", "home")
        assert "no symbol yet" in "\n".join(await settled(pilot))
