"""Exchange time on this machine.

The engine decides by exchange time alone: an exchange whose clock is months away, or runs sixty
times as fast, works like any other. Local wall time is used for nothing but the offset shown.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median

#: A sleeper looks at the clock this often: after a suspended machine it is found to be hours ahead.
_LOOK_SECONDS = 5.0


class ExchangeClock:
    """Exchange time, kept from measurements against the local monotonic clock.

    Args:
        rate: exchange seconds in a real second; 1.0 on a real exchange.
    """

    def __init__(self, rate: float = 1.0) -> None:
        self.rate = rate
        # One attribute, replaced whole: the screen's thread may read while the engine's measures.
        self._anchor = (time.monotonic(), time.time() * 1000)
        self.measured = False

    def now(self) -> int:
        """Exchange time in ms."""
        at, ms = self._anchor
        return int(ms + (time.monotonic() - at) * 1000 * self.rate)

    @property
    def offset_ms(self) -> float:
        """Exchange time minus local wall time, ms."""
        return self.now() - time.time() * 1000

    def measure(self, samples: list[tuple[float, int, float]]) -> None:
        """Set the clock from one or more ``(monotonic before, server ms, monotonic after)`` samples."""
        base = time.monotonic()
        estimates = [ms + (base - (before + after) / 2) * 1000 * self.rate for before, ms, after in samples]
        self._anchor = (base, median(estimates))
        self.measured = True

    def real_seconds(self, exchange_ms: float) -> float:
        """How long ``exchange_ms`` last on this machine's clock, s."""
        return exchange_ms / 1000 / self.rate

    def at_least(self, exchange_ms: int, real_seconds: float) -> int:
        """``exchange_ms``, or more of it where that is less than ``real_seconds`` on this machine.

        A simulated exchange may run so fast that its seconds are too short for any network.
        """
        return max(exchange_ms, int(real_seconds * 1000 * self.rate))

    async def sleep_until(self, exchange_ms: int) -> None:
        """Wait until exchange time reaches ``exchange_ms``."""
        while True:
            left = exchange_ms - self.now()
            if left <= 0:
                return
            await asyncio.sleep(max(0.001, min(self.real_seconds(left), _LOOK_SECONDS)))
