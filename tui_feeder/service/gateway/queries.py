"""The parameters of a request for candles, checked as the exchange checks them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tui_feeder.service.gateway.intervals import INTERVALS, Interval
from tui_feeder.service.gateway.markets import USUAL_ROWS, ServedMarket
from tui_feeder.service.gateway.refusals import (
    invalid_interval,
    invalid_value,
    lookup_too_big,
    missing_parameter,
    wrong_order,
)

_LONGEST_NAME = 64
#: Digits of a number, at most.
_DIGITS = 18
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
    start = None if start is None else min(start, _LAST_MS)
    end = None if end is None else min(end, _LAST_MS)
    within, newest = market.newest_within_ms, False
    if within is not None and start is not None:
        if end is not None and end - start > within:
            raise lookup_too_big()
        end, newest = start + within if end is None else end, True
    return KlinesQuery(symbol, interval, start, end, limit, newest, query.get("partial") == "true")
