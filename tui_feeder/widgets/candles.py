"""Painter of candles: half-block bodies, box-line wicks, braille EMA lines, levels behind. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from textual.strip import Strip

from tui_feeder.monitor import Rows
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.scale import PriceScale

#: Columns at the right that no candle enters: names of the lines stand there.
MARGIN = 4

#: Columns up to which rows of a canvas are alike often enough to be kept.
_NARROW = 12

#: Of so many columns of dots so many are drawn, of the lines from the first on, where there are no colours.
_DASHES = ((1, 1), (4, 6), (1, 3))

_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True, slots=True)
class Line:
    """An EMA over the bars: one value a bar, NaN where there is none."""

    name: str  # shown at its right end, at most three cells
    values: Sequence[float]
    role: Role
    sign: str = ""  # a letter that stands for it where colours or dots do not distinguish it


@dataclass(frozen=True, slots=True)
class Pin:
    """When an alert went off, and at which price."""

    time: int  # ms
    price: float | None


class Canvas:
    """Characters and what they mean, row by row; every character is one cell wide."""

    def __init__(self, width: int, rows: int) -> None:
        self.width = width
        self.text = [[" "] * width for _ in range(rows)]
        self.roles = [[Role.TEXT] * width for _ in range(rows)]

    def put(self, x: int, y: int, text: str, role: Role) -> None:
        """Sets a cell.

        Args:
            x: column.
            y: row.
            text: one cell wide.
            role: its style.
        """
        self.text[y][x] = text
        self.roles[y][x] = role

    def part(self, start: int, end: int) -> Canvas:
        """Copies columns.

        Args:
            start: first column.
            end: exclusive.

        Returns:
            The copy.
        """
        copy = Canvas(end - start, 0)
        copy.text = [row[start:end] for row in self.text]
        copy.roles = [row[start:end] for row in self.roles]
        return copy

    def strips(self, palette: Palette) -> list[Strip]:
        """Renders the canvas.

        Args:
            palette: styles and symbols.

        Returns:
            One strip a row.
        """
        result = []
        for text, roles in zip(self.text, self.roles, strict=True):
            parts: list[Part] = []
            start = 0
            for x in range(1, self.width + 1):
                if x == self.width or roles[x] is not roles[start]:
                    parts.append(("".join(text[start:x]), roles[start]))
                    start = x
            narrow = self.width <= _NARROW
            result.append(
                palette.line(tuple(parts), self.width) if narrow else palette.strip(parts, self.width)
            )
        return result


@dataclass(frozen=True, slots=True)
class Slots:
    """Which column stands for which time: a slot of ``pitch`` columns for each bar's span."""

    timeframe: int  # seconds
    pitch: int
    width: int  # columns there are
    newest: int  # open time of the slot at the right
    ahead: int = 0  # columns kept free behind it, for the bar in progress

    @property
    def frame(self) -> int:
        """Milliseconds from a slot to the next."""
        return self.timeframe * 1000

    @property
    def last(self) -> int:
        """The column of the newest slot."""
        return self.width - MARGIN - 1 - self.ahead

    @property
    def count(self) -> int:
        """Slots in sight."""
        return max(1, -(-(self.last + 1) // self.pitch))

    def column(self, time: int) -> int:
        """Finds the column of a slot.

        Args:
            time: open time, ms.

        Returns:
            The column; negative left of the chart.
        """
        return self.last - (self.newest - time) // self.frame * self.pitch

    def columns(self, bars: Rows) -> list[int]:
        """Finds the column of every bar.

        Args:
            bars: rows of dtype ROW.

        Returns:
            The columns.
        """
        behind = (self.newest - bars["open_time"]) // self.frame
        columns: list[int] = (self.last - behind * self.pitch).tolist()
        return columns


def draw_candles(
    bars: Rows,
    lines: Sequence[Line],
    levels: Sequence[tuple[float, Role]],
    scale: PriceScale,
    slots: Slots,
    palette: Palette,
) -> Canvas:
    """Draws candles with bodies one column wide; where a bar is missing between others the ground is shaded.

    Args:
        bars: rows of dtype ROW in order of time; those that do not fit at the left are not drawn.
        lines: values aligned with ``bars``, drawn behind the candles where there is room between those.
        levels: prices that run across the whole width, drawn behind all else.
        scale: prices to rows.
        slots: times to columns.
        palette: styles and symbols.

    Returns:
        The canvas.
    """
    canvas = Canvas(slots.width, scale.rows)
    for price, role in levels:
        row = scale.row(price)
        if row is not None:
            for x in range(slots.width):
                canvas.put(x, row, palette.glyphs.level_of(role), role)
    columns = slots.columns(bars)
    for x in missing_columns(bars, slots):
        for row in range(scale.rows):
            canvas.put(x, row, palette.glyphs.shade, Role.FAINT)
    crowded = slots.pitch == 1  # no room between candles: lines behind them would not be seen
    if not crowded:
        _draw_lines(canvas, lines, columns, slots.pitch, scale, palette)
    for x, bar in zip(columns, bars.tolist(), strict=True):
        if 0 <= x < canvas.width:
            draw_candle(canvas, x, bar[1:5], scale, palette)
    if crowded:
        _draw_lines(canvas, lines, columns, slots.pitch, scale, palette)
    taken: set[int] = set()
    for line in lines:
        _name_line(canvas, line, scale, taken)
    return canvas


def _draw_lines(
    canvas: Canvas,
    lines: Sequence[Line],
    columns: Sequence[int],
    pitch: int,
    scale: PriceScale,
    palette: Palette,
) -> None:
    """The lines, the first of them in front."""
    for order, line in reversed(list(enumerate(lines))):
        draw_line(canvas, line, columns, pitch, scale, palette, order)


def missing_columns(bars: Rows, slots: Slots) -> list[int]:
    """Finds the visible columns whose bar is missing though there is an older one.

    Args:
        bars: rows of dtype ROW in order of time.
        slots: times to columns.

    Returns:
        The columns, ascending.
    """
    held = slots.columns(bars)
    if not held:
        return []
    first = held[0] + max(0, -(held[0] // slots.pitch)) * slots.pitch
    return sorted(set(range(first, slots.last + 1, slots.pitch)) - set(held))


def draw_cursor(canvas: Canvas, x: int, row: int | None, palette: Palette) -> None:
    """Draws a crosshair behind what is there.

    Args:
        canvas: the canvas.
        x: column.
        row: row of the price; None without one.
        palette: styles and symbols.
    """
    free = palette.glyphs.behind
    for y in range(len(canvas.text)):
        if canvas.text[y][x] in free:
            canvas.put(x, y, palette.glyphs.upright, Role.ACCENT)
    if row is not None:
        for column in range(canvas.width):
            if canvas.text[row][column] in free:
                canvas.put(column, row, palette.glyphs.level, Role.ACCENT)


def draw_pins(canvas: Canvas, pins: Sequence[Pin], scale: PriceScale, slots: Slots, first: int = 0) -> None:
    """Puts a sign where each alert went off: in the column of its minute, at its price.

    Args:
        canvas: of the chart, or a part of it.
        pins: when and where; one without a price stands in the first row.
        scale: prices to rows.
        slots: times to columns.
        first: column of the chart that the canvas begins with.
    """
    for pin in pins:
        x = slots.column(pin.time - pin.time % slots.frame) - first
        row = 0 if pin.price is None else scale.row(pin.price)
        if row is not None and 0 <= x < canvas.width:
            canvas.put(x, row, "!", Role.ERROR)


def draw_volume(canvas: Canvas, columns: Sequence[int], bars: Rows, most: float, palette: Palette) -> None:
    """Draws volume bars that stand on the last row.

    Args:
        canvas: the canvas.
        columns: column of each bar.
        bars: rows of dtype ROW.
        most: the volume that fills the canvas, base asset.
        palette: styles and symbols.
    """
    steps = len(palette.glyphs.rising)
    rows = len(canvas.text)
    for x, bar in zip(columns, bars, strict=True):
        if not 0 <= x < canvas.width or not bar["volume"] > 0:
            continue
        left = max(1, round(min(1.0, bar["volume"] / most) * rows * steps))
        role = Role.UP if bar["close"] >= bar["open"] else Role.DOWN
        for row in reversed(range(rows)):
            if left > 0:
                canvas.put(x, row, palette.glyphs.rising[min(left, steps) - 1], role)
                left -= steps


def draw_candle(canvas: Canvas, x: int, prices: Sequence[float], scale: PriceScale, palette: Palette) -> None:
    """Draws one candle.

    Args:
        canvas: the canvas.
        x: column.
        prices: open, high, low and close.
        scale: prices to rows.
        palette: styles and symbols.
    """
    opened, high, low, close = prices
    glyphs = palette.glyphs
    role = Role.UP if close > opened else Role.DOWN if close < opened else Role.FLAT
    body = glyphs.body_down if close < opened else glyphs.body
    first, last = _halves(scale, max(opened, close), min(opened, close))
    top, bottom = _halves(scale, high, low)
    for row in range(max(0, top // 2), min(scale.rows - 1, bottom // 2) + 1):
        upper, lower = row * 2, row * 2 + 1
        in_upper, in_lower = first <= upper <= last, first <= lower <= last
        if (in_upper and in_lower) or ((in_upper or in_lower) and body != glyphs.body):
            text = body
        elif in_upper:
            text = glyphs.neck_up if lower <= bottom else glyphs.body_top
        elif in_lower:
            text = glyphs.neck_down if top <= upper else glyphs.body_bottom
        elif top <= upper and lower <= bottom:
            text = glyphs.wick
        else:
            text = glyphs.wick_top if top <= upper else glyphs.wick_bottom
        canvas.put(x, row, text, role)


def _halves(scale: PriceScale, high: float, low: float) -> tuple[int, int]:
    """First and last half row from the top that a range of prices covers, at least one."""
    top = math.floor(scale.position(high) * 2)
    return top, max(top, math.ceil(scale.position(low) * 2) - 1)


def draw_line(
    canvas: Canvas,
    line: Line,
    columns: Sequence[int],
    pitch: int,
    scale: PriceScale,
    palette: Palette,
    order: int = 0,
) -> None:
    """Draws a line from bar to bar; it is interrupted where a value or a bar is missing.

    Args:
        canvas: the canvas.
        line: one value for each of ``columns``.
        columns: of the bars, ascending.
        pitch: columns between neighbours.
        scale: values to rows.
        palette: styles and symbols.
        order: 0 for the line in front; chooses its sign where lines are not drawn in dots, and how it is
            dashed where there are no colours.
    """
    if not palette.glyphs.braille or (line.sign and not palette.colored):
        sign = line.sign or palette.glyphs.dots[min(order, 2)]
        aside = 1 if pitch > 1 else 0  # beside the candle, not under it
        for x, value in zip(columns, line.values, strict=True):
            row = None if math.isnan(value) else scale.row(value)
            if row is not None and 0 <= x + aside < canvas.width:
                canvas.put(x + aside, row, sign, line.role)
        return
    drawn, of = (1, 1) if palette.colored else _DASHES[min(order, 2)]
    dots: dict[tuple[int, int], int] = {}
    before: tuple[int, float] | None = None
    for x, value in zip(columns, line.values, strict=True):
        if math.isnan(value):
            before = None
            continue
        here = (x * 2, scale.position(value) * 4)
        if before is None or here[0] - before[0] != pitch * 2:
            before = here
        _stroke(dots, before, here, drawn, of)
        before = here
    for (x, y), bits in dots.items():
        if 0 <= x < canvas.width and 0 <= y < scale.rows:
            there = canvas.text[y][x]
            if "\u2800" <= there <= "\u28ff":  # another line: both show, in the colour of the one in front
                bits |= ord(there) - 0x2800
            canvas.put(x, y, chr(0x2800 + bits), line.role)


def _stroke(
    dots: dict[tuple[int, int], int], start: tuple[int, float], end: tuple[int, float], drawn: int, of: int
) -> None:
    """Set the dots between two points, in dots from the left and from the top; each column joins the next.

    Of so many columns the first ones are drawn.
    """
    across = end[0] - start[0]
    slope = (end[1] - start[1]) / across if across else 0.0
    for step in range(across + 1):
        if (start[0] + step) % of >= drawn:
            continue
        at = start[1] + slope * step
        near = at + slope / 2 if step < across else at
        for y in range(math.floor(min(at, near)), math.floor(max(at, near)) + 1):
            key = ((start[0] + step) // 2, y // 4)
            dots[key] = dots.get(key, 0) | _BRAILLE[y % 4][(start[0] + step) % 2]


def _name_line(canvas: Canvas, line: Line, scale: PriceScale, taken: set[int]) -> None:
    value = line.values[-1] if len(line.values) else math.nan
    row = None if math.isnan(value) else scale.row(value)
    if row is None or canvas.width < MARGIN:
        return
    role = Role.TEXT if line.role is Role.VALUE_AREA else line.role  # that of bars is too pale for letters
    for at in (row, row - 1, row + 1):
        if at not in taken and 0 <= at < scale.rows:
            taken.add(at)
            for i, character in enumerate(cells.fit(line.name, MARGIN - 1)):
                canvas.put(canvas.width - MARGIN + 1 + i, at, character, role)
            return


def price_range(bars: Rows) -> tuple[float, float]:
    """Finds the range of prices.

    Args:
        bars: at least one row of dtype ROW.

    Returns:
        Lowest low and highest high.
    """
    return float(np.min(bars["low"])), float(np.max(bars["high"]))
