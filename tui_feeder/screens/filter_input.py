"""A filter that is typed into the last line of a screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tui_feeder.widgets.palette import Part, Role

_HINT = "a pattern such as btc or ^1000, ! before it for the others; enter, esc"


class Filterable(Protocol):
    """Something that shows what matches a pattern."""

    @property
    def pattern(self) -> str:
        """The one in force; empty shows everything."""
        ...

    def set_filter(self, pattern: str) -> str | None:
        """Replaces the filter, if it is valid.

        Args:
            pattern: the filter.

        Returns:
            What is wrong with it; None if it was taken.
        """
        ...


class TypedFilter(Protocol):
    """A filter that a screen hands its keys to while it is typed."""

    @property
    def typed(self) -> str | None:
        """The text so far; None while nothing is being typed."""
        ...

    @property
    def pattern(self) -> str:
        """The one in force."""
        ...

    @property
    def label(self) -> str:
        """What names it in the last line while it is in force."""
        ...

    def press(self, key: str, character: str | None) -> None:
        """Handles a key as text.

        Args:
            key: Textual's name of the key.
            character: what it types, if anything.
        """
        ...

    def line(self) -> list[Part]:
        """The line that shows it while it is typed."""
        ...


class FilterInput:
    """What is typed, and what is wrong with it. Every change is applied at once.

    Args:
        filtered: what is filtered.
    """

    def __init__(self, filtered: Callable[[], Filterable]) -> None:
        self.typed: str | None = None
        self._fault = ""
        self._filtered = filtered

    @property
    def pattern(self) -> str:
        """The one in force."""
        return self._filtered().pattern

    @property
    def label(self) -> str:
        """The pattern as it was typed."""
        return f"/{self.pattern}"

    def begin(self) -> None:
        """Begin to type."""
        self.typed, self._fault = self.pattern, ""

    def clear(self) -> None:
        """Show everything."""
        self.typed = None
        self._take("")

    def press(self, key: str, character: str | None) -> None:
        """See :meth:`TypedFilter.press`."""
        assert self.typed is not None
        match key:
            case "escape":
                self.clear()
            case "enter":
                self._take(self.typed)
                self.typed = self.typed if self._fault else None
            case "backspace":
                self.typed = self.typed[:-1]
                self._take(self.typed)
            case _ if character is not None and character.isprintable():
                self.typed += character
                self._take(self.typed)

    def line(self) -> list[Part]:
        """What is typed, with a hint or what is wrong with it."""
        return [
            (f" /{self.typed}", Role.STRONG),
            ("█", Role.ACCENT),
            (f"  {self._fault or _HINT}", Role.WARN if self._fault else Role.MUTED),
        ]

    def _take(self, pattern: str) -> None:
        self._fault = self._filtered().set_filter(pattern) or ""
