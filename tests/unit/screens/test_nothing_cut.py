"""No text on any screen is cut: what has no room goes on in the next row, or is left out as a whole."""

from __future__ import annotations

import pytest
from examples import some_of
from fake_monitor import clustered
from screen_pictures import SCREENS, monitor_of
from screens import app_of, screen_text, settled

SIZES = ((80, 24), (100, 30), (120, 40), (200, 60))


@pytest.mark.parametrize("size", [SIZES[0], *some_of(SIZES[1:])])
@pytest.mark.parametrize("name", SCREENS)
async def test_nothing_is_cut(name: str, size: tuple[int, int]) -> None:
    monitor = monitor_of(20)
    app = app_of(clustered(monitor) if name == "7-cluster" else monitor)
    async with app.run_test(size=size) as pilot:
        await pilot.press(*SCREENS[name].split())
        await settled(pilot)
        app.tick()
        await settled(pilot)
        assert [line for line in screen_text(app) if "…" in line] == []
