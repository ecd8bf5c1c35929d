"""Nothing silent: what happened, as log lines, as lines for the screen, and as counters."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from tui_feeder.configuration.text import printable
from tui_feeder.monitor import Event

log = logging.getLogger("tui_feeder.engine")
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_KEPT = 300
_QUIET_SECONDS = 60.0


class Journal:
    """Events of the engine, the newest last. May be used from any thread.

    Args:
        now: exchange time in ms.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.events: deque[Event] = deque(maxlen=_KEPT)
        self.counters: Counter[str] = Counter()
        self._now = now
        self._said: dict[str, float] = {}
        self._lock = threading.Lock()

    def recent(self) -> tuple[Event, ...]:
        """The last few hundred events, the newest last."""
        with self._lock:
            return tuple(self.events)

    def counted(self) -> dict[str, int]:
        """The counters as of now."""
        with self._lock:
            return dict(self.counters)

    def note(self, level: str, text: str, symbol: str | None = None) -> None:
        """Log a line and keep it for the screen. ``level``: info, warning, error."""
        # Names and reasons come from outside too: neither a log nor a terminal may take them for its own.
        text, symbol = printable(text), None if symbol is None else printable(symbol)
        event = Event(self._now(), level, symbol, text)
        with self._lock:
            self.events.append(event)
        log.log(_LEVELS[level], "%s%s", f"{symbol}: " if symbol else "", text)

    def show(self, level: str, text: str) -> None:
        """Keep a line for the screen that the log has from elsewhere."""
        self.events.append(Event(self._now(), level, None, text))

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self.counters[name] += by

    def odd(self, what: str, count: int, why: str, symbol: str | None = None) -> None:
        """Entries of a list from outside were left out: counted, and named at most once a minute."""
        self.count(what, count - 1)
        self.fault(what, why, symbol)

    def fault(self, name: str, text: str, symbol: str | None = None) -> None:
        """Count, and say so at most once a minute for each ``name``."""
        now = time.monotonic()
        with self._lock:
            self.counters[name] += 1
            count = self.counters[name]
            quiet = now - self._said.get(name, -_QUIET_SECONDS) < _QUIET_SECONDS
            if not quiet:
                self._said[name] = now
        if not quiet:
            self.note("warning", f"{name}: {text} ({count} so far)", symbol)
