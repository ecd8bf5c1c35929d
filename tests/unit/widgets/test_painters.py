from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from examples import examples
from fake_monitor import NOON, FakeMonitor, with_troubles
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from screens import palette_of, text_of
from textual.strip import Strip

from tui_feeder.monitor import MINUTE_MS, ROW, Event, GapView, ProfileView, Progress, Rows, SymbolState
from tui_feeder.price_grid import PriceGrid
from tui_feeder.widgets import cells
from tui_feeder.widgets.axes import paint_price_axis
from tui_feeder.widgets.axes import paint_time_axis as paint_times
from tui_feeder.widgets.breadth import MarketGroups
from tui_feeder.widgets.candles import (
    MARGIN,
    Line,
    Slots,
    draw_candles,
    price_range,
)
from tui_feeder.widgets.chart import Chart, ChartSize
from tui_feeder.widgets.color_themes.themes import load_theme, theme_names
from tui_feeder.widgets.event_lines import event_rows, events_in_sight, most_above
from tui_feeder.widgets.histogram import heaviest_in_rows, paint_profile, paint_sides, sides_in_rows
from tui_feeder.widgets.lines import news_line, status_line, without_excess
from tui_feeder.widgets.lists import paint_gaps
from tui_feeder.widgets.palette import GLYPHS, Palette, Role, ascii_only
from tui_feeder.widgets.progress_bars import bar_text, progress_text
from tui_feeder.widgets.scale import PriceScale, price_scale, price_ticks

SETS = ("braille", "block", "ascii")


def bars_of(*candles: tuple[float, float, float, float], first: int = NOON - NOON % 3_600_000) -> Rows:
    rows = np.zeros(len(candles), dtype=ROW)
    for i, (opened, high, low, close) in enumerate(candles):
        rows[i] = (first + i * 3_600_000, opened, high, low, close, 1.0, close, 1, 0.5, 0.5)
    return rows


def slots_of(bars: Rows, timeframe: int, pitch: int, width: int) -> Slots:
    newest = int(bars["open_time"][-1]) if len(bars) else 0
    return Slots(timeframe, pitch, width, newest)


def paint_candles(
    bars: Rows, lines: Sequence[Line], levels: Sequence[tuple[float, Role]], scale: PriceScale,
    timeframe: int, pitch: int, width: int, palette: Palette,
) -> list[Strip]:  # fmt: skip
    slots = slots_of(bars, timeframe, pitch, width)
    return draw_candles(bars, lines, levels, scale, slots, palette).strips(palette)


def paint_time_axis(bars: Rows, timeframe: int, pitch: int, width: int, palette: Palette) -> Strip:
    return paint_times(bars, slots_of(bars, timeframe, pitch, width), palette)


CASES = {
    "one candle": bars_of((10.0, 12.0, 9.0, 11.0)),
    "flat": bars_of(*[(5.0, 5.0, 5.0, 5.0)] * 6),
    "tiny prices": bars_of((1e-8, 3e-8, 1e-8, 2e-8), (2e-8, 2e-8, 1e-8, 1e-8)),
    "huge prices": bars_of((1e6, 1.2e6, 9e5, 1.1e6), (1.1e6, 1.3e6, 1e6, 1.05e6)),
    "many": FakeMonitor(1).bars("BTCUSDT", 3_600, 200),
}


def assert_exact(strips: Sequence[Strip], width: int, rows: int) -> None:
    assert len(strips) == rows
    for strip in strips:
        assert cell_len(strip.text) == strip.cell_length == width, repr(strip.text)


@pytest.mark.parametrize("glyphs", SETS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [(20, 3), (44, 9), (100, 30)])
def test_every_strip_of_a_chart_has_exactly_its_cells(case: str, size: tuple[int, int], glyphs: str) -> None:
    width, rows = size
    bars, palette = CASES[case], palette_of(glyphs)
    closes = bars["close"].tolist()
    lines = [
        Line("e21", closes, Role.EMA_FAST),
        Line("e89", [math.nan] * (len(closes) - 1) + closes[-1:], Role.EMA_SLOW),
    ]
    scale = price_scale(*price_range(bars), rows)
    for pitch in (1, 2, 4):
        assert_exact(
            paint_candles(bars, lines, [(closes[-1], Role.POC)], scale, 3_600, pitch, width, palette),
            width,
            rows,
        )
        assert_exact([paint_time_axis(bars, 3_600, pitch, width, palette)], width, 1)
    assert_exact(paint_price_axis(scale, closes[-1], 8, 11, palette), 11, rows)
    if glyphs == "ascii":
        assert "".join(text_of(paint_candles(bars, lines, [], scale, 3_600, 2, width, palette))).isascii()


