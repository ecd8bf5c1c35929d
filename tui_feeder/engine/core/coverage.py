"""Sets of minutes as disjoint half-open intervals ``[start, end)`` in ms. Pure.

A :class:`Coverage` is immutable; its intervals are sorted, disjoint and never touch, so equal sets
of minutes always compare equal.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import MINUTE_MS

Interval = tuple[int, int]


class Coverage:
    """An immutable set of minutes. ``Coverage([(start, end), ...])`` accepts any order and overlap.

    Raises:
        ValueError: an interval ends before it starts, or a bound is not on a minute.
    """

    __slots__ = ("intervals",)

    intervals: tuple[Interval, ...]

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        merged: list[Interval] = []
        for start, end in sorted(intervals):
            if start % MINUTE_MS or end % MINUTE_MS or end < start:
                raise ValueError(f"not an interval of whole minutes: [{start}, {end})")
            if start == end:
                continue
            if merged and start <= merged[-1][1]:
                if end > merged[-1][1]:
                    merged[-1] = (merged[-1][0], end)
            else:
                merged.append((start, end))
        self.intervals = tuple(merged)

    @classmethod
    def of_times(cls, open_times: NDArray[np.int64]) -> Coverage:
        """Makes the set of minutes that begin at given times.

        Args:
            open_times: shape (n,), ms, sorted, multiples of a minute.

        Returns:
            The set.

        Raises:
            ValueError: a time is not on a minute, or the times are not sorted.
        """
        if not len(open_times):
            return EMPTY
        steps = np.diff(open_times)
        if (steps < 0).any() or (open_times % MINUTE_MS).any():
            raise ValueError("the times are not sorted whole minutes")
        breaks = np.flatnonzero(steps > MINUTE_MS)
        starts = open_times[np.concatenate(([0], breaks + 1))]
        ends = open_times[np.concatenate((breaks, [len(open_times) - 1]))] + MINUTE_MS
        return cls(zip(starts.tolist(), ends.tolist(), strict=True))

    @classmethod
    def _from_sorted(cls, intervals: tuple[Interval, ...]) -> Coverage:
        made = object.__new__(cls)
        made.intervals = intervals
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Coverage) and self.intervals == other.intervals

    def __hash__(self) -> int:
        return hash(self.intervals)

    def __bool__(self) -> bool:
        return bool(self.intervals)

    def __iter__(self) -> Iterator[Interval]:
        return iter(self.intervals)

    def __len__(self) -> int:
        return len(self.intervals)

    def __repr__(self) -> str:
        return f"Coverage({list(self.intervals)!r})"

    def __contains__(self, open_time: int) -> bool:
        at = bisect_right(self.intervals, (open_time, 1 << 62)) - 1
        return at >= 0 and self.intervals[at][0] <= open_time < self.intervals[at][1]

    @property
    def minutes(self) -> int:
        """How many minutes the set has."""
        return sum(end - start for start, end in self.intervals) // MINUTE_MS

    @property
    def start(self) -> int:
        """The first minute. The set must not be empty."""
        return self.intervals[0][0]

    @property
    def end(self) -> int:
        """The exclusive end of the last minute. The set must not be empty."""
        return self.intervals[-1][1]

    def union(self, other: Coverage) -> Coverage:
        """Joins two sets.

        Args:
            other: the other set.

        Returns:
            Minutes of either set.
        """
        if not other.intervals:
            return self
        if not self.intervals:
            return other
        # The live path adds one minute at the end, again and again: keep that cheap.
        if len(other.intervals) == 1 and other.intervals[0][0] >= self.intervals[-1][0]:
            (start, end), last = other.intervals[0], self.intervals[-1]
            if start > last[1]:
                return self._from_sorted((*self.intervals, (start, end)))
            return self._from_sorted((*self.intervals[:-1], (last[0], max(last[1], end))))
        return Coverage((*self.intervals, *other.intervals))

    def subtract(self, other: Coverage) -> Coverage:
        """Subtracts a set.

        Args:
            other: the minutes to leave out.

        Returns:
            Minutes of this set that ``other`` lacks.
        """
        if not self.intervals:
            return self
        left: list[Interval] = []
        holes = other.intervals
        # A short set less a long one is asked for all the time: begin where the long one matters.
        at = max(0, bisect_right(holes, (self.intervals[0][0], 0)) - 1)
        for start, end in self.intervals:
            while at < len(holes) and holes[at][1] <= start:
                at += 1
            cursor, k = start, at
            while k < len(holes) and holes[k][0] < end:
                if holes[k][0] > cursor:
                    left.append((cursor, holes[k][0]))
                cursor = max(cursor, holes[k][1])
                k += 1
            if cursor < end:
                left.append((cursor, end))
        return self._from_sorted(tuple(left))

    def clip(self, start: int, end: int) -> Coverage:
        """Restricts the set to a range.

        Args:
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            Minutes of this set that lie wholly inside the range.
        """
        low, high = -(-start // MINUTE_MS) * MINUTE_MS, end // MINUTE_MS * MINUTE_MS
        if low >= high:
            return EMPTY
        first = max(0, bisect_right(self.intervals, (low, 0)) - 1)
        last = bisect_left(self.intervals, (high, 0))
        kept = [(max(low, a), min(high, b)) for a, b in self.intervals[first:last] if b > low]
        return self._from_sorted(tuple(kept))

    def intersect(self, other: Coverage) -> Coverage:
        """Intersects two sets.

        Args:
            other: the other set.

        Returns:
            Minutes of both sets.
        """
        return self.subtract(self.subtract(other))

    def parts(self, most: int) -> Iterator[Coverage]:
        """Divides the set into parts.

        Args:
            most: minutes of a part at most, > 0.

        Yields:
            The parts in order of time.
        """
        left = self
        while left:
            cursor, room = left.start, most * MINUTE_MS
            for start, end in left:
                cursor = start + min(room, end - start)
                room -= cursor - start
                if not room:
                    break
            yield left.clip(left.start, cursor)
            left = left.clip(cursor, left.end)

    def coarse(self, most: int) -> Coverage:
        """Simplifies the set by filling its shortest holes.

        Args:
            most: intervals of the result at most.

        Returns:
            A superset of this set.
        """
        if len(self.intervals) <= most:
            return self
        holes = [(b[0] - a[1], a[1], b[0]) for a, b in pairwise(self.intervals)]
        filled = sorted(holes)[: len(self.intervals) - most]
        return Coverage((*self.intervals, *((low, high) for _, low, high in filled)))

    def longest(self, most: int) -> Coverage:
        """Selects the longest intervals; of equal ones the later.

        Args:
            most: how many.

        Returns:
            A subset of this set.
        """
        if len(self.intervals) <= most:
            return self
        longest = sorted(self.intervals, key=lambda interval: (interval[1] - interval[0], interval[0]))[
            -most:
        ]
        return self._from_sorted(tuple(sorted(longest)))

    def missing(self, start: int, end: int) -> Coverage:
        """Gives the minutes of a range that are not in this set.

        Args:
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            The missing minutes.
        """
        return span(start, end).subtract(self)


EMPTY = Coverage()


def span(start: int, end: int) -> Coverage:
    """Makes the set of every minute of a range.

    Args:
        start: ms, inclusive.
        end: ms, exclusive.

    Returns:
        The set; empty when ``end <= start``.
    """
    return Coverage([(start, end)]) if end > start else EMPTY
