"""The CSV inside an aggTrades archive as columns, a piece of text at a time. Pure.

A busy day has nearly two million lines and 100 MB of text, so numbers are read eight digits at a time with
whole-array arithmetic, of pieces that fit a processor's cache, and no piece is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.trades import Ints, Trades, in_units
from tui_feeder.errors import ExchangeFailure

#: Bytes of lines that are read at once: some 8,000 lines, whose columns stay in the cache.
_PIECE = 768 * 1024
_COMMA, _LINE, _DOT, _ZERO, _NINE = b",\n.09"
#: Decimal places that prices and quantities may have.
MOST_PLACES = 8
_MICROSECONDS = 10**14
#: A file is refused whole when more than one line in so many is no trade.
_BAD_SHARE = 10
_TENS = 10 ** np.arange(17, dtype=np.int64)
_PAD = 16  # bytes before a piece, so that sixteen bytes before any field exist


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
            text = self._rest + part
            cut = text.rfind(b"\n") + 1
            self._rest = text[cut:]
            if len(self._rest) > _PIECE:
                raise TradesCsvError("it has a line without an end")
            yield from self._take(text[:cut])
        if self._rest:
            yield from self._take(self._rest + b"\n")
            self._rest = b""
        if self.refused * _BAD_SHARE > self.lines:
            raise TradesCsvError(f"{self.refused} of its {self.lines} lines are no trades")

    def _take(self, text: bytes) -> Iterator[Trades]:
        if not text:
            return
        if not self._begun:
            self._begun = True
            if text[:1].isalpha():
                start = text.find(b"\n") + 1
                if text.count(b",", 0, start) != self._columns - 1:
                    raise TradesCsvError("it begins with neither a trade nor a header")
                text = text[start:]
        if b"\r" in text:
            text = text.replace(b"\r", b"")
        start = 0
        while start < len(text):
            stop = text.rfind(b"\n", start, start + _PIECE) + 1 or text.find(b"\n", start) + 1
            piece, start = text[start:stop], stop
            try:
                made = _columns_of(piece, self._columns)
            except _Irregular:
                made = self._line_by_line(piece)
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


def _columns_of(piece: bytes, columns: int) -> Trades:
    """The trades of whole lines, each of the usual form.

    Raises:
        _Irregular: one of them is not.
    """
    padded = b"0" * _PAD + piece + b"0" * (_PAD - len(piece) % 8)
    text = np.frombuffer(padded, dtype=np.uint8)
    marks = np.flatnonzero(text < _ZERO)
    kinds = text[marks]
    dots = kinds == _DOT
    # A field ends at a comma or at the end of its line; its point, if it has one, is the mark before that.
    places = np.flatnonzero(~dots)
    lines, rest = divmod(len(places), columns)
    if rest or not lines:
        raise _Irregular
    shape = kinds[places].reshape(lines, columns)
    if (shape != np.array([_COMMA] * (columns - 1) + [_LINE], dtype=np.uint8)).any():
        raise _Irregular
    ends = np.ascontiguousarray(marks[places].reshape(lines, columns).T)
    starts = np.empty_like(ends)
    starts[0, 0], starts[0, 1:] = _PAD, ends[-1, :-1] + 1
    starts[1:] = ends[:-1] + 1
    before = places.reshape(lines, columns)[:, 1:3].T - 1
    with_point = dots[before]
    if np.count_nonzero(with_point) != len(marks) - len(places):
        raise _Irregular  # a point in another field, or two in one
    points = np.where(with_point, marks[before], ends[1:3])
    widths = ends - starts
    most, words = widths.max(axis=1), text.view("<u8")
    if widths.min() < 1 or most.max() > 17 or most[[0, 3, 4, 5]].max() > 16:
        raise _Irregular
    sold = _sides(text, words, ends, widths)
    prices, price_places = _decimals(words, starts[1], points[0], ends[1])
    quantities, quantity_places = _decimals(words, starts[2], points[1], ends[2])
    ids, times = (_integers(words, ends[at], widths[at], int(most[at])) for at in (0, 5))
    # Ids of the trades inside have ten digits and more; how many there are follows from the last eight.
    first, last = (_eight(words, ends[at], np.minimum(widths[at], 8)) for at in (3, 4))
    counts = last - first
    if counts.min() < 0:
        counts %= 10**8
    counts += 1
    if times.max() >= _MICROSECONDS:
        times = np.where(times >= _MICROSECONDS, times // 1000, times)
    return Trades(ids, prices, quantities, counts, times, sold, price_places, quantity_places)


def _sides(text: NDArray[np.uint8], words: NDArray[np.uint64], ends: Ints, widths: Ints) -> NDArray[np.bool_]:
    """Whether the taker sold, and that no other letter is anywhere: what is left are digits.

    Raises:
        _Irregular: there is one, or the field is neither ``true`` nor ``false``.
    """
    sold: NDArray[np.bool_] = widths[6] == 4
    letters = (_eight_bytes(words, ends[6]) >> np.uint64(32)) | np.uint64(0x20202020)
    false = (letters == _ALSE) & (text[ends[6] - 5] | 0x20 == ord("f")) & (widths[6] == 5)
    if not np.where(sold, letters == _TRUE, false).all():
        raise _Irregular
    known = int(widths[6].sum())
    if len(widths) > 7:  # of spot, the eighth field is another such word
        best = (_eight_bytes(words, ends[7]) >> np.uint64(32)) | np.uint64(0x20202020)
        if not ((best == _TRUE) | (best == _ALSE)).all():
            raise _Irregular
        known += int(widths[7].sum())
    if np.count_nonzero(text > _NINE) != known:
        raise _Irregular
    return sold


def _integers(words: NDArray[np.uint64], ends: Ints, widths: Ints, most: int) -> Ints:
    """Fields of one to sixteen digits."""
    made = _eight(words, ends, np.minimum(widths, 8))
    if most > 8:
        made += _eight(words, ends - 8, np.maximum(widths - 8, 0), alike=True) * 10**8
    return made


def _decimals(words: NDArray[np.uint64], starts: Ints, points: Ints, ends: Ints) -> tuple[Ints, int]:
    """Fields of up to eight digits before a point and eight after it, in units of the last place used."""
    widths, fraction = points - starts, np.maximum(ends - points - 1, 0)
    places = int(fraction.max())
    if widths.min() < 1 or widths.max() > 8 or places > MOST_PLACES:
        raise _Irregular
    made = _eight(words, points, widths)
    if places:
        made *= int(_TENS[places])
        made += _eight(words, ends, fraction) * _TENS[places - fraction]
    while places and not (made[:64] % 10).any() and not (made % 10).any():
        made //= 10  # zeros at the end are no decimals
        places -= 1
    return made, places


_TRUE, _ALSE = (np.uint64(int.from_bytes(word, "little")) for word in (b"true", b"alse"))
_ZEROS = np.uint64(0x3030303030303030)
_THREE, _SEVEN, _EIGHT, _BITS = (np.uint64(n) for n in (3, 7, 8, 64))


def _eight_bytes(words: NDArray[np.uint64], ends: Ints) -> NDArray[np.uint64]:
    """The eight bytes before ``ends``, of two words each. A shift by 64 gives 0 in NumPy."""
    at = ends.view(np.uint64)
    offset = (at & _SEVEN) << _THREE
    word = (at >> _THREE).view(np.int64)
    made = words[word]
    made <<= _BITS - offset
    made |= words[word - 1] >> offset
    return made


def _eight(words: NDArray[np.uint64], ends: Ints, widths: Ints, *, alike: bool = False) -> Ints:
    """The numbers of at most eight digits that end before ``ends``; 0 where the width is 0.

    Digits lie in memory from the highest to the lowest. Neighbours are joined to pairs, fours and eights by a
    multiplication each (Lemire, "Quickly parsing eight digits", 2018).

    Args:
        words: the text, eight bytes each.
        ends: byte after the last digit.
        widths: digits, 0 to 8.
        alike: they are mostly one and the same number.
    """
    kept = _eight_bytes(words, ends)
    kept ^= _ZEROS
    # What stands before the number leaves at the lower end; zeros come in, which count for nothing.
    left = (_EIGHT - widths.view(np.uint64)) << _THREE
    kept >>= left
    kept <<= left
    size = len(kept)
    if alike and (kept == kept[0]).all():
        kept = kept[:1]
    pairs = kept >> _EIGHT
    kept *= np.uint64(10)
    kept += pairs
    kept &= np.uint64(0x00FF00FF00FF00FF)
    fours = kept >> np.uint64(16)
    kept *= np.uint64(100)
    kept += fours
    kept &= np.uint64(0x0000FFFF0000FFFF)
    eights = kept >> np.uint64(32)
    kept *= np.uint64(10_000)
    kept += eights
    kept &= np.uint64(0xFFFFFFFF)
    made = kept.view(np.int64)
    return made if len(made) == size else np.full(size, made[0])