def test_no_candles_leave_an_empty_chart() -> None:
    empty = np.empty(0, dtype=ROW)
    scale = PriceScale(0.0, 1.0, 4)
    assert text_of(paint_candles(empty, [], [], scale, 60, 2, 12, palette_of("braille"))) == [" " * 12] * 4
    assert_exact([paint_time_axis(empty, 60, 2, 12, palette_of("braille"))], 12, 1)


def test_a_candle_is_a_body_between_wicks_at_half_a_cell() -> None:
    # Four rows of two price units; open 2, close 5.5, low 1, high 8 from below.
    scale = PriceScale(0.0, 8.0, 4)
    strips = paint_candles(
        bars_of((2.0, 8.0, 1.0, 5.5)), [], [], scale, 3_600, 1, MARGIN + 1, palette_of("braille")
    )
    assert [text[0] for text in text_of(strips)] == ["│", "█", "█", "╵"]
    strips = paint_candles(
        bars_of((3.0, 4.5, 3.0, 4.5)), [], [], scale, 3_600, 1, MARGIN + 1, palette_of("braille")
    )
    assert [text[0] for text in text_of(strips)] == [" ", "▄", "▀", " "]


def test_a_wick_joins_a_body_that_is_half_a_cell_high() -> None:
    scale = PriceScale(0.0, 8.0, 4)
    strips = paint_candles(
        bars_of((3.0, 7.5, 0.5, 4.5)), [], [], scale, 3_600, 1, MARGIN + 1, palette_of("braille")
    )
    assert [text[0] for text in text_of(strips)] == ["│", "╽", "╿", "│"]


def test_falling_candles_differ_from_rising_ones_without_colour() -> None:
    scale = PriceScale(0.0, 8.0, 4)
    for glyphs in SETS:
        palette = palette_of(glyphs, colors=False)
        rising, falling = (
            text_of(paint_candles(bars_of(candle), [], [], scale, 3_600, 1, MARGIN + 1, palette))
            for candle in ((2.0, 6.0, 2.0, 6.0), (6.0, 6.0, 2.0, 2.0))
        )
        assert rising != falling


def test_candles_stand_at_their_time_and_a_missing_bar_shows() -> None:
    bars = FakeMonitor(1).bars("BTCUSDT", 3_600, 10)[[0, 1, 2, 6, 7, 8, 9]]
    scale = price_scale(*price_range(bars), 8)
    strips = paint_candles(bars, [], [], scale, 3_600, 2, 30 + MARGIN, palette_of("braille"))
    used = {x for text in text_of(strips) for x, c in enumerate(text) if c not in " ░"}
    newest = 29
    shaded = {x for text in text_of(strips) for x, c in enumerate(text) if c == "░"}
    assert shaded == {newest - 2 * age for age in (4, 5, 6)}
    assert used == {newest - 2 * age for age in (0, 1, 2, 3, 7, 8, 9)}
    axis = paint_time_axis(bars, 3_600, 2, 30 + MARGIN, palette_of("braille")).text
    assert {x for x, c in enumerate(axis) if c == "!"} <= {newest - 2 * age for age in (4, 5, 6)}
    assert "!" in axis


def test_an_ema_runs_in_braille_between_candles_and_is_named_at_its_end() -> None:
    bars = bars_of(*[(10.0, 10.0, 10.0, 10.0)] * 8)
    scale = PriceScale(8.0, 16.0, 8)
    line = Line("e21", [14.2] * 8, Role.EMA_FAST)
    strips = text_of(paint_candles(bars, [line], [], scale, 3_600, 2, 20, palette_of("braille")))
    row = strips[1]
    assert row.endswith(" e21")
    assert all("\u2800" < c <= "\u28ff" for c in row[1:16])
    assert [r for r, text in enumerate(strips) if any("\u2800" < c <= "\u28ff" for c in text)] == [1]


