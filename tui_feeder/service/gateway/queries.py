"""The parameters of a request for candles, checked as the exchange checks them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tui_feeder.service.gateway.intervals import INTERVALS, Interval
from tui_feeder.service.gateway.markets import SPOT, USUAL_ROWS, ServedMarket
from tui_feeder.service.gateway.refusals import (
    illegal_characters,
    invalid_combination,
    invalid_interval,
    invalid_symbol,
    invalid_value,
    lookup_too_big,
    missing_parameter,
    only_utc,
    wrong_order,
)

_LONGEST_NAME = 64
#: Digits of a number, at most.
_DIGITS = 18
#: Symbols that a request may list.
_MOST_LISTED = 1_024
#: Spot's ``timeZone`` of bars as they are built here.
_UTC = {"0", "+0", "-0", "00", "0:00", "00:00", "+00:00", "-00:00"}
#: No candle is later, ms.
_LAST_MS = 1 << 47


class KlinesQuery(NamedTuple):
    """What a request for candles asks for."""

    symbol: str
    interval: Interval
    start: int | None  # ms
    end: int | None  # ms, inclusive
    limit: int
    newest: bool  # the last rows of a stated window are wanted, not its first
    partial: bool  # bars that lack minutes are wanted too


def mandatory(query: Mapping[str, str], name: str) -> str:
    """A value that must be there.

    Args:
        query: of the request.
        name: of the parameter.

    Returns:
        The value, not empty.

    Raises:
        RefusalError: it is not.
    """
    value = query.get(name)
    if not value or len(value) > _LONGEST_NAME:
        raise missing_parameter(name)
    return value


def symbol_named(market: ServedMarket, name: str) -> str:
    """A symbol as the store knows it.

    Args:
        market: that is asked.
        name: as the request states it.

    Returns:
        With its market before it.

    Raises:
        RefusalError: no exchange has such a name: a colon parts a market's name from it in the store alone.
    """
    if ":" in name or len(name) > _LONGEST_NAME:
        raise invalid_symbol()
    return market.known_as(name)


def mandatory_symbol(query: Mapping[str, str], market: ServedMarket, name: str = "symbol") -> str:
    """A symbol that must be named.

    Args:
        query: of the request.
        market: that is asked.
        name: of the parameter.

    Returns:
        As the store knows it.

    Raises:
        RefusalError: none is, or none that can be.
    """
    value = query.get(name)
    if not value:
        raise missing_parameter(name)
    return symbol_named(market, value)


def number(query: Mapping[str, str], name: str) -> int | None:
    """A whole number, None where it is not given.

    Args:
        query: of the request.
        name: of the parameter.

    Returns:
        The number, at least 0.

    Raises:
        RefusalError: it is none.
    """
    value = query.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= _DIGITS):
        raise missing_parameter(name)
    return int(value)


def symbols_wanted(query: Mapping[str, str], market: ServedMarket) -> list[str] | None:
    """The symbols that a request names by ``symbol``, of spot also by ``symbols``, a JSON list.

    Args:
        query: of the request.
        market: that is asked.

    Returns:
        As the store knows them, each once; None where none is named.

    Raises:
        RefusalError: the list is none, or both are given.
    """
    stated = query.get("symbols") if market is SPOT else None
    if stated is None:
        return [mandatory_symbol(query, market)] if "symbol" in query else None
    if "symbol" in query:
        raise invalid_combination()
    try:
        names = msgspec.json.decode(stated, type=list[str])
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise illegal_characters("symbols") from None
    if not 1 <= len(names) <= _MOST_LISTED:
        raise illegal_characters("symbols")
    return [symbol_named(market, name) for name in dict.fromkeys(names)]


def klines_query(query: Mapping[str, str], symbol: str, market: ServedMarket) -> KlinesQuery:
    """The parameters of a request for the candles of ``symbol``; whether that exists is not looked at.

    Args:
        query: of the request.
        symbol: that it is about, as the store knows it.
        market: that is asked.

    Returns:
        The parameters.

    Raises:
        RefusalError: one of them makes no sense.
    """
    interval = INTERVALS.get(mandatory(query, "interval"))
    if interval is None:
        raise invalid_interval()
    start, end, limit = number(query, "startTime"), number(query, "endTime"), number(query, "limit")
    if limit is None:
        limit = USUAL_ROWS
    if not 1 <= limit <= market.most_rows:
        raise invalid_value("limit")
    if start is not None and end is not None and start > end:
        raise wrong_order()
    if market is SPOT and query.get("timeZone", "0") not in _UTC:
        raise only_utc()
    start = None if start is None else min(start, _LAST_MS)
    end = None if end is None else min(end, _LAST_MS)
    within, newest = market.newest_within_ms, False
    if within is not None and start is not None:
        if end is not None and end - start > within:
            raise lookup_too_big()
        end, newest = start + within if end is None else end, True
    return KlinesQuery(symbol, interval, start, end, limit, newest, query.get("partial") == "true")
