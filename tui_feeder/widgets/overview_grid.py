"""The row model of the overview: which symbols in which order, which one is selected, and their cells.

All columns draw from one :class:`Grid`, and only the rows in view are formatted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui_feeder.monitor import Snapshot, SymbolView
from tui_feeder.scanner.fields import Field, FieldValue, Subject, Subjects, field_table
from tui_feeder.scanner.filter_language import Filter, FilterError, parse
from tui_feeder.scanner.watchlists import MAX_SORT_KEYS, UserLists
from tui_feeder.widgets import cells
from tui_feeder.widgets.overview_cells import FormattedRows
from tui_feeder.widgets.overview_columns import CellContext, Column
from tui_feeder.widgets.palette import Glyphs, Role

#: A cell: its text in exactly the column's width, what it means, and whether its row is selected.
Cell = tuple[str, Role, bool]


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of an order."""

    field: str  # of the field table
    reversed: bool = False  # against the usual order of the field: the largest first, names from A

    @property
    def text(self) -> str:
        """As it is kept: ``vol``, ``-name``."""
        return ("-" if self.reversed else "") + self.field


def sort_keys(texts: Sequence[str]) -> tuple[SortKey, ...]:
    """Reads an order as it is kept.

    Args:
        texts: of :attr:`SortKey.text`, the first key first.

    Returns:
        The keys; more than the two that there can be are left out.
    """
    return tuple(SortKey(text.removeprefix("-"), text.startswith("-")) for text in texts)[:MAX_SORT_KEYS]


