"""The last line: which keys it has at which size, and that nothing over a screen takes them away."""

from __future__ import annotations

import re

import pytest
from examples import some_of
from fake_monitor import FakeFaults, FakeMonitor, clustered
from screens import app_of, overview, settled

from tui_feeder.app import FeederApp, UiSettings
from tui_feeder.screens.base import keys_of
from tui_feeder.screens.mouse import key_at
from tui_feeder.widgets.lines import key_line


async def test_what_a_trader_needs_is_seen_at_80_columns() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(80, 24)) as pilot:
        for key, shown in (
            ("1", ["0Map", "s sort", "/ filter", "W lists"]),
            ("2", ["0Map", "← → bar", "g time", "C vs"]),
            ("3", ["0Map", "{ } day"]),
            ("4", ["0Map", "r retry", "d calendar"]),
            ("6", ["0Map", "End follow", "/ filter"]),
            ("0", ["1Over", "m colour", "/ filter"]),
        ):
            await pilot.press(key)
            line = (await settled(pilot))[-1]
            for hint in (*shown, "2Chart", "? help", "q quit"):
                assert f" {hint} " in line + " ", (key, line)


async def test_in_ascii_arrows_and_shift_are_words_in_line_help_and_commands() -> None:
    app = app_of(FakeMonitor(12), symbol_set="ascii")
    async with app.run_test(size=(140, 60)) as pilot:
        await pilot.press("2")
        line = (await settled(pilot))[-1]
        assert " left/right bar " in line
        await pilot.press("question_mark")
        text = await settled(pilot)
        assert any("shift+left/shift+right" in row for row in text)
        assert any("left/right" in row and "crosshair" in row.lower() for row in text)
        assert any("up/down" in row for row in text)
        assert not any("?<" in row or "< >" in row for row in text)
        await pilot.press("escape", "0", "colon")
        assert any("shift+Tab" in row for row in await settled(pilot))


def test_a_word_for_a_key_is_pressed_as_its_sign_is() -> None:
    parts = key_line([("left/right", "bar"), ("/", "filter"), ("?", "help"), ("q", "quit")], 60)
    found = [key_at(parts, x) for x in range(60)]
    assert list(dict.fromkeys(found)) == ["left", "right", "/", "?", "q", None]


async def test_a_demo_at_80_columns_has_its_faults_beside_sort_and_filter() -> None:
    app = FeederApp(FakeMonitor(12), UiSettings(symbol_set="braille"), title="test", faults=FakeFaults())
    async with app.run_test(size=(80, 24)) as pilot:
        line = (await settled(pilot))[-1]
        for hint in ("F fault", "s sort", "/ filter", "? help", "q quit"):
            assert f" {hint} " in line + " "


@pytest.mark.parametrize("size", some_of(((30, 6), (40, 12), (120, 20), (45, 20)), every=2))
async def test_a_small_terminal_offers_no_screen_that_it_cannot_show(size: tuple[int, int]) -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=size) as pilot:
        line = (await settled(pilot))[-1]
        assert "Chart" not in line
        assert "Over" not in line  # it is in front
        for hint in ("0", "s", "?", "q"):
            assert f" {hint}" in line
        await pilot.press("0")
        line = (await settled(pilot))[-1]
        assert "1" in line
        assert "Map" not in line


@pytest.mark.parametrize("size", [(45, 20), (80, 24)])
async def test_the_last_line_names_no_screen_that_has_no_room(size: tuple[int, int]) -> None:
    app = app_of(clustered(FakeMonitor(12)))
    async with app.run_test(size=size) as pilot:
        names = "".join(await settled(pilot))[-size[0] :]
        for digit in re.findall(r" (\d)", names):
            await pilot.press(digit)
            assert "too small" not in "".join(await settled(pilot)), digit


@pytest.mark.parametrize("opened", some_of(("A", "W", "s", "colon", "enter", "n"), every=2))
async def test_a_resize_under_a_list_leaves_the_keys_in_the_last_line(opened: str) -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(80, 24)) as pilot:
        before = await settled(pilot)
        known = [keys.ids for keys in keys_of(app.screen)]
        await pilot.press(opened)
        await pilot.resize_terminal(120, 40)
        assert [keys.ids for keys in keys_of(app.screen)] == known
        assert "2 Chart" in (await settled(pilot))[-1]
        await pilot.press("escape")
        assert overview(app).popup is None
        line = (await settled(pilot))[-1]
        assert "2 Chart" in line
        assert "? help" in line
        assert "q quit" in line
        await pilot.resize_terminal(80, 24)
        assert (await settled(pilot))[-1] == before[-1]


def test_help_and_quit_stay_in_the_last_line_and_nothing_of_it_is_cut() -> None:
    keys = [("1", "Over"), ("2", "Chart"), ("s", "sort"), ("↑ ↓", "select"), ("?", "help"), ("q", "quit")]
    for width in range(10, 60):
        text = "".join(part for part, _ in key_line(keys, width))
        assert len(text) <= max(width, 14)
        assert "? help" in text
        assert "q quit" in text
        assert len(text) == 53 or "  " not in text  # blanks are dropped before keys are
