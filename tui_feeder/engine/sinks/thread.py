"""A sink that talks to a server: sessions on a thread and a loop of its own, begun again for ever.

The engine's loop never waits for it, and it never waits for the engine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from tui_feeder.engine.backoff import Backoff
from tui_feeder.engine.journal import Journal
from tui_feeder.engine.lock import StoreError

log = logging.getLogger(__name__)

#: Longest wait between two sessions, seconds.
_LONGEST_WAIT = 10.0
#: How often a session looks around when nobody wakes it, seconds.
TICK = 1.0


class SinkError(Exception):
    """A session failed for a reason that is known; the message says which and what to do."""


class SessionSink(ABC):
    """Runs :meth:`session` again and again until it is closed.

    A session calls :meth:`connected` once it has connected and :meth:`progress` when something was handed
    over or nothing waits. It returns when :meth:`over` says that it may, or raises; then the next one follows
    after a wait that grows until there is progress again.
    """

    name = "sink"

    def __init__(self) -> None:
        self.trouble = "not started"  # what is wrong; "" while all is well
        self._failure = ""  # why the last session failed, until there is progress again
        self._journal: Journal | None = None
        self._engine_loop: asyncio.AbstractEventLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken: asyncio.Event | None = None
        self._backoff = Backoff(most=_LONGEST_WAIT)
        self._closing = threading.Event()
        self._deadline = 0.0  # time.monotonic() at which a session ends whatever waits
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    # --- the engine's side ----------------------------------------------------------------------

    def start(self, journal: Journal) -> None:
        """Begin on a thread."""
        self._journal, self._engine_loop = journal, asyncio.get_running_loop()
        self.trouble = "connecting"
        self._thread.start()

    def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
        """The minute is in the store, its message in the outbox: wake up."""
        self._wake()

    def status(self) -> str:
        """``ok``, or what is wrong, for people."""
        return self.trouble or "ok"

    def close(self, timeout: float) -> None:
        """Hand over what waits where that is possible, for at most ``timeout`` seconds."""
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _wake(self) -> None:
        loop, woken = self._loop, self._woken
        if loop is not None and woken is not None:
            with contextlib.suppress(RuntimeError):  # the session is just ending
                loop.call_soon_threadsafe(woken.set)

    # --- the session's side ---------------------------------------------------------------------

    @abstractmethod
    async def session(self) -> None:
        """Connect, say :meth:`connected`, and hand over until it fails or is :meth:`over`."""

    def connected(self, text: str) -> None:
        """The session has connected; whether it gets on after a failure is yet to be seen."""
        if not self._failure:
            self.note("info", f"{self.name}: {text}")
            self.trouble = ""

    def progress(self) -> None:
        """Something was handed over, or nothing waits."""
        if self._failure:
            self.note("info", f"{self.name}: works again")
            self._failure = self.trouble = ""
            self._backoff.reset()

    @property
    def ending(self) -> bool:
        """Whether it is closing."""
        return self._closing.is_set()

    def over(self, *, idle: bool) -> bool:
        """Whether the session should return: it is closing, and nothing waits or the time is up."""
        return self.ending and (idle or time.monotonic() >= self._deadline)

    async def woken(self, seconds: float = TICK) -> None:
        """Sleep until a message comes, the end is near, or ``seconds`` are over."""
        assert self._woken is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
        self._woken.clear()

    def note(self, level: str, text: str) -> None:
        """A line for the log and the screen."""
        self._tell(lambda journal: journal.note(level, text))

    def count(self, name: str, by: int) -> None:
        """Add to a counter of the journal."""
        self._tell(lambda journal: journal.count(name, by))

    def _tell(self, what: Callable[[Journal], None]) -> None:
        journal, loop = self._journal, self._engine_loop
        if journal is not None and loop is not None:
            with contextlib.suppress(RuntimeError):  # the engine has ended
                loop.call_soon_threadsafe(what, journal)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                asyncio.run(self._one_session())
            except (SinkError, OSError, TimeoutError) as error:
                self._failed(str(error) or type(error).__name__)
            except StoreError:
                return  # the engine did not wait for us any longer
            except Exception as error:
                log.exception("%s failed", self.name)
                self._failed(repr(error))

    async def _one_session(self) -> None:
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            await self.session()
        finally:
            self._loop = None

    def _failed(self, text: str) -> None:
        """Say it once for each new reason, wait."""
        wait = max(0.2, self._backoff.next())
        if text != self._failure:
            self.note("error", f"{self.name}: {text}; tried again until it works")
        self.trouble = self._failure = text
        self.count(f"{self.name} failures", 1)
        self._closing.wait(wait)
