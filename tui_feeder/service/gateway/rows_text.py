"""Bars as the text of a klines answer, many at a time or one. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_feeder.service.gateway.bars import (
    CLOSE,
    HIGH,
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
    columns = (
        (times, 0), (values[:, OPEN], price), (values[:, HIGH], price), (values[:, LOW], price),
        (values[:, CLOSE], price), (values[:, VOLUME], quantity), (interval.ends(times) - 1, 0),
        (values[:, QUOTE], quote), (values[:, TRADES], 0), (values[:, TAKER], quantity),
        (values[:, TAKER_QUOTE], quote),
    )  # fmt: skip
    if len(times) < _MANY:
        lines = [
            b"".join(
                part
                for mark, (column, places) in zip(_MARKS, columns, strict=False)
                for part in (mark, decimal(int(column[row]), places).encode())
            )
            + _MARKS[-1]
            for row in range(len(times))
        ]
        ends = np.cumsum([0, *map(len, lines)])
        return Text(b"".join(lines), ends.astype(np.int64))
    letters: list[NDArray[np.uint8]] = []
    shown: list[NDArray[np.bool_]] = []
    always = np.ones((len(times), 1), np.bool_)
    for mark, (column, places) in zip(_MARKS, columns, strict=False):
        _constant(letters, shown, mark, always)
        _digits(letters, shown, column, places)
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
    letters: list[NDArray[np.uint8]], shown: list[NDArray[np.bool_]], column: Ints, places: int
) -> None:
    """A column of numbers, right-aligned: leading zeros are there and not shown."""
    width = max(len(str(int(column.max()))), places + 1)
    table = np.empty((len(column), width), np.uint8)
    rest = column
    for place in range(width - 1, -1, -1):
        higher = rest // 10
        table[:, place] = rest - higher * 10 + _ZERO
        rest = higher
    mask = np.empty((len(column), width), np.bool_)
    for place in range(width):
        power = width - 1 - place
        mask[:, place] = True if power <= places else column >= 10**power
    if places:
        point = np.full((len(column), 1), ord("."), np.uint8)
        before = width - places
        table = np.concatenate((table[:, :before], point, table[:, before:]), axis=1)
        mask = np.concatenate((mask[:, :before], np.ones_like(point, np.bool_), mask[:, before:]), axis=1)
    letters.append(table)
    shown.append(mask)
