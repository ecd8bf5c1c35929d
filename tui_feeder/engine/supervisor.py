"""Each part of the engine as a task with a state and a restart policy; one crash takes nothing else down."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from tui_feeder.engine.backoff import Backoff
from tui_feeder.engine.journal import Journal

log = logging.getLogger(__name__)
_DEGRADED_AFTER = 3
#: A part that ran for so long was well, whatever came before.
_WELL_AFTER_SECONDS = 60.0


class Supervisor:
    """Starts parts, restarts those that crash, and knows their states.

    States: ``starting, running, degraded, failed, stopped``. A part that has ended well is forgotten: those
    that come and go leave nothing behind.
    """

    def __init__(self, journal: Journal) -> None:
        self.states: dict[str, str] = {}
        self._journal = journal
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, part: Callable[[], Awaitable[None]], *, restart: bool = True) -> None:
        """Run ``part`` as a task. With ``restart`` it is begun again after a crash, with growing waits."""
        self.states[name] = "starting"
        self._tasks[name] = asyncio.create_task(self._keep(name, part, restart), name=name)

    async def _keep(self, name: str, part: Callable[[], Awaitable[None]], restart: bool) -> None:
        backoff = Backoff()
        while True:
            self.states[name] = "running" if backoff.tries < _DEGRADED_AFTER else "degraded"
            begun = time.monotonic()
            try:
                await part()
            except asyncio.CancelledError:
                if self._is_current(name):
                    self.states[name] = "stopped"
                raise
            except Exception as error:
                log.exception("part %s crashed", name)
                self._journal.count("part crashes")
                if not restart:
                    if self._is_current(name):
                        self.states[name] = "failed"
                        del self._tasks[name]
                    self._journal.note("error", f"{name} failed: {error!r}")
                    return
                if time.monotonic() - begun > _WELL_AFTER_SECONDS:
                    backoff.reset()
                wait = backoff.next()
                self._journal.note("error", f"{name} crashed ({error!r}); starts again in {wait:.1f} s")
                await asyncio.sleep(wait)
            else:
                if self._is_current(name):
                    del self.states[name], self._tasks[name]
                return

    def _is_current(self, name: str) -> bool:
        """Whether the part that runs here is still the one of this name, neither replaced nor let go."""
        return self._tasks.get(name) is asyncio.current_task()

    def alive(self, name: str) -> bool:
        """Whether the part was started and has not ended."""
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def cancel(self, name: str) -> None:
        """End a part for good, without waiting for its end."""
        self.states.pop(name, None)
        if (task := self._tasks.pop(name, None)) is not None:
            task.cancel()

    async def stop(self, *names: str) -> None:
        """Cancel the named parts, or all of them, and wait for their ends."""
        tasks = {name: task for name, task in self._tasks.items() if not names or name in names}
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        # One that waited to be started again has said nothing.
        self.states.update({name: "stopped" for name in tasks if self.states.get(name) != "failed"})
