"""The overview at every size: what goes where, and what stays over resizes and keys."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import pytest
from examples import examples
from fake_monitor import INDICATORS, TIMEFRAMES, FakeMonitor, with_troubles
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from screens import MOUSE, app_of, mouse, overview, screen_text, settled
from textual.geometry import Region, Size
from virtual_time import VirtualTimeLoop

from tui_feeder.monitor import AlertView
from tui_feeder.screens.chart import ChartScreen
from tui_feeder.screens.market_map import MapScreen
from tui_feeder.screens.scanner_layout import (
    LIST_HEIGHT,
    LIST_WIDTH,
    Places,
    charts_go_below,
    places,
    with_notice,
)
from tui_feeder.widgets.overview_columns import ColumnNeeds, columns_for, full_width
from tui_feeder.widgets.panel import Panel

sizes = st.builds(Size, st.integers(LIST_WIDTH, 260), st.integers(LIST_HEIGHT, 90))
counts = st.sampled_from([0, 1, 3, 12, 20, 40, 600])


def laid_out(
    size: Size, symbols: int, sorted_by: tuple[str, ...] = (), two: bool = False, basis: bool = True
) -> tuple[Places, set[str]]:
    """The places and the columns of a terminal."""
    below = charts_go_below(size, symbols)
    needs = ColumnNeeds(TIMEFRAMES, INDICATORS, 3_600, 12, sorted_by, basis=basis, more=below)
    where = places(size, symbols, full_width(needs), two)
    return where, {column.key for column in columns_for(where.grid.width, needs)}


def regions(where: Places) -> list[Region]:
    found = [where.grid, where.news, where.profile]
    for chart in where.charts:
        found += [chart.title, chart.chart, chart.profile]
    return [region for region in found if region is not None]


@given(sizes, counts, st.booleans())
@settings(deadline=None, max_examples=examples(300))
def test_places_fill_the_terminal_without_overlap(size: Size, symbols: int, two: bool) -> None:
    where, _ = laid_out(size, symbols, two=two)
    taken = [[0] * size.width for _ in range(size.height)]
    for region in regions(where):
        assert region.height > 0
        assert region.width > 0
        for y in range(region.y, region.bottom):
            for x in range(region.x, region.right):
                taken[y][x] += 1
    assert {count for row in taken[1:-1] for count in row} == {1}
    assert {count for row in (taken[0], taken[-1]) for count in row} == {0}
    for chart in where.charts:
        assert chart.chart.height >= 8
    if two:  # of each symbol as many
        assert len(where.charts) in (0, 2, 4)
        assert where.grid == laid_out(size, symbols)[0].grid
    if size.width >= 80 and size.height >= 24:
        assert where.grid.height >= min(symbols, 8) + 1
    plain, text = with_notice(where, size, symbols)
    assert plain.grid.height + text.height + (where.news is not None) == size.height - 2


@example(Size(199, 24), 0, ("from(high)", "vol"))  # one cell wider the charts go beside the table
@given(sizes, counts, st.sampled_from([(), ("24h",), ("from(high)", "vol"), ("poc",)]))
@settings(deadline=None, max_examples=examples(300))
def test_a_wider_terminal_never_shows_fewer_columns(
    size: Size, symbols: int, sorted_by: tuple[str, ...]
) -> None:
    _, here = laid_out(size, symbols, sorted_by)
    _, wider = laid_out(Size(size.width + 1, size.height), symbols, sorted_by)
    assert here <= wider


@pytest.mark.parametrize(
    ("size", "symbols", "charts", "profile", "rows"),
    [
        ((45, 20), 600, 0, False, 17), ((80, 24), 600, 1, False, 9), ((120, 40), 600, 1, False, 22),
        ((160, 45), 12, 4, True, 13), ((200, 60), 12, 4, True, 13), ((200, 60), 600, 4, False, 57),
        ((159, 45), 600, 1, False, 25), ((160, 45), 600, 1, False, 25),
    ],
)  # fmt: skip
def test_layouts(size: tuple[int, int], symbols: int, charts: int, profile: bool, rows: int) -> None:
    for basis in (False, True):
        where, _ = laid_out(Size(*size), symbols, basis=basis)
        assert len(where.charts) == charts
        assert (where.profile is not None) == profile
        assert where.grid.height == rows  # the headings are one


@pytest.mark.parametrize(
    ("size", "symbols", "titles"),
    [
        ((80, 24), 12, ["ETHUSDT 1h", "BTCUSDT 1h"]), ((160, 45), 600, ["ETHUSDT 1h", "BTCUSDT 1h"]),
        ((200, 60), 12, ["ETHUSDT 1h", "BTCUSDT 1h", "ETHUSDT 4h", "BTCUSDT 4h"]),
    ],
)  # fmt: skip
async def test_v_keeps_a_symbol_beside_others_on_price_axes_of_their_own(
    size: tuple[int, int], symbols: int, titles: list[str]
) -> None:
    monitor = FakeMonitor(min(symbols, 60))
    app = app_of(monitor)
    async with app.run_test(size=size) as pilot:
        await pilot.press("v", "down")
        lines = await settled(pilot)
        text = "\n".join(line for line in lines if "─" in line)
        assert re.findall(r"\w+USDT \d+[mh]", text) == titles
        prices = [line for line in lines[2:] if "2981.17▸" in line or "60123.40▸" in line]
        assert any("2981.17▸" in line for line in prices)
        assert any("60123.40▸" in line for line in prices)
        await pilot.press("2", "left")
        lines = await settled(pilot)
        assert re.findall(r"\w+USDT \d+[mh]", lines[1]) == ["ETHUSDT 1h", "BTCUSDT 1h"]
        chart = app.screen
        assert isinstance(chart, ChartScreen)
        assert chart._beside.chart.cursor == chart.chart.cursor is not None
        del monitor.views["BTCUSDT"]  # it is followed no longer
        app.tick()
        await settled(pilot)
        assert re.findall(r"\w+USDT \d+[mh]", (await settled(pilot))[1]) == ["ETHUSDT 1h"]
        await pilot.press("1", "v", "v")
        await settled(pilot)
        assert overview(app).second is None


async def test_a_list_without_charts_says_why_v_does_nothing() -> None:
    app = app_of(FakeMonitor(3))
    async with app.run_test(size=(45, 20)) as pilot:
        await pilot.press("v")
        assert "charts need a terminal of 80x24" in (await settled(pilot))[-1]
        assert app.beside is None


async def test_at_160_columns_everything_that_159_have_is_there_and_names_are_whole() -> None:
    monitor = FakeMonitor(60)  # more than there are rows
    app = app_of(monitor)
    async with app.run_test(size=(159, 45)) as pilot:
        before = (await settled(pilot))[1].split()
        await pilot.resize_terminal(160, 45)
        lines = await settled(pilot)
        assert set(before) <= set(lines[1].split())
        for heading in ("24h%", "LAST", "VOL", "VAH%", "VAL%", "GAPS"):
            assert heading in lines[1].split()
        assert any("1000PEPEUSDT " in line for line in lines)


async def test_the_order_is_the_same_whatever_columns_fit() -> None:
    monitor = FakeMonitor(100)  # more than there are rows
    app = app_of(monitor)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("s", *"24 hours", "enter")
        await settled(pilot)
        by_size = {}
        for size in ((120, 40), (200, 60), (80, 24), (45, 20), (160, 45)):
            await pilot.resize_terminal(*size)
            lines = await settled(pilot)
            assert "▾24h%" in lines[1]
            by_size[size] = list(app.grid.order)
        changes = [monitor.views[name].change_24h or 0 for name in by_size[120, 40]]
        assert changes == sorted(changes, reverse=True)
        assert len({tuple(order) for order in by_size.values()}) == 1


SIZES = ((45, 20), (40, 12), (80, 24), (100, 30), (120, 40), (159, 45), (160, 45), (200, 60), (20, 5))
KEYS = (
    "down", "up", "pagedown", "end", "s", "enter", "escape", "S", "W", "p", "n", "x", "slash", "tab", "2",
    "1", "question_mark", "left_square_bracket", "right_square_bracket", "plus", "minus", "a", "f", "t",
    "colon", "backspace", "greater_than_sign", "0", "0", "v", "v", "m", "home", "left", "right", "shift+tab",
    "3", "4", "5", "6", "A", "g", "C", "l",
)  # fmt: skip


@dataclass(frozen=True)
class MouseStep:
    """The mouse at a place, as shares of the terminal."""

    kind: str
    x: float
    y: float


shares = st.sampled_from([0.0, 0.04, 0.2, 0.5, 0.8, 0.99])
mouse_steps = st.builds(MouseStep, st.sampled_from(sorted(MOUSE)), shares, shares)
steps = st.lists(st.sampled_from(SIZES) | st.sampled_from(KEYS) | mouse_steps, min_size=1, max_size=8)


@pytest.mark.timeout(600)  # a dozen apps, one after another
@given(steps, st.sampled_from(["braille", "ascii"]))
@settings(max_examples=examples(12, least=3), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_sizes_keys_and_presses_keep_selection_and_order_and_no_line_is_wider_than_the_screen(
    sequence: list[str | tuple[int, int] | MouseStep], glyphs: str
) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(_walk(sequence, glyphs))


async def _walk(sequence: list[str | tuple[int, int] | MouseStep], glyphs: str) -> None:
    monitor = with_troubles(FakeMonitor(40))
    monitor.alerts = (AlertView(1, monitor.now, "rule", "price", "SOLUSDT", "crossed its POC", 141.0),)
    app = app_of(monitor, symbol_set=glyphs, refresh_hz=0.01)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        for step in sequence:
            chosen, order = app.grid.selected, list(app.grid.order)
            if isinstance(step, tuple):
                await pilot.resize_terminal(*step)
            elif isinstance(step, MouseStep):
                width, height = app.size
                await mouse(pilot, step.kind, (int(step.x * width), int(step.y * height)))
            else:
                await pilot.press(step)
            await settled(pilot)
            app.tick()
            await settled(pilot)
            if isinstance(step, tuple):  # a resize changes neither
                assert app.grid.selected == chosen
                assert app.grid.order == order
            assert app.grid.selected in app.grid.order or app.grid.order == []
            _fits(app)


def _fits(app) -> None:  # noqa: ANN001
    """Every strip has the width of its panel, every panel lies on the screen, the right rows are in view."""
    width, height = app.size
    for panel, region in app.screen.plan.items():
        assert isinstance(panel, Panel)
        assert Region(0, 0, width, height).contains_region(region), (panel.id, region)
        for strip in panel.strips[: region.height]:
            assert cell_len(strip.text) == strip.cell_length <= region.width, (panel.id, strip.text)
    assert len(screen_text(app)) == height
    if app.current_mode == "overview" and app.screen is overview_of(app) and not app.screen.too_small:
        grid = app.grid
        rows = app.screen._places.grid.height - 1
        shown = [view.symbol for view in grid.window(rows)]
        assert grid.selected in shown or shown == grid.order[:rows]
    if isinstance(app.screen, MapScreen) and not app.screen.too_small:
        tiles = [row[0] for row in app.screen.table().rows]
        assert sorted(tiles) == sorted(app.grid.order)


def overview_of(app):  # noqa: ANN001, ANN201
    return overview(app) if type(app.screen).__name__ == "OverviewScreen" else None
