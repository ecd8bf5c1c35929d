"""Painters of sparklines: values as bars one cell high, or several rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence


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


def pooled(
    values: Sequence[float | None], width: int, worst: Callable[[Sequence[float]], float]
) -> list[float | None]:
    """Brings values to as many cells as there are, the newest at the right.

    Args:
        values: evenly apart; None where there is none.
        width: cells.
        worst: chooses of the values that share a cell, so that a short fault is not lost.

    Returns:
        A value a cell; fewer than ``width`` where there are fewer values.
    """
    count = min(width, len(values))
    edges = [len(values) * at // count for at in range(count + 1)] if count else []
    cells = []
    for at in range(count):
        known = [value for value in values[edges[at] : edges[at + 1]] if value is not None]
        cells.append(worst(known) if known else None)
    return cells


def tall_spark(values: Sequence[float | None], width: int, rows: int, steps: str) -> list[str]:
    """Draws values as bars from 0 to the greatest of them, the newest at the right.

    Args:
        values: one a cell, not below 0; None is left blank.
        width: cells.
        rows: height.
        steps: parts of a cell, filled from the bottom.

    Returns:
        ``rows`` texts of ``width`` cells, the top one first.
    """
    most = max((value for value in values if value is not None), default=0.0) or 1.0
    left = [
        0 if value is None else max(1, round(value / most * rows * len(steps))) if value > 0 else 0
        for value in values[-width:]
    ]
    lines = []
    for row in reversed(range(rows)):
        parts = [min(max(parts - row * len(steps), 0), len(steps)) for parts in left]
        lines.append("".join(steps[count - 1] if count else " " for count in parts).rjust(width))
    return lines