@pytest.mark.parametrize(("glyphs", "signs"), [("braille", "\u2800-\u28ff"), ("block", "•"), ("ascii", "*")])
def test_an_ema_is_seen_over_candles_that_leave_no_room_between_them(glyphs: str, signs: str) -> None:
    bars = bars_of(*[(9.0, 15.0, 8.5, 14.0)] * 30)
    line = Line("e21", [11.5] * 30, Role.EMA_FAST)
    for pitch in (1, 2, 3):
        columns = 30 * pitch + 6
        drawn = paint_candles(
            bars, [line], [], PriceScale(8.0, 16.0, 8), 3_600, pitch, columns, palette_of(glyphs)
        )
        seen = max(len(re.findall(f"[{re.escape(signs) if len(signs) == 1 else signs}]", row))
                   for row in text_of(drawn))  # fmt: skip
        assert seen >= 25, (pitch, text_of(drawn))


def test_price_ticks_are_round_apart_and_inside() -> None:
    for low, high in ((59_000.0, 61_234.0), (1e-8, 3e-8), (0.12345, 0.12399), (1.0, 1_000_000.0)):
        scale = price_scale(low, high, 14)
        ticks, decimals = price_ticks(scale)
        assert ticks
        assert all(scale.low <= tick <= scale.high for tick in ticks)
        rows = [scale.row(tick) for tick in ticks]
        assert all(a is not None and b is not None and a - b >= 2 for a, b in pairwise(rows))
        assert all(float(f"{tick:.{decimals}f}") == pytest.approx(tick, rel=1e-9) for tick in ticks)


def test_a_scale_takes_in_near_levels_and_leaves_far_ones_out() -> None:
    scale = price_scale(100.0, 110.0, 10, [112.0, 200.0, 97.0])
    assert scale.row(112.0) is not None
    assert scale.row(97.0) is not None
    assert scale.row(200.0) is None


def profile_of(weights: Sequence[float], increment: float = 1.0, low: int = 100) -> ProfileView:
    poc = float(PriceGrid(increment).prices(low, len(weights))[np.argmax(weights)])
    return ProfileView(
        "X", NOON - NOON % 86_400_000, increment, low, tuple(weights), poc, poc + increment, poc - increment,
        poc + 0.3, sum(weights), 10, NOON,
    )  # fmt: skip


@given(
    st.lists(st.floats(0, 1e9), min_size=1, max_size=300), st.integers(1, 80),
    st.sampled_from([1.0, 1e-8, 50.0]),
)  # fmt: skip
@example([0.0, 1.0, 0.0], 2, 1e-8)  # the point of control is where two rows of the screen meet
@settings(deadline=None)
def test_the_point_of_control_is_the_longest_bar_however_many_rows_are_merged(
    weights: list[float], rows: int, increment: float
) -> None:
    profile = profile_of(weights, increment)
    low, high = float(profile.prices[0]), float(profile.prices[-1])
    scale = price_scale(low - increment / 2, high + increment / 2, rows)
    found = heaviest_in_rows(profile, scale)
    row = scale.row(profile.poc)
    assert row is not None
    assert found[row] == max(found) == max(weights)


def test_bars_stand_at_their_prices_and_what_lies_outside_is_not_drawn_into_the_edge() -> None:
    profile = profile_of([50.0, 1.0, 3.0, 2.0, 50.0])  # at 100 to 104
    assert heaviest_in_rows(profile, PriceScale(100.5, 103.5, 3)) == [2.0, 3.0, 1.0]
    assert heaviest_in_rows(profile, PriceScale(100.5, 103.5, 6)) == [2.0, 2.0, 3.0, 3.0, 1.0, 1.0]
    assert heaviest_in_rows(profile, PriceScale(98.5, 104.5, 2)) == [50.0, 50.0]
    assert heaviest_in_rows(profile, PriceScale(98.0, 99.0, 2)) == [0.0, 0.0]


