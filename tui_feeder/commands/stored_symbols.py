"""Which symbols and which minutes a command is about."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import typer

from tui_feeder.commands.formatting import plural
from tui_feeder.config import LoadedConfig
from tui_feeder.engine.acquisition.tracked_symbol import matching
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExitCode, UsageError
from tui_feeder.time_format import format_day, format_minute


def unlisted_line(symbol: str, listed: int) -> str:
    """That nothing of a symbol can be had before its listing (ms)."""
    return f"{symbol}: not listed before {format_minute(listed)}"


def stored_symbols(store: Store, names: Sequence[str] | None, *, gone: bool = False) -> list[str]:
    """The stored symbols that names and patterns stand for; all of them without any.

    With ``gone`` also those of which all was damaged.

    Raises:
        UsageError: a name is not stored.
    """
    there = [
        symbol
        for symbol in store.symbols()
        if store.present(symbol) or (gone and store.damaged_missing(symbol))
    ]
    if names is None:
        return there
    chosen: dict[str, None] = {}
    for name in names:
        found = matching([name], there)
        if found == [name] and name not in there:
            near = difflib.get_close_matches(name, there, 1)
            hint = f"did you mean {near[0]}?" if near else f"it holds {shorten(there)}"
            raise UsageError(f"no candles of {name} in {store.path}: {hint}")
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def configured_symbols(loaded: LoadedConfig, there: Sequence[str]) -> list[str]:
    """The symbols that the configuration wants, its patterns taken for those ``there``.

    Where it says nothing of symbols, those of the defaults that are there.
    """
    chosen = matching(loaded.config.application.symbols, there)
    if loaded.origins.get("application.symbols", "default") == "default":
        return [symbol for symbol in chosen if symbol in there]
    return chosen


def report_damaged_days(damaged: Mapping[str, Sequence[int]]) -> int:
    """Name on stderr the stored days (ms) that were left out because they are damaged; the exit code."""
    for line in damaged_day_lines(damaged):
        typer.echo(f"feeder-tui: {line}", err=True)
    return ExitCode.DIFFERENCES if damaged else ExitCode.OK


def damaged_day_lines(damaged: Mapping[str, Sequence[int]]) -> list[str]:
    """A line for each symbol with damaged days (ms)."""
    return [
        f"{symbol}: {plural(len(days), 'stored day')} damaged and left out: "
        f"{shorten([*map(format_day, days)])}; "
        "the running engine, feeder-tui backfill or feeder-tui verify --repair reads them again"
        for symbol, days in damaged.items()
    ]


def shorten(names: Sequence[str], most: int = 8) -> str:
    """A few names, and how many more."""
    if not names:
        return "nothing"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
