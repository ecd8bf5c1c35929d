"""Waiting longer after each failure: at once, then doubling to a bound, with full jitter."""

from __future__ import annotations

import random

#: The longest wait between two tries to connect to a stream, and of whoever states no other, seconds.
MOST_RECONNECT_SECONDS = 60.0


class Backoff:
    """Delays in seconds: 0, then uniform in (0, first], (0, 2*first], ... (0, most].

    Args:
        first: upper bound of the first wait that is not zero, s.
        most: largest upper bound, s.
        draw: source of numbers in [0, 1).
    """

    def __init__(
        self, first: float = 1.0, most: float = MOST_RECONNECT_SECONDS, draw: random.Random | None = None
    ) -> None:
        self.tries = 0
        self._first = first
        self._most = most
        self._draw = draw or random.Random()

    def next(self) -> float:
        """The wait before the next try."""
        self.tries += 1
        if self.tries == 1:
            return 0.0
        bound = min(self._most, self._first * 2.0 ** min(self.tries - 2, 32))
        return bound * (1.0 - self._draw.random())

    def reset(self) -> None:
        """It worked: begin again at once next time."""
        self.tries = 0
