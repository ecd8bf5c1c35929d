"""Patterns that people type to see less. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable


def matching(pattern: str) -> Callable[[str], bool]:
    """Compiles a regular expression; ``!`` before it inverts it.

    Args:
        pattern: the expression.

    Returns:
        A function that checks a text.

    Raises:
        ValueError: it is not a regular expression.
    """
    wanted = not pattern.startswith("!")
    try:
        found = re.compile(pattern.removeprefix("!"), re.IGNORECASE).search
    except re.error as fault:
        raise ValueError(str(fault)) from fault
    return lambda text: (found(text) is not None) == wanted
