"""What the exchange lists of the followed symbols, kept in the store as it came.

A gateway answers exchangeInfo with it, and takes from it how many digits the exchange's numbers have.
"""

from __future__ import annotations

from collections.abc import Mapping

from tui_feeder.engine.storage.store import Store

#: Notes of the store: each symbol's entry, and what is listed beside them, see :func:`head_note`.
ENTRY = "listing "
_HEAD = "exchange information"


def head_note(market: str) -> str:
    """Where the answer to exchangeInfo of a market is kept, without its symbols and its time.

    Args:
        market: what its symbols begin with, without the colon; "" for the unnamed one.

    Returns:
        The name of the note.
    """
    return f"{_HEAD} {market}".strip()


class ListingNotes:
    """Keeps listings where they differ from those that are kept.

    Args:
        store: of the engine.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, bytes | None] = {}

    def keep(self, heads: Mapping[str, bytes], entries: Mapping[str, bytes]) -> None:
        """Keep what the exchange listed; nothing is written where that has not changed.

        Args:
            heads: by market, JSON.
            entries: by symbol, JSON.

        Raises:
            StoreError: the store is closed.
        """
        notes = {head_note(market): head for market, head in heads.items()}
        notes |= {ENTRY + symbol: raw for symbol, raw in entries.items()}
        for name, value in notes.items():
            if name not in self._kept:
                self._kept[name] = self._store.note(name)
            if self._kept[name] != value:
                self._store.put_note(name, value)
                self._kept[name] = value
