"""An invented market with believable prices: a pure function of seed, symbol and minute.

A day is made without the days before it. Where a day begins and ends comes from a sum of slow waves
(days to months) of hashed noise; between the two ends the minutes walk at random, with volatility that
clusters by the hour, and are bent to meet the end. Days are cached.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from tui_feeder.simulator import digits, noise
from tui_feeder.simulator.listing import LEAVING, midnight, quarterly, settling
from tui_feeder.simulator.market import (
    CLOSE,
    COLUMNS,
    DAY,
    HIGH,
    HOUR,
    LOW,
    MINUTE,
    OPEN,
    QUOTE,
    QUOTES,
    TAKER,
    TAKER_QUOTE,
    TRADES,
    VOLUME,
    Instrument,
    Ints,
    Minutes,
    chosen,
    no_minutes,
    units,
)

_PER_DAY = 1_440

#: Periods in days of the waves under the price, and their weights: together a daily step of the wanted size.
_PERIODS = 2 ** np.arange(8, dtype=np.int64)
_WEIGHTS = 0.5 * np.sqrt(_PERIODS.astype(np.float64))

_MINUTE_OF_DAY = np.arange(_PER_DAY, dtype=np.int64)
_ELAPSED = np.arange(1, _PER_DAY + 1) / _PER_DAY
#: Trading is busiest in the afternoon of Europe, morning of America, and has a second hump in Asia's morning.
_SEASON = (
    0.65
    + 0.75 * np.exp(-(((_MINUTE_OF_DAY - 14.5 * 60) / 210) ** 2))
    + 0.25 * np.exp(-(((_MINUTE_OF_DAY - 1.5 * 60) / 120) ** 2))
)


@dataclass(frozen=True)
class _Character:
    """How a symbol trades: mean price and turnover in quote currency."""

    instrument: Instrument
    key: int
    price: float
    daily_volatility: float
    turnover: float  # a minute
    ticket: float  # mean size of a trade
    quiet: float  # share of minutes without a trade
    halted: int | None = None  # from here on no trade at all, ms


#: price, tickSize, stepSize, daily volatility, turnover a minute, mean trade, share of empty minutes
_KNOWN: Mapping[str, tuple[float, str, str, float, float, float, float]] = {
    "BTCUSDT": (88_000.0, "0.10", "0.001", 0.022, 7_500_000, 2_900, 0.0),
    "ETHUSDT": (3_050.0, "0.01", "0.001", 0.034, 6_100_000, 2_400, 0.0),
    "SOLUSDT": (138.0, "0.0100", "1", 0.042, 1_900_000, 1_500, 0.0),
    "BNBUSDT": (860.0, "0.010", "0.01", 0.028, 420_000, 900, 0.0),
    "XRPUSDT": (2.1, "0.0001", "0.1", 0.040, 900_000, 1_100, 0.0),
    "DOGEUSDT": (0.152, "0.000010", "1", 0.046, 520_000, 800, 0.0),
    "ADAUSDT": (0.47, "0.00010", "1", 0.044, 210_000, 520, 0.0),
    "AVAXUSDT": (14.6, "0.0010", "1", 0.046, 130_000, 420, 0.0),
    "LINKUSDT": (13.4, "0.001", "0.01", 0.043, 140_000, 430, 0.0),
    "LTCUSDT": (86.0, "0.01", "0.001", 0.036, 95_000, 380, 0.0),
    "1000PEPEUSDT": (0.0049, "0.0000001", "1", 0.062, 260_000, 560, 0.0),
    "币安人生USDT": (0.128, "0.00001", "1", 0.085, 4_200, 210, 0.06),
}

#: The perpetuals of the synthetic market when none are named.
DEFAULT_SYMBOLS = tuple(_KNOWN)
#: Further characters, of symbols that are listed only where they are named: a coin far below a cent.
_NAMED = {"1000SATSUSDT": (0.0000152, "0.0000000001", "1", 0.058, 90_000, 480, 0.0)}
#: Listed last of all, some weeks before the clock starts.
_NEWCOMER = "币安人生USDT"

_HISTORY_DAYS = 400


class SyntheticMarket:
    """See the module; made by :func:`synthetic_market`."""

    start: int | None = None
    end: int | None = None

    def __init__(self, characters: Mapping[str, _Character], symbols: Sequence[str]) -> None:
        self.instruments: Mapping[str, Instrument] = {s: c.instrument for s, c in characters.items()}
        self.symbols = tuple(symbols)
        self.notes: Sequence[str] = ()
        self._characters = characters
        self._days: OrderedDict[tuple[str, int], Ints] = OrderedDict()
        self._most_days = max(256, 2 * len(characters))
        self._lock = threading.Lock()

    def minutes(self, symbol: str, start: int, end: int) -> Minutes:
        """Computes complete candles since the listing.

        Args:
            symbol: a listed symbol.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            The candles in order.
        """
        character = self._characters[symbol]
        start = max(start, character.instrument.onboard)
        start += -start % MINUTE
        end += -end % MINUTE
        if end <= start:
            return no_minutes()
        days = range(start // DAY, -(-end // DAY))
        blocks = [self._day(character, day) for day in days]
        values = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        skip = (start - days[0] * DAY) // MINUTE
        times = np.arange(start, end, MINUTE, dtype=np.int64)
        return Minutes(times, values[skip : skip + len(times)])

    def archive_lines(self, symbol: str, start: int, end: int) -> bytes:
        """Formats candles as archive lines.

        Args:
            symbol: a listed symbol.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            CSV lines without a header.
        """
        return digits.archive_rows(self.minutes(symbol, start, end), self.instruments[symbol], MINUTE)

    def archive_month(self, symbol: str, month: str) -> None:
        """A synthetic market has no original files.

        Args:
            symbol: a listed symbol.
            month: the month, "YYYY-MM".
        """

    def _day(self, character: _Character, day: int) -> Ints:
        key = (character.instrument.symbol, day)
        with self._lock:
            if (block := self._days.get(key)) is not None:
                self._days.move_to_end(key)
                return block
        block = _make_day(character, day)
        with self._lock:
            self._days[key] = block
            if len(self._days) > self._most_days:
                self._days.popitem(last=False)
        return block


def _levels(character: _Character, day: int) -> tuple[float, float]:
    """Logarithm of price over mean price where ``day`` begins and where it ends."""
    at = np.array([[day], [day + 1]], np.int64)
    wave = at // _PERIODS
    share = (at - wave * _PERIODS) / _PERIODS
    place = wave + (np.arange(len(_PERIODS), dtype=np.int64) << 40)
    left, right = noise.normal(character.key, place), noise.normal(character.key, place + 1)
    heights = ((left + (right - left) * share) * _WEIGHTS).sum(axis=1) * character.daily_volatility
    return float(heights[0]), float(heights[1])


def _make_day(character: _Character, day: int) -> Ints:
    rng = np.random.default_rng((character.key, day))
    instrument = character.instrument
    tick, step = instrument.tick, instrument.step
    unit = 10.0**-instrument.price_decimals
    lot = step * 10.0**-instrument.quantity_decimals
    begin, finish = _levels(character, day)
    ticks = character.price / unit / tick

    calm = rng.standard_normal(24) * 0.4
    for hour in range(1, 24):
        calm[hour] += 0.6 * calm[hour - 1]
    storm = np.exp(np.repeat(calm, 60) - 0.15)
    sigma = character.daily_volatility / math.sqrt(_PER_DAY) * storm * np.sqrt(_SEASON)
    walk = rng.standard_normal(_PER_DAY) * sigma
    walk[rng.random(_PER_DAY) < 0.01] *= 3.5
    walk = np.cumsum(walk)
    level = begin + walk + _ELAPSED * (finish - begin - walk[-1])
    close = np.maximum(np.rint(np.exp(level) * ticks), 1).astype(np.int64)
    before = max(round(math.exp(begin) * ticks), 1)

    traded = rng.random(_PER_DAY) >= character.quiet / _SEASON
    if character.halted is not None and day * DAY >= character.halted:
        traded[:] = False
        close[:] = max(round(math.exp(_levels(character, character.halted // DAY)[0]) * ticks), 1)
        before = int(close[0])
    else:
        traded[-1] = True  # so that the next day knows where this one closed
        latest = np.maximum.accumulate(np.where(traded, _MINUTE_OF_DAY, -1))
        close = np.where(latest >= 0, close[latest], before)
    previous = np.r_[before, close[:-1]]

    gap = rng.integers(-1, 2, _PER_DAY) * (rng.random(_PER_DAY) < 0.7)
    opened = np.maximum(previous + gap, 1)
    wick = rng.standard_exponential((2, _PER_DAY)) * (0.45 * sigma * close)
    high = np.maximum(opened, close) + wick[0].astype(np.int64)
    low = np.maximum(np.minimum(opened, close) - wick[1].astype(np.int64), 1)

    stretch = (high - low) / (close * sigma)
    mood = np.exp(0.55 * rng.standard_normal(_PER_DAY))
    turnover = character.turnover * _SEASON * storm**1.3 * mood * (0.35 + 0.4 * stretch)
    lots = np.maximum(np.rint(turnover / (close * (tick * unit)) / lot), 1).astype(np.int64)
    trades = np.rint(turnover / character.ticket * np.exp(0.2 * rng.standard_normal(_PER_DAY))).astype(
        np.int64
    )
    trades = np.clip(trades, 1, lots)
    single = trades == 1
    opened = np.where(single, close, opened)
    high = np.where(trades <= 2, np.maximum(opened, close), high)
    # Three trades touch open, close and one extreme more.
    one_wick = (trades <= 2) | ((trades == 3) & (high > np.maximum(opened, close)))
    low = np.where(one_wick, np.minimum(opened, close), low)

    return _fill(instrument, rng, traded, previous, opened, high, low, close, lots, trades)


def _fill(
    instrument: Instrument,
    rng: np.random.Generator,
    traded: NDArray[np.bool_],
    previous: Ints,
    opened: Ints,
    high: Ints,
    low: Ints,
    close: Ints,
    lots: Ints,
    trades: Ints,
) -> Ints:
    """The matrix of a day, volumes added; minutes without a trade are flat at the close before them."""
    tick, step = instrument.tick, instrument.step
    span = high - low
    middle = np.divide((opened + close) / 2 - low, span, out=np.zeros(_PER_DAY), where=span > 0)
    place = np.clip(middle + 0.15 * rng.standard_normal(_PER_DAY), 0, 1)
    lean = np.divide(close - opened, span, out=np.zeros(_PER_DAY), where=span > 0)
    share = np.clip(0.5 + 0.18 * lean + 0.1 * rng.standard_normal(_PER_DAY), 0, 1)
    volume = lots * step
    share = np.where(trades == 1, np.rint(share), share)
    taken = np.rint(share * lots).astype(np.int64) * step
    quote = volume * (low * tick) + np.rint(place * (span * tick) * volume).astype(np.int64)

    day = np.zeros((_PER_DAY, COLUMNS), np.int64)
    for column, price in ((OPEN, opened), (HIGH, high), (LOW, low), (CLOSE, close)):
        day[:, column] = np.where(traded, price, previous) * tick
    day[:, VOLUME] = volume
    day[:, QUOTE] = quote
    day[:, TRADES] = trades
    day[:, TAKER] = taken
    day[:, TAKER_QUOTE] = np.rint(quote * (taken / volume)).astype(np.int64)
    day[~traded, VOLUME:] = 0
    day.flags.writeable = False
    return day


def _quote_of(symbol: str) -> str:
    for quote in QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote) and ":" not in symbol:
            return quote
    raise ValueError(
        f"the synthetic market has no symbol {symbol!r}: a name must end in {' or '.join(QUOTES)}, as in "
        "BTCUSDT, and has no market before it"
    )


def _character(symbol: str, seed: int, onboard: int) -> _Character:
    quote = _quote_of(symbol)
    if (known := _KNOWN.get(symbol) or _NAMED.get(symbol)) is not None:
        price, tick_size, step_size, volatility, turnover, ticket, quiet = known
    else:
        a, b, c, d, e = noise.uniform(noise.key_of("character", symbol), np.arange(5)).tolist()
        price = 10 ** (-2.5 + 5 * a)
        tick_size = "0." + "1".zfill(max(2, 4 - math.floor(math.log10(price))))
        step_size = "1" if price < 20 else "0.1" if price < 200 else "0.001"
        volatility = 0.03 + 0.05 * b
        turnover = 10 ** (3.3 + 2.6 * c)
        ticket = 150 + 500 * d
        quiet = 0.12 * e if turnover < 6_000 else 0.0
    tick, price_decimals = units(tick_size)
    step, quantity_decimals = units(step_size)
    base = symbol.removesuffix(quote)
    instrument = Instrument(
        symbol,
        base,
        quote,
        price_decimals,
        quantity_decimals,
        price_decimals + quantity_decimals,
        tick,
        step,
        onboard,
    )
    return _Character(instrument, noise.key_of(seed, symbol), price, volatility, turnover, ticket, quiet)


def synthetic_market(
    symbols: Sequence[str] | None = None,
    seed: int = 1,
    *,
    as_of_ms: int | None = None,
    listed: Mapping[str, int] | None = None,
) -> SyntheticMarket:
    """A market of invented perpetuals, and two other listings: a quarterly and a settling one.

    Args:
        symbols: the perpetuals to list; None or ``ALL`` for :data:`DEFAULT_SYMBOLS`, a pattern for those of
            them that match. Another name is given a character by its hash.
        seed: another seed, other prices.
        as_of_ms: the moment listing dates are counted back from: real now if not given. They stay the same
            for a calendar month; candles never depend on it.
        listed: when (ms) some of them are listed, which may lie in the future: they are unknown before.

    Returns:
        The market.

    Raises:
        ValueError: for a name that does not end in a known quote asset.
    """
    moment_ms = int(time.time() * 1000) if as_of_ms is None else as_of_ms
    now = datetime.fromtimestamp(moment_ms / 1000, UTC).date()
    # On the day of its delivery a contract is traded until 08:00.
    quarter = datetime.fromtimestamp((moment_ms - 8 * HOUR) / 1000, UTC).date()
    first = midnight((now - timedelta(days=_HISTORY_DAYS)).replace(day=1))
    month = midnight(now.replace(day=1))
    wanted = chosen(symbols, DEFAULT_SYMBOLS)
    if not wanted:
        raise ValueError("the synthetic market needs at least one symbol")
    characters = {symbol: _character(symbol, seed, first) for symbol in wanted}
    for symbol, moment in {_NEWCOMER: month - 12 * DAY + 10 * HOUR + 30 * MINUTE, **(listed or {})}.items():
        if (character := characters.get(symbol)) is not None:
            instrument = replace(character.instrument, onboard=moment)
            characters[symbol] = replace(character, instrument=instrument)

    first_symbol = characters[wanted[0]]
    delivered = quarterly(first_symbol.instrument, quarter)
    characters[delivered.symbol] = replace(first_symbol, instrument=delivered)
    if LEAVING not in characters:
        gone = _character(LEAVING, seed, first)
        left = settling(gone.instrument, now)
        characters[LEAVING] = replace(gone, instrument=left, halted=left.delivery)
    return SyntheticMarket(characters, wanted)
