"""The files that archives of exchanges come in: a calendar month or a day of minutes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tui_feeder.engine.core.candle import Source


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