@pytest.mark.parametrize(("glyphs", "colors"), [("ascii", True), ("ascii", False), ("braille", False)])
def test_without_colours_the_bars_of_poc_value_area_and_rest_differ(glyphs: str, colors: bool) -> None:
    profile = profile_of([9.0, 8.0, 10.0, 9.0, 7.0])  # POC 102, value area 101 to 103
    palette = palette_of(glyphs, colors=colors)
    strips = text_of(paint_profile(profile, PriceScale(99.5, 104.5, 5), 1, 20, palette))
    outside, inside, poc = strips[4][0], strips[1][0], strips[2][0]
    assert len({outside, inside, poc}) == 3
    assert strips[0][0] == outside


@pytest.mark.parametrize("glyphs", SETS)
@pytest.mark.parametrize(("width", "rows"), [(12, 3), (27, 9), (40, 30)])
@pytest.mark.parametrize(
    "profile",
    [
        profile_of([1.0]),
        profile_of([0.0, 0.0]),
        profile_of([1e-9, 5e-9, 1e-9], 1e-8, 1),
        profile_of([1e9, 5e9, 1e9], 1e4, 100),
    ],
)
def test_every_strip_of_a_profile_has_exactly_its_cells(
    profile: ProfileView, width: int, rows: int, glyphs: str
) -> None:
    scale = price_scale(profile.val, profile.vah, rows)
    assert_exact(paint_profile(profile, scale, 8, width, palette_of(glyphs)), width, rows)


def test_profile_names_its_levels_at_their_rows_and_points_to_those_out_of_sight() -> None:
    profile = profile_of([1.0, 2.0, 9.0, 4.0, 1.0])  # POC 102, VAH 103, VAL 101
    strips = text_of(paint_profile(profile, PriceScale(99.5, 104.5, 5), 1, 30, palette_of("braille")))
    assert "POC  102.0" in strips[2]
    assert "VAH  103.0" in strips[1]
    assert "VAL  101.0" in strips[3]
    assert strips[2].startswith("█" * 16)
    above = text_of(paint_profile(profile, PriceScale(99.5, 101.5, 2), 1, 30, palette_of("braille")))
    assert "POC ↑102.0" in above[0]


SIDES = replace(profile_of([1.0, 2.0, 9.0, 4.0, 1.0]), bought=(1.0, 0.0, 6.0, 1.0, 0.5))


@pytest.mark.parametrize("colors", [True, False])
@pytest.mark.parametrize("glyphs", SETS)
def test_bought_and_sold_stand_beside_each_other_with_the_delta_behind(glyphs: str, colors: bool) -> None:
    palette = palette_of(glyphs, colors=colors)
    strips = text_of(paint_sides(SIDES, PriceScale(99.5, 104.5, 5), 30, palette))
    body, sold, level = palette.glyphs.body, palette.glyphs.sold, palette.glyphs.level
    assert body != sold
    # 17 cells for 9.0: 11 of them for 6.0 that were bought
    assert strips[2] == f"{palette.glyphs.pointer}{body * 11}{sold * 6}{'+3':>7} POC "
    assert strips[1][1:18] == body * 2 + sold * 6 + level * 9
    assert strips[3][1:18] == sold * 4 + level * 13
    assert [strip[18:25].strip() for strip in strips] == ["+0", "-2", "+3", "-2", "+1"]
    assert [strip[25:].strip() for strip in strips] == ["", "VAH", "POC", "VAL", ""]
    below = text_of(paint_sides(SIDES, PriceScale(90.0, 95.0, 5), 30, palette))
    assert {strip.strip() for strip in below} == {""}


