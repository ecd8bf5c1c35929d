"""Bars as the text of a klines answer, many at a time or one. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_feeder.service.gateway.bars import (
    CLOSE,
    HIGH,
    HIGHER,
    LIMB,
    LIMB_DIGITS,
    LOW,
    OPEN,
    QUOTE,
    TAKER,
    TAKER_QUOTE,
    TRADES,
    VOLUME,
    Bars,
    Decimals,
)
from tui_feeder.service.gateway.intervals import Interval, Ints

_ZERO = 48
#: From so many rows on all digits of a column are made at once.
_MANY = 32
#: What stands before each of the eleven numbers of a row, and behind the last one. A row begins with the
#: comma that parts it from the one before.
_MARKS = (b",[", b',"', b'","', b'","', b'","', b'","', b'",', b',"', b'",', b',"', b'","', b'","0"]')


class Text(NamedTuple):
    """Rows, each with a comma before it, and where each begins; the last place is the end of all."""

    data: bytes
    places: Ints  # (n + 1,)

    def rows(self, low: int, high: int) -> memoryview:
        """The rows of these places; ``low`` is below ``high``. The first one's comma is left out.

        Args:
            low: first place.
            high: exclusive.

        Returns:
            JSON lists, parted by commas.
        """
        return memoryview(self.data)[int(self.places[low]) + 1 : int(self.places[high])]


NO_TEXT = Text(b"", np.zeros(1, np.int64))


def joined_text(first: Text, second: Text) -> Text:
    """Both, ``second`` behind.

    Args:
        first: may be empty.
        second: may be empty.

    Returns:
        The rows of both.
    """
    if not first.data:
        return second
    return Text(first.data + second.data, np.concatenate((first.places, second.places[1:] + len(first.data))))


def text_of(bars: Bars, interval: Interval, decimals: Decimals) -> Text:
    """The rows of a klines answer.

    Args:
        bars: of ``interval``.
        interval: their length.
        decimals: that their smallest units have.

    Returns:
        A row for each bar.
    """
    price, quantity, quote = decimals
    times, values = bars
    none = np.zeros(len(times), np.int64)
    columns = (
        (times, none, 0),
        *((values[:, column], none, price) for column in (OPEN, HIGH, LOW, CLOSE)),
        (values[:, VOLUME], values[:, HIGHER[VOLUME]], quantity),
        (interval.ends(times) - 1, none, 0),
        (values[:, QUOTE], values[:, HIGHER[QUOTE]], quote),
        (values[:, TRADES], none, 0),
        (values[:, TAKER], values[:, HIGHER[TAKER]], quantity),
        (values[:, TAKER_QUOTE], values[:, HIGHER[TAKER_QUOTE]], quote),
    )
    if len(times) < _MANY:
        lines = [
            b"".join(
                part
                for mark, (lower, higher, places) in zip(_MARKS, columns, strict=False)
                for part in (mark, decimal(int(higher[row]) * LIMB + int(lower[row]), places).encode())
            )
            + _MARKS[-1]
            for row in range(len(times))
        ]
        ends = np.cumsum([0, *map(len, lines)])
        return Text(b"".join(lines), ends.astype(np.int64))
    letters: list[NDArray[np.uint8]] = []
    shown: list[NDArray[np.bool_]] = []
    always = np.ones((len(times), 1), np.bool_)
    for mark, (lower, higher, places) in zip(_MARKS, columns, strict=False):
        _constant(letters, shown, mark, always)
        _digits(letters, shown, lower, higher, places)
    _constant(letters, shown, _MARKS[-1], always)
    mask = np.concatenate(shown, axis=1)
    data = np.concatenate(letters, axis=1)[mask].tobytes()
    return Text(data, np.concatenate(([0], np.cumsum(mask.sum(axis=1)))).astype(np.int64))


def decimal(units: int, places: int) -> str:
    """A number of smallest units, at least 0, with so many digits after the point.

    Args:
        units: at least 0.
        places: 0 for a whole number.

    Returns:
        As the exchange prints it.
    """
    if not places:
        return str(units)
    whole, rest = divmod(units, 10**places)
    return f"{whole}.{rest:0{places}d}"


def _constant(
    letters: list[NDArray[np.uint8]], shown: list[NDArray[np.bool_]], mark: bytes, always: NDArray[np.bool_]
) -> None:
    size = len(always), len(mark)
    letters.append(np.broadcast_to(np.frombuffer(mark, np.uint8), size))
    shown.append(np.broadcast_to(always, size))


def _digits(
    letters: list[NDArray[np.uint8]], shown: list[NDArray[np.bool_]], lower: Ints, higher: Ints, places: int
) -> None:
    """A column of numbers, right-aligned: leading zeros are there and not shown.

    Args:
        letters: gets the digits.
        shown: gets which of them are shown.
        lower: the numbers, below :data:`LIMB` where ``higher`` is not 0.
        higher: how often they have :data:`LIMB` beside.
        places: digits after the point.
    """
    most = int(higher.max()) * LIMB + int(lower.max())
    width = max(len(str(most)), places + 1)
    table = np.empty((len(lower), width), np.uint8)
    mask = np.empty((len(lower), width), np.bool_)
    has_higher = bool(higher.any())
    rest = lower
    for power in range(width):
        if has_higher and power == LIMB_DIGITS:
            rest = higher
        left = rest // 10
        place = width - 1 - power
        table[:, place] = rest - left * 10 + _ZERO
        if power <= places:
            mask[:, place] = True
        elif has_higher and power < LIMB_DIGITS:
            mask[:, place] = (higher > 0) | (rest > 0)
        else:
            mask[:, place] = rest > 0
        rest = left
    if places:
        point = np.full((len(lower), 1), ord("."), np.uint8)
        before = width - places
        table = np.concatenate((table[:, :before], point, table[:, before:]), axis=1)
        mask = np.concatenate((mask[:, :before], np.ones_like(point, np.bool_), mask[:, before:]), axis=1)
    letters.append(table)
    shown.append(mask)
