"""The lines that describe the bar under the crosshair: every value that is known of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from textual.strip import Strip

from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role


@dataclass(frozen=True, slots=True)
class BarValues:
    """A bar as it is described; what is None is not known."""

    time: int  # open time, ms
    open: float
    high: float
    low: float
    close: float
    volume: float  # base asset
    state: str  # "closed", "in progress"
    partial: bool = False  # minutes are missing
    quote_volume: float | None = None
    trades: int | None = None
    taker_buy_volume: float | None = None  # base asset


def closed_bar(row: Any, partial: bool) -> BarValues:  # noqa: ANN401
    """Takes the values of a completed bar.

    Args:
        row: of dtype ROW.
        partial: whether minutes of it are missing.

    Returns:
        The values; trades, quote and taker volume only where the exchange has them.
    """
    counted = int(row["trades"]) > 0
    return BarValues(
        int(row["open_time"]), float(row["open"]), float(row["high"]), float(row["low"]),
        float(row["close"]), float(row["volume"]), "closed", partial,
        float(row["quote_volume"]) if row["quote_volume"] > 0 else None,
        int(row["trades"]) if counted else None,
        float(row["taker_buy_volume"]) if counted else None,
    )  # fmt: skip


def bar_groups(
    bar: BarValues, last: float | None, decimals: int, palette: Palette
) -> tuple[list[list[Part]], list[list[Part]]]:
    """Writes the values of a bar.

    Args:
        bar: the bar.
        last: last price of the symbol; None if unknown.
        decimals: of its prices.
        palette: styles and symbols.

    Returns:
        Groups of parts that are not torn apart: prices and volume, and what is less important.
    """
    change = (bar.close / bar.open - 1) * 100 if bar.open else None
    role = Role.UP if bar.close > bar.open else Role.DOWN if bar.close < bar.open else Role.FLAT
    groups: list[list[Part]] = [[(cells.moment_text(bar.time, palette.zone), Role.ACCENT)]]
    if bar.partial:
        groups.append([("partial*: minutes are missing", Role.PARTIAL)])
    for label, price in (("O", bar.open), ("H", bar.high), ("L", bar.low), ("C", bar.close)):
        groups.append(labelled(label, cells.price_text(price, decimals)))
    groups.append([(f"{cells.percent_text(change)}%", role)])
    groups.append(labelled("V", cells.count_text(bar.volume)))
    more: list[list[Part]] = []
    if bar.low > 0:
        more.append(labelled("range", f"{(bar.high / bar.low - 1) * 100:.2f}%"))
    if bar.quote_volume is not None:
        more.append(labelled("quote", cells.count_text(bar.quote_volume)))
    if bar.trades is not None:
        more.append(labelled("trades", cells.count_text(bar.trades)))
    if bar.taker_buy_volume is not None and bar.volume > 0:
        more.append(labelled("buy", f"{bar.taker_buy_volume / bar.volume * 100:.0f}%"))
    if last is not None and bar.close > 0 and bar.state == "closed":
        more.append(labelled("to now", f"{cells.percent_text((last / bar.close - 1) * 100)}%"))
    return groups, more


def labelled(label: str, text: str, role: Role = Role.TEXT) -> list[Part]:
    """Makes a group of a label and a value.

    Args:
        label: what it is.
        text: the value.
        role: of the value.

    Returns:
        The parts.
    """
    return [(f"{label} ", Role.MUTED), (text, role)]


def number_or_none(value: float) -> float | None:
    """Takes NaN as unknown.

    Args:
        value: a number.

    Returns:
        The number; None for NaN.
    """
    return None if math.isnan(value) else value


def flowed(groups: Sequence[Sequence[Part]], width: int, rows: int, palette: Palette) -> list[Strip]:
    """Lays groups out in lines; what does not fit is left out.

    Args:
        groups: none of them is torn apart.
        width: cells of a line.
        rows: lines.
        palette: styles and symbols.

    Returns:
        ``rows`` strips of ``width`` cells.
    """
    lines: list[list[Part]] = [[]]
    used = 0
    for group in groups:
        size = sum(cell_len(text) for text, _ in group)
        if lines[-1] and used + 2 + size > width:
            if len(lines) == rows:
                continue
            lines.append([])
            used = 0
        lines[-1] += [("  " if lines[-1] else " ", Role.TEXT), *group]
        used += size + (2 if used else 1)
    lines += [[] for _ in range(rows - len(lines))]
    return [palette.strip(line, width) for line in lines]
