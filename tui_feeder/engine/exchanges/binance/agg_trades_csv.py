"""The CSV inside an aggTrades archive as columns, a piece of text at a time. Pure.

A busy day has nearly two million lines and 100 MB of text, so numbers are read eight digits at a time with
whole-array arithmetic, of pieces that fit a processor's cache, and no piece is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.trades import MOST_PLACES, Ints, Trades, in_units
from tui_feeder.errors import ExchangeFailure

#: Bytes of lines that are read at once: some 8,000 lines, whose columns stay in the cache.
_PIECE = 768 * 1024
_COMMA, _LINE, _DOT, _ZERO, _NINE = b",\n.09"
_MICROSECONDS = 10**14
#: A file is refused whole when more than one line in so many is no trade.
_BAD_SHARE = 10
_TENS = 10 ** np.arange(17, dtype=np.int64)
_PAD = 16  # bytes before a piece, so that sixteen bytes before the end of any field exist


class TradesCsvError(ExchangeFailure, ValueError):
    """The text is not a CSV of aggregated trades."""


class _Irregular(Exception):
    """A piece has a line that is not of the usual form."""


class TradesReader:
    """Reads the lines of a file, whose text comes in parts.

    Args:
        columns: 7 of futures; 8 of spot, whose last one is of no use here.
    """

    def __init__(self, columns: int = 7) -> None:
        self._columns = columns
        self._rest = b""
        self._begun = False
        self.lines = 0
        self.refused = 0  # lines that hold no trade

    def read(self, parts: Iterable[bytes]) -> Iterator[Trades]:
        """Reads a whole file.

        Args:
            parts: its text, in order.

        Yields:
            The trades of some lines, in their order.

        Raises:
            TradesCsvError: it begins with neither a trade nor a header, or over a tenth of it is no trade.
        """
        for part in parts:
            text = self._rest + part if self._rest else part
            cut = text.rfind(b"\n") + 1
            self._rest = text[cut:]
            if len(self._rest) > _PIECE:
                raise TradesCsvError("it has a line without an end")
            yield from self._take(text, cut)
        if self._rest:
            yield from self._take(self._rest + b"\n", len(self._rest) + 1)
            self._rest = b""
        if self.refused * _BAD_SHARE > self.lines:
            raise TradesCsvError(f"{self.refused} of its {self.lines} lines are no trades")

    def _take(self, text: bytes, end: int) -> Iterator[Trades]:
        """Reads the whole lines before ``end``."""
        start = 0
        if end and not self._begun:
            self._begun = True
            if text[:1].isalpha():
                start = text.find(b"\n") + 1
                if text.count(b",", 0, start) != self._columns - 1:
                    raise TradesCsvError("it begins with neither a trade nor a header")
        if b"\r" in text:
            text = text[start:end].replace(b"\r", b"")
            start, end = 0, len(text)
        view = memoryview(text)
        while start < end:
            stop = text.rfind(b"\n", start, min(end, start + _PIECE)) + 1 or text.find(b"\n", start) + 1
            piece, start = view[start:stop], stop
            try:
                made = _columns_of(piece, self._columns)
            except _Irregular:
                made = self._line_by_line(bytes(piece))
            self.lines += len(made)
            if len(made):
                yield made

    def _line_by_line(self, piece: bytes) -> Trades:
        """The trades of a piece that has other lines too."""
        good = []
        for line in piece.splitlines():
            if not line:
                continue
            try:
                good.append(_trade_of(line, self._columns))
            except ValueError:
                self.refused += 1
                self.lines += 1
        return trades_of(good)


class TradeLine(NamedTuple):
    """One aggregated trade in the exchange's own digits."""

    id: int
    price: str
    quantity: str
    trades: int  # inside
    time: int  # ms
    sold: bool


def trades_of(lines: list[TradeLine]) -> Trades:
    """Makes columns of single trades.

    Args:
        lines: the trades.

    Returns:
        The same in columns.

    Raises:
        ValueError: a price or a quantity is no plain decimal of at most eight places.
    """
    ids, prices, quantities, counts, times, sold = zip(*lines, strict=True) if lines else ((),) * 6
    places = [max((_places(text) for text in texts), default=0) for texts in (prices, quantities)]
    columns = [
        np.array([in_units(text, count) for text in texts], dtype=np.int64)
        for texts, count in zip((prices, quantities), places, strict=True)
    ]
    whole = [np.array(values, dtype=np.int64) for values in (ids, counts, times)]
    return Trades(
        whole[0], columns[0], columns[1], whole[1], whole[2], np.array(sold, dtype=np.bool_),
        places[0], places[1],
    )  # fmt: skip


def _places(text: str) -> int:
    return len(text.partition(".")[2].rstrip("0"))


