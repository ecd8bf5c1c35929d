"""Which symbols a command works on, of those in the store, the configuration or the exchange's list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tui_feeder.commands.formatting import shorten
from tui_feeder.config import LoadedConfig
from tui_feeder.configuration.forms import without_usual_market
from tui_feeder.engine.acquisition.wanted import choose_symbols, matching
from tui_feeder.engine.exchanges.base import SymbolInfo
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import UsageError
from tui_feeder.spelling import closest


def stored_symbols(store: Store, names: Sequence[str] | None, *, gone: bool = False) -> list[str]:
    """The stored symbols that names and patterns stand for; all of them without any.

    Args:
        store: the store.
        names: names and patterns; None for all symbols.
        gone: also symbols of which every stored day was damaged.

    Returns:
        Symbols in the order wanted.

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
    for name in map(without_usual_market, names):
        found = matching([name], there)
        if found == [name] and name not in there:
            raise not_stored(name, there, store.path)
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def not_stored(name: str, there: Sequence[str], path: Path) -> UsageError:
    """Describes a name that is not stored.

    Args:
        name: what was asked for.
        there: the stored symbols.
        path: folder of the store.

    Returns:
        The error, with the symbol that was probably meant, or else what is stored.
    """
    near = closest(name, there)
    hint = f"did you mean {near}?" if near else f"it holds {shorten(there)}" if there else "it holds nothing"
    return UsageError(f"no candles of {name} in {path}: {hint}")


def configured_symbols(loaded: LoadedConfig, there: Sequence[str]) -> list[str]:
    """The symbols that the configuration wants, its patterns taken for those ``there``.

    Args:
        loaded: the configuration. Where it does not set symbols, those of the defaults that are there.
        there: the symbols that patterns may match.

    Returns:
        Symbols in the order wanted.
    """
    chosen = matching(loaded.config.application.symbols, there)
    if loaded.origins.get("application.symbols", "default") == "default":
        return [symbol for symbol in chosen if symbol in there]
    return chosen


def listed_symbols(wanted: Sequence[str], listed: Mapping[str, SymbolInfo]) -> tuple[list[str], list[str]]:
    """Splits what names and patterns stand for by whether the exchange lists it.

    Args:
        wanted: names and patterns, see :func:`choose_symbols`.
        listed: the exchange's symbols.

    Returns:
        Symbols that are listed, and names that are not; both in the order wanted.
    """
    chosen = choose_symbols(wanted, listed)
    return [name for name in chosen if name in listed], [name for name in chosen if name not in listed]
