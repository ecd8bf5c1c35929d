"""The row model of the overview: which symbols in which order, which one is selected, and their cells.

All columns draw from one :class:`Grid`, and only the rows in view are formatted.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui_feeder.monitor import Progress, Snapshot, SymbolState, SymbolView
from tui_feeder.widgets import cells
from tui_feeder.widgets.columns import HISTORY, CellContext, Column
from tui_feeder.widgets.palette import Glyphs, Role
from tui_feeder.widgets.pattern import matching

#: A cell: its text in exactly the column's width, what it means, and whether its row is selected.
Cell = tuple[str, Role, bool]

_NOTED = {
    SymbolState.WAITING: "waiting",
    SymbolState.BACKFILL: "backfill",
    SymbolState.NO_DATA: "no data",
    SymbolState.UNKNOWN: "unknown symbol",
    SymbolState.FAILED: "failed",
}


class Grid:
    """Order, filter, selection and window over the symbols of a snapshot.

    The selection is a symbol, not a row: it stays with its symbol whatever the order. The window moves
    only as far as it must to keep the selection in view.
    """

    def __init__(self) -> None:
        self.columns: tuple[Column, ...] = ()
        self.selected: str | None = None
        self.wanted: str | None = None  # to be selected as soon as it is there
        self.sort_key = ""  # of a column; empty for the order of the configuration
        self.ascending = False
        self.pattern = ""
        self.order: list[str] = []
        self.top = 0
        self._views: dict[str, SymbolView] = {}
        self._configured: tuple[str, ...] = ()
        self._formatted: dict[str, tuple[SymbolView, tuple[int, int], list[tuple[str, Role]]]] = {}
        self._edition = 0

    @property
    def view(self) -> SymbolView | None:
        """The selected symbol as of the last snapshot."""
        return self._views.get(self.selected or "")

    @property
    def total(self) -> int:
        """Symbols there are, hidden by the filter or not."""
        return len(self._configured)

    def set_columns(self, columns: tuple[Column, ...]) -> None:
        """Show other columns; a sort by one that is gone stays in force."""
        self.columns = columns
        self.forget_cells()

    def forget_cells(self) -> None:
        """Format every row again."""
        self._edition += 1

    def update(self, snapshot: Snapshot, resort: bool = True) -> None:
        """Take the symbols of a snapshot.

        Args:
            snapshot: the newest one.
            resort: bring the rows into the order of their present values; without it only symbols that
                came or went change the order, so that rows do not jump under the reader's eye.
        """
        self._views = {view.symbol: view for view in snapshot.symbols}
        configured = tuple(self._views)
        if configured != self._configured:
            self._configured = configured
            self._formatted = {s: row for s, row in self._formatted.items() if s in self._views}
            resort = True
        if resort:
            self._arrange()

    def sortable(self) -> list[str]:
        """Keys of the columns that can be sorted by, the configured order first."""
        return ["", *(column.key for column in self.columns if column.sort is not None)]

    def cycle_sort(self) -> None:
        """Sort by the next column."""
        keys = self.sortable()
        at = keys.index(self.sort_key) if self.sort_key in keys else 0
        self.sort_by(keys[(at + 1) % len(keys)])

    def reverse_sort(self) -> None:
        """Turn the order round."""
        self.ascending = not self.ascending
        self._arrange()

    def set_filter(self, pattern: str) -> str | None:
        """Show the symbols that match a regular expression, or with ``!`` before it those that do not.

        Returns:
            What is wrong with the pattern, in words, in which case the filter stays as it was; else None.
        """
        try:
            matching(pattern)
        except ValueError as fault:
            return str(fault)
        self.pattern = pattern
        self._arrange()
        return None

    def sort_by(self, key: str) -> None:
        """Sort by a column, the largest first; empty for the order of the configuration."""
        self.sort_key, self.ascending = key, key == "symbol"
        self._arrange()

    def select(self, symbol: str) -> None:
        """Select a symbol if it is shown."""
        if symbol in self.order:
            self.selected, self.wanted = symbol, None

    def move(self, rows: int) -> None:
        """Select the symbol ``rows`` below, as far as there are any."""
        if not self.order:
            return
        self.wanted = None
        at = self.order.index(self.selected) if self.selected in self.order else 0
        self.selected = self.order[min(max(at + rows, 0), len(self.order) - 1)]

    def window(self, height: int) -> list[SymbolView]:
        """The symbols in ``height`` rows."""
        last_top = max(0, len(self.order) - height)
        if self.selected in self.order and height > 0:
            at = self.order.index(self.selected)
            self.top = min(max(self.top, at - height + 1), at)
        self.top = min(max(self.top, 0), last_top)
        return [self._views[symbol] for symbol in self.order[self.top : self.top + height]]

    def headings(self, glyphs: Glyphs) -> list[tuple[str, Role]]:
        """A heading for every column, marked where the order comes from."""
        mark = glyphs.ascending if self.ascending else glyphs.descending
        result: list[tuple[str, Role]] = []
        for column in self.columns:
            text, role = column.heading, Role.MUTED
            if column.key == self.sort_key and self.sort_key:
                role = Role.ACCENT
                bare = text.rstrip()
                text = bare.replace(" ", mark) if " " in bare else bare + mark + text[len(bare) + 1 :]
            if column.key == "symbol":
                text = "  " + text
            result.append((cells.fit(text, column.width, column.right), role))
        return result

    def rows(self, height: int, context: CellContext) -> list[list[Cell]]:
        """Cells of the rows in view, row by row, one for every column."""
        result: list[list[Cell]] = []
        for view in self.window(height):
            chosen = view.symbol == self.selected
            row = [(text, role, chosen) for text, role in self._row(view, context)]
            if chosen and row:
                text, role, _ = row[0]
                row[0] = (context.glyphs.pointer + text[1:], role, True)
            result.append(row)
        return result

    def _row(self, view: SymbolView, context: CellContext) -> list[tuple[str, Role]]:
        cached = self._formatted.get(view.symbol)
        stamp = (self._edition, context.now)
        if cached is not None and cached[0] is view and cached[1] == stamp:
            return cached[2].copy()
        if cached is not None and cached[0] is view and cached[1][0] == self._edition:
            row = cached[2].copy()
            row[-1] = _cell(self.columns[-1], view, context)  # the age, the only cell that lives by the clock
        else:
            row = _format(view, self.columns, context)
            if cached is not None and cached[1] == stamp and cached[0].state is view.state:
                row[-1] = cached[2][-1]
        self._formatted[view.symbol] = (view, stamp, row)
        return row.copy()

    def _arrange(self) -> None:
        matching = self._matching()
        key = next((c.sort for c in self.columns if c.key == self.sort_key), None)
        if key is None:
            self.order = matching[::-1] if self.ascending and not self.sort_key else matching
        else:
            known = [(value, s) for s in matching if (value := key(self._views[s])) is not None]
            unknown = [s for s in matching if key(self._views[s]) is None]
            known.sort(key=lambda pair: pair[0], reverse=not self.ascending)
            self.order = [s for _, s in known] + unknown
        if self.wanted in self.order:
            self.selected, self.wanted = self.wanted, None
        if self.selected not in self.order:
            self.selected = self.order[0] if self.order else None

    def _matching(self) -> list[str]:
        if not self.pattern:
            return list(self._configured)
        return list(filter(matching(self.pattern), self._configured))


def progress_text(progress: Progress, width: int, glyphs: Glyphs) -> str:
    """How far a history is, in exactly ``width`` cells: a bar, percent, source and time to go."""
    tail = f" {progress.fraction * 100:3.0f}%"
    if progress.note:
        for text in (progress.note, progress.note.partition(" (")[0]):  # what is in brackets screen 5 has too
            if width - len(tail) - len(text) >= 9:
                tail += f" {text}"
                break
        return bar_text(progress.fraction, width - len(tail), glyphs) + tail
    for more in (f" {progress.source}", f" {cells.duration_text(progress.eta_seconds)}"):
        if width - len(tail) - len(more) >= 14 and not more.endswith(cells.UNKNOWN):
            tail += more
    return bar_text(progress.fraction, width - len(tail), glyphs) + tail


def bar_text(fraction: float, width: int, glyphs: Glyphs) -> str:
    """A bar of ``width`` cells, filled from the left in the finest steps the symbols allow."""
    steps = len(glyphs.eighths)
    full, rest = divmod(round(min(max(fraction, 0.0), 1.0) * width * steps), steps)
    text = glyphs.eighths[-1] * full + (glyphs.eighths[rest - 1] if rest else "")
    return text + glyphs.track * (width - len(text))


def _cell(column: Column, view: SymbolView, context: CellContext) -> tuple[str, Role]:
    text, role = column.cell(view, context)
    if view.state is SymbolState.STALE and role is not Role.WARN:
        role = Role.MUTED  # an old value must not look like a present one
    return cells.fit("  " + text if column.key == "symbol" else text, column.width, column.right), role


def _format(view: SymbolView, columns: Sequence[Column], context: CellContext) -> list[tuple[str, Role]]:
    row = [_cell(column, view, context) for column in columns]
    history = [i for i, column in enumerate(columns) if column.group == HISTORY]
    note = _note(view, sum(columns[i].width for i in history), context.glyphs)
    if note is not None:
        text, role = note
        for i in history:
            row[i] = (text[: columns[i].width], role)
            text = text[columns[i].width :]
    return row


def _note(view: SymbolView, width: int, glyphs: Glyphs) -> tuple[str, Role] | None:
    """The line that stands in for history a symbol does not have."""
    if view.state is SymbolState.BACKFILL and view.progress is not None:
        return " " + progress_text(view.progress, width - 1, glyphs), Role.ACCENT
    word = _NOTED.get(view.state)
    if view.state is SymbolState.DELISTED and view.last_closed is None:
        word = "delisted"  # it has no values that could stay in sight
    if word is None:
        return None
    if view.state is SymbolState.BACKFILL and view.last_closed is not None:
        return None  # what it had stays in sight while its history is read again
    role = Role.ERROR if view.state is SymbolState.FAILED else Role.MUTED
    text = f" {word}: {view.reason}" if view.reason and view.reason != word else f" {word}"
    return cells.fit(text if text.isascii() else text.encode("ascii", "replace").decode(), width), role