def test_a_delta_of_a_profile_row_on_several_rows_of_the_screen_is_written_once() -> None:
    strips = text_of(paint_sides(SIDES, PriceScale(99.5, 104.5, 20), 30, palette_of("braille")))
    assert [strip[18:25].strip() for strip in strips if strip[18:25].strip()] == [
        "+0",
        "-2",
        "+3",
        "-2",
        "+1",
    ]
    assert all(strip[1] != " " for strip in strips)  # the bar of each goes on over all of them


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1)), min_size=1, max_size=300), st.integers(1, 80),
    st.sampled_from([1.0, 0.005, 1e-8, 50.0]),
)  # fmt: skip
@settings(deadline=None)
def test_deltas_and_volumes_of_the_lines_add_up_to_those_of_the_day(
    traded: list[tuple[float, float]], rows: int, increment: float
) -> None:
    profile = replace(
        profile_of([volume for volume, _ in traded], increment),
        bought=tuple(volume * share for volume, share in traded),
    )
    low, high = float(profile.prices[0]), float(profile.prices[-1])
    sides = sides_in_rows(profile, price_scale(low - increment / 2, high + increment / 2, rows))
    volume, bought = sum(profile.weights), sum(profile.bought or ())
    assert float(sides.traded[sides.named].sum()) == pytest.approx(volume)
    deltas = 2 * sides.bought[sides.named] - sides.traded[sides.named]
    assert float(deltas.sum()) == pytest.approx(2 * bought - volume, abs=1e-9 * volume)


def test_the_point_of_control_has_the_longest_bar_of_both_sides_where_lines_merge_rows() -> None:
    """The line above it has more in sum, 9 + 9 of which takers bought 1 + 8."""
    profile = replace(profile_of([10.0, 0.0, 9.0, 9.0]), bought=(10.0, 0.0, 1.0, 8.0))
    upper, lower = text_of(paint_sides(profile, PriceScale(99.5, 103.5, 2), 18, palette_of("ascii")))
    bars = [[line[1:11].count(sign) for sign in "#="] for line in (upper, lower)]
    assert bars == [[4, 5], [10, 0]]
    assert [line[11:18].strip() for line in (upper, lower)] == ["+0", "+10"]


def test_a_line_that_merges_rows_has_their_sum_and_a_row_over_several_lines_has_its_delta_once() -> None:
    def deltas(scale: PriceScale) -> list[str]:
        return [line[18:25].strip() for line in text_of(paint_sides(SIDES, scale, 30, palette_of("ascii")))]

    assert deltas(PriceScale(99.5, 104.5, 1)) == ["+0"]  # of 17.0 takers bought 8.5
    assert deltas(PriceScale(99.5, 105.5, 3)) == ["+0", "+1", "-1"]
    assert [text for text in deltas(PriceScale(99.5, 104.5, 15)) if text] == ["+0", "-2", "+3", "-2", "+1"]
    tall = text_of(paint_sides(SIDES, PriceScale(99.5, 104.5, 15), 30, palette_of("ascii")))
    assert len({line[1:14] for line in tall[6:9]}) == 1  # but its bar in all of them


@pytest.mark.parametrize("glyphs", SETS)
@pytest.mark.parametrize(("width", "rows"), [(9, 3), (18, 9), (28, 30)])
@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e12])
def test_every_strip_of_both_sides_has_exactly_its_cells(
    unit: float, width: int, rows: int, glyphs: str
) -> None:
    assert SIDES.bought is not None
    weights, bought = (tuple(value * unit for value in part) for part in (SIDES.weights, SIDES.bought))
    profile = replace(SIDES, weights=weights, bought=bought)
    scale = price_scale(98.0, 106.0, rows)
    assert_exact(paint_sides(profile, scale, width, palette_of(glyphs)), width, rows)


def test_chart_and_profile_share_one_price_axis() -> None:
    monitor = FakeMonitor(1)
    view = next(iter(monitor.views.values()))
    painted = Chart(monitor).paint(
        monitor.snapshot(), view, 3_600, ChartSize(54, 26, 12), palette_of("braille")
    )
    assert_exact(painted.chart, 48, 12)
    assert_exact(painted.edge, 6, 12)
    assert_exact(painted.profile, 26, 12)
    assert_exact(painted.title, 80, 1)
    poc = next(y for y, text in enumerate(text_of(painted.profile)) if "POC" in text)
    assert painted.chart[poc].text.count("─") > 5


