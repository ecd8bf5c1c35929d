"""The aggregate trades of each minute: made of its candle, so that they add up to it exactly.

A minute's rows begin at the candle's open, touch its high and its low, and end at its close; their
quantities, those of taker buyers among them, and their underlying trades sum to the candle's. They follow
from the candle, the symbol and the minute alone, so stream, REST and archive show the same rows. Quote
volumes are not matched: what a row is worth is its price times its quantity.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_feeder.simulator import noise
from tui_feeder.simulator.forming import SLOT, SLOTS, FormingMinute
from tui_feeder.simulator.market import (
    CLOSE,
    DAY,
    HIGH,
    LOW,
    MINUTE,
    OPEN,
    TAKER,
    TRADES,
    VOLUME,
    Ints,
    Market,
    Minutes,
)
from tui_feeder.simulator.tape import Tape

#: An aggregate trade is published this long after its first fill, ms.
AGGREGATED = 100

#: Rows to underlying trades: BTCUSDT's four million trades a day become 1.7 million rows.
_FEWEST_ROWS, _SPREAD_OF_ROWS = 0.3, 0.24
#: A minute has at least so many rows, if it has so many trades: its four corners, and both sides.
_LEAST = 6
#: Ids of rows run on from the beginning of a UTC month; a month's rows fit between two months' first ids.
_IDS_PER_MONTH = 100_000_000
_MINUTES = DAY // MINUTE
_KEPT_MINUTES, _KEPT_DAYS = 512, 2_048
#: Last ms of a minute in which no trade is, but one that a fault puts into the next minute.
_LAST_MS = 5
#: Share of rows in which orders of retail makers (RPI) took part.
_RPI_SHARE = 0.08


class AggTrades(NamedTuple):
    """Rows in order of id: aggregate trades, prices and quantities in the instrument's smallest units."""

    ids: Ints
    prices: Ints
    quantities: Ints
    firsts: Ints
    """Id of the first underlying trade."""
    lasts: Ints
    times: Ints
    """When it was traded, ms."""
    makers: NDArray[np.bool_]
    """Whether the buyer was the maker: then the seller took."""
    without_rpi: Ints
    """Quantities without RPI orders."""

    def where(self, chosen: NDArray[np.bool_] | slice) -> AggTrades:
        """Chooses rows.

        Args:
            chosen: a mask, or a slice of places.

        Returns:
            The rows chosen.
        """
        return AggTrades._make(column[chosen] for column in self)


def no_trades() -> AggTrades:
    """No rows."""
    none = np.empty(0, np.int64)
    return AggTrades(none, none, none, none, none, none, np.empty(0, np.bool_), none)


