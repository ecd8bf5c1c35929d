"""What the read-only API answers about days, minutes and incidents: what is there, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tui_feeder.day_evidence import DayView, Incident
from tui_feeder.engine.proof.folder import HeadPlace, ProofFolder, ProofFolderError, leaf_name
from tui_feeder.monitor import DAY_MS, MINUTE_MS, SymbolView
from tui_feeder.service.api import Query, RequestError, check_order, page
from tui_feeder.service.engine_probe import EngineProbe

_USUAL_DAYS, _MOST_DAYS = 31, 380
_INCIDENT_DAYS = 7
#: Symbols whose incidents are read for one answer; the others are on the next pages.
_MOST_SYMBOLS = 100


class EvidenceApi:
    """Answers questions about the evidence; every method takes the pairs of a query.

    Args:
        probe: asks the engine.

    Raises:
        RequestError: from every method: the question cannot be answered.
        BusyError: from every method: the engine does not answer.
        StoreError: from every method: the engine has ended.
    """

    def __init__(self, probe: EngineProbe) -> None:
        self._probe = probe
        self._reading = asyncio.Semaphore(1)  # one answer at a time reads a year of days

    async def coverage(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Counts the minutes of a symbol's days; without a symbol those of every symbol.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "start", "end", "limit", "offset"))
        known = await self._tracked()
        status = await self._probe.status()
        today = status.snapshot.exchange_time // DAY_MS * DAY_MS
        start, end = query.moment("start"), query.moment("end")
        check_order(start, end)
        last = today + DAY_MS if end is None else -(-end // DAY_MS) * DAY_MS
        first = last - _USUAL_DAYS * DAY_MS if start is None else start // DAY_MS * DAY_MS
        if last - first > _MOST_DAYS * DAY_MS:
            raise RequestError(400, f"start and end are at most {_MOST_DAYS} days apart")
        if query.text("symbol") is None:
            rows, about = page(list(known), query, _MOST_SYMBOLS)
            async with self._reading:
                totals = await asyncio.to_thread(self._totals, rows, first, last)
            return {"start": first, "end": last, "symbols": totals, **about}
        symbol = query.symbol(known, self._probe.elsewhere)
        async with self._reading:
            days = await asyncio.to_thread(self._probe.days, symbol, first, last)
        rows, about = page(days, query)
        return {"symbol": symbol, "days": [_day(view) for view in rows], **about}

    def _totals(self, symbols: Sequence[str], first: int, last: int) -> list[dict[str, Any]]:
        found = []
        for symbol in symbols:
            days = self._probe.days(symbol, first, last)
            names = DayView._fields[2:]
            sums = {name: sum(getattr(view, name) for view in days) for name in names}
            found.append({"symbol": symbol, **sums})
        return found

    async def incidents(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Lists what happened to minutes, by time.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: a parameter is wrong.
        """
        query = Query(pairs, ("symbol", "start", "end", "limit", "offset"))
        known, status = await self._tracked(), await self._probe.status()
        start, end = query.moment("start"), query.moment("end")
        check_order(start, end)
        last = status.snapshot.exchange_time + MINUTE_MS if end is None else end
        first = last - _INCIDENT_DAYS * DAY_MS if start is None else start
        named = query.text("symbol") is not None
        symbols = [query.symbol(known, self._probe.elsewhere)] if named else list(known)
        opened = [
            Incident(gap.symbol, "gap", gap.start, gap.end, f"{gap.reason}; {gap.tries} tries")
            for gap in status.snapshot.gaps
            if gap.closed_at is None and gap.symbol in symbols and gap.end > first and gap.start < last
        ]
        async with self._reading:
            stored = await asyncio.to_thread(self._stored, symbols, first, last)
        everything = sorted([*opened, *stored], key=lambda found: (found.start, found.symbol, found.kind))
        rows, about = page(everything, query)
        return {"incidents": [incident._asdict() for incident in rows], **about}

    def _stored(self, symbols: Sequence[str], first: int, last: int) -> list[Incident]:
        return [found for symbol in symbols for found in self._probe.incidents(symbol, first, last)]

    async def minute(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives a minute with every value it had.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: a parameter is wrong, or nothing is stored of the symbol.
        """
        query = Query(pairs, ("symbol", "time"))
        symbol = query.symbol(await self._tracked(), self._probe.elsewhere)
        at = query.moment("time")
        if at is None:
            raise RequestError(400, "time is missing: ms since the epoch, or 2026-02-21T12:00:00Z")
        async with self._reading:
            if self._probe.range_of(symbol) is None:
                raise RequestError(404, "nothing is stored of this symbol yet")
            view = await asyncio.to_thread(self._probe.minute, symbol, at // MINUTE_MS * MINUTE_MS)
        answer = view._asdict()
        answer["values"] = [value._asdict() for value in view.values]
        return {"symbol": symbol, **answer}

    async def proof(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Gives signed days: their heads, the leaves of a day, or a symbol's leaf with its path to the head.

        Args:
            pairs: parameters of the request.

        Returns:
            The JSON object.

        Raises:
            RequestError: nothing is signed, a parameter is wrong, or the folder cannot be read.
        """
        try:
            return await self._signed(pairs)
        except ProofFolderError as error:
            raise RequestError(503, str(error)) from error

    async def _signed(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        query = Query(pairs, ("day", "symbol", "limit", "offset"))
        day, symbol = query.text("day"), query.text("symbol")
        if day is None and symbol is not None:
            raise RequestError(400, "symbol needs day")
        folder = ProofFolder(self._probe.config.proof.folder)
        async with self._reading:
            if day is not None and symbol is not None:
                leaf = await asyncio.to_thread(folder.leaf_file, day, leaf_name(symbol))
                if leaf is None:
                    raise RequestError(404, "this symbol is not signed on this day")
                return leaf
            if day is None:
                heads, about = page(await asyncio.to_thread(folder.heads), query)
                return {"heads": await asyncio.to_thread(_heads, heads), **about}
            leaves = await asyncio.to_thread(folder.of_day, day)
        if not leaves:
            raise RequestError(404, "this day is not signed; day is such as 2026-02-21")
        rows, about = page(list(leaves.values()), query)
        return {"day": day, "leaves": [{**found.fields, "hash": found.hash} for found in rows], **about}

    async def _tracked(self) -> dict[str, SymbolView]:
        status = await self._probe.status()
        return {view.symbol: view for view in status.snapshot.symbols}


def _heads(places: Sequence[HeadPlace]) -> list[dict[str, Any]]:
    return [place.described() for place in places]


def _day(view: DayView) -> dict[str, Any]:
    date = datetime.fromtimestamp(view.day / 1000, UTC).strftime("%Y-%m-%d")
    return {"date": date, **view._asdict()}