class Grid:
    """Order, filter, selection and window over the symbols of a snapshot.

    The selection is a symbol, not a row: it stays with its symbol whatever the order. The window moves
    only as far as it must to keep the selection in view; after the user asked for another order or filter it
    shows the first rows, and the next move selects among those. Order and filter know nothing of columns.
    """

    def __init__(self) -> None:
        self.columns: tuple[Column, ...] = ()
        self.fields: Mapping[str, Field] = field_table((), ())
        self.lists = UserLists()
        self.selected: str | None = None
        self.wanted: str | None = None  # to be selected as soon as it is there
        self.sort: tuple[SortKey, ...] = ()  # at most two; none for the order of the configuration
        self.filter: Filter = parse("", self.fields)
        self.order: list[str] = []
        self.top = 0
        self._from_top = False  # the window shows the first rows, wherever the selection is
        self._height = 0  # of the window when it was shown last
        self._subjects: Mapping[str, Subject] = {}
        self._configured: tuple[str, ...] = ()
        self._shape: object = None  # of the snapshot: what its fields follow from
        self._formatted = FormattedRows()
        self._marked: dict[str, tuple[list[tuple[str, Role]], bool, list[Cell]]] = {}  # whether selected
        self._headings: tuple[object, list[tuple[str, Role]]] = None, []  # and what they follow from

    @property
    def view(self) -> SymbolView | None:
        """The selected symbol as of the last snapshot."""
        subject = self._subjects.get(self.selected or "")
        return None if subject is None else subject.view

    def view_of(self, symbol: str) -> SymbolView | None:
        """Looks up a symbol as of the last snapshot.

        Args:
            symbol: its name.

        Returns:
            What is known of it; None where it is not there.
        """
        subject = self._subjects.get(symbol)
        return None if subject is None else subject.view

    @property
    def configured(self) -> tuple[str, ...]:
        """The symbols there are, in the order of the configuration; one tuple while they stay the same."""
        return self._configured

    @property
    def total(self) -> int:
        """Symbols there are, hidden by the filter or not."""
        return len(self._configured)

    @property
    def pattern(self) -> str:
        """The filter as it was typed; empty shows everything."""
        return self.filter.text

    def set_columns(self, columns: tuple[Column, ...]) -> None:
        """Shows other columns; order and filter stay in force.

        Args:
            columns: in the order they stand in.
        """
        self.columns = columns
        self._formatted.set_columns(columns)

    def update(self, snapshot: Snapshot, resort: bool = True) -> None:
        """Takes the symbols of a snapshot.

        Args:
            snapshot: the newest one.
            resort: bring the rows into the order of their present values; without it only symbols that
                came or went change the order, so that rows do not jump under the reader's eye.
        """
        shape = (snapshot.timeframes, snapshot.indicators)
        if shape != self._shape:
            self._shape, self.fields = shape, field_table(*shape)
            try:
                self.filter = parse(self.pattern, self.fields)
            except FilterError:  # of a timeframe that there is no longer
                self.filter = parse("", self.fields)
        self._subjects = Subjects(snapshot, self.lists.pins, self.lists.notes)
        configured = tuple(self._subjects)
        if configured != self._configured:
            self._configured = configured
            self._formatted.keep(self._subjects)
            self._marked = {s: row for s, row in self._marked.items() if s in self._subjects}
            resort = True
        if resort:
            self._arrange()

    def set_lists(self, lists: UserLists) -> None:
        """Takes other pins and notes.

        Args:
            lists: of the user.
        """
        self.lists = lists
        if isinstance(self._subjects, Subjects):
            self._subjects = self._subjects.marked(lists.pins, lists.notes)
        self._arrange()

    # Order

    def sort_by(self, field: str) -> None:
        """Orders by a field, the largest first; by the one in force the other way round.

        Args:
            field: of the field table; empty for the order of the configuration.
        """
        if not field:
            self.sort = ()
        elif self.sort and self.sort[0].field == field:
            self.sort = (SortKey(field, not self.sort[0].reversed), *self.sort[1:])
        else:
            self.sort = (SortKey(field),)
        self._arrange_from_top()

    def then_by(self, field: str) -> None:
        """Orders those that are equal by another field; by the one in force the other way round.

        Args:
            field: of the field table.
        """
        if not self.sort or self.sort[0].field == field:
            self.sort_by(field)
            return
        again = len(self.sort) > 1 and self.sort[1].field == field
        self.sort = (self.sort[0], SortKey(field, again and not self.sort[1].reversed))
        self._arrange_from_top()

    def set_sort(self, keys: Sequence[SortKey]) -> None:
        """Orders by these keys; fields that there are not are left out.

        Args:
            keys: the first one first.
        """
        self.sort = tuple(keys)[:MAX_SORT_KEYS]
        self._arrange_from_top()

    def reverse_sort(self) -> None:
        """Turn the order round."""
        if self.sort:
            self.sort = tuple(SortKey(key.field, not key.reversed) for key in self.sort)
        else:
            self.sort = (SortKey("name"),)
        self._arrange_from_top()

    def _arrange_from_top(self) -> None:
        self._arrange()
        self._from_top, self.top = True, 0

    def _arrange(self) -> None:
        shown = [name for name in self._configured if self.filter.shows(self._subjects[name])]
        for key in reversed(self.sort):
            field = self.fields.get(key.field)
            if field is None:
                continue
            values = {name: field.value(self._subjects[name]) for name in shown}
            known = [name for name in shown if values[name] is not None]
            known.sort(key=lambda name: _order(values[name]), reverse=field.rising is key.reversed)
            shown = known + [name for name in shown if values[name] is None]
        pins = frozenset(self.lists.pins)
        if not pins.isdisjoint(shown):
            shown.sort(key=lambda name: name not in pins)
        self.order = shown
        if self.wanted in shown:
            self.selected, self.wanted = self.wanted, None
        if self.selected not in shown:
            self.selected = shown[0] if shown else None

    # Filter

    def set_filter(self, text: str) -> str | None:
        """Shows the symbols that pass a filter.

        Args:
            text: in the filter language; empty shows everything.

        Returns:
            What is wrong with it, in which case the filter stays as it was; else None.
        """
        try:
            self.filter = parse(text, self.fields)
        except FilterError as fault:
            return str(fault)
        self._arrange_from_top()
        return None

    def passing(self, condition: Filter) -> int:
        """Counts the symbols that would pass a filter.

        Args:
            condition: the filter.

        Returns:
            Their number.
        """
        return sum(condition.shows(subject) for subject in self._subjects.values())

    # Selection

    def select(self, symbol: str) -> None:
        """Selects a symbol if it is shown.

        Args:
            symbol: its name.
        """
        if symbol in self.order:
            self.selected, self.wanted, self._from_top = symbol, None, False

    def move(self, rows: int) -> None:
        """Selects the symbol ``rows`` below, as far as there are any.

        Args:
            rows: negative for those above.
        """
        if not self.order:
            return
        self.wanted = None
        at = self.order.index(self.selected) if self.selected in self.order else 0
        if self._from_top and self._height and not self.top <= at < self.top + self._height:
            at = self.top - min(max(rows, -1), 1)  # the first row in view is the next one
        self._from_top = False
        self.selected = self.order[min(max(at + rows, 0), len(self.order) - 1)]

    def window(self, height: int) -> list[SymbolView]:
        """Moves the window to the selection.

        Args:
            height: rows of it.

        Returns:
            The symbols in it, from the top.
        """
        return [subject.view for subject in self._window(height)]

    @property
    def shown(self) -> Sequence[str]:
        """The symbols in sight, from the top."""
        return self.order[self.top : self.top + self._height]

    @property
    def place(self) -> str:
        """Which rows are in sight, as ``31-52 of 600``; empty where all are."""
        shown = min(self._height, len(self.order) - self.top)
        return cells.range_text(self.top, shown, len(self.order)) if shown > 0 else ""

    def _window(self, height: int) -> list[Subject]:
        last_top = max(0, len(self.order) - height)
        self._height = height
        if not self._from_top and self.selected in self.order and height > 0:
            at = self.order.index(self.selected)
            self.top = min(max(self.top, at - height + 1), at)
        self.top = min(max(self.top, 0), last_top)
        return [self._subjects[symbol] for symbol in self.order[self.top : self.top + height]]

    # Cells

    def headings(self, glyphs: Glyphs) -> list[tuple[str, Role]]:
        """Writes the headings.

        Args:
            glyphs: symbols.

        Returns:
            One for every column, marked where the order comes from.
        """
        follows = (self.columns, self.sort, self._shape, glyphs)
        if follows == self._headings[0]:
            return self._headings[1]
        result: list[tuple[str, Role]] = []
        for column in self.columns:
            mark, role = self._sort_mark(column, glyphs)
            text = column.heading + (" " if column.right and column.key in _SIGN_AFTER else "")
            if column.right:
                text = cells.fit(mark + text, column.width, right=True)
            else:
                text = cells.fit(text + mark, column.width)
            result.append((text, role))
        self._headings = follows, result
        return result

    def _sort_mark(self, column: Column, glyphs: Glyphs) -> tuple[str, Role]:
        """A sign for a column that the rows are sorted by; it stands in the blank before the heading."""
        signs = ((glyphs.descending, glyphs.ascending), (glyphs.descending_then, glyphs.ascending_then))
        for key, (falling, rising) in zip(self.sort, signs, strict=False):
            field = self.fields.get(key.field)
            if field is not None and column.field and key.field in (column.field, _near(column.field)):
                return (rising if field.rising is not key.reversed else falling), Role.ACCENT
        return "", Role.MUTED

    def rows(self, height: int, context: CellContext) -> list[list[Cell]]:
        """Writes the rows in view.

        Args:
            height: rows.
            context: what the cells depend on besides the symbols.

        Returns:
            The cells row by row, one for every column; of a row that has not changed the same list as before,
            of a cell that has not changed the same cell.
        """
        result: list[list[Cell]] = []
        for subject in self._window(height):
            chosen = subject.view.symbol == self.selected
            row = self._formatted.row(subject, context)
            before = self._marked.get(subject.view.symbol)
            if before is None or before[0] is not row or before[1] != chosen:
                if before is not None and before[1] == chosen and len(before[0]) == len(row):
                    kept = zip(row, before[0], before[2], strict=True)
                    marked = [same if cell is was else (*cell, chosen) for cell, was, same in kept]
                else:
                    marked = [(text, role, chosen) for text, role in row]
                if chosen and marked:
                    text, role, _ = marked[0]
                    marked[0] = (context.glyphs.pointer + text[1:], role, True)
                before = self._marked[subject.view.symbol] = row, chosen, marked
            result.append(before[2])
        return result


#: Columns whose values end in a sign, or in a blank for it.
_SIGN_AFTER = ("age", "gaps", "align")


def _near(field: str) -> str:
    """The field that the column of a signed distance shows as well."""
    return field.replace("from(", "near(", 1)


def _order(value: FieldValue) -> float | str:
    return value if isinstance(value, str) else float(value or 0.0)
