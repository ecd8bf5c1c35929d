"""What the screens of all symbols share: the app's rows, the filter that is typed, the watchlists."""

from __future__ import annotations

from textual.binding import Binding
from textual.geometry import Size
from textual.strip import Strip

from tui_feeder.monitor import Snapshot
from tui_feeder.screens.base import FeederScreen, text_in_middle
from tui_feeder.screens.export import row_text
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.scanner_input import ScannerInput
from tui_feeder.screens.scanner_layout import LIST_HEIGHT, LIST_WIDTH
from tui_feeder.screens.scanner_menus import watchlist_menu
from tui_feeder.widgets.overview_grid import Grid


def filter_bindings(group: str) -> tuple[Binding, ...]:
    """Makes the bindings of filter and watchlists.

    Args:
        group: prefix of their ids.

    Returns:
        The bindings.
    """
    return (
        Binding("slash", "filter", "filter", key_display="/", id=f"{group}.filter",
                tooltip="Filter: names, values, trends"),
        Binding("escape", "clear_filter", "all", show=False, key_display="Esc", id=f"{group}.clear_filter",
                tooltip="Show all symbols"),
        Binding("W", "watchlists", "lists", id=f"{group}.watchlists", tooltip="Watchlists: saved filters"),
    )  # fmt: skip


class FilteredSymbolsScreen(FeederScreen, inherit_bindings=False):
    """A screen of the symbols that pass the filter, down to a phone's terminal."""

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self.typed_filter = ScannerInput(lambda: self.grid)
        self.filter = self.typed_filter

    @property
    def grid(self) -> Grid:
        """The app's rows."""
        return self.host.grid

    @property
    def minimum(self) -> Size:
        """What the list alone needs."""
        return Size(LIST_WIDTH, LIST_HEIGHT)

    def shown_symbols(self, snapshot: Snapshot) -> int:
        """See :meth:`tui_feeder.screens.base.FeederScreen.shown_symbols`."""
        return len(self.grid.order) if self.grid.total else len(snapshot.symbols)

    def nothing_shown(self, width: int, height: int) -> list[Strip]:
        """Explains a panel of symbols that has none.

        Args:
            width: cells of the panel.
            height: its rows.

        Returns:
            The strips of the panel: the filter that no symbol passes, and the key that ends it.
        """
        text = "no symbol yet"
        if self.grid.total:
            end = "" if self.typed_filter.typed is not None else "; Esc shows all"
            text = f'no symbol passes "{self.grid.pattern}"{end}'
        return text_in_middle(text, width, height, self.palette)

    def selected_text(self) -> str:
        """The row of the selected symbol."""
        table = self.table()
        return "" if table is None else row_text(table, self.grid.selected)

    def action_filter(self) -> None:
        """Begin to type a filter."""
        self.typed_filter.begin()
        self.draw()

    def action_clear_filter(self) -> None:
        """Shows every symbol."""
        self.typed_filter.clear()
        self.replan()

    def action_watchlists(self) -> None:
        """Saved filters."""
        self.open_popup(watchlist_menu(self.host))