def test_a_last_price_off_the_candles_widens_the_axis_or_stands_at_its_edge() -> None:
    monitor = FakeMonitor(1)
    chart, palette = Chart(monitor), palette_of("braille")
    bars = monitor.bars("BTCUSDT", 3_600, 20)
    low, high = price_range(bars)

    def axis(price: float) -> list[str]:
        monitor.change("BTCUSDT", price=price)
        view = monitor.views["BTCUSDT"]
        painted = chart.paint(monitor.snapshot(), view, 3_600, ChartSize(54, 26, 12), palette)
        assert_exact(painted.chart, 48, 12)
        return [text[:11] for text in text_of(painted.chart)]

    for price in (high, low - (high - low) * 0.4, high + (high - low) * 0.4):
        (marked,) = [text for text in axis(price) if "▸" in text]
        assert f"{price:.2f}▸" in marked
    assert f"{high * 3:.2f}↑" in axis(high * 3)[0]
    assert f"{low / 3:.2f}↓" in axis(low / 3)[-2]


def test_chart_asks_the_monitor_only_when_something_closed() -> None:
    monitor = FakeMonitor(2)
    chart, palette = Chart(monitor), palette_of("braille")
    first, second = monitor.views.values()
    monitor.calls.clear()
    for price in (60_000.0, 60_001.0, 60_002.0):
        monitor.change(first.symbol, price=price)
        chart.paint(monitor.snapshot(), monitor.views[first.symbol], 3_600, ChartSize(54, 26, 12), palette)
    assert [call.split()[0] for call in monitor.calls].count("profile") == 1
    monitor.change(first.symbol, last_closed=NOON)
    chart.paint(monitor.snapshot(), monitor.views[first.symbol], 3_600, ChartSize(54, 26, 12), palette)
    chart.paint(monitor.snapshot(), second, 3_600, ChartSize(54, 26, 12), palette)
    assert [call for call in monitor.calls if call.startswith("profile")] == [
        "profile BTCUSDT", "profile BTCUSDT", "profile ETHUSDT",
    ]  # fmt: skip


def test_bars_fill_from_nothing_to_all_in_exact_cells() -> None:
    for name in SETS:
        for eighth in range(81):
            assert len(bar_text(eighth / 80, 10, GLYPHS[name])) == 10
    assert bar_text(0.0, 4, GLYPHS["braille"]) == "┈┈┈┈"
    assert bar_text(0.5, 4, GLYPHS["braille"]) == "██┈┈"
    assert bar_text(1.0, 4, GLYPHS["braille"]) == "████"
    progress = with_troubles(FakeMonitor(12)).views["BNBUSDT"].progress
    assert progress is not None
    for width in (20, 42, 60):
        assert len(progress_text(progress, width, GLYPHS["braille"])) == width
    assert "68%" in progress_text(progress, 42, GLYPHS["braille"])


@pytest.mark.parametrize("width", [20, 68, 120])
def test_status_line_gives_up_the_least_important_first(width: int) -> None:
    monitor = with_troubles(FakeMonitor(12))
    parts = status_line(monitor.snapshot(), 12, True, "feeder-tui", width, GLYPHS["braille"])
    text = "".join(text for text, _ in parts)
    assert cell_len(text) <= width
    assert text.startswith("● LIVE 12 sym")
    if width >= 68:
        assert "FROZEN" in text
        assert "gaps 1!" in text
        assert "lmdb ok" in text


def test_breadth_and_movers_have_their_place_before_what_is_well() -> None:
    monitor = with_troubles(FakeMonitor(12))
    snapshot, glyphs = monitor.snapshot(), GLYPHS["braille"]
    groups = MarketGroups().groups(snapshot, 3_600, glyphs)
    assert len(groups) == 4
    narrow, wide = (
        "".join(text for text, _ in status_line(snapshot, 12, False, "feeder-tui", width, glyphs, groups))
        for width in (60, 110)
    )
    assert " 1h ▲" in narrow
    assert "lmdb" not in narrow
    first = "".join(text for text, _ in groups[1])
    assert f"lmdb ok │ {first} │" in wide


