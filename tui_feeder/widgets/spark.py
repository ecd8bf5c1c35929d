"""Painter of a sparkline: a row of values as bars one cell high. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def spark(values: Sequence[float], width: int, steps: str) -> str:
    """Draws values in cells, the newest at the right.

    Args:
        values: evenly apart; of more than fit, some are left out, the last never.
        width: cells.
        steps: signs from the lowest to the highest.

    Returns:
        The text.
    """
    count = min(width, len(values))
    if count < 2:
        return " " * width
    shown = [values[len(values) - 1 - i * (len(values) - 1) // (count - 1)] for i in range(count)][::-1]
    low, high = min(shown), max(shown)
    reach = high - low
    if not reach > 0:
        return (steps[len(steps) // 2] * count).rjust(width)
    top = len(steps) - 1
    return "".join(steps[round((value - low) / reach * top)] for value in shown).rjust(width)
