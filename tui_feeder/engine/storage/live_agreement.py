"""What was published live of a day and what became of it, a state a minute. Pure."""

from __future__ import annotations

import zlib
from enum import IntEnum
from typing import NamedTuple

from tui_feeder.engine.core.candle import MINUTES_PER_DAY

#: A minute is published live if its first message was committed within so much of its end, ms.
LIVE_MS = 60_000


class Publication(IntEnum):
    """What became of a minute's first message."""

    NONE = 0
    """This feeder has made none."""
    STOOD = 1
    """Published live; the minute's values are still those of that message."""
    CORRECTED = 2
    """Published live; the minute's values were replaced by others afterwards."""
    LATE = 3
    """First published more than 60 s after the minute's end, as after a restart or a gap."""


class LiveAgreement(NamedTuple):
    """Live publication of a symbol-day against what stands, in minutes."""

    live: int = 0
    """Published within 60 s of their end: those that stood and those corrected."""
    stood: int = 0
    corrected: int = 0
    late: int = 0
    """First published later than that."""
    joined: int = 0
    """Whose closing frame the trade ids prove to be the last state."""
    exact: int = 0
    """Whose ids did not join, and that REST or an archive has certified since."""
    unproved: int = 0
    """Whose ids did not join, and that nothing has certified yet."""

    def leaf_fields(self) -> dict[str, dict[str, int]]:
        """What the leaf of a signed day has of it: nothing where nothing was published or judged."""
        published = {
            "published": self.live,
            "stood": self.stood,
            "corrected": self.corrected,
            "late": self.late,
        }
        chain = {"joined": self.joined, "exact": self.exact, "unproved": self.unproved}
        return {
            name: counts for name, counts in (("live", published), ("chain", chain)) if any(counts.values())
        }


_ANY = bytes(Publication)


def decode_day(record: bytes | None) -> bytearray:
    """Decodes the states of a day's minutes.

    Args:
        record: as :func:`encode_day` wrote it; None for none.

    Returns:
        A :class:`Publication` a minute, 1,440 of them.

    Raises:
        ValueError: it is no such record.
    """
    if record is None:
        return bytearray(MINUTES_PER_DAY)
    try:
        opened = zlib.decompressobj()
        states = opened.decompress(record, MINUTES_PER_DAY + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(states) != MINUTES_PER_DAY or states.translate(None, _ANY):
        raise ValueError("it is not a state for each minute of a day")
    return bytearray(states)


def encode_day(states: bytearray) -> bytes:
    """Encodes the states of a day's minutes.

    Args:
        states: a :class:`Publication` a minute, 1,440 of them.

    Returns:
        Some 20 bytes for a usual day, at most some 400.
    """
    return zlib.compress(bytes(states), 1)
