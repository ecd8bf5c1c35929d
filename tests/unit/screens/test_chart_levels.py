"""Profile tools and delta on the chart: what is drawn is what the monitor gave, at every size."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from examples import some_of
from fake_monitor import DAY_MS, NOON, FakeMonitor
from rich.cells import cell_len
from screens import app_of, palette_of, settled, text_of

from tui_feeder.bars import delta_of
from tui_feeder.monitor import LevelLines, NakedPoc, Rows
from tui_feeder.screens.chart import ChartScreen
from tui_feeder.widgets import cells
from tui_feeder.widgets.candles import Canvas, Line, Slots, draw_line
from tui_feeder.widgets.chart import Chart, ChartSize
from tui_feeder.widgets.delta_pane import DeltaPane
from tui_feeder.widgets.palette import Role
from tui_feeder.widgets.scale import PriceScale

HOUR = 3_600_000
TODAY = NOON - NOON % DAY_MS
SIZE = ChartSize(90, 26, 30, 3, delta=8)


def lines_of(chart: Chart, monitor: FakeMonitor) -> list[str]:
    painted = chart.paint(monitor.snapshot(), monitor.views["BTCUSDT"], 3_600, SIZE, palette_of("braille"))
    parts = zip(painted.chart, painted.edge, painted.profile, strict=True)
    return [*text_of(painted.title), *("".join(strip.text for strip in row) for row in parts)]


def values(chart: Chart, name: str) -> np.ndarray:
    return np.array(next(line.values for line in chart.tools.lines if line.name == name))


# -- delta and CVD


def test_cvd_begins_at_midnight_though_the_first_bar_in_sight_is_later() -> None:
    monitor = FakeMonitor(2)
    bars = monitor.bars("BTCUSDT", 3_600, 30)
    pane = DeltaPane(monitor)
    pane.fetch("BTCUSDT", bars, Slots(3_600, 2, 80, int(bars["open_time"][-1])))
    every = monitor.bars("BTCUSDT", 3_600, 400)
    for place, bar in enumerate(bars):
        day = bar["open_time"] // DAY_MS * DAY_MS
        since = every[(every["open_time"] >= day) & (every["open_time"] <= bar["open_time"])]
        assert pane.cvd[place] == pytest.approx(
            delta_of(since["volume"].sum(), since["taker_buy_volume"].sum())
        )
        assert pane.deltas[place] == pytest.approx(2 * bar["taker_buy_volume"] - bar["volume"])


def test_deltas_have_the_digits_of_their_volumes() -> None:
    monitor = FakeMonitor(2)
    bars: Rows = monitor.bars("BTCUSDT", 3_600, 3).copy()
    bars["open_time"] = NOON // DAY_MS * DAY_MS + np.arange(3) * HOUR
    bars["volume"], bars["taker_buy_volume"] = [0.3, 0.3, 0.1], [0.1, 0.1, 0.1]
    pane = DeltaPane(monitor)
    pane.fetch("BTCUSDT", bars, Slots(3_600, 2, 80, int(bars["open_time"][-1])))
    assert pane.deltas.tolist() == [-0.1, -0.1, 0.1]  # 2 x 0.1 - 0.3 is -0.09999999999999998
    assert pane.cvd.tolist() == [-0.1, -0.2, -0.1]


def test_bars_above_the_line_are_bought_and_those_below_are_sold() -> None:
    monitor = FakeMonitor(2)
    bars: Rows = monitor.bars("BTCUSDT", 3_600, 3).copy()
    bars["volume"], bars["taker_buy_volume"] = 10.0, [10.0, 0.0, 5.0]
    pane = DeltaPane(monitor)
    slots = Slots(3_600, 2, 20, int(bars["open_time"][-1]))
    pane.fetch("BTCUSDT", bars, slots)
    canvas = pane.paint(slots.columns(bars), 20, 8, slots, palette_of("braille"))
    bought, sold, even = (["".join(row[x]) for row in canvas.text[4:]] for x in slots.columns(bars))
    assert bought == ["█", "█", " ", " "]
    assert sold == [" ", " ", "█", "█"]
    assert even == [" "] * 4
    pane.clear()
    assert all(set(row) == {" "} for row in pane.paint([], 20, 8, slots, palette_of("braille")).text)


@pytest.mark.parametrize(("value", "text"), [(float("nan"), "–"), (0.0, "+0"), (-1234.0, "-1.23k")])
def test_a_delta_has_its_sign(value: float, text: str) -> None:
    assert cells.signed_text(value).startswith(text[:2])


# -- levels


def test_naked_pocs_run_to_the_right_edge_and_are_named() -> None:
    monitor = FakeMonitor(2)
    chart = Chart(monitor)
    chart.tools.levels = True
    lines = lines_of(chart, monitor)
    named = [line for line in lines if "naked 01-31" in line or "naked 02-01" in line]
    assert len(named) == 2
    assert all("╌╌" in line or "┈┈" in line for line in named)  # the value area may lie on it
    chart.tools.levels = False
    assert not any("naked" in line for line in lines_of(chart, monitor))


class OneLevel(FakeMonitor):
    """Whose yesterday's point of control is naked, just above all that was traded since."""

    def naked_pocs(self, symbol: str, patience: float | None = None) -> tuple[NakedPoc, ...]:
        """At the highest price."""
        return (NakedPoc(TODAY - DAY_MS, float(self.bars(symbol, 3_600, 40)["high"].max())),)


