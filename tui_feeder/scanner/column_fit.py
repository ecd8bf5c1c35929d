"""Which columns a table has room for: by a stated order of worth; a wider table never shows less. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Fitted(Protocol):
    """A column that may be left out."""

    @property
    def key(self) -> str:
        """Its name."""
        ...

    @property
    def width(self) -> int:
        """Cells, the blank before it included."""
        ...


def fitting(by_worth: Sequence[Fitted], width: int, kept: Sequence[str]) -> set[str]:
    """Chooses the columns to show.

    The first column that has no room ends the list, even where a narrower one of less worth would fit: so
    every column that is shown at some width is shown at every larger one.

    Args:
        by_worth: columns, the one to be dropped last first; the first is always shown.
        width: cells there are.
        kept: keys of columns that are shown before all others, as those that the rows are sorted by; where
            there is no room for all of them, those named first.

    Returns:
        Keys of the columns shown.
    """
    if not by_worth:
        return set()
    first, others = by_worth[0], by_worth[1:]
    shown = {first.key}
    room = width - first.width
    known = {column.key: column for column in others}
    before = [known[key] for key in dict.fromkeys(kept) if key in known]
    for column in (*before, *(column for column in others if column not in before)):
        if column.width > room:
            break
        shown.add(column.key)
        room -= column.width
    return shown


def shared_out(spare: int, wishes: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Shares out spare cells.

    Args:
        spare: cells that no column needs.
        wishes: keys with the cells they can use, in the order in which they get them.

    Returns:
        Cells each column gets beyond its width, by key.
    """
    given: dict[str, int] = {}
    for key, cells in wishes:
        share = min(cells, spare)
        if share > 0:
            given[key] = given.get(key, 0) + share
            spare -= share
    return given
