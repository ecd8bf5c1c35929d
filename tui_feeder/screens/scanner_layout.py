"""Where the parts of the overview go at every size of the terminal. Pure.

Four layouts: a list alone on a small terminal; the table above a chart; with room, the table over the full
width above four charts and the profile; where there are more symbols than rows, table left and charts right.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from textual.geometry import Region, Size

#: Below these there is the list alone; below the last there is not even that.
CHART_WIDTH, CHART_HEIGHT = 80, 24
LIST_WIDTH, LIST_HEIGHT = 30, 6

#: Cells from which four charts stand below the table, and rows that two of them need, one above the other.
_FOUR_WIDTH, _FOUR_HEIGHT = 150, 20
#: Cells of charts that stand beside the table, and least rows of each.
_SIDE_WIDTH, _SIDE_ROWS = 46, 11
#: Rows of the charts at least where the table is above them.
_CHART_ROWS = 11
#: Charts that are shown beside each other.
CHARTS = 4
#: Cells of a chart from which a third of it is the profile, where two symbols are shown.
_PROFILE_FROM = 75


@dataclass(frozen=True, slots=True)
class ChartPlace:
    """A chart with its title, and the profile on the same price axis where there is one."""

    title: Region
    chart: Region  # with its price axis and time axis
    profile: Region | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of the overview go."""

    grid: Region  # headings included
    news: Region | None
    charts: tuple[ChartPlace, ...] = ()  # one, of the timeframe chosen, or one for each of several
    profile: Region | None = None  # of the day, with a price axis of its own


def too_small(size: Size) -> bool:
    """Finds whether not even the list has room.

    Args:
        size: of the terminal.

    Returns:
        Whether it lacks columns or rows.
    """
    return size.width < LIST_WIDTH or size.height < LIST_HEIGHT


def charts_go_below(size: Size, symbols: int) -> bool:
    """Finds whether the table keeps the full width at every width of a terminal of this height.

    Args:
        size: of the terminal.
        symbols: there are.

    Returns:
        False where a wider terminal has the charts beside the table.
    """
    return size.height - 3 - (1 + max(symbols, 1)) >= _FOUR_HEIGHT


def places(size: Size, symbols: int, table: int, two: bool = False) -> Places:
    """Divides a terminal.

    Args:
        size: of the terminal, at least ``LIST_WIDTH`` by ``LIST_HEIGHT``.
        symbols: there are; a filter changes no place.
        table: cells of a table that shows everything but the levels as prices.
        two: symbols are compared: charts come in pairs, of the first symbol and of the second.

    Returns:
        The places; row 0 and the last row are left free.
    """
    width, height = size
    if width < CHART_WIDTH or height < CHART_HEIGHT:
        rows = height - 2
        news = Region(0, height - 2, width, 1) if rows >= 5 else None
        return Places(Region(0, 1, width, rows - (news is not None)), news)
    news = Region(0, height - 2, width, 1)
    rows = height - 3
    needed = 1 + max(symbols, 1)
    below = charts_go_below(size, symbols)
    if below and width >= _FOUR_WIDTH:
        return _pairs_below(width, rows, needed, news) if two else _charts_below(width, rows, needed, news)
    if not below and width - table >= _SIDE_WIDTH:
        return _charts_beside(width, rows, table, news, two)
    most = 10 + (height - CHART_HEIGHT) * 3 // 4
    taken = min(needed, most, rows - _CHART_ROWS - 1)
    if two:
        return Places(Region(0, 1, width, taken), news, _pair(1 + taken, width, rows - taken))
    profile = width // 3
    chart = _chart(0, 1 + taken, width - profile, rows - taken, profile)
    return Places(Region(0, 1, width, taken), news, (chart,))


def with_notice(where: Places, size: Size, symbols: int) -> tuple[Places, Region]:
    """Gives the place of the charts to a text.

    Args:
        where: the places of the size.
        size: of the terminal.
        symbols: there are.

    Returns:
        Table and news as they are then, and the place of the text between them.
    """
    width, rows = size.width, size.height - 2 - (where.news is not None)
    taken = min(1 + max(symbols, 1), max(2, rows // 2))
    return Places(Region(0, 1, where.grid.width, taken), where.news), Region(
        0, 1 + taken, width, rows - taken
    )


def _chart(x: int, y: int, width: int, rows: int, profile: int = 0) -> ChartPlace:
    beside = Region(x + width, y + 1, profile, rows - 1) if profile else None
    return ChartPlace(Region(x, y, width + profile, 1), Region(x, y + 1, width, rows - 1), beside)


def _pair(y: int, width: int, rows: int) -> tuple[ChartPlace, ChartPlace]:
    """Two charts side by side, each with its profile where there is room."""
    halves = ((0, width // 2), (width // 2, width - width // 2))
    left, right = (
        _chart(x, y, wide - profile, rows, profile)
        for x, wide in halves
        for profile in [wide // 3 if wide >= _PROFILE_FROM else 0]
    )
    return left, right


def _pairs_below(width: int, rows: int, needed: int, news: Region) -> Places:
    """The table over the full width, below it a chart of each symbol above another of each."""
    y, left = 1 + needed, rows - needed
    charts = (*_pair(y, width, left // 2), *_pair(y + left // 2, width, left - left // 2))
    return Places(Region(0, 1, width, needed), news, charts)


def _charts_below(width: int, rows: int, needed: int, news: Region) -> Places:
    """The table over the full width, below it two charts above two others, the profile at the right."""
    profile = max(32, width // 5)
    across, y, left = width - profile, 1 + needed, rows - needed
    halves = ((0, across // 2), (across // 2, across - across // 2))
    storeys = ((y, left // 2), (y + left // 2, left - left // 2))
    charts = tuple(_chart(x, top, wide, high) for top, high in storeys for x, wide in halves)
    return Places(Region(0, 1, width, needed), news, charts, Region(across, y, profile, left))


def _charts_beside(width: int, rows: int, table: int, news: Region, two: bool) -> Places:
    """The table at the left over the full height, charts below each other at the right."""
    count = min(CHARTS, max(1, rows // _SIDE_ROWS))
    if two:
        count = max(2, count - count % 2)
    edges = [1 + rows * part // count for part in range(count + 1)]
    across = width - table
    charts = tuple(_chart(table, top, across, bottom - top) for top, bottom in pairwise(edges))
    return Places(Region(0, 1, table, rows), news, charts)
