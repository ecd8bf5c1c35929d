"""When windows of a symbol's minutes were read by REST: the newest of them, as evidence of a day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tui_feeder.engine.core.decoding import UNREADABLE

#: Name of the part of a symbol's state.
REST_READS = b"rest reads"
#: Windows of a symbol that are kept; about a day is signed later, and live minutes need few requests.
KEPT = 64


class RestRead(NamedTuple):
    """Minutes that REST was asked for."""

    start: int  # ms
    end: int  # ms, exclusive
    at: int  # when, exchange ms


def decode_rest_reads(kept: bytes | None) -> tuple[RestRead, ...]:
    """Decodes what is stored.

    Args:
        kept: the stored part; None where there is none.

    Returns:
        In the order they were read; empty where the part is damaged.
    """
    try:
        return msgspec.msgpack.decode(kept, type=tuple[RestRead, ...]) if kept is not None else ()
    except UNREADABLE:
        return ()


def with_rest_read(reads: Sequence[RestRead], new: RestRead) -> bytes:
    """Adds a window; one that follows the last without a hole becomes part of it.

    Args:
        reads: those so far.
        new: the window.

    Returns:
        What to store: the newest.
    """
    kept = list(reads)
    if kept and kept[-1].end == new.start:
        new = RestRead(kept.pop().start, new.end, new.at)
    return msgspec.msgpack.encode([*kept, new][-KEPT:])
