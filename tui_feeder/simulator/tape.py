"""What can be seen of the market at a moment: closed candles, unsettled ones, and the forming one."""

from __future__ import annotations

import contextlib
from collections import OrderedDict

import numpy as np

from tui_feeder.simulator import noise
from tui_feeder.simulator.forming import SLOT, FormingMinute
from tui_feeder.simulator.market import CLOSE, COLUMNS, DAY, MINUTE, TRADES, Ints, Market, Minutes

#: The exchange closes a minute by itself this long after its end, if no trade of the next minute does.
FORCED_CLOSE = 2_005
#: A close is never seen sooner after the minute's end.
SOONEST_CLOSE = 200

#: Where ids begin on a day that is asked for first. Those of days near it go on from there.
_IDS_PER_DAY = 20_000_000
_FIRST_DAY = 17_897
_DAYS_CHAINED = 40


class _Unknown:
    pass


_UNKNOWN = _Unknown()


class Tape:
    """Reads a market as of a moment, the same for REST and stream. Threads may share it."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._keys: dict[str, int] = {}
        self._forming: OrderedDict[tuple[str, int], FormingMinute | None] = OrderedDict()
        self._settles: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._most_forming = 4 * len(market.instruments) + 64
        self._first_ids: dict[str, dict[int, int]] = {}  # by symbol and day

    def minute(self, symbol: str, open_time: int) -> FormingMinute | None:
        """Finds a minute with its intermediate states.

        Args:
            symbol: a listed symbol.
            open_time: when the minute begins, ms.

        Returns:
            The minute; None where the market has none.
        """
        place = (symbol, open_time)
        known = self._forming.get(place, _UNKNOWN)
        if not isinstance(known, _Unknown):
            return known
        block = self.market.minutes(symbol, open_time, open_time + MINUTE)
        found = None
        if len(block.times):
            tick = self.market.instruments[symbol].tick
            found = FormingMinute(open_time, block.values[0], tick, self.key(symbol))
        self._forming[place] = found
        if len(self._forming) > self._most_forming:
            with contextlib.suppress(KeyError):  # another thread was quicker
                self._forming.popitem(last=False)
        return found

    def key(self, symbol: str) -> int:
        """Gives what makes a symbol's paths its own.

        Args:
            symbol: a listed symbol.

        Returns:
            A key of random numbers.
        """
        key = self._keys.get(symbol)
        if key is None:
            key = self._keys[symbol] = noise.key_of("path", symbol)
        return key

    def settles(self, symbol: str, open_time: int) -> int:
        """Computes when a minute is final and its closing frame is sent.

        The first trade of the next minute closes it, 200 ms after its end at the soonest; without one the
        exchange does so after 2,005 ms.

        Args:
            symbol: a listed symbol.
            open_time: when the minute begins, ms.

        Returns:
            Exchange time, ms.
        """
        place = (symbol, open_time)
        known = self._settles.get(place)
        if known is None:
            known = self._settles[place] = self._settled(symbol, open_time)
            if len(self._settles) > self._most_forming:
                with contextlib.suppress(KeyError):  # another thread was quicker
                    self._settles.popitem(last=False)
        return known

    def _settled(self, symbol: str, open_time: int) -> int:
        end = open_time + MINUTE
        following = self.minute(symbol, end)
        first = None if following is None else following.first_trade
        if first is None:
            return end - 1 + FORCED_CLOSE
        key = self.key(symbol)
        delay = float(noise.uniform(key ^ 0x5EED, np.array([open_time // MINUTE]))[0])
        late = max(SOONEST_CLOSE + 600 * delay, first + SLOT * delay)
        return end - 1 + min(FORCED_CLOSE, int(late))

    def forget(self, since: int) -> None:
        """Drops cached minutes after the market has changed.

        Args:
            since: first open time to read again, ms.
        """
        for place in [place for place in list(self._forming) if place[1] >= since]:
            self._forming.pop(place, None)
        for place in [place for place in list(self._settles) if place[1] + MINUTE >= since]:
            self._settles.pop(place, None)

    def seen(self, symbol: str, start: int, end: int, now: int, late: int = 0) -> Minutes:
        """Reads minutes as REST shows them at a moment.

        The last row may be the unfinished candle. A minute that has just ended may lack its last trades, and
        does so for at least ``late`` ms after its end.

        Args:
            symbol: a listed symbol.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.
            now: exchange time of the request, ms.
            late: ms after its end for which a minute lacks its last trades.

        Returns:
            The candles in order.
        """
        times, values = self.market.minutes(symbol, start, min(end, now + 1))
        final = len(times)
        while final and times[final - 1] + MINUTE + max(FORCED_CLOSE, late) > now:
            final -= 1
        if final == len(times):
            return Minutes(times, values)
        values = values.copy()
        for row in range(final, len(times)):
            values[row] = self._seen_row(symbol, int(times[row]), now, late)
        return Minutes(times, values)

    def _seen_row(self, symbol: str, open_time: int, now: int, late: int) -> list[int]:
        minute = self.minute(symbol, open_time)
        assert minute is not None
        end = open_time + MINUTE
        if now >= end:
            settled = now >= max(self.settles(symbol, open_time), end + late)
            state = minute.candle if settled else minute.unsettled
        else:
            state = minute.at(now)
        return state or self.untraded(symbol, minute)

    def untraded(self, symbol: str, minute: FormingMinute) -> list[int]:
        """Makes a minute as it is before its first trade: flat at the previous close.

        Args:
            symbol: a listed symbol.
            minute: of it.

        Returns:
            The candle's columns in smallest units.
        """
        before = self.market.minutes(symbol, minute.open_time - MINUTE, minute.open_time)
        price = int(before.values[0, CLOSE]) if len(before.times) else minute.candle[0]
        return [price] * 4 + [0] * (COLUMNS - 4)

    def first_trade_id(self, symbol: str, open_time: int) -> int:
        """Computes the id of the first trade at or after the beginning of a minute.

        Args:
            symbol: a listed symbol.
            open_time: when the minute begins, ms.

        Returns:
            The trade id.
        """
        day = open_time // DAY
        return self._first_of_day(symbol, day) + self._trades(symbol, day * DAY, open_time)

    def _first_of_day(self, symbol: str, day: int) -> int:
        """The id of a day's first trade: ids go on over midnight from the first day that was asked for."""
        alone = (day - _FIRST_DAY) * _IDS_PER_DAY + 1
        known = self._first_ids.setdefault(symbol, {day: alone})
        if day in known:
            return known[day]
        at = min(list(known), key=lambda other: abs(other - day))
        if abs(at - day) > _DAYS_CHAINED:
            known[day] = alone
            return alone
        first = known[at]
        while at < day:
            first += self._trades(symbol, at * DAY, (at + 1) * DAY)
            at += 1
            known[at] = first
        while at > day:
            at -= 1
            first -= self._trades(symbol, at * DAY, (at + 1) * DAY)
            known[at] = first
        return first

    def _trades(self, symbol: str, start: int, end: int) -> int:
        """How many trades there are in ``[start, end)`` (ms)."""
        values: Ints = self.market.minutes(symbol, start, end).values
        return int(values[:, TRADES].sum())