def test_a_naked_poc_begins_with_the_day_after_its_own() -> None:
    monitor = OneLevel(2)
    chart = Chart(monitor)
    chart.tools.levels = True
    (row,) = (line for line in lines_of(chart, monitor) if "naked" in line)
    assert "naked 02-02" in row
    assert chart._scale is not None
    at = chart._scale.row(monitor.naked_pocs("BTCUSDT")[0].price)
    assert at is not None
    midnight = chart._slots.column(TODAY)
    assert "╌" not in chart._canvas.text[at][:midnight]
    assert chart._canvas.text[at][midnight + 1] == "╌"


def test_developing_levels_are_those_of_the_ends_of_bars() -> None:
    monitor = FakeMonitor(2)
    chart = Chart(monitor)
    chart.tools.levels = True
    lines_of(chart, monitor)
    given = monitor.developing("BTCUSDT", TODAY, 60)
    assert given is not None
    known = dict(zip(given.times, given.poc, strict=True))
    shown = values(chart, "dPC")
    for bar, value in zip(chart.bars, shown, strict=True):
        end = int(bar["open_time"]) + HOUR
        today = bar["open_time"] >= TODAY
        assert (value == known[end]) if today and end in known else np.isnan(value)
    assert np.isfinite(shown).sum() >= 10
    text = chart.read_out(monitor.snapshot(), monitor.views["BTCUSDT"], palette_of("braille"), 400)[0].text
    chart.cursor = int(chart.bars["open_time"][-2])
    pointed = chart.read_out(monitor.snapshot(), monitor.views["BTCUSDT"], palette_of("braille"), 400)[0].text
    assert "dev POC" not in text
    assert "dev POC" in pointed
    assert "CVD" in pointed


class NoProfiles(FakeMonitor):
    """Without developing levels, or with empty ones."""

    empty: LevelLines | None = None

    def developing(
        self, symbol: str, day: int, every: int, patience: float | None = None
    ) -> LevelLines | None:
        """Nothing."""
        return self.empty


def test_days_without_a_profile_have_no_lines() -> None:
    monitor = NoProfiles(2)
    chart = Chart(monitor)
    chart.tools.levels = True
    lines_of(chart, monitor)
    assert chart.tools.lines == ()
    monitor.empty = LevelLines((), (), (), (), ())
    other = Chart(monitor)
    other.tools.levels = True
    lines_of(other, monitor)
    assert all(np.isnan(line.values).all() for line in other.tools.lines)


# -- marks


def test_a_mark_anchors_the_vwap_two_make_a_profile_and_a_third_replaces_the_second() -> None:
    monitor = FakeMonitor(2)
    chart = Chart(monitor)
    lines_of(chart, monitor)
    times = chart.bars["open_time"].tolist()
    assert chart.tools.mark(times[-10]) == "VWAP from the mark"
    lines = lines_of(chart, monitor)
    assert any("aVW" in line for line in lines)
    line = monitor.anchored("BTCUSDT", times[-10], 3_600)
    assert values(chart, "aVW")[-10:].tolist() == list(line.vwap)
    assert values(chart, "+2s")[-1] == pytest.approx(line.vwap[-1] + 2 * line.deviation[-1])
    assert np.isnan(values(chart, "aVW")[:-10]).all()
    assert chart.tools.mark(times[-20]).endswith("profile between both")
    assert any("marks 1-2, 843 min, ~" in line for line in lines_of(chart, monitor))
    assert chart.tools.marks == (times[-20], times[-10])
    assert f"range_profile BTCUSDT (({times[-20]}, {times[-10] + HOUR}),)" in monitor.calls
    chart.tools.mark(times[-5])
    assert chart.tools.marks == (times[-20], times[-5])
    chart.tools.mark(times[-5])
    assert chart.tools.mark(times[-20]) == "no marks"
    assert not any("aVW" in line for line in lines_of(chart, monitor))


