"""What a store takes over of a symbol whose messages were made elsewhere, on candles that are not here yet.

The minutes that those numbers rest on and that are not stored are *inherited*: they count as known, are read
from the exchange later, and compared by day with what the numbers were made of.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from tui_feeder.engine.core.candle import DAY_MS, Rows
from tui_feeder.engine.core.coverage import Coverage


class Inheritance(NamedTuple):
    """What was made of a symbol elsewhere."""

    watermark: int  # the last minute that has a message, open time in ms
    counted: Coverage  # the minutes that its numbers rest on
    days: Mapping[int, int]  # by midnight (ms): check of that day's counted minutes, see :func:`check_of`
    until: int  # ``days`` is about minutes before this one, ms
    listed: int | None  # the first minute (ms) the exchange has of the symbol, where that is known
    notes: Mapping[str, bytes | None]  # to be kept as they are, by name; None: to be dropped
    checkpoint: Callable[[int], bytes | None]  # makes the pipeline's checkpoint, given the symbol's edition


class InheritedDay(msgspec.Struct, frozen=True, array_like=True):
    """A day that is compared once all of its inherited minutes are stored."""

    minutes: tuple[tuple[int, int], ...]  # ms
    check: int


def check_of(rows: Rows) -> int:
    """Computes a checksum of the values of rows, wherever they came from.

    Args:
        rows: shape (n,), dtype ROW.

    Returns:
        CRC-32.
    """
    return zlib.crc32(rows.tobytes())


def inherited_key(day: int | None) -> bytes:
    """Names the part of a symbol's state under which a day waits to be compared.

    Args:
        day: midnight, ms; None for what the names of all begin with.

    Returns:
        The name.
    """
    return b"inherited " + (b"" if day is None else (day // DAY_MS).to_bytes(4, "big"))
