"""What a chart can do beside candles: go to a time, logarithmic axis, comparison, basis, time zones."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from fake_monitor import NOON, FakeMonitor
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from screens import SCREENS, app_of, palette_of, settled, text_of
from textual.pilot import Pilot

from tui_feeder.app import ExitReason
from tui_feeder.monitor import MINUTE_MS, Event, GapView, Rows
from tui_feeder.screens.chart import ChartScreen
from tui_feeder.time_format import parse_moment, time_zone
from tui_feeder.widgets.axes import paint_price_axis, paint_time_axis
from tui_feeder.widgets.candles import Slots
from tui_feeder.widgets.chart import Chart, ChartSize
from tui_feeder.widgets.comparison import aligned_closes, basis_pair, basis_points, rescaled
from tui_feeder.widgets.scale import PriceScale, price_scale, price_ticks

HOUR = 3_600_000
NEWEST = NOON - NOON % HOUR - HOUR  # open time of the last completed hour
SIZE = ChartSize(70, 26, 24, 3)


class PairMonitor(FakeMonitor):
    """BTCUSDT, ETHUSDT and BTCUSDT in spot, whose closes are so much lower that the basis is 10 bp."""

    def __init__(self) -> None:
        super().__init__(2)
        future = self.views["BTCUSDT"]
        assert future.price is not None
        self.views["spot:BTCUSDT"] = replace(future, symbol="spot:BTCUSDT", price=future.price / 1.001)
        for (symbol, timeframe), rows in list(self._bars.items()):
            if symbol == "BTCUSDT":
                self._bars["spot:BTCUSDT", timeframe] = lower = rows.copy()
                lower["close"] /= 1.001


def chart_lines(chart: Chart, monitor: FakeMonitor, symbol: str, size: ChartSize, glyphs: str) -> list[str]:
    painted = chart.paint(monitor.snapshot(), monitor.views[symbol], 3_600, size, palette_of(glyphs))
    parts = zip(painted.chart, painted.edge, painted.profile, strict=True)
    return [*text_of(painted.title), *("".join(s.text for s in row) for row in parts)]


# Logarithmic axis


def test_on_a_logarithmic_scale_equal_ratios_are_equally_far_apart() -> None:
    scale = PriceScale(1.0, 10_000.0, 40, log=True)
    assert [scale.position(10.0**n) for n in range(5)] == pytest.approx([40, 30, 20, 10, 0])
    assert scale.edges()[0] == 10_000.0
    assert scale.edges()[-1] == 1.0
    assert np.diff(np.log(scale.edges())) == pytest.approx([-math.log(10) / 10] * 40)
    assert scale.row(0.0) is None
    assert scale.row(-1.0) is None


@given(low=st.floats(1e-8, 1e6), ratio=st.floats(1.0001, 1e5), rows=st.integers(4, 60), log=st.booleans())
def test_labels_of_both_scales_are_inside_and_apart(low: float, ratio: float, rows: int, log: bool) -> None:
    scale = price_scale(low, low * ratio, rows, log=log)
    assert scale.log == log
    ticks, decimals = price_ticks(scale, 3)
    assert decimals >= 0
    places = [scale.row(tick) for tick in ticks]
    assert None not in places
    found = sorted(place for place in places if place is not None)
    assert all(after - before >= 2 for before, after in pairwise(found))


def test_a_price_range_that_reaches_zero_keeps_its_linear_axis() -> None:
    assert not price_scale(0.0, 10.0, 10, log=True).log


# Comparison


def test_closes_of_another_symbol_are_aligned_by_time() -> None:
    bars = FakeMonitor(1).bars("BTCUSDT", 3_600, 6).copy()
    others = bars[[0, 2, 3, 5]].copy()
    others["close"] = [10.0, 20.0, 30.0, 40.0]
    assert aligned_closes(bars, others) == pytest.approx([10, math.nan, 20, 30, math.nan, 40], nan_ok=True)
    assert np.isnan(aligned_closes(bars, others[:0])).all()


def test_a_compared_symbol_begins_where_the_other_is_and_moves_by_its_own_percent() -> None:
    bars = FakeMonitor(1).bars("BTCUSDT", 3_600, 4).copy()
    bars["close"] = [100.0, 200.0, 210.0, 220.0]
    prices = rescaled(bars, np.array([math.nan, 4.0, 5.0, 2.0]))
    assert prices == pytest.approx([math.nan, 200.0, 250.0, 100.0], nan_ok=True)


def test_a_comparison_shows_percent_at_the_axis_and_both_changes_in_the_read_out() -> None:
    monitor, chart = FakeMonitor(2), Chart(FakeMonitor(2))
    chart.compared = "ETHUSDT"
    for glyphs in ("braille", "block", "ascii"):
        lines = chart_lines(chart, monitor, "BTCUSDT", SIZE, glyphs)
        assert "vs ETHUSDT" in lines[0]
        assert sum("%" in line[:12] for line in lines) >= 3
        assert any("ETH" in line[50:70] for line in lines)
        assert {cell_len(line) for line in lines} == {96}
    read_out = chart.read_out(monitor.snapshot(), monitor.views["BTCUSDT"], palette_of("braille"), 100, 2)
    text = " ".join(text_of(read_out))
    mine, theirs = chart.bars["close"], monitor.bars("ETHUSDT", 3_600, len(chart.bars))["close"]
    assert f"since left {(mine[-1] / mine[0] - 1) * 100:+.2f}%" in text
    assert f"ETHUSDT {(theirs[-1] / theirs[0] - 1) * 100:+.2f}%" in text


def test_percent_labels_are_where_their_prices_are() -> None:
    for log in (False, True):
        scale = price_scale(50.0, 200.0, 30, log=log)
        axis = text_of(paint_price_axis(scale, None, 2, 12, palette_of("braille"), base=100.0))
        found = {row: float(text[:-1].strip(" %")) for row, text in enumerate(axis) if "%" in text}
        assert len(found) >= 4
        assert all(scale.row(100.0 * (1 + percent / 100)) == row for row, percent in found.items())


# Basis


def test_a_basis_needs_a_future_and_its_pair_in_spot() -> None:
    followed = {"BTCUSDT", "spot:BTCUSDT", "ETHUSDT", "spot:SOLUSDT"}
    assert basis_pair("BTCUSDT", followed) == ("BTCUSDT", "spot:BTCUSDT")
    assert basis_pair("spot:BTCUSDT", followed) == ("BTCUSDT", "spot:BTCUSDT")
    assert basis_pair("ETHUSDT", followed) is None
    assert basis_pair("spot:SOLUSDT", followed) is None
    assert basis_points(np.array([100.25, 5.0, math.nan]), np.array([100.0, 0.0, 1.0])) == pytest.approx(
        [25.0, math.nan, math.nan], nan_ok=True
    )


@pytest.mark.parametrize("symbol", ["BTCUSDT", "spot:BTCUSDT"])
def test_the_basis_is_a_line_below_the_candles_of_either_market(symbol: str) -> None:
    monitor = PairMonitor()
    chart = Chart(monitor)
    size = replace(SIZE, basis=4)
    for glyphs in ("braille", "ascii"):
        lines = chart_lines(chart, monitor, symbol, size, glyphs)
        assert {cell_len(line) for line in lines} == {96}
        assert len(lines) == size.height + 1
        assert any("+10.0 bp" in line[:12] for line in lines[-6:-1])
    assert chart.basis.values == pytest.approx([10.0] * len(chart.bars))
    text = " ".join(
        text_of(chart.read_out(monitor.snapshot(), monitor.views[symbol], palette_of("ascii"), 120, 2))
    )
    assert "basis +10.0 bp" in text


def test_beside_the_present_basis_the_greatest_and_the_least_are_named() -> None:
    """The present one is among them, and is drawn where its bar is in progress."""
    monitor = PairMonitor()
    spot = monitor.views["spot:BTCUSDT"]
    assert spot.price is not None
    monitor.change("spot:BTCUSDT", price=spot.price * 1.0002)
    chart = Chart(monitor)
    lines = chart_lines(chart, monitor, "BTCUSDT", replace(SIZE, basis=3), "braille")
    assert [line.partition("┤")[0].strip() for line in lines[-4:-1]] == ["max +10.0", "+8.0 bp", "min +8.0"]
    painted = chart.paint(
        monitor.snapshot(), monitor.views["BTCUSDT"], 3_600, replace(SIZE, basis=3), palette_of("braille")
    )
    assert painted.edge[-2].text.strip()  # at the bottom
    monitor.change("spot:BTCUSDT", price=spot.price * 0.9998)  # within the same bar, off the scale
    painted = chart.paint(
        monitor.snapshot(), monitor.views["BTCUSDT"], 3_600, replace(SIZE, basis=3), palette_of("braille")
    )
    assert painted.edge[-4].text.strip()
    assert "max +12.0" in painted.chart[-4].text
    chart.pan(-0.5, monitor.views["BTCUSDT"].first_minute)
    lines = chart_lines(chart, monitor, "BTCUSDT", replace(SIZE, basis=3), "braille")
    assert [line.partition("┤")[0].strip() for line in lines[-4:-1]] == [
        "max +10.0",
        "now +12.0",
        "min +10.0",
    ]


class LateMonitor(PairMonitor):
    """Has bars of one symbol until ``answers`` is set, as a slow feeder that a screen is attached to."""

    answers = False

    def bars(self, symbol: str, timeframe: int, count: int, end: int | None = None) -> Rows:
        rows = super().bars(symbol, timeframe, count, end)
        return rows if symbol == "BTCUSDT" or self.answers else rows[:0]


def test_bars_of_other_symbols_that_come_later_are_drawn_when_they_are_there() -> None:
    monitor = LateMonitor()
    chart = Chart(monitor)
    chart.compared = "ETHUSDT"
    size = replace(SIZE, basis=4)
    lines = chart_lines(chart, monitor, "BTCUSDT", size, "braille")
    assert not any("ETH" in line[50:70] for line in lines[1:])
    monitor.calls.clear()
    chart_lines(chart, monitor, "BTCUSDT", size, "braille")
    assert not any(call.startswith("profile") for call in monitor.calls)  # nothing else is asked for again
    monitor.answers = True
    lines = chart_lines(chart, monitor, "BTCUSDT", size, "braille")
    assert any("ETH" in line[50:70] for line in lines[1:])
    assert chart.basis.values == pytest.approx([10.0] * len(chart.bars))
    monitor.calls.clear()
    chart_lines(chart, monitor, "BTCUSDT", size, "braille")
    assert monitor.calls == []


# Going to a time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("13:30", "2026-02-03T13:30"),
        ("23:30", "2026-02-02T23:30"),  # the last one
        ("02-01", "2026-02-01T00:00"),
        ("12-31 06:05", "2025-12-31T06:05"),
        ("2025-11-02 10:00", "2025-11-02T10:00"),
        ("2025-11-02", "2025-11-02T00:00"),
        ("-3d", "2026-01-31T14:03:22"),
        ("-90m", "2026-02-03T12:33:22"),
    ],
)
def test_times_are_understood_as_they_are_typed(text: str, expected: str) -> None:
    for zone in (UTC, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")):
        now = datetime(2026, 2, 3, 14, 3, 22, tzinfo=zone)
        moment = parse_moment(text, round(now.timestamp() * 1000), zone)
        assert datetime.fromtimestamp(moment / 1000, zone) == datetime.fromisoformat(expected).replace(
            tzinfo=zone
        )


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "02-30", "-d", "2026-02-03 14", "1969-01-01", "99999-01-01"]
)
def test_what_is_no_time_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|outside"):
        parse_moment(text, NOON, UTC)


async def typed(pilot: Pilot[ExitReason], text: str) -> None:
    names = {"-": "minus", ":": "colon", " ": "space"}
    await pilot.press(*(names.get(letter, letter) for letter in text), "enter")


async def test_g_goes_to_a_time_and_says_why_it_cannot() -> None:
    app = app_of(FakeMonitor(2))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2", "g")
        await typed(pilot, "02-01 09:20")
        lines = await settled(pilot)
        assert isinstance(app.screen, ChartScreen)
        assert lines[2].startswith(" 02-01 09:00")
        at = lines[-2].index(" 02-01 09:00 ")
        assert 10 < at < 45  # in the middle
        await pilot.press("g")
        await typed(pilot, "2020-01-01")
        assert "before the first candle" in "\n".join(await settled(pilot))
        await pilot.press("escape", "g")
        await typed(pilot, "tomorrow")
        assert "not a time; write 14:30, 02-03, 2026-02-03 14:30, -4h or -3d │" in "\n".join(
            await settled(pilot)
        )
        await pilot.press("escape", "end")
        assert app.screen.chart.following


async def test_keys_choose_scale_and_comparison() -> None:
    app = app_of(PairMonitor())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("2", "l", "C")
        await typed(pilot, "eth")
        title = (await settled(pilot))[1]
        assert "vs ETHUSDT, log scale" in title
        await pilot.press("C", "l")
        lines = await settled(pilot)
        assert "ETHUSDT" not in lines[1]
        assert "log" not in lines[1]
        assert any(" bp┤" in line for line in lines)
        await pilot.press("b")
        assert not any(" bp┤" in line for line in await settled(pilot))
        await pilot.press("down", "b")
        assert "follow the future and its pair in spot" in (await settled(pilot))[-1]


# Time zones


def test_time_zones_are_found_by_name() -> None:
    assert time_zone("UTC") is UTC
    assert time_zone("local") is None
    assert time_zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    for name in ("Europe", "Mars/Base", "", "../../etc/passwd"):
        with pytest.raises(ValueError, match="is not a time zone"):
            time_zone(name)


def test_a_time_axis_is_labelled_by_the_clocks_of_its_zone() -> None:
    bars = FakeMonitor(1).bars("BTCUSDT", 3_600, 60)
    slots = Slots(3_600, 2, 120, NEWEST, ahead=2)

    def labels(zone: tzinfo) -> str:
        palette = palette_of("braille")
        palette.zone = zone
        return paint_time_axis(bars, slots, palette).text

    assert "02-03" in labels(UTC)
    kolkata = labels(ZoneInfo("Asia/Kolkata"))  # 5:30 ahead: bars begin at half hours
    assert ":30" in kolkata
    assert ":00" not in kolkata
    berlin, utc = labels(ZoneInfo("Europe/Berlin")), labels(UTC)
    assert berlin.index("02-03") == utc.index("02-03") - 2  # midnight is an hour earlier


async def test_every_screen_shows_times_of_the_zone_chosen() -> None:
    monitor = FakeMonitor(3)
    minute = NOON - NOON % MINUTE_MS
    monitor.gaps = (GapView("BTCUSDT", minute - MINUTE_MS, minute, 1, "filling", 1, "REST", "", None),)
    monitor.events = (Event(minute, "warning", None, "a warning"),)
    app = app_of(monitor, timezone="Asia/Kolkata")
    async with app.run_test(size=(120, 40)) as pilot:
        for key, screen in zip("123456", SCREENS, strict=True):
            await pilot.press(key)
            lines = await settled(pilot)
            assert lines[0].endswith("19:33:22 IST ")
            text = "\n".join(lines)
            assert "14:0" not in text, screen
            assert screen not in ("gaps", "log", "overview") or "19:3" in "\n".join(lines[1:])
            await pilot.press("w")
            text = "\n".join(await settled(pilot))
            assert "minute 19:33 in progress" in text
            assert "14:0" not in text, screen
            await pilot.press("escape")
