"""Divides an area of the terminal into rectangles sized by weight: the layout of the market map. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from textual.geometry import Region

#: Cells that a tile should be wide at least: a name and its change fit. Fewer where many share the area.
_WIDE = 11
#: Room there should be, in narrowest tiles per tile: what is over is shared out by weight.
_SPARE = 1.7
#: A cell is about twice as high as wide; tiles a little wider than high are best for names.
_ASPECT = 2.6


def narrowest(count: int, width: int, height: int) -> int:
    """Chooses the least width of a tile.

    Args:
        count: of the tiles.
        width: cells of the area.
        height: rows of it.

    Returns:
        Cells, 1 to 11.
    """
    for cells in range(min(_WIDE, width), 1, -1):
        if width // cells * height >= _SPARE * count:
            return cells
    return 1


def treemap(weights: Sequence[float], width: int, height: int) -> list[Region]:
    """Divides an area by weight; every tile gets at least the narrowest one.

    Args:
        weights: not negative, the largest first; tiles of equal size where all are 0.
        width: cells of the area.
        height: rows of it.

    Returns:
        A rectangle for each of the first weights, as many as the area has cells for; together they fill it.
    """
    count = min(len(weights), width * height)
    if count < 1:
        return []
    least = narrowest(count, width, height)
    shown = list(weights[:count])
    if not sum(shown) > 0:
        shown = [1.0] * count
    sums = [0.0, *accumulate(shown)]
    tiles: list[Region] = []
    waiting = [(0, count, Region(0, 0, width, height))]
    while waiting:
        first, end, area = waiting.pop()
        if end - first == 1:
            tiles.append(area)
            continue
        middle, left, right = _divided(sums, first, end, area, least)
        waiting += [(middle, end, right), (first, middle, left)]
    return tiles


def _divided(
    sums: Sequence[float], first: int, end: int, area: Region, least: int
) -> tuple[int, Region, Region]:
    """Two parts of an area: the tiles before the first returned, and those from it on."""
    half = (sums[first] + sums[end]) / 2
    middle = bisect_left(sums, half, first + 1, end - 1)
    if middle > first + 1 and half - sums[middle - 1] < sums[middle] - half:
        middle -= 1
    whole = sums[end] - sums[first]
    share = (sums[middle] - sums[first]) / whole if whole > 0 else (middle - first) / (end - first)
    across = area.width >= _ASPECT * area.height
    for columns in (across, not across):
        length = area.width if columns else area.height
        unit, lanes = (least, area.height) if columns else (1, area.width // least)
        before, after = (-(-count // lanes) * unit for count in (middle - first, end - middle))
        if before + after <= length:
            return middle, *_cut(area, min(max(round(length * share), before), length - after), columns)
    # The weights leave one side too little room for its tiles: halve the area and count instead.
    columns = area.width // least >= 2
    at = area.width // least // 2 * least if columns else area.height // 2
    left, right = _cut(area, at, columns)
    room = [part.width // least * part.height for part in (left, right)]
    return min(max(middle, end - room[1]), first + room[0]), left, right


def _cut(area: Region, at: int, columns: bool) -> tuple[Region, Region]:
    x, y, width, height = area
    if columns:
        return Region(x, y, at, height), Region(x + at, y, width - at, height)
    return Region(x, y, width, at), Region(x, y + at, width, height - at)
