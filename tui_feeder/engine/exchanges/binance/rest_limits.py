"""REST limits of each market: candles a request (page size), weights of requests, weight a minute.

Facts of 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestLimits:
    """What the requests of a market cost, and how many candles each asks for."""

    page_candles: int
    """The ``limit`` of a request for candles."""
    candles_weight: Callable[[int], int]
    """Request weight of candles by the ``limit`` of the request."""
    listing_weight: int
    """Request weight of the listing of all symbols."""
    weight_limit: int
    """Weight a minute for one address, until the exchange states another."""
    trades_weight: int
    """Request weight of a page of aggregated trades, whatever its size."""
    page_trades: int = 1_000
    """The most trades of a page."""


def _futures_candles_weight(limit: int) -> int:
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1_000 else 10


FUTURES_LIMITS = RestLimits(
    # Of the up to 1,500 that are allowed 499 cost weight 2: the most candles for the weight.
    page_candles=499,
    candles_weight=_futures_candles_weight,
    listing_weight=1,
    weight_limit=2_400,
    trades_weight=20,
)

SPOT_LIMITS = RestLimits(
    page_candles=1_000,
    candles_weight=lambda _limit: 2,
    listing_weight=20,
    weight_limit=6_000,
    trades_weight=4,
)
