"""Trade ids of live minutes as bytes, an hour in a record: 2 to 4 bytes for a minute that joins another.

For each minute a number of variable length: minutes left out before it times four, plus 0 where its first id
follows the last one before it, 1 where the first id is stated as a difference, 2 where there was no trade.
Then that difference, if there is one, and how many ids later the last one is. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from tui_feeder.engine.core.trade_ids import QUIET, TradeIds

_MINUTES = 60
_JOINED, _STATED, _NO_TRADE = 0, 1, 2
_MOST_SHIFT = 63


def encode_hour(minutes: Mapping[int, TradeIds]) -> bytes:
    """Encodes the ids of an hour.

    Args:
        minutes: by minute of the hour, 0 to 59.

    Returns:
        The record.
    """
    record, before, expected = bytearray(), -1, 0
    for minute, ids in sorted(minutes.items()):
        expected = append_minute(record, before, expected, minute, ids)
        before = minute
    return bytes(record)


def append_minute(record: bytearray, before: int, expected: int, minute: int, ids: TradeIds) -> int:
    """Adds a minute to the end of a record.

    Args:
        record: of the minutes before it.
        before: the last of them, -1 for none.
        expected: what the call for that one returned, 0 for none.
        minute: of the hour, after ``before``.
        ids: of it.

    Returns:
        The id that joins it.
    """
    skipped = (minute - before - 1) << 2
    if ids.quiet:
        _add(record, skipped | _NO_TRADE)
        return expected
    if ids.first == expected:
        _add(record, skipped | _JOINED)
    else:
        _add(record, skipped | _STATED)
        difference = ids.first - expected
        _add(record, difference << 1 if difference >= 0 else (-difference << 1) - 1)
    _add(record, ids.last - ids.first)
    return ids.last + 1


def decode_hour(record: bytes) -> dict[int, TradeIds]:
    """Decodes what :func:`encode_hour` wrote.

    Args:
        record: the record.

    Returns:
        By minute of the hour, ascending.

    Raises:
        ValueError: it is no such record.
    """
    found: dict[int, TradeIds] = {}
    at, minute, expected = 0, -1, 0
    while at < len(record):
        head, at = _next(record, at)
        minute += (head >> 2) + 1
        kind = head & 3
        if minute >= _MINUTES or kind > _NO_TRADE:
            raise ValueError(f"no minute of an hour: {minute}, {kind}")
        if kind == _NO_TRADE:
            found[minute] = QUIET
            continue
        if kind == _STATED:
            difference, at = _next(record, at)
            expected += -((difference + 1) >> 1) if difference & 1 else difference >> 1
        more, at = _next(record, at)
        found[minute] = TradeIds(expected, expected + more)
        expected += more + 1
    return found


def _add(record: bytearray, number: int) -> None:
    """Seven bits a byte, the lowest first; the eighth is set where more follow."""
    while number > 0x7F:
        record.append(number & 0x7F | 0x80)
        number >>= 7
    record.append(number)


def _next(record: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(record) or shift > _MOST_SHIFT:
            raise ValueError("it ends within a number")
        number |= (record[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not record[at - 1] & 0x80:
            return number, at
