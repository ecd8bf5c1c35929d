"""Profile tools on the chart: naked POCs, developing levels, anchored VWAP, a profile between two marks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tui_feeder.monitor import (
    DAY_MS,
    MINUTE_MS,
    PATIENCE_SECONDS,
    AnchoredLine,
    LevelLines,
    Monitor,
    NakedPoc,
    RangeView,
    Rows,
)
from tui_feeder.widgets import cells
from tui_feeder.widgets.candles import MARGIN, Canvas, Line, Slots
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.read_out import labelled
from tui_feeder.widgets.scale import PriceScale

#: Days in sight whose developing levels are drawn, the newest.
_DAYS = 3
#: At most; the nearest to the price.
_NAKED = 6
_BANDS = ((1, "+1s", "1"), (-1, "-1s", "1"), (2, "+2s", "2"), (-2, "-2s", "2"))


class ChartTools:
    """What is shown, and what was fetched of it.

    Args:
        monitor: asked for it.

    Attributes:
        levels: whether naked POCs and developing levels are drawn.
        marks: times of bars that were marked, ms; the first anchors the VWAP, two make a range.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.levels = False
        self.marks: tuple[int, ...] = ()
        self.lines: tuple[Line, ...] = ()
        self.range: RangeView | None = None
        self._monitor = monitor
        self._naked: tuple[NakedPoc, ...] = ()
        self._of: tuple[str, int] = ("", 0)  # symbol and end of what was fetched
        self._anchored: tuple[Line, ...] = ()
        self.whole = True  # levels are followed to their end

    @property
    def state(self) -> object:
        """What a painted chart depends on."""
        return self.levels, self.marks

    def mark(self, time: int) -> str:
        """Marks a bar, or takes its mark away; a third mark takes the place of the second.

        Args:
            time: open time of the bar, ms.

        Returns:
            What is shown now.
        """
        if time in self.marks:
            self.marks = tuple(mark for mark in self.marks if mark != time)
        else:
            self.marks = tuple(sorted((*self.marks[:1], time)))
        if not self.marks:
            return "no marks"
        return (
            "VWAP from the mark" if len(self.marks) == 1 else "VWAP from the first mark, profile between both"
        )

    def fetch(self, symbol: str, bars: Rows, slots: Slots, end: int) -> None:
        """Fetches what is to be drawn.

        Args:
            symbol: of the chart.
            bars: in sight.
            slots: times to columns.
            end: exclusive end of the chart, ms.
        """
        if symbol != self._of[0]:
            self.marks = ()
        self._of = (symbol, end)
        frame = slots.frame
        lines: list[Line] = []
        self.range, self._naked, self.whole = None, (), True
        if self.marks:
            found = self._monitor.anchored(symbol, self.marks[0], slots.timeframe, end)
            lines += _anchored_lines(found, bars, frame)
        if len(self.marks) > 1:
            span = self.marks[0], self.marks[1] + frame
            self.range = self._monitor.range_profile(symbol, (span,), PATIENCE_SECONDS)
        self._anchored = self.lines = tuple(lines)
        if self.levels and len(bars):
            self._naked = self._monitor.naked_pocs(symbol, PATIENCE_SECONDS)
            self.follow(symbol, bars, frame)

    def follow(self, symbol: str, bars: Rows, frame: int) -> None:
        """Fetches developing levels as far as they are followed; more of them the next time.

        Args:
            symbol: of the chart.
            bars: in sight, at least one.
            frame: of a bar, ms.
        """
        last = int(bars["open_time"][-1]) // DAY_MS * DAY_MS
        first = max(last - (_DAYS - 1) * DAY_MS, int(bars["open_time"][0]) // DAY_MS * DAY_MS)
        days: list[LevelLines] = []
        self.whole = True
        for day in range(first, last + 1, DAY_MS):
            found = self._monitor.developing(symbol, day, frame // MINUTE_MS, PATIENCE_SECONDS)
            if found is not None:
                days.append(found)
                if not found.whole:
                    self.whole = False
                    break
        self.lines = (*self._anchored, *_developing_lines(days, bars, frame))

    def draw(
        self, canvas: Canvas, scale: PriceScale, slots: Slots, price: float | None, palette: Palette
    ) -> None:
        """Draws naked POCs from the day after theirs to the right edge, and the marks.

        Args:
            canvas: with the candles.
            scale: prices to rows.
            slots: times to columns.
            price: the last one.
            palette: styles and symbols.
        """
        near = sorted(self._naked, key=lambda level: abs(level.price - (price or level.price)))[:_NAKED]
        taken: set[int] = set()
        for level in near:
            row = scale.row(level.price)
            if row is None or row in taken:
                continue
            taken.add(row)
            _draw_level(
                canvas,
                row,
                max(0, slots.column(level.day + DAY_MS)),
                f"naked {_day_text(level.day)}",
                palette,
            )
        for number, time in enumerate(self.marks, 1):
            x = slots.column(time)
            if 0 <= x < canvas.width:
                for y in range(len(canvas.text)):
                    if canvas.text[y][x] in palette.glyphs.behind:
                        canvas.put(x, y, palette.glyphs.upright, Role.MUTED)
                canvas.put(x, 0, str(number), Role.ACCENT)

    def groups(self, at: int, decimals: int) -> list[list[Part]]:
        """Describes the lines at a bar, for the read-out.

        Args:
            at: index of the bar.
            decimals: of prices.

        Returns:
            Groups of name and value.
        """
        found = []
        for line in self.lines:
            value = line.values[at] if at < len(line.values) else math.nan
            if not math.isnan(value) and line.name in _READ_OUT:
                found.append(labelled(_READ_OUT[line.name], cells.price_text(value, decimals), line.role))
        return found


_READ_OUT = {"aVW": "VWAP from mark", "dPC": "dev POC", "dVH": "VAH", "dVL": "VAL"}


def _day_text(day: int) -> str:
    return cells.date_text(day)[-5:]


def _draw_level(canvas: Canvas, row: int, first: int, label: str, palette: Palette) -> None:
    """A line behind what is there; its label where the right end has room for it."""
    for x in range(first, canvas.width):
        if canvas.text[row][x] == " ":
            canvas.put(x, row, palette.glyphs.level_dashed, Role.POC)
    end = canvas.width - MARGIN
    for start in range(end - len(label), first - 1, -1):
        cell = canvas.text[row][max(start, 0) : start + len(label)]
        if start >= 0 and all(text in palette.glyphs.behind for text in cell):
            for i, character in enumerate(label):
                canvas.put(start + i, row, character, Role.POC)
            return


def _at_bars(bars: Rows, frame: int, times: Sequence[int], values: Sequence[float]) -> NDArray[np.float64]:
    """Values at the ends of bars; NaN where there is none."""
    found = np.full(len(bars), np.nan)
    if len(times) and len(bars):
        ends = bars["open_time"] + frame
        places = np.searchsorted(times, ends)
        there = (places < len(times)) & (np.asarray(times)[np.minimum(places, len(times) - 1)] == ends)
        found[there] = np.asarray(values, float)[places[there]]
    return found


def _anchored_lines(found: AnchoredLine, bars: Rows, frame: int) -> list[Line]:
    vwap = _at_bars(bars, frame, found.times, found.vwap)
    deviation = _at_bars(bars, frame, found.times, found.deviation)
    lines = [Line("aVW", vwap.tolist(), Role.VWAP, "W")]
    lines += [
        Line(name, (vwap + times * deviation).tolist(), Role.MUTED, sign) for times, name, sign in _BANDS
    ]
    return lines


def _developing_lines(days: Sequence[LevelLines], bars: Rows, frame: int) -> list[Line]:
    """A line of each level a day, so that a new day begins anew; the last one is named."""
    lines = []
    for place, day in enumerate(days):
        last = place == len(days) - 1
        for name, values, role, sign in (
            ("dPC", day.poc, Role.POC, "P"),
            ("dVH", day.vah, Role.VALUE_AREA, "H"),
            ("dVL", day.val, Role.VALUE_AREA, "L"),
        ):
            at_bars = _at_bars(bars, frame, day.times, values)
            lines.append(Line(name if last else "", at_bars.tolist(), role, sign))
    return lines
