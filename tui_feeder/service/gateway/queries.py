"""The parameters of a request for candles, checked as the exchange checks them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tui_feeder.service.gateway.intervals import INTERVALS, Interval
from tui_feeder.service.gateway.refusals import (
    invalid_interval,
    invalid_value,
    missing_parameter,
    wrong_order,
)

_USUAL, _MOST = 500, 1_500
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


def klines_query(query: Mapping[str, str], symbol: str) -> KlinesQuery:
    """The parameters of a request for the candles of ``symbol``; whether that exists is not looked at.

    Args:
        query: of the request.
        symbol: that it is about.

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
        limit = _USUAL
    if not 1 <= limit <= _MOST:
        raise invalid_value("limit")
    if start is not None and end is not None and start > end:
        raise wrong_order()
    start = None if start is None else min(start, _LAST_MS)
    end = None if end is None else min(end, _LAST_MS)
    return KlinesQuery(symbol, interval, start, end, limit, query.get("partial") == "true")


def klines_weight(query: Mapping[str, str]) -> int:
    """Request weight of a request for candles, by its limit, valid or not.

    Args:
        query: of the request.

    Returns:
        1, 2, 5 or 10.
    """
    value = query.get("limit", "")
    limit = int(value) if value.isascii() and value.isdigit() and len(value) < 6 else _USUAL
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1_000 else 10
