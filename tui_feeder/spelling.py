"""What a name that is not known was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: str, choices: Iterable[str]) -> str | None:
    """Finds the most similar choice, whatever its case.

    Args:
        word: what was written.
        choices: what could have been meant.

    Returns:
        One of ``choices``; None if none is similar.
    """
    by_lower = {choice.lower(): choice for choice in choices}
    match = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[match[0]] if match else None


def did_you_mean(word: str | None) -> str | None:
    """Formats a suggestion.

    Args:
        word: the nearest known word, if any.

    Returns:
        The question, or None.
    """
    return f'did you mean "{word}"?' if word else None
