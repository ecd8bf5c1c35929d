"""Values as text for people: as TOML, safe for a terminal, secrets masked."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

MASK = "********"
_SHOWN_CHARACTERS = 120


class Secret:
    """A text that no print, log or error shows; only :meth:`reveal` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the connection that needs it."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._text))


def printable(text: str) -> str:
    """Make a text harmless for a terminal.

    Args:
        text: of any origin.

    Returns:
        The text with an escape in place of each character that is not printable.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def to_toml(value: object) -> str:
    """Write a value as TOML.

    Args:
        value: of a key, or from a file.

    Returns:
        One line; a secret as its mask.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f'"{value.isoformat().replace("+00:00", "Z")}"'
    if isinstance(value, Secret | Path | str) or hasattr(value, "reveal"):  # the rest of what has secrets
        return printable(json.dumps(str(value), ensure_ascii=False))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(to_toml, value))}]"
    if isinstance(value, dict):  # it may hold anything, secrets too
        return "{...}"
    return str(value)


def show(value: object) -> str:
    """Write a value for a message.

    Args:
        value: of a key, or from a file.

    Returns:
        TOML, cut where it is long.
    """
    text = to_toml(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