def _trade_of(line: bytes, columns: int) -> TradeLine:
    fields = line.decode("ascii", "replace").split(",")
    if len(fields) != columns or fields[6].lower() not in ("true", "false"):
        raise ValueError("not a trade")
    if not all(text.isascii() and text.isdigit() and len(text) <= 16 for text in (fields[0], *fields[3:6])):
        raise ValueError("not a trade")
    for text in fields[1:3]:
        in_units(text, MOST_PLACES)
        if len(text) > 17:
            raise ValueError("not a trade")
    time = int(fields[5])
    time = time // 1000 if time >= _MICROSECONDS else time
    sold = fields[6].lower() == "true"
    count = (int(fields[4]) - int(fields[3])) % 10**8 + 1
    return TradeLine(int(fields[0]), fields[1], fields[2], count, time, sold)


def _columns_of(piece: memoryview, columns: int) -> Trades:
    """The trades of whole lines, each of the usual form.

    Raises:
        _Irregular: one of them is not.
    """
    padded = b"".join((b"0" * _PAD, piece, b"0" * 8))
    text = np.frombuffer(padded, dtype=np.uint8)
    marks = np.flatnonzero(text < _ZERO)
    ends, points = _fields_of(marks, text[marks], columns)
    widths = np.empty_like(ends)
    widths[0, 0], widths[0, 1:] = ends[0, 0] - _PAD, ends[0, 1:] - ends[-1, :-1] - 1
    widths[1:] = ends[1:] - ends[:-1] - 1
    most, words = widths.max(axis=1), np.ndarray((len(text) - 7,), "<u8", padded, strides=(1,))
    if widths.min() < 1 or most.max() > 17 or most[[0, 3, 4, 5]].max() > 16:
        raise _Irregular
    sold = _sides(text, words, ends, widths)
    # All numbers of all lines at once, of long ones the last eight digits. How many trades are inside follows
    # from those of the ids of the first and the last.
    wholes, fractions = points - ends[:2] - 1, np.maximum(ends[1:3] - points - 1, 0)
    if wholes.min() < 1 or wholes.max() > 8 or fractions.max() > MOST_PLACES:
        raise _Irregular
    # Those that are long are read apart from those that are short in all lines, which takes less.
    ends_of = [*(ends[of] for of in _LAST_EIGHT), *points, *ends[1:3]]
    widths_of = [*(np.minimum(widths[of], 8) for of in _LAST_EIGHT), *wholes, *fractions]
    numbers: list[Ints] = [ends[0]] * len(ends_of)
    short = [
        *(most[of] <= 4 for of in _LAST_EIGHT),
        *(wholes.max(axis=1) <= 4),
        *(fractions.max(axis=1) <= 4),
    ]
    halves = np.ndarray((len(text) - 3,), "<u4", padded, strides=(1,))
    for those, read in (
        ([at for at, is_short in enumerate(short) if not is_short], partial(_numbers, words)),
        ([at for at, is_short in enumerate(short) if is_short], partial(_numbers, halves)),
    ):
        if those:
            found = read(np.stack([ends_of[at] for at in those]), np.stack([widths_of[at] for at in those]))
            for at, column in zip(those, found, strict=True):
                numbers[at] = column
    ids, times = (
        numbers[at] + _before_eight(words, ends[of], widths[of]) * 10**8 for at, of in ((0, 0), (1, 5))
    )
    counts = numbers[3] - numbers[2]
    if counts.min() < 0:
        counts %= 10**8
    counts += 1
    prices, price_places = _joined(numbers[4], numbers[6], fractions[0])
    quantities, quantity_places = _joined(numbers[5], numbers[7], fractions[1])
    if times.max() >= _MICROSECONDS:
        times = np.where(times >= _MICROSECONDS, times // 1000, times)
    return Trades(ids, prices, quantities, counts, times, sold, price_places, quantity_places)


def _fields_of(marks: Ints, kinds: NDArray[np.uint8], columns: int) -> tuple[Ints, Ints]:
    """Where the fields of lines end, by column, and the points of price and quantity; the end without one.

    Args:
        marks: where there is a comma, a point or the end of a line.
        kinds: which of them.
        columns: of a line.

    Raises:
        _Irregular: a line has other columns, or a point elsewhere.
    """
    marked = columns + 2  # in a line whose price and quantity have a point, as mostly all have
    lines, rest = divmod(len(marks), marked)
    if lines and not rest:
        usual = np.array([_COMMA, _DOT] * 2 + [_COMMA] * (columns - 3) + [_LINE], dtype=np.uint8)
        if (kinds.reshape(lines, marked) == usual).all():
            found = np.ascontiguousarray(marks.reshape(lines, marked).T)
            return found[[0, 2, *range(4, marked)]], found[[1, 3]]
    dots = kinds == _DOT
    # A field ends at a comma or at the end of its line; its point, if it has one, is the mark before that.
    places = np.flatnonzero(~dots)
    lines, rest = divmod(len(places), columns)
    if rest or not lines:
        raise _Irregular
    if (kinds[places].reshape(lines, columns) != np.array([_COMMA] * (columns - 1) + [_LINE])).any():
        raise _Irregular
    ends = np.ascontiguousarray(marks[places].reshape(lines, columns).T)
    before = places.reshape(lines, columns)[:, 1:3].T - 1
    with_point = dots[before]
    if np.count_nonzero(with_point) != len(marks) - len(places):
        raise _Irregular  # a point in another field, or two in one
    return ends, np.where(with_point, marks[before], ends[1:3])


#: Fields whose last eight digits are read together: id, time, first and last trade.
_LAST_EIGHT = [0, 5, 3, 4]


def _before_eight(words: NDArray[np.uint64], ends: Ints, widths: Ints) -> Ints | int:
    """What stands before the last eight digits of fields of up to sixteen; mostly the same in all lines."""
    more = widths - 8
    most = int(more.max())
    if most <= 0:
        return 0
    if more.min() == most:
        raw = words[ends - 16] >> np.uint64((8 - most) * 8)
        if (raw == raw[0]).all():
            return int(_numbers(words, ends[:1] - 8, more[:1])[0])
    return _numbers(words, ends - 8, np.maximum(more, 0))


def _sides(text: NDArray[np.uint8], words: NDArray[np.uint64], ends: Ints, widths: Ints) -> NDArray[np.bool_]:
    """Whether the taker sold, and that no other letter is anywhere: what is left are digits.

    Raises:
        _Irregular: there is one, or the field is neither ``true`` nor ``false``.
    """
    # The five bytes before the end: "false", or the comma before "true".
    five = (words[ends[6] - 8] >> np.uint64(24)) | np.uint64(0x2020202020)
    sold: NDArray[np.bool_] = five == _COMMA_TRUE
    if not (sold | (five == _FALSE)).all() or (widths[6] != np.where(sold, 4, 5)).any():
        raise _Irregular
    known = int(widths[6].sum())
    if len(widths) > 7:  # of spot, the eighth field is another such word
        best = (words[ends[7] - 8] >> np.uint64(32)) | np.uint64(0x20202020)
        if not ((best == _TRUE) | (best == _ALSE)).all():
            raise _Irregular
        known += int(widths[7].sum())
    if np.count_nonzero(text > _NINE) != known:
        raise _Irregular
    return sold


def _joined(wholes: Ints, fractions: Ints, widths: Ints) -> tuple[Ints, int]:
    """Decimals in units of the last place used, and how many places that are.

    Args:
        wholes: what stands before the points.
        fractions: the digits after them.
        widths: how many of these there are.
    """
    places = int(widths.max())
    if not places:
        return wholes, 0
    made = wholes * int(_TENS[places])
    if widths.min() < places:
        fractions *= _TENS[places - widths]
    made += fractions
    while places and not (made[:64] % 10).any() and not (made % 10).any():
        made //= 10  # zeros at the end are no decimals
        places -= 1
    return made, places


_COMMA_TRUE, _FALSE, _TRUE, _ALSE = (
    np.uint64(int.from_bytes(word, "little")) for word in (b",true", b"false", b"true", b"alse")
)
#: How neighbours are joined to numbers twice as long: shift, factor and what is kept, by bytes of a word.
_STEPS = {
    8: ((8, 10, 0x00FF00FF00FF00FF), (16, 100, 0x0000FFFF0000FFFF), (32, 10_000, 0xFFFFFFFF)),
    4: ((8, 10, 0x00FF00FF), (16, 100, 0xFFFF)),
}


def _numbers(words: NDArray[Any], ends: Ints, widths: Ints) -> Ints:
    """The numbers of at most as many digits as a word has bytes that end before ``ends``; 0 of width 0.

    Digits lie in memory from the highest to the lowest. Neighbours are joined to pairs, fours and eights by a
    multiplication each (Lemire, "Quickly parsing eight digits", 2018). Words of four bytes take less time.

    Args:
        words: the eight or four bytes from each byte of the text on.
        ends: byte after the last digit, any shape.
        widths: digits, 0 to the bytes of a word, same shape.
    """
    size, word = words.dtype.itemsize, words.dtype.type
    kept = words[ends - size]
    kept ^= word(0x3030303030303030 >> (64 - 8 * size))
    # What stands before the number leaves at the lower end; zeros come in, which count for nothing.
    left = ((size - widths) << 3).astype(words.dtype)
    kept >>= left
    kept <<= left
    pairs = left
    for shift, factor, mask in _STEPS[size]:
        np.right_shift(kept, word(shift), out=pairs)
        kept *= word(factor)
        kept += pairs
        kept &= word(mask)
    made: Ints = kept.astype(np.int64)
    return made
