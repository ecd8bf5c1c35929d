"""An event loop with virtual time: it jumps to the next timer whenever nothing else is to be done.

Sockets, threads and files are the real ones. Whenever no callback is ready, no socket has data and no
thread works, time jumps to the next timer instead of being waited for. So a second has as many events
as it always has, whatever the machine is like: a slow machine takes longer, and misses nothing by it.

A test runs so with :func:`in_virtual_time`. What it starts must be on the same loop, or known to it: the
executors of the loop are, and the writer of a :class:`VirtualTimeStore`. Other processes are not.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import selectors
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, ParamSpec
from unittest import mock

from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.storage.store import Store

P = ParamSpec("P")

#: Real seconds to wait for a thread before looking again.
_LOOK = 0.05
#: Virtual seconds that a turn of the loop takes, so that none can wait for time in a circle.
_TURN = 1e-6


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module. Work that is handed to threads must be known to it: executors of the loop are."""

    def __init__(self) -> None:
        self._virtual = time.monotonic()
        self._began = (self._virtual, time.time())
        self._working = 0
        self._counting = threading.Lock()
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual monotonic time, s."""
        return self._virtual

    def wall(self) -> float:
        """Virtual Unix time, s."""
        return self._began[1] + self._virtual - self._began[0]

    def jump(self, seconds: float) -> None:
        """Time goes on."""
        self._virtual += seconds

    @property
    def busy(self) -> bool:
        """Whether a thread works on something whose end this loop is notified of."""
        return self._working > 0

    def follow(self, future: Future[Any]) -> Future[Any]:
        """No time passes until ``future``, the work of a thread, is done."""
        with self._counting:
            self._working += 1
        future.add_done_callback(self._followed)
        return future

    def _followed(self, future: Future[Any]) -> None:
        with self._counting:
            self._working -= 1
            idle = not self._working
        if idle:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self.call_soon_threadsafe(lambda: None)

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[..., Any],
        *args: Any,  # noqa: ANN401
    ) -> asyncio.Future[Any]:
        """As always; no time passes meanwhile."""
        running = super().run_in_executor(executor, func, *args)
        with self._counting:
            self._working += 1

        def done(_: object) -> None:
            with self._counting:
                self._working -= 1

        running.add_done_callback(done)
        return running


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for time."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.jump(_TURN)
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if found or timeout == 0:
            return found
        if self._loop.busy or timeout is None:
            return super().select(_LOOK)
        self._loop.jump(timeout)
        return found


@contextlib.contextmanager
def virtual_time() -> Iterator[asyncio.Runner]:
    """A runner on such a loop; ``time.monotonic`` and ``time.time`` are the loop's meanwhile.

    So is the time of day of exchange clocks, which bind it as a default.
    """
    loop = VirtualTimeLoop()
    with (
        asyncio.Runner(loop_factory=lambda: loop) as runner,
        mock.patch("time.monotonic", loop.time),
        mock.patch("time.time", loop.wall),
        mock.patch.object(ExchangeClock.__init__, "__defaults__", (1.0, loop.wall)),
    ):
        yield runner


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test that is a coroutine on a loop of virtual time of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with virtual_time() as runner:
            runner.run(test(*args, **kwargs))

    return run


class VirtualTimeStore(Store):
    """A store whose writes hold up virtual time. It must be opened on the loop, not on another thread."""

    def __init__(self, path: Path, **options: Any) -> None:  # noqa: ANN401
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        self._loop = loop
        super().__init__(path, **options)

    def _submit(self, job: Callable[[Any], Any]) -> Future[Any]:
        return self._loop.follow(super()._submit(job))
