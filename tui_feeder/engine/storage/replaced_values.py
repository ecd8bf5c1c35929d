"""Values that minutes had before others took their place, the newest minutes of a symbol. Pure."""

from __future__ import annotations

import msgspec

from tui_feeder.engine.core.candle import Candle
from tui_feeder.engine.core.decoding import UNREADABLE

#: Values of a minute that are kept: the first one and the newest.
MOST_VALUES = 8


class ReplacedValue(msgspec.Struct, frozen=True, array_like=True):
    """A value that a minute had, or that was published of it."""

    candle: Candle
    source: int
    """Where it came from, see :class:`~tui_feeder.engine.core.candle.Source`."""
    replaced_at: int
    """When another took its place, exchange ms; 0 where no clock was known."""
    replaced_by: int
    """Where the other came from."""


def decode_values(record: bytes | None) -> tuple[ReplacedValue, ...]:
    """Decodes the earlier values of a minute.

    Args:
        record: as :func:`with_value` wrote it; None for none.

    Returns:
        In the order in which they were replaced; none of a record that cannot be read.
    """
    if record is None:
        return ()
    try:
        return tuple(msgspec.msgpack.decode(record, type=list[ReplacedValue]))
    except UNREADABLE:
        return ()


def with_value(record: bytes | None, value: ReplacedValue) -> bytes:
    """Adds a value to those of a minute.

    Args:
        record: those before; None for none.
        value: the one that was replaced now.

    Returns:
        The record, bounded in length.
    """
    values = [*decode_values(record), value]
    if len(values) > MOST_VALUES:
        del values[1 : len(values) - MOST_VALUES + 1]
    return msgspec.msgpack.encode(values)
