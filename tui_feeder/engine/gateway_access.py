"""The engine as a gateway in another process sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future

from tui_feeder.engine.engine import Engine
from tui_feeder.engine.exchanges.base import ForwardsRequests
from tui_feeder.live_access import Forwarded, GatewayFigures, MinutesInProgress


class EngineLiveAccess:
    """The :class:`~tui_feeder.live_access.LiveAccess` of an engine.

    Args:
        engine: that runs.
        loop: on which it runs.
    """

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop

    def minutes_in_progress(self, since: int) -> MinutesInProgress:
        """See :meth:`tui_feeder.live_access.LiveAccess.minutes_in_progress`.

        Args:
            since: stamp of the last look.

        Returns:
            What came after it.
        """
        clock = self._engine.clock
        found, stamp = [], since
        for queue in list(self._engine.ingest.queues.values()):
            frame, candle = queue.last_frame, queue.forming
            if frame is not None and candle is not None and frame >= since:
                found.append((queue.symbol, candle.as_tuple()))
                stamp = max(stamp, frame)
        return MinutesInProgress(clock.now(), clock.rate, stamp, tuple(found))

    def forward(self, name: str, parameters: Sequence[tuple[str, str]]) -> Future[Forwarded]:
        """See :meth:`tui_feeder.live_access.LiveAccess.forward`.

        Args:
            name: of the call.
            parameters: of its query.

        Returns:
            The answer, once it is there.
        """
        exchange = self._engine.exchange
        if not isinstance(exchange, ForwardsRequests):
            refused: Future[Forwarded] = Future()
            refused.set_result(Forwarded(404, b'{"code":-5000,"msg":"Path is invalid"}'))
            return refused
        return asyncio.run_coroutine_threadsafe(exchange.forward(name, parameters), self._loop)

    def report(self, figures: GatewayFigures) -> None:
        """See :meth:`tui_feeder.live_access.LiveAccess.report`.

        Args:
            figures: newest.
        """
        self._engine.gateway = (time.monotonic(), figures)
