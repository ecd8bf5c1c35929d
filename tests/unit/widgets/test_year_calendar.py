"""A year of days, the evidence of a day, and a minute's history, as they are painted."""

from __future__ import annotations

import pytest
from fake_monitor import NOON, FakeMonitor, day_of
from rich.style import Style

from tui_feeder.day_evidence import DayState
from tui_feeder.monitor import DAY_MS, MINUTE_MS
from tui_feeder.widgets.day_sheet import day_lines, minute_lines
from tui_feeder.widgets.palette import GLYPHS, Palette, Role
from tui_feeder.widgets.year_calendar import LINES, first_day, paint_calendar, year_of

PLAIN = Palette({}, Style.null(), GLYPHS["ascii"], colors=False)
TODAY = NOON - NOON % DAY_MS


def painted(year: int, cursor: int, width: int, back: int = 0) -> list[str]:
    start = first_day(year)
    days = {day: day_of(day, (TODAY - day) // DAY_MS) for day in range(start, TODAY + 1, DAY_MS)}
    return [strip.text for strip in paint_calendar("BTCUSDT", year, days, cursor, width, PLAIN)]


@pytest.mark.parametrize("width", [30, 45, 58, 80, 113, 200])
@pytest.mark.parametrize("year", [2018, 2024, 2025, 2026])
def test_every_line_has_the_width_and_the_cursor_is_in_sight(width: int, year: int) -> None:
    start = first_day(year)
    for cursor in (start, start + 100 * DAY_MS, first_day(year + 1) - DAY_MS):
        strips = paint_calendar("BTCUSDT", year, {}, cursor, width, PLAIN)
        assert len(strips) == LINES
        assert {strip.cell_length for strip in strips} == {width}
        reverse = [s for strip in strips for s in strip if s.style is not None and s.style.reverse]
        assert len(reverse) == 1


def test_a_day_stands_in_its_week_and_weekday_with_a_sign_of_its_own() -> None:
    lines = painted(2026, TODAY, 80)
    assert lines[0].startswith("-- BTCUSDT 2026 26 proved, 5 live only, 2 corrected, 1 lacking ")
    assert lines[1].startswith("     Jan Feb Mar")
    # 2026-01-01 is a Thursday, 2026-02-03 a Tuesday.
    assert (lines[5][5], lines[4][5]) == ("#", " ")
    assert lines[3][10] == ":"
    assert [line.count("c") for line in lines[2:9]] == [0, 0, 0, 0, 2, 0, 0]
    assert sum(line.count("!") for line in lines[2:9]) == 1
    signs = lines[9]
    for sign, word in (
        ("#", "proved"),
        (":", "live only"),
        ("c", "corrected"),
        ("!", "lacking"),
        ("?", "unknown"),
    ):
        assert f"{sign} {word}" in signs


def test_days_of_a_leap_year_are_all_there() -> None:
    start = first_day(2024)
    days = {day: day_of(day, 100) for day in range(start, first_day(2025), DAY_MS)}
    lines = [strip.text for strip in paint_calendar("X", 2024, days, start, 80, PLAIN)][2:9]
    assert sum(line.count("#") for line in lines) == 366
    assert year_of(first_day(2025) - 1) == 2024


def test_a_day_names_its_state_and_what_is_wrong_with_it() -> None:
    view = day_of(TODAY - 4 * DAY_MS, 4)
    lines = [
        "".join(text for text, _ in line)
        for line in day_lines(view.day, view, {"REST": 9}, {"partition": "ab" * 32}, 2, PLAIN)
    ]
    assert "2026-01-30 Fri corrected" in lines[0]
    assert lines[2] == "  published 1438 within 60 s of their end, 1436 stood, 2 corrected, 2 late"
    assert lines[3] == "  trade ids 1437 join the next minute's, 2 exact since"
    assert lines[4] == "  sources   9 REST"
    assert lines[5] == "  digests   partition abababab"
    warned = {
        text
        for line in day_lines(view.day, view, {}, {}, 0, PLAIN)
        for text, role in line
        if role is Role.WARN
    }
    assert {", 2 corrected", ", 2 late"} <= warned
    assert "not known yet" in "".join(text for text, _ in day_lines(view.day, None, {}, {}, 0, PLAIN)[0])


@pytest.mark.parametrize("width", [80, 120])
def test_a_minute_lists_every_value_it_had(width: int) -> None:
    monitor = FakeMonitor(2)
    minute = next(at for at in range(TODAY, NOON, MINUTE_MS) if at // MINUTE_MS % 5 == 2)
    found = minute_lines(minute, monitor.minute("BTCUSDT", minute), 2, width, PLAIN)
    lines = ["".join(text for text, _ in line) for line in found]
    assert all(len(line) <= width for line in lines)
    assert "published live, corrected since" in lines[0]
    assert "do not follow" in lines[1]
    assert [line.split()[0] for line in lines[3:]] == ["stream", "rest"]
    assert "it stands" in lines[4]
    assert lines[3].split()[-2:] == ["12.5", "41"]
    assert DayState.CORRECTED == "corrected"
