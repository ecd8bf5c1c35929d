"""The moment of a replay: it stands, or goes on at a speed, between two ends. Safe from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

#: Exchange seconds in a real second, as the keys step through them.
SPEEDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 3_600.0)


class ReplayClock:
    """Exchange time of a replay.

    Args:
        start: ms, its first moment.
        end: ms, its last; the clock stops there.
        speed: exchange seconds in a real second.
        now: real seconds from some origin, such as ``time.monotonic``.
    """

    def __init__(self, start: int, end: int, speed: float, now: Callable[[], float]) -> None:
        self.start, self.end = start, end
        self._now = now
        self._lock = threading.Lock()
        self._speed = speed
        self._playing = False
        self._at, self._since = float(start), now()

    @property
    def moment(self) -> int:
        """Exchange time now, ms."""
        with self._lock:
            return int(self._moment())

    @property
    def playing(self) -> bool:
        """Whether it goes on; at its end it does not."""
        with self._lock:
            return self._playing and self._moment() < self.end

    @property
    def speed(self) -> float:
        """Exchange seconds in a real second, while it goes on."""
        with self._lock:
            return self._speed

    def play(self, wanted: bool) -> None:
        """Starts or pauses.

        Args:
            wanted: True to play.
        """
        with self._lock:
            self._mark(self._moment())
            self._playing = wanted

    def go(self, moment: int) -> None:
        """Jumps to a moment and goes on playing or pausing.

        Args:
            moment: ms; clamped to the range.
        """
        with self._lock:
            self._mark(min(max(moment, self.start), self.end))

    def faster(self, steps: int) -> None:
        """Changes the speed.

        Args:
            steps: steps up in the list of speeds; below 0 down.
        """
        with self._lock:
            self._mark(self._moment())
            for _ in range(abs(steps)):
                if steps > 0:
                    self._speed = next((speed for speed in SPEEDS if speed > self._speed), self._speed)
                else:
                    self._speed = next((s for s in reversed(SPEEDS) if s < self._speed), self._speed)

    def _moment(self) -> float:
        passed = (self._now() - self._since) * 1000 * self._speed if self._playing else 0.0
        return min(self._at + passed, float(self.end))

    def _mark(self, at: float) -> None:
        self._at, self._since = float(at), self._now()
