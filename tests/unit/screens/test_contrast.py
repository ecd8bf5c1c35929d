"""Letters stand out from their ground on every screen in every theme that has colours of its own."""

from __future__ import annotations

import re

import examples
import pytest
from fake_monitor import clustered
from rich.color_triplet import ColorTriplet
from rich.style import Style
from screen_pictures import SCREENS, monitor_of
from screens import app_of, settled

from tui_feeder.screens.base import FeederScreen
from tui_feeder.widgets.color_themes.themes import theme_names
from tui_feeder.widgets.tile_styles import contrast

#: Of letters at least: what WCAG 2 asks for of large text, and of parts of a screen.
LEAST = 3.0
THEMES = [name for name in theme_names() if name != "ansi-16"]  # whose colours are the terminal's own
LETTERS = re.compile(r"[A-Za-z]{2}")
#: Every screen in every theme; of a quick run each screen in one, and each theme on several screens.
PAIRS = [(name, theme) for at, name in enumerate(dict.fromkeys((*SCREENS, "2-levels", "4-data")))
         for theme in (THEMES if examples.thorough else [THEMES[at % len(THEMES)]])]  # fmt: skip


def triplets(style: Style) -> tuple[ColorTriplet, ColorTriplet]:
    assert style.color is not None
    assert style.bgcolor is not None
    pair = style.color.get_truecolor(), style.bgcolor.get_truecolor()
    return pair[::-1] if style.reverse else pair


@pytest.mark.parametrize(("name", "theme"), PAIRS)
async def test_letters_can_be_read(name: str, theme: str) -> None:
    monitor = monitor_of(20)
    app = app_of(clustered(monitor) if name == "7-cluster" else monitor, theme=theme, colors="truecolor")
    pale = set()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(*SCREENS[name].split())
        await settled(pilot)
        app.tick()
        await settled(pilot)
        assert isinstance(app.screen, FeederScreen)
        ground = app.palette.background
        for _, strips in app.screen.shown_panels():
            for strip in strips:
                for text, style, _ in strip:
                    if LETTERS.search(text):
                        found = contrast(*triplets(ground + (style or Style())))
                        if found < LEAST:
                            pale.add((text.strip(), round(found, 1)))
    assert not pale
