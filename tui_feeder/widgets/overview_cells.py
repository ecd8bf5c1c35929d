"""The cells of the overview's rows, written again only where what they show has changed."""

from __future__ import annotations

from collections.abc import Container, Sequence
from operator import attrgetter

from tui_feeder.monitor import SymbolState, SymbolView
from tui_feeder.scanner.fields import Subject
from tui_feeder.widgets import cells
from tui_feeder.widgets.overview_columns import HISTORY, CellContext, Column
from tui_feeder.widgets.palette import Glyphs, Role
from tui_feeder.widgets.progress_bars import progress_text

_NOTED = {
    SymbolState.WAITING: "waiting",
    SymbolState.BACKFILL: "backfill",
    SymbolState.NO_DATA: "no data",
    SymbolState.UNKNOWN: "unknown symbol",
    SymbolState.FAILED: "failed",
}
#: Columns whose cells change with the clock.
_AGES = ("age", "held")
#: States in which no line stands in for values.
_WITH_VALUES = (SymbolState.LIVE, SymbolState.LATE, SymbolState.STALE)
#: Cells that the line which stands in for a history gets, if need be from columns before it.
_NOTE_ROOM = 24
_LEAST_VALUES = 2  # columns before that line at least: the mark and the symbol


def cell_of(column: Column, subject: Subject, context: CellContext) -> tuple[str, Role]:
    """Writes one cell.

    Args:
        column: that it stands in.
        subject: the symbol.
        context: what it depends on besides.

    Returns:
        Its text in exactly the column's width, and what it means.
    """
    text, role = column.cell(subject, context)
    old = (SymbolState.STALE, SymbolState.DELISTED, SymbolState.DELIVERED)
    if subject.view.state in old and role not in (Role.WARN, Role.ERROR):
        role = Role.MUTED  # an old value must not look like a present one
    return cells.fit(text, column.width, column.right), role


def format_row(subject: Subject, columns: Sequence[Column], context: CellContext) -> list[tuple[str, Role]]:
    """Writes a row; of a symbol without history a line shows why.

    Args:
        subject: the symbol.
        columns: of the table.
        context: what the cells depend on besides.

    Returns:
        A cell for every column.
    """
    row = [cell_of(column, subject, context) for column in columns]
    history = [at for at, column in enumerate(columns) if column.group == HISTORY]
    first, last = (history[0], history[-1]) if history else (len(columns), len(columns) - 1)
    while (
        first > (3 if subject.view.price is not None else 2)
        and sum(column.width for column in columns[first : last + 1]) < _NOTE_ROOM
    ):
        first -= 1
    text = _reason(subject.view)
    while first > _LEAST_VALUES and len(text) + 1 > sum(column.width for column in columns[first : last + 1]):
        if row[first - 1][0].strip() != cells.UNKNOWN:
            break  # what is known stays in sight
        first -= 1
    note = _note(subject.view, sum(column.width for column in columns[first : last + 1]), context.glyphs)
    if note is not None:
        text, role = note
        for at in range(first, last + 1):
            row[at] = (text[: columns[at].width], role)
            text = text[columns[at].width :]
    return row


def _note(view: SymbolView, width: int, glyphs: Glyphs) -> tuple[str, Role] | None:
    """The line that stands in for history a symbol does not have."""
    if view.state is SymbolState.BACKFILL and view.progress is not None:
        return " " + progress_text(view.progress, width - 1, glyphs), Role.ACCENT
    text = _reason(view)
    if not text:
        return None
    return cells.fit(text, width), Role.ERROR if view.state is SymbolState.FAILED else Role.MUTED


def _reason(view: SymbolView) -> str:
    """Why a symbol has no history, in ASCII, after a blank; "" where it has, or its progress is shown."""
    word = _NOTED.get(view.state)
    if view.state in (SymbolState.DELISTED, SymbolState.DELIVERED) and view.last_closed is None:
        word = view.state.value  # it has no values that could stay in sight
    if word is None or (
        view.state is SymbolState.BACKFILL and (view.progress or view.last_closed is not None)
    ):
        return ""  # what it had stays in sight while its history is read again
    text = f" {word}: {view.reason}" if view.reason and view.reason != word else f" {word}"
    return text if text.isascii() else text.encode("ascii", "replace").decode()


class FormattedRows:
    """Keeps the rows that were written, and writes the cells again whose values have changed."""

    def __init__(self) -> None:
        self._columns: Sequence[Column] = ()
        self._watched: tuple[str, ...] = ()  # fields of SymbolView that cells follow from
        self._rows: dict[str, tuple[Subject, int, list[tuple[str, Role]]]] = {}  # and the time of its ages

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Writes all rows anew for other columns.

        Args:
            columns: of the table.
        """
        self._columns = columns
        self._watched = tuple(dict.fromkeys(name for column in columns for name in column.shows))
        self._rows = {}

    def keep(self, symbols: Container[str]) -> None:
        """Forgets the rows of all other symbols.

        Args:
            symbols: to keep.
        """
        self._rows = {symbol: row for symbol, row in self._rows.items() if symbol in symbols}

    def row(self, subject: Subject, context: CellContext) -> list[tuple[str, Role]]:
        """Writes a row.

        Args:
            subject: the symbol.
            context: what the cells depend on besides.

        Returns:
            A cell for every column; the same list as before where nothing has changed.
        """
        view = subject.view
        known = self._rows.get(view.symbol)
        if known is None:
            row = format_row(subject, self._columns, context)
        else:
            before, aged, row = known
            if before.view is view and _marks(before) == _marks(subject) and aged == context.now:
                return row
            if view.state is before.view.state and view.state in _WITH_VALUES:
                row = self._changed(row, before, subject, context, aged != context.now)
            else:
                row = format_row(subject, self._columns, context)
        self._rows[view.symbol] = (subject, context.now, row)
        return row

    def _changed(
        self,
        row: list[tuple[str, Role]],
        before: Subject,
        subject: Subject,
        context: CellContext,
        older: bool,
    ) -> list[tuple[str, Role]]:
        """The row with the cells written anew that may differ; ages of all rows change together."""
        result = row.copy()
        changed = self._changed_fields(before.view, subject.view)
        for at, column in enumerate(self._columns):
            if column.key in _AGES:
                if not older:
                    continue
            elif column.shows and changed.isdisjoint(column.shows):
                continue
            result[at] = cell_of(column, subject, context)
        return result

    def _changed_fields(self, old: SymbolView, new: SymbolView) -> set[str]:
        """Those that cells follow from and that are not as they were."""
        if old is new or not self._watched:
            return set()
        values = attrgetter("symbol", *self._watched)  # of two and more names it gives a tuple
        changed = zip(self._watched, values(old)[1:], values(new)[1:], strict=True)
        return {name for name, was, now in changed if was != now}


def _marks(subject: Subject) -> tuple[bool, bool, int, float | None]:
    """What a row shows beside the symbol's own values."""
    return subject.pinned, subject.noted, subject.alerts, subject.basis
