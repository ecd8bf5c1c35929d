from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from examples import some_of
from fake_monitor import NOON, FakeMonitor
from rich.cells import cell_len
from screens import app_of, palette_of, settled, text_of

from tui_feeder.monitor import FormingView, Rows, SymbolView
from tui_feeder.screens.chart import ChartScreen
from tui_feeder.widgets import cells
from tui_feeder.widgets.chart import Chart, ChartSize, ChartStrips

HOUR = 3_600_000
NEWEST = NOON - NOON % HOUR - HOUR  # open time of the last completed hour


class Looking:
    """A chart of BTCUSDT at 1h and somebody who looks at it."""

    def __init__(self, size: ChartSize | None = None) -> None:
        self.monitor = FakeMonitor(2)
        self.chart = Chart(self.monitor)
        self.size = size or ChartSize(60, 26, 20, 3)

    @property
    def view(self) -> SymbolView:
        return self.monitor.views["BTCUSDT"]

    @property
    def first(self) -> int | None:
        return self.view.first_minute

    def look(self, timeframe: int = 3_600) -> ChartStrips:
        return self.chart.paint(
            self.monitor.snapshot(), self.view, timeframe, self.size, palette_of("braille")
        )

    def described(self) -> str:
        strips = self.chart.read_out(self.monitor.snapshot(), self.view, palette_of("braille"), 120, 2)
        return "\n".join(text_of(strips))

    def shown(self) -> tuple[int, int]:
        times = self.chart.bars["open_time"]
        return int(times[0]), int(times[-1])


def test_every_part_of_a_chart_has_exactly_its_cells_at_every_zoom() -> None:
    for glyphs in ("braille", "block", "ascii"):
        one = Looking()
        for _ in range(4):
            painted = one.chart.paint(one.monitor.snapshot(), one.view, 3_600, one.size, palette_of(glyphs))
            widths = {cell_len(s.text) for s in painted.chart}, {cell_len(s.text) for s in painted.edge}
            assert widths == ({60 - one.chart.edge}, {one.chart.edge})
            assert {cell_len(s.text) for s in painted.profile} == {26}
            assert len(painted.chart) == len(painted.edge) == len(painted.profile) == 20
            one.chart.zoom(1)


def test_a_chart_follows_pans_back_to_the_first_bar_and_returns() -> None:
    one = Looking()
    one.look()
    assert one.shown()[1] == NEWEST
    one.chart.pan(-0.5, one.first)
    one.look()
    assert not one.chart.following
    assert one.shown()[1] < NEWEST - 5 * HOUR
    for _ in range(40):
        one.chart.pan(-0.5, one.first)
        one.look()
    assert one.shown()[0] == one.monitor.bars("BTCUSDT", 3_600, 400)["open_time"][0]
    oldest = one.shown()
    one.chart.follow()
    one.look()
    one.chart.pan_to_start(one.first)
    one.look()
    assert one.shown() == oldest
    for _ in range(40):
        one.chart.pan(0.5, one.first)
        one.look()
    assert one.chart.following
    assert one.shown()[1] == NEWEST


@pytest.mark.parametrize("glyphs", ["braille", "ascii"])
def test_the_title_of_a_past_stretch_has_the_newest_bar_in_sight(glyphs: str) -> None:
    one = Looking(ChartSize(100, 26, 20, 3))
    one.look()
    one.chart.pan(-0.5, one.first)
    painted = one.chart.paint(one.monitor.snapshot(), one.view, 3_600, one.size, palette_of(glyphs))
    time = one.shown()[1]
    title = painted.title[0].text
    assert f"up to {cells.date_text(time + HOUR)} {cells.clock_text(time + HOUR)}" in title
    assert f"bar of {cells.clock_text(time)} " in title
    for line in one.chart.lines:
        assert f"{line.name} {line.values[-1]:.2f}" in title
    assert "~" not in title
    one.chart.follow()
    one.look()
    assert f"bar of {cells.clock_text(NEWEST)}" in one.look().title[0].text


def test_the_crosshair_moves_bar_by_bar_and_takes_the_chart_along_at_its_ends() -> None:
    one = Looking()
    one.look()
    left = one.shown()[0]
    one.chart.point(-1, one.first)
    one.look()
    assert one.chart.cursor == NEWEST  # it appears at the newest bar
    one.chart.point(-3, one.first)
    one.look()
    assert one.chart.cursor == NEWEST - 3 * HOUR
    assert one.chart.following
    while one.chart.cursor > left:
        one.chart.point(-1, one.first)
        one.look()
    one.chart.point(-10, one.first)
    one.look()
    assert one.chart.cursor == left - 10 * HOUR
    assert one.shown()[0] <= left - 10 * HOUR
    for _ in range(60):
        one.chart.point(1, one.first)
        one.look()
    assert one.chart.cursor == NEWEST
    assert one.chart.following