def test_another_symbol_has_no_marks() -> None:
    monitor = FakeMonitor(2)
    chart = Chart(monitor)
    lines_of(chart, monitor)
    chart.tools.mark(int(chart.bars["open_time"][-3]))
    chart.paint(monitor.snapshot(), monitor.views["ETHUSDT"], 3_600, SIZE, palette_of("braille"))
    assert chart.tools.marks == ()


@pytest.mark.parametrize("width", [9, 12, 18, 22, 26, 30])
@pytest.mark.parametrize("glyphs", ["braille", "ascii"])
def test_how_exact_a_profile_is_is_never_cut(width: int, glyphs: str) -> None:
    monitor = FakeMonitor(2)
    chart, size, view = Chart(monitor), ChartSize(90, width, 30, 3), monitor.views["BTCUSDT"]
    for end, known in ((None, "~"), (TODAY, "exact"), (TODAY - DAY_MS, "97 %")):
        chart.end = end
        painted = chart.paint(monitor.snapshot(), view, 3_600, size, palette_of(glyphs))
        words = painted.profile[-1].text[2:].rstrip()
        assert words == known or words.endswith(f", {known}")
        assert words.count("~") == (known == "~")
        if width == 30:
            day = "today" if end is None else cells.date_text(end - 1)
            assert words == f"profile, {day} UTC, {known}"[:29] or words == f"{day} UTC, {known}"


# -- what tells lines apart where there are no colours


@pytest.mark.parametrize(("glyphs", "colors"), [("ascii", False), ("ascii", True), ("braille", False)])
def test_every_line_and_level_has_a_sign_of_its_own(glyphs: str, colors: bool) -> None:
    monitor, palette = FakeMonitor(2), palette_of(glyphs, colors)
    chart, size = Chart(monitor), ChartSize(120, 26, 46, 3)
    chart.tools.levels = True
    view = monitor.views["BTCUSDT"]
    chart.paint(monitor.snapshot(), view, 3_600, size, palette)
    chart.tools.mark(int(chart.bars["open_time"][-20]))
    painted = chart.paint(monitor.snapshot(), view, 3_600, size, palette)
    signs: dict[object, set[str]] = {}
    for text, roles in zip(chart._canvas.text, chart._canvas.roles, strict=True):
        for sign, role in zip(text[:-8], roles, strict=False):
            signs.setdefault(role, set()).add(sign)
    drawn = set().union(*signs.values())
    assert set("WHLP12") <= drawn
    levels = {palette.glyphs.level, palette.glyphs.level_solid, palette.glyphs.level_dashed}
    assert len(levels) == 3
    assert levels <= drawn
    title = painted.title[0].text
    if glyphs == "ascii":
        assert signs[Role.EMA_FAST] == {"*"}
        assert signs[Role.EMA_SLOW] == {"o"}
        assert "* e21" in title
        assert "o e89" in title


def test_without_colours_the_slow_line_is_dashed() -> None:
    monitor, bars = FakeMonitor(1), FakeMonitor(1).bars("BTCUSDT", 3_600, 40)
    chart = Chart(monitor)
    palettes = [palette_of("braille", colors) for colors in (True, False)]
    dots = []
    for palette in palettes:
        chart.paint(monitor.snapshot(), monitor.views["BTCUSDT"], 3_600, SIZE, palette)
        canvas = Canvas(90, 30)
        line = Line("e89", [15.0] * len(bars), Role.EMA_SLOW)
        draw_line(canvas, line, list(range(0, 80, 2)), 2, PriceScale(10.0, 20.0, 30), palette, order=1)
        dots.append(
            sum((ord(sign) - 0x2800).bit_count() for row in canvas.text for sign in row if sign > "\u2800")
        )
    assert dots[1] == pytest.approx(dots[0] * 4 / 6, rel=0.05)


# -- the screen


@pytest.mark.parametrize(
    ("size", "glyphs"), some_of(tuple(product(((80, 24), (200, 60), (120, 40)), ("braille", "ascii"))))
)
async def test_keys_show_and_hide_all_of_it_at_every_size(size: tuple[int, int], glyphs: str) -> None:
    app = app_of(FakeMonitor(4), symbol_set=glyphs)
    async with app.run_test(size=size) as pilot:
        await pilot.press("2", "d", "n", "left", "left", "left", "m", "right", "m")
        lines = await settled(pilot)
        assert all(cell_len(line) == size[0] for line in lines)
        text = "\n".join(lines)
        assert "CVD" in text
        assert "aVW" in text
        if glyphs == "ascii":
            assert text.isascii()
        screen = app.screen
        assert isinstance(screen, ChartScreen)
        assert len(screen.chart.tools.marks) == 2
        table = screen.table()
        assert table is not None
        await pilot.press("d", "n", "m", "left", "m")
        text = "\n".join(await settled(pilot))
        assert "CVD" not in text
        assert "naked" not in text
