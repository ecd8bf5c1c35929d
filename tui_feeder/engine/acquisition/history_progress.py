"""How much of all history that is to be read is read: one measure over every symbol, which never falls."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol


@dataclass(slots=True)
class WholeHistory:
    """The reading of many symbols as one: what is known of those that have begun, and a guess of the others.

    A guess that proves to be wrong holds the measure where it is for a while; it never goes back.
    """

    fraction: float = 0.0
    total: int = 0  # about, while some symbols have not begun
    note: str = ""  # why nothing moves
    _began: float | None = None
    _now: float = field(default_factory=time.monotonic)

    def update(self, known: Iterable[tuple[FillProgress, bool]], unknown: int, pausing: str | None) -> None:
        """Take what is known now.

        Args:
            known: progress of the symbols that have begun, and whether each is over.
            unknown: symbols that have not.
            pausing: why the store takes nothing, where it does not.
        """
        self._now = time.monotonic()
        trackers = list(known)
        done = sum(t.rows_total if over else min(t.rows_done, t.rows_total) for t, over in trackers)
        total = sum(t.rows_total for t, _ in trackers)
        if trackers:
            total += unknown * total // len(trackers)
            self._began = min(t.started for t, _ in trackers) if self._began is None else self._began
        notes = [t.view(pausing).note for t, over in trackers if not over]
        self.note = notes[0] if notes and all(notes) else ""
        self.total = total
        self.fraction = max(self.fraction, min(1.0, done / total) if total else 0.0)

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until all of it is read, about; None while that is not known."""
        elapsed = 0.0 if self._began is None else self._now - self._began
        if self.note or elapsed < 1.0 or not 0.0 < self.fraction < 1.0:
            return None
        return elapsed * (1.0 - self.fraction) / self.fraction


class HistoryProgressMeter:
    """The whole history of an engine's symbols; each time that some is to be read begins anew."""

    def __init__(self) -> None:
        self._whole: WholeHistory | None = None

    def measure(self, tracked: Sequence[TrackedSymbol], pausing: str | None) -> WholeHistory | None:
        """Measures how much of all history is read.

        Args:
            tracked: all tracked symbols; each gets its own share.
            pausing: why the store accepts no writes; None if it does.

        Returns:
            The total as of now; None where nothing is being read.
        """
        if not any(symbol.phase in ("waiting", "backfill") for symbol in tracked):
            self._whole = None
            for symbol in tracked:
                symbol.history = None
            return None
        unread = sum(symbol.history is None and symbol.phase == "waiting" for symbol in tracked)
        if self._whole is None:
            self._whole = WholeHistory()
        known = [
            (symbol.history, symbol.tracker is None and symbol.phase == "live")
            for symbol in tracked
            if symbol.history
        ]
        self._whole.update(known, unread, pausing)
        return self._whole


def progress_line(tracked: Iterable[TrackedSymbol], whole: WholeHistory | None) -> str:
    """A line of the log about how much of all history is read.

    Args:
        tracked: the symbols.
        whole: all that is to be read; None where nothing is being read.

    Returns:
        How many symbols are live, the share and the number of minutes, the time left, and the share of each
        symbol that is being read.
    """
    symbols = list(tracked)
    live = sum(symbol.phase == "live" for symbol in symbols)
    line = f"history: {live} of {len(symbols)} symbols live"
    if whole is not None:
        line += f", {whole.fraction:.0%} of {whole.total:,} minutes read"
        if whole.eta_seconds is not None:
            line += f", about {whole.eta_seconds:.0f} s left"
        elif whole.note:
            line += f", {whole.note}"
    shares = [f"{symbol.symbol} {symbol.tracker.view().fraction:.0%}" for symbol in symbols if symbol.tracker]
    return f"{line} ({', '.join(shares)})" if shares else line
