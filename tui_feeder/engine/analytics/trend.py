"""Which way a timeframe goes, from its completed closes and its EMAs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

Trend: TypeAlias = Literal["Buy", "Sell", "Neutral"]

#: The last two closes against the longest EMA, or the shortest EMA against the longest.
RULES = ("closes_vs_ema", "ema_cross")


def side(prices: Iterable[float], level: float) -> Trend:
    """Compares prices with a level.

    Args:
        prices: prices.
        level: the level, same unit.

    Returns:
        ``Buy`` if all prices lie strictly above it, ``Sell`` if all lie below, else ``Neutral``.
    """
    above = below = True
    for price in prices:
        above = above and price > level
        below = below and price < level
    if above == below:
        return "Neutral"
    return "Buy" if above else "Sell"


def trend_of(
    rule: str, closes: Sequence[float], shortest: float | None, longest: float | None
) -> Trend | None:
    """Computes the trend after the last completed bar.

    Args:
        rule: one of :data:`RULES`.
        closes: the last completed closes; at most the last two are used.
        shortest: current EMA of the shortest period; only ``ema_cross`` uses it.
        longest: current EMA of the longest period.

    Returns:
        The trend; None while an EMA it needs is absent.
    """
    if longest is None:
        return None
    if rule == "ema_cross":
        return None if shortest is None else side((shortest,), longest)
    if len(closes) < 2:
        return "Neutral"
    before, last = closes[-2], closes[-1]
    if before > longest:
        return "Buy" if last > longest else "Neutral"
    return "Sell" if before < longest and last < longest else "Neutral"
