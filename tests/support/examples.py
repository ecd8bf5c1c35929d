"""How many examples are tried of what costs much: a part; all with ``--thorough``, as unit tests in CI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

#: Set by ``--thorough`` before any test is imported.
thorough = False


def examples(count: int, least: int = 5, share: int = 4) -> int:
    """``count`` in a thorough run; otherwise one of ``share`` of it, but not fewer than ``least``."""
    return count if thorough else max(least, count // share)


def some_of(everything: Sequence[T], every: int = 3) -> Sequence[T]:
    """All in a thorough run; otherwise the first of every three, or of so many."""
    return everything if thorough else everything[::every]