def test_the_read_out_tells_the_bar_under_the_crosshair() -> None:
    one = Looking()
    one.look()
    one.chart.point(-1, one.first)
    one.chart.point(-4, one.first)
    one.look()
    bar = one.monitor.bars("BTCUSDT", 3_600, 5)[0]
    text = one.described()
    for name in ("open", "high", "low", "close"):
        assert f"{bar[name]:.2f}" in text
    assert "02-03 09:00" in text
    at = text_of(one.look().chart)
    assert sum("┊" in line for line in at) > 5
    assert f"{bar['close']:.2f}┤" in "".join(at)
    assert " 02-03 09:00 " in at[-1]


def test_a_bar_that_is_missing_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Looking()
    whole = one.monitor.bars

    def holed(symbol: str, timeframe: int, count: int, end: int | None = None) -> Rows:
        rows = whole(symbol, timeframe, count, end)
        return rows[rows["open_time"] != NEWEST - 2 * HOUR]

    monkeypatch.setattr(one.monitor, "bars", holed)
    monkeypatch.setattr(one.monitor, "ema_lines", lambda *_: ())
    one.look()
    one.chart.point(-1, one.first)
    one.chart.point(-2, one.first)
    painted = one.look()
    assert "no bar is stored here" in one.described()
    assert any("░" in line or "┊" in line for line in text_of(painted.chart))


def test_the_bar_in_progress_joins_closed_minutes_and_the_forming_one() -> None:
    one = Looking()
    one.look()
    minute = NOON - NOON % 60_000
    one.monitor.change("BTCUSDT", forming=FormingView(minute, 1.0, 70_000.0, 50_000.0, 60_200.0, 2.0))
    closed = one.monitor.open_bar("BTCUSDT", 3_600)[0]
    assert one.chart.forming(one.view) == (
        closed["open"], max(70_000.0, closed["high"]), min(50_000.0, closed["low"]), 60_200.0,
        closed["volume"] + 2.0,
    )  # fmt: skip
    one.chart.pan(-0.5, one.first)
    one.look()
    assert one.chart.forming(one.view) is None


def test_only_the_edge_changes_while_a_bar_is_in_progress() -> None:
    one = Looking()
    before = one.look()
    view = one.view
    assert view.forming is not None
    one.monitor.change(
        "BTCUSDT",
        forming=FormingView(view.forming.open_time, 60_000.0, 60_500.0, 59_000.0, 59_100.0, 900.0),
    )
    after = one.look()
    assert all(a == b for a, b in zip(text_of(before.chart), text_of(after.chart), strict=True))
    assert text_of(before.edge) != text_of(after.edge)


def test_a_bar_that_closed_after_the_snapshot_waits_for_the_next_one() -> None:
    one = Looking()
    one.monitor.change("BTCUSDT", last_closed=NEWEST - 1)  # the engine is an hour further than the snapshot
    one.look()
    assert one.shown()[1] == NEWEST - HOUR
    assert len(one.chart.lines[0].values) == len(one.chart.bars)


def test_volume_bars_are_as_high_as_their_volume() -> None:
    one = Looking(ChartSize(60, 26, 24, 4))
    painted = text_of(one.look().chart)[-5:-1]
    heights = {}
    for x in range(len(painted[0])):
        column = "".join(line[x] for line in painted)
        if x > 12 and set(column) <= set(" ▁▂▃▄▅▆▇█") and column.strip():
            heights[x] = sum(" ▁▂▃▄▅▆▇█".index(c) for c in column)
    volumes = one.chart.bars["volume"][-len(heights) :]
    assert len(heights) > 10
    expected = np.maximum(1, np.round(volumes / one.chart.bars["volume"].max() * 32))
    assert list(heights.values()) == pytest.approx(expected.tolist())


async def test_the_chart_screen_has_the_symbol_and_timeframe_of_the_overview() -> None:
    app = app_of(FakeMonitor(6))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "right_square_bracket", "2")
        lines = await settled(pilot)
        assert "ETHUSDT 4h" in lines[1]
        await pilot.press("left", "left", "pageup")
        assert isinstance(app.screen, ChartScreen)
        assert "up to 2026-" in (await settled(pilot))[1]
        await pilot.press("end", "up", "left_square_bracket", "plus", "minus", "minus", "home")
        lines = await settled(pilot)
        assert "BTCUSDT 1h" in lines[1]
        assert "up to 2026-" in lines[1]
        await pilot.press("escape", "1")
        assert (await settled(pilot))[2].startswith("▸ BTCUSDT")


@pytest.mark.parametrize(("key", "size"), some_of(tuple(product("23456", ((80, 24), (163, 51))))))
async def test_every_screen_covers_the_whole_terminal_without_overlap(
    key: str, size: tuple[int, int]
) -> None:
    app = app_of(FakeMonitor(20))
    async with app.run_test(size=size) as pilot:
        await pilot.press(key)
        await settled(pilot)
        cells = np.zeros(size, dtype=int)
        for panel, region in app.screen.plan.items():
            assert len(panel.strips) == region.height, panel.id
            assert {cell_len(strip.text) for strip in panel.strips} == {region.width}, panel.id
            cells[region.x : region.right, region.y : region.bottom] += 1
        assert (cells == 1).all()
