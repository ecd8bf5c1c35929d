"""Nothing silent: what happened, as log lines, as lines for the screen, and as counters."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable

from tui_feeder.monitor import Event

log = logging.getLogger("tui_feeder.engine")
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_KEPT = 300
_QUIET_SECONDS = 60.0


class Journal:
    """Events of the engine, the newest last.

    Args:
        now: exchange time in ms.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.events: deque[Event] = deque(maxlen=_KEPT)
        self.counters: Counter[str] = Counter()
        self._now = now
        self._said: dict[str, float] = {}

    def note(self, level: str, text: str, symbol: str | None = None) -> None:
        """Log a line and keep it for the screen. ``level``: info, warning, error."""
        self.events.append(Event(self._now(), level, symbol, text))
        log.log(_LEVELS[level], "%s%s", f"{symbol}: " if symbol else "", text)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        self.counters[name] += by

    def fault(self, name: str, text: str, symbol: str | None = None) -> None:
        """Count, and say so at most once a minute for each ``name``."""
        self.count(name)
        now = time.monotonic()
        if now - self._said.get(name, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._said[name] = now
            self.note("warning", f"{name}: {text} ({self.counters[name]} so far)", symbol)
