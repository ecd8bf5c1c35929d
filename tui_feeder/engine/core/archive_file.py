"""The files that archives of exchanges come in: a calendar month or a day of minutes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from tui_feeder.engine.core.candle import DAY_MS, Source


class FileKind(Enum):
    """Archives come by the month and by the day."""

    MONTH = "monthly files"
    DAY = "daily files"


@dataclass(frozen=True, slots=True, order=True)
class File:
    """One archive file and the minutes ``[start, end)`` (ms) it should hold: a UTC day or calendar month."""

    start: int
    end: int
    kind: FileKind

    def source(self, *, checked: bool) -> Source:
        """What its rows count as.

        Args:
            checked: its checksum agreed.

        Returns:
            The source they are stored under.
        """
        if not checked:
            return Source.ARCHIVE_UNCHECKED
        return Source.ARCHIVE_MONTH if self.kind is FileKind.MONTH else Source.ARCHIVE_DAY


def file_of(day: int, kind: FileKind) -> File:
    """Finds the file that should hold a day.

    Args:
        day: midnight, ms.
        kind: of the file.

    Returns:
        The file of the day, or of its calendar month.
    """
    if kind is FileKind.DAY:
        return File(day, day + DAY_MS, kind)
    first = datetime.fromtimestamp(day / 1000, UTC).replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    return File(int(first.timestamp()) * 1000, int(following.timestamp()) * 1000, kind)
