"""An app on a fake monitor without a terminal, and what is on its screen as text."""

from __future__ import annotations

from collections.abc import Sequence

import textual._wait
from fake_monitor import FakeMonitor
from rich.cells import cell_len
from textual import events
from textual.pilot import Pilot
from textual.strip import Strip

from tui_feeder.app import ExitReason, FeederApp, UiSettings
from tui_feeder.screens.base import FeederScreen
from tui_feeder.screens.overview import OverviewScreen
from tui_feeder.widgets.color_themes.themes import load_theme
from tui_feeder.widgets.palette import GLYPHS, Palette
from tui_feeder.widgets.panel import Panel

#: The pilot looks whether the app is idle every 20 ms, twice a key; these screens are idle sooner.
textual._wait.SLEEP_GRANULARITY = 1 / 200
textual._wait.SLEEP_IDLE = textual._wait.SLEEP_GRANULARITY / 20

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
        for y, strip in enumerate(panel.strips[: region.height]):
            x = region.x
            for character in strip.text:
                lines[region.y + y][x] = character
                for i in range(1, cell_len(character)):
                    lines[region.y + y][x + i] = ""
                x += cell_len(character)
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