def together(parts: list[AggTrades]) -> AggTrades:
    """Puts rows behind each other.

    Args:
        parts: rows, in order.

    Returns:
        All of them.
    """
    if not parts:
        return no_trades()
    return AggTrades(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class Trades:
    """Every aggregate trade of a market. Threads may share it.

    Args:
        market: what was traded, by minutes.
        tape: which knows a symbol's key and first trade ids.
    """

    def __init__(self, market: Market, tape: Tape) -> None:
        self._market = market
        self._tape = tape
        self._minutes: OrderedDict[tuple[str, int], AggTrades] = OrderedDict()
        self._days: OrderedDict[tuple[str, int], Ints] = OrderedDict()
        self._lock = threading.Lock()

    def forget(self, since: int) -> None:
        """Drops cached rows after the market has changed.

        Args:
            since: first open time to make again, ms.
        """
        with self._lock:
            for place in [place for place in self._minutes if place[1] >= since - since % MINUTE]:
                del self._minutes[place]
            for place in [place for place in self._days if place[1] >= since // DAY]:
                del self._days[place]

    def minute(self, symbol: str, open_time: int) -> AggTrades:
        """Makes the rows of one minute.

        Args:
            symbol: a listed symbol.
            open_time: when the minute begins, ms.

        Returns:
            Its rows; none where nothing was traded.
        """
        place = (symbol, open_time)
        with self._lock:
            known = self._minutes.get(place)
        if known is not None:
            return known
        block = self._market.minutes(symbol, open_time, open_time + MINUTE)
        if len(block.times):
            first = self.first_id(symbol, open_time)
            rows = self._made(symbol, block, 0, first, self._tape.first_trade_id(symbol, open_time))
        else:
            rows = no_trades()
        with self._lock:
            self._minutes[place] = rows
            while len(self._minutes) > _KEPT_MINUTES:
                self._minutes.popitem(last=False)
        return rows

    def day(self, symbol: str, day: int) -> Iterator[AggTrades]:
        """Makes the rows of a UTC day, an hour at a time.

        Args:
            symbol: a listed symbol.
            day: days since the epoch.

        Yields:
            The rows of an hour, in order.
        """
        block = self._market.minutes(symbol, day * DAY, (day + 1) * DAY)
        before = self._before(symbol, day)
        base = self._first_of_day(symbol, day)
        trade = self._tape.first_trade_id(symbol, day * DAY)
        hour: list[AggTrades] = []
        for row, time in enumerate(block.times.tolist()):
            if hour and time % (60 * MINUTE) == 0:
                yield together(hour)
                hour = []
            first = base + int(before[time % DAY // MINUTE])
            hour.append(self._made(symbol, block, row, first, trade))
            trade += int(block.values[row, TRADES])
        yield together(hour)

    def first_id(self, symbol: str, open_time: int) -> int:
        """Computes the id of the first row at or after the beginning of a minute.

        Args:
            symbol: a listed symbol.
            open_time: when the minute begins, ms.

        Returns:
            The id.
        """
        day = open_time // DAY
        return self._first_of_day(symbol, day) + int(self._before(symbol, day)[open_time % DAY // MINUTE])

    def minute_of(self, symbol: str, number: int) -> int | None:
        """Finds the minute that has, or comes just after, a row's id.

        Args:
            symbol: a listed symbol.
            number: id of a row.

        Returns:
            When the minute begins, ms; None for an id of no month since the epoch.
        """
        month = number // _IDS_PER_MONTH
        if not 0 <= month < 12 * 200:
            return None
        day = _first_day(month)
        while day + 1 < _first_day(month + 1) and self._first_of_day(symbol, day + 1) <= number:
            day += 1
        before = self._before(symbol, day)
        wanted = number - self._first_of_day(symbol, day)
        minute = int(np.searchsorted(before, wanted, side="right")) - 1
        return (day * _MINUTES + max(minute, 0)) * MINUTE

    def _first_of_day(self, symbol: str, day: int) -> int:
        month = _month_of(day)
        earlier = sum(int(self._before(symbol, d)[-1]) for d in range(_first_day(month), day))
        return month * _IDS_PER_MONTH + 1 + earlier

    def _before(self, symbol: str, day: int) -> Ints:
        """Rows of the day before each of its minutes, and of the whole day: shape (1441,)."""
        place = (symbol, day)
        with self._lock:
            known = self._days.get(place)
        if known is not None:
            return known
        block = self._market.minutes(symbol, day * DAY, (day + 1) * DAY)
        rows = np.zeros(_MINUTES + 1, np.int64)
        rows[block.times % DAY // MINUTE + 1] = self._row_counts(symbol, block)
        before: Ints = np.cumsum(rows)
        with self._lock:
            self._days[place] = before
            while len(self._days) > _KEPT_DAYS:
                self._days.popitem(last=False)
        return before

    def _steps(self, symbol: str, values: Ints) -> Ints:
        """The smallest amount of a row in each minute: the lot, unless recorded volumes are no multiples."""
        step = max(self._market.instruments[symbol].step, 1)
        fits = (values[:, VOLUME] % step == 0) & (values[:, TAKER] % step == 0)
        steps: Ints = np.where(fits, step, 1)
        return steps

    def _row_counts(self, symbol: str, block: Minutes) -> Ints:
        trades = block.values[:, TRADES]
        lots = block.values[:, VOLUME] // self._steps(symbol, block.values)
        dice = noise.uniform(self._tape.key(symbol) ^ 0xA66, block.times // MINUTE)
        wanted = np.rint(trades * (_FEWEST_ROWS + _SPREAD_OF_ROWS * dice)).astype(np.int64)
        counts: Ints = np.minimum(np.maximum(wanted, _LEAST), np.minimum(trades, lots))
        return counts

    def _made(self, symbol: str, block: Minutes, row: int, first: int, first_trade: int) -> AggTrades:
        """The rows of single minute of a block."""
        values = block.values[row]
        single = Minutes(block.times[row : row + 1], block.values[row : row + 1])
        count = int(self._row_counts(symbol, single)[0])
        if count == 0:
            return no_trades()
        open_time, key = int(block.times[row]), self._tape.key(symbol)
        instrument = self._market.instruments[symbol]
        step = int(self._steps(symbol, single.values)[0])
        forming = FormingMinute(open_time, values, instrument.tick, key)
        dice = noise.uniform(key ^ open_time ^ 0x7ADE, np.arange(5 * count)).reshape(5, count)
        prices = _prices(values, count, instrument.tick, dice[0])
        bought, sold = int(values[TAKER]) // step, int(values[VOLUME] - values[TAKER]) // step
        makers = _makers(prices, count, bought, sold, dice[1])
        lots = np.empty(count, np.int64)
        for side, total in ((~makers, bought), (makers, sold)):
            lots[side] = 1 + _shares(total - int(side.sum()), dice[2][side] ** -0.6)
        spare = lots - 1
        trades = 1 + _shares(int(values[TRADES]) - count, spare)
        after = np.cumsum(trades)
        rpi = np.where(dice[3] < _RPI_SHARE, spare // 2, 0) * step
        return AggTrades(
            first + np.arange(count, dtype=np.int64),
            prices,
            lots * step,
            first_trade + after - trades,
            first_trade + after - 1,
            _times(forming, after, dice[4]),
            makers,
            lots * step - rpi,
        )


def _prices(candle: Ints, count: int, tick: int, dice: NDArray[np.float64]) -> Ints:
    """A way from open to close over both extremes, each touched."""
    opened, high, low, close = (int(candle[column]) for column in (OPEN, HIGH, LOW, CLOSE))
    order = (low, high) if close >= opened else (high, low)
    corners = [opened]
    # Where trades are too few for four corners, an extreme is that of open or close.
    corners += [price for price in order if price not in (opened, close)]
    corners = corners[: max(count - 1, 1)] + ([close] if count > 1 else [])
    places = np.rint(np.linspace(0, count - 1, len(corners))).astype(np.int64)
    way = np.interp(np.arange(count), places, corners)
    way += (dice - 0.5) * (0.25 * (high - low))
    steps: Ints = np.clip(np.rint(way / tick).astype(np.int64) * tick, low, high)
    steps[places] = corners
    return steps


def _makers(prices: Ints, count: int, bought: int, sold: int, dice: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows a seller took: as many as its share of the volume, rather where the price falls."""
    buys = round(count * bought / (bought + sold))
    buys = min(max(buys, int(bought > 0), count - sold), bought, count - int(sold > 0))
    rises = np.sign(np.diff(prices, prepend=prices[0]))
    makers = np.ones(count, np.bool_)
    makers[np.argsort(-(rises + 2 * dice), kind="stable")[:buys]] = False
    return makers


def _shares(total: int, weights: NDArray[np.float64] | Ints) -> Ints:
    """Divides a whole number by weights; none gets more than its share rounded up."""
    if not total or not len(weights):
        return np.zeros(len(weights), np.int64)
    running = np.cumsum(weights, dtype=np.float64)
    if not running[-1]:  # a recorded candle with more trades than lots
        running = np.arange(1.0, len(weights) + 1)
    edges = np.floor(running / running[-1] * total + 1e-9).astype(np.int64)
    edges[-1] = total
    shares: Ints = np.diff(np.minimum(edges, total), prepend=0)
    return shares


def _times(forming: FormingMinute, after: Ints, dice: NDArray[np.float64]) -> Ints:
    """When each row was traded: in the slot in which the candle in progress counts its last trade."""
    counted = np.append(forming.count, forming.candle[TRADES])
    slots = np.clip(np.searchsorted(counted, after, side="left"), 1, SLOTS)
    inside = np.minimum(((slots - 1) + dice) * SLOT, MINUTE - _LAST_MS)
    times: Ints = np.sort(forming.open_time + inside.astype(np.int64))
    return times


def _month_of(day: int) -> int:
    """Months since the epoch."""
    moment = datetime.fromtimestamp(day * DAY / 1000, UTC)
    return (moment.year - 1970) * 12 + moment.month - 1


def _first_day(month: int) -> int:
    """Days from the epoch to the beginning of a month."""
    return int(np.datetime64(month, "M").astype("datetime64[D]").astype(np.int64))
