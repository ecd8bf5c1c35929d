"""Rows that were empty: coverage day by day, the last hour of streams; which part of a list is in sight."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_monitor import DAY_MS, NOON, FakeMonitor, with_troubles
from rich.cells import cell_len
from screens import app_of, palette_of, settled, text_of

from tui_feeder.attach.server import _CELLS
from tui_feeder.monitor import MINUTE_MS, Event, GapView, MinuteState
from tui_feeder.widgets.coverage import legend
from tui_feeder.widgets.day_coverage import DayCoverage, day_cells, paint_days

TODAY = NOON // DAY_MS * DAY_MS


def gap(symbol: str, start: int, minutes: int = 1) -> GapView:
    return GapView(symbol, start, start + minutes * MINUTE_MS, minutes, "filling", 1, "REST", "", None)


class AskedMonitor(FakeMonitor):
    """Notes which ranges were asked for; every tenth day before today lacks its first hour."""

    def __init__(self) -> None:
        super().__init__(2)
        self.asked: list[tuple[int, int, int]] = []

    def coverage(self, symbol: str, start: int, end: int, cells: int) -> tuple[MinuteState, ...]:
        self.asked.append(((start - TODAY) // DAY_MS, (end - TODAY) // DAY_MS, cells))
        parts = cells * DAY_MS // (end - start)
        return tuple(
            MinuteState.MISSING
            if (TODAY - start) // DAY_MS - cell // parts in (10, 20, 30) and cell % parts == 0
            else MinuteState.STORED
            for cell in range(cells)
        )


@pytest.mark.parametrize("width", [80, 120, 160, 200, 300])
def test_days_are_in_order_the_newest_first_and_asked_for_in_pieces_that_a_feeder_answers(width: int) -> None:
    monitor = AskedMonitor()
    days = DayCoverage(monitor).days("BTCUSDT", TODAY, 45, width, 0, 0)
    assert [day for day, _ in days] == [TODAY - back * DAY_MS for back in range(45)]
    assert {len(states) for _, states in days} == {day_cells(width)}
    lacking = [(TODAY - day) // DAY_MS for day, states in days if MinuteState.MISSING in states]
    assert lacking == [10, 20, 30]
    assert all(states[0] is MinuteState.MISSING for _, states in days if MinuteState.MISSING in states)
    assert all(cells <= _CELLS for _, _, cells in monitor.asked)
    assert sum(end - start for start, end, _ in monitor.asked) == 45


def test_a_minute_that_closes_has_only_today_asked_for_again() -> None:
    monitor = AskedMonitor()
    days = DayCoverage(monitor)
    days.days("BTCUSDT", TODAY, 30, 120, "14:03", "same")
    monitor.asked.clear()
    days.days("BTCUSDT", TODAY, 30, 120, "14:03", "same")
    assert monitor.asked == []
    days.days("BTCUSDT", TODAY, 30, 120, "14:04", "same")
    assert [(start, end) for start, end, _ in monitor.asked] == [(0, 1)]
    monitor.asked.clear()
    days.days("BTCUSDT", TODAY, 30, 120, "14:04", "repaired")
    assert sum(end - start for start, end, _ in monitor.asked) == 29
    monitor.asked.clear()
    days.days("ETHUSDT", TODAY, 30, 120, "14:04", "repaired")
    assert sum(end - start for start, end, _ in monitor.asked) == 30


def test_days_that_are_not_answered_yet_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = AskedMonitor()
    days = DayCoverage(monitor)
    monkeypatch.setattr(monitor, "coverage", lambda *asked: (MinuteState.OUTSIDE,) * asked[3])
    assert MinuteState.STORED not in days.days("BTCUSDT", TODAY, 3, 80, 0, 0)[0][1]
    monkeypatch.undo()
    assert all(MinuteState.STORED in states for _, states in days.days("BTCUSDT", TODAY, 3, 80, 0, 0))


@pytest.mark.parametrize("width", [80, 200])
def test_hours_stand_above_their_cells(width: int) -> None:
    states = [MinuteState.STORED] * day_cells(width)
    states[day_cells(width) // 4 * 3] = MinuteState.MISSING  # at 18:00
    lines = text_of(paint_days("BTCUSDT", [(TODAY, states)], width, 5, palette_of("ascii")))
    assert {cell_len(line) for line in lines} == {width}
    assert lines[1].index("18:00") == lines[2].index("!")


@pytest.mark.parametrize("place", ["", "1-10 of 21", "591-600 of 600"])
def test_the_legend_leaves_out_whole_words_before_the_place_of_the_list(place: str) -> None:
    (line,) = text_of([legend(80, palette_of("ascii"), place)])
    assert cell_len(line) == 80
    assert line.rstrip().endswith(place or "not wanted")
    assert "/ none  " in line
    assert "~" not in line


async def test_the_gaps_screen_shows_the_selected_symbol_day_by_day_where_there_is_room() -> None:
    monitor = FakeMonitor(3)
    app = app_of(monitor)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("4")
        lines = await settled(pilot)
        at = next(y for y, line in enumerate(lines) if "BTCUSDT day by day" in line)
        assert [line[2:7] for line in lines[at + 2 : at + 5]] == ["02-03", "02-02", "02-01"]
        await pilot.press("right_curly_bracket")
        assert any("ETHUSDT day by day" in line for line in await settled(pilot))
        monitor.gaps = tuple(gap("BTCUSDT", TODAY + n * 5 * MINUTE_MS) for n in range(50))
        app.tick()
        lines = await settled(pilot)
        assert not any("day by day" in line for line in lines)
        assert sum("REST" in line for line in lines) == 32  # the list and the line on the selected gap
        assert lines[-2].endswith(" gaps 1-31 of 50 ")


async def test_the_last_hour_of_the_streams_uses_the_rows_that_are_left() -> None:
    monitor = FakeMonitor(2)
    for size, rows in (((80, 24), 1), ((120, 40), 5), ((200, 60), 6)):
        app = app_of(monitor)
        async with app.run_test(size=size) as pilot:
            await pilot.press("5")
            lines = await settled(pilot)
            at = next(y for y, line in enumerate(lines) if line.startswith("  frames/s "))
            below = next(y for y, line in enumerate(lines) if line.startswith("  latency "))
            assert below - at >= rows
            assert "51.0 to 69.0" in lines[at]
            assert "32 to 48 ms" in lines[below]
    monitor.stream_minutes = monitor.stream_minutes[:0]
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        assert any("the first minute is being measured" in line for line in await settled(pilot))


async def test_every_list_that_scrolls_says_which_part_is_in_sight() -> None:
    monitor = with_troubles(FakeMonitor(100))
    monitor.events = tuple(Event(NOON + n, "info", None, f"line {n}") for n in range(80))
    for name in list(monitor.views)[40:50]:
        monitor.change(name, progress=monitor.views["BNBUSDT"].progress)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        lines = await settled(pilot)
        shown = sum("USDT" in line[2:14] and line[0] != "─" for line in lines[2:-2])
        assert lines[-2].endswith(f" 1-{shown} of 100 ")
        await pilot.press("end")
        assert (await settled(pilot))[-2].endswith(f" {101 - shown}-100 of 100 ")
        await pilot.press("slash", "c", "o", "i", "n", "9", "enter")
        assert (await settled(pilot))[-2].endswith(f" 1-{shown} of 10 ")
        await pilot.press("escape", "home", "4")
        assert any(line.endswith(" 1-10 of 100 ") for line in await settled(pilot))
        await pilot.press("5")
        lines = await settled(pilot)
        assert lines[-2].strip().startswith("arrows scroll")
        total = int(lines[-2].split()[-1])
        assert lines[-2].endswith(f" 1-21 of {total} ")
        for _ in range(3):
            await pilot.press("pagedown")
        lines = await settled(pilot)
        assert lines[-2].endswith(f" {total - 20}-{total} of {total} ")
        assert "drawn" in lines[-3]
        await pilot.press("6")
        assert (await settled(pilot))[-2].endswith(" 60-80 of 80 ")
        await pilot.press("home")
        assert (await settled(pilot))[-2].endswith(" 1-21 of 80 ")


async def test_names_with_their_market_are_whole_in_coverage_and_gaps() -> None:
    monitor = FakeMonitor(2)
    name = "coinm:BTCUSD_PERP"
    monitor.views[name] = replace(monitor.views["BTCUSDT"], symbol=name)
    monitor.gaps = (gap(name, TODAY),)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        assert sum(f"  {name} " in line for line in await settled(pilot)) >= 2
