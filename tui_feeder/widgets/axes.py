"""Painters of the axes of a chart: prices or percent at the left, times below. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import lru_cache

from textual.strip import Strip

from tui_feeder.monitor import DAY_MS, Rows
from tui_feeder.widgets import cells
from tui_feeder.widgets.candles import Slots, missing_columns
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.scale import PriceScale, price_ticks, round_values, time_step


def paint_price_axis(
    scale: PriceScale,
    last: float | None,
    decimals: int,
    width: int,
    palette: Palette,
    cursor: float | None = None,
    base: float | None = None,
) -> list[Strip]:
    """Paints round prices beside their rows, the last price at its own row, and a crosshair's.

    A last price off the axis stands at the edge it lies beyond, with an arrow.

    Args:
        scale: prices to rows.
        last: the last price.
        decimals: of the last price.
        width: cells.
        palette: styles and symbols.
        cursor: price under the crosshair.
        base: price that the labels count from in percent; None for prices.

    Returns:
        ``scale.rows`` strips of ``width`` cells.
    """
    glyphs = palette.glyphs
    apart = 2 if scale.rows < 12 else 3
    labels = _price_labels(scale, apart, width - 1) if base is None else _percent_labels(scale, apart, base)
    at, sign = None, glyphs.pointer
    if last is not None:
        at = scale.row(last)
        if at is None:
            at, sign = (0, "↑") if last > scale.high else (scale.rows - 1, "↓")
    pointed = None if cursor is None else scale.row(cursor)
    result = []
    for row in range(scale.rows):
        if row == pointed and cursor is not None:
            text = cells.fit(cells.price_text(cursor, decimals, width - 1), width - 1, right=True)
            parts: list[Part] = [(text, Role.ACCENT), (glyphs.tick, Role.ACCENT)]
        elif row == at and last is not None:
            text = cells.fit(cells.price_text(last, decimals, width - 1), width - 1, right=True)
            parts = [(text, Role.STRONG), (sign, Role.STRONG)]
        elif row in labels:
            text = cells.fit(labels[row], width - 1, right=True)
            parts = [(text, Role.MUTED), (glyphs.tick, Role.FAINT)]
        else:
            parts = [(" " * (width - 1), Role.TEXT), (glyphs.wall, Role.FAINT)]
        result.append(palette.line(tuple(parts), width))
    return result


@lru_cache(maxsize=64)
def _price_labels(scale: PriceScale, apart: int, width: int) -> dict[int, str]:
    ticks, needed = price_ticks(scale, apart)
    rows = ((scale.row(price), price) for price in ticks)
    return {row: cells.price_text(price, needed, width) for row, price in rows if row is not None}


def _percent_labels(scale: PriceScale, apart: int, base: float) -> dict[int, str]:
    if scale.log:
        ticks, needed = round_values([(price / base - 1) * 100 for price in scale.edges()], apart)
    else:
        low, high = ((price / base - 1) * 100 for price in (scale.low, scale.high))
        ticks, needed = price_ticks(PriceScale(low, high, scale.rows), apart)
    rows = ((scale.row(base * (1 + tick / 100)), tick) for tick in ticks)
    return {row: f"{tick:+.{needed}f}%" if tick else "0%" for row, tick in rows if row is not None}


def paint_time_axis(
    bars: Rows, slots: Slots, palette: Palette, cursor: int | None = None, partial: Collection[int] = ()
) -> Strip:
    """Paints times under their candles, ``!`` under a missing bar, ``*`` under one that lacks minutes.

    Args:
        bars: rows of dtype ROW in order of time.
        slots: times to columns.
        palette: styles and symbols.
        cursor: open time of the slot under the crosshair, shown instead of what would stand there.
        partial: open times of the bars that lack minutes.

    Returns:
        One strip.
    """
    width, pitch = slots.width, slots.pitch
    rule = [(palette.glyphs.rule, Role.FAINT)] * width
    step = time_step(slots.timeframe, math.ceil(9 / pitch)) * 1000
    missing = set(missing_columns(bars, slots))
    marked = {slots.column(moment) for moment in partial}
    times = bars["open_time"]
    first = slots.column(int(times[0])) if len(times) else slots.last
    free = 0
    for x in range(first + max(0, math.ceil(-first / pitch)) * pitch, slots.last + 1, pitch):
        moment = slots.newest - (slots.last - x) // pitch * slots.frame
        # On the clocks of the zone the first bar of an hour or a day may begin somewhere within it.
        within = (moment + cells.zone_offset(moment, palette.zone)) % step
        new_day = (moment + cells.zone_offset(moment, palette.zone)) % DAY_MS < slots.frame
        label = cells.moment_text(moment, palette.zone)
        text = label[:5] if new_day else label[6:]
        covered = range(x + 1, x + len(text))  # by the label: no mark may be among them
        if moment in partial:
            rule[x] = ("*", Role.PARTIAL)
        elif within < slots.frame and x >= free and x + len(text) <= width and not marked & set(covered):
            rule[x : x + len(text)] = [(c, Role.MUTED) for c in text]
            free = x + len(text) + 1
        elif x in missing and x >= free:
            rule[x] = ("!", Role.WARN)
    if cursor is not None:
        text = f" {cells.moment_text(cursor, palette.zone)} "
        x = min(max(0, slots.column(cursor) - len(text) // 2), width - len(text))
        rule[x : x + len(text)] = [(c, Role.ACCENT) for c in text]
        for side in (range(x - 1, -1, -1), range(x + len(text), width)):  # what is left of labels it cut
            for i in side:
                if rule[i][1] is not Role.MUTED:
                    break
                rule[i] = (palette.glyphs.rule, Role.FAINT)
    return palette.strip(_joined(rule), width)


def _joined(pieces: Sequence[Part]) -> list[Part]:
    """Neighbours of one role as one piece."""
    result: list[Part] = []
    for text, role in pieces:
        if result and result[-1][1] is role:
            result[-1] = (result[-1][0] + text, role)
        else:
            result.append((text, role))
    return result
