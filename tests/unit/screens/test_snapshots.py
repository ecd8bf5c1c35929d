"""The screens as pictures: compared with those that were looked at and found good.

``UPDATE_SCREENS=1`` draws them anew; look at every one that git shows as changed.
"""

from __future__ import annotations

import os

import pytest
from examples import some_of
from fake_monitor import FakeMonitor, clustered, with_troubles
from places import ROOT
from screens import app_of, settled

FOLDER = ROOT / "tests" / "data" / "screens"
KEYS = {
    "overview": "1",
    "chart": "2",
    "profile": "3",
    "gaps": "4",
    "data": "4 d",
    "sinks": "5",
    "log": "6",
    "map": "0",
    "cluster": "7",
    "footprint": "8",
}

#: In other sizes and colours.
OTHERS = (
    ("chart", (80, 24), "feeder-light", "truecolor"),
    ("overview", (80, 24), "feeder-dark", "truecolor"),
    ("map", (80, 24), "feeder-dark", "none"),
    ("overview", (200, 60), "feeder-dark", "truecolor"),
    ("overview", (80, 24), "feeder-light", "truecolor"),
    ("chart", (80, 24), "feeder-dark", "truecolor"),
    ("overview", (80, 24), "feeder-dark", "none"),
    ("cluster", (80, 24), "feeder-dark", "none"),
    ("data", (80, 24), "feeder-dark", "none"),
    ("footprint", (200, 60), "feeder-dark", "none"),
    ("sinks", (200, 60), "feeder-dark", "truecolor"),
)
CASES = [*((name, (120, 40), "feeder-dark", "truecolor") for name in KEYS), *OTHERS]
#: Drawing them anew draws them all.
TRIED = CASES if os.environ.get("UPDATE_SCREENS") else [*CASES[: len(KEYS)], *some_of(OTHERS)]


@pytest.mark.parametrize(("name", "size", "theme", "colors"), TRIED)
async def test_a_screen_looks_as_it_was_approved(
    name: str, size: tuple[int, int], theme: str, colors: str
) -> None:
    monitor = with_troubles(FakeMonitor(20))
    app = app_of(clustered(monitor) if name == "cluster" else monitor, theme=theme, colors=colors)
    async with app.run_test(size=size) as pilot:
        await pilot.press(*KEYS[name].split())
        if name == "chart":
            await pilot.press("left", "left", "left", "left")
        await settled(pilot)
        app.tick()
        await settled(pilot)
        drawn = app.export_screenshot(title=f"feeder-tui {name}")
    file = FOLDER / f"{name}-{size[0]}x{size[1]}-{theme}{'' if colors == 'truecolor' else '-' + colors}.svg"
    if os.environ.get("UPDATE_SCREENS"):
        FOLDER.mkdir(parents=True, exist_ok=True)
        file.write_text(drawn)
    assert drawn == file.read_text(), f"{file.name} is another picture"
