"""The read-only API: what may be asked, within which bounds, and the JSON that answers it."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tui_feeder.configuration.forms import without_usual_market
from tui_feeder.engine.core.candle import MINUTE_MS, timeframe_label
from tui_feeder.errors import InputError
from tui_feeder.monitor import SymbolHolder, SymbolView
from tui_feeder.service.engine_probe import EngineProbe
from tui_feeder.service.stored_bars import AnchorError, BarsRequest, stored_bars
from tui_feeder.time_format import ceil_to_minute, parse_anchor, parse_time, parse_timeframe

MOST = 1_500  # rows in an answer
_USUAL = 500
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_LONGEST_VALUE = 100


class RequestError(InputError):
    """A question that cannot be answered; ``status`` is the one of HTTP."""

    def __init__(self, status: int, text: str, **more: str) -> None:
        super().__init__(text)
        self.status = status
        self.more = more  # further members of the answer


class Query:
    """The query of a request, of which every part is known and given once.

    Raises:
        RequestError: from here and from every method, with what is allowed.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]], allowed: Sequence[str]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            if name not in allowed:
                raise RequestError(400, f"no such parameter; there are: {', '.join(allowed) or 'none'}")
            if name in self._values:
                raise RequestError(400, f"{name} is given twice")
            if len(value) > _LONGEST_VALUE:
                raise RequestError(400, f"{name} is too long")
            self._values[name] = value

    def text(self, name: str) -> str | None:
        """Reads a value as it is given.

        Args:
            name: of the parameter.

        Returns:
            The value; None if absent.
        """
        return self._values.get(name)

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Reads a whole number.

        Args:
            name: of the parameter.
            default: used if it is absent.
            low: least value allowed.
            high: greatest value allowed.

        Returns:
            The number.

        Raises:
            RequestError: it is no number or out of range.
        """
        text = self._values.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit()) or len(text) > 18 or not low <= int(text) <= high:
            raise RequestError(400, f"{name} is a whole number, {low} to {high}")
        return int(text)

    def moment(self, name: str) -> int | None:
        """Reads a time, given as ms or RFC 3339.

        Args:
            name: of the parameter.

        Returns:
            ms; None if absent.

        Raises:
            RequestError: it is no time.
        """
        text = self._values.get(name)
        if text is None:
            return None
        try:
            return parse_time(int(text) if text.isascii() and text.isdigit() else text)
        except (ValueError, OverflowError) as error:
            why = f"{name} is a time: ms since the epoch, or 2026-02-21T12:00:00Z"
            raise RequestError(400, f"{why}; {error}") from None

    def symbol(self, known: Mapping[str, SymbolView], elsewhere: Callable[[str], SymbolHolder | None]) -> str:
        """Reads the parameter ``symbol``.

        Args:
            known: the tracked symbols.
            elsewhere: which other worker of a cluster has a symbol.

        Returns:
            A tracked symbol.

        Raises:
            RequestError: it is absent, not tracked, or another worker's.
        """
        text = self._values.get("symbol")
        if text is None:
            raise RequestError(400, "symbol is missing")
        text = without_usual_market(text)
        if text not in known and (holder := elsewhere(text)) is not None:
            where = f"ask {holder.address}" if holder.address else "set cluster.address there to ask it"
            raise RequestError(
                421, f"the worker {holder.name} has this symbol: {where}",
                worker=holder.name, address=holder.address,
            )  # fmt: skip
        if text not in known:
            raise RequestError(404, "this symbol is not followed; see /api/v1/symbols")
        return text


def page(rows: Sequence[Any], query: Query, most: int = MOST) -> tuple[Sequence[Any], dict[str, Any]]:
    """Cuts out the part that ``limit`` and ``offset`` ask for.

    Args:
        rows: all there are.
        query: of the request.
        most: rows in an answer.

    Returns:
        The part, and the counts of the whole.

    Raises:
        RequestError: limit or offset is wrong.
    """
    limit, offset = query.number("limit", _USUAL, 1, most), query.number("offset", 0, 0, 10**9)
    following = offset + limit
    about = {"total": len(rows), "next_offset": following if following < len(rows) else None}
    return rows[offset:following], about


class Api:
    """Answers questions about a running engine; every method takes the pairs of a query.

    Raises:
        RequestError: from every method: the question cannot be answered.
        BusyError: from every method: the engine does not answer.
        StoreError: from every method: the engine has ended.
    """

    def __init__(self, probe: EngineProbe) -> None:
        self._probe = probe
        self._reading = asyncio.Semaphore(2)  # answers that read the store at the same time

    async def _tracked_views(self) -> dict[str, SymbolView]:
        status = await self._probe.status()
        return {view.symbol: view for view in status.snapshot.symbols}

    async def symbols(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Lists the tracked symbols and their states; of a cluster also those that other workers have.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.
        """
        query = Query(pairs, ("limit", "offset"))
        rows, about = page(list((await self._tracked_views()).values()), query)
        answer: dict[str, Any] = {"symbols": [_symbol(view) for view in rows], **about}
        if (await self._probe.status()).snapshot.cluster is not None:
            others = self._probe.symbols_elsewhere()
            answer["elsewhere"] = [
                {"symbol": symbol, "worker": holder.name, "address": holder.address}
                for symbol, holder in list(others.items())[:MOST]
            ]
        return answer

    async def cluster(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives the cluster as this worker sees it.

        Args:
            pairs: parameters of the request; there are none.

        Returns:
            The JSON object.

        Raises:
            RequestError: this feeder is in no cluster.
        """
        Query(pairs, ())
        found = (await self._probe.status()).snapshot.cluster
        if found is None:
            raise RequestError(404, "this feeder is in no cluster; see cluster.enabled")
        return dataclasses.asdict(found)

    async def gaps(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Lists open gaps, then those just filled.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.
        """
        query = Query(pairs, ("symbol", "limit", "offset"))
        status = await self._probe.status()
        found = status.snapshot.gaps
        if query.text("symbol") is not None:
            symbol = query.symbol(await self._tracked_views(), self._probe.elsewhere)
            found = tuple(gap for gap in found if gap.symbol == symbol)
        rows, about = page(found, query)
        return {"gaps": [dataclasses.asdict(gap) for gap in rows], **about}

    async def message(self, pairs: Sequence[tuple[str, str]]) -> bytes:
        """Gives the newest message of a symbol, as it was published.

        Args:
            pairs: parameters of the request.

        Returns:
            The message's JSON.

        Raises:
            RequestError: there is none yet, or a parameter is wrong.
        """
        symbol = Query(pairs, ("symbol",)).symbol(await self._tracked_views(), self._probe.elsewhere)
        try:
            payload = await self._probe.message(symbol)
        except KeyError:
            payload = None
        if payload is None:
            raise RequestError(404, "there is no message of this symbol yet")
        return payload

    async def profile(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives the volume profile of a UTC day by row, from the lowest price; without rows of no weight.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: there is no profile, or a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "date", "limit", "offset"))
        symbol = query.symbol(await self._tracked_views(), self._probe.elsewhere)
        date, day = query.text("date"), None
        if date is not None:
            day = query.moment("date") if _DATE.fullmatch(date) else None
            if day is None:
                raise RequestError(400, "date is a day such as 2026-02-21")
        async with self._reading:
            view = await asyncio.to_thread(self._probe.profile, symbol, day)
        if view is None:
            raise RequestError(404, "nothing is stored, or was traded, of this symbol and day")
        rows = [
            [price, weight]
            for price, weight in zip(view.prices.tolist(), view.weights, strict=True)
            if weight
        ]
        part, about = page(rows, query, 5_000)
        return {
            "symbol": symbol,
            "date": datetime.fromtimestamp(view.day / 1000, UTC).strftime("%Y-%m-%d"),
            "price_increment": view.increment,
            "poc": view.poc,
            "vah": view.vah,
            "val": view.val,
            "vwap": view.vwap,
            "total_volume": view.total_volume,
            "candle_count": view.candles,
            "last_updated": view.last_minute + MINUTE_MS - 1,
            "rows": part,
            **about,
        }

    async def candles(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives stored bars from ``start`` on; without a start the last ones before ``end``.

        Each has its delta, and with an ``anchor`` the cumulative delta since then. A bar that lacks minutes
        is left out. ``next_start`` is where the next page begins, None at the end.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "timeframe", "start", "end", "limit", "anchor"))
        symbol = query.symbol(await self._tracked_views(), self._probe.elsewhere)
        try:
            seconds = parse_timeframe(query.text("timeframe") or "1m")
        except ValueError:
            raise RequestError(400, "timeframe is 1m, 5m, 15m, 1h, 4h, 1d: what divides a day") from None
        limit = query.number("limit", _USUAL, 1, MOST)
        start, end = query.moment("start"), query.moment("end")
        check_order(start, end)
        anchor = None
        try:
            if (text := query.text("anchor")) is not None:
                anchor = parse_anchor(text)
        except ValueError as error:
            raise RequestError(400, str(error)) from None
        request = BarsRequest(symbol, seconds, start, end, limit, anchor)
        async with self._reading:
            try:
                bars, following = await asyncio.to_thread(stored_bars, self._probe, request)
            except AnchorError as error:
                raise RequestError(400, str(error)) from None
        return {"symbol": symbol, "timeframe": seconds, "candles": bars, "next_start": following}

    async def states(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives the state of every minute of a symbol, as spans of minutes of the same one.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "start", "end", "limit", "offset"))
        symbol = query.symbol(await self._tracked_views(), self._probe.elsewhere)
        start, end = (
            None if at is None else ceil_to_minute(at) for at in map(query.moment, ("start", "end"))
        )
        check_order(start, end)
        async with self._reading:
            found = await asyncio.to_thread(self._probe.states, symbol, start, end)
        rows, about = page(found, query)
        return {"symbol": symbol, "states": [span._asdict() for span in rows], **about}


def _symbol(view: SymbolView) -> dict[str, Any]:
    """A followed symbol; what is not known is absent."""
    fields = {
        "symbol": view.symbol,
        "state": view.state.value,
        "reason": view.reason or None,
        "price": view.price,
        "change_24h": view.change_24h,
        "quote_volume_24h": view.volume_24h,
        "first_minute": view.first_minute,
        "last_minute": view.last_closed,
        "last_frame": view.last_frame,
        "missing_minutes": view.missing_minutes,
        "messages": view.messages,
        "partial": {
            timeframe_label(state.timeframe): {
                "minutes_lacking": state.minutes_lacking,
                "bars_lacking": state.bars_lacking,
            }
            for state in view.timeframes
            if state.partial
        }
        or None,
        "history_done": view.progress.fraction if view.progress is not None else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def check_order(start: int | None, end: int | None) -> None:
    """Checks that a span is none the wrong way round.

    Args:
        start: ms; None: not given.
        end: ms, exclusive; None: not given.

    Raises:
        RequestError: the end is not after the start.
    """
    if start is not None and end is not None and end <= start:
        raise RequestError(400, "end is not after start: it is exclusive")
