"""The grid of the overview on Textual's DataTable, for comparison: ``python -m benchmarks._datatable``."""

from __future__ import annotations

import sys

from textual.app import App, ComposeResult
from textual.widgets import DataTable

from tests.support.fake_monitor import INDICATORS, TIMEFRAMES, FakeMonitor
from tui_feeder.widgets.overview_columns import CellContext, ColumnNeeds, columns_for
from tui_feeder.widgets.overview_grid import Grid
from tui_feeder.widgets.palette import GLYPHS


class TableApp(App[None]):
    """Every cell that differs since the last look is updated, four looks a second."""

    def __init__(self, symbols: int, changes: float, width: int) -> None:
        super().__init__()
        self._monitor = FakeMonitor(symbols, changes)
        self._grid = Grid()
        self._grid.set_columns(columns_for(width, ColumnNeeds(TIMEFRAMES, INDICATORS, 3_600)))
        self._shown: dict[tuple[str, str], str] = {}

    def compose(self) -> ComposeResult:
        yield DataTable()

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        for column in self._grid.columns:
            table.add_column(column.heading.strip(), key=column.key, width=column.width - 1)
        for name in self._monitor.views:
            table.add_row(*[""] * len(self._grid.columns), key=name)
        self.set_interval(0.25, self.look)

    def look(self) -> None:
        table = self.query_one(DataTable)
        self._grid.update(self._monitor.snapshot(), resort=False)
        context = CellContext(GLYPHS["braille"], 3_600, self._monitor.now)
        rows = self._grid.rows(len(self._monitor.views), context)
        for name, row in zip(self._grid.order, rows, strict=True):
            for column, (text, _, _) in zip(self._grid.columns, row, strict=True):
                if self._shown.get((name, column.key)) != text:
                    self._shown[name, column.key] = text
                    table.update_cell(name, column.key, text)


if __name__ == "__main__":
    TableApp(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])).run()
