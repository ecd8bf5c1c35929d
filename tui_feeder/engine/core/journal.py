"""Nothing silent: what happened, as log lines, as lines for the screen, and as counters."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence

from tui_feeder.engine.core.event_names import event_text
from tui_feeder.monitor import Event
from tui_feeder.safe_text import printable

log = logging.getLogger("tui_feeder.engine")
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_RECENT_EVENTS = 300
_QUIET_SECONDS = 60.0
_REMEMBERED = 64  # warnings of other modules that are known to be shown


@contextlib.contextmanager
def warnings_shown(journal: Journal) -> Iterator[None]:
    """Shows warnings that other modules log as events too: a full-screen app hides the log.

    Args:
        journal: receives the events.

    Yields:
        Nothing; warnings are shown until the context ends.
    """
    handler, logger = _Showing(journal), logging.getLogger("tui_feeder")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Showing(logging.Handler):
    """Hands warnings and errors to a journal, each at most once a minute."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal
        self._shown: OrderedDict[tuple[str, str], float] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        # The journal's own lines are there already, and so is what the engine logs beside a traceback.
        if record.name == log.name or (record.exc_info and record.name.startswith(log.name)):
            return
        about = str(record.args[0]) if isinstance(record.args, tuple) and record.args else ""
        now, key = time.monotonic(), (str(record.msg), about)
        if now - self._shown.get(key, -_QUIET_SECONDS) < _QUIET_SECONDS:
            return
        self._shown[key] = now
        self._shown.move_to_end(key)
        while len(self._shown) > _REMEMBERED:
            self._shown.popitem(last=False)
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._journal.show(level, record.getMessage())


def shortened(names: Sequence[str], most: int = 5) -> str:
    """Names for one line of the log.

    Args:
        names: all of them.
        most: how many are written out.

    Returns:
        The first ``most``, and how many more there are: ``a, b and 3 more``.
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class Journal:
    """Events of the engine, the newest last. May be used from any thread.

    Args:
        now: exchange time in ms.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.events: deque[Event] = deque(maxlen=_RECENT_EVENTS)
        self.counters: Counter[str] = Counter()
        self._now = now
        self._last_logged: dict[str, float] = {}
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
        """Logs a line and keeps it for the screen.

        Args:
            level: "info", "warning" or "error".
            text: the line; control characters are replaced.
            symbol: the symbol it concerns.
        """
        # Names and reasons come from outside too: neither a log nor a terminal may take them for its own.
        text, symbol = printable(text), None if symbol is None else printable(symbol)
        event = Event(self._now(), level, symbol, text)
        with self._lock:
            self.events.append(event)
        log.log(_LEVELS[level], "%s%s", f"{symbol}: " if symbol else "", text)

    def show(self, level: str, text: str) -> None:
        """Keeps a line for the screen that is already in the log.

        Args:
            level: "info", "warning" or "error".
            text: the line.
        """
        event = Event(self._now(), level, None, text)
        with self._lock:
            self.events.append(event)

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a counter.

        Args:
            name: name of the counter.
            by: what is added.
        """
        with self._lock:
            self.counters[name] += by

    def unusable(self, what: str, count: int, why: str, symbol: str | None = None) -> None:
        """Counts entries of an outside list that were left out, and logs it at most once a minute.

        Args:
            what: name of the counter.
            count: number of entries left out.
            why: what is wrong with the first of them.
            symbol: the symbol they concern.
        """
        self.count(what, count - 1)
        self.fault(what, why, symbol)

    def fault(self, name: str, text: str, symbol: str | None = None) -> None:
        """Counts a fault and logs it at most once a minute for each counter.

        Args:
            name: name of the counter.
            text: what happened.
            symbol: the symbol it concerns.
        """
        now = time.monotonic()
        with self._lock:
            self.counters[name] += 1
            count = self.counters[name]
            quiet = now - self._last_logged.get(name, -_QUIET_SECONDS) < _QUIET_SECONDS
            if not quiet:
                self._last_logged[name] = now
        if not quiet:
            self.note("warning", f"{event_text(name)}: {text} ({count} so far)", symbol)
