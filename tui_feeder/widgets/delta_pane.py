"""Delta bars and the cumulative volume delta (CVD) of the UTC day, below the volume of the chart.

Delta is what takers bought less what they sold: bars above the middle line are bought, those below are sold.
CVD is its sum since midnight UTC, a line with an axis of its own.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from textual.strip import Strip

from tui_feeder.bars import deltas_of
from tui_feeder.monitor import DAY_MS, Monitor, Rows
from tui_feeder.widgets import cells
from tui_feeder.widgets.candles import Canvas, Line, Slots, draw_line
from tui_feeder.widgets.palette import Palette, Role
from tui_feeder.widgets.scale import price_scale


class DeltaPane:
    """Computes both of the bars of the chart, and paints them.

    Args:
        monitor: asked for the bars since midnight before the first one in sight.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self.deltas: NDArray[np.float64] = np.empty(0)  # base asset, aligned with the bars of the chart
        self.cvd: NDArray[np.float64] = np.empty(0)
        self._days: NDArray[np.int64] = np.empty(0, np.int64)

    def fetch(self, symbol: str, bars: Rows, slots: Slots) -> None:
        """Computes the values.

        Args:
            symbol: of the chart.
            bars: of the chart.
            slots: times to columns.
        """
        volumes, takers = bars["volume"], bars["taker_buy_volume"]
        self.deltas = deltas_of(volumes, takers)
        self._days = bars["open_time"] // DAY_MS
        self.cvd = np.empty(len(bars))
        first = int(bars["open_time"][0]) if len(bars) else 0
        before, midnight = first % DAY_MS // slots.frame, first - first % DAY_MS
        volume = taker = 0.0  # of the bars of the first day that are not in sight
        if before:
            earlier = self._monitor.bars(symbol, slots.timeframe, before, first)
            earlier = earlier[earlier["open_time"] >= midnight]
            volume, taker = (float(earlier[name].sum()) for name in ("volume", "taker_buy_volume"))
        for day in np.unique(self._days):
            part = self._days == day
            self.cvd[part] = deltas_of(volume + np.cumsum(volumes[part]), taker + np.cumsum(takers[part]))
            volume = taker = 0.0

    def clear(self) -> None:
        """Forgets the values: none are shown."""
        self.deltas = self.cvd = np.empty(0)

    def paint(self, columns: list[int], width: int, rows: int, slots: Slots, palette: Palette) -> Canvas:
        """Draws the CVD above, the deltas below.

        Args:
            columns: of the bars.
            width: cells.
            rows: height of both.
            slots: times to columns.
            palette: styles and symbols.

        Returns:
            The canvas.
        """
        canvas = Canvas(width, rows)
        if not rows or not len(self.deltas):
            return canvas
        upper = self._cvd_rows(rows)
        line = Canvas(width, upper)
        scale = price_scale(float(self.cvd.min()), float(self.cvd.max()), upper)
        zero = scale.row(0.0)
        if zero is not None:
            for x in range(width):
                line.put(x, zero, palette.glyphs.level, Role.FAINT)
        for day in np.unique(self._days):  # a new day begins anew: its line is another one
            values = np.where(self._days == day, self.cvd, np.nan)
            draw_line(line, Line("", values.tolist(), Role.ACCENT), columns, slots.pitch, scale, palette)
        bars = Canvas(width, rows - upper)
        self._draw_deltas(bars, columns, palette)
        canvas.text, canvas.roles = line.text + bars.text, line.roles + bars.roles
        return canvas

    def _draw_deltas(self, canvas: Canvas, columns: list[int], palette: Palette) -> None:
        rows, glyphs = len(canvas.text), palette.glyphs
        middle = rows // 2  # rows above the line; it stands on the upper edge of the row below
        most = float(np.abs(self.deltas).max()) or 1.0
        for x, delta in zip(columns, self.deltas.tolist(), strict=True):
            if not 0 <= x < canvas.width or not delta:
                continue
            if delta > 0:
                steps = len(glyphs.rising)
                left = max(1, round(delta / most * middle * steps))
                for row in reversed(range(middle)):
                    if left > 0:
                        canvas.put(x, row, glyphs.rising[min(left, steps) - 1], Role.UP)
                        left -= steps
            else:
                left = max(1, round(-delta / most * (rows - middle) * 2))
                for row in range(middle, rows):
                    if left > 0:
                        full = left > 1
                        canvas.put(x, row, glyphs.body_down if full else glyphs.body_top, Role.DOWN)
                        left -= 2

    def _cvd_rows(self, rows: int) -> int:
        return max(1, rows - max(2, rows // 2 // 2 * 2))

    def axis(self, width: int, rows: int, palette: Palette) -> list[Strip]:
        """Paints the present CVD at the top, the largest delta beside the bars.

        Args:
            width: cells.
            rows: height.
            palette: styles and symbols.

        Returns:
            ``rows`` strips of ``width`` cells.
        """
        known = len(self.deltas) > 0
        texts = {}
        if rows:
            texts[0] = ("CVD", Role.MUTED)
        if known and rows:  # below its name where the line has more than one row
            at = 1 if self._cvd_rows(rows) > 1 else 0
            texts[at] = (cells.signed_text(float(self.cvd[-1])), Role.STRONG)
        if rows > 1:
            most = float(np.abs(self.deltas).max()) if known else math.nan
            around = "+-" if palette.glyphs.name == "ascii" else "±"
            texts[self._cvd_rows(rows)] = (
                f"{around}{cells.count_text(most)}" if known else "delta",
                Role.MUTED,
            )
        strips = []
        for row in range(rows):
            text, role = texts.get(row, ("", Role.MUTED))
            mark = palette.glyphs.tick if text else palette.glyphs.wall
            label = cells.fit(text, width - 1, right=True)
            strips.append(palette.line(((label, role), (mark, Role.FAINT)), width))
        return strips
