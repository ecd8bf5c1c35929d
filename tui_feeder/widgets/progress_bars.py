"""Bars of text that show how far something is. Pure."""

from __future__ import annotations

from tui_feeder.monitor import Progress
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Glyphs


def progress_text(progress: Progress, width: int, glyphs: Glyphs) -> str:
    """Formats the progress of a history: a bar, percent, source and time left.

    Args:
        progress: the progress.
        width: cells of the text, exactly.
        glyphs: symbols to draw with.

    Returns:
        The text.
    """
    tail = f" {progress.fraction * 100:3.0f}%"
    if progress.note:
        for text in (progress.note, progress.note.partition(" (")[0]):  # what is in brackets screen 5 has too
            if width - len(tail) - len(text) >= 9:
                tail += f" {text}"
                break
        return bar_text(progress.fraction, width - len(tail), glyphs) + tail
    for more in (f" {progress.source}", f" {cells.duration_text(progress.eta_seconds)}"):
        if width - len(tail) - len(more) >= 14 and not more.endswith(cells.UNKNOWN):
            tail += more
    return bar_text(progress.fraction, width - len(tail), glyphs) + tail


def bar_text(fraction: float, width: int, glyphs: Glyphs) -> str:
    """Draws a progress bar in the finest steps the symbols allow.

    Args:
        fraction: the filled part, 0 to 1.
        width: cells.
        glyphs: symbols to draw with.

    Returns:
        The text.
    """
    steps = len(glyphs.eighths)
    full, rest = divmod(round(min(max(fraction, 0.0), 1.0) * width * steps), steps)
    text = glyphs.eighths[-1] * full + (glyphs.eighths[rest - 1] if rest else "")
    return text + glyphs.track * (width - len(text))
