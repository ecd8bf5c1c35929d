"""What the embedded exchange lists and what was traded on it, minute by minute.

Every price, volume and count is an integer number of the smallest unit the exchange prints: a price
of ``"64346.70"`` with two decimals is 6434670. So sums are exact, and REST, stream and archive print
the same digits. One block of minutes is a :class:`Minutes`: open times and a matrix whose columns are
named by the constants below.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

MINUTE = 60_000
HOUR = 3_600_000
DAY = 86_400_000

#: Columns of a candle matrix. Volumes in base asset, then quote asset; taker-buy parts of both.
OPEN, HIGH, LOW, CLOSE, VOLUME, QUOTE, TRADES, TAKER, TAKER_QUOTE = range(9)
COLUMNS = 9

Ints: TypeAlias = NDArray[np.int64]

#: What exchangeInfo states of a contract that never expires: its type, and when it is delivered.
PERPETUAL = "PERPETUAL"
PERPETUAL_DELIVERY = 4_133_404_800_000

#: Quote assets a symbol's name may end in.
QUOTES = ("USDT", "USDC")

#: Intervals of klines the exchange knows, in ms. Those of more than a day are listed by Binance but not here.
INTERVALS: Mapping[str, int] = {
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
}


def chosen(symbols: Sequence[str] | None, there: Sequence[str]) -> tuple[str, ...]:
    """Resolves the names and patterns of ``--symbols``, each symbol once.

    Args:
        symbols: names, patterns or ``ALL``; None for all. Patterns match symbols that are there.
        there: the symbols that are there.

    Returns:
        The symbols in order of the names given.

    Raises:
        ValueError: nothing matches a pattern.
    """
    names: dict[str, None] = {}
    for name in there if symbols is None else symbols:
        if name != "ALL" and not set("*?") & set(name):
            names[name] = None
            continue
        found = [symbol for symbol in there if name == "ALL" or fnmatch.fnmatchcase(symbol, name)]
        if not found:
            raise ValueError(f"no symbol matches {name}: there are {', '.join(there)}")
        names.update(dict.fromkeys(found))
    return tuple(names)


class Minutes(NamedTuple):
    """Candles in rising order of open time; a minute the source lacks is absent."""

    times: Ints  # (n,) open time, ms
    values: Ints  # (n, COLUMNS)


def no_minutes() -> Minutes:
    """An empty block."""
    return Minutes(np.empty(0, np.int64), np.empty((0, COLUMNS), np.int64))


@dataclass(frozen=True)
class Instrument:
    """A listing: its name, its units, and since when it is there.

    ``tick`` and ``step`` count smallest units: tick 10 with four price decimals is a tickSize of "0.0010".
    """

    symbol: str
    base: str
    quote: str
    price_decimals: int
    quantity_decimals: int
    quote_decimals: int
    tick: int
    step: int
    onboard: int  # ms
    contract: str = PERPETUAL
    status: str = "TRADING"
    delivery: int = PERPETUAL_DELIVERY
    contract_size: int = 0  # USD, where volumes are printed in contracts
    printed_decimals: int = 0  # of every price and volume, where they are more than its own


class Market(Protocol):
    """The truth the exchange's REST, stream and archive show: who is listed and what each minute was."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Every listing by symbol, tradable or not."""
        ...

    @property
    def symbols(self) -> Sequence[str]:
        """The perpetuals in trading, in the order they were asked for."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a user must know about this market, one sentence each."""
        ...

    @property
    def start(self) -> int | None:
        """Where a clock should start (ms) to see most of it; None for real time."""
        ...

    @property
    def end(self) -> int | None:
        """Where the recorded data ends (ms, exclusive); None if it never does."""
        ...

    def minutes(self, symbol: str, start: int, end: int) -> Minutes:
        """Reads complete candles, whatever the clock shows.

        Args:
            symbol: a listed symbol.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            The candles in order.

        Raises:
            KeyError: for a symbol that is not listed.
        """
        ...

    def archive_lines(self, symbol: str, start: int, end: int) -> bytes:
        """Formats the same candles as lines of an archive file.

        Args:
            symbol: a listed symbol.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            CSV lines without a header; empty if there are none.
        """
        ...

    def archive_month(self, symbol: str, month: str) -> tuple[bytes, bytes | None] | None:
        """Reads the original zip of a month, where there are originals.

        Args:
            symbol: a listed symbol.
            month: the month, "YYYY-MM".

        Returns:
            The zip and its ``.CHECKSUM`` file if there is one; None without an original.
        """
        ...


def units(value: str) -> tuple[int, int]:
    """Parses a decimal text: ``"0.0010"`` is (10, 4).

    Args:
        value: digits with at most one point.

    Returns:
        Number of smallest units, and digits after the point.
    """
    whole, _, part = value.partition(".")
    return int(whole + part), len(part)


def decimal(value: int, decimals: int) -> str:
    """Formats a number of smallest units as the exchange does: (10, 4) is ``"0.0010"``.

    Args:
        value: number of smallest units, >= 0.
        decimals: digits after the point.

    Returns:
        The decimal text.
    """
    if not decimals:
        return str(value)
    digits = str(value).zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def aggregate(block: Minutes, interval: int) -> Minutes:
    """Aggregates minutes to bars aligned to UTC.

    Args:
        block: minutes in order.
        interval: length of a bar, ms.

    Returns:
        The bars, also those that are not complete.
    """
    if interval == MINUTE or not len(block.times):
        return block
    times, values = block
    buckets = times - times % interval
    first = np.flatnonzero(np.r_[True, buckets[1:] != buckets[:-1]])
    last = np.r_[first[1:], len(times)] - 1
    bars = np.empty((len(first), COLUMNS), np.int64)
    bars[:, OPEN] = values[first, OPEN]
    bars[:, HIGH] = np.maximum.reduceat(values[:, HIGH], first)
    bars[:, LOW] = np.minimum.reduceat(values[:, LOW], first)
    bars[:, CLOSE] = values[last, CLOSE]
    bars[:, VOLUME:] = np.add.reduceat(values[:, VOLUME:], first, axis=0)
    return Minutes(buckets[first], bars)
