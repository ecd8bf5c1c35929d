"""Which symbols and which minutes a command is about."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping, Sequence

import typer

from tui_feeder.commands.line import Refusal
from tui_feeder.commands.tables import plural
from tui_feeder.config import Config, LoadedConfig
from tui_feeder.engine.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.store import Store
from tui_feeder.moments import day_text

#: Exit code of a command that found damaged days in the store and went on without them.
DAMAGED = 4


def wanted_start(config: Config, now: int) -> int:
    """The first minute the configuration wants when it is ``now`` (ms), before any listing is considered."""
    app = config.application
    start = (now - config.technical_analysis.min_history_days * DAY_MS) // DAY_MS * DAY_MS
    if app.start_date is None:
        return start
    stated = int(app.start_date.timestamp() * 1000) // MINUTE_MS * MINUTE_MS
    return stated if app.respect_config_start_date else min(stated, start)


def is_pattern(name: str) -> bool:
    """Whether a name stands for more than itself."""
    return name == "ALL" or "*" in name or "?" in name


def stored_symbols(store: Store, asked: Sequence[str] | None) -> list[str]:
    """The stored symbols that names and patterns stand for; all of them without any.

    Raises:
        Refusal: a name is not stored.
    """
    there = [symbol for symbol in store.symbols() if store.present(symbol)]
    if asked is None:
        return there
    chosen: dict[str, None] = {}
    for name in asked:
        pattern = "*" if name == "ALL" else name
        found = [symbol for symbol in there if fnmatch.fnmatchcase(symbol, pattern)]
        if not found and not is_pattern(name):
            near = difflib.get_close_matches(name, there, 1)
            hint = f"did you mean {near[0]}?" if near else f"it holds {brief(there)}"
            raise Refusal(f"no candles of {name} in {store.path}: {hint}")
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def configured_symbols(loaded: LoadedConfig) -> list[str]:
    """Names, not patterns, that the configuration states; none where it says nothing of symbols."""
    if loaded.origins.get("application.symbols", "default") == "default":
        return []
    return [name for name in loaded.config.application.symbols if not is_pattern(name)]


def name_damage(damaged: Mapping[str, Sequence[int]]) -> int:
    """Name on stderr the stored days (ms) that were left out because they are damaged; the exit code."""
    for line in damage_lines(damaged):
        typer.echo(f"feeder-tui: {line}", err=True)
    return DAMAGED if damaged else 0


def damage_lines(damaged: Mapping[str, Sequence[int]]) -> list[str]:
    """A line for each symbol with damaged days (ms)."""
    return [
        f"{symbol}: {plural(len(days), 'stored day')} damaged and left out: {brief([*map(day_text, days)])}; "
        "the running engine, feeder-tui backfill or feeder-tui verify --repair reads them again"
        for symbol, days in damaged.items()
    ]


def brief(names: Sequence[str], most: int = 8) -> str:
    """A few names, and how many more."""
    if not names:
        return "nothing"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
