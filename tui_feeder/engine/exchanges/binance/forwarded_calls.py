"""Public requests that a gateway may forward: their paths, parameters and weights. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from tui_feeder.engine.exchanges.binance.rest_limits import FUTURES_LIMITS
from tui_feeder.errors import InputError

_LONGEST_VALUE = 64


class UnknownCallError(InputError, ValueError):
    """There is no such request, or it has no such parameter; the text names it."""


def _limit(parameters: Mapping[str, str], usual: int) -> int:
    value = parameters.get("limit", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else usual


def _depth(parameters: Mapping[str, str]) -> int:
    limit = _limit(parameters, 500)
    return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20


def _candles(parameters: Mapping[str, str]) -> int:
    return FUTURES_LIMITS.candles_weight(_limit(parameters, 500))


def _of_symbol(weight: int, of_all: int) -> Callable[[Mapping[str, str]], int]:
    return lambda parameters: weight if "symbol" in parameters else of_all


@dataclass(frozen=True, slots=True)
class PublicCall:
    """A request.

    Attributes:
        path: below the exchange's address.
        allowed: names of its parameters.
        weigh: the weight of a request with these parameters.
    """

    path: str
    allowed: tuple[str, ...]
    weigh: Callable[[Mapping[str, str]], int]

    def query(self, parameters: Sequence[tuple[str, str]]) -> str:
        """The parameters as they are sent, in a fixed order.

        Args:
            parameters: names and values.

        Returns:
            With a question mark before it; empty without any.

        Raises:
            UnknownCallError: one is unknown, given twice or too long.
        """
        given: dict[str, str] = {}
        for name, value in parameters:
            if name not in self.allowed or name in given or len(value) > _LONGEST_VALUE:
                raise UnknownCallError(f"{self.path} takes {', '.join(self.allowed)}, each once")
            given[name] = value
        return f"?{urlencode(sorted(given.items()))}" if given else ""


_SPAN = ("startTime", "endTime", "limit")
_KLINES = ("symbol", "interval", *_SPAN)

#: By name, as ``gateway.forward`` lists them.
PUBLIC_CALLS: Mapping[str, PublicCall] = {
    "depth": PublicCall("/fapi/v1/depth", ("symbol", "limit"), _depth),
    "premiumIndex": PublicCall("/fapi/v1/premiumIndex", ("symbol",), _of_symbol(1, 10)),
    "fundingRate": PublicCall("/fapi/v1/fundingRate", ("symbol", *_SPAN), lambda _: 1),
    "fundingInfo": PublicCall("/fapi/v1/fundingInfo", (), lambda _: 1),
    "openInterest": PublicCall("/fapi/v1/openInterest", ("symbol",), lambda _: 1),
    "aggTrades": PublicCall("/fapi/v1/aggTrades", ("symbol", "fromId", *_SPAN), lambda _: 20),
    "trades": PublicCall("/fapi/v1/trades", ("symbol", "limit"), lambda _: 5),
    "bookTicker": PublicCall("/fapi/v1/ticker/bookTicker", ("symbol",), _of_symbol(2, 5)),
    "markPriceKlines": PublicCall("/fapi/v1/markPriceKlines", _KLINES, _candles),
    "indexPriceKlines": PublicCall("/fapi/v1/indexPriceKlines", ("pair", "interval", *_SPAN), _candles),
    "premiumIndexKlines": PublicCall("/fapi/v1/premiumIndexKlines", _KLINES, _candles),
}
