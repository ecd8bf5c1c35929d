"""The calendar of screen 4: days, minutes, symbols, and the way to the gaps and back."""

from __future__ import annotations

import pytest
from examples import some_of
from fake_monitor import NOON, FakeMonitor
from screens import app_of, settled

from tui_feeder.monitor import DAY_MS, MINUTE_MS, MinuteState


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


@pytest.mark.parametrize(("size", "a_row"), [((120, 40), 60), ((160, 44), 120), ((200, 60), 60)])
async def test_the_minutes_of_the_day_fill_the_rows_below(size: tuple[int, int], a_row: int) -> None:
    monitor = FakeMonitor(2)
    asked: list[tuple[int, int, int]] = []
    cut = NOON // DAY_MS * DAY_MS + 3 * 60 * MINUTE_MS

    def coverage(symbol: str, start: int, end: int, cells: int) -> tuple[MinuteState, ...]:
        asked.append((start, end, cells))
        step = (end - start) // cells
        return tuple(
            MinuteState.MISSING if start + at * step == cut else MinuteState.STORED for at in range(cells)
        )

    monitor.coverage = coverage  # type: ignore[method-assign]
    app = app_of(monitor, symbol_set="ascii")
    async with app.run_test(size=size) as pilot:
        await pilot.press("4", "d")
        lines = await settled(pilot)
        first = next(at for at, line in enumerate(lines) if "minutes of the day" in line)
        rows = lines[first + 2 : -2]
        assert len(rows) * a_row in (720, 1_440)
        assert all(len(row.split()[1]) == a_row for row in rows)
        hours = 24 // len(rows)
        assert [row.split()[0] for row in rows] == [f"{at:02}:00" for at in range(0, 24, hours)]
        marks = [(y, row.index("!")) for y, row in enumerate(rows) if "!" in row]
        assert marks == [(3 // hours, 9 + 3 % hours * a_row // hours)]
        times = len(asked)
        app.tick()
        await pilot.press("left_square_bracket")
        assert (await settled(pilot))[first + 2 : -2] == rows  # the cursor has no sign of its own
        assert len(asked) == times
        await pilot.press("up")
        await settled(pilot)
        assert asked[-1][0] == NOON // DAY_MS * DAY_MS - DAY_MS


async def test_80x24_has_no_room_for_the_minutes_and_keeps_the_evidence() -> None:
    app = app_of(FakeMonitor(2))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "d")
        text = "\n".join(await settled(pilot))
        assert "minutes of the day" not in text
        assert "SOURCE" in text
