"""The calendar of screen 4: days, minutes, symbols, and the way to the gaps and back."""

from __future__ import annotations

import pytest
from examples import some_of
from fake_monitor import NOON, FakeMonitor
from screens import app_of, settled


@pytest.mark.parametrize("size", some_of(((80, 24), (45, 20), (120, 40), (200, 60))))
async def test_days_and_minutes_are_selected_and_described(size: tuple[int, int]) -> None:
    app = app_of(FakeMonitor(4))
    async with app.run_test(size=size) as pilot:
        await pilot.press("4", "d")
        lines = await settled(pilot)
        assert app.current_mode == "data"
        if size == (45, 20):  # a page that states the size needed
            return
        text = "\n".join(lines)
        assert "BTCUSDT 2026" in text
        assert "2026-02-03 Tue live only" in text
        assert "14:02-14:03 UTC" in text
        await pilot.press("up", "up", "up", "up")
        assert "2026-01-30 Fri corrected" in "\n".join(await settled(pilot))
        await pilot.press("left", "right", "left_square_bracket", "n")
        lines = await settled(pilot)
        assert any("21:40-21:41 UTC" in line for line in lines)
        await pilot.press("pageup")
        assert "BTCUSDT 2025" in "\n".join(await settled(pilot))
        await pilot.press("right_curly_bracket")
        assert "ETHUSDT 2025" in "\n".join(await settled(pilot))
        await pilot.press("d")
        assert "COVERAGE" in "\n".join(await settled(pilot))
        await pilot.press("d")
        await settled(pilot)
        assert app.current_mode == "data"


async def test_what_has_not_been_asked_yet_comes_with_the_next_frames_and_is_asked_once() -> None:
    monitor = FakeMonitor(2)
    app = app_of(monitor)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("4", "d", "pageup")
        for _ in range(12):
            app.tick()
            await settled(pilot)
        asked = [call for call in monitor.calls if call == "days BTCUSDT"]
        app.tick()
        await settled(pilot)
        assert len([call for call in monitor.calls if call == "days BTCUSDT"]) == len(asked) <= 12 + 2


async def test_the_year_is_exported_and_the_future_cannot_be_selected() -> None:
    app = app_of(FakeMonitor(2))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("4", "d", "down", "right")
        await settled(pilot)
        screen = app.screen
        assert screen.selected_text() == "BTCUSDT 2026-02-03 14:02 UTC"
        table = screen.table()
        assert table.columns[:2] == ("date", "state")
        assert table.rows[-1][:2] == ("2026-02-03", "live")
        assert NOON // 86_400_000 * 86_400_000 == 1_770_076_800_000
