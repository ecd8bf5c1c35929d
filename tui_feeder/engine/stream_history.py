"""How frames arrived in the last hour, minute by minute: what the screen draws as sparklines."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

from tui_feeder.engine.core.supervisor import heartbeat
from tui_feeder.engine.exchanges.base import StreamSocket
from tui_feeder.monitor import StreamMinute

_SAMPLE_SECONDS = 1.0
_MINUTE_SECONDS = 60.0
_MINUTES = 60


class StreamHistory:
    """Samples all sockets once a second and keeps a value for each of the last 60 real minutes.

    Args:
        sockets: gives those of the moment.
    """

    def __init__(self, sockets: Callable[[], Sequence[StreamSocket]]) -> None:
        self.minutes: tuple[StreamMinute, ...] = ()  # those that are over, the newest last
        self._sockets = sockets
        self._kept: deque[StreamMinute] = deque(maxlen=_MINUTES)
        self._began: float | None = None  # monotonic second at which the present minute began
        self._rates: list[float] = []
        self._latencies: list[float] = []

    async def run(self) -> None:
        """Samples until cancelled."""
        while True:
            heartbeat(_SAMPLE_SECONDS)
            await asyncio.sleep(_SAMPLE_SECONDS)
            self.sample(time.monotonic())

    def sample(self, now: float) -> None:
        """Looks at the sockets; a minute that is over is kept.

        Args:
            now: monotonic seconds.
        """
        if self._began is None:
            self._began = now
        elif now - self._began >= _MINUTE_SECONDS:
            rate = sum(self._rates) / len(self._rates) if self._rates else 0.0
            self._kept.append(StreamMinute(round(rate, 2), max(self._latencies, default=None)))
            self.minutes = tuple(self._kept)
            self._began, self._rates, self._latencies = now, [], []
        live = [socket for socket in self._sockets() if socket.state == "live"]
        self._rates.append(sum(socket.frames_per_second() for socket in live))
        self._latencies += [round(socket.latency_ms, 1) for socket in live if socket.latency_ms is not None]
