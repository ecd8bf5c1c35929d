"""Progress of filling one symbol's missing minutes: rows, files and bytes read, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tui_feeder.monitor import Progress

#: A fill that has read nothing for so long stands still: its time left is unknown.
_STILL_SECONDS = 5.0


@dataclass(slots=True)
class FillProgress:
    """Progress of one fill, read by the screen while it grows."""

    rows_total: int
    rows_done: int = 0
    bytes_done: int = 0
    files_done: int = 0
    files_total: int = 0
    source: str = ""
    started: float = field(default_factory=time.monotonic)
    asks_rest: int = 0  # parts of the fill that wait for answers of REST
    rest_waits: Callable[[], str] = str  # why REST is not asked at once
    _seen: tuple[int, int] = (0, 0)  # rows and bytes at the last look
    _moved: float = field(default_factory=time.monotonic)  # when they were last others than before

    def continue_with(self, left: int) -> None:
        """Starts another round for the minutes that earlier rounds did not get; the total stays the same.

        Args:
            left: minutes still missing.
        """
        self.rows_done = max(self.rows_done, self.rows_total - left)

    def view(self, pausing: str | None = None) -> Progress:
        """Reports the progress as of now.

        Args:
            pausing: why the store accepts no writes; None if it does.

        Returns:
            The immutable progress for screens and the API.
        """
        now, seen = time.monotonic(), (self.rows_done, self.bytes_done)
        if seen != self._seen:
            self._seen, self._moved = seen, now
        elapsed, still = now - self.started, now - self._moved
        left = self.rows_total - self.rows_done
        eta = elapsed * left / self.rows_done if self.rows_done and elapsed > 0.5 else None
        note = ""
        if pausing is not None:
            note = f"paused: {pausing}"
        elif still >= _STILL_SECONDS:
            why = self.rest_waits() if self.asks_rest else ""
            note = f"nothing read for {still:.0f} s" + (f": {why}" if why else "")
        return Progress(
            min(self.rows_done, self.rows_total), self.rows_total, self.bytes_done,
            self.files_done, self.files_total, self.source, None if note else eta, note,
        )  # fmt: skip
