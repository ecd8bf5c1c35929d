"""Which source for which missing minutes. Pure: no I/O, no clock.

Cheapest complete source first: whole published months -> monthly files, whole days -> daily files,
the rest -> REST pages. What a source turns out to lack is planned again without that source.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span


@dataclass(frozen=True, slots=True)
class Plan:
    """Files and REST ranges that together cover what is missing, each minute once."""

    files: tuple[File, ...]
    rest: Coverage

    @property
    def covers(self) -> Coverage:
        """Every minute the plan would fetch."""
        return Coverage([(file.start, file.end) for file in self.files]).union(self.rest)


def make_plan(
    missing: Coverage,
    *,
    now: int,
    published: Callable[[File], int] | None,
    monthly_threshold_months: int,
    without: dict[FileKind, Coverage] | None = None,
) -> Plan:
    """The plan for ``missing`` at exchange time ``now``.

    Args:
        missing: minutes wanted; all of them closed.
        now: exchange time in ms; decides what can be published.
        published: when (exchange ms) a file can be expected; None: there is no archive.
        monthly_threshold_months: length of a missing range from which monthly files are used.
        without: minutes for which a kind of file was tried and failed.

    Returns:
        Files in order of time, and the ranges for REST. Covers ``missing`` exactly.
    """
    barred = without or {}

    def usable(file: File) -> bool:
        there = published is not None and published(file) <= now
        return there and not barred.get(file.kind, EMPTY).clip(file.start, file.end)

    files: list[File] = []
    rest = EMPTY
    for start, end in missing:
        left = span(start, end)
        if end >= _add_months(start, monthly_threshold_months):
            months = [file for a, b in _months(start, end) if usable(file := File(a, b, FileKind.MONTH))]
            files.extend(months)
            left = left.subtract(Coverage([(file.start, file.end) for file in months]))
        days = [
            file
            for low, high in left
            for a in range(-(-low // DAY_MS) * DAY_MS, high - DAY_MS + 1, DAY_MS)
            if usable(file := File(a, a + DAY_MS, FileKind.DAY))
        ]
        files.extend(days)
        rest = rest.union(left.subtract(Coverage([(file.start, file.end) for file in days])))
    return Plan(tuple(sorted(files)), rest)


def rest_pages(ranges: Coverage, minutes: int) -> list[tuple[int, int]]:
    """The ranges cut into pages.

    Args:
        ranges: of minutes.
        minutes: the most in a page.

    Returns:
        Start and end (ms, exclusive) of each, in order of time.
    """
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
