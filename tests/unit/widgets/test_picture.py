"""Pictures and sparklines: what is drawn, where."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from examples import some_of
from fake_monitor import FakeMonitor, with_troubles
from rich.segment import Segment
from rich.style import Style
from screens import app_of, palette_of, settled
from textual.geometry import Region, Size
from textual.strip import Strip

from tui_feeder.monitor import MinuteState, Snapshot
from tui_feeder.screens.base import FeederScreen
from tui_feeder.widgets.lines import status_line
from tui_feeder.widgets.palette import Role
from tui_feeder.widgets.picture import svg
from tui_feeder.widgets.spark import spark

STEPS = "▁▂▃▄▅▆▇"
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> dict[tuple[int, int], str]:
    """Texts by column and row."""
    found = ET.fromstring(picture).iter(f"{SVG}text")
    return {
        (int(float(e.attrib["x"])) // 9, int(float(e.attrib["y"])) // 20): e.text or ""
        for e in found
        if "textLength" in e.attrib
    }


def test_shapes_lie_over_every_ground_whatever_their_colours() -> None:
    light, blue = Style.parse("#fafafa on #b0c8e8"), Style.parse("#102030 on #fafafa")
    strips = [Strip([Segment("█", blue)]), Strip([Segment("▏", light)])]
    picture = svg([(Region(0, 0, 1, 2), strips)], Size(1, 2), Style.parse("on #000000"), "two")
    paths = [(e.attrib["fill"], e.attrib["d"]) for e in ET.fromstring(picture).iter(f"{SVG}path")]
    # The light line has the colour of the ground drawn first, and still lies over the blue ground.
    assert paths.index(("#b0c8e8", "M0 20h9v20H0z")) < paths.index(("#fafafa", "M0 20H1.125V40H0z"))


def test_a_picture_has_every_text_in_its_place_and_blocks_as_shapes() -> None:
    palette = palette_of("braille")
    strips = [
        palette.strip([("a <b> ", Role.TEXT), ("█▀", Role.UP), (" x", Role.STRONG)], 12),
        palette.strip([("币 y", Role.TEXT), ("⠁", Role.EMA_FAST)], 12, selected=False),
    ]
    picture = svg([(Region(2, 1, 12, 2), strips)], Size(20, 4), Style(), "A & B")
    assert texts(picture) == {(2, 1): "a <b>", (11, 1): "x", (2, 2): "币", (5, 2): "y"}
    up = palette.styles[Role.UP].color
    assert up is not None
    (path,) = re.findall(rf'<path fill="{up.get_truecolor().hex}" d="([^"]*)"', picture)
    assert path == "M72 20H81V40H72zM81 20H90V30H81z"  # a whole cell, and the upper half of the next
    assert "M56.25 42.5h0" in picture  # the upper left dot of the sixth cell
    assert "A &amp; B" in picture


def test_what_lies_over_others_covers_them_and_reverse_is_seen() -> None:
    palette = palette_of("braille")
    below, above = (
        palette.strip([("below!", Role.TEXT)], 6),
        palette.strip([("up", Role.TEXT)], 2, selected=True),
    )
    picture = svg([(Region(0, 0, 6, 1), [below]), (Region(1, 0, 2, 1), [above])], Size(6, 1), Style(), "")
    assert texts(picture) == {(0, 0): "b", (1, 0): "up", (3, 0): "ow!"}
    assert "M9 0h18v20H9z" in picture


THEMES = ("feeder-light", "feeder-dark", "ansi-16", "high-contrast", "green-red")


@pytest.mark.parametrize("theme", some_of(THEMES))
async def test_every_screen_can_be_pictured_in_every_theme(theme: str) -> None:
    app = app_of(with_troubles(FakeMonitor(20)), theme=theme)
    async with app.run_test(size=(80, 24)) as pilot:
        for key in "123456":
            await pilot.press(key)
            lines = await settled(pilot)
            assert isinstance(app.screen, FeederScreen)
            picture = app.screen.picture("x")
            assert len(picture) < 60_000
            row = "".join(text for (_, y), text in sorted(texts(picture).items()) if y == 0)
            assert (
                row.split() == "".join(c if c not in "●│" else " " for c in lines[0]).split() or "LIVE" in row
            )


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ((), 4, "    "), ((1.0,), 4, "    "), ((1.0, 1.0, 1.0), 4, " ▄▄▄"), ((1.0, 2.0), 4, "  ▁▇"),
        ((0.0, 1e-8, 2e-8), 3, "▁▄▇"), ((5.0, 1.0, 3.0, 9.0, 9.0), 3, "▃▁▇"), ((1.0, 2.0, 3.0), 0, ""),
    ],
)  # fmt: skip
def test_a_sparkline_is_as_wide_as_asked_and_ends_with_the_newest(
    values: tuple[float, ...], width: int, expected: str
) -> None:
    assert spark(values, width, STEPS) == expected


async def test_a_wide_overview_shows_the_course_of_the_day() -> None:
    monitor = FakeMonitor(3)
    monitor.change("ETHUSDT", day_closes=tuple(float(i) for i in range(48)))
    monitor.change("SOLUSDT", day_closes=())
    app = app_of(monitor)
    for size in ((120, 40), (200, 60)):
        async with app_of(monitor).run_test(size=size) as pilot:
            lines = await settled(pilot)
            assert "LAST 24h" in lines[1]
            assert " VOL" in lines[1]
            drawn = "".join(sign for sign in lines[3] if sign in STEPS)
            assert list(drawn) == sorted(drawn)  # it rose all day
            assert (drawn[0], drawn[-1]) == ("▁", "▇")
            assert not set(lines[4][:100]) & set(STEPS)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "LAST 24h" not in (await settled(pilot))[1]


async def test_bars_that_lack_minutes_are_marked_in_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = FakeMonitor(2)
    whole = monitor.coverage

    def coverage(symbol: str, start: int, end: int, cells: int) -> tuple[MinuteState, ...]:
        states = list(whole(symbol, start, end, cells))
        states[-4] = MinuteState.MISSING
        states[-2] = MinuteState.UNAVAILABLE
        return tuple(states)

    monkeypatch.setattr(monitor, "coverage", coverage)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        lines = await settled(pilot)
        assert lines[-2].count("*") == 2
        assert "partial" not in lines[2]
        await pilot.press("left", "left")
        assert "12:00  partial*: minutes are missing" in (await settled(pilot))[2]
        await pilot.press("left")
        assert "partial" not in (await settled(pilot))[2]
        await pilot.press(*["left_square_bracket"] * 4)  # a minute lacks nothing
        assert "*" not in (await settled(pilot))[-2]


def test_a_symbol_without_any_stream_is_not_called_live() -> None:
    snapshot = FakeMonitor(3).snapshot()
    glyphs = palette_of("braille").glyphs
    cut = replace(snapshot, streams=tuple(replace(s, state="backing off") for s in snapshot.streams))

    def told(snapshot: Snapshot) -> str:
        return "".join(text for text, _ in status_line(snapshot, 3, False, "x", 80, glyphs))

    assert told(snapshot).startswith("● LIVE")
    assert told(cut).startswith("▲ NO STREAM")
