"""What the configuration wants: which symbols, and from which minute on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tui_feeder.config import Config
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.exchanges.base import SymbolInfo, Trading
from tui_feeder.symbol_name import is_pattern, matches


def matching(wanted: Sequence[str], there: Iterable[str]) -> list[str]:
    """Resolves names and patterns.

    ``ALL`` is all that are there, ``*`` and ``?`` match as in file names, each within its market; a plain
    name stays whether it is there or not.

    Args:
        wanted: names and patterns.
        there: the symbols patterns can match.

    Returns:
        Symbols, each once, in the order wanted.
    """
    there = list(there)
    chosen: dict[str, None] = {}
    for name in wanted:
        found = [symbol for symbol in there if matches(name, symbol)] if is_pattern(name) else [name]
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def choose_symbols(wanted: Sequence[str], listed: Mapping[str, SymbolInfo]) -> list[str]:
    """Resolves names and patterns against the exchange's listings; see :func:`matching`.

    Patterns match what is traded now, and of that what the exchange includes in patterns.

    Args:
        wanted: names and patterns.
        listed: the listings.

    Returns:
        Symbols, each once, in the order wanted.
    """
    return matching(
        wanted, (i.symbol for i in listed.values() if i.matches_patterns and i.trading is Trading.NOW)
    )


def wanted_start(config: Config, now: int) -> int:
    """Computes the first minute the configuration asks for, before any listing is considered.

    Args:
        config: the configuration.
        now: exchange time, ms.

    Returns:
        ms.
    """
    app = config.application
    start = (now - config.technical_analysis.min_history_days * DAY_MS) // DAY_MS * DAY_MS
    if app.start_date is None:
        return start
    stated = int(app.start_date.timestamp() * 1000) // MINUTE_MS * MINUTE_MS
    return stated if app.respect_config_start_date else min(stated, start)
