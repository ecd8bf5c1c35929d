"""What differs between Binance's markets, as data: one value a market, as in usdm.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui_feeder.engine.exchanges.base import MarketFacts


@dataclass(frozen=True, slots=True)
class Market:
    """A market of Binance: what its REST, streams and archive need beside an address."""

    facts: MarketFacts
    probe_symbol: str
    """One that trades every minute."""
    intervals: dict[int, str]
    """What a timeframe (seconds) is called in requests."""
    time_path: str
    candles_path: str
    listing_path: str
    candles_weight: Callable[[int], int]
    """Request weight of candles by the ``limit`` of the request."""
    listing_weight: int
    weight_limit: int
    """Weight a minute for one address, until the exchange states another."""
    stream_path: str
    """Of the combined streams."""
    streams_carried: tuple[str, ...]
    """What that path delivers, by how the part after ``@`` begins; others are accepted and never fed."""
    archive_folder: str
    """Below ``/data``."""
