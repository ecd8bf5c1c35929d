"""The read-only API of profile tools: ranges, sessions, naked and developing levels, anchored VWAP."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from tui_feeder.engine.analytics.profile.tools.sessions import parse_session, sessions_of
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.monitor import LONGEST_RANGE, Monitor, RangeView, Spans
from tui_feeder.service.api import Query, RequestError, check_order, page
from tui_feeder.service.engine_probe import EngineProbe
from tui_feeder.time_format import ceil_to_minute, parse_time, parse_timeframe

T = TypeVar("T")

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOST_ROWS = 5_000
_MOST_DAYS = LONGEST_RANGE // DAY_MS


class ProfileApi:
    """Answers questions about profiles of any minutes; every method takes the pairs of a query.

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

    async def _read(self, what: Callable[[Monitor], T]) -> T:
        async with self._reading:
            return await asyncio.to_thread(what, self._probe.thread.monitor)

    async def _range(self, symbol: str, spans: Spans) -> RangeView | None:
        return await self._read(lambda monitor: monitor.range_profile(symbol, spans))

    async def range(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives the profile of a range of minutes, of a composite of days, or of a session, by row.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: there is no profile, or a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "start", "end", "dates", "session", "limit", "offset"))
        symbol = await self._symbol(query)
        spans = self._spans(query)
        view = await self._range(symbol, spans)
        if view is None:
            raise RequestError(404, "nothing is stored, or was traded, of this symbol and range")
        bought = [None] * len(view.weights) if view.bought is None else view.bought
        rows = [
            [price, weight] if part is None else [price, weight, part]
            for price, weight, part in zip(view.prices.tolist(), view.weights, bought, strict=True)
            if weight
        ]
        part_of_rows, about = page(rows, query, _MOST_ROWS)
        return {"symbol": symbol, "spans": spans, **_figures(view), "rows": part_of_rows, **about}

    async def sessions(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives the levels of each session of a day, the UTC day first.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "date"))
        symbol = await self._symbol(query)
        day = await self._day(query, symbol)
        found = []
        for span in sessions_of(day, self._sessions()):
            view = await self._range(symbol, ((span.start, span.end),))
            if view is not None:
                found.append({"session": span.name, "start": span.start, "end": span.end, **_figures(view)})
        return {"symbol": symbol, "date": _date_text(day), "sessions": found}

    async def naked(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Lists the points of control of past days at which no later minute has traded.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "limit", "offset"))
        symbol = await self._symbol(query)
        found = await self._read(lambda monitor: monitor.naked_pocs(symbol))
        rows, about = page([{"date": _date_text(level.day), "poc": level.price} for level in found], query)
        return {"symbol": symbol, "naked_pocs": rows, **about}

    async def developing(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives point of control, value area and VWAP of a day as they were after its minutes.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: there is no profile, or a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "date", "every", "limit", "offset"))
        symbol = await self._symbol(query)
        day, every = await self._day(query, symbol), query.number("every", 15, 1, 1_440)
        lines = await self._read(lambda monitor: monitor.developing(symbol, day, every))
        if lines is None:
            raise RequestError(404, "nothing is stored, or was traded, of this symbol and day")
        columns = (lines.times, lines.poc, lines.vah, lines.val, lines.vwap)
        rows = [
            {"time": time, "poc": _known(poc), "vah": _known(vah), "val": _known(val), "vwap": _known(vwap)}
            for time, poc, vah, val, vwap in zip(*columns, strict=True)
        ]
        part, about = page(rows, query)
        return {"symbol": symbol, "date": _date_text(day), "every": every, "levels": part, **about}

    async def vwap(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives the VWAP since an anchor with bands of one and two standard deviations, at the ends of bars.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "anchor", "end", "timeframe", "limit", "offset"))
        symbol = await self._symbol(query)
        anchor, end = query.moment("anchor"), query.moment("end")
        if anchor is None:
            raise RequestError(400, "anchor is missing: the time from which on it is averaged")
        check_order(anchor, end)
        try:
            seconds = parse_timeframe(query.text("timeframe") or "1h")
        except ValueError:
            raise RequestError(400, "timeframe is 1m, 5m, 15m, 1h, 4h, 1d: what divides a day") from None
        begin = ceil_to_minute(anchor)
        line = await self._read(lambda monitor: monitor.anchored(symbol, begin, seconds, end))
        rows = [
            {
                "time": time, "vwap": _known(vwap), "deviation": _known(deviation),
                "upper_1": _known(vwap + deviation), "lower_1": _known(vwap - deviation),
                "upper_2": _known(vwap + 2 * deviation), "lower_2": _known(vwap - 2 * deviation),
            }
            for time, vwap, deviation in zip(line.times, line.vwap, line.deviation, strict=True)
        ]  # fmt: skip
        part, about = page(rows, query)
        return {"symbol": symbol, "anchor": begin, "timeframe": seconds, "values": part, **about}

    def _sessions(self) -> list[Any]:
        return [parse_session(text) for text in self._probe.config.volume_profile.sessions]

    async def _day(self, query: Query, symbol: str) -> int:
        """The day of ``date``; without one that of the newest minute."""
        if (text := query.text("date")) is not None:
            return _day_of("date", text)
        stored = await asyncio.to_thread(self._probe.range_of, symbol)
        if stored is None:
            raise RequestError(404, "nothing is stored of this symbol yet")
        return (stored[1] - MINUTE_MS) // DAY_MS * DAY_MS

    def _spans(self, query: Query) -> Spans:
        start, end = query.moment("start"), query.moment("end")
        dates, name = query.text("dates"), query.text("session")
        if (dates is None) == (start is None) or (start is None) != (end is None):
            raise RequestError(
                400, "give start and end, or dates such as 2026-02-01,2026-02-03 or 2026-02-01..2026-02-28"
            )
        if start is not None and end is not None:
            if name is not None:
                raise RequestError(400, "session goes with dates")
            check_order(start, end)
            low, high = ceil_to_minute(start), ceil_to_minute(end)
            if high - low > LONGEST_RANGE or high == low:
                raise RequestError(400, f"a range is of one minute to {_MOST_DAYS} days")
            return ((low, high),)
        days = _days_of(dates or "")
        if name is None:
            return tuple((day, day + DAY_MS) for day in days)
        known = {span.name: place for place, span in enumerate(sessions_of(0, self._sessions()))}
        if name not in known:
            raise RequestError(400, f"session is one of {', '.join(known)}")
        spans = [sessions_of(day, self._sessions())[known[name]] for day in days]
        return tuple((span.start, span.end) for span in spans)


