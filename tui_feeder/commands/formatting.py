"""Figures and tables for people, as plain text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def format_count(value: int) -> str:
    """Formats a count with thousands separators.

    Args:
        value: the count.

    Returns:
        The text.
    """
    return f"{value:,}"


def format_bytes(value: float) -> str:
    """Formats a size as ``1.3 MB``.

    Args:
        value: bytes.

    Returns:
        The text.
    """
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def format_duration(seconds: float) -> str:
    """Formats a time as ``0.4 s``, ``12 s`` or ``3:05 min``.

    Args:
        seconds: the time.

    Returns:
        The text.
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min"


def plural(count: int, singular: str, many: str = "") -> str:
    """Formats a count with its noun: ``1 minute``, ``2,000 minutes``.

    Args:
        count: the count.
        singular: the noun.
        many: its plural, if not with an s.

    Returns:
        The text.
    """
    return f"{count:,} {singular if count == 1 else many or singular + 's'}"


def cell_width(text: str) -> int:
    """Measures a text on a terminal.

    Args:
        text: the text.

    Returns:
        Columns.
    """
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Formats a table.

    Args:
        head: headings.
        rows: as many texts each.
        left: number of columns aligned at the left; the others are aligned at the right.

    Returns:
        The text.
    """
    lines = [head, *rows]
    widths = [max(cell_width(line[i]) for line in lines) for i in range(len(head))]
    out = []
    for line in lines:
        cells = [
            text + " " * (widths[i] - cell_width(text))
            if i < left
            else " " * (widths[i] - cell_width(text)) + text
            for i, text in enumerate(line)
        ]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def shorten(names: Sequence[str], most: int = 8) -> str:
    """Lists a few names, and how many more.

    Args:
        names: the names.
        most: how many to list.

    Returns:
        The text.
    """
    if not names:
        return "nothing"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
