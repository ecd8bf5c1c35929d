"""The volume of the last quarter of an hour against what is usual at that time of day. Pure.

Usual is the median over the same quarter of the hour on up to fourteen days before; between two quarters it
is shared out by the minutes in each. Quarters that lack minutes do not count.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from statistics import median

import msgspec
import numpy as np

from tui_feeder.engine.core.candle import MINUTE_MS, MINUTES_PER_DAY, Candle, Rows

#: Minutes of a slot, and of the stretch that is compared.
SLOT = 15
#: Days before that are compared with, at most and at least.
MAX_DAYS, MIN_DAYS = 14, 5

_SLOTS = MINUTES_PER_DAY // SLOT  # a day
_RING = (MAX_DAYS + 1) * _SLOTS
_UNKNOWN = math.nan


class TimeOfDayState(msgspec.Struct, frozen=True, array_like=True):
    """What a :class:`TimeOfDayVolume` needs to go on."""

    minute: int | None  # number of the last minute, since 1970
    total: float
    minutes: int
    recent: list[float]
    ring: bytes


class TimeOfDayVolume:
    """Volumes of a symbol by quarter of an hour, of fifteen days."""

    __slots__ = ("_minute", "_minutes", "_recent", "_ring", "_total", "_usual")

    def __init__(self) -> None:
        self._minute: int | None = None  # number of the last minute, since 1970
        self._total = 0.0  # of its slot so far
        self._minutes = 0  # counted of it
        self._recent: deque[float] = deque(maxlen=SLOT)  # volumes of the last minutes without a hole
        self._ring = array("f", [_UNKNOWN]) * _RING  # volume of slot n at n % _RING
        self._usual: dict[int, float | None] = {}  # medians looked up, by slot

    def add(self, candle: Candle) -> None:
        """Adds the next closed minute.

        Args:
            candle: the minute, later than all before.
        """
        minute, before = candle.open_time // MINUTE_MS, self._minute
        if before is not None and minute != before + 1:
            self._recent.clear()
        if before is not None and (slot := minute // SLOT) != before // SLOT:
            self._close(before // SLOT, slot)
        self._minute = minute
        self._total += candle.volume
        self._minutes += 1
        self._recent.append(candle.volume)

    def _close(self, slot: int, following: int) -> None:
        """Keep what a slot came to; the following one, and those between, are not known."""
        self._ring[slot % _RING] = self._total if self._minutes == SLOT else _UNKNOWN
        for skipped in range(max(slot, following - _RING) + 1, following + 1):
            self._ring[skipped % _RING] = _UNKNOWN
        self._total, self._minutes = 0.0, 0
        self._usual = {}

    def load(self, rows: Rows) -> None:
        """Starts again with many minutes, bit-equal to adding them one by one.

        Args:
            rows: shape (n,), dtype ROW, sorted, unique.
        """
        self.__init__()  # type: ignore[misc]
        if not len(rows):
            return
        minutes = rows["open_time"] // MINUTE_MS
        last = int(minutes[-1]) // SLOT
        first = last - _RING + 1
        begin = int(np.searchsorted(minutes, first * SLOT))
        minutes, volumes = minutes[begin:], rows["volume"][begin:]
        slots = minutes // SLOT - first
        totals = np.bincount(slots, weights=volumes, minlength=_RING)  # adds in order of the rows
        counts = np.bincount(slots, minlength=_RING)
        ring = np.full(_RING, _UNKNOWN, dtype=np.float32)
        whole = np.flatnonzero(counts[:-1] == SLOT)
        with np.errstate(over="ignore"):
            ring[(first + whole) % _RING] = totals[whole]
        self._ring = array("f", ring.tobytes())
        self._minute = int(minutes[-1])
        self._total, self._minutes = float(totals[-1]), int(counts[-1])
        before = -1
        for minute, volume in zip(minutes[-SLOT:].tolist(), volumes[-SLOT:].tolist(), strict=True):
            if minute != before + 1:
                self._recent.clear()
            self._recent.append(volume)
            before = minute

    def state(self) -> TimeOfDayState:
        """Everything later values follow from."""
        return TimeOfDayState(
            self._minute, self._total, self._minutes, list(self._recent), self._ring.tobytes()
        )

    def restore(self, state: TimeOfDayState) -> None:
        """Continues from a saved state.

        Args:
            state: what :meth:`state` returned.
        """
        self.__init__()  # type: ignore[misc]
        self._minute, self._total, self._minutes = state.minute, state.total, state.minutes
        self._recent.extend(state.recent)
        self._ring = array("f", state.ring)

    @property
    def relative(self) -> float | None:
        """The last 15 minutes in times of what is usual; None where minutes or days are missing."""
        if self._minute is None or len(self._recent) < SLOT:
            return None
        slot, into = divmod(self._minute + 1, SLOT)
        usual = self._median(slot - 1)
        if usual is None:
            return None
        if into:
            following = self._median(slot)
            if following is None:
                return None
            usual += (following - usual) * into / SLOT
        return math.fsum(self._recent) / usual if usual > 0 else None

    def _median(self, slot: int) -> float | None:
        if slot not in self._usual:
            days = (self._ring[(slot - day * _SLOTS) % _RING] for day in range(1, MAX_DAYS + 1))
            known = [volume for volume in days if not math.isnan(volume)]
            self._usual[slot] = median(known) if len(known) >= MIN_DAYS else None
        return self._usual[slot]