def test_a_mover_has_the_change_of_its_row_in_every_snapshot() -> None:
    monitor, groups, glyphs = FakeMonitor(4), MarketGroups(), GLYPHS["braille"]
    name = max(monitor.views, key=lambda name: abs(monitor.views[name].change_24h or 0.0))
    for change in (25.78, 25.63):
        monitor.change(name, change_24h=change)
        snapshot = replace(monitor.snapshot(), taken_at=100.0)
        first = groups.groups(snapshot, 3_600, glyphs)[1]
        assert first[1] == (cells.percent_text(change, 5), Role.UP)
    monitor.change(name, change_24h=None)
    snapshot = replace(monitor.snapshot(), taken_at=100.0)
    assert len(groups.groups(snapshot, 3_600, glyphs)) == 3


@pytest.mark.parametrize(("market", "text"), [("", "rest 61/2400"), ("spot", "rest spot 61/2400")])
def test_of_several_markets_the_weight_is_that_of_one_with_its_name(market: str, text: str) -> None:
    snapshot = replace(FakeMonitor(2).snapshot(), weight_market=market)
    parts = status_line(snapshot, 2, False, "feeder-tui", 120, GLYPHS["braille"])
    assert f"│ {text} │" in "".join(text for text, _ in parts)


def test_news_that_has_no_room_is_left_out_and_no_number_of_it_cut() -> None:
    monitor = with_troubles(FakeMonitor(12))
    news = news_line(monitor.snapshot(), None, GLYPHS["braille"])
    whole = "".join(text for text, _ in news)
    for width in range(56, cell_len(whole) + 1):
        found = "".join(text for text, _ in without_excess(news, width))
        assert cell_len(found) <= width
        assert found.startswith("! gap BTCUSDT 13:41→13:44 (3 candles) backfilling 67%")
        assert set(found.split(" · ")) <= set(whole.split(" · "))
    assert found == whole


@pytest.mark.parametrize(
    "state", ["starting", "backfill", "degraded", "stopping", "stopped", "failed", "odd"]
)
def test_every_state_of_the_engine_is_said(state: str) -> None:
    monitor = FakeMonitor(3)
    monitor.state = state
    text = "".join(t for t, _ in status_line(monitor.snapshot(), 3, False, "", 80, GLYPHS["braille"]))
    assert state.upper() in text


def test_news_line_says_what_matters_now() -> None:
    monitor = with_troubles(FakeMonitor(12))
    text = "".join(t for t, _ in news_line(monitor.snapshot(), None, GLYPHS["braille"]))
    assert text.startswith("! gap BTCUSDT 13:41→13:44 (3 candles) backfilling 67% · REST · next try 2s")
    monitor.gaps = ()
    text = "".join(t for t, _ in news_line(monitor.snapshot(), None, GLYPHS["braille"]))
    assert "history: 10 of 12 symbols read, 1m20s to go" in text
    calm = FakeMonitor(3)
    text = "".join(t for t, _ in news_line(calm.snapshot(), None, GLYPHS["braille"]))
    assert "no minute missing · 1,036,800 candles" in text
    calm.change("BTCUSDT", missing_minutes=1_200)
    text = "".join(t for t, _ in news_line(calm.snapshot(), None, GLYPHS["braille"]))
    assert "1,200 minutes missing" in text


def test_history_has_one_bar_over_everything_that_names_all_symbols_and_the_time_left() -> None:
    monitor = FakeMonitor(150)
    names = list(monitor.views)
    for name in names[:5]:
        monitor.change(name, state=SymbolState.BACKFILL,
                       progress=Progress(900, 1_000, 1_000, 1, 4, "monthly files", 1.0))  # fmt: skip
    for name in names[100:]:
        monitor.change(name, state=SymbolState.WAITING)
    shown = []
    for fraction, eta in ((0.16, 754.0), (0.42, 400.0), (1.0, None)):
        snapshot = replace(monitor.snapshot(), history_fraction=fraction, history_eta=eta, state="backfill")
        shown.append("".join(text for text, _ in news_line(snapshot, None, GLYPHS["braille"])))
    assert shown[0] == "◐  16% ███▎┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈ history: 95 of 150 symbols read, 12m34s to go"
    assert "6m40s to go" in shown[1]
    assert "100% ████████████████████" in shown[2]
    # While no symbol happens to be read, as between two, the line stays.
    for name in names[:5]:
        monitor.change(name, state=SymbolState.WAITING, progress=None)
    between = replace(monitor.snapshot(), history_fraction=0.5, state="backfill")
    assert " 50% " in "".join(text for text, _ in news_line(between, None, GLYPHS["braille"]))


