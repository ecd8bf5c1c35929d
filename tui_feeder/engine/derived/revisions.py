"""How often each published minute was corrected, so that every correction has a number of its own. Pure."""

from __future__ import annotations

import msgspec

from tui_feeder.engine.core.coverage import EMPTY, Coverage

#: What the note of a symbol's revisions in the store is named, before the symbol.
NOTE = "revisions "


#: Stretches of corrected minutes that are kept apart, of each level.
_MOST_INTERVALS = 400


#: More corrections than any minute is likely to have had.
_UNKNOWN = 100


class _StoredRevisions(msgspec.Struct):
    """The form in the store."""

    since: int
    levels: list[list[tuple[int, int]]]


class Revisions:
    """Revision numbers of a symbol's messages.

    Args:
        since: the first minute (ms) that was ever published; those before have no message to correct.
    """

    def __init__(self, since: int) -> None:
        self.since = since
        self._levels: list[Coverage] = []  # level k: the minutes of revision k + 1 and more

    def of(self, minute: int) -> int:
        """Gives the revision last published for a minute.

        Args:
            minute: open time, ms.

        Returns:
            0 for a minute that was never corrected.
        """
        return sum(minute in level for level in self._levels)

    def newest(self, count: int) -> list[tuple[int, int]]:
        """Lists the corrected stretches of minutes.

        Args:
            count: how many at most.

        Returns:
            Start and exclusive end of each, ms, the newest first.
        """
        return list(self._levels[0])[: -count - 1 : -1] if self._levels else []

    def since_then(self, minute: int) -> int:
        """Gives the revision of a bar: how many corrections reached its last minute or anything later.

        It grows with every correction that publishes the bar again, though a minute that was missing may
        complete it in place of a later one.

        Args:
            minute: open time of the minute that completes the bar, ms.

        Returns:
            The revision.
        """
        return sum(bool(level) and level.end > minute for level in self._levels)

    def correct(self, minutes: Coverage) -> None:
        """Counts one more publication of minutes.

        Args:
            minutes: the corrected minutes.
        """
        for at, level in enumerate(self._levels):
            again = minutes.intersect(level)
            self._levels[at] = level.union(minutes)
            if len(self._levels[at]) > _MOST_INTERVALS:
                # A number that is skipped does no harm, one that does not rise would: so minutes between
                # count as corrected too, and years of corrections stay a note of a few kilobytes.
                self._levels[at] = self._levels[at].coarse(_MOST_INTERVALS // 2)
            minutes = again
        if minutes:
            self._levels.append(EMPTY.union(minutes))

    def copy(self) -> Revisions:
        """The same, to be changed apart."""
        made = Revisions(self.since)
        made._levels = list(self._levels)
        return made

    @classmethod
    def unknown(cls, minutes: Coverage) -> Revisions:
        """Makes revisions that are higher than any that may have been published.

        Args:
            minutes: minutes that may have been published, any number of times.

        Returns:
            The revisions.
        """
        made = cls(minutes.start if minutes else 0)
        made._levels = [minutes] * _UNKNOWN if minutes else []
        return made

    def encode(self) -> bytes:
        """For the store."""
        return msgspec.json.encode(_StoredRevisions(self.since, [list(level) for level in self._levels]))

    @classmethod
    def decode(cls, kept: bytes) -> Revisions:
        """Decodes stored revisions.

        Args:
            kept: what :meth:`encode` returned.

        Returns:
            The revisions.
        """
        read = msgspec.json.decode(kept, type=_StoredRevisions)
        made = cls(read.since)
        made._levels = [Coverage(level) for level in read.levels]
        return made
