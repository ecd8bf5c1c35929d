"""Damaged days of the store that a command has left out, as lines on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import typer

from tui_feeder.commands.formatting import plural, shorten
from tui_feeder.errors import ExitCode
from tui_feeder.time_format import format_day


def report_damaged_days(damaged: Mapping[str, Sequence[int]]) -> int:
    """Reports on stderr the stored days that were left out because they are damaged.

    Args:
        damaged: midnights (ms) by symbol.

    Returns:
        The exit code.
    """
    for line in damaged_day_lines(damaged):
        typer.echo(f"feeder-tui: {line}", err=True)
    return ExitCode.DIFFERENCES if damaged else ExitCode.OK


def damaged_day_lines(damaged: Mapping[str, Sequence[int]]) -> list[str]:
    """Describes damaged days.

    Args:
        damaged: midnights (ms) by symbol.

    Returns:
        One line a symbol.
    """
    return [
        f"{symbol}: {plural(len(days), 'stored day')} damaged and left out: "
        f"{shorten([*map(format_day, days)])}; "
        "the running engine, feeder-tui backfill or feeder-tui verify --repair reads them again"
        for symbol, days in damaged.items()
    ]
