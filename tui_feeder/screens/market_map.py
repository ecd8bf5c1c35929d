"""Market map: every symbol that passes the filter a tile, sized by its volume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.widget import Widget

from tui_feeder.monitor import Snapshot, SymbolView
from tui_feeder.screens.export import Table, symbols_table
from tui_feeder.screens.filtered_symbols import FilteredSymbolsScreen, filter_bindings
from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets.market_map import ColorBy, MarketMap, legend, selected_parts
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.panel import Panel

#: Cells of each panel that the map is cut into: of each a line is sent from its first change to its last.
_SLICE = 20
_SLICES = 20
_MAP_TOP = 2  # row
_WITH_NAME = 100  # cells from which the first line names the screen
_REPAINT_SECONDS = 0.95  # between two paintings that nobody asked for


class MapScreen(FilteredSymbolsScreen, inherit_bindings=False):
    """Screen 0."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1, 0)", "select", show=False, key_display="←", id="map.left",
                tooltip="Tile at the left"),
        Binding("right", "step(1, 0)", "select", show=False, key_display="→", id="map.right",
                tooltip="at the right"),
        Binding("up", "step(0, -1)", "select", show=False, key_display="↑", id="map.up", tooltip="above"),
        Binding("down", "step(0, 1)", "select", show=False, key_display="↓", id="map.down", tooltip="below"),
        Binding("tab", "by_size(1)", "by size", show=False, key_display="Tab", id="map.smaller",
                tooltip="Next smaller volume"),
        Binding("shift+tab", "by_size(-1)", "by size", show=False, key_display="⇧Tab", id="map.larger",
                tooltip="next larger"),
        Binding("home", "by_size(-100000)", "ends", show=False, key_display="Home", id="map.largest",
                tooltip="Largest volume"),
        Binding("end", "by_size(100000)", "ends", show=False, key_display="End", id="map.smallest",
                tooltip="smallest"),
        Binding("enter", "open", "symbol", show=False, key_display="Enter", id="map.open",
                tooltip="Show the symbol on screen 1"),
        Binding("m", "color_by", "colour", id="map.color_by",
                tooltip="Colour by change, trend alignment, freshness"),
        *filter_bindings("map"),
    ]  # fmt: skip

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self._title = Panel(id="map-title")
        self._slices = [Panel(id=f"map{number}") for number in range(_SLICES)]
        self._detail = Panel(id="map-detail")
        self._map = MarketMap()
        self.color_by = ColorBy.CHANGE
        self._painted: object = None
        self._painted_at = 0.0  # local seconds

    def panels(self) -> Iterable[Panel]:
        """Title, the map in slices, and a line on the selected symbol."""
        return (self._title, *self._slices, self._detail)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """See :meth:`tui_feeder.screens.base.FeederScreen.place`."""
        self._painted = None
        width, height = size
        plan: dict[Widget, Region] = {
            self._title: Region(0, 1, width, 1),
            self._detail: Region(0, height - 2, width, 1),
        }
        wide = max(_SLICE, -(-width // _SLICES))
        for number, x in enumerate(range(0, width, wide)):
            plan[self._slices[number]] = Region(x, _MAP_TOP, min(wide, width - x), height - 4)
        return plan

    def paint(self, snapshot: Snapshot) -> None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.paint`."""
        width, height = self.app.size.width, self.app.size.height - 4
        names = self.grid.order
        filtered = (self.grid.pattern, self.typed_filter.typed is None)
        key = (self.grid.selected, tuple(names), self.color_by, id(self.palette), filtered)
        if key != self._painted or snapshot.taken_at - self._painted_at >= _REPAINT_SECONDS:
            self._painted, self._painted_at = key, snapshot.taken_at
            views = [view for name in names if (view := self.grid.view_of(name)) is not None]
            self._paint_map(snapshot, views, width, height)
        self._detail.show([self.palette.strip(self._detail_parts(width), width)])

    def _paint_map(self, snapshot: Snapshot, views: Sequence[SymbolView], width: int, height: int) -> None:
        palette = self.palette
        self._map.arrange(views, width, height, snapshot.exchange_time)
        strips = self._map.paint(views, self.grid.selected, self.color_by, palette)
        if not views:
            strips = self.nothing_shown(width, height)
        regions = [self.plan[panel] for panel in self._slices if panel in self.plan]
        cuts = [region.right for region in regions]
        rows = [strip.divide(cuts) for strip in strips]
        for number, panel in enumerate(self._slices[: len(regions)]):
            panel.show([row[number] for row in rows])
        self._title.show([palette.strip(self._title_parts(len(views), width), width)])

    def _title_parts(self, count: int, width: int) -> list[Part]:
        shown = self._map.shown
        head = f" {self.color_by.value} "
        shown_by = "colour" if self.palette.colored else "lines"
        parts: list[Part] = [
            (" market map ", Role.STRONG), (f"size: root of 24h volume, {shown_by}:", Role.MUTED),
            (head, Role.STRONG),
        ]  # fmt: skip
        if width < _WITH_NAME:
            parts = parts[1:] if width >= 60 else [(head, Role.STRONG)]
            parts[0] = (" " + parts[0][0].lstrip(), parts[0][1])
        if shown < count:
            parts.append((f" {shown} of {count} shown ", Role.WARN))
        return _fitting(parts, legend(self.color_by, self.palette), width, self.palette.glyphs.wall)

    def _detail_parts(self, width: int) -> list[Part]:
        if self.typed_filter.typed is not None:
            return self.typed_filter.help(width)
        view = self.grid.view
        if view is None:
            return []
        glyphs = self.palette.glyphs
        first, *others = selected_parts(view, glyphs)
        return _fitting([(" ", Role.TEXT), *first], others, width, glyphs.wall)

    def table(self) -> Table:
        """Every symbol on the map, the largest first."""
        views = [view for name in self._map.symbols if (view := self.grid.view_of(name)) is not None]
        return symbols_table(views, self.host.snapshot.indicators)

    # The mouse

    def press_at(self, x: int, y: int) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.press_at`.

        Selects a tile; the selected one is shown on the overview.
        """
        symbol = self._map.symbol_at(x, y - _MAP_TOP)
        if symbol is not None and symbol == self.grid.selected:
            self.action_open()
        else:
            self._select(symbol)

    def wheel_at(self, x: int, y: int, step: int, sideways: bool) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.wheel_at`; selects a smaller or larger volume."""
        self.action_by_size(step)

    # What the keys do

    def action_step(self, across: int, down: int) -> None:
        """Selects the tile beside the selected one."""
        self._select(self._map.neighbour(self.grid.selected, across, down))

    def action_by_size(self, steps: int) -> None:
        """Selects the tile of the next smaller or larger volume."""
        self._select(self._map.by_size(self.grid.selected, steps))

    def _select(self, symbol: str | None) -> None:
        if symbol is not None:
            self.grid.select(symbol)
            self.draw()

    def action_open(self) -> None:
        """Shows the selected symbol on the overview."""
        if self.grid.selected is not None:
            self.host.show_screen("overview")

    def action_color_by(self) -> None:
        """Colours the tiles by something else."""
        ways = tuple(ColorBy)
        self.color_by = ways[(ways.index(self.color_by) + 1) % len(ways)]
        self.draw()


def _fitting(first: Sequence[Part], groups: Sequence[Sequence[Part]], width: int, wall: str) -> list[Part]:
    """The first parts, and the groups that have room after them."""
    parts = list(first)
    used = sum(cell_len(text) for text, _ in parts)
    for group in groups:
        size = 3 + sum(cell_len(text) for text, _ in group)
        if used + size <= width:
            parts += [(f" {wall} ", Role.FAINT), *group]
            used += size
    return parts
