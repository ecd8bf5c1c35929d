"""Candles that break an invariant: stored with their reason, counted and logged; their minutes stay gaps."""

from __future__ import annotations

import msgspec

from tui_feeder.engine.core.candle import Candle, Rows, Source, fault_of, faulty, to_candles
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.storage.store import Store


class Quarantine:
    """Where candles go that are not stored as such.

    Args:
        store: keeps them.
        journal: counts and logs them.
    """

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    def sound_rows(self, symbol: str, rows: Rows, source: Source) -> Rows:
        """Checks the invariants of rows and quarantines those that break one.

        Args:
            symbol: the symbol.
            rows: shape (n,), dtype ROW.
            source: where they come from.

        Returns:
            The valid rows.
        """
        bad = faulty(rows)
        if not bad.any():
            return rows
        self.rows(symbol, rows[bad], source)
        kept: Rows = rows[~bad]
        return kept

    def rows(self, symbol: str, rows: Rows, source: Source) -> None:
        """Quarantines rows.

        Args:
            symbol: the symbol.
            rows: shape (n,), dtype ROW; each breaks an invariant.
            source: where they come from.
        """
        for candle in to_candles(rows):
            self.candle(symbol, candle, source, fault_of(candle) or "refused")

    def candle(self, symbol: str, candle: Candle, source: Source, reason: str) -> None:
        """Quarantines a candle.

        Args:
            symbol: the symbol.
            candle: the invalid candle.
            source: where it comes from.
            reason: the invariant it breaks.
        """
        self.record(symbol, candle.open_time, source, reason, [str(v) for v in candle.as_tuple()])

    def record(self, symbol: str, open_time: int, source: Source, reason: str, row: str | list[str]) -> None:
        """Quarantines what was read of a minute, whether or not it is a candle.

        Args:
            symbol: the symbol.
            open_time: of the minute, ms.
            source: where it comes from.
            reason: why it is no valid candle.
            row: its text, or its fields.
        """
        record = {"source": source.name.lower(), "reason": reason, "row": row}
        self._store.quarantine(symbol, open_time, source, msgspec.json.encode(record))
        self._journal.fault("quarantined_candles", f"minute {open_time}: {reason}", symbol)
