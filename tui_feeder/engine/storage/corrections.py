"""Which minutes of a symbol were corrected after later ones were stored, in order.

An entry has a number that grows, and a range of minutes that were replaced by other values or filled in late.
The newest are kept one by one; of older ones two become one that covers both. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tui_feeder.engine.core.coverage import Coverage

#: Name of the record among the parts of a symbol's state.
CORRECTIONS = b"corrections"
_MOST = 256
#: Numbers go on from here where the record was damaged: higher than any that was given.
_AFTER_DAMAGE = 1 << 40


class Correction(NamedTuple):
    """Minutes of ``[start, end)`` (ms) that were corrected."""

    number: int
    start: int
    end: int


def decode_corrections(record: bytes | None) -> tuple[Correction, ...]:
    """The corrections of a record.

    Args:
        record: as :func:`with_correction` wrote it; None for none.

    Returns:
        By number; of a record that cannot be read one that covers everything.
    """
    if record is None:
        return ()
    if len(record) % 24:
        return (Correction(_AFTER_DAMAGE, 0, 1 << 53),)
    return tuple(Correction(*entry) for entry in np.frombuffer(record, "<i8").reshape(-1, 3).tolist())


def with_correction(record: bytes | None, minutes: Coverage) -> bytes:
    """A record with one more correction.

    Args:
        record: the one before; None for none.
        minutes: that were corrected, at least one.

    Returns:
        The record, bounded in length.
    """
    entries = list(decode_corrections(record))
    number = entries[-1].number + 1 if entries else 1
    entries += [Correction(number, start, end) for start, end in minutes.coarse(_MOST // 4)]
    while len(entries) > _MOST:
        old, newer = entries[0], entries[1]
        entries[:2] = [Correction(newer.number, min(old.start, newer.start), max(old.end, newer.end))]
    return np.array(entries, "<i8").tobytes()
