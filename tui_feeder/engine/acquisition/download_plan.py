"""Which source for which missing minutes. Pure: no I/O, no clock.

Cheapest complete source first: whole published months -> monthly files, whole days -> daily files,
the rest -> REST pages. What a source turns out to lack is planned again without that source.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span

#: Rows of one REST page for bulk reads: 499 costs weight 2, the most candles for the weight.
PAGE_MINUTES = 499
PAGE_WEIGHT = 2
#: Zipped bytes of a minute, for estimates before anything was downloaded (measured: 31 to 43).
BYTES_A_MINUTE = 36


class FileKind(Enum):
    """Archives come by the month and by the day."""

    MONTH = "monthly files"
    DAY = "daily files"


@dataclass(frozen=True, slots=True, order=True)
class File:
    """One archive zip and the minutes ``[start, end)`` it should hold."""

    start: int
    end: int
    kind: FileKind


@dataclass(frozen=True, slots=True)
class Plan:
    """Files and REST ranges that together cover what is missing, each minute once."""

    files: tuple[File, ...]
    rest: Coverage

    @property
    def covers(self) -> Coverage:
        """Every minute the plan would fetch."""
        return Coverage([(file.start, file.end) for file in self.files]).union(self.rest)

    @property
    def pages(self) -> int:
        """Number of REST requests."""
        return sum(-(-(end - start) // (PAGE_MINUTES * MINUTE_MS)) for start, end in self.rest)

    @property
    def weight(self) -> int:
        """Request weight of the REST part."""
        return self.pages * PAGE_WEIGHT

    @property
    def bytes_estimate(self) -> int:
        """Bytes to download, about."""
        return self.covers.minutes * BYTES_A_MINUTE


def make_plan(
    missing: Coverage,
    *,
    now: int,
    monthly_threshold_months: int,
    without: dict[FileKind, Coverage] | None = None,
) -> Plan:
    """The plan for ``missing`` at exchange time ``now``.

    Args:
        missing: minutes wanted; all of them closed.
        now: exchange time in ms; decides what can be published.
        monthly_threshold_months: length of a missing range from which monthly files are used.
        without: minutes for which a kind of file was tried and failed.

    Returns:
        Files in order of time, and the ranges for REST. Covers ``missing`` exactly.
    """
    barred = without or {}
    files: list[File] = []
    rest = EMPTY
    for start, end in missing:
        left = span(start, end)
        if end >= _add_months(start, monthly_threshold_months):
            months = [
                File(a, b, FileKind.MONTH)
                for a, b in _months(start, end)
                if month_published(a) <= now and not barred.get(FileKind.MONTH, EMPTY).clip(a, b)
            ]
            files.extend(months)
            left = left.subtract(Coverage([(file.start, file.end) for file in months]))
        days = [
            File(a, a + DAY_MS, FileKind.DAY)
            for low, high in left
            for a in range(-(-low // DAY_MS) * DAY_MS, high - DAY_MS + 1, DAY_MS)
            if day_published(a) <= now and not barred.get(FileKind.DAY, EMPTY).clip(a, a + DAY_MS)
        ]
        files.extend(days)
        rest = rest.union(left.subtract(Coverage([(file.start, file.end) for file in days])))
    return Plan(tuple(sorted(files, key=lambda file: file.start)), rest)


def day_published(day: int) -> int:
    """Exchange time from which the file of the UTC day that starts at ``day`` can be expected.

    Observed: 08:32 to 08:40 UTC of the next morning. Earlier tries would only collect 404s.
    """
    return day + DAY_MS + (8 * 60 + 40) * MINUTE_MS


def month_published(month: int) -> int:
    """Like :func:`day_published` for the month that starts at ``month``: its end's first Monday."""
    end = _datetime(_add_months(month, 1))
    monday = end + timedelta(days=(7 - end.weekday()) % 7)
    return int(monday.timestamp() * 1000) + (8 * 60 + 40) * MINUTE_MS


def rest_pages(ranges: Coverage, minutes: int = PAGE_MINUTES) -> list[tuple[int, int]]:
    """The ranges cut into pages of at most ``minutes``, in order of time."""
    step = minutes * MINUTE_MS
    return [(a, min(a + step, end)) for start, end in ranges for a in range(start, end, step)]


def _months(start: int, end: int) -> list[tuple[int, int]]:
    """Whole calendar months inside ``[start, end)``."""
    first = _month_floor(start)
    if first < start:
        first = _add_months(first, 1)
    found = []
    while (following_month := _add_months(first, 1)) <= end:
        found.append((first, following_month))
        first = following_month
    return found


def _datetime(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _month_floor(ms: int) -> int:
    at = _datetime(ms)
    return int(datetime(at.year, at.month, 1, tzinfo=UTC).timestamp() * 1000)


def _add_months(ms: int, months: int) -> int:
    """The same day and time in a later month, or that month's last day where it is shorter."""
    at = _datetime(ms)
    index = at.year * 12 + at.month - 1 + months
    year, month = index // 12, index % 12 + 1
    day = min(at.day, monthrange(year, month)[1])
    return int(at.replace(year=year, month=month, day=day).timestamp() * 1000)
