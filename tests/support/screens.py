"""An app on a fake monitor without a terminal, and what is on its screen as text."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence

import textual._wait
import textual.app
import textual.pilot
from fake_monitor import FakeMonitor
from rich.cells import cell_len
from textual import events
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot
from textual.strip import Strip
from virtual_time import VirtualTimeLoop

from tui_feeder.app import ExitReason, FeederApp, UiSettings
from tui_feeder.screens.base import FeederScreen
from tui_feeder.screens.overview import OverviewScreen
from tui_feeder.widgets.color_themes.themes import load_theme
from tui_feeder.widgets.palette import GLYPHS, Palette
from tui_feeder.widgets.panel import Panel

_idle = textual._wait.wait_for_idle


async def _wait_for_idle(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """Wait until the app has nothing to do: in virtual time, until the loop has nothing else ready."""
    if isinstance(asyncio.get_running_loop(), VirtualTimeLoop):
        await asyncio.sleep(_IDLE_SECONDS)
    else:
        await _idle(min_sleep, max_sleep)


#: Timers that are due within it fire before the app counts as idle, s.
_IDLE_SECONDS = 0.005
textual.pilot.wait_for_idle = textual.app.wait_for_idle = _wait_for_idle
_screen = Pilot._wait_for_screen


async def _wait_for_screen(pilot: Pilot[ExitReason], timeout: float = 30.0) -> bool:
    """Wait until all widgets have dealt with their messages: in virtual time, without asking each of them."""
    if isinstance(asyncio.get_running_loop(), VirtualTimeLoop):
        await asyncio.sleep(_IDLE_SECONDS)
        return not pilot.app._exception_event.is_set()
    return await _screen(pilot, timeout)


Pilot._wait_for_screen = _wait_for_screen

_parse = Stylesheet.parse
_parsed: dict[Hashable, list[RuleSet]] = {}


def _parse_once(sheet: Stylesheet) -> None:
    """Rules of the same texts and variables are the same in every app: they are parsed once in a process."""
    key = (tuple(sheet.source.items()), frozenset(sheet._variables.items()))
    if key not in _parsed:
        _parse(sheet)
        _parsed[key] = sheet._rules
    sheet._rules, sheet._rules_map, sheet._require_parse = _parsed[key], None, False


Stylesheet.parse = _parse_once

SCREENS = ("overview", "chart", "profile", "gaps", "sources", "log")


def app_of(monitor: FakeMonitor, **settings: object) -> FeederApp:
    chosen = {"symbol_set": "braille", "colors": "truecolor", **settings}
    return FeederApp(monitor, UiSettings(**chosen), title="test")


def screen_text(app: FeederApp) -> list[str]:
    """What is on the screen, line by line, from the panels and their places."""
    screen = app.screen
    assert isinstance(screen, FeederScreen)
    lines = [[" "] * app.size.width for _ in range(app.size.height)]
    for panel, region in screen.plan.items():
        assert isinstance(panel, Panel)
        assert panel.region == region
        for y, strip in enumerate(panel.strips[: region.height], region.y):
            text = strip.text
            if any(cell_len(character) != 1 for character in set(text)):
                text = [part for sign in text for part in (sign, *[""] * (cell_len(sign) - 1))]
            assert len(text) <= app.size.width - region.x
            lines[y][region.x : region.x + len(text)] = text
    return ["".join(line) for line in lines]


async def settled(pilot: Pilot[ExitReason]) -> list[str]:
    """What is on the screen once its panels lie where the plan has them."""
    await pilot.pause()
    await pilot.pause()
    assert isinstance(pilot.app, FeederApp)
    for _ in range(20):  # a layout may be under way: each round of the loop brings it on
        screen = pilot.app.screen
        assert isinstance(screen, FeederScreen)
        if all(panel.region == region for panel, region in screen.plan.items()):
            break
        await pilot.pause()
    return screen_text(pilot.app)


MOUSE = {"press": events.MouseDown, "drag": events.MouseMove, "up": events.MouseScrollUp,
         "down": events.MouseScrollDown}  # fmt: skip


async def mouse(
    pilot: Pilot[ExitReason], kind: str, at: tuple[int, int], button: int = 1, shift: bool = False
) -> list[str]:
    """The mouse as the driver reports it; what is on the screen then."""
    x, y = at
    pilot.app.post_message(MOUSE[kind](None, x, y, 0, 0, button, shift, False, False, x, y))
    return await settled(pilot)


def overview(app: FeederApp) -> OverviewScreen:
    assert isinstance(app.screen, OverviewScreen)
    return app.screen


THEME = load_theme("feeder-dark")


def palette_of(name: str, colors: bool = True) -> Palette:
    return Palette(THEME.styles, THEME.background, GLYPHS[name], colors)


def text_of(strips: Sequence[Strip]) -> list[str]:
    return [strip.text for strip in strips]
