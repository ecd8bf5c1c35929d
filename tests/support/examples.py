"""How many examples hypothesis tries of what costs much: a quarter, with ``--thorough``, as in CI, all."""

from __future__ import annotations

#: Set by ``--thorough`` before any test is imported.
thorough = False


def examples(count: int, least: int = 5) -> int:
    """``count`` in a thorough run; otherwise a quarter of it, but not fewer than ``least``."""
    return count if thorough else max(least, count // 4)
