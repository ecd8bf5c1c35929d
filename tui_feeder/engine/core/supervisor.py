"""Each part of the engine as a task with a state and a restart policy; one crash takes nothing else down.

A part gives a heartbeat with every round and states how long the next round may take. One that is overdue is
stalled: it is shown as such, logged, cancelled, and begun again. Without that a part that waits for something
that never comes would look well for ever.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tui_feeder.engine.core.backoff import Backoff
from tui_feeder.engine.core.journal import Journal
from tui_feeder.monitor import STALLED

log = logging.getLogger(__name__)
_DEGRADED_AFTER = 3
#: A part that ran for so long was well, whatever came before.
_WELL_AFTER_SECONDS = 60.0
#: How often heartbeats are looked at, s.
_TICK = 1.0
#: A cancelled part has so long to end, s.
_END_SECONDS = 5.0
#: Tasks of a part that do not end, beside which another is begun. More would only hang too.
_MOST_HANGING = 3
#: What a round may take beyond what it waits for on purpose, s: on the loop; and where it waits for the
#: worker thread, the store or the exchange, behind all others that do.
LOOP_SECONDS, OUTSIDE_SECONDS = 60.0, 600.0


class _Heart:
    """The heartbeats of one run of a part: of each of its tasks that gives some, when the next is due."""

    def __init__(self) -> None:
        self.beats = 0
        self.abandoned = False
        self._due: dict[asyncio.Task[object], _Due] = {}

    def beat(self, seconds: float, unless: Callable[[], bool] | None) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self.abandoned:  # another runs in its place, and the cancellation was lost
            raise asyncio.CancelledError
        self.beats += 1
        self._due[task] = _Due(seconds, unless)

    def rest(self) -> None:
        """Nothing runs until the part begins again."""
        self._due.clear()

    def overdue(self, passed: float) -> float:
        """Let ``passed`` seconds go by.

        Returns:
            For how long a task that is overdue has done nothing, s; 0.0 where none is.
        """
        longest = 0.0
        for task, due in list(self._due.items()):
            if task.done():
                del self._due[task]
            elif due.unless is None or not due.unless():
                due.idle += passed
                if due.idle > due.seconds:
                    longest = max(longest, due.idle)
        return longest


@dataclass(slots=True)
class _Due:
    """Until when a task has to give its next heartbeat."""

    seconds: float
    unless: Callable[[], bool] | None  # while it is true no time passes
    idle: float = 0.0


_HEART: contextvars.ContextVar[_Heart | None] = contextvars.ContextVar("heart", default=None)


def heartbeat(
    waits: float = 0.0, works: float = LOOP_SECONDS, unless: Callable[[], bool] | None = None
) -> None:
    """The task that runs here has done a round. Without a supervisor this does nothing.

    Args:
        waits: for how long the next round waits on purpose, s; ``math.inf`` where it waits for work.
        works: how much longer it may take, s.
        unless: something for which it may have to wait however long, such as a full disk, is the case.

    Raises:
        CancelledError: the part was stalled, did not end, and another runs in its place.
    """
    heart = _HEART.get()
    if heart is not None:
        heart.beat(_limit(waits, works), unless)


def wait_for_work() -> None:
    """The task that runs here has done all there is to do, and waits for more however long it takes."""
    heartbeat(math.inf)


def _limit(waits: float, works: float) -> float:
    return waits + works


@dataclass(slots=True, eq=False)
class _Part:
    """A part that was started and has not ended."""

    make: Callable[[], Awaitable[None]]
    restart: bool
    task: asyncio.Task[None] = field(init=False)
    heart: _Heart = field(default_factory=_Heart)
    hanging: list[asyncio.Task[None]] = field(default_factory=list)  # abandoned ones that have not ended
    stopping: bool = False


class Supervisor:
    """Starts parts, restarts those that crash or stall, and knows their states.

    States: ``starting, running, degraded, stalled: ..., failed, stopped``. A part that has ended well is
    forgotten: those that come and go leave nothing behind.
    """

    def __init__(self, journal: Journal) -> None:
        self.states: dict[str, str] = {}
        self._journal = journal
        self._parts: dict[str, _Part] = {}
        self._watching: asyncio.Task[None] | None = None

    def start(self, name: str, part: Callable[[], Awaitable[None]], *, restart: bool = True) -> None:
        """Runs a part as a task.

        Args:
            name: name of the part.
            part: coroutine function that does its work.
            restart: start it again after a crash, with growing delays.
        """
        self.states[name] = "starting"
        self._begin(name, _Part(part, restart))
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name="heartbeats")

    def _begin(self, name: str, part: _Part) -> None:
        self._parts[name] = part
        part.task = asyncio.create_task(self._keep(name, part), name=name)

    async def _keep(self, name: str, part: _Part) -> None:
        _HEART.set(part.heart)
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while True:
            if not self.stalled(name):  # until it has done a round
                self.states[name] = "running" if backoff.tries < _DEGRADED_AFTER else "degraded"
            begun = loop.time()
            try:
                await part.make()
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and part.task.cancelling():
                    if self._is_current(name) and not self.stalled(name):
                        self.states[name] = "stopped"
                    raise
                # Something it waited for was cancelled by others: that ends it no more than other errors do.
                log.error("part %s crashed", name, exc_info=error)
                self._journal.count("part_crashes")
                if not part.restart:
                    if self._is_current(name):
                        self.states[name] = "failed"
                        del self._parts[name]
                    self._journal.note("error", f"{name} failed: {error!r}")
                    return
                if loop.time() - begun > _WELL_AFTER_SECONDS:
                    backoff.reset()
                wait = backoff.next()
                self._journal.note("error", f"{name} crashed ({error!r}); starts again in {wait:.1f} s")
                part.heart.rest()
                await asyncio.sleep(wait)
            else:
                if self._is_current(name):
                    del self.states[name], self._parts[name]
                return

    def _is_current(self, name: str) -> bool:
        """Whether the part that runs here is still the one of this name, neither replaced nor let go."""
        part = self._parts.get(name)
        return part is not None and part.task is asyncio.current_task()

    def stalled(self, name: str) -> bool:
        """Checks whether a part missed its heartbeat.

        Args:
            name: name of the part.

        Returns:
            True if it did not do its work in the time that takes.
        """
        return self.states.get(name, "").startswith(STALLED)

    def troubled(self) -> bool:
        """Whether a part crashes time and again, or is stalled."""
        return any(state == "degraded" or state.startswith(STALLED) for state in self.states.values())

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while True:
            await asyncio.sleep(_TICK)
            now = loop.time()
            # A process that was stopped for a while itself, or a loop that was, has not waited for its parts.
            passed, looked = min(now - looked, 2 * _TICK), now
            for name, part in list(self._parts.items()):
                if part.stopping or self._parts.get(name) is not part:
                    continue
                part.hanging = [task for task in part.hanging if not task.done()]
                if len(part.hanging) >= _MOST_HANGING:
                    continue
                if part.task.done():  # it was given up, and has ended after all
                    self._begin(name, _Part(part.make, part.restart, hanging=part.hanging))
                elif idle := part.heart.overdue(passed):
                    await self._replace(name, part, idle)
                elif part.heart.beats > 1 and self.stalled(name):
                    self.states[name] = "running"
                    self._journal.note("info", f"{name} works again")

    async def _replace(self, name: str, part: _Part, idle: float) -> None:
        """A part is stalled: cancel it, leave it alone where it does not end, and begin it again."""
        known, text = self.stalled(name), f"{STALLED}: nothing done for {idle:.0f} s"
        self.states[name] = text
        self._journal.count("parts_stalled")
        part.task.cancel()
        await asyncio.wait({part.task}, timeout=_END_SECONDS)
        if part.stopping or self._parts.get(name) is not part:
            return
        what = "it is started again"
        if not part.task.done():
            part.heart.abandoned = True
            part.hanging = [*(task for task in part.hanging if task is not part.task), part.task]
            what = "it does not end; another is started in its place"
            if len(part.hanging) >= _MOST_HANGING:
                self.states[name] = f"{STALLED}: {len(part.hanging)} of its tasks hang: restart the feeder"
                self._journal.note("error", f"{name} is {self.states[name]}")
                return
        if not known or part.hanging:
            self._journal.note("error", f"{name} is {text}; {what}")
        self._begin(name, _Part(part.make, part.restart, hanging=part.hanging))

    def alive(self, name: str) -> bool:
        """Checks whether a part runs.

        Args:
            name: name of the part.

        Returns:
            True if it was started and has not ended.
        """
        part = self._parts.get(name)
        return part is not None and not part.task.done()

    def cancel(self, name: str) -> None:
        """Cancels a part for good, without waiting for its end.

        Args:
            name: name of the part.
        """
        self.states.pop(name, None)
        if (part := self._parts.pop(name, None)) is not None:
            part.task.cancel()

    async def stop(self, *names: str) -> None:
        """Cancels parts and waits for their ends, for a few seconds at most.

        Args:
            names: names of the parts; none for all.
        """
        parts = {name: part for name, part in self._parts.items() if not names or name in names}
        if not names and self._watching is not None:
            self._watching.cancel()
        for part in parts.values():
            part.stopping = True
            part.task.cancel()
        if tasks := {part.task for part in parts.values()}:
            await asyncio.wait(tasks, timeout=_END_SECONDS)
        if hanging := [name for name, part in parts.items() if not part.task.done()]:
            self._journal.note("error", f"parts that do not end, left alone: {', '.join(hanging)}")
        # One that waited to be started again has reported nothing.
        self.states.update({name: "stopped" for name in parts if self.states.get(name) != "failed"})
