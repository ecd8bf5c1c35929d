"""The feeder, its engine's loop watched a hundred times a second more: ``python -m benchmarks._closely``.

What is seen counts in the same histogram. A feeder of its own looks ten times a second, which is enough for a
dashboard and too little for a percentile of twenty seconds.
"""

from __future__ import annotations

import asyncio
import threading

from tui_feeder import runner
from tui_feeder.cli import main
from tui_feeder.engine.core.event_loop import ticks
from tui_feeder.engine.thread import EngineThread

_EVERY_SECONDS = 0.01


class Watched(EngineThread):
    """An engine thread that looks more often how late its loop wakes."""

    async def _main(self, started: threading.Event) -> None:
        watching = asyncio.create_task(self._watch())
        try:
            await super()._main(started)
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        async for _ in ticks(_EVERY_SECONDS, self.loop_lag):
            pass


if __name__ == "__main__":
    setattr(runner, "EngineThread", Watched)  # noqa: B010 - the runner has no parameter for it
    main()