@pytest.mark.parametrize("glyphs", SETS)
@pytest.mark.parametrize("width", [80, 100, 200])
def test_lists_have_exactly_their_cells(width: int, glyphs: str) -> None:
    start = NOON - NOON % MINUTE_MS
    gaps = [
        GapView(
            "币安人生USDT", start - i * 86_400_000, start + 60_000, 1 + i, "filling", i, "REST", "why", None
        )
        for i in range(12)
    ]
    events = [
        Event(start + i, "error", "币安人生USDT" if i % 2 else None, f"event {i} " * 30) for i in range(12)
    ]
    assert_exact(paint_gaps(gaps, 11, NOON, 1.0, width, 6, palette_of(glyphs)), width, 6)
    assert_exact(paint_gaps([], -1, NOON, 1.0, width, 6, palette_of(glyphs)), width, 6)
    palette = palette_of(glyphs)
    listed = events_in_sight(events, 3, width, 6, palette)
    assert len(listed) == 6
    assert_exact([palette.strip(parts, width) for _, parts in listed], width, 6)
    assert events_in_sight([], 0, width, 6, palette) == []


@given(
    st.lists(st.text(st.sampled_from("ab .:é币"), max_size=200), max_size=30),
    st.integers(20, 120),
    st.integers(1, 40),
    st.integers(0, 40),
)
@settings(deadline=None, max_examples=examples(60))
def test_no_line_of_the_log_is_cut_and_every_one_can_be_reached(
    texts: list[str], width: int, height: int, above: int
) -> None:
    palette = palette_of("braille")
    events = [
        Event(NOON + at, "warning", "BTCUSDT" if at % 2 else None, text) for at, text in enumerate(texts)
    ]
    for event in events:
        rows = event_rows(event, width, palette)
        assert all(cell_len("".join(text for text, _ in row).rstrip()) <= width for row in rows)
        shown = "".join(text for row in rows for text, _ in row)
        assert "".join(shown.split()).endswith("".join(event.text.split()))
    most = most_above(events, width, height, palette)
    above = min(above, most)
    listed = events_in_sight(events, above, width, height, palette)
    assert len(listed) <= height
    assert [at for at, _ in listed] == sorted(at for at, _ in listed)
    if events:
        assert listed[-1][0] == len(events) - 1 - above
        oldest = events_in_sight(events, most, width, height, palette)
        assert oldest[0][0] == 0
        assert len(event_rows(events[0], width, palette)) > height or (
            oldest[0][1] == event_rows(events[0], width, palette)[0]
        )


def test_ascii_likeness_keeps_the_cells() -> None:
    for text in ("▲▼■ – → · …", "币安人生USDT", "│┈█▏⣿┤└"):
        assert ascii_only(text).isascii()
        assert len(ascii_only(text)) == cell_len(text)


def test_a_cut_text_in_ascii_has_no_sign_that_means_guessed() -> None:
    palette = palette_of("ascii")
    assert ascii_only(cells.fit("warming", 5)) == "war.."
    assert ascii_only("…") == "."
    assert len(ascii_only("人…")) == 3
    for width, text in ((5, "war.."), (2, ".."), (1, "."), (7, "warming")):
        assert palette.strip([("warming", Role.TEXT)], width).text == text


def test_without_colours_no_role_has_one() -> None:
    palette = palette_of("braille", colors=False)
    for style in (*palette.styles.values(), palette.selected):
        assert style.color is None
        assert style.bgcolor is None


def test_every_theme_gives_every_role_a_colour_of_its_own_where_it_matters() -> None:
    assert set(theme_names()) >= {"feeder-dark", "feeder-light", "green-red", "high-contrast", "ansi-16"}
    for name in theme_names():
        theme = load_theme(name)
        assert set(theme.styles) == set(Role)
        assert theme.styles[Role.UP] != theme.styles[Role.DOWN]
        assert theme.styles[Role.POC] != theme.styles[Role.VALUE_AREA]


def test_an_unknown_theme_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown theme 'neon'; there are: feeder-dark, .*high-contrast"):
        load_theme("neon")
