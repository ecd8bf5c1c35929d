"""The basis of a future over spot as a line below the candles, in basis points with an axis of its own."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from textual.strip import Strip

from tui_feeder.monitor import Monitor, Rows, Snapshot
from tui_feeder.scanner import measures
from tui_feeder.widgets import cells
from tui_feeder.widgets.candles import Canvas, Line, Slots, draw_line
from tui_feeder.widgets.comparison import aligned_closes, basis_pair, basis_points
from tui_feeder.widgets.palette import Palette, Role
from tui_feeder.widgets.scale import PriceScale, price_scale


class BasisPane:
    """Fetches the closes of the other market with the bars of the chart, and paints the basis.

    Args:
        monitor: asked for bars.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self.values: NDArray[np.float64] = np.empty(0)  # bp, aligned with the bars of the chart
        self.pair: tuple[str, str] | None = None  # future and spot
        self._scale: PriceScale | None = None

    def fetch(self, snapshot: Snapshot, symbol: str, bars: Rows, slots: Slots, end: int) -> bool:
        """Fetches the closes of the other market.

        Args:
            snapshot: the newest one.
            symbol: of the chart, a future or its pair in spot.
            bars: of the chart.
            slots: times to columns.
            end: exclusive end of the chart, ms.

        Returns:
            Whether they were there; an attached feeder's may come later.
        """
        self.pair = basis_pair(symbol, {view.symbol for view in snapshot.symbols})
        if self.pair is None:
            self.clear()
            return True
        future, spot = self.pair
        other = spot if symbol == future else future
        others = self._monitor.bars(other, slots.timeframe, slots.count, end)
        closes = aligned_closes(bars, others)
        mine = bars["close"].astype(float)
        self.values = basis_points(mine, closes) if symbol == future else basis_points(closes, mine)
        return len(others) > 0

    def clear(self) -> None:
        """Forgets the pair: no basis is shown."""
        self.pair, self.values = None, np.empty(0)

    def paint(
        self, columns: list[int], width: int, rows: int, slots: Slots, palette: Palette, now: float
    ) -> Canvas:
        """Draws the line, and where 0 lies if that is in sight.

        Args:
            columns: of the bars.
            width: cells.
            rows: height.
            slots: times to columns.
            palette: styles and symbols.
            now: the present basis, bp, which has a place on the scale; NaN for none.

        Returns:
            The canvas.
        """
        canvas = Canvas(width, rows)
        self._scale = None
        least, highest = self._ends(now)
        if not rows or math.isnan(least):
            return canvas
        self._scale = scale = price_scale(least, highest, rows)
        zero = scale.row(0.0)
        if zero is not None:
            for x in range(width):
                canvas.put(x, zero, palette.glyphs.level, Role.FAINT)
        draw_line(canvas, Line("", self.values.tolist(), Role.ACCENT), columns, slots.pitch, scale, palette)
        return canvas

    def _ends(self, now: float) -> tuple[float, float]:
        """The least and the greatest basis in sight, bp; NaN while none is known."""
        known = [*self.values[~np.isnan(self.values)].tolist(), *([] if math.isnan(now) else [now])]
        return (min(known), max(known)) if known and len(self.values) else (math.nan, math.nan)

    def left(self, now: float) -> bool:
        """Finds whether the present basis has no place on the scale that was painted last.

        Args:
            now: bp; NaN for none.

        Returns:
            Whether the pane must be painted again.
        """
        return self._scale is not None and not math.isnan(now) and self._scale.row(now) is None

    def paint_present(self, canvas: Canvas, column: int, pitch: int, now: float, palette: Palette) -> None:
        """Draws the present basis, joined to that of the newest bar.

        Args:
            canvas: the columns behind the newest bar; drawn on.
            column: of the bar in progress.
            pitch: columns from a bar to the next.
            now: bp; NaN for none.
            palette: styles and symbols.
        """
        if self._scale is not None and not math.isnan(now):
            line = Line("", [float(self.values[-1]), now], Role.ACCENT)
            draw_line(canvas, line, [column - pitch, column], pitch, self._scale, palette)

    def axis(
        self, snapshot: Snapshot, width: int, rows: int, palette: Palette, following: bool = True
    ) -> list[Strip]:
        """Paints the greatest and the least basis in sight, and the present one between them.

        Args:
            snapshot: the newest one.
            width: cells.
            rows: height.
            palette: styles and symbols.
            following: whether the present is in sight.

        Returns:
            ``rows`` strips of ``width`` cells.
        """
        now = self.now(snapshot)
        least, highest = self._ends(now if following else math.nan)
        texts = {
            0: (_named("max", _bp_text(highest), width - 1), Role.MUTED),
            rows - 1: (_named("min", _bp_text(least), width - 1), Role.MUTED),
        }
        if rows > 2:
            present = f"{_bp_text(now)} bp" if following else _named("now", _bp_text(now), width - 1)
            texts[rows // 2] = present, Role.STRONG
        strips = []
        for row in range(rows):
            text, role = texts.get(row, ("", Role.MUTED))
            mark = palette.glyphs.tick if text else palette.glyphs.wall
            label = cells.fit(text, width - 1, right=True)
            strips.append(palette.line(((label, role), (mark, Role.FAINT)), width))
        return strips

    def now(self, snapshot: Snapshot) -> float:
        """Computes the basis of the last prices.

        Args:
            snapshot: the newest one.

        Returns:
            bp; NaN while one of the prices is unknown.
        """
        if self.pair is None:
            return math.nan
        views = {view.symbol: view for view in snapshot.symbols if view.symbol in self.pair}
        if len(views) < 2:
            return math.nan
        value = measures.basis(views[self.pair[0]], views[self.pair[1]])
        return math.nan if value is None else value


def _bp_text(value: float) -> str:
    return cells.UNKNOWN if math.isnan(value) else f"{value:+z.1f}"


def _named(name: str, text: str, width: int) -> str:
    """The text with its name before it where there is room."""
    return f"{name} {text}" if len(name) + 1 + len(text) <= width else text
