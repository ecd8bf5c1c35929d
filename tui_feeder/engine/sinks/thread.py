"""A sink that talks to a server: sessions on a thread and a loop of their own, restarted until it is closed.

The engine's loop never waits for it, and it never waits for the engine's. A supervisor, on another thread,
watches whether a session does anything: one that hangs is cancelled, and where it does not end, another takes
its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

from tui_feeder.engine.core.backoff import Backoff
from tui_feeder.engine.core.event_names import event_name
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.errors import SinkFailure
from tui_feeder.monitor import STALLED

log = logging.getLogger(__name__)

#: Longest wait between two sessions, seconds.
_LONGEST_WAIT = 10.0
#: How often a session looks around when nobody wakes it, and a supervisor at its session, seconds.
TICK = 1.0
#: A session that has done nothing for so long is stalled, though something waits, seconds.
STALLED_SECONDS = 20.0
#: A cancelled session has so long to end, seconds.
_END_SECONDS = 5.0
#: Sessions that do not end, beside which another is begun. More would only hang too.
_MOST_HANGING = 3


class SinkError(SinkFailure):
    """A session failed for a reason that is known; the message has it, and the remedy.

    Args:
        text: for people.
        wait: the next session is begun so much later at the earliest, seconds.
    """

    def __init__(self, text: str, *, wait: float = 0.0) -> None:
        super().__init__(text)
        self.wait = wait


class _AbandonedError(Exception):
    """Another session has taken the place of this one, which must do nothing more."""


class _Session:
    """One session on its thread."""

    def __init__(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self._work = work
        self._cancel: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(RuntimeError):  # it has just ended
            self._cancel()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # whatever it is, the supervisor has to know
            self.error = error
        finally:
            self.ended.set()

    async def _main(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        _SESSION.set(self)
        await self._work()


#: The session that runs here; its tasks and its calls of ``to_thread`` inherit it.
_SESSION: contextvars.ContextVar[_Session | None] = contextvars.ContextVar("session", default=None)


class SessionSink(ABC):
    """Runs :meth:`session` again and again until it is closed.

    A session calls :meth:`connected` once it has connected and :meth:`progress` when something was handed
    over or nothing waits. It returns when :meth:`over` allows it, or raises; then the next one follows
    after a wait that grows until there is progress again. One that makes no progress for
    :attr:`STALLED_SECONDS` is shown as stalled, and after :attr:`replace_after_seconds` it is replaced.
    """

    name = "sink"
    #: Seconds without progress after which a session is replaced; longer than anything in it may take.
    replace_after_seconds = 60.0

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
        self._current: _Session | None = None
        self._hanging: list[_Session] = []  # abandoned ones that have not ended
        self._steps = 0  # rises with progress
        self._idle_expected_until = 0.0  # time.monotonic() until which no progress is expected
        self._idle = 0.0  # seconds since the last progress, as far as this process ran
        self._thread = threading.Thread(target=self._supervise, name=self.name, daemon=True)

    # --- the engine's side ----------------------------------------------------------------------

    def start(self, journal: Journal) -> None:
        """Starts the sink on its thread.

        Args:
            journal: receives counters and events, on the engine's loop alone.
        """
        self._journal, self._engine_loop = journal, asyncio.get_running_loop()
        self.trouble = "connecting"
        self._thread.start()

    def status(self) -> str:
        """``ok``, or what is wrong, for people."""
        return self.wrong() or "ok"

    def wrong(self) -> str:
        """What is wrong with the sessions; "" only where one has done something lately."""
        if self._idle >= STALLED_SECONDS and not self.trouble.startswith(STALLED):
            about = f" ({self.trouble})" if self.trouble else ""
            return f"{STALLED}: nothing done for {self._idle:.0f} s{about}"
        return self.trouble

    def close(self, timeout: float) -> None:
        """Delivers what waits where that is possible, then stops.

        Args:
            timeout: seconds it may take.
        """
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
        """Connect, call :meth:`connected`, and deliver until it fails or is :meth:`over`."""

    def connected(self, text: str) -> None:
        """Reports that the session has connected.

        Args:
            text: what it is connected to.
        """
        self._work()
        if not self._failure:
            self.note("info", f"{self.name}: {text}")
            self.trouble = ""

    def progress(self) -> None:
        """Something was handed over, or nothing waits."""
        self._work()
        if self._failure:
            self.note("info", f"{self.name}: works again")
            self._failure = self.trouble = ""
            self._backoff.reset()

    def expect_idle(self, seconds: float) -> None:
        """Announces that no progress is expected for a while.

        Args:
            seconds: how long.
        """
        self._work()
        self._idle_expected_until = time.monotonic() + seconds

    def _work(self) -> None:
        """Something was done by the session that is under way; an abandoned one ends here."""
        if _SESSION.get() is not self._current:
            raise _AbandonedError
        self._steps += 1
        self._idle = self._idle_expected_until = 0.0

    @property
    def ending(self) -> bool:
        """Whether it is closing."""
        return self._closing.is_set()

    def over(self, *, idle: bool) -> bool:
        """Decides whether the session should return: it is closing, and nothing waits or the time is up.

        Args:
            idle: nothing waits, by a check that began when :attr:`ending` was set: an earlier check
                may have missed what was stored just before.

        Returns:
            True if it should.
        """
        return self.ending and (idle or time.monotonic() >= self._deadline)

    async def woken(self, seconds: float = TICK) -> None:
        """Sleeps until a message comes or the end is near.

        Args:
            seconds: how long at most.
        """
        assert self._woken is not None
        woken = self._woken
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await woken.wait()
        woken.clear()

    def note(self, level: str, text: str) -> None:
        """Logs a line, also for the screen.

        Args:
            level: "info", "warning" or "error".
            text: the line.
        """
        self._on_engine_loop(lambda journal: journal.note(level, text))

    def count(self, name: str, by: int) -> None:
        """Adds to a counter of the journal.

        Args:
            name: of the counter.
            by: what is added.
        """
        self._on_engine_loop(lambda journal: journal.count(name, by))

    def _on_engine_loop(self, what: Callable[[Journal], None]) -> None:
        journal, loop = self._journal, self._engine_loop
        if journal is not None and loop is not None:
            with contextlib.suppress(RuntimeError):  # the engine has ended
                loop.call_soon_threadsafe(what, journal)

    def _supervise(self) -> None:
        """One session after the other, each watched."""
        while not self._closing.is_set():
            session = _Session(self.name, self._run_session)
            self._current, self._idle, self._idle_expected_until = session, 0.0, 0.0
            session.start()
            if not self._watch(session):
                self._replace(session)
                continue
            error = session.error
            if isinstance(error, StoreError):
                return  # the engine did not wait for us any longer
            if isinstance(error, (SinkError, OSError, TimeoutError)):
                wait = error.wait if isinstance(error, SinkError) else 0.0
                self._failed(str(error) or type(error).__name__, wait)
            elif error is not None:
                log.error("%s failed", self.name, exc_info=error)
                self._failed(repr(error))

    def _watch(self, session: _Session) -> bool:
        """Wait for the session's end; False where it has to be replaced first."""
        steps, looked = self._steps, time.monotonic()
        while not session.ended.wait(TICK):
            now = time.monotonic()
            # A process that was stopped for a while itself has not waited for its session.
            passed, looked = min(now - looked, 2 * TICK), now
            if self.ending:
                if now >= self._deadline + TICK:
                    return True  # the engine waits no longer; the thread ends with the process
            elif self._steps != steps or now < self._idle_expected_until:
                steps = self._steps
            else:
                self._idle += passed
                if self._idle >= self.replace_after_seconds:
                    return False
        return True

    def _replace(self, session: _Session) -> None:
        """A session hangs: cancel it, and leave it alone where it does not end."""
        text = f"{STALLED}: nothing done for {self._idle:.0f} s"
        session.cancel()
        if session.ended.wait(_END_SECONDS):
            self._failed(f"{text}; a new session is begun")
            return
        self._current = None  # from here on it may do nothing more
        self._hanging.append(session)
        self._failed(f"{text} and the session does not end; a new one is begun in its place")
        while len(self._hanging) >= _MOST_HANGING and not self._closing.wait(TICK):
            self.trouble = f"{STALLED}: {len(self._hanging)} sessions hang: start the feeder again"
            self._hanging = [session for session in self._hanging if not session.ended.is_set()]

    async def _run_session(self) -> None:
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        self._loop, self._woken = loop, woken
        try:
            await self.session()
        finally:
            if self._loop is loop:
                self._loop = None

    def _failed(self, text: str, least: float = 0.0) -> None:
        """Log it once for each new reason, and wait."""
        wait = max(0.2, least, self._backoff.next())
        if text != self._failure:
            self.note("error", f"{self.name}: {text}; tried again until it works")
        self.trouble = self._failure = text
        self.count(event_name(self.name, "failures"), 1)
        self._closing.wait(wait)
