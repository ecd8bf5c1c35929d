"""The read-only API of trades: the exact profile of a day, and what was bought and sold in its minutes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tui_feeder.config import Trades
from tui_feeder.digits import digits_beside, digits_beside_of, fifteen_digits_of
from tui_feeder.engine.analytics.orderflow.reconcile import Known
from tui_feeder.engine.analytics.orderflow.traded_profile import TradedProfile
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.decimals import Floats
from tui_feeder.engine.derived.inputs import settings_of
from tui_feeder.engine.derived.stored_ladders import read_levels, stored_traded_profile
from tui_feeder.engine.exchanges.base import shows_trades
from tui_feeder.service.api import Query, RequestError, check_order, page
from tui_feeder.service.engine_probe import EngineProbe
from tui_feeder.time_format import ceil_to_minute, format_day

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOST_ROWS = 5_000
#: Minutes in an answer: a busy one has a thousand prices.
_MOST_MINUTES = 60


def why_unread(trades: Trades, exchange: object, symbol: str, day: int, now: int) -> str | None:
    """Finds why the trades of a day are not read.

    Args:
        trades: which are.
        exchange: of the symbol.
        symbol: which.
        day: midnight, ms.
        now: exchange time, ms.

    Returns:
        The reason and its remedy; None where they are read as they come.
    """
    if symbol not in trades.symbols:
        return "the trades of this symbol are not read; see trades.symbols"
    if not shows_trades(exchange, symbol):
        return "of the market of this symbol no trades are read; see /api/v1/profile for that of its candles"
    if day < now - now % DAY_MS - trades.days * DAY_MS:
        return f"trades are read and kept of {trades.days} days before today; see trades.days"
    return None


class TradesApi:
    """Answers questions about stored trades; every method takes the pairs of a query.

    Raises:
        RequestError: from every method: the question cannot be answered.
        BusyError: from every method: the engine does not answer.
    """

    def __init__(self, probe: EngineProbe) -> None:
        self._probe = probe
        self._reading = asyncio.Semaphore(2)  # answers that read the store at the same time

    async def _symbol(self, query: Query) -> str:
        status = await self._probe.status()
        views = {view.symbol: view for view in status.snapshot.symbols}
        return query.symbol(views, self._probe.elsewhere)

    async def profile(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives the profile of a UTC day made of its trades, by row from the lowest price.

        Without ``date`` it is of the day of the newest stored minute.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object; its rows are price, volume, and what takers bought and sold of it.

        Raises:
            RequestError: there are no trades of the day, or a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "date", "limit", "offset"))
        symbol, date = await self._symbol(query), query.text("date")
        day = query.moment("date") if date is not None and _DATE.fullmatch(date) else None
        if date is None:
            stored = await asyncio.to_thread(self._probe.range_of, symbol)
            if stored is None:
                raise RequestError(404, "nothing is stored of this symbol yet")
            day = (stored[1] - MINUTE_MS) // DAY_MS * DAY_MS
        if day is None:
            raise RequestError(400, f"date: {date} is no day such as 2026-02-21")
        async with self._reading:
            made = await asyncio.to_thread(self._profile, symbol, day)
        if made is None or made.bought is None:
            yet = "no trades of this day are stored yet, or volume_profile.enabled is false"
            raise RequestError(404, self._why_unread(symbol, day) or yet)
        used = np.flatnonzero(made.weights)
        volumes, bought = fifteen_digits_of(made.weights), fifteen_digits_of(made.bought)
        columns = (made.prices, volumes, bought, digits_beside_of(volumes - bought, volumes))
        rows, about = page(np.column_stack(columns)[used].tolist(), query, _MOST_ROWS)
        return {
            "symbol": symbol,
            "date": format_day(day),
            "source": "trades",
            "exact_share": made.exact_share,
            "price_increment": made.increment,
            "poc": made.poc,
            "vah": made.vah,
            "val": made.val,
            "vwap": made.vwap,
            "total_volume": made.total_volume,
            **_of_poc(made, volumes, bought),
            "candle_count": made.candles,
            "rows": rows,
            **about,
        }

    def _profile(self, symbol: str, day: int) -> TradedProfile | None:
        store = self._probe.thread.engine.store
        settings = settings_of(store, self._probe.config, symbol).profile
        made = None if settings is None else stored_traded_profile(store, symbol, settings, day)
        return made if made is not None and made.known_share > 0 else None

    def _why_unread(self, symbol: str, day: int) -> str | None:
        engine = self._probe.thread.engine
        return why_unread(engine.config.trades, engine.exchange, symbol, day, engine.clock.now())

    async def ladder(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives what was bought and sold at each price of the minutes from ``start`` on.

        A minute that is stored and of which no trade is there yet has no levels, and is known by its candle.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object; levels are price, bought, sold (base asset), trades.

        Raises:
            RequestError: the trades of the day are not read, or a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "start", "end", "limit"))
        symbol = await self._symbol(query)
        start, end = query.moment("start"), query.moment("end")
        if start is None:
            raise RequestError(400, "start is missing: a time in a UTC day whose trades are stored")
        check_order(start, end)
        start = ceil_to_minute(start)
        day_end = start - start % DAY_MS + DAY_MS
        until = day_end if end is None else min(ceil_to_minute(end), day_end)
        until = min(until, start + query.number("limit", _MOST_MINUTES, 1, _MOST_MINUTES) * MINUTE_MS)
        async with self._reading:
            minutes = await asyncio.to_thread(self._minutes, symbol, start, until)
        return {"symbol": symbol, "minutes": minutes, "next_start": until if until < day_end else None}

    def _minutes(self, symbol: str, start: int, end: int) -> list[dict[str, Any]]:
        store, day = self._probe.thread.engine.store, start - start % DAY_MS
        found = read_levels(store, symbol, day, start, end)
        if not found.ladders and (why := self._why_unread(symbol, day)) is not None:
            raise RequestError(404, why)
        columns = (found.prices, found.bought, found.sold, found.trades)
        levels = [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]
        minutes = zip(found.times.tolist(), found.known.tolist(), found.shares.tolist(),
                      found.unproved.tolist(), pairwise(found.begins.tolist()), strict=True)  # fmt: skip
        return [
            {
                "open_time": time,
                "known": Known(known).name.lower(),
                "share": share,
                "unproved": unproved,
                "levels": levels[low:high],
            }
            for time, known, share, unproved, (low, high) in minutes
        ]


def _of_poc(made: TradedProfile, volumes: Floats, bought: Floats) -> dict[str, float]:
    """What takers bought and sold in the row of the point of control."""
    at = int(np.argmin(np.abs(made.prices - made.poc)))
    buys, volume = float(bought[at]), float(volumes[at])
    return {"buy_volume": buys, "sell_volume": digits_beside(volume - buys, volume)}
