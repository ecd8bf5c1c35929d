"""The type of a market: what differs between markets, as data; the values: usdm.py, spot.py, coinm.py."""

from __future__ import annotations

from dataclasses import dataclass

from tui_feeder.engine.exchanges.base import MarketFacts
from tui_feeder.engine.exchanges.binance.rest_limits import RestLimits


@dataclass(frozen=True, slots=True)
class Market:
    """A market of Binance: what its REST, streams and archive need beside an address."""

    name: str
    """As ``[exchange.NAME]`` and sockets show it."""
    prefix: str
    """What names of its symbols begin with here; the exchange itself leaves it out."""
    facts: MarketFacts
    probe_symbol: str
    """One that trades every minute."""
    intervals: dict[int, str]
    """What a timeframe (seconds) is called in requests."""
    time_path: str
    candles_path: str
    listing_path: str
    limits: RestLimits
    stream_path: str
    """Of the combined streams."""
    streams_carried: tuple[str, ...]
    """What that path delivers, by how the part after ``@`` begins; others are accepted and never fed."""
    archive_folder: str
    """Below ``/data``."""
    other_paths: tuple[str, ...] = ()
    """Paths of combined streams that some documents name instead; ``doctor --record`` tries them."""
    notices: tuple[str, ...] = ()
    """Streams on which the exchange announces that it will end connections."""
    may_end_early: bool = False
    """Whether a minute may be stated to end before it is over: the last one before an outage."""
    trades_columns: int | None = None
    """Columns of its archives of aggregated trades; None where they count contracts and are not read."""
    trades_path: str = ""
    """Of requests for aggregated trades."""
    newest_of_ms: int | None = None
    """Where the newest candles of a window are given instead of its first: the longest window, ms."""

    def bare(self, symbol: str) -> str:
        """The exchange's own name of a symbol.

        Args:
            symbol: with the prefix.

        Returns:
            Without it.
        """
        return symbol.removeprefix(self.prefix)