def _day_of(name: str, text: str) -> int:
    try:
        if _DATE.fullmatch(text):
            return parse_time(text)
    except (ValueError, OverflowError):
        pass
    raise RequestError(400, f"{name}: {text} is no day such as 2026-02-21")


def _days_of(text: str) -> list[int]:
    """Days of a list or a range of dates, ascending, each once."""
    first, mark, last = text.partition("..")
    if mark:
        low, high = _day_of("dates", first), _day_of("dates", last)
        days = list(range(low, high + 1, DAY_MS)) if high - low < LONGEST_RANGE else []
    else:
        days = sorted({_day_of("dates", part) for part in text.split(",")})
    if not 1 <= len(days) <= _MOST_DAYS:
        raise RequestError(400, f"dates are 1 to {_MOST_DAYS} days")
    return days


def _date_text(day: int) -> str:
    return datetime.fromtimestamp(day / 1000, UTC).strftime("%Y-%m-%d")


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _figures(view: RangeView) -> dict[str, Any]:
    return {
        "price_increment": view.increment,
        "poc": view.poc,
        "vah": view.vah,
        "val": view.val,
        "vwap": view.vwap,
        "total_volume": view.total_volume,
        "candle_count": view.candles,
        "exact_share": view.exact_share,
        "last_updated": view.last_minute + MINUTE_MS - 1,
        "high_volume_nodes": view.high_nodes,
        "low_volume_nodes": view.low_nodes,
    }
