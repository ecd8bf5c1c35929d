"""Exchange time on this machine.

The engine decides by exchange time alone: an exchange whose clock is months away, or runs sixty
times as fast, works like any other. Local wall time is used for nothing but the offset shown.

There are two sources. The exchange's own time, measured by the middle of several requests;
and the stamps of its frames, each of which was made before it arrived. Where both are there and do not
agree, the frames are believed: candles end by the clock that stamps them, and a minute taken for over too
soon would be wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from tui_feeder.engine.core.candle import MINUTE_MS

#: A sleeper looks at the clock this often: after a suspended machine it is found to be hours ahead.
_CHECK_SECONDS = 5.0
#: Two witnesses agree within so much: exchange ms, and seconds here, where its seconds are short.
_AGREE_MS, _AGREE_SECONDS = 2_000, 0.5
#: So many frames, the last of them so recent (s), are a observe_lag.
_FRAMES, _RECENT_SECONDS = 3, 5.0
_FRAMES_KEPT = 16
#: Those who keep a machine's time of day right move it in steps smaller than this, s.
_WALL_STEP_SECONDS = 0.5


class Step(NamedTuple):
    """What a measurement did to the clock."""

    ms: float  # exchange ms it was moved by
    unsure_since: int  # exchange ms since when nothing had confirmed the clock


class ExchangeClock:
    """Exchange time, kept from measurements against the local monotonic clock.

    Args:
        rate: exchange seconds in a real second; 1.0 on a real exchange.
        wall: this machine's time of day, s since the epoch.

    Attributes:
        disputed_ms: by how much the exchange's own time differs from its frames; 0 while they agree.
        on_first_measured: called with the step (exchange ms) when the clock is first measured: until then it
            shows this machine's time of day, and moments that were reckoned from that move along.
    """

    def __init__(self, rate: float = 1.0, wall: Callable[[], float] = time.time) -> None:
        self.rate = rate
        self.wall = wall
        # One attribute, replaced whole: the screen's thread may read while the engine's measures.
        self._anchor = (time.monotonic(), wall() * 1000)
        self._wall_offset = wall() - time.monotonic()
        self.measured = False
        self.on_first_measured: list[Callable[[float], None]] = []
        self.disputed_ms = 0.0
        self.tolerance_ms = self.at_least(_AGREE_MS, _AGREE_SECONDS)
        self._lags: deque[float] = deque(maxlen=_FRAMES_KEPT)
        self._last_lag_at = self._agreed = time.monotonic()
        self._disagreed = asyncio.Event()

    def now(self) -> int:
        """Exchange time in ms."""
        at, ms = self._anchor
        return int(ms + (time.monotonic() - at) * 1000 * self.rate)

    def closed_until(self) -> int:
        """Exclusive end of the last closed minute, exchange ms."""
        return self.now() // MINUTE_MS * MINUTE_MS

    @property
    def offset_ms(self) -> float:
        """Exchange time minus local wall time, ms."""
        return self.now() - self.wall() * 1000

    def observe_lag(self, lag_ms: float) -> None:
        """Takes the time stamp of a stream frame as a second opinion on exchange time.

        Args:
            lag_ms: this clock's time minus the frame's stamp at arrival, ms.
        """
        self._last_lag_at = time.monotonic()
        if -self.tolerance_ms <= lag_ms <= self.tolerance_ms:
            self._agreed = self._last_lag_at
        elif not self._disagreed.is_set():
            self._lags.clear()  # those before it no longer count
            self._disagreed.set()
        self._lags.append(lag_ms)

    async def wait_for_disagreement(self, seconds: float) -> bool:
        """Waits for a frame whose stamp does not agree with this clock.

        Args:
            seconds: how long to wait at most.

        Returns:
            True if such a frame has come.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for of Python 3.11 can lose a cancellation
                await self._disagreed.wait()
        return self._disagreed.is_set()

    def measure(self, samples: list[tuple[float, int, float]]) -> Step:
        """Sets the clock from server time samples and from frames.

        Without samples only frames that do not agree with the clock move it.

        Args:
            samples: (monotonic seconds before the request, server time in ms, monotonic seconds after it).

        Returns:
            How far the clock was moved, and since when nothing had confirmed it; both ms of exchange time.
        """
        base, now = time.monotonic(), self.now()
        step, self.disputed_ms = 0.0, 0.0
        if samples:
            measured = [
                ms + (base - (before + after) / 2) * 1000 * self.rate for before, ms, after in samples
            ]
            step = median(measured) - now
        if len(self._lags) >= _FRAMES and base - self._last_lag_at < _RECENT_SECONDS:
            stamped = -min(self._lags)  # of the one that was under way for the shortest time
            if abs(stamped - step) > self.tolerance_ms:
                self.disputed_ms = step - stamped if samples else 0.0
                step = stamped
        since = now + step - (base - self._agreed) * 1000 * self.rate
        self._anchor = (base, now + step)
        first, self.measured = bool(samples) and not self.measured, self.measured or bool(samples)
        self._lags.clear()
        self._disagreed.clear()
        for moved in self.on_first_measured if first else ():
            moved(step)
        return Step(step, int(since))

    def wall_step(self) -> float:
        """By how many seconds this machine's time of day was moved since this was last asked; 0 if not.

        A machine that was suspended shows it here too, for monotonic time stands still meanwhile.
        """
        wall_offset = self.wall() - time.monotonic()
        step, self._wall_offset = wall_offset - self._wall_offset, wall_offset
        if abs(step) < _WALL_STEP_SECONDS:
            return 0.0
        self._lags.clear()  # those of frames from before a suspension no longer count
        return step

    def real_seconds(self, exchange_ms: float) -> float:
        """Converts a span of exchange time to this machine's time.

        Args:
            exchange_ms: the span, ms.

        Returns:
            Real seconds.
        """
        return exchange_ms / 1000 / self.rate

    def at_least(self, exchange_ms: int, real_seconds: float) -> int:
        """Raises a span of exchange time to a minimum of real time.

        A simulated exchange may run so fast that its seconds are too short for any network.

        Args:
            exchange_ms: the span, ms.
            real_seconds: the minimum on this machine.

        Returns:
            A span of exchange time, ms.
        """
        return max(exchange_ms, int(real_seconds * 1000 * self.rate))

    async def sleep_until(self, exchange_ms: int) -> None:
        """Waits until exchange time reaches a moment.

        Args:
            exchange_ms: the moment, ms since the epoch.
        """
        while True:
            left = exchange_ms - self.now()
            if left <= 0:
                return
            await asyncio.sleep(max(0.001, min(self.real_seconds(left), _CHECK_SECONDS)))
