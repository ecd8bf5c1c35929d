"""Painter of footprints: columns are bars, rows are prices, cells are what takers bought and sold. Pure.

A cell reads ``bought x sold``. Instead of the x stands ``>`` where more was bought and ``<`` where more was
sold, and the sign of a buy or sell where one side is at least three times the other one diagonally: bought
against sold one row below, sold against bought one row above. The row of most volume of a bar is boxed.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from textual.strip import Strip

from tui_feeder.monitor import FootprintBar, FootprintView
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role

#: Cells of a bar: box, bought, sign, sold, box.
BAR = 13
#: Lines below the rows of prices, those of :func:`foot_names` where there is room for few and for all.
FOOT, TALL_FOOT = 3, 5
#: How many times the other side one must be.
IMBALANCE = 3.0
_NUMBER = 5


class Cell(NamedTuple):
    """A bar at a price."""

    bought: float
    sold: float
    buy_imbalance: bool
    sell_imbalance: bool
    poc: bool

    @property
    def buys(self) -> bool:
        """Whether it is out of balance and more was bought: of both the heavier side counts."""
        return self.buy_imbalance and (not self.sell_imbalance or self.bought > self.sold)


def cell_at(bar: FootprintBar, row: int) -> Cell | None:
    """Finds what was traded in a bar at a price.

    Args:
        bar: the bar.
        row: of the price grid.

    Returns:
        The cell; None where nothing was traded.
    """
    bought, sold = _at(bar, row)
    if bought <= 0 and sold <= 0:
        return None
    beneath, above = _at(bar, row - 1)[1], _at(bar, row + 1)[0]
    return Cell(
        bought,
        sold,
        # Where nothing was traded on the other side, as at the edges of a bar, nothing is out of balance.
        beneath > 0 and bought >= IMBALANCE * beneath,
        above > 0 and sold >= IMBALANCE * above,
        row == bar.poc,
    )


def _at(bar: FootprintBar, row: int) -> tuple[float, float]:
    place = row - bar.first
    return (bar.bought[place], bar.sold[place]) if 0 <= place < len(bar.bought) else (0.0, 0.0)


def top_row(view: FootprintView, rows: int, price: float | None) -> int:
    """Chooses the row of the grid in the first line: all bars in sight, else around the price.

    Args:
        view: the bars.
        rows: lines of prices.
        price: the last one; None if unknown.

    Returns:
        The row.
    """
    highest, least = max(bar.last for bar in view.bars), min(bar.first for bar in view.bars)
    spare = rows - (highest - least + 1)
    if spare >= 0:
        return highest + spare // 2
    middle = view.bars[-1].poc if price is None else round(price / view.increment)
    return min(max(middle + rows // 2, least + rows - 1), highest)


def foot_names(foot: int) -> tuple[str, ...]:
    """Names the lines below the rows of prices.

    Args:
        foot: how many there are, :data:`FOOT` or :data:`TALL_FOOT`.

    Returns:
        The names, the topmost line first.
    """
    return ("delta", "sum", "vol", "3:1", "known") if foot == TALL_FOOT else ("delta", "vol", "known")


def paint_footprint(
    view: FootprintView, top: int, rows: int, palette: Palette, foot: int = FOOT
) -> list[list[Strip]]:
    """Paints bars beside each other.

    Args:
        view: the bars.
        top: row of the grid in the first line.
        rows: lines of prices.
        palette: styles and symbols.
        foot: lines below them.

    Returns:
        Of each bar its ``rows`` lines and ``foot`` more, :data:`BAR` cells wide.
    """
    sums = accumulate(sum(bar.bought) - sum(bar.sold) for bar in view.bars)
    return [
        [
            *(_paint_cell(cell_at(bar, top - line), palette) for line in range(rows)),
            *_foot(bar, total, foot, palette),
        ]
        for bar, total in zip(view.bars, sums, strict=True)
    ]


def imbalances(bar: FootprintBar) -> tuple[int, int]:
    """Counts the prices of a bar at which one side is out of balance.

    Args:
        bar: the bar.

    Returns:
        How many are bought and how many are sold.
    """
    found = [cell for row in range(bar.first, bar.last + 1) if (cell := cell_at(bar, row)) is not None]
    bought = sum(cell.buys for cell in found)
    return bought, sum(cell.buy_imbalance or cell.sell_imbalance for cell in found) - bought


def _paint_cell(cell: Cell | None, palette: Palette) -> Strip:
    if cell is None:
        return palette.line((("", Role.TEXT),), BAR)
    heavier = (cell.bought > cell.sold) - (cell.bought < cell.sold)
    sign, role = ("x", ">", "<")[heavier], (Role.MUTED, Role.UP, Role.DOWN)[heavier]
    if cell.buy_imbalance or cell.sell_imbalance:
        sign, role = (palette.glyphs.buy, Role.UP) if cell.buys else (palette.glyphs.sell, Role.DOWN)
    left, right = ("[", "]") if cell.poc else (" ", " ")
    parts: list[Part] = [
        (left, Role.POC),
        (cells.fit(cells.count_text(cell.bought), _NUMBER, right=True), _role(heavier > 0, Role.UP)),
        (sign, role),
        (cells.fit(cells.count_text(cell.sold), _NUMBER), _role(heavier < 0, Role.DOWN)),
        (right, Role.POC),
    ]
    return palette.line(tuple(parts), BAR)


def _role(heavier: bool, role: Role) -> Role:
    return role if heavier else Role.MUTED


def _foot(bar: FootprintBar, total: float, foot: int, palette: Palette) -> list[Strip]:
    bought, sold = sum(bar.bought), sum(bar.sold)
    glyphs, (buys, sells) = palette.glyphs, imbalances(bar)
    balance: list[Part] = [
        (f"{glyphs.buy}{buys}".rjust(BAR // 2), Role.UP if buys else Role.MUTED),
        (" ", Role.TEXT),
        (f"{glyphs.sell}{sells}", Role.DOWN if sells else Role.MUTED),
    ]
    texts: dict[str, list[Part]] = {
        "delta": [_signed(bought - sold)],
        "sum": [_signed(total)],
        "vol": [(cells.count_text(bought + sold).center(BAR), Role.TEXT)],
        "3:1": balance,
        "known": [(cells.known_text(bar.exact_share, bar.known_share).center(BAR), Role.MUTED)],
    }
    return [palette.line(tuple(texts[name]), BAR) for name in foot_names(foot)]


def _signed(delta: float) -> Part:
    role = Role.UP if delta > 0 else Role.DOWN if delta < 0 else Role.FLAT
    sign = "-" if delta < 0 else "+"
    return f"{sign}{cells.count_text(abs(delta))}".center(BAR), role
