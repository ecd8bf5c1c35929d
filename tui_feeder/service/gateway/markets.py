"""The markets that the gateway serves, each under the paths that the exchange has for it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.exchanges.binance.rest_limits import FUTURES_LIMITS, SPOT_LIMITS
from tui_feeder.symbol_name import market_of

#: Rows that are answered where no limit is given.
USUAL_ROWS = 500


@dataclass(frozen=True, slots=True)
class ServedMarket:
    """A market: where it is served, and how its answers differ.

    Attributes:
        name: what its symbols begin with here, without the colon; "" for USD-M.
        rest: what its paths of REST begin with.
        streams: what stands before ``/ws`` and ``/stream``.
        most_rows: of an answer.
        weigh: weight of a request for candles, by its limit.
        newest_within_ms: where the newest rows of a stated window are answered, not its first: the longest
            window.
        counts_contracts: whether volumes are contracts and quote volumes base coins, and tickers are lists.
        price_paths: of ticker/price, behind the first part of :attr:`rest`.
        has_pairs: whether continuousKlines is served.
    """

    name: str
    rest: str
    streams: tuple[str, ...]
    most_rows: int = 1_500
    weigh: Callable[[int], int] = FUTURES_LIMITS.candles_weight
    newest_within_ms: int | None = None
    counts_contracts: bool = False
    price_paths: tuple[str, ...] = ()
    has_pairs: bool = True

    def known_as(self, name: str) -> str:
        """What a symbol of the exchange is called in the store.

        Args:
            name: as clients of this market write it.

        Returns:
            With the market before it.
        """
        return f"{self.name}:{name}" if self.name else name

    def bare(self, symbol: str) -> str:
        """What clients of this market call a symbol.

        Args:
            symbol: of this market, as the store knows it.

        Returns:
            Without the market.
        """
        return symbol[len(self.name) + 1 :] if self.name else symbol

    def has(self, symbol: str) -> bool:
        """Whether a symbol belongs to it.

        Args:
            symbol: as the store knows it.

        Returns:
            True if it does.
        """
        return market_of(symbol) == self.name

    def candles_weight(self, query: Mapping[str, str]) -> int:
        """Request weight of a request for candles, by its limit, valid or not.

        Args:
            query: of the request.

        Returns:
            As the exchange counts it.
        """
        value = query.get("limit", "")
        return self.weigh(
            int(value) if value.isascii() and value.isdigit() and len(value) < 6 else USUAL_ROWS
        )


#: The official SDK opens three paths beside each other; of what belongs to the last two nothing is served.
USDM = ServedMarket(
    "", "/fapi/v1", ("", "/market", "/public", "/private"), price_paths=("/fapi/v2/ticker/price",)
)
SPOT = ServedMarket(
    "spot", "/api/v3", ("/spot",), most_rows=1_000, weigh=SPOT_LIMITS.candles_weight, has_pairs=False
)
COINM = ServedMarket("coinm", "/dapi/v1", ("/coinm",), newest_within_ms=200 * DAY_MS, counts_contracts=True)
SERVED_MARKETS = (USDM, SPOT, COINM)
_BY_NAME = {market.name: market for market in SERVED_MARKETS}


def served_market(symbol: str) -> ServedMarket:
    """The market of a symbol.

    Args:
        symbol: as the store knows it.

    Returns:
        USD-M for a name that begins with no market.
    """
    return _BY_NAME.get(market_of(symbol), USDM)
