"""The market map: every symbol a tile, sized by volume and coloured by change, trends or freshness.

The area of a tile follows the square root of its volume: the largest symbol trades as much as all others
together, and would take the place that their names need.

Colour is never the only cue: a tile has its value with its sign, or where there is no room for that a sign
alone; without colours lines run up to the right over what rises and down over what falls, closer the more it
does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rich.cells import cell_len
from rich.segment import Segment
from textual.geometry import Offset, Region
from textual.strip import Strip

from tui_feeder.monitor import MINUTE_MS, SymbolState, SymbolView
from tui_feeder.scanner import measures
from tui_feeder.widgets import cells
from tui_feeder.widgets.breadth import short_name
from tui_feeder.widgets.palette import Glyphs, Palette, Part, Role, ascii_only
from tui_feeder.widgets.tile_lines import (
    MORE_ROWS,
    MORE_WIDTH,
    TileDetails,
    head_lines,
    more_lines,
    tile_details,
)
from tui_feeder.widgets.tile_styles import ROLES, Direction, TileStyle, Tint, tile_style
from tui_feeder.widgets.treemap import treemap

#: Changes of 24 h in percent from which a tile is coloured, more strongly, and most strongly.
CHANGES = (0.25, 2.0, 5.0)
#: Volumes move all the time; tiles change places this often, and with the symbols or the terminal.
_ARRANGE_MS = 5 * MINUTE_MS
_GAP_WIDTH, _GAP_ROWS = 5, 3  # cells and rows from which a tile is set off from its neighbours
#: Cells from one line over a tile without colours to the next, by strength.
_APART = (0, 8, 4, 1)
_SLOPES = (Direction.RISE, Direction.FALL)


class ColorBy(StrEnum):
    """What the colour of the tiles shows."""

    CHANGE = "24h change"
    TRENDS = "trend alignment"
    FRESHNESS = "freshness"


@dataclass(frozen=True, slots=True)
class TileValue:
    """What a tile shows of its symbol."""

    text: str
    sign: str  # one cell, in place of the text where that has no room
    tint: Tint


def tile_value(view: SymbolView, color_by: ColorBy, glyphs: Glyphs) -> TileValue:
    """Computes text, sign and colour of a tile.

    Args:
        view: of the symbol.
        color_by: what the colour shows.
        glyphs: symbols.

    Returns:
        The value; unknown ones are of their own colour.
    """
    match color_by:
        case ColorBy.CHANGE:
            return _change(view.change_24h, glyphs)
        case ColorBy.TRENDS:
            return _trends(measures.alignment(view), glyphs)
        case ColorBy.FRESHNESS:
            return _freshness(view, glyphs)


def _change(change: float | None, glyphs: Glyphs) -> TileValue:
    if change is None:
        return TileValue(cells.UNKNOWN, "?", Tint(Direction.UNKNOWN))
    text = f"{change:+z.1f}" if abs(change) < 99.95 else f"{change:+z.0f}"
    return TileValue(text, *_signed(change, sum(abs(change) >= least for least in CHANGES), glyphs))


def _trends(found: measures.Alignment | None, glyphs: Glyphs) -> TileValue:
    if found is None:
        return TileValue(cells.UNKNOWN, "?", Tint(Direction.UNKNOWN))
    share = abs(found.score) / max(1, found.total)
    level = 0 if not found.score else 1 if share < 0.5 else 2 if share < 0.99 else 3
    text = (f"{found.score:+d}" if found.score else "0") + ("" if found.complete else "?")
    return TileValue(text, *_signed(found.score, level, glyphs))


def _signed(value: float, level: int, glyphs: Glyphs) -> tuple[str, Tint]:
    if not level:
        return glyphs.neutral, Tint(Direction.EVEN)
    if value > 0:
        return glyphs.buy, Tint(Direction.RISE, level)
    return glyphs.sell, Tint(Direction.FALL, level)


def _freshness(view: SymbolView, glyphs: Glyphs) -> TileValue:
    match view.state:
        case SymbolState.LIVE:
            return TileValue("live", glyphs.live, Tint(Direction.GOOD, 1))
        case SymbolState.LATE:
            return TileValue("late!", "!", Tint(Direction.WARN, 2))
        case SymbolState.STALE | SymbolState.FAILED:
            return TileValue(view.state.value + "!", "!", Tint(Direction.BAD, 3))
        case SymbolState.WAITING | SymbolState.BACKFILL:
            return TileValue(view.state.value, glyphs.loading, Tint(Direction.EVEN))
        case _:
            return TileValue(view.state.value, "?", Tint(Direction.UNKNOWN))


def legend(color_by: ColorBy, palette: Palette) -> list[list[Part]]:
    """Explains the colours.

    Args:
        color_by: what they show.
        palette: symbols.

    Returns:
        The groups of a line, each of which may be left out.
    """
    glyphs = palette.glyphs
    match color_by:
        case ColorBy.CHANGE:
            steps = ", ".join(f"{change:g}" for change in CHANGES)
            if not palette.colored:
                signs = f"{glyphs.tile_rise * 2} up {glyphs.tile_fall * 2} down"
                return [[(signs, Role.TEXT)], [(f"closer from {steps} %", Role.MUTED)]]
            return [[(glyphs.buy, Role.UP), (glyphs.sell, Role.DOWN), (f" from {steps} %", Role.MUTED)]]
        case ColorBy.TRENDS:
            return [
                [(f"{glyphs.buy} ", Role.UP), ("more Buy", Role.MUTED)],
                [(f"{glyphs.sell} ", Role.DOWN), ("more Sell", Role.MUTED)],
            ]
        case ColorBy.FRESHNESS:
            return [
                [(f"{glyphs.live} ", Role.OK), ("live", Role.MUTED)],
                [("! ", Role.WARN), ("late", Role.MUTED)],
                [("! ", Role.ERROR), ("stale/failed", Role.MUTED)],
            ]


@dataclass(slots=True)
class _Tile:
    symbol: str
    region: Region
    painted: object = None  # what the strips follow from
    strips: list[Strip] = field(default_factory=list)


class MarketMap:
    """Keeps tiles in their places, paints those that changed, and finds tiles by place and direction."""

    def __init__(self) -> None:
        self._tiles: list[_Tile] = []
        self._at: dict[str, _Tile] = {}
        self._rows: list[list[tuple[_Tile, int]]] = []  # of each line the tiles, each with its own line in it
        self._joined: list[tuple[list[Strip], Strip]] = []
        self._shape: object = None
        self._short: dict[str, str] = {}
        self._anchor: Offset | None = None  # where the arrows left from, so that there and back is the same
        self._styles: dict[Tint, TileStyle] = {}
        self._palette: Palette | None = None

    @property
    def shown(self) -> int:
        """Tiles there are."""
        return len(self._tiles)

    @property
    def symbols(self) -> list[str]:
        """Their symbols, the largest tile first."""
        return [tile.symbol for tile in self._tiles]

    def region_of(self, symbol: str) -> Region | None:
        """Looks up the place of a tile.

        Args:
            symbol: of the tile.

        Returns:
            Its region within the map; None where it has none.
        """
        tile = self._at.get(symbol)
        return None if tile is None else tile.region

    def arrange(self, views: Sequence[SymbolView], width: int, height: int, now: int) -> None:
        """Gives every symbol its place, unless that is still the one it has.

        Args:
            views: of the symbols to show.
            width: cells.
            height: rows.
            now: exchange time, ms.
        """
        known = sum(view.volume_24h is not None for view in views)
        shape = (frozenset(view.symbol for view in views), width, height, now // _ARRANGE_MS, known)
        if shape == self._shape:
            return
        self._shape = shape
        ordered = sorted(views, key=lambda view: (-(view.volume_24h or 0.0), view.symbol))
        places = treemap([math.sqrt(max(0.0, view.volume_24h or 0.0)) for view in ordered], width, height)
        self._tiles = [_Tile(view.symbol, place) for view, place in zip(ordered, places, strict=False)]
        self._at = {tile.symbol: tile for tile in self._tiles}
        self._short = _short_names([view.symbol for view in views])
        self._rows = [[] for _ in range(height)]
        for tile in sorted(self._tiles, key=lambda tile: tile.region.x):
            for line in range(tile.region.height):
                self._rows[tile.region.y + line].append((tile, line))
        self._joined = [([], Strip([])) for _ in range(height)]
        self._anchor = None

    def paint(
        self, views: Sequence[SymbolView], selected: str | None, color_by: ColorBy, palette: Palette
    ) -> list[Strip]:
        """Paints the tiles.

        Args:
            views: of the symbols that were arranged.
            selected: the symbol that is marked.
            color_by: what the colours show.
            palette: styles and symbols.

        Returns:
            A strip for each row.
        """
        if palette is not self._palette:
            self._palette, self._styles = palette, {}
        for view in views:
            tile = self._at.get(view.symbol)
            if tile is None:
                continue
            value = tile_value(view, color_by, palette.glyphs)
            more = None
            if tile.region.height >= MORE_ROWS and tile.region.width > MORE_WIDTH:
                by_change, by_trends = color_by is ColorBy.CHANGE, color_by is ColorBy.TRENDS
                more = tile_details(view, not by_change, not by_trends, palette.glyphs)
            key = (value, more, view.symbol == selected, id(palette))
            if key != tile.painted:
                tile.painted = key
                tile.strips = self._paint_tile(tile, value, more, view.symbol == selected, palette)
        result = []
        for y, row in enumerate(self._rows):
            pieces = [tile.strips[line] for tile, line in row]
            before, strip = self._joined[y]
            if len(before) != len(pieces) or any(a is not b for a, b in zip(before, pieces, strict=True)):
                strip = Strip.join(pieces)
                self._joined[y] = pieces, strip
            result.append(strip)
        return result

    def _paint_tile(
        self, tile: _Tile, value: TileValue, more: TileDetails | None, selected: bool, palette: Palette
    ) -> list[Strip]:
        width, height = tile.region.size
        glyphs = palette.glyphs
        style = self._styles.get(value.tint)
        if style is None:
            style = self._styles[value.tint] = tile_style(palette, value.tint)
        text, shade, gap = style.text, style.fill, style.gap
        if selected:
            text = shade = gap = palette.selected
        edge = glyphs.tile_left if width >= _GAP_WIDTH else " " if selected and width > 1 else ""
        strips = []
        inside = width - len(edge)
        signed = value.tint.direction in _SLOPES
        lines = head_lines(self._short[tile.symbol], value.text, value.sign, signed, inside, height)
        bars_from = height
        if more is not None:
            texts, bars = more_lines(more, inside, height - len(lines) - 1, glyphs)
            bars_from = len(lines) + len(texts)
            lines += texts + bars
        for y in range(height):
            line = lines[y] if y < len(lines) else ""
            if glyphs.name == "ascii":
                line = ascii_only(line)
            if not line and y == height - 1 and height >= _GAP_ROWS and width >= _GAP_WIDTH:
                strips.append(Strip([Segment(glyphs.tile_bottom * width, gap)], width))
                continue
            free = inside - cell_len(line)
            if line and free:
                line, free = line + " ", free - 1
            left = glyphs.pointer if selected and edge and y == 0 else edge
            segments = [Segment(left, gap)] if left else []
            if line:
                segments.append(Segment(line, text if y < bars_from else gap))
            if free:
                fill = " " * free
                if not palette.colored:
                    fill = _hatched(tile.region.right - free, tile.region.y + y, free, value.tint, glyphs)
                segments.append(Segment(fill, shade))
            strips.append(Strip(segments, width))
        return strips

    # Where what is

    def symbol_at(self, x: int, y: int) -> str | None:
        """Finds the tile at a place.

        Args:
            x: cells from the left of the map.
            y: rows from its top.

        Returns:
            Its symbol; None where there is none.
        """
        row = self._rows[y] if 0 <= y < len(self._rows) else []
        return next((tile.symbol for tile, _ in row if tile.region.x <= x < tile.region.right), None)

    def neighbour(self, symbol: str | None, across: int, down: int) -> str | None:
        """Finds the tile beside another.

        Args:
            symbol: of the one to start from.
            across: 1 for the one at the right, -1 at the left.
            down: 1 for the one below, -1 above.

        Returns:
            The symbol of it, or the one given where there is none; the largest where that has no tile.
        """
        tile = self._at.get(symbol or "")
        if tile is None:
            return self._tiles[0].symbol if self._tiles else None
        region = tile.region
        if self._anchor is None or not region.contains_point(self._anchor):
            self._anchor = Offset(region.x + (region.width - 1) // 2, region.y + (region.height - 1) // 2)
        x, y = self._anchor
        if across:
            x = region.right if across > 0 else region.x - 1
        if down:
            y = region.bottom if down > 0 else region.y - 1
        found = self.symbol_at(x, y)
        if found is None:
            return symbol
        # The line walked along stays where it was; across it the new tile is entered in its middle.
        entered = self._at[found].region
        if across:
            x = entered.x + (entered.width - 1) // 2
        if down:
            y = entered.y + (entered.height - 1) // 2
        self._anchor = Offset(x, y)
        return found

    def by_size(self, symbol: str | None, steps: int) -> str | None:
        """Finds the tile that is so many places smaller.

        Args:
            symbol: of the one to start from.
            steps: places; below 0 for larger ones.

        Returns:
            Its symbol; None where there are no tiles.
        """
        if not self._tiles:
            return None
        symbols = self.symbols
        at = symbols.index(symbol) + steps if symbol in symbols else 0
        return symbols[min(max(at, 0), len(symbols) - 1)]


def _short_names(symbols: Sequence[str]) -> dict[str, str]:
    """Names without the quote asset, where that leaves them different."""
    counts: dict[str, int] = {}
    for symbol in symbols:
        counts[short_name(symbol)] = counts.get(short_name(symbol), 0) + 1
    return {symbol: short_name(symbol) if counts[short_name(symbol)] == 1 else symbol for symbol in symbols}


def _hatched(x: int, y: int, width: int, tint: Tint, glyphs: Glyphs) -> str:
    """What fills cells of a tile where no colour does: lines that go on from row to row, or a shade."""
    if tint.direction in _SLOPES and tint.level:
        rises = tint.direction is Direction.RISE
        sign, slope, apart = (
            glyphs.tile_rise if rises else glyphs.tile_fall,
            y if rises else -y,
            _APART[tint.level],
        )
        return "".join(sign if (at + slope) % apart == 0 else " " for at in range(x, x + width))
    return glyphs.tile_fills[0 if tint.direction is Direction.GOOD else tint.level] * width


def selected_parts(view: SymbolView, glyphs: Glyphs) -> list[list[Part]]:
    """Describes the selected symbol in one line.

    Args:
        view: of the symbol.
        glyphs: symbols.

    Returns:
        The groups of the line, the most important first.
    """
    change = view.change_24h
    role = Role.MUTED if change is None else ROLES[_change(change, glyphs).tint.direction]
    groups: list[list[Part]] = [
        [(view.symbol, Role.STRONG), (f" {cells.price_text(view.price, view.price_decimals)}", Role.TEXT)],
        [("24h ", Role.MUTED), (f"{cells.percent_text(change)}%" if change is not None else "?", role)],
        [("vol ", Role.MUTED), (cells.count_text(view.volume_24h), Role.TEXT)],
    ]
    found = measures.alignment(view)
    if found is not None:
        shown = _trends(found, glyphs)
        groups.append([("trends ", Role.MUTED), (shown.text, ROLES[shown.tint.direction])])
    shown = _freshness(view, glyphs)
    text = f"{view.state.value}: {view.reason}" if view.reason else view.state.value
    groups.insert(1 if shown.tint.direction in (Direction.WARN, Direction.BAD) else len(groups),
                  [(text, ROLES[shown.tint.direction])])  # fmt: skip
    return groups
