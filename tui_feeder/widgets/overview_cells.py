"""The cells of one row of the overview. Pure."""

from __future__ import annotations

from collections.abc import Sequence

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
#: Cells that the line which stands in for a history gets, if need be from columns before it.
_NOTE_ROOM = 24


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
    if subject.view.state is SymbolState.STALE and role not in (Role.WARN, Role.ERROR):
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
    word = _NOTED.get(view.state)
    if view.state in (SymbolState.DELISTED, SymbolState.DELIVERED) and view.last_closed is None:
        word = view.state.value  # it has no values that could stay in sight
    if word is None:
        return None
    if view.state is SymbolState.BACKFILL and view.last_closed is not None:
        return None  # what it had stays in sight while its history is read again
    role = Role.ERROR if view.state is SymbolState.FAILED else Role.MUTED
    text = f" {word}: {view.reason}" if view.reason and view.reason != word else f" {word}"
    return cells.fit(text if text.isascii() else text.encode("ascii", "replace").decode(), width), role
